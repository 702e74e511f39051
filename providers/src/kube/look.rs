//! Resources to observations: reads them all, side by side, and asks the server to predict those that are in doubt.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cfrt_engine::driver::{Depth, DriverError, Observation, Predicted, Stamp, Wanted};
use cfrt_engine::resource::{Document, Hole, Part, Resource, ResourceId};
use futures::stream::{self, StreamExt as _};
use serde_json::Value;

use super::autoscale;
use super::call::{Apply, Call};
use super::client::ApiError;
use super::compare::{Kept, compare};
use super::discovery::Discovery;
use super::gvk::{Gvk, Resolved};
use super::read::{Key, ReadError, get, read};
use super::state::states;
use crate::last_apply::Proof;
use crate::vault::Vault;
use crate::world::World;

mod again;
use again::MadeAgain;

/// How many dry runs are asked for at once; more only queue at the server (kube-apiserver 1.34, measured).
const DRY_RUNS_AT_ONCE: usize = 8;

/// How often an object that others write at the same time is looked at again before its prediction is taken as it is.
const LOOKS_AT_A_MOVING_OBJECT: usize = 5;

/// How many objects of a kind are read one by one where the others haven't moved.
const FEW: usize = 4;

/// Looks at objects, each of which is written under the name of a field manager.
///
/// # Errors
///
/// The first read that failed, and a kind that neither the server nor the batch knows.
pub async fn look(
    world: &World,
    wanted: &[Wanted<'_>],
    manager: fn(&Resource) -> &str,
) -> Result<Vec<Observation>, DriverError> {
    let (again, first): (Vec<_>, Vec<_>) =
        wanted.iter().enumerate().partition(|(_, wanted)| wanted.depth == Depth::DryRun);
    let mut seen = vec![Observation::Absent; wanted.len()];
    for (index, observation) in as_they_are(world, &first).await? {
        seen[index] = observation;
    }
    autoscale::note(world, wanted, &mut seen).await?;
    let mut asked = Vec::with_capacity(again.len());
    for (index, wanted) in again {
        asked.push(async move { (index, predict(world, wanted, manager(wanted.resource)).await) });
    }
    let mut predictions = stream::iter(asked).buffer_unordered(DRY_RUNS_AT_ONCE);
    while let Some((index, prediction)) = predictions.next().await {
        seen[index] = prediction?;
    }
    Ok(seen)
}

async fn as_they_are(world: &World, wanted: &[(usize, &Wanted<'_>)]) -> Result<Vec<(usize, Observation)>, DriverError> {
    let brought = definitions(&world.discovery, wanted.iter().map(|(_, wanted)| wanted.resource));
    let mut seen = Vec::with_capacity(wanted.len());
    let mut kinds: BTreeMap<Gvk, (Resolved, Vec<(usize, Key)>)> = BTreeMap::new();
    for (index, wanted) in wanted {
        let gvk = Gvk::of_address(&wanted.resource.id.address);
        match whereabouts(&world.discovery, &brought, wanted.resource) {
            Whereabouts::Kept(kind) => {
                kinds.entry(gvk).or_insert_with(|| (kind, Vec::new())).1.push((*index, key(wanted.resource)));
            }
            Whereabouts::Behind(definition) => {
                seen.push((*index, Observation::Hidden { behind: definition.clone() }));
            }
            Whereabouts::Nowhere => seen.push((*index, Observation::Absent)),
            Whereabouts::Unknown => return Err(unknown_kind(wanted.resource, &gvk)),
        }
    }
    let mut kinds: Vec<Batch> = kinds.into_values().collect();
    let resources: HashMap<usize, &Resource> = wanted.iter().map(|(index, wanted)| (*index, wanted.resource)).collect();
    let unmoved = unmoved(world, &kinds, &resources).await;
    kinds.iter_mut().for_each(|(_, keys)| keys.retain(|(index, _)| !unmoved.contains(index)));
    seen.extend(unmoved.into_iter().map(|index| (index, Observation::Unmoved)));
    let few = if world.proofs().is_some() { FEW } else { 1 };
    let found = read(&world.kube, &world.lists, &asked(&kinds), few).await.map_err(unreadable)?;
    for ((_, keys), mut found) in kinds.into_iter().zip(found) {
        // Several resources can be parts of one object; only the last one needs no copy.
        let mut open: HashMap<Key, usize> = HashMap::new();
        keys.iter().for_each(|(_, key)| *open.entry(key.clone()).or_default() += 1);
        for (index, key) in keys {
            let resource = resources[&index];
            let open = open.entry(key.clone()).and_modify(|open| *open -= 1).or_default();
            let live = if *open == 0 { found.remove(&key) } else { found.get(&key).cloned() };
            let observation =
                live.map_or_else(|| missing(&brought, resource), |live| present(&world.vault, resource, live));
            seen.push((index, observation));
        }
    }
    Ok(seen)
}

/// The resources whose objects are still as they were when they were as they should be. All parts of an object or none, since
/// one that isn't may change what the others are compared with; custom resources only beside their definition, which may
/// have changed what the server makes of them; and Secrets only where nothing moved, since what is shown of anything else is
/// shown without what they hold.
async fn unmoved(world: &World, kinds: &[Batch], resources: &HashMap<usize, &Resource>) -> HashSet<usize> {
    let Some(proofs) = world.proofs() else { return HashSet::new() };
    let states = states(&world.kube, &world.lists, &proofs.revisions, &asked(kinds)).await;
    let mut unmoved = HashSet::new();
    for ((_, keys), states) in kinds.iter().zip(states) {
        let proved = |(index, key): &(usize, Key)| {
            states.get(key).is_some_and(|state| proofs.holds(&Proof::of_resource(resources[index], state)))
        };
        let moved: HashSet<&Key> = keys.iter().filter(|one| !proved(one)).map(|(_, key)| key).collect();
        unmoved.extend(keys.iter().filter(|(_, key)| !moved.contains(key)).map(|(index, _)| *index));
    }
    let defined = definitions_among(kinds, &unmoved);
    let of = |kinds: Vec<&Batch>| kinds.into_iter().flat_map(|(_, keys)| keys).map(|(index, _)| *index).collect();
    let undefined = |(kind, _): &&Batch| kind.is_custom() && !defined.contains(&kind.definition());
    let undefined: HashSet<usize> = of(kinds.iter().filter(undefined).collect());
    unmoved.retain(|index| !undefined.contains(index));
    if unmoved.len() < resources.len() {
        let secrets: HashSet<usize> = of(kinds.iter().filter(|(kind, _)| kind.is_secret()).collect());
        unmoved.retain(|index| !secrets.contains(index));
    }
    unmoved
}

/// The names of the definitions in a batch that have not moved.
fn definitions_among(kinds: &[Batch], unmoved: &HashSet<usize>) -> HashSet<String> {
    let definitions = kinds.iter().filter(|(kind, _)| kind.gvk.is_crd()).flat_map(|(_, keys)| keys);
    definitions.filter(|(index, _)| unmoved.contains(index)).map(|(_, key)| key.name.clone()).collect()
}

/// A kind, and where in the batch which of its objects are wanted.
type Batch = (Resolved, Vec<(usize, Key)>);

fn asked(kinds: &[Batch]) -> Vec<(Resolved, Vec<Key>)> {
    kinds.iter().map(|(kind, keys)| (kind.clone(), distinct(keys))).collect()
}

fn distinct(keys: &[(usize, Key)]) -> Vec<Key> {
    let mut distinct = HashSet::new();
    keys.iter().filter(|(_, key)| distinct.insert(key)).map(|(_, key)| key.clone()).collect()
}

/// The kinds that a batch itself brings and the server doesn't know yet, each with the definition that brings it.
pub type Brought<'a> = HashMap<Gvk, &'a ResourceId>;

/// Finds the kinds that a batch itself brings.
pub fn definitions<'a>(discovery: &Discovery, batch: impl Iterator<Item = &'a Resource>) -> Brought<'a> {
    let batch: Vec<&Resource> = batch.collect();
    let mut brought = HashMap::new();
    let kinds: HashSet<Gvk> = batch.iter().map(|resource| Gvk::of_address(&resource.id.address)).collect();
    if kinds.iter().all(|gvk| discovery.resolve(gvk).is_some()) {
        // Nothing is missing, and definitions are the longest documents that there are.
        return brought;
    }
    for resource in batch {
        let Some(document) = resource.want.document() else { continue };
        if Gvk::of_address(&resource.id.address).is_crd() {
            let kinds = Resolved::of_crd(&document.body).into_iter().map(|kind| kind.gvk);
            let unknown = kinds.filter(|gvk| discovery.resolve(gvk).is_none());
            brought.extend(unknown.map(|gvk| (gvk, &resource.id)));
        }
    }
    brought
}

/// Where an object is to be looked for.
#[derive(Debug, PartialEq)]
pub enum Whereabouts<'a> {
    /// Among the objects of a kind, which may be another version of the resource's own.
    Kept(Resolved),
    /// It can't be there before this definition is.
    Behind(&'a ResourceId),
    /// What is to be gone and has no kind any more is gone.
    Nowhere,
    /// Nobody knows its kind.
    Unknown,
}

/// Finds out where an object is to be looked for. A version that is not served doesn't hide what others serve.
pub fn whereabouts<'a>(discovery: &Discovery, brought: &Brought<'a>, resource: &Resource) -> Whereabouts<'a> {
    let gvk = Gvk::of_address(&resource.id.address);
    let wanted = resource.want.is_something();
    match (discovery.resolve(&gvk), discovery.find(&gvk), brought.get(&gvk)) {
        (Some(kind), _, _) => Whereabouts::Kept(kind),
        (None, Some(other), definition) if definition.is_some() || !wanted => Whereabouts::Kept(other),
        (None, None, _) if !wanted => Whereabouts::Nowhere,
        (None, _, Some(definition)) => Whereabouts::Behind(definition),
        (None, _, None) => Whereabouts::Unknown,
    }
}

