//! Generated values that last: a record says what an object holds, and not what was rendered anew beside it.

use std::collections::BTreeMap;

use cfrt_engine::driver::DriverError;
use cfrt_engine::resource::{Document, Hole, Pointer};
use futures::future::try_join_all;
use secrecy::SecretString;
use serde_json::Value;

use crate::helm::manifest::with_values;
use crate::helm::rendering::Rendering;
use crate::kube::gvk::{Gvk, address};
use crate::kube::read::{Key, get};
use crate::world::World;

/// The manifest of a rendering with the values that its objects have already, where each rendering makes others: an update
/// leaves those as they are, and a rollback to this revision writes what the manifest says.
///
/// # Errors
///
/// An object that can't be read. Only those are read that have such values.
pub(super) async fn with_live_values(
    world: &World,
    namespace: &str,
    rendering: &Rendering,
    manifest: &str,
) -> Result<SecretString, DriverError> {
    let documents = rendering.objects.iter().map(|object| object.document()).enumerate();
    let generated = documents.filter(|(_, document)| document.holes.values().any(|hole| *hole == Hole::Generated));
    let live = generated.map(|(place, document)| async move {
        let live = live(world, namespace, &document.body).await?;
        Ok::<_, DriverError>(live.map(|live| (place, lasting(document, &live))))
    });
    let values: BTreeMap<_, _> = try_join_all(live).await?.into_iter().flatten().collect();
    let manifest = with_values(manifest, &values);
    manifest.map(SecretString::from).map_err(|error| DriverError::new("making the release record", error))
}

async fn live(world: &World, namespace: &str, document: &Value) -> Result<Option<Value>, DriverError> {
    let kind = Gvk::of(document).and_then(|gvk| world.discovery.resolve(&gvk));
    let Some(kind) = kind else { return Ok(None) };
    let Some(address) = address(document, kind.namespaced, namespace) else { return Ok(None) };
    let key = Key { namespace: address.scope.clone(), name: address.name.clone() };
    let doing = || format!("reading the generated values of {}", address.short());
    let found = get(&world.kube, &kind, &key).await.map_err(|error| error.during(doing()))?;
    Ok(found.map(|(_, live)| live))
}

fn lasting(document: &Document, live: &Value) -> Vec<(Pointer, Value)> {
    let generated = document.holes.iter().filter(|(_, hole)| **hole == Hole::Generated);
    generated.filter_map(|(pointer, _)| Some((pointer.clone(), live.pointer(pointer)?.clone()))).collect()
}
