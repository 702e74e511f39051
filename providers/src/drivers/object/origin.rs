//! Which side of a difference has moved: what was applied last beside what is wanted, and who owns what is there.

use cfrt_engine::change::{Action, Change, FieldChange, Moved, Origin};
use cfrt_engine::driver::Observation;
use cfrt_engine::resource::{Resource, Want};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{HELM, OWN};
use crate::kube::fields::{Writer, has_written, writers};
use crate::kube::path::lies_in;

/// The key of a resource's settings that holds what was applied last.
const LAST: &str = "last";

/// What was applied last of an object, beside what is wanted of it now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastApplied {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Nothing: it is new.
    Nothing,
    /// It was there; what it said isn't known.
    Something,
    /// It was begun and did not come to its end, so that it may never have got there.
    Begun,
    /// The very thing that is wanted now.
    Same,
    /// Something else.
    Other(Other),
}

/// In which fields what was applied last differs; an empty path is the whole object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Other {
    /// From what is wanted now.
    pub changed: Vec<String>,
    /// From what someone else has released since.
    pub overtaken: Vec<String>,
    /// Who that was.
    pub by: Moved,
}

/// A resource's settings with what was applied last of its object.
pub fn with_last(mut settings: Value, last: &LastApplied) -> Value {
    settings[LAST] = json!(last);
    settings
}

/// A resource's settings but for what was applied last, which decides nothing that is done.
pub(crate) fn without_last(settings: &Value) -> Value {
    let mut settings = settings.clone();
    if let Value::Object(settings) = &mut settings {
        settings.remove(LAST);
    }
    settings
}

/// Finds out what was applied last of an object: the one place that knows.
fn last_applied(resource: &Resource) -> LastApplied {
    resource.settings.get(LAST).and_then(|last| LastApplied::deserialize(last).ok()).unwrap_or_default()
}

/// Whether an object is known to have been applied before.
pub(super) fn was_applied(resource: &Resource) -> bool {
    match last_applied(resource) {
        LastApplied::Something | LastApplied::Same | LastApplied::Other(_) => true,
        LastApplied::Unknown | LastApplied::Nothing | LastApplied::Begun => false,
    }
}

/// The same change, and of all of it which side has moved.
pub(super) fn with_origin(resource: &Resource, seen: &Observation, change: Change) -> Change {
    if change.action == Action::Keep {
        return change;
    }
    let last = last_applied(resource);
    let live = match seen {
        Observation::Present { live, .. } => Some(&**live),
        Observation::Absent | Observation::Unmoved | Observation::Hidden { .. } => None,
    };
    let fields = change.fields.into_iter().map(|field| {
        let origin = live.and_then(|live| of_field(&last, live, &field));
        field.origin(origin)
    });
    let fields: Vec<FieldChange> = fields.collect();
    let is_going = live.is_some_and(|live| live.pointer("/metadata/deletionTimestamp").is_some());
    let origin = match fields.is_empty() {
        // No file takes away what it wants.
        true if is_going && resource.want.is_something() => Some(Origin::World(Moved::default())),
        true => of_whole(&resource.want, &last, change.action),
        false => None,
    };
    Change { fields, origin, ..change }
}

/// Which side has moved of an object as a whole.
fn of_whole(want: &Want, last: &LastApplied, action: Action) -> Option<Origin> {
    let nobody_known = || Some(Origin::World(Moved::default()));
    match (last, action) {
        (_, Action::Migrate) | (LastApplied::Nothing, _) => Some(Origin::File),
        // Who deletes an object leaves no trace in it.
        (LastApplied::Something | LastApplied::Same, Action::Create) => nobody_known(),
        (LastApplied::Unknown | LastApplied::Something | LastApplied::Begun, _) => None,
        (LastApplied::Same, Action::Refuse) if *want != Want::Absent => nobody_known(),
        (LastApplied::Same, _) => Some(Origin::File),
        (LastApplied::Other(other), _) => match (is_in(&other.overtaken, ""), action) {
            (true, _) => Some(Origin::World(other.by.clone())),
            (false, Action::Create) => nobody_known(),
            (false, _) => None,
        },
    }
}

/// Which side has moved of a field of an object that is there.
fn of_field(last: &LastApplied, live: &Value, field: &FieldChange) -> Option<Origin> {
    let owners = writers(live, &field.path);
    let other = owners.iter().find(|owner| !is_ours(owner));
    let ours = owners.iter().find(|owner| is_ours(owner));
    let [changed, overtaken] = match last {
        LastApplied::Other(other) => [&other.changed, &other.overtaken].map(|paths| is_in(paths, &field.path)),
        LastApplied::Unknown
        | LastApplied::Nothing
        | LastApplied::Something
        | LastApplied::Begun
        | LastApplied::Same => [false, false],
    };
    match (last, other, ours) {
        (LastApplied::Nothing, _, _) => Some(Origin::File),
        (LastApplied::Unknown, _, _) if !is_known_to_us(live) => Some(Origin::File),
        (LastApplied::Other(last), _, _) if overtaken => {
            let by = owners.first().map_or_else(|| last.by.clone(), moved);
            Some(if changed { Origin::Both(by) } else { Origin::World(by) })
        }
        // What we own as a whole says what we applied last.
        (_, Some(_), Some(_)) if changed && is_leaf(field) => Some(Origin::File),
        (_, Some(other), _) if changed => Some(Origin::Both(moved(other))),
        (_, Some(other), _) => Some(Origin::World(moved(other))),
        (LastApplied::Same, None, Some(ours)) if ours.applied => Some(Origin::World(moved(ours))),
        (LastApplied::Other(_), None, Some(ours)) if ours.applied && !changed => Some(Origin::World(moved(ours))),
        (_, None, Some(_)) => Some(Origin::File),
        (LastApplied::Unknown | LastApplied::Something, None, None) if field.before.is_none() => Some(Origin::File),
        (LastApplied::Unknown | LastApplied::Something | LastApplied::Begun, None, None) => None,
        (LastApplied::Same | LastApplied::Other(_), None, None) if changed => Some(Origin::File),
        // Who takes a field away leaves no trace of himself either.
        (LastApplied::Same | LastApplied::Other(_), None, None) => Some(Origin::World(Moved::default())),
    }
}

/// Whether we have ever written an object; one that others made is only about to be taken.
fn is_known_to_us(live: &Value) -> bool {
    [HELM, OWN].iter().any(|manager| has_written(live, manager))
}

fn is_ours(writer: &&Writer<'_>) -> bool {
    [HELM, OWN].contains(&writer.manager) && writer.subresource.is_none()
}

fn moved(writer: &Writer<'_>) -> Moved {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Moved { by: text(Some(writer.manager)), via: text(writer.subresource), at: text(writer.time), was: None }
}

fn is_leaf(field: &FieldChange) -> bool {
    !matches!(field.before, Some(Value::Object(_) | Value::Array(_)))
}

/// Whether a field is one of these, lies below one of them, or around one.
fn is_in(paths: &[String], field: &str) -> bool {
    paths.iter().any(|path| path.is_empty() || lies_in(field, path) || !field.is_empty() && lies_in(path, field))
}

#[cfg(test)]
mod tests;
