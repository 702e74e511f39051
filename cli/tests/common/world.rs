//! What is in the cluster, compared before and after.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Metadata that moves without anyone's wish.
const BOOKKEEPING: [&str; 5] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// What controllers write into objects of others.
const CONTROLLERS: &str = "deployment.kubernetes.io/revision";

/// The places in which two states of one object differ, written as a plan writes them; status and bookkeeping left out.
pub(crate) fn moved(before: &Value, after: &Value) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    walk("", &shown(before), &shown(after), &mut places);
    places
}

/// An object without what the server and its controllers keep for themselves.
pub(crate) fn shown(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(top) = object.as_object_mut() {
        let _status = top.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !BOOKKEEPING.contains(&key.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            let _revision = annotations.remove(CONTROLLERS);
        }
    }
    object
}

fn walk(path: &str, before: &Value, after: &Value, places: &mut BTreeSet<String>) {
    match (before, after) {
        (Value::Object(was), Value::Object(is)) => maps(path, was, is, places),
        (Value::Array(was), Value::Array(is)) => lists(path, was, is, places),
        (_, _) if before == after => {}
        (_, _) => drop(places.insert(path.to_owned())),
    }
}

fn maps(path: &str, was: &Map<String, Value>, is: &Map<String, Value>, places: &mut BTreeSet<String>) {
    for key in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let place = below(path, key);
        walk(&place, was.get(key).unwrap_or(&Value::Null), is.get(key).unwrap_or(&Value::Null), places);
    }
}

/// A key below a place, as a plan writes it.
pub(crate) fn below(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match (plain, path.is_empty()) {
        (false, _) => format!("{path}[{}]", Value::from(key)),
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
    }
}

fn lists(path: &str, was: &[Value], is: &[Value], places: &mut BTreeSet<String>) {
    let named = |items: &[Value]| items.iter().map(|item| item["name"].as_str().map(str::to_owned)).collect();
    let (names, now): (Option<Vec<String>>, Option<Vec<String>>) = (named(was), named(is));
    match (names, now) {
        (Some(names), Some(now)) => {
            let find = |items: &[Value], name: &str| items.iter().find(|item| item["name"] == name).cloned();
            for name in names.iter().chain(&now).collect::<BTreeSet<_>>() {
                let place = format!("{path}[{name}]");
                let (was, is) = (find(was, name).unwrap_or_default(), find(is, name).unwrap_or_default());
                walk(&place, &was, &is, places);
            }
        }
        (_, _) if was.len() == is.len() => {
            for (index, (was, is)) in was.iter().zip(is).enumerate() {
                walk(&format!("{path}[{index}]"), was, is, places);
            }
        }
        (_, _) => drop(places.insert(path.to_owned())),
    }
}
