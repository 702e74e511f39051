//! The graph and what was seen of it to the plan: for every resource what will happen to it. Pure, total, deterministic.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::change::{Action, Change};
use crate::driver::{Driver, Drivers, Evidence, Observation, Settled, Stamp};
use crate::event::Failure;
use crate::graph::{ResourceGraph, Vertex};
use crate::observe::{Observations, Seen};
use crate::resource::{Address, Document, Part, Resource, ResourceId, Trigger, Want};

/// What will happen, resource by resource. Applying it has no choice left but for what is hidden.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The resources and what needs what.
    pub graph: ResourceGraph,
    /// For each resource of the graph, by its index, what happens to it.
    pub steps: Vec<Step>,
}

/// What happens to one resource.
#[derive(Debug, Clone)]
pub struct Step {
    /// The resource.
    pub resource: Arc<Resource>,
    /// What happens to it.
    pub change: Change,
    /// What was seen; kept only where something happens, for a write that must find it unchanged.
    pub seen: Observation,
    /// Whether it is as what comes after it needs it, without anything happening.
    pub settled: bool,
}

impl Step {
    /// What a write must find unchanged; `None` where the thing must not be there.
    pub fn expects(&self) -> Option<&Stamp> {
        match &self.seen {
            Observation::Present { stamp, .. } => Some(stamp),
            Observation::Absent | Observation::Unmoved | Observation::Hidden { .. } => None,
        }
    }
}

impl Plan {
    /// The steps in topological order.
    pub fn in_order(&self) -> impl Iterator<Item = &Step> {
        self.graph.resource_order().map(|index| &self.steps[index])
    }

    /// How many steps have an action.
    pub fn count(&self, action: Action) -> usize {
        self.steps.iter().filter(|step| step.change.action == action).count()
    }

    /// Whether carrying it out would write something.
    pub fn writes(&self) -> bool {
        self.steps.iter().any(|step| step.change.action.writes())
    }

    /// The steps that could not be begun now, and why: a plan that has one isn't worth beginning either.
    pub fn obstacles<W>(&self, drivers: &Drivers<W>) -> Vec<(ResourceId, Failure)> {
        let writing = self.steps.iter().filter(|step| step.change.action.writes());
        let obstacle =
            |step: &Step| Some((step.resource.id.clone(), drivers.get(step.resource.driver).obstacle(step)?.into()));
        writing.filter_map(obstacle).collect()
    }

    /// For each vertex, by its index, whether something that acts comes after it.
    pub fn awaited(&self) -> Vec<bool> {
        let mut awaited = vec![false; self.graph.size()];
        let order: Vec<_> = self.graph.order().collect();
        for &(node, _) in order.iter().rev() {
            awaited[node.index()] =
                self.graph.successors(node).any(|next| awaited[next.index()] || self.acts(self.graph.vertex(next)));
        }
        awaited
    }

    fn acts(&self, vertex: Vertex) -> bool {
        match vertex {
            Vertex::Start(index) => self.steps[index].change.action.writes(),
            Vertex::Close(scope) => self.steps[self.graph.scopes()[scope].owner].change.action.writes(),
            Vertex::Phase(_, _) | Vertex::Task(_) => false,
        }
    }
}

/// Decides for every resource, in topological order, so that a later one is compared with what earlier ones will have made.
pub fn plan<W>(graph: ResourceGraph, observations: Observations, drivers: &Drivers<W>) -> Plan {
    let mut decided: HashMap<ResourceId, Action> = HashMap::new();
    let mut foreseen: HashMap<&Address, Foreseen<'_>> = HashMap::new();
    let mut seen: Vec<Option<Seen>> = observations.into_iter().map(Some).collect();
    let mut steps: Vec<Option<Step>> = vec![None; seen.len()];
    for index in graph.resource_order() {
        let resource = &graph.resources()[index];
        let driver = drivers.get(resource.driver);
        let Some(Seen { observation, change }) = seen[index].take() else { continue };
        let (observation, changed) = with_foresight(resource, observation, foreseen.get(&resource.id.address).copied());
        let idle = idle(resource, &decided);
        let change = match change {
            _ if idle => Change::of(Action::Keep),
            Some(known) if !changed => known,
            Some(_) | None => change_of(driver, resource, &observation),
        };
        if let Some(made) = foresee(resource, change.action) {
            foreseen.entry(&resource.id.address).or_insert(made);
        }
        decided.insert(resource.id.clone(), change.action);
        steps[index] = Some(step(driver, resource, change, observation, idle));
    }
    Plan { steps: steps.into_iter().flatten().collect(), graph }
}

