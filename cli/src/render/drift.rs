//! Findings to the text that people read: the conclusion first, as a mail from cron shows it, then one line a finding.

use std::fmt::Write as _;

use cfrt_engine::drift::{Drift, Finding, Ignored, Note, Sort};
use cfrt_engine::ignore::Rule;
use serde_json::Value;

use crate::pipeline::About;
use crate::render::clean::clean;
use crate::render::fields::on_one_line;
use crate::render::secret::shown;
use crate::render::text::note;
use crate::render::words::{DIM, name, paint, plural, who};

/// The longest value that stands in a line of a finding.
const SHORT: usize = 60;

/// All findings, what is ignored, and what is to be said besides.
pub(crate) fn drift(about: &About, drift: &Drift) -> String {
    let mut lines = vec![conclusion(drift)];
    lines.extend(drift.findings.iter().flat_map(entry));
    lines.extend(drift.ignored.iter().map(ignored));
    lines.extend(drift.notes.iter().map(|rule| format!("note: {}", clean(&told(rule)))));
    lines.extend(about.tasks.iter().flat_map(|task| &task.remarks).flat_map(|remark| note(remark)));
    lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{}", line.trim_end()).unwrap_or_default();
        text
    })
}

/// What it comes to, in one line.
pub(crate) fn conclusion(drift: &Drift) -> String {
    let Drift { ignored, changes, refused, kept, .. } = drift;
    let mut line = String::from(if drift.findings.is_empty() { "no drift" } else { "drift" });
    let moved = drift.moved();
    let parts = [
        (moved, format!("{} moved", plural(moved, "object"))),
        (*kept, format!("{kept} as {} be", if *kept == 1 { "it should" } else { "they should" })),
        (ignored.len(), format!("{} ignored", plural(ignored.len(), "finding"))),
        (*changes, format!("{} from the file", plural(*changes, "change"))),
        (*refused, format!("{refused} of them refused")),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, part)| part).collect();
    if !parts.is_empty() {
        line.push_str(&format!(": {}", parts.join(", ")));
    }
    line
}

fn entry(finding: &Finding) -> Vec<String> {
    let Finding { resource, fingerprint, refused, .. } = finding;
    let (what, by) = (what(finding), by(finding));
    let mut lines =
        vec![format!("  {}   {what}   {by}   {}", name(resource), paint(DIM, format_args!("id {fingerprint}")))];
    if !refused.is_empty() {
        lines.push(format!("      an apply is refused: {}", clean(refused)));
    }
    lines
}

fn ignored(ignored: &Ignored) -> String {
    let Ignored { finding, reason, until } = ignored;
    let about = format!("  ignored until {until}: {}   {}", name(&finding.resource), what(finding));
    format!("{about}   {}   id {}", clean(reason), finding.fingerprint)
}

/// What has moved of a resource, in one line: `spec.replicas 1 → 3`.
pub(crate) fn what(finding: &Finding) -> String {
    let Finding { sort, path, .. } = finding;
    let path = clean(path);
    let word = sort.word();
    if path.is_empty() {
        let more = if *sort == Sort::Absent { ": deleted, or never applied" } else { "" };
        return format!("{word}{more}");
    }
    let Some(shown) = shown(&finding.resource.address, &finding.path, [&finding.was, &finding.is]) else {
        return format!("{path} {word} (secret)");
    };
    let [was, is] = shown.each_ref().map(|value| value.as_ref().and_then(short));
    match (sort, was, is) {
        (Sort::Changed | Sort::Moved, Some(was), Some(is)) => format!("{path} {was} → {is}"),
        (Sort::Changed | Sort::Moved, None, Some(is)) if finding.was.is_none() => format!("{path} {word} to {is}"),
        (Sort::Missing, Some(was), _) => format!("{path} missing, was {was}"),
        (Sort::Extra, _, Some(is)) => format!("{path} extra: {is}"),
        (Sort::Changed | Sort::Moved | Sort::Missing | Sort::Extra | Sort::Deleted | Sort::Absent, _, _) => {
            format!("{path} {word}")
        }
    }
}

fn short(value: &Value) -> Option<String> {
    let line = on_one_line(value);
    (line.chars().count() <= SHORT).then(|| clean(&line).into_owned())
}

/// Who moved it, and whether the file moved as well.
pub(crate) fn by(finding: &Finding) -> String {
    let by = if finding.moved.by.is_some() { "by " } else { "" };
    let too = if finding.also_changed { ", and the file has changed it, too" } else { "" };
    format!("{by}{}{too}", who(&finding.moved))
}

/// What there is to say of a rule.
pub(crate) fn told(note: &Note) -> String {
    match note {
        Note::Expired(rule) => {
            format!("the rule for {} ended on {} and ignores nothing any more", subject(rule), rule.until)
        }
        Note::Idle(rule) => format!("the rule for {} had nothing to ignore", subject(rule)),
        Note::Stranger(rule) => {
            format!("the rule for {} ignores nothing: the file has no such resource", subject(rule))
        }
    }
}

fn subject(rule: &Rule) -> String {
    let Rule { resource, field, .. } = rule;
    field.as_ref().map_or_else(|| resource.clone(), |field| format!("{resource} {field}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::clean::is_hostile;
    use crate::render::samples::{about, colourless, drifted, same_as_file};

    #[test]
    fn the_conclusion_stands_first_and_each_finding_has_a_line() {
        let text =
            colourless(&drift(&about(&[("namespace", &[]), ("chart", &["a remark\nof two lines"])]), &drifted()));
        same_as_file("testdata/drift.txt", &text);
        assert!(!text.contains(|character: char| character != '\n' && is_hostile(character)), "{text:?}");
        assert!(!text.contains("sealed:") && !text.contains("b2xk"), "{text}");
    }

    #[test]
    fn a_value_stands_in_a_line_only_where_it_is_short() {
        assert_eq!(short(&json!(3)).as_deref(), Some("3"));
        assert_eq!(short(&json!("x".repeat(61))), None);
        assert_eq!(short(&json!("a\nb")).as_deref(), Some(r#""a\nb""#));
    }
}