/// An object that isn't there; one whose version is yet to come is looked for again under that.
pub fn missing(brought: &Brought<'_>, resource: &Resource) -> Observation {
    match brought.get(&Gvk::of_address(&resource.id.address)) {
        Some(definition) if resource.want.is_something() => Observation::Hidden { behind: (*definition).clone() },
        Some(_) | None => Observation::Absent,
    }
}

/// The key of a resource's object.
pub fn key(resource: &Resource) -> Key {
    Key { namespace: resource.id.address.scope.clone(), name: resource.id.address.name.clone() }
}

/// An object as it was read, with its secrets sealed.
pub fn present(vault: &Vault, resource: &Resource, live: Value) -> Observation {
    let text = |pointer| live.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let stamp = Stamp { uid: text("/metadata/uid"), revision: text("/metadata/resourceVersion") };
    let live = sealed(vault, resource, autoscale::without_note(live));
    Observation::Present { live: Arc::new(live), stamp, predicted: None }
}

/// Seals what is secret in a live object: the values of a Secret, and whatever is sealed in the document that we want.
fn sealed(vault: &Vault, resource: &Resource, live: Value) -> Value {
    let is_secret = live["kind"] == "Secret" && live["apiVersion"] == "v1";
    let mut live = if is_secret { vault.seal_document(live).body } else { live };
    for (pointer, hole) in resource.want.document().into_iter().flat_map(|document| &document.holes) {
        let is_sealed = is_secret && pointer.starts_with("/data/");
        if let (false, Hole::Secret, Some(Value::String(leaf))) = (is_sealed, hole, live.pointer_mut(pointer)) {
            *leaf = vault.seal(leaf);
        }
    }
    live
}