/// What must happen to one resource by itself, whatever else happens.
pub(crate) fn change_of<W>(driver: &dyn Driver<W>, resource: &Resource, seen: &Observation) -> Change {
    match (&resource.want, seen) {
        (Want::Existing(_), Observation::Present { .. } | Observation::Unmoved) => {
            Change::of(Action::Keep).because("left as it is")
        }
        (_, Observation::Unmoved) => Change::of(Action::Keep),
        (Want::Absent, Observation::Absent) => Change::of(Action::Keep).because("is gone"),
        (Want::Present(_) | Want::Existing(_) | Want::Absent, _) => driver.diff(resource, seen),
    }
}

/// Whether a resource follows a leader that does nothing: it isn't asked for then, and nobody waits for it either.
fn idle(resource: &Resource, decided: &HashMap<ResourceId, Action>) -> bool {
    match &resource.trigger {
        Trigger::With(leader) => !decided.get(leader).is_some_and(|action| action.writes()),
        Trigger::Differs => false,
    }
}

/// What an earlier step will have made of a thing when the turn of a later one comes.
#[derive(Clone, Copy)]
enum Foreseen<'a> {
    /// It will be there, as the document has it.
    Made(&'a Document),
    /// It will be ours, as the document has it.
    Adopted(&'a Document),
}

fn foresee(resource: &Resource, action: Action) -> Option<Foreseen<'_>> {
    match (&resource.id.part, action) {
        (Part::Whole | Part::Fields(_), Action::Create) => Some(Foreseen::Made(resource.want.document()?)),
        (Part::Adoption, Action::Update) => Some(Foreseen::Adopted(resource.want.document()?)),
        (Part::Whole | Part::Adoption | Part::Fields(_), _) => None,
    }
}

/// What will be there when the turn of a resource comes, and whether that is something else than what was seen.
fn with_foresight(resource: &Resource, seen: Observation, foreseen: Option<Foreseen<'_>>) -> (Observation, bool) {
    match (&resource.id.part, &seen, foreseen) {
        (Part::Adoption | Part::Fields(_), Observation::Absent, Some(Foreseen::Made(document))) => {
            let live = Arc::new(document.body.clone());
            (Observation::Present { live, stamp: Stamp::default(), predicted: None }, true)
        }
        (
            Part::Whole | Part::Fields(_),
            Observation::Present { live, stamp, predicted },
            Some(Foreseen::Adopted(document)),
        ) => {
            let mut live = Value::clone(live);
            merge(&mut live, &document.body);
            let live = Arc::new(live);
            (Observation::Present { live, stamp: stamp.clone(), predicted: predicted.clone() }, true)
        }
        _ => (seen, false),
    }
}

/// Puts every value of a document into a thing.
fn merge(thing: &mut Value, document: &Value) {
    match (thing, document) {
        (Value::Object(thing), Value::Object(document)) => {
            for (key, value) in document {
                merge(thing.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (thing, value) => thing.clone_from(value),
    }
}

fn step<W>(driver: &dyn Driver<W>, resource: &Arc<Resource>, change: Change, seen: Observation, idle: bool) -> Step {
    let evidence = match &seen {
        Observation::Present { live, .. } => Evidence { live: Some(Arc::clone(live)) },
        Observation::Absent | Observation::Unmoved | Observation::Hidden { .. } => Evidence::default(),
    };
    let wanted = resource.want.is_something();
    let settled = !change.action.writes() && (idle || !wanted || driver.settled(resource, &evidence) == Settled::Yes);
    // A live document is large; only a step that writes, or may yet, needs it again.
    let may_write = change.action.writes() || change.unless_agreed.is_some();
    let seen = if may_write { seen } else { Observation::Absent };
    Step { resource: Arc::clone(resource), change, seen, settled }
}
