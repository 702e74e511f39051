//! Programs run to their end, or to the end of patience.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;

use super::judge::announced::{Window, announce, call};
use super::scenario::Scenario;
use super::secrets;

/// Nothing that a scenario runs takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long something that is bound to happen may take.
const SOON: Duration = Duration::from_secs(60);

/// How often is looked whether it has.
const PULSE: Duration = Duration::from_millis(50);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));

/// What came of a program.
#[derive(Clone)]
pub(crate) struct Ran {
    /// How it was called.
    pub(crate) line: String,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it told.
    pub(crate) stderr: String,
    /// Its exit code; -1 where a signal ended it.
    pub(crate) code: i32,
}

/// A program with its arguments and nothing in its environment but what is given to it.
pub(crate) struct Program<'a> {
    command: Command,
    /// Whose judge is told of it before it begins.
    told: Option<&'a Scenario>,
}

/// A program that was started; dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    window: Option<Window>,
}

impl<'a> Program<'a> {
    /// A program in a folder.
    pub(crate) fn new(program: impl AsRef<OsStr>, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        Self { command, told: None }
    }

    /// The same, announced to a scenario's judge.
    pub(crate) fn judged(self, scenario: &'a Scenario) -> Self {
        Self { told: Some(scenario), ..self }
    }

    /// With arguments.
    pub(crate) fn arguments<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// With a variable.
    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end. None of the tokens that it is given may be in what it prints.
    #[track_caller]
    pub(crate) fn run(mut self) -> Ran {
        let window = self.announced();
        let line = format!("{:?}", self.command.as_std());
        let given = self.command.as_std().get_envs().filter(|(name, _)| *name == "SCENARIO_TOKEN");
        let given: Vec<String> = given.filter_map(|(_, value)| Some(value?.to_str()?.to_owned())).collect();
        let output = RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, self.command.output()).await });
        drop(window);
        let output = output.unwrap_or_else(|_| end(&format!("{line}: still runs after {PATIENCE:?}")));
        let output = output.unwrap_or_else(|error| end(&format!("{line}: {error}")));
        for secret in &given {
            secrets::absent(secret, &output.stdout, "the output");
            secrets::absent(secret, &output.stderr, "what is told");
        }
        Ran::of(line, output)
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Running {
        let window = self.announced();
        let _guard = RUNTIME.enter();
        Running { child: self.command.spawn().expect("the program can be started"), window }
    }

    fn announced(&self) -> Option<Window> {
        let (arguments, surroundings) = call(self.command.as_std());
        announce(self.told?, &arguments, &surroundings)
    }
}

impl Running {
    /// Its process.
    pub(crate) fn id(&self) -> String {
        self.child.id().expect("it was not waited for").to_string()
    }

    /// How it has ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it was started")
    }

    /// Ends it as a power cut would, and waits until nothing of it is left.
    pub(crate) fn kill(mut self) {
        let _guard = RUNTIME.enter();
        self.child.start_kill().expect("our own program can be killed");
        RUNTIME.block_on(self.child.wait()).expect("it was started");
    }

    /// What it says, once it has ended by itself.
    pub(crate) fn ended(self) -> Ran {
        let Self { child, window } = self;
        let output = RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, child.wait_with_output()).await });
        drop(window);
        let output = output.unwrap_or_else(|_| end(&format!("it still runs after {PATIENCE:?}")));
        Ran::of("a program that was started".to_owned(), output.expect("it was started"))
    }
}

impl Ran {
    fn of(line: String, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Self { line, stdout, stderr, code: output.status.code().unwrap_or(-1) }
    }

    /// Itself, having ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Its output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| end(&format!("{error}: {self}")))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, stdout, stderr, code } = self;
        // JSON says nothing to people that is not in what was told.
        let stdout = if stdout.starts_with('{') { "JSON" } else { stdout };
        write!(f, "{line}\nexit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// Waits for something that is bound to happen.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if began.elapsed() > SOON {
            end(&format!("waited {SOON:?} in vain: {what}"));
        }
        std::thread::sleep(PULSE);
    }
}

/// Fails the test.
#[track_caller]
#[allow(clippy::panic, reason = "a test fails by it")]
pub(crate) fn end(why: &str) -> ! {
    panic!("{why}")
}
