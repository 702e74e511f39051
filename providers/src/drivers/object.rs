//! The driver of Kubernetes objects: any kind, read by lists, compared field by field, written by server-side apply.

use std::sync::Arc;

use cfrt_engine::change::{Action, Change, FieldChange};
use cfrt_engine::driver::{Applied, Driver, DriverError, Effect, Evidence, Observation, Predicted, Settled, Wanted};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Document, Part, Resource, Want};
use cfrt_engine::task::{Answer, Question};
use futures::stream::{self, BoxStream, StreamExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::kube::argo;
use crate::kube::around::with_surroundings;
use crate::kube::autoscale::is_autoscaled;
use crate::kube::cause::explained;
use crate::kube::compare::compare;
use crate::kube::difference::difference;
use crate::kube::fields::has_written;
use crate::kube::gvk::Gvk;
use crate::kube::holding::holding;
use crate::kube::look::{key, look};
use crate::kube::meanwhile::evidence;
use crate::kube::path::lies_in;
use crate::kube::settle::settled;
use crate::kube::write::Target;
use crate::undo::{self, UndoQuestion};
use crate::world::World;

pub mod adoption;
pub mod origin;
mod tracked;

use origin::{LastApplied, was_applied, with_last, with_origin};
use tracked::{other_keeper, unless_kept_by_others};

/// The field manager of objects that belong to no chart.
pub const OWN: &str = "cfrt";

/// The field manager of a chart's objects, as helm calls itself.
pub const HELM: &str = "helm";

/// How an object is taken over from others: by a part of its own.
pub const APART: &str = "apart";

/// What holds any Kubernetes object.
pub struct Object;

impl Object {
    /// The settings of a resource whose fields are written under a manager's name.
    pub fn settings(manager: &str) -> Value {
        json!({ "manager": manager })
    }

    /// The settings of an object of a chart: what was applied last of it, and which fields an earlier document named that this
    /// one doesn't.
    pub fn settings_of_chart(last: &LastApplied, dropped: &[String]) -> Value {
        with_last(json!({ "manager": HELM, "dropped": dropped }), last)
    }

    /// The same where others may have the object: how it is taken over from them, in the words of the file or [`APART`].
    pub fn settings_taken(settings: Value, taken: Option<&str>) -> Value {
        let mut settings = settings;
        if let Some(taken) = taken {
            settings["taken"] = taken.into();
        }
        settings
    }

    /// The settings of an object that is ours alone: one that someone else has made is theirs.
    pub fn settings_of_ours() -> Value {
        json!({ "manager": OWN, "ours": true })
    }

    /// The settings of an object that a release no longer has.
    pub fn settings_of_removed(release: &str, namespace: &str, last: &LastApplied) -> Value {
        with_last(json!({ "manager": HELM, "release": [release, namespace] }), last)
    }

    async fn write(&self, world: &World, step: &Step) -> Result<Applied, DriverError> {
        if step.resource.id.part == Part::Adoption {
            return adoption::apply(world, step).await;
        }
        let target = Target::new(world, &step.resource, manager(&step.resource))?;
        match (step.change.action, step.resource.want.document()) {
            (Action::Create, Some(document)) => drop(target.create(document).await?),
            (Action::Update | Action::Migrate, Some(document)) => {
                drop(target.update(step, document, |resource, seen| self.diff(resource, seen)).await?);
            }
            (Action::Delete, _) => target.remove(step, |resource, seen| self.diff(resource, seen)).await?,
            (Action::Replace, Some(document)) => {
                drop(target.replace(step, document, |resource, seen| self.diff(resource, seen)).await?);
            }
            (Action::Keep | Action::Refuse, _) | (_, None) => return Ok(Applied::default()),
        }
        Ok(Applied { wrote: true, memo: Value::Null })
    }
}

fn manager(resource: &Resource) -> &str {
    resource.settings["manager"].as_str().unwrap_or(OWN)
}

impl Driver<World> for Object {
    fn name(&self) -> &'static str {
        "object"
    }

    fn answer<'a>(&'a self, world: &'a World, question: &'a Question) -> Effect<'a, Answer> {
        Box::pin(async move {
            if let Ok(question) = UndoQuestion::deserialize(&question.about) {
                return Ok(Arc::new(undo::read(world, &question).await?) as Answer);
            }
            let seal = crate::secrets::seal(world, &question.about).await?;
            Ok(Arc::new(seal) as Answer)
        })
    }

    fn observe<'a>(&'a self, world: &'a World, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        Box::pin(look(world, wanted, manager))
    }

    fn diff(&self, resource: &Resource, seen: &Observation) -> Change {
        with_origin(resource, seen, change(resource, seen))
    }

    fn apply<'a>(&'a self, world: &'a World, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(world.in_turn(&step.resource, self.write(world, step)))
    }

    fn follow<'a>(&'a self, world: &'a World, resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
        if settles_at_once(resource) {
            return stream::empty().boxed();
        }
        let Ok(target) = Target::new(world, resource, OWN) else { return stream::empty().boxed() };
        let seen = world.watches.follow(&world.kube, target.kind(), key(resource));
        let seen = seen.then(move |live| async move { evidence(world, resource, manager(resource), live?).await });
        match resource.want.is_something() {
            true => with_surroundings(world, resource, settled, seen.boxed()),
            false => seen.boxed(),
        }
    }

    fn settled(&self, resource: &Resource, seen: &Evidence) -> Settled {
        match (&resource.want, &seen.live) {
            _ if resource.id.part == Part::Adoption => Settled::Yes,
            (Want::Absent, None) => Settled::Yes,
            (Want::Absent, Some(live)) => Settled::Waiting(holding(live).into()),
            (Want::Present(_) | Want::Existing(_), live) => explained(settled(live.as_deref()), seen),
        }
    }
}

