//! `[drift]`: what may move in the world without counting as drift, why, and until when.

use std::fmt;

use serde::Deserialize;
use toml::Spanned;
use toml::value::{Date, Datetime};

use crate::desired::DesiredState;
use crate::resource::{Part, ResourceId};
use crate::source::{Mistake, Mistakes, both, gather};

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// One thing that may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of which resource, as it is printed, with or without group and version.
    pub resource: String,
    /// Which field, with all below it; the whole where nothing is said.
    pub field: Option<String>,
    /// Why.
    pub reason: String,
    /// The last day on which it may.
    pub until: Day,
}

impl Rule {
    /// Whether it still holds on a day.
    pub fn holds(&self, today: Day) -> bool {
        today <= self.until
    }

    /// Whether it is about a resource.
    pub fn is_about(&self, id: &ResourceId) -> bool {
        is_about(&self.resource, id)
    }

    /// Whether it is about a field of a resource, or about all of it.
    pub fn matches(&self, id: &ResourceId, path: &str) -> bool {
        self.is_about(id) && self.field.as_ref().is_none_or(|field| lies_in(path, field))
    }
}

/// Whether a resource is meant by a name as it is printed, with or without group, version and part.
pub(crate) fn is_about(name: &str, id: &ResourceId) -> bool {
    let address = &id.address;
    let part = match &id.part {
        Part::Whole => None,
        Part::Adoption => Some("adoption"),
        Part::Fields(name) => Some(*name),
    };
    let [full, short] = [address.to_string(), address.short().to_string()];
    let is_named = |name: &str| name == full || name == short;
    is_named(name) || part.and_then(|part| name.strip_suffix(&format!(" ({part})"))).is_some_and(is_named)
}

fn lies_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
}

/// The table `[drift]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    ignore: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    resource: Spanned<String>,
    field: Option<Spanned<String>>,
    reason: Spanned<String>,
    until: Spanned<Datetime>,
}

/// Reads `[drift]`.
///
/// # Errors
///
/// Everything in it that is no rule.
pub(crate) fn rules(desired: &DesiredState<'_>) -> Result<Vec<Rule>, Mistakes> {
    let table: Table = desired.table("drift")?.unwrap_or_default();
    gather(table.ignore.into_iter().map(rule))
}

fn rule(entry: Entry) -> Result<Rule, Mistakes> {
    let mistakes: Vec<Mistake> =
        [not_a_resource(&entry.resource), not_a_field(&entry), without_a_reason(&entry.reason)]
            .into_iter()
            .flatten()
            .collect();
    let sound = if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) };
    let ((), until) = both(sound, day(&entry.until))?;
    Ok(Rule {
        resource: entry.resource.into_inner(),
        field: entry.field.map(Spanned::into_inner),
        reason: entry.reason.into_inner(),
        until,
    })
}

pub(crate) fn not_a_resource(resource: &Spanned<String>) -> Option<Mistake> {
    let is_one =
        resource.get_ref().split_once(' ').is_some_and(|(kind, name)| !kind.is_empty() && !name.trim().is_empty());
    let mistake = || Mistake::new(resource.span(), "this is no resource as it is printed");
    (!is_one).then(|| mistake().label("its kind and its name, as in `Deployment codefresh/app-proxy`"))
}

fn not_a_field(entry: &Entry) -> Option<Mistake> {
    let field = entry.field.as_ref().filter(|field| field.get_ref().trim().is_empty())?;
    Some(Mistake::new(field.span(), "the field is empty").label("leave it out to ignore the whole resource"))
}

fn without_a_reason(reason: &Spanned<String>) -> Option<Mistake> {
    let mistake = || Mistake::new(reason.span(), "the reason is empty").label("say why this may move: it is printed");
    reason.get_ref().trim().is_empty().then(mistake)
}

fn day(until: &Spanned<Datetime>) -> Result<Day, Mistakes> {
    match until.get_ref() {
        Datetime { date: Some(Date { year, month, day }), time: None, offset: None } => {
            Ok(Day { year: *year, month: *month, day: *day })
        }
        Datetime { .. } => Err(Mistake::new(until.span(), "a rule ends with a day").label("write `2026-12-31`").into()),
    }
}
