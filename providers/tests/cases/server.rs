//! What an API server and its controllers make of an object, as far as cases go by it: ownership, and success.

use cfrt_providers::kube::fields::migrate;
use serde_json::{Map, Value, json};

/// What is part of an object's address, or the server's own; nobody owns it.
const UNOWNED: [&str; 6] = ["name", "namespace", "uid", "resourceVersion", "managedFields", "deletionTimestamp"];

/// A document applied to a live object: its fields are written, and those that the manager applied before and no longer
/// names are removed. Lists are one value. Whoever owned a field keeps it in his books, which nobody reads here.
pub(crate) fn applied(live: &Value, body: &Value, manager: &str) -> Value {
    let mut object = if live.is_object() { live.clone() } else { json!({}) };
    if let Some(migrated) = migrate(live, manager) {
        object["metadata"]["managedFields"] = migrated;
    }
    let is_ours = |entry: &Value| entry["manager"] == manager && entry["operation"] == "Apply";
    let mut managers = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let before = managers.iter().find(|entry| is_ours(entry)).map(|entry| entry["fieldsV1"].clone());
    managers.retain(|entry| !is_ours(entry));
    let owned = fields(body);
    remove(&mut object, &before.unwrap_or_default(), &owned);
    merge(&mut object, body);
    managers
        .push(json!({"manager": manager, "operation": "Apply", "apiVersion": body["apiVersion"], "fieldsV1": owned}));
    object["metadata"]["managedFields"] = Value::Array(managers);
    object
}

/// A case's object as a server gives it: an entry of `managedFields` without fields owns everything.
pub(crate) fn completed(mut object: Value) -> Value {
    let (owned, version) = (fields(&object), object["apiVersion"].clone());
    for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        entry["apiVersion"] = version.clone();
        if entry.get("fieldsV1").is_none() {
            entry["fieldsV1"] = owned.clone();
        }
    }
    object
}

/// The `fieldsV1` of a document.
fn fields(body: &Value) -> Value {
    let top = body.as_object().into_iter().flatten();
    let top = top.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "status"));
    let owned = |(key, value): (&String, &Value)| match value.as_object().filter(|_| key == "metadata") {
        Some(metadata) => {
            let named = metadata.iter().filter(|(key, _)| !UNOWNED.contains(&key.as_str()));
            (format!("f:{key}"), below(&named.map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        None => (format!("f:{key}"), value.as_object().map_or_else(|| json!({}), below)),
    };
    let owned: Map<String, Value> = top.map(owned).collect();
    Value::Object(owned)
}

fn below(map: &Map<String, Value>) -> Value {
    let owned = map.iter().map(|(key, value)| (format!("f:{key}"), value.as_object().map_or_else(|| json!({}), below)));
    Value::Object(owned.collect())
}

fn remove(object: &mut Value, before: &Value, now: &Value) {
    for (member, below) in before.as_object().into_iter().flatten() {
        let Some((object, key)) = object.as_object_mut().zip(member.strip_prefix("f:")) else { continue };
        let is_leaf = below.as_object().is_some_and(Map::is_empty);
        match object.get_mut(key) {
            Some(there) if !is_leaf => remove(there, below, &now[member]),
            Some(_) if now.get(member).is_none() => drop(object.remove(key)),
            Some(_) | None => {}
        }
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into.as_object_mut(), from.as_object()) {
        (Some(into), Some(from)) => {
            from.iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (_, _) => *into = from.clone(),
    }
}

/// The status of an object that is what it should be; `None` for kinds without one.
pub(crate) fn success(object: &Value) -> Option<Value> {
    let conditions = |names: &[&str]| {
        let conditions = names.iter().map(|name| json!({"type": name, "status": "True"}));
        json!({"conditions": conditions.collect::<Value>()})
    };
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => Some(json!({"phase": "Active"})),
        "Job" => Some(conditions(&["Complete"])),
        "CustomResourceDefinition" => Some(conditions(&["NamesAccepted", "Established"])),
        "Deployment" => {
            let pods = object["spec"]["replicas"].as_u64().unwrap_or(1);
            Some(json!({"replicas": pods, "updatedReplicas": pods, "availableReplicas": pods}))
        }
        _ => None,
    }
}

/// An object as people look at it, its managers as `NAME OPERATION`.
pub(crate) fn without_bookkeeping(object: &Value) -> Value {
    let mut object = object.clone();
    let managers = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let name = |entry: &Value| {
        [&entry["manager"], &entry["operation"]].map(|word| word.as_str().unwrap_or_default()).join(" ")
    };
    let managers: Vec<String> = managers.iter().map(name).collect();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !UNOWNED.contains(&key.as_str()) || key == "deletionTimestamp");
    }
    object["managers"] = json!(managers);
    object
}
