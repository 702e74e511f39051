//! Reading many objects with few requests: one list for each kind and namespace, everything side by side.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::try_join_all;
use serde_json::{Map, Value};

use super::call::Call;
use super::client::{ApiError, Kube};
use super::gvk::Resolved;
use super::lists::Lists;
use super::pick::pick;
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
/// Where no more than `few` of a kind are wanted of a place, they are read one by one.
///
/// # Errors
///
/// The first read that failed.
pub async fn read(
    kube: &Kube,
    lists: &Lists,
    wanted: &[(Resolved, Vec<Key>)],
    few: usize,
) -> Result<Vec<HashMap<Key, Value>>, ReadError> {
    try_join_all(wanted.iter().map(|(kind, keys)| read_kind(kube, lists, kind, keys, few))).await
}

async fn read_kind(
    kube: &Kube,
    lists: &Lists,
    kind: &Resolved,
    keys: &[Key],
    few: usize,
) -> Result<HashMap<Key, Value>, ReadError> {
    let found = try_join_all(by_place(keys).into_iter().map(|(namespace, keys)| async move {
        let found = if keys.len() <= few {
            let found = try_join_all(keys.iter().map(|key| get(kube, kind, key))).await;
            found.map(|found| found.into_iter().flatten().collect())
        } else {
            list(kube, lists, kind, namespace, &keys).await
        };
        let place = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
        found.map_err(|source: ApiError| ReadError { kind: kind.plural.clone(), place, source })
    }))
    .await?;
    Ok(found.into_iter().flat_map(|found: Vec<(Key, Value)>| found).collect())
}

/// The keys of each namespace.
pub(super) fn by_place(keys: &[Key]) -> BTreeMap<&str, Vec<&Key>> {
    let mut places: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        places.entry(&key.namespace).or_default().push(key);
    }
    places
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

/// Asks for the lists that [`read`] will read for these objects; what it reads one by one has to wait.
pub fn read_ahead(kube: &Kube, lists: &Lists, wanted: impl Iterator<Item = (Resolved, String)>) {
    paths_of_many(wanted).into_iter().for_each(|path| lists.ask(kube, Call::get(path)));
}

/// The paths of the lists in which more than one object is wanted.
pub(super) fn paths_of_many(wanted: impl Iterator<Item = (Resolved, String)>) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, namespace) in wanted {
        *counts.entry(list_path(&kind, &namespace)).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(path, _)| path).collect()
}

async fn list(
    kube: &Kube,
    lists: &Lists,
    kind: &Resolved,
    namespace: &str,
    keys: &[&Key],
) -> Result<Vec<(Key, Value)>, ApiError> {
    let wanted: HashSet<String> = keys.iter().map(|key| key.name.clone()).collect();
    let path = list_path(kind, namespace);
    let (kind, namespace) = (kind.clone(), namespace.to_owned());
    match lists.read(kube, Call::get(path.clone())).await {
        // Large answers take milliseconds, in which the others can arrive.
        Ok(reply) => {
            let (found, revision) = blocking(move || items(reply.bytes(), &kind, &namespace, &wanted)).await?;
            lists.note(&path, revision);
            Ok(found)
        }
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Helm's records are Secrets too, each some 300 kB, and are read on their own.
pub(super) fn list_path(kind: &Resolved, namespace: &str) -> String {
    let selection = if kind.is_secret() { "?fieldSelector=type!%3Dhelm.sh%2Frelease.v1" } else { "" };
    kind.collection(namespace) + selection
}

/// The wanted items of a list, each with what it is, since items of a built-in kind's list don't say it; and how new it is.
fn items(
    body: &[u8],
    kind: &Resolved,
    namespace: &str,
    wanted: &HashSet<String>,
) -> Result<(Vec<(Key, Value)>, String), ApiError> {
    let (found, revision) = pick(body, wanted).map_err(|error| ApiError::Junk(error.to_string()))?;
    let object = |(name, mut object): (String, Map<String, Value>)| {
        object.insert("apiVersion".to_owned(), kind.gvk.api_version().into());
        object.insert("kind".to_owned(), kind.gvk.kind.clone().into());
        (Key { namespace: namespace.to_owned(), name }, Value::Object(object))
    };
    Ok((found.into_iter().map(object).collect(), revision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::gvk::Gvk;

    #[test]
    fn an_item_of_a_list_says_what_it_is() {
        let kind = Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true };
        let body = br#"{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"},"data":{"x":"1"}},{"metadata":{"name":"b"}}]}"#;
        let (found, revision) = items(body, &kind, "n", &HashSet::from(["a".to_owned()])).expect("it is a list");
        assert_eq!(revision, "7");
        let [(key, object)] = found.as_slice() else { panic!("one was wanted: {found:?}") };
        assert_eq!(*key, Key { namespace: "n".to_owned(), name: "a".to_owned() });
        assert_eq!((&object["apiVersion"], &object["kind"]), (&"v1".into(), &"ConfigMap".into()));
        assert_eq!(object["data"]["x"], "1");
    }

    #[tokio::test]
    async fn only_what_is_read_by_a_list_is_asked_for_ahead() {
        let resolved = |kind: &str, plural: &str| Resolved {
            gvk: Gvk::new("v1", kind),
            plural: plural.to_owned(),
            namespaced: true,
        };
        let (many, one) = (resolved("ConfigMap", "configmaps"), resolved("Service", "services"));
        let key = |name: &str| Key { namespace: "n".to_owned(), name: name.to_owned() };
        let wanted = [(many, vec![key("a"), key("b")]), (one, vec![key("a")])];
        let kube = Kube::played(|path| match path {
            "/api/v1/namespaces/n/configmaps" => r#"{"items":[{"metadata":{"name":"a"}}]}"#.to_owned(),
            one => format!(r#"{{"path":"{one}"}}"#),
        });
        let lists = Lists::default();
        let places =
            wanted.iter().flat_map(|(kind, keys)| keys.iter().map(|key| (kind.clone(), key.namespace.clone())));
        read_ahead(&kube, &lists, places);
        assert_eq!(lists.count(), 1);
        let found = read(&kube, &lists, &wanted, 1).await.expect("all is answered");
        assert_eq!(found.iter().map(HashMap::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(found[1][&key("a")]["path"], "/api/v1/namespaces/n/services/a");
        assert_eq!(lists.count(), 0, "every answer is used");
    }
}
