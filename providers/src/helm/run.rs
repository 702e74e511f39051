//! Running helm: arguments in, bounded output or one clear message out.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// A rendering of the largest charts is a few megabytes.
const LARGEST_OUTPUT: u64 = 128 << 20;
const LARGEST_COMPLAINT: u64 = 256 << 10;
const LARGEST_MESSAGE: usize = 4000;

/// What helm would otherwise take from the caller's environment, and what would make it look at another cluster
/// or another store of records than cfrt does. Repositories, registry logins and caches stay the user's.
const NOT_INHERITED: [&str; 14] = [
    "HELM_DRIVER",
    "HELM_DRIVER_SQL_CONNECTION_STRING",
    "HELM_NAMESPACE",
    "HELM_KUBECONTEXT",
    "HELM_KUBETOKEN",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASUSER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBECAFILE",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_MAX_HISTORY",
    "HELM_DEBUG",
    "HELM_BIN",
];

/// Why a run of helm gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program does not start.
    #[error("{doing}: {} does not start", program.display())]
    Start {
        /// What the run was for.
        doing: String,
        /// The helm that was to run.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Helm ended with a failure.
    #[error("{doing}: {message}")]
    Failed {
        /// What the run was for.
        doing: String,
        /// Helm's own words, without what is no part of the cause.
        message: String,
    },
    /// Helm did not end in time, and was ended.
    #[error("{doing}: helm did not answer within {} seconds", limit.as_secs())]
    TooSlow {
        /// What the run was for.
        doing: String,
        /// How long it had.
        limit: Duration,
    },
    /// Helm wrote more than any chart needs, and was ended.
    #[error("{doing}: helm's answer is larger than {} MiB", LARGEST_OUTPUT >> 20)]
    TooLarge {
        /// What the run was for.
        doing: String,
    },
    /// Helm's answer is not what it should be.
    #[error("{doing}: helm's answer is not {expected}")]
    Unintelligible {
        /// What the run was for.
        doing: String,
        /// What the answer should have been.
        expected: &'static str,
    },
}

/// One run of helm.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What the run is for, as errors say it: `rendering chart probe`.
    pub doing: String,
    /// The arguments, each as it is.
    pub arguments: Vec<OsString>,
    /// How long it may take.
    pub limit: Duration,
    /// What helm reads from its input; values may be secret, and a file would outlive a run that is killed.
    input: SecretString,
}

impl Invocation {
    /// Starts an invocation; renderings and downloads of the largest charts take seconds, so that it may take five minutes.
    pub fn new(doing: impl Into<String>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { doing: doing.into(), arguments, limit: Duration::from_secs(300), input: SecretString::default() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds a flag and its value.
    #[must_use]
    pub fn flag(self, name: &str, value: impl Into<OsString>) -> Self {
        self.with(name).with(value)
    }

    /// Hands values to helm, as JSON, which is YAML without its surprises.
    #[must_use]
    pub fn values(self, values: &Value) -> Self {
        Self { input: values.to_string().into(), ..self }.flag("--values", "-")
    }

    /// Runs a program with these arguments and its input, and gives what it wrote.
    ///
    /// The process ends with the future: dropping it kills the program.
    ///
    /// # Errors
    /// See [`RunError`]; the message of a failure is one clear text.
    pub async fn run(self, program: &Path) -> Result<String, RunError> {
        let doing = self.doing.clone();
        let limit = self.limit;
        let finished = tokio::time::timeout(limit, self.finish(program)).await;
        let bytes = finished.unwrap_or(Err(RunError::TooSlow { doing: doing.clone(), limit }))?;
        String::from_utf8(bytes).map_err(|_| RunError::Unintelligible { doing, expected: "text" })
    }

    async fn finish(self, program: &Path) -> Result<Vec<u8>, RunError> {
        let Self { doing, arguments, input, .. } = self;
        let failed = |doing, source| RunError::Start { doing, program: program.to_owned(), source };
        let started = command(program, arguments).spawn();
        let mut child = started.map_err(|source| failed(doing.clone(), source))?;
        let (output, complaint) = outputs(&mut child, &input).await.map_err(|source| failed(doing.clone(), source))?;
        if output.len() as u64 > LARGEST_OUTPUT {
            return Err(RunError::TooLarge { doing });
        }
        let status = child.wait().await.map_err(|source| failed(doing.clone(), source))?;
        if status.success() {
            return Ok(output);
        }
        let message = complaint_of(&String::from_utf8_lossy(&complaint));
        let message = message.unwrap_or_else(|| format!("helm gave no reason ({status})"));
        Err(RunError::Failed { doing, message })
    }
}

fn command(program: &Path, arguments: Vec<OsString>) -> Command {
    let mut command = Command::new(program);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command.env("HELM_NO_PLUGINS", "1").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A Ctrl-C on the terminal is for cfrt alone, which ends what it started.
    command.kill_on_drop(true).process_group(0);
    command
}

async fn outputs(child: &mut Child, input: &SecretString) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut pipe = child.stdin.take();
    let handed = async {
        if let Some(pipe) = &mut pipe {
            // Who doesn't read all of it has an answer all the same.
            pipe.write_all(input.expose_secret().as_bytes()).await.unwrap_or_default();
        }
        drop(pipe);
        io::Result::Ok(())
    };
    let output = async {
        let bytes = at_most(LARGEST_OUTPUT + 1, child.stdout.take()).await?;
        Ok(bytes)
    };
    let complaint = async {
        let mut pipe = child.stderr.take();
        let bytes = at_most(LARGEST_COMPLAINT, pipe.as_mut()).await?;
        if let Some(rest) = &mut pipe {
            // Who stops reading makes the writer wait for ever.
            tokio::io::copy(rest, &mut tokio::io::sink()).await?;
        }
        Ok(bytes)
    };
    let ((), output, complaint) = tokio::try_join!(handed, output, complaint)?;
    Ok((output, complaint))
}

async fn at_most(limit: u64, pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Picks the cause out of what helm wrote to its error output; `None` where it wrote nothing of use.
fn complaint_of(text: &str) -> Option<String> {
    let useful = |line: &&str| !line.trim().is_empty() && !is_noise(line);
    let lines: Vec<&str> = text.lines().filter(useful).map(str::trim_end).collect();
    let start = lines.iter().position(|line| line.starts_with("Error: ")).unwrap_or(0);
    let message = lines[start..].join("\n");
    let message = message.strip_prefix("Error: ").unwrap_or(&message);
    let end = message.char_indices().nth(LARGEST_MESSAGE).map_or(message.len(), |(end, _)| end);
    (!message.is_empty()).then(|| message[..end].to_owned())
}

fn is_noise(line: &str) -> bool {
    const WARNINGS: [&str; 6] = ["WARNING: ", "level=WARN", "Pulled: ", "Digest: ", "Use --debug flag", "coalesce.go:"];
    let logged = |start: char| {
        line.strip_prefix(start)
            .is_some_and(|rest| rest.len() > 4 && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit))
    };
    WARNINGS.iter().any(|warning| line.starts_with(warning))
        || line.contains(" level=WARN ")
        || line.contains(" warning: ") && line.contains(".go:")
        || ['W', 'I'].into_iter().any(logged)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, limit: Duration) -> Result<String, RunError> {
        let invocation = Invocation::new("trying", &["-c", script]);
        Invocation { limit, ..invocation }.run(Path::new("/bin/sh")).await
    }

