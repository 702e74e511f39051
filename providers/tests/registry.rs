//! What must hold of the kinds as they are registered, and that the plans people start from are understood.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cfrt_engine::compile::compile;
use cfrt_engine::desired::parse;
use cfrt_engine::facts::TABLES;
use cfrt_engine::source::Sources;
use cfrt_providers::KINDS;

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The names of what lies in a folder, without their extensions.
fn stems(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(path(folder)).expect("the folder is there");
    let stem = |path: PathBuf| path.file_stem().expect("it has a name").to_string_lossy().into_owned();
    entries.map(|entry| stem(entry.expect("it can be read").path())).collect()
}

fn names() -> BTreeSet<String> {
    KINDS.iter().map(|kind| kind.name().to_owned()).collect()
}

#[test]
fn every_kind_has_a_name_of_its_own_in_kebab_case() {
    assert_eq!(names().len(), KINDS.len(), "two kinds have one name");
    for name in names() {
        let is_word =
            |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        assert!(name.split('-').all(is_word), "{name} is not in kebab case");
    }
}

#[test]
fn every_kind_is_a_file_and_every_file_is_a_kind() {
    let mut files = stems("src/kinds");
    assert!(files.remove("mod"));
    let expected: BTreeSet<String> = names().iter().map(|name| name.replace('-', "_")).collect();
    assert_eq!(files, expected);
}

#[test]
fn every_kind_has_a_case() {
    let cases = stems("../testdata/cases");
    for name in names() {
        assert!(cases.iter().any(|case| case.starts_with(&format!("{name}-"))), "{name} has no case");
    }
}

#[test]
fn kinds_come_after_kinds_that_are_registered() {
    for kind in KINDS {
        for name in kind.after() {
            assert!(names().contains(*name), "{} comes after {name}, which is no kind", kind.name());
        }
    }
}

#[test]
fn every_table_has_one_owner() {
    let mut owned: BTreeSet<&str> = TABLES.into_iter().collect();
    for kind in KINDS {
        for table in kind.tables() {
            assert!(owned.insert(table), "[{table}] of {} belongs to someone else already", kind.name());
        }
    }
}

#[test]
fn every_plan_that_people_start_from_compiles() {
    let plans = fs::read_dir(path("../plans")).expect("there are plans");
    let plans: Vec<PathBuf> = plans.map(|entry| entry.expect("it can be read").path()).collect();
    assert!(!plans.is_empty());
    for path in plans {
        let mut sources = Sources::default();
        sources.push(&path, fs::read_to_string(&path).expect("a plan is a text"));
        let compiled = parse(&sources).and_then(|desired| compile(&desired, &KINDS));
        let tasks = compiled.unwrap_or_else(|mistakes| unreachable!("{}: {:?}", path.display(), mistakes.0));
        let found: BTreeSet<&str> = tasks.entries.iter().map(|entry| entry.id.kind).collect();
        assert!(found.contains("chart"), "{} installs nothing", path.display());
    }
}
