//! The bodies of our writes, leaf by leaf, against what the plan says of their object.
//!
//! - What is created, made again, or run as a hook: against what `helm template` makes of the chart, and the label and
//!   annotations by which an object belongs to a release. What is no chart's (the namespace) is its name and no more.
//! - What is updated, or whose ownership moves: against what was there before the run, and what the plan says that comes after.
//!   An item of a list that has no name may stand at another place of it than before, and a quantity be written another way.
//! - A JSON patch: each operation against a field of the plan; it may test, and regroup who manages fields.
//! - A deletion: that it is of one uid, and of an object also of one revision; a hook's goes in whatever state it is.
//!
//! What names the object, and in which revision, is free; the bodies of Secrets are nowhere to be seen. Values that the plan
//! masks are held against nothing but that it says that they move. What a body leaves out, which an apply takes away, is not
//! seen in it: that only fields move which the plan names is looked at in the cluster, after the run.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::announced::{Announced, address, unversioned};
use super::lies_in;
use crate::common::audit::Event;
use crate::common::plan::{Field, Step};
use crate::common::world::below;

/// What says which object is meant.
const IDENTITY: [&str; 5] = ["apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.resourceVersion"];

/// Holds the body of a request against the step that announces it.
///
/// # Errors
///
/// What of it isn't announced.
pub(super) fn judge(announced: &Announced, step: &Step, event: &Event) -> Result<(), String> {
    let body = &event.0["requestObject"];
    match (event.verb(), body) {
        _ if event.resource() == "secrets" => Ok(()),
        ("delete", body) if step.is_hook() => of_one_uid(body),
        ("delete", body) => of_one_uid(body).and_then(|()| of_one_revision(body)),
        (_, Value::Array(operations)) => {
            let known = Known::of(announced, &step.address);
            let more: Vec<&Value> = operations.iter().filter(|operation| !operates(&known, operation)).collect();
            if more.is_empty() { Ok(()) } else { Err(format!("not announced: {more:?}")) }
        }
        (_, Value::Object(_)) => document(announced, step, body),
        (_, other) => Err(format!("its body is {other}")),
    }
}

/// Fails a deletion that takes whatever it finds.
///
/// # Errors
///
/// It names no uid.
pub(super) fn of_one_uid(body: &Value) -> Result<(), String> {
    if is_said(body, "uid") { Ok(()) } else { Err(format!("it deletes whatever is there: {body}")) }
}

/// Fails a deletion that takes an object in whatever state it finds it.
///
/// # Errors
///
/// It names no resourceVersion.
fn of_one_revision(body: &Value) -> Result<(), String> {
    let is_said = is_said(body, "resourceVersion");
    if is_said { Ok(()) } else { Err(format!("it deletes whatever became of it: {body}")) }
}

fn is_said(deletion: &Value, precondition: &str) -> bool {
    deletion["preconditions"][precondition].as_str().is_some_and(|said| !said.is_empty())
}

fn document(announced: &Announced, step: &Step, body: &Value) -> Result<(), String> {
    let is_there = !step.is_hook() && matches!(step.action.as_str(), "update" | "migrate" | "keep");
    let identifies = |path: &str| IDENTITY.contains(&path) || (!is_there && path == "metadata.uid");
    let leaves = walk("", body).into_iter().filter(|(path, _)| !identifies(path));
    let more: Vec<String> = if is_there {
        let known = Known::of(announced, &step.address);
        leaves.filter(|(path, value)| !known.has(path, value)).map(|(path, value)| told(&path, &value)).collect()
    } else {
        let made = made(announced, step);
        leaves.map(|(path, value)| told(&path, &value)).filter(|leaf| !made.contains(leaf)).collect()
    };
    if more.is_empty() { Ok(()) } else { Err(format!("not announced: {more:#?}")) }
}

/// What is known of an object that is there, whatever part of it a step is about.
struct Known<'a> {
    before: BTreeSet<String>,
    after: BTreeSet<String>,
    fields: Vec<&'a Field>,
}

impl<'a> Known<'a> {
    /// Whether it is what was there, or comes, in other words: `1000m` and `1`.
    fn is_same_quantity(&self, place: &str, value: &Value) -> bool {
        let at = |leaf: &String| serde_json::from_str(leaf.strip_prefix(place)?.strip_prefix(": ")?).ok();
        let mut there = self.before.iter().chain(&self.after).filter_map(at).filter_map(|value| quantity(&value));
        let wanted = quantity(value);
        is_of_quantities(place) && wanted.is_some_and(|wanted| there.any(|there| (there - wanted).abs() < 1e-9))
    }

    fn of(announced: &'a Announced, address: &str) -> Self {
        let steps = announced.plan.writing().filter(|step| step.address == address);
        let fields: Vec<&Field> = steps.flat_map(|step| &step.fields).collect();
        let anywhere = |(path, value): (String, Value)| told(&anywhere(&path), &value);
        let before = announced.before.get(&unversioned(address)).map(|live| walk("", live)).unwrap_or_default();
        let after = fields.iter().flat_map(|field| field.after.iter().flat_map(|after| walk(&field.path, after)));
        Self { before: before.into_iter().map(anywhere).collect(), after: after.map(anywhere).collect(), fields }
    }

