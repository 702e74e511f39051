//! The undo record: what objects that we took over said of their owners before, kept in the cluster and never pruned.

use std::collections::BTreeMap;

use cfrt_engine::driver::DriverError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::drivers::object::OWN;
use crate::drivers::object::adoption::{Former, Settings};
use crate::kube::call::Call;
use crate::kube::client::ApiError;
use crate::kube::gvk::{Gvk, Resolved};
use crate::kube::retry::is_unclear;
use crate::world::World;

/// Whose undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoQuestion {
    /// The release that took things over.
    pub release: String,
    /// Its namespace, where the record lies.
    pub namespace: String,
}

/// What was taken over, by name, with what it said before.
pub type Undo = BTreeMap<String, Former>;

fn config_maps() -> Resolved {
    Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}

fn record(release: &str) -> String {
    format!("cfrt-{release}-undo")
}

/// Writes down what an object said before it is taken over.
///
/// # Errors
///
/// The record can't be written; the object must stay as it is then.
pub async fn note(world: &World, settings: &Settings, name: &str, former: &Former) -> Result<(), DriverError> {
    let Settings { release, namespace, .. } = settings;
    let (kinds, record) = (config_maps(), record(release));
    let data = json!({ "data": {name: json!(former).to_string()} });
    let patch = Call::merge(&kinds, namespace, &record, OWN, &data);
    // A record that isn't there yet is made; someone may make it between the two requests, or we without knowing.
    let written = match world.kube.send(&patch).await {
        Err(error) if error.is_not_found() => match world.kube.send(&create(namespace, &record, &data)).await {
            Err(error) if error.is_conflict() || is_unclear(&error) => world.kube.send(&patch).await,
            created => created,
        },
        written => written,
    };
    written.map(drop).map_err(|error| failed("writing", namespace, &record, error))
}

fn create(namespace: &str, record: &str, data: &Value) -> Call {
    let document = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": record, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": OWN}},
        "data": data["data"],
    });
    Call::create(&config_maps(), namespace, &document)
}

/// Reads the record; nothing was taken over where there is none.
///
/// # Errors
///
/// A record that can't be read, or that holds something else.
pub async fn read(world: &World, question: &UndoQuestion) -> Result<Undo, DriverError> {
    let UndoQuestion { release, namespace } = question;
    let record = record(release);
    let found = world.kube.send(&Call::get(config_maps().path(namespace, &record))).await;
    let object: Value = match found.and_then(|reply| reply.json()) {
        Err(error) if error.is_not_found() => return Ok(Undo::new()),
        found => found.map_err(|error| failed("reading", namespace, &record, error))?,
    };
    let texts: BTreeMap<String, String> = Option::deserialize(&object["data"]).unwrap_or_default().unwrap_or_default();
    let entry = |(name, text): (String, String)| {
        let former = serde_json::from_str(&text);
        let doing = || format!("reading the entry {name} of the undo record {namespace}/{record}");
        Ok((name.clone(), former.map_err(|error| DriverError::new(doing(), error))?))
    };
    texts.into_iter().map(entry).collect()
}

fn failed(verb: &str, namespace: &str, record: &str, error: ApiError) -> DriverError {
    error.during(format!("{verb} the undo record {namespace}/{record}"))
}
