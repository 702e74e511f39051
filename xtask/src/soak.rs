//! Kills applies at seeded moments, many more than the tests do, on a control plane of its own.

use std::env;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process;
use crate::provide::Provided;

/// The test that does it, a few times where nobody says how often.
const TEST: &str =
    "killed::an_apply_that_is_killed_at_any_moment_is_completed_by_the_same_command_and_no_hook_runs_twice";

/// Kills the applies of so many seeds, from the first one on.
///
/// # Errors
///
/// When something that it takes is not there; when an apply isn't completed, which names the seed.
pub(crate) fn run(first: u64, seeds: u64) -> Result<()> {
    let provided = Provided::apart()?;
    println!("killing applies of the seeds {first} to {}; a failure names its seed", first + seeds.saturating_sub(1));
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--package", "cfrt", "--test", "scenarios", "--", "--include-ignored", "--exact", TEST]);
    command.env("CFRT_SEED", first.to_string()).env("CFRT_SEEDS", seeds.to_string());
    process::run_successfully(command.envs(&provided.environment).stdin(Stdio::null()))
}
