//! What parsers say, in the words of the file's author.

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};
use toml::value::Datetime;

use crate::source::{Mistake, Sources, Span, nearest};

/// What belongs above the first table of a file and is often written below it.
const ABOVE_TABLES: [&str; 2] = ["schema", "extends"];

/// Why a text is no TOML. Parsers go on behind an error, but what they find then mostly follows from it.
pub(crate) fn syntax(text: &str, error: &Error) -> Mistake {
    let at = error.span().unwrap_or(0..0);
    if let Some(mistake) = other_format(text, &at) {
        return mistake;
    }
    let mut lines = error.message().lines();
    let what = lines.next().unwrap_or_default();
    let found = text.get(at.clone()).unwrap_or_default();
    match what {
        "string values must be quoted" if found.is_empty() => {
            Mistake::new(at, "a key without a value").label("write one, or take the key away")
        }
        "string values must be quoted" if found.starts_with(['“', '”', '„', '‘', '’']) => {
            Mistake::new(at, "these are no quotes that TOML knows").label("write `\"` or `'`")
        }
        "string values must be quoted" => {
            Mistake::new(at, "a string without quotes").label(format!("write `\"{found}\"`"))
        }
        "invalid float" if matches!(found, "null" | "nil" | "none") => Mistake::new(at, "TOML has no null")
            .label("leave the key out; a null that takes a chart's value away belongs into a values file"),
        "missing escaped value" => Mistake::new(at.start.saturating_sub(1)..at.end, "this is no escape in a string")
            .label("write `\\\\` for a backslash, or the string in single quotes"),
        "invalid basic string" | "invalid literal string" => Mistake::new(at, "a string without its closing quote"),
        "duplicate key" => twice(text, at),
        _ if what.starts_with("cannot extend value of type") => {
            Mistake::new(at, format!("`{found}` has a value already, and can have no keys below it"))
        }
        _ => within_list(text, &at, what, Mistake::new(at.clone(), with_expected(what, lines.next()))),
    }
}

fn with_expected(what: &str, expected: Option<&str>) -> String {
    match expected.filter(|expected| *expected != "expected nothing") {
        Some(expected) => format!("{what}, {expected}"),
        None => what.to_owned(),
    }
}

/// JSON and YAML are what people take a configuration file for.
fn other_format(text: &str, at: &Span) -> Option<Mistake> {
    const LIKE_THIS: &str = "TOML writes `name = \"value\"`";
    let begins = text.len() - text.trim_start().len();
    if text[begins..].starts_with('{') {
        return Some(Mistake::new(begins..begins + 1, "this is JSON, not TOML").label(LIKE_THIS));
    }
    let begins = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let line = text[begins..].lines().next().unwrap_or_default();
    let (key, rest) = line.split_once(':')?;
    let is_key = |c: char| c.is_ascii_alphanumeric() || "-_. \"'".contains(c);
    let is_yaml = !key.trim().is_empty() && key.chars().all(is_key) && (rest.is_empty() || rest.starts_with(' '));
    let colon = begins + key.len();
    is_yaml.then(|| Mistake::new(colon..colon + 1, "this is YAML, not TOML").label(LIKE_THIS))
}

fn twice(text: &str, at: Span) -> Mistake {
    let name = text.get(at.clone()).unwrap_or_default();
    let mistake = Mistake::new(at.clone(), format!("`{name}` is given twice"));
    match earlier(text, &at, name) {
        Some(first) => mistake.beside(first, "first here").label("and again here"),
        None => mistake,
    }
}

/// The same heading, or the same key below the same heading, further up.
fn earlier(text: &str, at: &Span, name: &str) -> Option<Span> {
    let begins = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let is_heading = text[begins..at.start].trim_start().starts_with('[');
    let mut end = begins;
    for line in text[..begins].split_inclusive('\n').rev() {
        end -= line.len();
        let written = line.trim_start().trim_start_matches('[').trim_start();
        let start = end + line.len() - written.len();
        let follows = written.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['=', '.', ']']));
        let in_heading = line.trim_start().starts_with('[');
        if follows && in_heading == is_heading {
            return Some(start..start + name.len());
        }
        if in_heading && !is_heading {
            return None;
        }
    }
    None
}

