//! The state of an object, told from its metadata alone: whoever knows it can tell without the rest that nothing has moved.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use futures::future::join_all;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::client::{ApiError, Kube};
use super::gvk::Resolved;
use super::lists::Lists;
use super::read::{Key, by_place, list_path, paths_of_many};
use crate::blocking::blocking;

/// What an object's metadata say of its state: two that are equal were stored with the same content, but for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State([u8; 16]);

impl State {
    /// The state of an object, or of its metadata; `None` for what no server gave us.
    pub fn of(object: &Value) -> Option<Self> {
        Metadata::deserialize(object.get("metadata")?).ok().map(|metadata| metadata.state())
    }

    /// Its bytes, to be digested with others.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where objects were at the time of an earlier run: how new each list was, by its path.
pub type Revisions = BTreeMap<String, String>;

/// Reads the states of objects by kind. What isn't there, or can't be read so, is left out: it must be looked at more closely.
///
/// Lists may be as old as they were in the earlier run, which knows all that was written in it: a server whose cluster is
/// written to all the time takes up to a tenth of a second to make sure that it has the newest (kube-apiserver 1.34, measured).
pub async fn states(
    kube: &Kube,
    lists: &Lists,
    earlier: &Revisions,
    wanted: &[(Resolved, Vec<Key>)],
) -> Vec<HashMap<Key, State>> {
    join_all(wanted.iter().map(|(kind, keys)| of_kind(kube, lists, earlier, kind, keys))).await
}

/// Asks for the lists that [`states`] will read for these objects.
pub fn ask_ahead(kube: &Kube, lists: &Lists, earlier: &Revisions, wanted: impl Iterator<Item = (Resolved, String)>) {
    paths_of_many(wanted).into_iter().for_each(|path| lists.ask(kube, call(path, earlier)));
}

async fn of_kind(
    kube: &Kube,
    lists: &Lists,
    earlier: &Revisions,
    kind: &Resolved,
    keys: &[Key],
) -> HashMap<Key, State> {
    let places = by_place(keys).into_iter().map(|(namespace, keys)| async move {
        match keys.as_slice() {
            [one] => of_one(kube, kind, one).await.map(|state| vec![((*one).clone(), state)]).unwrap_or_default(),
            _ => of_many(kube, lists, earlier, kind, namespace).await.unwrap_or_default(),
        }
    });
    join_all(places).await.into_iter().flatten().collect()
}

async fn of_one(kube: &Kube, kind: &Resolved, key: &Key) -> Result<State, ApiError> {
    let call = Call::get(kind.path(&key.namespace, &key.name)).metadata();
    let reply = kube.send(&call).await?;
    let item: Item<'_> = serde_json::from_slice(reply.bytes()).map_err(|error| ApiError::Junk(error.to_string()))?;
    Ok(item.metadata.state())
}

async fn of_many(
    kube: &Kube,
    lists: &Lists,
    earlier: &Revisions,
    kind: &Resolved,
    namespace: &str,
) -> Result<Vec<(Key, State)>, ApiError> {
    let reply = lists.read(kube, call(list_path(kind, namespace), earlier)).await?;
    let found = blocking(move || reply.json::<List>()).await?;
    let key = |name| Key { namespace: namespace.to_owned(), name };
    Ok(found.items.0.into_iter().map(|(name, state)| (key(name), state)).collect())
}

fn call(path: String, earlier: &Revisions) -> Call {
    let call = Call::get(path.clone()).metadata_of_all();
    match earlier.get(&path).filter(|revision| !revision.is_empty()) {
        Some(revision) => call.not_older_than(revision),
        None => call,
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: States,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

/// The parts of an object's metadata that move when it does.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Option<Cow<'a, str>>,
    generation: Option<i64>,
    #[serde(default)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default)]
    annotations: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default)]
    finalizers: Option<Vec<Cow<'a, str>>>,
    #[serde(default)]
    owner_references: Option<Vec<Value>>,
    #[serde(default)]
    deletion_timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    managed_fields: Option<Vec<Managed<'a>>>,
}

/// Who wrote how and when; which fields that were needn't be read, since the time moves with them.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Managed<'a> {
    #[serde(default)]
    manager: Cow<'a, str>,
    #[serde(default)]
    operation: Cow<'a, str>,
    #[serde(default)]
    api_version: Cow<'a, str>,
    #[serde(default)]
    subresource: Cow<'a, str>,
    #[serde(default)]
    time: Option<Cow<'a, str>>,
}

impl Metadata<'_> {
    /// A kind that counts generations doesn't count its status among them; every other write moves the revision.
    fn state(mut self) -> State {
        if self.generation.is_some() {
            self.resource_version = None;
            self.managed_fields.iter_mut().for_each(|managed| managed.retain(|one| one.subresource != "status"));
        }
        let text = serde_json::to_vec(&self).expect("its maps have texts for keys");
        State(short_digest(&text))
    }
}

