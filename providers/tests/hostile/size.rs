//! How much work and memory reading takes: bounds far above what is needed, and far below what would hurt.

use std::fs;

/// What one reading may take of a processor, in seconds; tests run without optimisation.
const MOST_SECONDS: u64 = 15;
const MOST_MEMORY: u64 = 1 << 30;

/// Runs something that must not take long, however hostile what it reads is.
#[track_caller]
pub(crate) fn soon<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let began = seconds().unwrap_or_default();
    let result = run();
    let took = seconds().unwrap_or_default() - began;
    assert!(took < MOST_SECONDS, "{what} took {took} s");
    result
}

/// Runs something that must not take much memory either.
#[track_caller]
pub(crate) fn small<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let result = soon(what, run);
    // All tests of this binary stay below the bound, so that it doesn't matter which of them run meanwhile.
    let most = most_memory().unwrap_or_default();
    assert!(most < MOST_MEMORY, "{what} took {} MiB", most >> 20);
    result
}

/// The time that this thread was at work, where the system tells: it doesn't depend on what else the machine does.
fn seconds() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/stat").ok()?;
    // What stands before is the thread's name, which may have any characters.
    let (_, fields) = status.rsplit_once(") ")?;
    let ticks: Vec<u64> = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    Some(ticks.iter().sum::<u64>() / 100)
}

/// The most memory that this process has ever had, where the system tells.
fn most_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}
