//! A field that moves to the lines that show how: short values one above the other, long ones as a line diff.

use std::time::Duration;

use cfrt_engine::change::{FieldChange, Origin};
use cfrt_engine::resource::Address;
use serde_json::Value;
use similar::{ChangeTag, DiffOp, TextDiff};

use crate::render::clean::{clean, is_hostile};
use crate::render::secret::shown;
use crate::render::words::{ADDED, DIM, REMOVED, paint, who};

/// The longest list or table that is shown on one line: indented, it fits into 80 columns.
const SHORT: usize = 66;
/// The longest text that is shown whole on one line; of a longer one, what is around the difference.
const LONG: usize = 160;
/// Where a line's right side begins.
const RIGHT: usize = 44;
/// How many lines a diff may take.
const MOST_LINES: usize = 20;
/// How long comparing two texts may take; after that the diff is right but no longer the shortest.
const PATIENCE: Duration = Duration::from_millis(200);

/// The path of a field, and below it what was there and what will be; who moved it in the cluster stands at its right.
pub(crate) fn lines(address: &Address, field: &FieldChange) -> Vec<String> {
    let path = clean(&field.path);
    let Some([before, after]) = shown(address, &field.path, [&field.before, &field.after]) else {
        let verb = match (&field.before, &field.after) {
            (None, _) => "set",
            (Some(_), None) => "removed",
            (Some(_), Some(_)) => "changed",
        };
        let line = format!("{path}   (secret, {verb})");
        return vec![with_origin(line, field.origin.as_ref())];
    };
    let values = values([before.as_ref(), after.as_ref()]);
    let mut lines: Vec<String> = values.into_iter().map(|line| format!("  {line}")).collect();
    let mut first = path.into_owned();
    // Beside two short values there is room; a longer difference has its own last line.
    match lines.last_mut().filter(|last| colourless_width(last) < RIGHT) {
        Some(last) if field.before.as_ref().is_none_or(fits) && field.after.as_ref().is_none_or(fits) => {
            *last = with_origin(std::mem::take(last), field.origin.as_ref());
        }
        Some(_) | None => first = with_origin(first, field.origin.as_ref()),
    }
    std::iter::once(first).chain(lines).collect()
}

/// A line with what is known of who moved it in the cluster, at its right where there is room.
fn with_origin(line: String, origin: Option<&Origin>) -> String {
    let Some((origin, moved)) = origin.and_then(|origin| Some((origin, origin.moved()?))) else { return line };
    let and_file = if matches!(origin, Origin::Both(_)) { "changed in the file, too; " } else { "" };
    let gap = " ".repeat(RIGHT.saturating_sub(colourless_width(&line)).max(3));
    let words = clean(&format!("{and_file}drift: {}", who(moved))).into_owned();
    format!("{line}{gap}{}", paint(DIM, words))
}

fn colourless_width(line: &str) -> usize {
    anstream::adapter::strip_str(line).to_string().chars().count()
}

fn values(values: [Option<&Value>; 2]) -> Vec<String> {
    let lines = values.map(|value| value.map(on_one_line));
    if values.iter().flatten().all(|value| fits(value)) {
        let [before, after] = &lines;
        let [removed, added] = around_the_difference([before, after].map(|line| line.as_deref().unwrap_or_default()));
        let removed = before.is_some().then(|| diff_line(ChangeTag::Delete, &removed));
        return removed.into_iter().chain(after.is_some().then(|| diff_line(ChangeTag::Insert, &added))).collect();
    }
    let [before, after] = as_texts(values);
    diff(&before, &after)
}

/// Whether a value is shown on one line, if need be cut.
fn fits(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\n'),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::Array(_) | Value::Object(_) => on_one_line(value).chars().count() <= SHORT,
    }
}

/// Both values as texts to compare line by line: strings as they are, anything else as indented JSON.
fn as_texts(values: [Option<&Value>; 2]) -> [String; 2] {
    let all_strings = values.iter().flatten().all(|value| value.is_string());
    values.map(|value| match value {
        None => String::new(),
        Some(Value::String(text)) if all_strings => text.clone(),
        Some(value) => format!("{value:#}"),
    })
}