/// Half of a SHA-256, which is plenty where no one gains by finding two that are equal.
pub(crate) fn short_digest(bytes: &[u8]) -> [u8; 16] {
    let (mut short, digest) = ([0; 16], Sha256::digest(bytes));
    short.copy_from_slice(&digest[..16]);
    short
}

/// The states of a list's objects by name, made one after the other: of a long list no more is kept.
#[derive(Default)]
struct States(Vec<(String, State)>);

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Items)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = States;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("items")
    }

    /// An empty list of metadata has `null` here.
    fn visit_unit<E>(self) -> Result<States, E> {
        Ok(States::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<States, A::Error> {
        let mut states = Vec::new();
        while let Some(Item { metadata }) = items.next_element()? {
            states.push((metadata.name.to_string(), metadata.state()));
        }
        Ok(States(states))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::kube::gvk::Gvk;

    fn object(name: &str) -> Value {
        json!({
            "metadata": {
                "name": name, "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"b": "\u{7}\"", "a": "1"}, "ownerReferences": [{"kind": "Thing", "uid": "o"}],
                "managedFields": [
                    {"manager": "helm", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}},
                    {"manager": "controller", "operation": "Update", "subresource": "status", "time": "2026-01-01T00:00:01Z"},
                ],
            },
            "data": {"x": "1"},
        })
    }

    fn changed(pointer: &str, value: Value) -> Value {
        let mut object = object("a");
        let (parent, key) = pointer.rsplit_once('/').expect("it is a pointer");
        object.pointer_mut(parent).expect("it is there")[key] = value;
        object
    }

    #[test]
    fn a_state_moves_with_whatever_a_write_moves() {
        let known = State::of(&object("a"));
        assert_eq!(known, State::of(&object("a")));
        let moves = [
            ("/metadata/uid", json!("v")),
            ("/metadata/resourceVersion", json!("8")),
            ("/metadata/labels", json!({"a": "1"})),
            ("/metadata/finalizers", json!(["x"])),
            ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("/metadata/managedFields", json!([])),
        ];
        for (pointer, value) in moves {
            assert_ne!(State::of(&changed(pointer, value)), known, "{pointer}");
        }
        assert_eq!(State::of(&changed("/metadata/selfLink", json!("x"))), known);
    }

    #[test]
    fn where_generations_are_counted_a_new_status_moves_nothing() {
        let counted = |generation: u64, revision: &str, at: &str| {
            let mut object = changed("/metadata/generation", json!(generation));
            object["metadata"]["resourceVersion"] = json!(revision);
            object["metadata"]["managedFields"][1]["time"] = json!(at);
            State::of(&object)
        };
        assert_eq!(counted(1, "7", "1"), counted(1, "8", "2"));
        assert_ne!(counted(1, "7", "1"), counted(2, "7", "1"));
    }

    #[test]
    fn what_is_no_object_has_no_state() {
        for object in [json!(null), json!({}), json!({"metadata": 1}), json!({"metadata": {"name": "a"}})] {
            assert_eq!(State::of(&object), None, "{object}");
        }
    }

    #[tokio::test]
    async fn a_state_is_the_same_however_it_was_read_and_what_can_not_be_read_is_left_out() {
        let resolved = |kind: &str, plural: &str| Resolved {
            gvk: Gvk::new("v1", kind),
            plural: plural.to_owned(),
            namespaced: true,
        };
        let key = |name: &str| Key { namespace: "n".to_owned(), name: name.to_owned() };
        let wanted = [
            (resolved("ConfigMap", "configmaps"), vec![key("a"), key("b")]),
            (resolved("Service", "services"), vec![key("a")]),
            (resolved("Pod", "pods"), vec![key("a"), key("b")]),
            (resolved("Event", "events"), vec![key("a")]),
        ];
        let kube = Kube::refusing(|request| match request.uri().path() {
            "/api/v1/namespaces/n/configmaps" => {
                let newest = request.uri().query() == Some("resourceVersion=5&resourceVersionMatch=NotOlderThan");
                assert!(newest, "{:?}", request.uri());
                (StatusCode::OK, json!({"metadata": {}, "items": [object("a")]}).to_string())
            }
            "/api/v1/namespaces/n/services/a" => (StatusCode::OK, object("a").to_string()),
            "/api/v1/namespaces/n/pods" => (StatusCode::GATEWAY_TIMEOUT, "too new".to_owned()),
            _ => (StatusCode::OK, "no JSON".to_owned()),
        });
        let revisions = ["configmaps", "pods"].map(|plural| (format!("/api/v1/namespaces/n/{plural}"), "5".to_owned()));
        let found = states(&kube, &Lists::default(), &Revisions::from(revisions), &wanted).await;
        let known = State::of(&object("a")).expect("it is an object");
        assert_eq!(found[..2], [HashMap::from([(key("a"), known)]), HashMap::from([(key("a"), known)])]);
        assert!(found[2..].iter().all(HashMap::is_empty));
    }
}
