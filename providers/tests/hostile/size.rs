//! How much time and memory reading takes: bounds far above what is needed, and far below what would hurt.

use std::fs;
use std::time::{Duration, Instant};

/// Runs something that must not take long, however hostile what it reads is. Tests run without optimisation.
#[track_caller]
pub(crate) fn soon<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = run();
    assert!(began.elapsed() < Duration::from_secs(20), "{what} took {:?}", began.elapsed());
    result
}

/// Runs something that must not take much memory.
#[track_caller]
pub(crate) fn small<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let result = soon(what, run);
    // All tests of this binary stay below the bound, so that it doesn't matter which of them run meanwhile.
    if let Some(most) = most_memory() {
        assert!(most < 1 << 30, "{what} took {} MiB", most >> 20);
    }
    result
}

/// The most memory that this process has ever had, where the system tells.
fn most_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes << 10)
}
