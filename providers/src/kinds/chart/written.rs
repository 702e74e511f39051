//! What `[chart]` may say: checked where it is written, before anything is asked of the world.

use std::path::Path;

use cfrt_engine::desired::DesiredState;
use cfrt_engine::source::{Mistake, Mistakes};
use toml::Spanned;
use toml::de::DeValue;

use crate::helm::chart::{ChartError, ChartSource};
use crate::helm::values::{FIRST_LARGE, below};
use crate::platform::in_the_file;

/// Where a chart of the runtime takes a token itself, which belongs into a Secret.
const PLAIN_TOKEN: [&str; 6] = ["chart", "set", "global", "codefresh", "userToken", "token"];

/// Makes sure that a source is one, as far as its text tells.
pub(super) fn source(source: &Spanned<String>, name: Option<&str>) -> Result<(), Mistakes> {
    let Err(ChartError::Source { problem, has_password, .. }) =
        ChartSource::parse(source.get_ref(), name, Path::new(""))
    else {
        return Ok(());
    };
    let mistake = Mistake::new(source.span(), "this is no source of a chart").label(problem);
    Err(if has_password { mistake.hiding([source.span()]) } else { mistake }.into())
}

/// Helm would take ranges, and then the same file would mean another chart tomorrow.
pub(super) fn exact(version: &Spanned<String>) -> Result<String, Mistakes> {
    let text = version.get_ref();
    let core = text.strip_prefix('v').unwrap_or(text).split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let whole = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    if numbers.len() == 3 && numbers.iter().all(whole) {
        return Ok(text.clone());
    }
    Err(Mistake::new(version.span(), "this is no exact version").label("three numbers, as in `0.14.0`").into())
}

/// Makes sure that what the file sets reaches the chart as it stands there: values know less than TOML.
pub(super) fn set(desired: &DesiredState<'_>) -> Result<(), Mistakes> {
    let mut mistakes = Vec::new();
    if let Some(token) = desired.value(&PLAIN_TOKEN).filter(|token| token.get_ref().as_str() != Some("")) {
        mistakes.push(in_the_file(token.span()).label("say in [platform] where it is: token = { env = \"…\" }"));
    }
    let mut waiting: Vec<_> = desired.value(&["chart", "set"]).map(|set| (String::new(), set)).into_iter().collect();
    while let Some((path, value)) = waiting.pop() {
        mistakes.extend(lost(&path, value));
        match value.get_ref() {
            DeValue::Table(table) => {
                waiting.extend(table.iter().map(|(key, value)| (below(&path, key.get_ref()), value)));
            }
            DeValue::Array(items) => {
                waiting.extend(items.iter().enumerate().map(|(at, item)| (format!("{path}[{at}]"), item)));
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
    mistakes.sort_by_key(|mistake| mistake.at.start);
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
}

/// What would not arrive as it was written.
fn lost(path: &str, value: &Spanned<DeValue<'_>>) -> Option<Mistake> {
    // What stands there may be a password: it isn't repeated.
    let refuse = |what: &str| {
        Some(Mistake::new(value.span(), format!("`{path}` is {what}")).label("write it as a string, in quotes"))
    };
    let number = |number: Option<f64>| match number {
        Some(number) if number.is_finite() && number.abs() < FIRST_LARGE => None,
        Some(number) if number.is_finite() => {
            refuse("a number of a million or more, which helm would turn into a float")
        }
        Some(_) | None => refuse("a number that values can't have"),
    };
    match value.get_ref() {
        DeValue::Datetime(_) => refuse("a date, which values don't have"),
        DeValue::Integer(integer) => {
            let parsed = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
            number(parsed.map(|integer| integer as f64))
        }
        DeValue::Float(float) => number(float.as_str().parse().ok()),
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
