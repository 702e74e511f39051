//! Whose an object is: taken over where no one has it or its owner agreed, and given back as it was.

use std::collections::{BTreeMap, BTreeSet};

use cfrt_engine::change::{Action, Change, FieldChange};
use cfrt_engine::driver::{Applied, DriverError, Observation, Stamp};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Address, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tracked::keeper;
use super::{OWN, holding, owner};
use crate::kube::difference::difference;
use crate::kube::gvk::Gvk;
use crate::kube::normalise::owned_by_release;
use crate::kube::path::token;
use crate::kube::write::Target;
use crate::undo;
use crate::world::World;

/// The two maps of an object's metadata that say whose it is.
const PLACES: [&str; 2] = ["labels", "annotations"];

/// What the driver has to know of an adoption besides the labels and annotations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The release that takes the object, or gives it back.
    pub release: String,
    /// The release's namespace.
    pub namespace: String,
    /// The owners that agreed, in the words in which a plan names them.
    pub take_from: BTreeSet<String>,
    /// What the object is given back as; `None` where it is taken.
    pub restores: Option<Former>,
}

/// What an object's labels and annotations said of its owner before it was taken; `None` where they said nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Former {
    /// The UID of the object.
    pub uid: String,
    /// The labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// The annotations.
    pub annotations: BTreeMap<String, Option<String>>,
}

impl Settings {
    /// The settings as a resource has them.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

impl Former {
    /// The labels and annotations as a document of an object; what wasn't there is null.
    pub fn document(&self) -> Value {
        json!({"metadata": {"labels": self.labels, "annotations": self.annotations}})
    }

    fn of(live: &Value, document: &Value) -> Self {
        let [labels, annotations] = PLACES.map(|place| {
            let names = document["metadata"][place].as_object().into_iter().flat_map(Map::keys);
            let said = |name: &String| live["metadata"][place][name].as_str().map(str::to_owned);
            names.map(|name| (name.clone(), said(name))).collect()
        });
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        Self { uid, labels, annotations }
    }
}

/// The labels and annotations by which an object belongs to a release, and nothing else of it.
pub fn ownership(address: &Address, settings: &Settings) -> Value {
    let Gvk { kind, .. } = Gvk::of_address(address);
    let api_version = Gvk::of_address(address).api_version();
    let bare = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": address.name}});
    owned_by_release(bare, &settings.release, &settings.namespace)
}

/// What must happen for an object to be taken, or given back. Pure.
pub(super) fn change(resource: &Resource, seen: &Observation) -> Change {
    let settings = match Settings::deserialize(&resource.settings) {
        Ok(settings) => settings,
        Err(error) => return Change::of(Action::Refuse).because(format!("its settings can't be read: {error}")),
    };
    let (Observation::Present { live, .. }, Some(document)) = (seen, resource.want.document()) else {
        return Change::of(Action::Keep).because(if settings.restores.is_some() { "is gone" } else { "not there yet" });
    };
    let said = Owner::of(live, &settings);
    match (&settings.restores, said) {
        (Some(former), Owner::Ours) if former.uid == live["metadata"]["uid"] => {
            moved(live, &document.body, "given back as it was")
        }
        (Some(_), Owner::Ours) => Change::of(Action::Keep).because("it was made anew after it had been taken"),
        (Some(_), Owner::Nobody | Owner::Other(_)) => Change::of(Action::Keep).because("it isn't this release's"),
        (None, Owner::Ours) => Change::of(Action::Keep),
        (None, Owner::Nobody | Owner::Other(_)) if live.pointer("/metadata/deletionTimestamp").is_some() => {
            Change::of(Action::Refuse).because(holding(live))
        }
        (None, Owner::Nobody) => moved(live, &document.body, "adopted, as it belongs to no release"),
        (None, Owner::Other(owner)) if settings.take_from.contains(&owner) => {
            moved(live, &document.body, &format!("taken from {owner}"))
        }
        (None, Owner::Other(owner)) => Change::of(Action::Refuse).because(format!(
            "it belongs to {owner}, which would take it back; where that has agreed, \
             add it to the file: [crds] take_from = [\"{owner}\"]"
        )),
    }
}

/// Who has an object, as its metadata say.
enum Owner {
    Nobody,
    Ours,
    /// Another release, as `NAMESPACE/NAME`, or what Argo CD or Flux keeps it by.
    Other(String),
}

impl Owner {
    fn of(live: &Value, settings: &Settings) -> Self {
        if let Some((release, namespace)) = owner(live) {
            let ours = (&release, &namespace) == (&settings.release, &settings.namespace);
            return if ours { Self::Ours } else { Self::Other(format!("{namespace}/{release}")) };
        }
        keeper(live).map_or(Self::Nobody, Self::Other)
    }
}

/// The labels and annotations of a document that are not as it has them.
fn moved(live: &Value, document: &Value, why: &str) -> Change {
    let named = |object: &Value| {
        let places = PLACES.map(|place| {
            let names = document["metadata"][place].as_object().into_iter().flat_map(Map::keys);
            let texts = names.filter_map(|name| Some((name.clone(), object["metadata"][place].get(name)?.clone())));
            (place.to_owned(), Value::Object(texts.filter(|(_, text)| !text.is_null()).collect()))
        });
        json!({"metadata": Map::from_iter(places)})
    };
    let fields: Vec<FieldChange> = difference(&named(live), &named(document));
    if fields.is_empty() { Change::of(Action::Keep) } else { Change::of_fields(fields).because(why) }
}

/// Writes down what was there, where an object is taken, and then writes its labels and annotations and nothing else.
pub(super) async fn apply(world: &World, step: &Step) -> Result<Applied, DriverError> {
    let resource = &step.resource;
    let settings = Settings::deserialize(&resource.settings)
        .map_err(|error| DriverError::new(format!("adopting {}", resource.id.address.short()), error))?;
    let (Some(document), Observation::Present { live, .. }) = (resource.want.document(), &step.seen) else {
        return Ok(Applied::default());
    };
    if settings.restores.is_none() {
        let former = Former::of(live, &document.body);
        undo::note(world, &settings, &resource.id.address.name, &former).await?;
    }
    let target = Target::new(world, resource, OWN)?;
    let operations = |live: &Value, stamp: &Stamp| operations(live, &document.body, stamp);
    drop(target.patch(step, operations, change).await?);
    Ok(Applied { wrote: true, memo: Value::Null })
}

/// A JSON patch that touches only the labels and annotations of a document, and only of the very object that was seen.
///
/// An apply would make everything that this field manager doesn't name go.
fn operations(live: &Value, document: &Value, stamp: &Stamp) -> Value {
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": stamp.uid}),
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": stamp.revision}),
    ];
    for place in PLACES {
        let there = &live["metadata"][place];
        if there.is_null() {
            operations.push(json!({"op": "add", "path": format!("/metadata/{place}"), "value": {}}));
        }
        for (name, text) in document["metadata"][place].as_object().into_iter().flatten() {
            let path = format!("/metadata/{place}/{}", token(name));
            match (text.is_null(), there.get(name).is_some()) {
                (true, true) => operations.push(json!({"op": "remove", "path": path})),
                (true, false) => {}
                (false, _) => operations.push(json!({"op": "add", "path": path, "value": text})),
            }
        }
    }
    Value::Array(operations)
}

#[cfg(test)]
mod tests;