    fn has(&self, path: &str, value: &Value) -> bool {
        let place = anywhere(path);
        let leaf = told(&place, value);
        let is_at = |leaf: &String| leaf.strip_prefix(&place).is_some_and(|rest| rest.starts_with([':', '.', '[']));
        let moves = |field: &&&Field| lies_in(path, &field.path);
        let is_empty = value.is_null() || [json!(""), json!(false), json!(0)].contains(value);
        // Nothing, or what the server leaves out as such, where nothing is.
        let says_nothing = || is_empty && !self.before.iter().any(is_at);
        // The only one that there is.
        let is_default = place == "roleRef.apiGroup" && value == "";
        let goes = |field: &&Field| value.is_null() && field.after.is_none();
        self.before.contains(&leaf)
            || self.after.contains(&leaf)
            || says_nothing()
            || is_default
            || self.is_same_quantity(&place, value)
            || self.fields.iter().filter(moves).any(|field| field.secret || goes(field))
    }
}

/// Whether a place is one of quantities, which the server writes in its own way.
fn is_of_quantities(place: &str) -> bool {
    ["resources.", "sizeLimit", "storage"].iter().any(|word| place.contains(word))
}

/// A quantity as a number.
fn quantity(value: &Value) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("m", 0.001),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
    ];
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((&text, 1.0));
    Some(number.parse::<f64>().ok()? * factor)
}

/// A place without the numbers of items that have no name: one that comes or goes moves all that follow it.
fn anywhere(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |place, part| {
        let (inside, rest) = part.split_once(']').unwrap_or((part, ""));
        let is_number = !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { format!("{place}[]{rest}") } else { format!("{place}[{part}") }
    })
}

/// What an object may have in it that is made.
fn made(announced: &Announced, step: &Step) -> BTreeSet<String> {
    let (kind, place) = step.address.split_once(' ').unwrap_or_default();
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    // A chart may leave out the namespace, or say it of what has none.
    let is_it = |document: &&Value| {
        let found = address(document);
        found == step.address
            || found == format!("{kind} {name}")
            || found.strip_suffix(name) == Some(&format!("{kind} {namespace}/"))
    };
    let mut known: BTreeSet<String> =
        announced.rendered.iter().filter(is_it).flat_map(|document| leaves("", document)).collect();
    if !step.is_hook() && !known.is_empty() {
        known.insert(told("metadata.labels[\"app.kubernetes.io/managed-by\"]", &Value::from("Helm")));
        let annotations = [("name", &announced.release), ("namespace", &announced.namespace)];
        known.extend(annotations.map(|(what, text)| {
            told(&format!("metadata.annotations[\"meta.helm.sh/release-{what}\"]"), &Value::from(text.as_str()))
        }));
    }
    known
}

/// Whether an operation of a JSON patch is announced for an object.
fn operates(known: &Known<'_>, operation: &Value) -> bool {
    let path = operation["path"].as_str().unwrap_or_default();
    let place = place_of(path);
    match (operation["op"].as_str().unwrap_or_default(), path) {
        ("test", _) | ("replace", "/metadata/managedFields" | "/metadata/resourceVersion") => true,
        // A map must be there before anything can be put into it.
        ("add", "/metadata/labels" | "/metadata/annotations") => operation["value"] == Value::Object(Map::new()),
        ("add" | "replace", _) => known.has(&place, &operation["value"]),
        ("remove", _) => known.fields.iter().any(|field| field.path == place && field.after.is_none()),
        (_, _) => false,
    }
}

/// A JSON pointer as a plan writes it: `metadata.labels.team`.
fn place_of(pointer: &str) -> String {
    let keys = pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~"));
    keys.fold(String::new(), |path, key| below(&path, &key))
}

/// All leaves of a value, each with its place, in one text.
fn leaves(path: &str, value: &Value) -> BTreeSet<String> {
    walk(path, value).into_iter().map(|(path, value)| told(&path, &value)).collect()
}

fn told(path: &str, value: &Value) -> String {
    format!("{path}: {value}")
}

/// All leaves of a value: what has nothing below it.
pub(super) fn walk(path: &str, value: &Value) -> Vec<(String, Value)> {
    match value {
        Value::Object(map) => map.iter().flat_map(|(key, value)| walk(&below(path, key), value)).collect(),
        Value::Array(items) => {
            let item = |(index, item): (usize, &Value)| match item["name"].as_str() {
                Some(name) => walk(&format!("{path}[{name}]"), item),
                None => walk(&format!("{path}[{index}]"), item),
            };
            items.iter().enumerate().flat_map(item).collect()
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => vec![(path.to_owned(), value.clone())],
    }
}