/// A list that isn't closed swallows what follows; the error is there, the mistake is where it opens.
fn within_list(text: &str, at: &Span, what: &str, mistake: Mistake) -> Mistake {
    if !what.contains("array") || what.contains("table") {
        return mistake;
    }
    let opened = text[..at.start].rmatch_indices('[').map(|(open, _)| open);
    let opened = opened.into_iter().find(|open| text[..*open].trim_end_matches([' ', '\t']).ends_with('='));
    match opened {
        Some(open) => mistake.beside(open..open + 1, "in the list that opens here"),
        None => mistake,
    }
}

/// A table that doesn't have its owner's shape.
pub(crate) fn shape(sources: &Sources, root: &DeTable<'_>, name: &str, header: &Span, error: &Error) -> Mistake {
    let message = error.message().lines().next().unwrap_or_default();
    let at = error.span().filter(|span| !span.is_empty()).unwrap_or_else(|| header.clone());
    let mut path = Vec::new();
    let value = find(root, &at, &mut path);
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, Some((unknown, known))) = (message.starts_with("unknown field"), names.split_first()) {
        path.pop();
        let what = format!("unknown key `{unknown}` in [{}]", dotted(&path, name));
        return Mistake::new(at, what).label(meant(unknown, known));
    }
    if let (true, Some(missing)) = (message.starts_with("missing field"), names.first()) {
        let what = format!("[{}] lacks the key `{missing}`", dotted(&path, name));
        return Mistake::new(at, what).label(format!("add `{missing} = …`"));
    }
    let key = path.pop().filter(|_| !path.is_empty());
    let subject = key.map_or_else(|| format!("[{name}]"), |key| format!("`{key}` in [{}]", dotted(&path, name)));
    match (value, message.split_once(", expected ")) {
        (Some(value), Some((found, expected))) if found.starts_with("invalid type") => {
            let what = format!("{subject} is {}, but must be {}", sort(value), wanted(expected));
            let label = rewritten(sources, &at, value, expected);
            Mistake::new(at, what).label(label)
        }
        _ => Mistake::new(at, format!("{subject}: {message}")),
    }
}

fn dotted(path: &[&str], name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { path.join(".") }
}

fn meant(unknown: &str, known: &[&str]) -> String {
    match nearest(unknown, known.iter().copied()) {
        _ if ABOVE_TABLES.contains(&unknown) => "it belongs above the first table of the file".to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there are no keys here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The value at a place, or the one whose key is there; the keys that lead to it are left in `path`.
fn find<'t>(table: &'t DeTable<'_>, at: &Span, path: &mut Vec<&'t str>) -> Option<&'t DeValue<'t>> {
    for (key, value) in table {
        path.push(key.get_ref());
        if key.span() == *at {
            return Some(value.get_ref());
        }
        if let Some(found) = find_in(value, at, path) {
            return Some(found);
        }
        path.pop();
    }
    None
}

fn find_in<'t>(value: &'t Spanned<DeValue<'_>>, at: &Span, path: &mut Vec<&'t str>) -> Option<&'t DeValue<'t>> {
    if value.span() == *at {
        return Some(value.get_ref());
    }
    match value.get_ref() {
        DeValue::Table(table) => find(table, at, path),
        DeValue::Array(items) => items.iter().find_map(|item| find_in(item, at, path)),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            None
        }
    }
}

/// What sort of value it is, as TOML calls it.
pub(crate) fn sort(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// What serde expects, as TOML calls it.
fn wanted(expected: &str) -> &str {
    match expected {
        "a sequence" => "an array",
        "a map" => "a table",
        "a TOML datetime" => "a date",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}

/// The value as it should have been written, where that is plain.
fn rewritten(sources: &Sources, at: &Span, value: &DeValue<'_>, expected: &str) -> String {
    let written = sources.locate(at).and_then(|(source, range)| source.text.get(range)).unwrap_or_default();
    match (value, expected) {
        (DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_), "a string") => {
            format!("write `\"{written}\"`")
        }
        (DeValue::String(_), "a sequence") => format!("write `[{written}]`"),
        (DeValue::String(text), "a TOML datetime") if text.parse::<Datetime>().is_ok() => format!("write `{text}`"),
        _ => String::new(),
    }
}