/// Asks the server what an apply would make of the object. What it can't be asked for stays with our own comparison.
///
/// What others do between the look and the answer is no part of the answer: the object is looked at again.
pub(crate) async fn predict(world: &World, wanted: &Wanted<'_>, manager: &str) -> Result<Observation, DriverError> {
    let mut predicted = predict_once(world, wanted.resource, wanted.before, manager).await?;
    for _ in 0..LOOKS_AT_A_MOVING_OBJECT {
        if !has_moved(&predicted) {
            break;
        }
        let now = now(world, wanted.resource).await?;
        predicted = predict_once(world, wanted.resource, Some(&now), manager).await?;
    }
    Ok(predicted)
}

/// Whether an answer is about another state of the object than the one that was seen.
fn has_moved(predicted: &Observation) -> bool {
    match predicted {
        Observation::Present { stamp, predicted: Some(Predicted::Live(answer)), .. } => {
            answer["metadata"]["resourceVersion"].as_str().is_some_and(|now| now != stamp.revision)
        }
        Observation::Present { .. } | Observation::Absent | Observation::Unmoved | Observation::Hidden { .. } => false,
    }
}

/// An object as it is now.
async fn now(world: &World, resource: &Resource) -> Result<Observation, DriverError> {
    let Some(kind) = world.discovery.resolve(&Gvk::of_address(&resource.id.address)) else {
        return Ok(Observation::Absent);
    };
    let found = get(&world.kube, &kind, &key(resource)).await;
    match found.map_err(|error| error.during(format!("reading {}", resource.id.address.short())))? {
        Some((_, live)) => seen(world, resource, live).await,
        None => Ok(Observation::Absent),
    }
}

