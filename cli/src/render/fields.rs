//! A field that moves to the lines that show how: short values one above the other, long ones as a line diff.

use std::time::Duration;

use cfrt_engine::change::FieldChange;
use cfrt_engine::resource::Address;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::render::clean::{clean, is_hostile};
use crate::render::secret::is_secret;
use crate::render::words::{ADDED, DIM, REMOVED, paint};

/// The longest value that is shown on one line; indented, it just fits the reader's eye.
const ONE_LINE: usize = 120;
/// How many lines a diff may take.
const MOST_LINES: usize = 20;
/// How long comparing two texts may take; after that the diff is right but no longer the shortest.
const PATIENCE: Duration = Duration::from_millis(200);

/// The path of a field, and below it what was there and what will be.
pub(crate) fn lines(address: &Address, field: &FieldChange) -> Vec<String> {
    let path = clean(&field.path);
    if is_secret(address, field) {
        let verb = match (&field.before, &field.after) {
            (None, _) => "set",
            (Some(_), None) => "removed",
            (Some(_), Some(_)) => "changed",
        };
        return vec![format!("{path}   (secret, {verb})")];
    }
    let values = values(field.before.as_ref(), field.after.as_ref());
    std::iter::once(path.into_owned()).chain(values.into_iter().map(|line| format!("  {line}"))).collect()
}

fn values(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let short = [before, after].map(|value| value.map(on_one_line));
    if short.iter().flatten().all(|text| text.chars().count() <= ONE_LINE) && !has_lines(before) && !has_lines(after) {
        return removed_and_added(&short);
    }
    let [before, after] = both_as_text(before, after);
    match (&before, &after) {
        (Some(before), Some(after)) if !before.contains('\n') && !after.contains('\n') => {
            removed_and_added(&around_the_difference(before, after).map(Some))
        }
        _ => diff(&before.unwrap_or_default(), &after.unwrap_or_default()),
    }
}

fn removed_and_added([before, after]: &[Option<String>; 2]) -> Vec<String> {
    let removed = before.iter().map(|text| paint(REMOVED, format_args!("- {}", clean(text))));
    removed.chain(after.iter().map(|text| paint(ADDED, format_args!("+ {}", clean(text))))).collect()
}

fn has_lines(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| text.contains('\n'))
}

/// Both values as texts to compare line by line: strings as they are, anything else as indented JSON.
fn both_as_text(before: Option<&Value>, after: Option<&Value>) -> [Option<String>; 2] {
    let values = [before, after];
    let all_strings = values.iter().flatten().all(|value| value.is_string());
    values.map(|value| {
        value.map(|value| match value.as_str() {
            Some(text) if all_strings => text.to_owned(),
            _ => format!("{value:#}"),
        })
    })
}

/// Two long lines, each cut to what is around their first difference.
fn around_the_difference(before: &str, after: &str) -> [String; 2] {
    let same = before.chars().zip(after.chars()).take_while(|(before, after)| before == after).count();
    let from = same.saturating_sub(ONE_LINE / 3);
    [before, after].map(|text| {
        let mut rest = text.chars().skip(from);
        let shown: String = rest.by_ref().take(ONE_LINE - 2).collect();
        let (start, end) = (if from > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
        format!("{start}{shown}{end}")
    })
}

fn diff(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(before, after);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(2).iter().enumerate() {
        if number > 0 {
            lines.push(paint(DIM, "  …"));
        }
        let changes = group.iter().flat_map(|op| diff.iter_changes(op));
        lines.extend(changes.map(|change| diff_line(change.tag(), change.value())));
    }
    if before.trim_end() == after.trim_end() {
        lines.push(paint(DIM, "  (only blanks at the end differ)"));
    }
    let more = lines.len().saturating_sub(MOST_LINES);
    if more > 1 {
        lines.truncate(MOST_LINES);
        lines.push(paint(DIM, format_args!("… {more} more lines")));
    }
    lines
}

fn diff_line(tag: ChangeTag, line: &str) -> String {
    let [line, _] = around_the_difference(line.trim_end_matches(['\n', '\r']), "");
    let line = clean(&line);
    match tag {
        ChangeTag::Equal => paint(DIM, format_args!("  {line}")),
        ChangeTag::Delete => paint(REMOVED, format_args!("- {line}")),
        ChangeTag::Insert => paint(ADDED, format_args!("+ {line}")),
    }
}

/// A value as YAML would have it on one line.
fn on_one_line(value: &Value) -> String {
    match value {
        Value::String(text) if reads_as_itself(text) => text.clone(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", listed(items.iter().map(inside))),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", quoted(key), inside(value)));
            format!("{{{}}}", listed(entries))
        }
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn inside(value: &Value) -> String {
    value.as_str().map_or_else(|| on_one_line(value), quoted)
}

fn quoted(text: &str) -> String {
    if reads_as_itself(text) && !text.contains([',', ':', '[', ']', '{', '}', '#', ' ']) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// Whether a string without quotes can't be taken for anything else.
fn reads_as_itself(text: &str) -> bool {
    let opens = text.starts_with(['{', '[', '"', '\'', '(']);
    !text.is_empty()
        && text.trim() == text
        && !opens
        && !text.contains(is_hostile)
        && serde_json::from_str::<Value>(text).is_err()
}
