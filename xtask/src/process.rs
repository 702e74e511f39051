//! Runs other programs so that Ctrl-C ends them and our own guards still run.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

const LOOK_EVERY: Duration = Duration::from_millis(20);
const TIME_TO_END: Duration = Duration::from_secs(5);

/// Turns Ctrl-C, a hang-up and a request to terminate into a flag.
pub(crate) fn watch_signals() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).context("cannot watch for signals")?;
    }
    Ok(())
}

/// Whether one of the watched signals has come.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Sleeps for a moment between two looks at something that is not ready.
///
/// # Errors
///
/// When the user has interrupted us.
pub(crate) fn pause(time: Duration) -> Result<()> {
    sleep(time);
    if interrupted() {
        bail!("interrupted");
    }
    Ok(())
}

/// Runs a command to its end, in a process group of its own.
///
/// An interruption ends the whole group: a signal that reaches only us would otherwise leave grandchildren behind, such
/// as the test programs of `cargo test`.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    let name = command.get_program().to_owned();
    let mut child = command.process_group(0).spawn().with_context(|| format!("cannot start {}", name.display()))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if pause(LOOK_EVERY).is_err() {
            end_group(&mut child)?;
            bail!("interrupted while {} ran", name.display());
        }
    }
}

/// Runs a command and fails when it does.
pub(crate) fn run_successfully(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if !status.success() {
        bail!("{} ended with {status}", describe(command));
    }
    Ok(())
}

/// The command as a line that a person could type.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn end_group(child: &mut Child) -> Result<()> {
    let group = pid(child.id())?;
    // Ignored: the group may have ended by itself in between.
    let _ended = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + TIME_TO_END;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            let _ended = kill_process_group(group, Signal::KILL);
        }
        sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Ends one process at once; one that has ended already is no error.
pub(crate) fn kill(id: u32) -> Result<()> {
    match kill_process(pid(id)?, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot end process {id}")),
    }
}

fn pid(id: u32) -> Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).with_context(|| format!("{id} is no process id"))
}

/// The command line of a running process; nothing when there is no such process, or one that has ended.
pub(crate) fn command_line(id: u32) -> Option<String> {
    if Path::new("/proc/self/cmdline").exists() {
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let listed = Command::new("ps").args(["-ww", "-o", "command=", "-p", &id.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&listed.stdout).into_owned())
}

/// Where a program of this name stands on PATH.
pub(crate) fn find(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = name.as_ref();
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Fails with what to do when a program is not on PATH.
pub(crate) fn require(name: &str, purpose: &str) -> Result<()> {
    if find(name).is_none() {
        bail!("`{name}` is not on PATH; it is needed to {purpose}: install it and try again");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_purpose() {
        let error = require("no-such-program", "build etcd").expect_err("there is no such program");
        assert_eq!(
            error.to_string(),
            "`no-such-program` is not on PATH; it is needed to build etcd: install it and try again"
        );
    }

    #[test]
    fn a_process_that_is_gone_has_no_command_line() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        assert!(command_line(child.id()).is_some_and(|line| line.contains("sleep 1000")));
        kill(child.id()).expect("our own child can be ended");
        child.wait().expect("it was started");
        assert!(!command_line(child.id()).is_some_and(|line| line.contains("sleep")));
    }
}