/// What must happen to an object, whichever side has moved.
fn change(resource: &Resource, seen: &Observation) -> Change {
    if resource.id.part == Part::Adoption {
        return adoption::change(resource, seen);
    }
    match (&resource.want, seen) {
        (_, Observation::Unmoved) => Change::of(Action::Keep),
        (Want::Absent, Observation::Present { live, .. }) => removal(resource, live),
        (Want::Absent, Observation::Absent | Observation::Hidden { .. }) => Change::of(Action::Keep),
        (_, Observation::Absent) => Change::of(Action::Create),
        (_, Observation::Hidden { behind }) => {
            Change::of(Action::Create).because(format!("hidden behind {}", behind.address.short()))
        }
        (Want::Present(document) | Want::Existing(document), Observation::Present { live, predicted, .. }) => {
            let compared = || compared(resource, document, live, predicted.as_ref());
            match obstacle(resource, document, live) {
                // What was ours shows what someone made of it.
                Some(refused) if refused.action == Action::Refuse && was_applied(resource) => {
                    Change { fields: compared().fields, ..refused }
                }
                Some(left) => left,
                // Our own comparison calls different what the server may call equal.
                None if predicted.is_some() => {
                    let change = left_to_others(resource, live, compared());
                    unless_kept_by_others(resource, &document.body, live, change)
                }
                None => compared(),
            }
        }
    }
}

/// Most kinds are what they should be as soon as they are stored; watching them would be a request for nothing.
pub(crate) fn settles_at_once(resource: &Resource) -> bool {
    let gvk = Gvk::of_address(&resource.id.address);
    let slow = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Namespace" | "Pod" | "PersistentVolumeClaim")
        | ("apps" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _)
        | ("batch", "Job") => true,
        ("", "Service") => is_to_be_reached_from_outside(resource),
        ("argoproj.io", kind) => argo::is_awaited(kind),
        _ => false,
    };
    resource.id.part == Part::Adoption || resource.want.is_something() && !slow
}

fn is_to_be_reached_from_outside(resource: &Resource) -> bool {
    resource.want.document().is_some_and(|document| document.body["spec"]["type"] == "LoadBalancer")
}

