//! Findings to a text file of OpenMetrics, as a node exporter or a CI job picks it up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use cfrt_engine::drift::{Drift, Sort};
use cfrt_engine::facts::Runtime;

use crate::pipeline::About;

/// A family of gauges: its name, and what it tells.
type Family = (&'static str, &'static str);

const SUCCESS: Family = ("cfrt_drift_success", "Whether looking for drift came to its end");
const TIME: Family = ("cfrt_drift_time_seconds", "When drift was last looked for, in seconds since 1970");
const FINDINGS: Family =
    ("cfrt_drift_findings", "What has moved in the cluster, by sort; what a rule ignores is left out");
const MOVED: Family = ("cfrt_drift_moved_resources", "How many resources have moved in the cluster");
const IGNORED: Family = ("cfrt_drift_ignored_findings", "How many findings a rule of the file ignores");
const EXPIRED: Family = ("cfrt_drift_expired_rules", "How many rules of the file have expired");
const CHANGES: Family = ("cfrt_drift_changes", "How many resources differ because of the file");
const KEPT: Family = ("cfrt_drift_kept_resources", "How many resources are as they should be");

/// What was found of a file; `now` is the time in seconds since 1970.
pub(crate) fn found(file: &Path, about: &About, drift: &Drift, now: i64) -> String {
    let file = file.to_string_lossy();
    let Runtime { name, namespace, release } = &about.facts.runtime;
    let labels = BTreeMap::from([
        ("file", &*file),
        ("runtime", name.get_ref().as_str()),
        ("namespace", namespace.get_ref().as_str()),
        ("release", release.get_ref().as_str()),
        ("context", about.target.context.as_str()),
    ]);
    let mut text = head(&file, 1, now);
    let count = |sort| drift.findings.iter().filter(|finding| finding.sort == sort).count();
    let sorts = Sort::ALL.map(|sort| (with(&labels, "sort", sort.word()), count(sort)));
    family(&mut text, FINDINGS, &sorts);
    let expired = drift.notes.iter().filter(|note| note.is_expired()).count();
    let counts = [
        (MOVED, drift.moved()),
        (IGNORED, drift.ignored.len()),
        (EXPIRED, expired),
        (CHANGES, drift.changes),
        (KEPT, drift.kept),
    ];
    for (about, count) in counts {
        family(&mut text, about, &[(labels.clone(), count)]);
    }
    text + "# EOF\n"
}

/// That nothing could be found out of a file.
pub(crate) fn failed(file: &Path, now: i64) -> String {
    head(&file.to_string_lossy(), 0, now) + "# EOF\n"
}

/// What is known whatever came of it: a collector may read the files of many runs side by side.
fn head(file: &str, success: usize, now: i64) -> String {
    let (mut text, labels) = (String::new(), BTreeMap::from([("file", file)]));
    family(&mut text, SUCCESS, &[(labels.clone(), success)]);
    family(&mut text, TIME, &[(labels, now)]);
    text
}

fn with<'a>(labels: &BTreeMap<&'a str, &'a str>, name: &'a str, value: &'a str) -> BTreeMap<&'a str, &'a str> {
    labels.iter().map(|(name, value)| (*name, *value)).chain([(name, value)]).collect()
}

fn family(text: &mut String, (name, help): Family, samples: &[(BTreeMap<&str, &str>, impl std::fmt::Display)]) {
    write!(text, "# TYPE {name} gauge\n# HELP {name} {help}\n").unwrap_or_default();
    for (labels, value) in samples {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(text, "{name}{labels} {value}").unwrap_or_default();
    }
}

/// A foreign text as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use cfrt_engine::drift::drift;
    use cfrt_engine::ignore::Day;

    use super::*;
    use crate::render::samples::{about, drifted, same_as_file};

    #[test]
    fn what_was_found_is_counted_by_sort_and_ends_as_the_format_asks_for() {
        let mut about = about(&[("chart", &[])]);
        about.target.context = "a \"b\"\\c".to_owned();
        let found_text = found(Path::new("prod.toml"), &about, &drifted(), 1_800_000_000);
        same_as_file("testdata/drift.prom", &found_text);
    }

    #[test]
    fn a_failure_says_that_it_is_one_and_nothing_of_what_it_does_not_know() {
        let text = failed(Path::new("a.toml"), 5);
        assert!(text.contains("\ncfrt_drift_success{file=\"a.toml\"} 0\n"), "{text}");
        assert!(text.ends_with("\n# EOF\n") && !text.contains("findings"), "{text}");
    }

    #[test]
    fn nothing_moved_is_a_count_of_nothing_and_no_absence() {
        let plan = crate::render::samples::plan(Vec::new());
        let text = found(Path::new("a.toml"), &about(&[]), &drift(&plan, &[], Day { year: 2026, month: 1, day: 1 }), 5);
        assert_eq!(text.matches("cfrt_drift_findings{").count(), Sort::ALL.len(), "{text}");
    }
}
