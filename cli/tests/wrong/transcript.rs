//! A case is a folder; its `expected.txt` is the command, all that the user sees, and how it ends.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::process::Ran;
use crate::common::scenario::Scenario;
use crate::common::tools;

/// What is blessed beside the common text where it differs.
const VARIANT: &str = "expected-helm3.txt";

/// What differs from machine to machine, and the word that stands for it in a transcript.
pub(crate) struct Place {
    pub(crate) found: String,
    pub(crate) word: &'static str,
}

/// Runs every case below a folder of `testdata/cli` and compares; `CFRT_BLESS=1` writes what was seen.
///
/// Where a text differs with a variant of the surroundings, it is in `expected-VARIANT.txt`.
pub(crate) fn check(group: &str, variant: &str, environment: &[(&str, String)], places: &[Place]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cli").join(group);
    let mut wrong = String::new();
    let cases = cases(&folder);
    assert!(!cases.is_empty(), "{} has no cases", folder.display());
    for case in cases {
        let own = case.join(format!("expected-{variant}.txt"));
        let common = fs::read_to_string(case.join("expected.txt")).unwrap_or_default();
        let expected = fs::read_to_string(&own).unwrap_or_else(|_| common.clone());
        let command = expected.lines().next().unwrap_or_default().to_owned();
        let seen = format!("{command}\n{}", run(&case, &command, environment, places));
        if std::env::var_os("CFRT_BLESS").is_some() {
            bless(&case, &own, &common, &seen);
        } else if seen != expected {
            writeln!(wrong, "{}\n--- expected\n{expected}--- seen\n{seen}", case.display()).expect("a text takes it");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn bless(case: &Path, own: &Path, common: &str, seen: &str) {
    if own.ends_with(VARIANT) && seen == common {
        let _was_there = fs::remove_file(own);
    } else {
        let file = if own.ends_with(VARIANT) { own.to_owned() } else { case.join("expected.txt") };
        fs::write(file, seen).expect("the case can be written");
    }
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the cases are there");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("the cases can be listed").path()).collect();
    cases.sort();
    cases
}

/// Runs `$ NAME=value cfrt plan prod.toml` in a case's folder.
fn run(case: &Path, command: &str, environment: &[(&str, String)], places: &[Place]) -> String {
    let cache = tempfile::tempdir().expect("there is room for a folder");
    let mut words = command.trim_start_matches("$ ").split_whitespace().peekable();
    let mut cfrt = Command::new(env!("CARGO_BIN_EXE_cfrt"));
    cfrt.current_dir(case).env_clear().env("CFRT_CACHE", cache.path().join("cache")).env("HOME", cache.path());
    cfrt.envs(environment.iter().map(|(name, value)| (name, value)));
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        cfrt.env(name, value);
        words.next();
    }
    assert_eq!(words.next(), Some("cfrt"), "{}: the first line is the command", case.display());
    let ended = cfrt.args(words).output().expect("the binary was built");
    let mut text = text(&ended);
    for Place { found, word } in places {
        text = text.replace(found, word);
    }
    let case = case.canonicalize().expect("the case is there");
    text.replace(&format!("{}/", case.display()), "").replace(&cache.path().display().to_string(), "HOME")
}

/// What a run printed and how it ended, in one text.
pub(crate) fn text(ended: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("cfrt prints text");
    let code = ended.status.code().map_or_else(|| ended.status.to_string(), |code| code.to_string());
    let text = format!("{}{}[exit {code}]\n", text(&ended.stdout), text(&ended.stderr));
    assert!(!text.contains('\u{1b}'), "an escape character reached a pipe: {text}");
    text
}

/// The same of one that a scenario ran.
pub(crate) fn said(ran: &Ran) -> String {
    assert!(
        !ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'),
        "an escape character reached a pipe: {ran}"
    );
    format!("{}{}[exit {}]\n", ran.stdout, ran.stderr, ran.code)
}

/// `cfrt` in a scenario, for what is done with it besides waiting for its end. No judge is told of it: it may
/// write nothing.
pub(crate) fn command(scenario: &Scenario, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(scenario.folder()).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("KUBECONFIG", tools::kubeconfig()).env("CFRT_HELM", scenario.renderer.path());
    command.env("CFRT_CACHE", scenario.folder().join("cache")).env("HOME", scenario.folder());
    command
}
