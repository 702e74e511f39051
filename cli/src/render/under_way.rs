//! What is under way in a run, and since when: a fold over its events.

use std::collections::BTreeSet;
use std::time::Duration;

use cfrt_engine::change::Action;
use cfrt_engine::event::Event;
use cfrt_engine::plan::Plan;
use cfrt_engine::resource::ResourceId;

/// What is under way, the longest first.
#[derive(Debug, Clone)]
pub(super) struct UnderWay {
    /// The owners of brackets: under way from the first to the last, and so no news.
    owners: BTreeSet<ResourceId>,
    pub(super) entries: Vec<Entry>,
}

/// One step that has begun and not ended.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Whose step.
    pub(super) id: ResourceId,
    /// When it began, by the run's own clock.
    pub(super) since: Duration,
    /// How far it is.
    pub(super) stage: Stage,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being written, or nothing was seen of it yet.
    Acting(Action),
    /// It is waited for, and this is lacking.
    Waiting(String),
}

impl UnderWay {
    /// Nothing of a plan yet.
    pub(super) fn new(plan: &Plan) -> Self {
        let owners = plan.graph.scopes().iter().map(|scope| plan.steps[scope.owner].resource.id.clone());
        Self { owners: owners.collect(), entries: Vec::new() }
    }

    /// Takes an event into account.
    pub(super) fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Started { resource, action, .. } => self.set(resource, Stage::Acting(*action), now),
            Event::Waiting { resource, lacking, .. } => self.set(resource, Stage::Waiting(lacking.clone()), now),
            Event::Finished { resource, .. } => self.entries.retain(|entry| entry.id != *resource),
            Event::Revealed { .. } => {}
        }
    }

    fn set(&mut self, id: &ResourceId, stage: Stage, now: Duration) {
        match self.entries.iter_mut().find(|entry| entry.id == *id) {
            Some(entry) => entry.stage = stage,
            None if self.owners.contains(id) => {}
            None => self.entries.push(Entry { id: id.clone(), since: now, stage }),
        }
    }
}
