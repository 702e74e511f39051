//! Changes to documents, one place at a time.

use serde_json::{Map, Value, json};

/// Gives every place of a document but those that say which object it is.
pub(crate) fn places(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), document)];
    while let Some((pointer, value)) = open.pop() {
        let step = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(map) => open.extend(map.iter().map(|(key, below)| (step(key), below))),
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(index, item)| (step(&index.to_string()), item)));
            }
            _ => {}
        }
        let identity = ["", "/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"];
        if !identity.contains(&pointer.as_str()) {
            found.push(pointer);
        }
    }
    found.sort();
    found
}

/// Changes a document at one place; `false` where this way changes nothing there.
pub(crate) fn alter(document: &mut Value, place: &str, how: &str) -> bool {
    let Some((above, key)) = place.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    let Some(old) = document.pointer(place).cloned() else { return false };
    let new = match how {
        "drop" => None,
        "null" => Some(Value::Null),
        "zero" => Some(zero(&old)),
        "add" => Some(with_more(&old)),
        _ => Some(changed(&old)),
    };
    let differs = new.as_ref() != Some(&old);
    match (document.pointer_mut(above), new) {
        (Some(Value::Object(map)), Some(new)) => drop(map.insert(key, new)),
        (Some(Value::Object(map)), None) => drop(map.remove(&key)),
        (Some(Value::Array(items)), Some(new)) => items[key.parse::<usize>().expect("an index")] = new,
        (Some(Value::Array(items)), None) => drop(items.remove(key.parse::<usize>().expect("an index"))),
        _ => return false,
    }
    differs
}

fn zero(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(false),
        Value::Number(_) => json!(0),
        Value::String(_) => json!(""),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}

fn changed(value: &Value) -> Value {
    match value {
        Value::Null => json!("x"),
        Value::Bool(truth) => json!(!truth),
        Value::Number(number) => json!(number.as_i64().unwrap_or(1) + 1),
        Value::String(text) => json!(text.parse::<i64>().map_or(format!("{text}x"), |number| (number + 1).to_string())),
        Value::Array(items) => items.iter().rev().cloned().collect(),
        Value::Object(_) => with_more(value),
    }
}

/// Adds to a map or list something like what it holds.
fn with_more(value: &Value) -> Value {
    let mut value = value.clone();
    match &mut value {
        Value::Object(map) => {
            // A key that no schema knows is not missed where its value is empty: nothing of it would be stored.
            let like = map.values().find(|value| **value != zero(value)).cloned().unwrap_or(json!("x"));
            map.insert("added".to_owned(), like);
        }
        Value::Array(items) => items.extend(items.first().map(another)),
        _ => {}
    }
    value
}

fn another(item: &Value) -> Value {
    let Value::Object(map) = item else { return changed(item) };
    let mut map = map.clone();
    for key in ["name", "mountPath", "containerPort", "port", "key", "path"] {
        if let Some(value) = map.get_mut(key) {
            *value = changed(value);
        }
    }
    Value::Object(map)
}

/// Gives an object without status and without what the server keeps for itself.
pub(crate) fn content(live: &Value) -> Value {
    let own = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];
    let mut content = live.clone();
    content.as_object_mut().expect("objects are maps").remove("status");
    content["metadata"].as_object_mut().expect("objects have metadata").retain(|key, _| !own.contains(&key.as_str()));
    content
}

/// Gives the JSON patch from one content to another.
pub(crate) fn replacement(from: &Value, to: &Value) -> Value {
    let empty = Map::new();
    let mut operations = Vec::new();
    for above in ["", "/metadata"] {
        let keys = |side: &'_ Value| side.pointer(above).and_then(Value::as_object).unwrap_or(&empty).clone();
        let (from, to) = (keys(from), keys(to));
        for key in from.keys().filter(|key| !to.contains_key(*key)) {
            operations.push(json!({"op": "remove", "path": format!("{above}/{key}")}));
        }
        for (key, value) in to.iter().filter(|(key, value)| *key != "metadata" && from.get(*key) != Some(value)) {
            operations.push(json!({"op": "add", "path": format!("{above}/{key}"), "value": value}));
        }
    }
    Value::Array(operations)
}