/// Two lines, each cut to what is around their first difference.
fn around_the_difference(lines: [&str; 2]) -> [String; 2] {
    let [before, after] = lines.map(str::chars);
    let same = before.zip(after).take_while(|(before, after)| before == after).count();
    lines.map(|line| {
        if line.chars().count() <= LONG {
            return line.to_owned();
        }
        let from = same.saturating_sub(LONG / 4);
        let mut rest = line.chars().skip(from);
        let shown: String = rest.by_ref().take(LONG - 2).collect();
        let (start, end) = (if from > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
        format!("{start}{shown}{end}")
    })
}

fn diff(before: &str, after: &str) -> Vec<String> {
    // Else a last line would differ from itself as soon as another one follows it.
    let [old, new] = [before, after].map(with_end);
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&old, &new);
    let mut lines = Vec::new();
    for (number, group) in diff.grouped_ops(2).iter().enumerate() {
        if number > 0 {
            lines.push(paint(DIM, "  …"));
        }
        lines.extend(group.iter().flat_map(|op| diff_op(&diff, op)));
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

fn diff_op(diff: &TextDiff<'_, '_, str>, op: &DiffOp) -> Vec<String> {
    let changes: Vec<_> = diff.iter_changes(op).map(|change| (change.tag(), without_end(change.value()))).collect();
    let (before, after) = changes.split_at(op.old_range().len().min(changes.len()));
    // A line that replaces another is cut where the two differ, so that long lines never look the same.
    let counterpart = |index: usize| {
        let other = if index < before.len() { after.get(index) } else { before.get(index - before.len()) };
        other.map_or("", |(_, line)| *line)
    };
    let shown = changes.iter().enumerate().map(|(index, (tag, line))| {
        let [line, _] = around_the_difference([line, counterpart(index)]);
        diff_line(*tag, &line)
    });
    shown.collect()
}

fn with_end(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn without_end(line: &str) -> &str {
    line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
}

fn diff_line(tag: ChangeTag, line: &str) -> String {
    let line = clean(line);
    match tag {
        ChangeTag::Equal => paint(DIM, format_args!("  {line}")),
        ChangeTag::Delete => paint(REMOVED, format_args!("- {line}")),
        ChangeTag::Insert => paint(ADDED, format_args!("+ {line}")),
    }
}

/// A value as YAML would have it on one line.
pub(crate) fn on_one_line(value: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::samples::{colourless, core, moved};

    fn shown(before: Value, after: Value) -> Vec<String> {
        let lines = lines(&core("ConfigMap", "app"), &moved("data.text", before, after));
        assert_eq!(lines[0], "data.text");
        lines[1..].iter().map(|line| colourless(line)).collect()
    }

    #[test]
    fn short_values_stand_one_above_the_other() {
        assert_eq!(shown(json!(3), json!(1)), ["  - 3", "  + 1"]);
        assert_eq!(
            shown(json!("quay.io/app:1.0"), json!("quay.io/app:1.1")),
            ["  - quay.io/app:1.0", "  + quay.io/app:1.1"]
        );
        assert_eq!(shown(json!({"a": [1, "x y"], "b": null}), json!([])), ["  - {a: [1, \"x y\"], b: null}", "  + []"]);
    }

    #[test]
    fn a_string_that_could_be_something_else_has_quotes() {
        assert_eq!(shown(json!("8080"), json!(8080)), ["  - \"8080\"", "  + 8080"]);
        assert_eq!(shown(json!("true"), json!("")), ["  - \"true\"", "  + \"\""]);
        assert_eq!(shown(json!(" padded"), json!("[x]")), ["  - \" padded\"", "  + \"[x]\""]);
    }

    #[test]
    fn a_field_that_comes_or_goes_has_one_line() {
        let field = FieldChange::new("spec.paused", None, Some(json!(true)));
        assert_eq!(lines(&core("Pod", "app"), &field).map_colourless(), ["spec.paused", "  + true"]);
        let field = FieldChange { before: field.after, after: None, ..field };
        assert_eq!(lines(&core("Pod", "app"), &field).map_colourless(), ["spec.paused", "  - true"]);
    }

    trait Colourless {
        fn map_colourless(self) -> Vec<String>;
    }

    impl Colourless for Vec<String> {
        fn map_colourless(self) -> Vec<String> {
            self.iter().map(|line| colourless(line)).collect()
        }
    }

    #[test]
    fn texts_of_many_lines_are_compared_line_by_line() {
        let before = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";
        let after = before.replace("one", "eins").replace("ten\n", "zehn\n");
        let expected =
            ["  - one", "  + eins", "    two", "    three", "    …", "    eight", "    nine", "  - ten", "  + zehn"];
        assert_eq!(shown(json!(before), json!(after)), expected);
    }

    #[test]
    fn a_line_that_gets_a_successor_stays_as_it_is() {
        assert_eq!(shown(json!("one"), json!("one\ntwo\n")), ["    one", "  + two"]);
    }

    #[test]
    fn a_long_diff_is_cut_and_says_how_much_is_missing() {
        let text = |word: &str| (0..40).map(|line| format!("{word} {line}\n")).collect::<String>();
        let lines = shown(json!(text("a")), json!(text("b")));
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert_eq!(lines[MOST_LINES], "  … 60 more lines");
    }

    #[test]
    fn long_lines_are_cut_around_their_difference() {
        let (before, after) = (format!("{}x{}", "a".repeat(500), "c".repeat(500)), format!("{}y", "a".repeat(500)));
        let expected_before = format!("  - …{}x{}…", "a".repeat(40), "c".repeat(117));
        let expected_after = format!("  + …{}y", "a".repeat(40));
        assert_eq!(shown(json!(before), json!(after)), [expected_before.clone(), expected_after.clone()]);
        let inside_a_text = shown(json!(format!("{before}\nend\n")), json!(format!("{after}\nend\n")));
        assert_eq!(inside_a_text, [expected_before, expected_after, "    end".to_owned()]);
    }

    #[test]
    fn a_difference_that_no_one_can_see_is_said() {
        let lines = shown(json!("a\nb\n"), json!("a\nb"));
        assert_eq!(lines, ["    (only blanks at the end differ)"]);
    }

    #[test]
    fn large_tables_are_compared_as_indented_json() {
        let table = |name: &str| json!({"labels": {"app": name, "part-of": "x".repeat(70)}});
        let lines = shown(table("one"), table("two"));
        let (here, kept) =
            (lines.iter().filter(|line| line.starts_with("  - ") || line.starts_with("  + ")).count(), &lines[1]);
        assert_eq!((here, kept.as_str()), (2, "      \"labels\": {"));
    }

    #[test]
    fn secrets_are_only_said_to_have_changed() {
        let field = moved("data.token", json!("b2xk"), json!("sealed:9"));
        assert_eq!(lines(&core("Secret", "token"), &field), ["data.token   (secret, changed)"]);
    }
}
