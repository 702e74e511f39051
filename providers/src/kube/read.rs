//! Reading many objects with few requests: one list for each kind and namespace, everything side by side.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::call::Call;
use super::client::{ApiError, Kube};
use super::gvk::Resolved;
use crate::blocking::blocking;

/// An object to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The namespace; empty where the kind has none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// Why objects of a kind could not be read, with the kind.
#[derive(Debug, thiserror::Error)]
#[error("reading {kind}{place}")]
pub struct ReadError {
    /// The kind's plural.
    pub kind: String,
    /// ` in namespace x`, or nothing.
    pub place: String,
    /// Why.
    pub source: ApiError,
}

/// Reads objects by kind; what isn't there is left out. Each comes with its `apiVersion` and `kind`.
///
/// # Errors
///
/// The first read that failed.
pub async fn read(kube: &Kube, wanted: &[(Resolved, Vec<Key>)]) -> Result<Vec<HashMap<Key, Value>>, ReadError> {
    try_join_all(wanted.iter().map(|(kind, keys)| read_kind(kube, kind, keys))).await
}

async fn read_kind(kube: &Kube, kind: &Resolved, keys: &[Key]) -> Result<HashMap<Key, Value>, ReadError> {
    let mut places: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        places.entry(&key.namespace).or_default().push(key);
    }
    let found = try_join_all(places.into_iter().map(|(namespace, keys)| async move {
        let found = match keys.as_slice() {
            [one] => get(kube, kind, one).await.map(|object| object.into_iter().collect()),
            many => list(kube, kind, namespace, many).await,
        };
        let place = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
        found.map_err(|source: ApiError| ReadError { kind: kind.plural.clone(), place, source })
    }))
    .await?;
    Ok(found.into_iter().flat_map(|found: Vec<(Key, Value)>| found).collect())
}

/// Reads one object; `None` where it, or its kind, isn't there.
///
/// # Errors
///
/// Any answer but the object and 404.
pub async fn get(kube: &Kube, kind: &Resolved, key: &Key) -> Result<Option<(Key, Value)>, ApiError> {
    match kube.send(&Call::get(kind.path(&key.namespace, &key.name))).await {
        Ok(reply) => Ok(Some((key.clone(), reply.json()?))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(kube: &Kube, kind: &Resolved, namespace: &str, keys: &[&Key]) -> Result<Vec<(Key, Value)>, ApiError> {
    let wanted: HashSet<String> = keys.iter().map(|key| key.name.clone()).collect();
    let path = format!("{}{}", kind.collection(namespace), selection(kind));
    let (kind, namespace) = (kind.clone(), namespace.to_owned());
    match kube.send(&Call::get(path)).await {
        // Large answers take milliseconds, in which the others can arrive.
        Ok(reply) => blocking(move || pick(reply.bytes(), &kind, &namespace, &wanted)).await,
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Helm's records are Secrets too, each some 300 kB, and are read on their own.
fn selection(kind: &Resolved) -> &'static str {
    if kind.gvk.group.is_empty() && kind.gvk.kind == "Secret" {
        "?fieldSelector=type!%3Dhelm.sh%2Frelease.v1"
    } else {
        ""
    }
}

/// Parses only the wanted items of a list; of the others no more than their names.
fn pick(
    body: &[u8],
    kind: &Resolved,
    namespace: &str,
    wanted: &HashSet<String>,
) -> Result<Vec<(Key, Value)>, ApiError> {
    let junk = |error: serde_json::Error| ApiError::Junk(error.to_string());
    let list: List<'_> = serde_json::from_slice(body).map_err(junk)?;
    let mut found = Vec::new();
    for item in list.items.unwrap_or_default() {
        let Item { metadata } = serde_json::from_str(item.get()).map_err(junk)?;
        if !wanted.contains(&metadata.name) {
            continue;
        }
        let mut object: Value = serde_json::from_str(item.get()).map_err(junk)?;
        // Items of a built-in kind's list don't say what they are.
        object["apiVersion"] = Value::from(kind.gvk.api_version());
        object["kind"] = Value::from(kind.gvk.kind.clone());
        found.push((Key { namespace: namespace.to_owned(), name: metadata.name }, object));
    }
    Ok(found)
}

#[derive(Deserialize)]
struct List<'a> {
    /// An empty list of metadata has `null` here.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemName,
}

#[derive(Deserialize)]
struct ItemName {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::gvk::Gvk;

    fn config_map() -> Resolved {
        Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
    }

    #[test]
    fn only_what_is_wanted_is_taken_from_a_list() {
        let body = br#"{"items":[{"metadata":{"name":"a"},"data":{"x":"1"}},{"metadata":{"name":"b"}}]}"#;
        let found = pick(body, &config_map(), "n", &HashSet::from(["a".to_owned()])).expect("it is a list");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1["kind"], "ConfigMap");
        assert_eq!(found[0].1["data"]["x"], "1");
    }

    #[test]
    fn a_list_without_items_is_empty_and_junk_is_an_error() {
        let wanted = HashSet::from(["a".to_owned()]);
        assert!(pick(br#"{"items":null}"#, &config_map(), "n", &wanted).expect("it is a list").is_empty());
        assert!(pick(br#"{"items":[{"metadata":3}]}"#, &config_map(), "n", &wanted).is_err());
    }
}
