//! Cases: each folder of `testdata/cases` is a pipeline, from a desired state and a world that is a map to the report.
//!
//! A folder holds what goes in: `desired.toml`, `world.json` (what there is; see [`world::Given`]) and for a chart `rendering.yaml`,
//! as helm renders it. And what comes out of each stage, as text: tasks, graph, plan, events, report, and the world after.
//! `CFRT_BLESS=1` writes what comes out; read the difference before you commit it. `CFRT_CASE=name` runs one.

mod drawing;
mod drivers;
mod run;
mod server;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use similar::TextDiff;

use run::STAGES;

fn folders() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cases");
    let wanted = std::env::var("CFRT_CASE").ok();
    let entries = fs::read_dir(cases).expect("there are cases").map(|entry| entry.expect("it can be read").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.retain(|path| wanted.as_ref().is_none_or(|wanted| path.ends_with(wanted)));
    folders.sort();
    folders
}

/// What differs between the stages as blessed and as they came out; a stage that was not reached has no file.
fn differences(folder: &Path, stages: &BTreeMap<&str, String>) -> Vec<String> {
    let difference = |name: &&str| {
        let blessed = fs::read_to_string(folder.join(name)).ok();
        let came = stages.get(name);
        (blessed.as_ref() != came).then(|| unified(name, &blessed.unwrap_or_default(), came.map_or("", String::as_str)))
    };
    STAGES.iter().filter_map(difference).collect()
}

fn unified(name: &str, blessed: &str, came: &str) -> String {
    let header = format!("{name} as blessed");
    TextDiff::from_lines(blessed, came).unified_diff().header(&header, &format!("{name} now")).to_string()
}

fn bless(folder: &Path, stages: &BTreeMap<&str, String>) {
    for name in STAGES {
        let path = folder.join(name);
        match stages.get(name) {
            Some(text) => fs::write(path, text).expect("the case can be written"),
            None if path.exists() => fs::remove_file(path).expect("the case can be written"),
            None => {}
        }
    }
}

#[tokio::test]
async fn every_stage_of_every_case_comes_out_as_it_was_blessed() {
    let blessing = std::env::var_os("CFRT_BLESS").is_some();
    let mut found = Vec::new();
    for folder in folders() {
        let ran = run::run(&folder).await;
        if blessing {
            bless(&folder, &ran.stages);
        }
        let wrong = differences(&folder, &ran.stages).into_iter().chain(ran.broken);
        let name = folder.file_name().unwrap_or_default().display().to_string();
        found.extend(wrong.map(|what| format!("{name}: {what}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_stage_that_came_out_otherwise_or_not_at_all_is_told_line_by_line() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    fs::write(folder.path().join("plan.txt"), "keep a\ncreate b\n").expect("the folder can be written");
    fs::write(folder.path().join("events.txt"), "done b\n").expect("the folder can be written");
    let stages = BTreeMap::from([("plan.txt", "keep a\nupdate b\n".to_owned()), ("tasks.txt", "chart\n".to_owned())]);
    let told = differences(folder.path(), &stages).concat();
    for line in ["\n keep a\n", "\n-create b\n", "\n+update b\n", "\n+chart\n", "\n-done b\n"] {
        assert!(told.contains(line), "{line:?} is missing in {told}");
    }
    bless(folder.path(), &stages);
    assert_eq!(differences(folder.path(), &stages), Vec::<String>::new());
}
