//! Runs all tests of the workspace, those included that need a control plane or helm, and says what had to be left out.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::needs::{self, Need};
use crate::provide::Provided;
use crate::{process, source};

/// Names of ignored tests, and what each needs.
type Needs = BTreeMap<String, BTreeSet<Need>>;

/// Runs the tests of these packages, or of all.
///
/// # Errors
///
/// When a test fails; and where `CI` is `true`, when one had to be left out.
pub(crate) fn run(packages: &[String], arguments: &[OsString]) -> Result<()> {
    // Built first: what does not compile needs no control plane.
    process::run_successfully(cargo_test(packages).arg("--no-run"))?;
    let provided = Provided::everything()?;
    if provided.absent.is_empty() {
        return process::run_successfully(
            cargo_test(packages).envs(&provided.environment).args(["--", "--include-ignored"]).args(arguments),
        );
    }
    process::run_successfully(cargo_test(packages).envs(&provided.environment).arg("--").args(arguments))?;
    let needs = needs_of_ignored_tests()?;
    let mut possible = Vec::new();
    let mut left_out: BTreeMap<String, usize> = BTreeMap::new();
    for name in ignored_tests(packages)? {
        match obstacle(&name, &needs, &provided) {
            None => possible.push(name),
            Some(obstacle) => *left_out.entry(obstacle).or_default() += 1,
        }
    }
    if !possible.is_empty() {
        let mut command = cargo_test(packages);
        command.args(["--", "--ignored", "--exact"]).args(possible).envs(&provided.environment);
        process::run_successfully(&mut command)?;
    }
    report(&left_out)
}

fn cargo_test(packages: &[String]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // One run tells all that fails.
    command.args(["test", "--no-fail-fast"]).stdin(Stdio::null());
    for package in packages {
        command.args(["--package", package]);
    }
    if packages.is_empty() {
        command.arg("--workspace");
    }
    command
}

/// The full names of all ignored tests, as the test programs list them.
fn ignored_tests(packages: &[String]) -> Result<Vec<String>> {
    let mut command = cargo_test(packages);
    command.args(["--quiet", "--", "--list", "--ignored"]).stderr(Stdio::inherit());
    let listing = String::from_utf8(command.output().context("cannot start cargo")?.stdout)?;
    Ok(listing.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Why a test cannot run here, if it cannot.
fn obstacle(name: &str, needs: &Needs, provided: &Provided) -> Option<String> {
    let function = name.rsplit("::").next().unwrap_or(name);
    let Some(needs) = needs.get(function) else { return Some("no source says what it needs".to_owned()) };
    let need = needs.iter().find(|need| provided.absent.contains_key(need))?;
    Some(format!("`needs {need}`: {}", provided.absent[need]))
}

/// Reads from the sources what each ignored test needs. Tests of one name share what any of them needs.
fn needs_of_ignored_tests() -> Result<Needs> {
    let mut found = Needs::new();
    for file in source::text_files(&source::root()?)?.iter().filter(|file| file.is("rs")) {
        for test in source::contents(file)?.ignored_tests {
            let place = || format!("{}:{}", file.path.display(), test.line);
            let reason = test.reason.as_deref().with_context(|| format!("{}: ignored without a reason", place()))?;
            let needs = needs::parse(reason).map_err(anyhow::Error::msg).with_context(place)?;
            found.entry(test.name).or_default().extend(needs);
        }
    }
    Ok(found)
}

fn report(left_out: &BTreeMap<String, usize>) -> Result<()> {
    for (obstacle, count) in left_out {
        eprintln!("xtask: left out {count} × {obstacle}");
    }
    if !left_out.is_empty() && env::var("CI").is_ok_and(|value| value == "true") {
        bail!("tests were left out, which may not be where CI is `true`");
    }
    Ok(())
}