/// An object as it was read by itself, with its secrets sealed and a note of who looks after it.
///
/// # Errors
///
/// A list of autoscalers that failed.
pub(crate) async fn seen(world: &World, resource: &Resource, live: Value) -> Result<Observation, DriverError> {
    let mut seen = present(&world.vault, resource, live);
    let wanted = Wanted { resource, depth: Depth::Full, before: None };
    autoscale::note(world, &[wanted], std::slice::from_mut(&mut seen)).await?;
    Ok(seen)
}

async fn predict_once(
    world: &World,
    resource: &Resource,
    before: Option<&Observation>,
    manager: &str,
) -> Result<Observation, DriverError> {
    let before = before.cloned().unwrap_or(Observation::Absent);
    let (Observation::Present { live, stamp, .. }, Some(document)) = (&before, resource.want.document()) else {
        return Ok(before);
    };
    if resource.id.part == Part::Adoption {
        // Labels and annotations hold no surprise, and a definition's dry run takes the server long.
        return Ok(before);
    }
    let compared = compare(document, live, manager);
    if compared.fields.is_empty() && compared.hides_removals {
        // Nothing but ownership moves, and that in every object of a release that is taken over.
        return Ok(before);
    }
    let Some(body) = to_send(&world.vault, document, live, manager) else { return Ok(before) };
    let gvk = Gvk::of_address(&resource.id.address);
    let Some(kind) = world.discovery.resolve(&gvk) else { return Ok(before) };
    let key = key(resource);
    let call = Call::apply(&kind, &key.namespace, &key.name, manager, Apply::DryRun, &body);
    let predicted = match world.kube.send(&call).await {
        Ok(reply) => {
            let object = reply.json().map_err(|error| unpredictable(resource, error))?;
            Predicted::Live(Arc::new(sealed(&world.vault, resource, object)))
        }
        // Who may only read is to learn what we can tell without asking, and who may not write all that he may not.
        Err(ApiError::Denied(_)) => Predicted::NotPermitted,
        Err(ApiError::Immutable { fields, .. }) => {
            let target = MadeAgain { kind: &kind, key: &key, manager, live };
            let predicted = target.predicted(&world.kube, body, fields).await;
            predicted.map_err(|error| unpredictable(resource, error))?
        }
        Err(error) => refused(error).map_err(|error| unpredictable(resource, error))?,
    };
    Ok(Observation::Present { live: Arc::clone(live), stamp: stamp.clone(), predicted: Some(predicted) })
}

/// What a server says against a request, however often it is asked. What is trouble or a missing right stays an error.
fn refused(error: ApiError) -> Result<Predicted, ApiError> {
    match error {
        ApiError::Status { code: 400 | 403 | 409 | 422 | 500, message, .. } | ApiError::Immutable { message, .. } => {
            Ok(Predicted::Refused(message))
        }
        other => Err(other),
    }
}

/// A document as it is sent to where `live` is: secrets filled in, generated values as they are there, and nothing said of
/// what others look after.
///
/// `None` where this run doesn't know a secret's value, because the rendering came from the cache.
pub fn to_send(vault: &Vault, document: &Document, live: &Value, manager: &str) -> Option<Value> {
    let kept = compare(document, live, manager).kept;
    let mut document = document.clone();
    for Kept { place, value } in kept {
        let above = place.rsplit_once('/').and_then(|(above, key)| Some((document.body.pointer_mut(above)?, key)));
        match (above, value) {
            (Some((Value::Object(map), key)), Some(value)) => drop(map.insert(key.to_owned(), value)),
            (Some((Value::Object(map), key)), None) => drop(map.remove(key)),
            (Some(_) | None, _) => {}
        }
    }
    for (pointer, hole) in &document.holes {
        let there = live.pointer(pointer).cloned();
        if let (Hole::Generated, Some(there), Some(place)) = (hole, there, document.body.pointer_mut(pointer)) {
            *place = there;
        }
    }
    vault.fill(&document).ok()
}

fn unknown_kind(resource: &Resource, gvk: &Gvk) -> DriverError {
    let cause = format!("the API server knows no kind {} in {}", gvk.kind, gvk.api_version());
    let hint = "the CustomResourceDefinition that brings it must be installed first, or be part of the chart";
    DriverError::new(format!("looking for {}", resource.id.address.short()), cause).hint(hint)
}

fn unreadable(error: ReadError) -> DriverError {
    let doing = error.to_string();
    error.source.during(doing)
}

fn unpredictable(resource: &Resource, error: ApiError) -> DriverError {
    error.during(format!("asking for a dry run of {}", resource.id.address.short()))
}

#[cfg(test)]
mod tests;