    #[tokio::test]
    async fn values_come_by_the_input_and_who_reads_none_of_them_answers_all_the_same() {
        let values = serde_json::json!({"a": "x".repeat(1 << 20)});
        let asked = |script: &str| Invocation::new("trying", &["-c", script]).values(&values).run(Path::new("/bin/sh"));
        assert_eq!(asked("cat").await.unwrap(), values.to_string());
        assert_eq!(asked("echo done").await.unwrap(), "done\n");
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_a_run_writes_comes_back_and_warnings_do_not() {
        assert_eq!(shell("echo out; echo WARNING: x >&2", MINUTE).await.unwrap(), "out\n");
    }

    #[tokio::test]
    async fn a_run_reads_no_input_and_takes_no_other_cluster_from_the_environment() {
        let script = "cat; echo ${HELM_KUBEAPISERVER:-none} $HELM_NO_PLUGINS";
        assert_eq!(shell(script, MINUTE).await.unwrap(), "none 1\n");
    }

    #[tokio::test]
    async fn a_run_has_a_process_group_of_its_own() {
        assert_eq!(shell("kill -0 -$$ && echo own", MINUTE).await.unwrap(), "own\n");
    }

    #[tokio::test]
    async fn a_failure_is_one_clear_message() {
        let failure = shell("echo out; echo 'Error: no such chart' >&2; exit 3", MINUTE).await.unwrap_err();
        assert_eq!(failure.to_string(), "trying: no such chart");
        let silent = shell("exit 3", MINUTE).await.unwrap_err();
        assert_eq!(silent.to_string(), "trying: helm gave no reason (exit status: 3)");
    }

    #[tokio::test]
    async fn much_on_the_error_output_stops_nobody() {
        let script = "yes 'W1122 noise' | head -c 2000000 >&2; echo done";
        assert_eq!(shell(script, MINUTE).await.unwrap(), "done\n");
    }

    #[tokio::test]
    async fn a_run_that_never_ends_is_ended() {
        let failure = shell("sleep 600", Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(failure, RunError::TooSlow { .. }), "{failure}");
    }

    #[tokio::test]
    async fn a_run_that_writes_without_end_is_ended() {
        let failure = shell("yes", MINUTE).await.unwrap_err();
        assert!(matches!(failure, RunError::TooLarge { .. }), "{failure}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let failure = Invocation::new("trying", &[]).run(Path::new("/nowhere/helm")).await.unwrap_err();
        assert_eq!(failure.to_string(), "trying: /nowhere/helm does not start");
    }

    #[test]
    fn causes_are_told_from_noise() {
        for (text, cause) in [
            (
                "Error: execution error at (a/templates/b.yaml:1:4): no\n\nUse --debug flag to render out invalid YAML\n",
                Some("execution error at (a/templates/b.yaml:1:4): no"),
            ),
            ("WARNING: Kubernetes configuration file is group-readable.\nError: bad\n", Some("bad")),
            ("time=2026-11-22T17:00:00.000Z level=WARN msg=\"x\"\nlevel=WARN msg=y\nError: bad\n", Some("bad")),
            ("W1122 17:00:00.000000 1 warnings.go:70] x\nError: bad\n", Some("bad")),
            (
                "coalesce.go:286: warning: cannot overwrite table\nError: bad\n- at '/a': got number\n",
                Some("bad\n- at '/a': got number"),
            ),
            ("panic: broken\ngoroutine 1\n", Some("panic: broken\ngoroutine 1")),
            ("\n", None),
            ("WARNING: only\n", None),
        ] {
            assert_eq!(complaint_of(text).as_deref(), cause, "{text}");
        }
        let long = complaint_of(&format!("Error: {}", "ä".repeat(9000))).unwrap();
        assert_eq!(long.chars().count(), LARGEST_MESSAGE);
    }
}
