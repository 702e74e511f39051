//! Findings to a JUnit file, which every CI system shows: a case for each resource that has moved, and one for each task.

use std::fmt::Write as _;

use cfrt_engine::drift::{Drift, Finding};
use cfrt_engine::resource::ResourceId;

use crate::pipeline::TaskNote;
use crate::render::clean::clean;
use crate::render::drift::{by, what};
use crate::render::words::{name, plural};

/// A suite for each task.
pub(crate) fn drift(tasks: &[TaskNote], drift: &Drift) -> String {
    let suites: Vec<(usize, usize, String)> = tasks.iter().map(|task| suite(task, drift)).collect();
    let tests: usize = suites.iter().map(|(tests, _, _)| tests).sum();
    let failures: usize = suites.iter().map(|(_, failures, _)| failures).sum();
    let suites: String = suites.into_iter().map(|(_, _, text)| text).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"cfrt drift\" tests=\"{tests}\" failures=\"{failures}\">\n{suites}</testsuites>\n"
    )
}

/// That nothing could be found out.
pub(crate) fn failed(why: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"cfrt drift\" tests=\"1\" failures=\"0\" errors=\"1\">\n  \
         <testsuite name=\"cfrt drift\" tests=\"1\" failures=\"0\" errors=\"1\">\n    \
         <testcase classname=\"cfrt.drift\" name=\"looking for drift\"><error message=\"{0}\">{0}</error></testcase>\n  \
         </testsuite>\n</testsuites>\n",
        escaped(why)
    )
}

/// A task's suite, with how many tests and failures it has.
fn suite(task: &TaskNote, drift: &Drift) -> (usize, usize, String) {
    let task = task.id.to_string();
    let of_task = |finding: &&Finding| finding.task.to_string() == task;
    let findings: Vec<&Finding> = drift.findings.iter().filter(of_task).collect();
    let ignored: Vec<_> = drift.ignored.iter().filter(|ignored| of_task(&&ignored.finding)).collect();
    let mut cases = String::new();
    let (mut tests, mut failures) = (1, 0);
    for resource in distinct(&findings) {
        let lines = findings.iter().filter(|finding| finding.resource == *resource).map(|finding| line(finding));
        let lines: Vec<String> = lines.collect();
        failing(&mut cases, &task, &name(resource), &plural(lines.len(), "finding"), &lines);
        (tests, failures) = (tests + 1, failures + 1);
    }
    for ignored in &ignored {
        let why = format!("ignored until {}: {}", ignored.until, ignored.reason);
        let what = format!("{} {}", name(&ignored.finding.resource), what(&ignored.finding));
        let (task, what, why) = (escaped(&task), escaped(&what), escaped(&why));
        let case = format!("classname=\"cfrt.drift.{task}\" name=\"{what}\"");
        writeln!(cases, "    <testcase {case}><skipped message=\"{why}\"/></testcase>").unwrap_or_default();
        tests += 1;
    }
    let summary = format!("{task} has not moved");
    if findings.is_empty() {
        let (task, summary) = (escaped(&task), escaped(&summary));
        writeln!(cases, "    <testcase classname=\"cfrt.drift.{task}\" name=\"{summary}\"/>").unwrap_or_default();
    } else {
        failing(&mut cases, &task, &summary, &format!("{} moved", plural(failures, "object")), &[]);
        failures += 1;
    }
    let (name, skipped) = (escaped(&task), ignored.len());
    let head = format!("name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"");
    (tests, failures, format!("  <testsuite {head}>\n{cases}  </testsuite>\n"))
}

fn distinct<'a>(findings: &[&'a Finding]) -> Vec<&'a ResourceId> {
    let mut resources: Vec<&ResourceId> = Vec::new();
    for finding in findings {
        if resources.last() != Some(&&finding.resource) {
            resources.push(&finding.resource);
        }
    }
    resources
}

fn line(finding: &Finding) -> String {
    format!("{}   {}   id {}", what(finding), by(finding), finding.fingerprint)
}

fn failing(cases: &mut String, task: &str, name: &str, message: &str, lines: &[String]) {
    let (task, name, message) = (escaped(task), escaped(name), escaped(message));
    let text = escaped(&lines.join("\n"));
    writeln!(
        cases,
        "    <testcase classname=\"cfrt.drift.{task}\" name=\"{name}\"><failure message=\"{message}\">{text}</failure></testcase>"
    )
    .unwrap_or_default();
}

/// A foreign text as XML has it; what XML can't hold at all is made visible first.
fn escaped(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| clean(line).into_owned()).collect();
    let mut escaped = String::with_capacity(text.len());
    for character in lines.join("\n").chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{about, drifted, same_as_file};

    #[test]
    fn each_resource_that_moved_is_a_case_that_fails_and_each_task_has_one_of_its_own() {
        same_as_file("testdata/drift.xml", &drift(&about(&[("namespace", &[]), ("chart", &[])]).tasks, &drifted()));
    }

    #[test]
    fn nothing_foreign_is_taken_for_markup() {
        assert_eq!(escaped("<a b=\"c\">&'\u{1b}\n\u{ffff}"), "&lt;a b=&quot;c&quot;&gt;&amp;&apos;␛\n\u{fffd}");
        assert!(failed("a < b").contains("<error message=\"a &lt; b\">a &lt; b</error>"));
    }
}
