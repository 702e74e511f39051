//! `[wait]`: how long a task may go without any progress before it counts as failed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::desired::DesiredState;
use crate::keys::Key;
use crate::source::{Mistake, Mistakes, Span, nearest};
use crate::task::Kind;

const TABLE: &str = "wait";

/// The key that is about all tasks.
const LIMIT: &str = "limit";

/// What holds where nothing is said.
const DEFAULT: Duration = Duration::from_secs(600);

/// Nobody means to wait longer than a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait without progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For every task of which nothing else is said.
    pub all: Duration,
    /// For the tasks of a kind, by its name.
    pub by_kind: BTreeMap<String, Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { all: DEFAULT, by_kind: BTreeMap::new() }
    }
}

/// A time as a file has it: `90s`, `10m`, `1h`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Time(Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let shape = || format!("`{text}` is no time; write `90s`, `10m` or `1h`");
        let unit =
            |unit: char| text.strip_suffix(unit).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let units = [('s', 1), ('m', 60), ('h', 3600)];
        let (number, seconds) =
            units.iter().find_map(|(name, seconds)| Some((unit(*name)?, seconds))).ok_or_else(shape)?;
        let number: u64 = number.parse().map_err(|_| shape())?;
        let time = Duration::from_secs(number.saturating_mul(*seconds));
        match time {
            Duration::ZERO => Err("nothing is there at once; wait a second at least".to_owned()),
            time if time > LONGEST => Err("it is longer than a day, `24h`".to_owned()),
            time => Ok(Self(time)),
        }
    }
}

/// Reads `[wait]`.
///
/// # Errors
///
/// What in it is no time.
pub(crate) fn limits(desired: &DesiredState<'_>) -> Result<Limits, Mistakes> {
    let table: BTreeMap<String, Time> = desired.table(TABLE)?.unwrap_or_default();
    let mut by_kind: BTreeMap<String, Duration> = table.into_iter().map(|(key, time)| (key, time.0)).collect();
    Ok(Limits { all: by_kind.remove(LIMIT).unwrap_or(DEFAULT), by_kind })
}

/// Looks for keys of `[wait]` that are neither about all tasks nor about those of one of these kinds.
///
/// # Errors
///
/// Each of them.
pub(crate) fn check_kinds(desired: &DesiredState<'_>, kinds: &[&dyn Kind]) -> Result<(), Mistakes> {
    let known: Vec<&str> = [LIMIT].into_iter().chain(kinds.iter().map(|kind| kind.name())).collect();
    let table = desired.value(&[TABLE]).and_then(|value| value.get_ref().as_table());
    let strangers = table.into_iter().flatten().filter(|(key, _)| !known.contains(&key.get_ref().as_ref()));
    let mistakes: Vec<Mistake> = strangers.map(|(key, _)| stranger(key.get_ref(), key.span(), &known)).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
}

fn stranger(name: &str, at: Span, known: &[&str]) -> Mistake {
    let label = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Mistake::new(at, format!("unknown key `{name}` in [{TABLE}], which names kinds of tasks")).label(label)
}

/// The keys of the table: one for all tasks, and one for each kind.
pub(crate) fn keys<'a>(kinds: &'a [&'a dyn Kind]) -> impl Iterator<Item = Key> + 'a {
    let key = |name, default, meaning, example| Key { table: TABLE, name, sort: "string", default, meaning, example };
    let all = key(LIMIT, "10m", "how long a task may wait without progress", "\"10m\"");
    let each = move |kind: &&dyn Kind| key(kind.name(), "wait.limit", "the same for the tasks of this kind", "\"30m\"");
    [all].into_iter().chain(kinds.iter().map(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<u64, String> {
        Time::try_from(text.to_owned()).map(|time| time.0.as_secs())
    }

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        let table = [("90s", 90), ("10m", 600), ("1h", 3600), ("24h", 86_400), ("007s", 7)];
        for (text, seconds) in table {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_one_that_is() {
        for text in ["", "s", "10", "10 m", "1h30m", "-5s", "+5s", "1.5h", "10M", "٣s", "99999999999999999999s"] {
            assert_eq!(time(text), Err(format!("`{text}` is no time; write `90s`, `10m` or `1h`")), "{text}");
        }
        assert!(time("0m").is_err_and(|why| why.starts_with("nothing is there at once")));
        assert!(time("25h").is_err_and(|why| why.starts_with("it is longer than a day")));
        assert!(time("9999999999999999999h").is_err_and(|why| why.starts_with("it is longer than a day")));
    }
}