fn removal(resource: &Resource, live: &Value) -> Change {
    let keep = |reason: String| Change::of(Action::Keep).because(format!("no longer in the chart, {reason}"));
    match owner(live) {
        Some((release, namespace)) if resource.settings["release"] != json!([release, namespace]) => {
            return keep(format!("and by now it belongs to release {namespace}/{release}"));
        }
        None if !is_known_to_helm(live) => {
            return keep("and by now it is someone else's: no release made it".to_owned());
        }
        // A hook's object, say, or one that someone wants to keep.
        None => return keep("and by now it doesn't say any more that it belongs to this release".to_owned()),
        Some(_) => {}
    }
    if let Some(keeper) = other_keeper(live, None) {
        return keep(format!("and by now {keeper} keeps it"));
    }
    if is_kept_by_policy(live) {
        return keep("kept by its resource policy".to_owned());
    }
    let deletion = Change::of(Action::Delete).because("no longer in the chart");
    if !holds_much(live) {
        return deletion;
    }
    let kind = live["kind"].as_str().unwrap_or_default();
    deletion.unless_agreed(format!(
        "no longer in the chart, but a {kind} is not deleted: what it holds would go with it; delete it by hand, annotate it with \
         helm.sh/resource-policy: keep,\nor agree: {}",
        agreement("delete", resource)
    ))
}

/// Whether more goes with an object than what its document says.
fn holds_much(live: &Value) -> bool {
    let kind = live["kind"].as_str().unwrap_or_default();
    let claims = live.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    matches!(kind, "CustomResourceDefinition" | "Namespace" | "PersistentVolumeClaim")
        || claims.is_some_and(|claims| !claims.is_empty())
}

fn is_kept_by_policy(live: &Value) -> bool {
    live.pointer("/metadata/annotations/helm.sh~1resource-policy").is_some_and(|policy| policy == "keep")
}

/// How the file agrees to what is refused without that.
fn agreement(action: &str, resource: &Resource) -> String {
    format!("[[policy.allow]] action = \"{action}\", resource = \"{}\", reason = \"…\"", resource.id.address.short())
}

/// The change of an object of which fields that stay as they were made are to be others.
fn replacement(resource: &Resource, live: &Value, fields: Vec<FieldChange>, immutable: &[String]) -> Change {
    let named = immutable.join(", ");
    let replaced = Change { fields, ..Change::of(Action::Replace).because(format!("{named} can't change")) };
    if !holds_much(live) && !is_kept_by_policy(live) {
        return replaced;
    }
    let kind = live["kind"].as_str().unwrap_or_default();
    replaced.unless_agreed(format!(
        "{named} can't change, and a {kind} is not deleted and made again: what it holds would go with it;\nagree: {}",
        agreement("replace", resource)
    ))
}

/// A change, but for one of what is to be ours and someone else has made. One that is as we want it already may stay.
fn left_to_others(resource: &Resource, live: &Value, change: Change) -> Change {
    let is_theirs = resource.settings["ours"] == true && !has_written(live, OWN);
    if change.action != Action::Update || !is_theirs {
        return change;
    }
    let reason = "it is there already, and someone else made it; delete it by hand if nothing else needs it";
    Change { action: Action::Refuse, ..change }.because(reason)
}

/// What stands in the way of writing an object at all.
fn obstacle(resource: &Resource, document: &Document, live: &Value) -> Option<Change> {
    let refuse = |reason: String| Some(Change::of(Action::Refuse).because(reason));
    let (ours, theirs) = (owner(&document.body), owner(live));
    if resource.settings["taken"] == APART && ours.is_some() && ours != theirs {
        // Said once, by the part that would take it over.
        return Some(Change::of(Action::Keep).because("left as it is while it belongs to someone else"));
    }
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return refuse(holding(live));
    }
    if manager(resource) != HELM {
        return None;
    }
    match (ours, theirs) {
        (None, _) => None,
        (Some(ours), Some(theirs)) if ours == theirs => None,
        (Some(_), Some((release, namespace))) => {
            refuse(format!("it belongs to release {namespace}/{release}{}", how_to_take(resource)))
        }
        // Someone took the annotations away: the release had it, and the fields still say so. What helm makes of hooks, and of
        // the definitions in `crds/`, has none either, and is not the release's.
        (Some(_), None) if is_known_to_helm(live) && was_applied(resource) => None,
        (Some(_), None) => {
            let made = other_keeper(live, None)
                .map_or_else(|| "no release made it".to_owned(), |keeper| format!("{keeper} keeps it"));
            refuse(format!("it is there already, and {made}{}", how_to_take(resource)))
        }
    }
}

