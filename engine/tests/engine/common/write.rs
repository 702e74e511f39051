//! Writes to the map as a server takes them: refused where a thing isn't as the plan saw it, and perhaps lost on the way.

use cfrt_engine::change::{Action, FieldChange};
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Part, Resource};
use serde_json::{Value, json};

use super::driver::Behaviour;
use super::text;
use super::world::{Effect, State, Thing};

/// What a write loses on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request: nothing is written.
    Request,
    /// The answer: it is written, and nobody is told.
    Answer,
}

/// One request of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Make,
    Change,
    Delete,
}

/// What is sent to carry out a step.
pub(crate) fn requests(action: Action) -> &'static [Request] {
    match action {
        Action::Create => &[Request::Make],
        Action::Update | Action::Migrate => &[Request::Change],
        Action::Replace => &[Request::Delete, Request::Make],
        Action::Delete => &[Request::Delete],
        Action::Keep | Action::Refuse => unreachable!("what writes nothing isn't applied"),
    }
}

/// Sends one request; what it loses is told by how often its resource was written before.
pub(crate) fn send(state: &mut State, step: &Step, how: &Behaviour, request: Request) -> Result<(), DriverError> {
    losing(state, &step.resource, how, |state| {
        accepted(state, step, request)?;
        let secret = state.secret;
        let name = &step.resource.id.address.name;
        let before = state.things.get(name).cloned();
        let after = (request != Request::Delete).then(|| written(before.as_ref(), &step.resource, secret));
        // Another part of a thing changes nothing about whether the thing is settled.
        let followed =
            before.as_ref().filter(|_| step.resource.id.part != Part::Whole).map_or(0, |thing| thing.followed);
        match after.clone() {
            Some(body) => state.put(name, body, followed),
            None => drop(state.things.remove(name)),
        }
        let (resource, before) = (step.resource.id.clone(), before.map(|thing| thing.body));
        state.effects.push(Effect { resource, before, after, closing: false });
        Ok(())
    })
}

/// Writes how the owner of a bracket ended.
pub(crate) fn finish(state: &mut State, step: &Step, how: &Behaviour, ending: &str) -> Result<(), DriverError> {
    losing(state, &step.resource, how, |state| {
        if let Some(thing) = state.things.get_mut(&step.resource.id.address.name).filter(|_| opens(&step.resource)) {
            let (resource, before) = (step.resource.id.clone(), Some(thing.body.clone()));
            thing.body["state"] = json!(ending);
            let after = Some(thing.body.clone());
            state.effects.push(Effect { resource, before, after, closing: true });
        }
        Ok(())
    })
}

fn losing(
    state: &mut State,
    resource: &Resource,
    how: &Behaviour,
    write: impl FnOnce(&mut State) -> Result<(), DriverError>,
) -> Result<(), DriverError> {
    let name = text::name(&resource.id);
    let sent = state.sent.entry(name.clone()).or_default();
    let loses = how.loses.get(sent).copied();
    *sent += 1;
    let lost = || Err(DriverError::new(format!("writing {name}"), "the connection was closed"));
    match loses {
        Some(Lost::Request) => lost(),
        Some(Lost::Answer) => write(state).and_then(|()| lost()),
        None => write(state),
    }
}

/// Whether the thing is still such that the plan's change of it is the same.
fn accepted(state: &State, step: &Step, request: Request) -> Result<(), DriverError> {
    let found = state.things.get(&step.resource.id.address.name);
    let fits = match (request, found) {
        (Request::Make, None) => true,
        (Request::Make, Some(_)) | (Request::Change | Request::Delete, None) => false,
        (Request::Change, Some(found)) => {
            same(found, step) && (revision(found, step) || unmoved(found, step, state.secret))
        }
        (Request::Delete, Some(found)) => same(found, step),
    };
    let stale = || DriverError::new(format!("writing {}", step.resource.id), "it was changed meanwhile");
    if fits { Ok(()) } else { Err(stale().fault(Fault::Stale)) }
}

/// Whether it is the thing that the plan saw; what this very run has made before has no stamp in the plan.
fn same(found: &Thing, step: &Step) -> bool {
    step.expects().is_some_and(|stamp| stamp.uid.is_empty() || stamp.uid == found.made.to_string())
}

fn revision(found: &Thing, step: &Step) -> bool {
    step.expects().is_some_and(|stamp| stamp.revision == found.revision.to_string())
}

/// Whether the very same fields would still move the same way. What opens a bracket goes by its revision alone.
fn unmoved(found: &Thing, step: &Step, secret: &str) -> bool {
    let found = sealed(&found.body, &step.resource, secret);
    !opens(&step.resource) && moved(&found, &merged(&found, &step.resource)) == step.change.fields
}

fn written(before: Option<&Thing>, resource: &Resource, secret: &str) -> Value {
    let mut body = merged(before.map_or(&Value::Null, |thing| &thing.body), resource);
    if opens(resource) {
        body["state"] = json!("open");
    }
    for (place, _) in holes(resource) {
        body.pointer_mut(place).into_iter().for_each(|value| *value = json!(secret));
    }
    body
}

/// A body with a seal wherever the secret stands in a hole.
pub(crate) fn sealed(body: &Value, resource: &Resource, secret: &str) -> Value {
    let mut body = body.clone();
    for (place, seal) in holes(resource) {
        let values = body.pointer_mut(place).into_iter();
        values.filter(|value| **value == *secret).for_each(|value| value.clone_from(seal));
    }
    body
}

/// The places of a document that hold secrets, with what stands there in the document itself.
fn holes(resource: &Resource) -> impl Iterator<Item = (&str, &Value)> {
    let document = resource.want.document().into_iter();
    document.flat_map(|document| {
        document.holes.keys().filter_map(|place| Some((place.as_str(), document.body.pointer(place)?)))
    })
}

/// Whether a resource opens a bracket: what is wanted of it is that it was closed well.
pub(crate) fn opens(resource: &Resource) -> bool {
    resource.want.document().is_some_and(|document| document.body.get("state").is_some())
}

/// What a body is once a resource's fields are written into it.
pub(crate) fn merged(before: &Value, resource: &Resource) -> Value {
    let mut after = if before.is_object() { before.clone() } else { json!({}) };
    let wanted = resource.want.document().and_then(|document| document.body.as_object()).into_iter().flatten();
    wanted.for_each(|(key, value)| after[key] = value.clone());
    after
}

/// The fields that differ between two bodies.
pub(crate) fn moved(before: &Value, after: &Value) -> Vec<FieldChange> {
    let keys = after.as_object().into_iter().flatten().filter(|(key, value)| before.get(key) != Some(value));
    let change = |(key, value): (&String, &Value)| FieldChange::new(key, before.get(key).cloned(), Some(value.clone()));
    keys.map(change).collect()
}
