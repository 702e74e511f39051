//! The runs of a release, for people and for programs.

use std::collections::BTreeMap;

use cfrt_providers::drivers::release::history::ReleaseName;
use cfrt_providers::journal::Run;
use cfrt_providers::world::Target;
use schemars::JsonSchema;
use serde::Serialize;

use crate::render::clean::clean;
use crate::render::json::print;
use crate::render::words::Mark;

/// What is known of the runs of a release.
#[derive(Debug)]
pub(crate) struct History {
    /// The cluster.
    pub(crate) target: Target,
    /// The release.
    pub(crate) release: ReleaseName,
    /// Its runs, newest first.
    pub(crate) runs: Vec<Run>,
    /// The id of the run that holds the lease, if one does.
    pub(crate) at_work: Option<String>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Everything was applied.
    Done,
    /// Some of it failed.
    Failed,
    /// The user stopped it.
    Interrupted,
    /// It never said how it ended, and holds no lease any more.
    BrokenOff,
    /// It has not ended yet.
    AtWork,
}

impl State {
    fn of(run: &Run, at_work: Option<&String>) -> Self {
        match run.end.as_ref().map(|end| end.outcome.as_str()) {
            Some("done") => Self::Done,
            Some("interrupted") => Self::Interrupted,
            Some(_) => Self::Failed,
            None if at_work == Some(&run.run) => Self::AtWork,
            None => Self::BrokenOff,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::BrokenOff => "broken off",
            Self::AtWork => "at work",
        }
    }
}

/// A line for each run.
pub(crate) fn text(history: &History) -> String {
    let History { target, release, runs, at_work } = history;
    let head = format!("{}/{} on {}\n", release.namespace, release.name, clean(&target.context));
    if runs.is_empty() {
        return format!("{head}  Nothing was applied yet.\n");
    }
    let rows: Vec<[String; 5]> = runs.iter().map(|run| row(run, State::of(run, at_work.as_ref()))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let [began, by, what, counts, ended] = row;
        let [a, b, c, d] = widths;
        format!("  {began:a$}   {by:b$}   {what:c$}   {counts:d$}   {ended}\n")
    };
    head + &rows.iter().map(line).collect::<String>()
}

fn row(run: &Run, state: State) -> [String; 5] {
    let ended = match &run.end {
        Some(end) if state == State::Done => format!("{} in {}", state.word(), time(end.seconds)),
        Some(end) => format!("{} after {}, exit {}", state.word(), time(end.seconds), end.exit),
        None => state.word().to_owned(),
    };
    let what = format!("{} {}", run.command, run.file);
    [run.began.clone(), run.by.clone(), what, counts(&run.counts), ended].map(|text| clean(&text).into_owned())
}

/// `2 to create, 1 hook to run`, in the order in which a plan counts.
fn counts(counts: &BTreeMap<String, usize>) -> String {
    let words = [
        ("create", Mark::Create),
        ("run", Mark::Run),
        ("update", Mark::Update),
        ("replace", Mark::Replace),
        ("delete", Mark::Delete),
        ("migrate", Mark::Migrate),
    ];
    let counted = words.iter().filter_map(|(word, mark)| Some(mark.counted(*counts.get(*word)?)));
    counted.collect::<Vec<_>>().join(", ")
}

/// `28 s`, `12 min 5 s`.
fn time(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// What `cfrt history --output json` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "cfrt.history/1")]
pub(super) struct HistoryOutput {
    /// The format and its version; fields are added without a new version, never changed or taken away.
    format: HistoryFormat,
    /// The kubeconfig context.
    context: String,
    /// The UID of the cluster's kube-system namespace; empty where we may not see it.
    uid: String,
    /// The namespace of the release.
    namespace: String,
    /// The release.
    release: String,
    /// Its last runs, newest first; at most 50 are kept.
    runs: Vec<RunOutput>,
}

/// The format of a history.
#[derive(Serialize, JsonSchema)]
enum HistoryFormat {
    /// The first version.
    #[serde(rename = "cfrt.history/1")]
    V1,
}

/// A run.
#[derive(Serialize, JsonSchema)]
struct RunOutput {
    /// Its id.
    run: String,
    /// The command.
    command: String,
    /// Who ran it, as user@host.
    by: String,
    /// When it began, by the server's clock.
    began: String,
    /// The digest of its plan.
    plan: String,
    /// The file, without its folder.
    file: String,
    /// How many steps it meant to take, by action.
    counts: BTreeMap<String, usize>,
    /// How it stands.
    state: State,
    /// Its exit code; null where it never ended.
    exit: Option<u8>,
    /// How many seconds it took; null where it never ended.
    seconds: Option<u64>,
}

/// The same for programs.
pub(crate) fn json(history: &History) -> String {
    let History { target, release, runs, at_work } = history;
    let run = |run: &Run| RunOutput {
        run: run.run.clone(),
        command: run.command.clone(),
        by: run.by.clone(),
        began: run.began.clone(),
        plan: run.plan.clone(),
        file: run.file.clone(),
        counts: run.counts.clone(),
        state: State::of(run, at_work.as_ref()),
        exit: run.end.as_ref().map(|end| end.exit),
        seconds: run.end.as_ref().map(|end| end.seconds),
    };
    print(&HistoryOutput {
        format: HistoryFormat::V1,
        context: target.context.clone(),
        uid: target.uid.clone(),
        namespace: release.namespace.clone(),
        release: release.name.clone(),
        runs: runs.iter().map(run).collect(),
    })
}

#[cfg(test)]
mod tests {
    use cfrt_providers::journal::Ended;

    use super::*;
    use crate::render::samples::{about, same_as_file};

    fn run(id: &str, counts: &[(&str, usize)], end: Option<(&str, u8, u64)>) -> Run {
        Run {
            run: id.to_owned(),
            command: "apply".to_owned(),
            by: "alice@laptop\u{1b}".to_owned(),
            began: format!("2026-11-23T03:30:0{id}Z"),
            plan: "1f0c".to_owned(),
            file: "prod.toml".to_owned(),
            counts: counts.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect(),
            end: end.map(|(outcome, exit, seconds)| Ended { outcome: outcome.to_owned(), exit, seconds }),
        }
    }

    fn history() -> History {
        let target = about(&[]).target;
        let release = ReleaseName { namespace: "codefresh".to_owned(), name: "cf".to_owned() };
        let runs = vec![
            run("4", &[("update", 1)], None),
            run("3", &[("update", 1)], None),
            run("2", &[("update", 2)], Some(("failed", 10, 65))),
            run("1", &[("run", 1), ("create", 12)], Some(("done", 0, 12))),
        ];
        History { target, release, runs, at_work: Some("4".to_owned()) }
    }

    #[test]
    fn each_run_has_a_line_that_says_how_it_stands() {
        let text = text(&history());
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let line = |at: u8, counts: &str, ended: &str| {
            format!("  2026-11-23T03:30:0{at}Z   alice@laptop␛   apply prod.toml   {counts:27}   {ended}")
        };
        let expected = [
            line(4, "1 to update", "at work"),
            line(3, "1 to update", "broken off"),
            line(2, "2 to update", "failed after 1 min 5 s, exit 10"),
            line(1, "12 to create, 1 hook to run", "done in 12 s"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn programs_read_the_same() {
        same_as_file("testdata/history.json", &json(&history()));
    }

    #[test]
    fn a_release_without_runs_has_none() {
        let none = History { runs: Vec::new(), ..history() };
        assert!(text(&none).ends_with("  Nothing was applied yet.\n"));
    }
}