fn is_known_to_helm(live: &Value) -> bool {
    let managers = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    managers.into_iter().any(|entry| entry["manager"] == HELM)
}

/// Definitions of others can be taken over; that is for the file to say, and its kind knows how.
fn how_to_take(resource: &Resource) -> String {
    let says = resource.settings["taken"].as_str();
    says.map_or_else(String::new, |says| format!("; `[crds] adopt = {says}` takes it over"))
}

/// The name and namespace of the release that an object says it belongs to.
pub(super) fn owner(object: &Value) -> Option<(String, String)> {
    let annotation = |name: &str| {
        object["metadata"]["annotations"][format!("meta.helm.sh/release-{name}")].as_str().map(str::to_owned)
    };
    annotation("name").zip(annotation("namespace"))
}

fn compared(resource: &Resource, document: &Document, live: &Value, predicted: Option<&Predicted>) -> Change {
    let compared = compare(document, live, manager(resource));
    let fields = match predicted {
        Some(Predicted::Refused(why)) => {
            return Change {
                fields: compared.fields,
                ..Change::of(Action::Refuse).because(format!("the API server refuses it: {why}"))
            };
        }
        Some(Predicted::Immutable(immutable)) => return replacement(resource, live, compared.fields, immutable),
        Some(Predicted::Live(predicted)) if compared.hides_removals => {
            with_removals(difference(live, predicted), &compared.fields, resource, document, live)
        }
        Some(Predicted::Live(predicted)) => difference(live, predicted),
        // A value that is only to be taken back is nothing to show where nobody confirms it.
        Some(Predicted::NotPermitted) => {
            compared.fields.into_iter().filter(|field| field.before != field.after).collect()
        }
        // Ownership that is yet to be migrated doesn't say what an earlier document named.
        None if compared.migrate => with_removals(compared.fields, &[], resource, document, live),
        None => compared.fields,
    };
    // What is ours by its annotations alone, as after an adoption, would need a dry run in each plan until we applied it.
    let is_adopted = compared.foreign && owner(live).is_some() && owner(live) == owner(&document.body);
    match (compared.migrate || is_adopted, fields.is_empty()) {
        (true, true) => Change::of(Action::Migrate).because("its fields move to server-side apply"),
        // The reason keeps it from being taken for proved: it ends with the autoscaler, of which the object shows nothing.
        (_, true) if is_autoscaled(live) => Change::of(Action::Keep).because("an autoscaler looks after its replicas"),
        (_, _) => Change::of_fields(fields),
    }
}

/// Adds the fields that are still there although the document no longer names them, as an earlier one did, or as our own
/// comparison found.
fn with_removals(
    fields: Vec<FieldChange>,
    found: &[FieldChange],
    resource: &Resource,
    document: &Document,
    live: &Value,
) -> Vec<FieldChange> {
    let dropped = resource.settings["dropped"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let found = found.iter().filter(|field| removes(field)).map(|field| field.path.as_str());
    let named: Vec<&str> = dropped.chain(found).collect();
    if named.is_empty() {
        return fields;
    }
    let mut removals = difference(live, &document.body);
    let told = |path: &str| fields.iter().any(|field| lies_in(path, &field.path));
    removals.retain(|field| removes(field) && named.contains(&field.path.as_str()) && !told(&field.path));
    // A null is never stored.
    removals.iter_mut().for_each(|field| field.after = field.after.take().filter(|after| !after.is_null()));
    [fields, removals].concat()
}

/// Whether nothing of what is there is to stay: a null says that, too, and a list or a map without anything in it.
fn removes(field: &FieldChange) -> bool {
    match &field.after {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(_) => false,
    }
}
