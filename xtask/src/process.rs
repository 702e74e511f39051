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

/// The command line of a process; nothing when there is no such process, or when it is about to be gone.
pub(crate) fn command_line(id: u32) -> Option<String> {
    about(id, "cmdline", "command=").map(|line| line.replace('\0', " "))
}

/// Whether a process has ended: there is none of this id, or only its status is left to be read by its parent.
pub(crate) fn has_ended(id: u32) -> bool {
    // Linux puts the state behind the name, which stands in brackets and may hold brackets itself.
    let state = about(id, "stat", "stat=");
    let state = state.as_deref().map(|line| line.rsplit(") ").next().unwrap_or(line).trim_start());
    state.is_none_or(|state| state.is_empty() || state.starts_with(['Z', 'X']))
}

/// What the system tells of a process, by a file of Linux's or a column of `ps`.
fn about(id: u32, file: &str, column: &str) -> Option<String> {
    let answer = if Path::new("/proc/self/stat").exists() {
        fs::read(format!("/proc/{id}/{file}")).ok()?
    } else {
        Command::new("ps").args(["-ww", "-o", column, "-p", &id.to_string()]).output().ok()?.stdout
    };
    Some(String::from_utf8_lossy(&answer).into_owned())
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
    fn a_process_that_is_gone_has_ended_and_has_no_command_line() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep starts");
        // The kernel sets the command line a little after `spawn` returns.
        while command_line(child.id()).is_none_or(|line| line.is_empty()) {
            std::thread::yield_now();
        }
        let alive = !has_ended(child.id());
        kill(child.id()).expect("our own child can be ended");
        while !has_ended(child.id()) {
            std::thread::yield_now();
        }
        child.wait().expect("it was started");
        assert!(alive, "it was taken for ended before it was");
        assert_eq!(command_line(child.id()), None);
    }
}
