//! What must be true of the world before a resource may be written, worked out without the engine's graph.

use std::collections::BTreeMap;

use cfrt_engine::compile::Expanded;
use cfrt_engine::resource::{Bracket, Need, Resource, ResourceId, Trigger, Want};
use cfrt_engine::task::TaskId;

use super::driver::{At, Behaviour};
use super::text;
use super::world::State;

/// The resources, brackets and tasks of a run.
pub(crate) struct Rules {
    resources: BTreeMap<String, Resource>,
    brackets: Vec<Bracket>,
    after: BTreeMap<TaskId, Vec<TaskId>>,
}

type Behaviours<'a> = &'a dyn Fn(&str) -> Option<Behaviour>;

impl Rules {
    pub(crate) fn of(tasks: &[Expanded]) -> Self {
        let resources = tasks.iter().flat_map(|task| &task.expansion.resources);
        Self {
            resources: resources.map(|resource| (text::name(&resource.id), resource.clone())).collect(),
            brackets: tasks.iter().flat_map(|task| task.expansion.brackets.clone()).collect(),
            after: tasks.iter().map(|task| (task.id.clone(), task.after.clone())).collect(),
        }
    }

    /// What a resource that is written now should have waited for.
    pub(crate) fn too_early(&self, name: &str, state: &State, behaviours: Behaviours<'_>) -> Vec<String> {
        let resource = &self.resources[name];
        let mut before: Vec<&ResourceId> = Vec::new();
        for need in &resource.needs {
            match need {
                Need::Resource(id) => before.push(id),
                Need::Task(task) => before.extend(self.of_task(task)),
            }
        }
        before.extend(self.after[&resource.task].iter().flat_map(|task| self.of_task(task)));
        let open = self.around(&resource.id);
        let phases = open.iter().flat_map(|(bracket, phase)| bracket.phases[..*phase].iter().flatten());
        before.extend(phases);
        before.retain(|id| !open.iter().any(|(bracket, _)| bracket.owner == **id));
        let late = before.into_iter().filter(|id| !self.settled(id, state, behaviours));
        let closed = open.iter().filter(|(bracket, _)| !state.things.contains_key(&bracket.owner.address.name));
        let late = late.map(|id| format!("{name} before {} was settled", text::name(id)));
        late.chain(closed.map(|(bracket, _)| format!("{name} before {} was open", bracket.owner))).collect()
    }

    fn of_task<'a>(&'a self, task: &'a TaskId) -> impl Iterator<Item = &'a ResourceId> {
        self.resources.values().filter(move |resource| resource.task == *task).map(|resource| &resource.id)
    }

    /// The brackets around a resource, with the phase that it is in.
    fn around(&self, id: &ResourceId) -> Vec<(&Bracket, usize)> {
        let phase = |bracket: &Bracket| bracket.phases.iter().position(|phase| phase.contains(id));
        let inner = self.brackets.iter().find_map(|bracket| phase(bracket).map(|phase| (bracket, phase)));
        let Some((bracket, phase)) = inner else { return Vec::new() };
        let mut around = vec![(bracket, phase)];
        around.extend(self.around(&bracket.owner));
        around
    }

    fn settled(&self, id: &ResourceId, state: &State, behaviours: Behaviours<'_>) -> bool {
        let resource = &self.resources[&text::name(id)];
        let behaviour = behaviours(&text::name(id)).unwrap_or_default();
        let members = self.brackets.iter().filter(|bracket| bracket.owner == *id).flat_map(|bracket| &bracket.phases);
        let itself = match (state.things.get(&id.address.name), &resource.want, &resource.trigger) {
            (None, Want::Absent, _) | (None, _, Trigger::With(_)) => true,
            (None, Want::Present(_) | Want::Existing(_), Trigger::Differs) | (Some(_), Want::Absent, _) => false,
            (Some(thing), Want::Present(_) | Want::Existing(_), _) => {
                let closed = thing.body.get("state").is_none_or(|state| state == "closed");
                closed && thing.followed >= behaviour.settles_after && !behaviour.fails.contains(&At::Settle)
            }
        };
        itself && members.flatten().all(|member| self.settled(member, state, behaviours))
    }
}
