//! What must be true of the world before a resource may be written, worked out without the engine's graph.

use std::collections::BTreeMap;

use cfrt_engine::compile::Expanded;
use cfrt_engine::resource::{Bracket, Need, Part, Resource, ResourceId, Trigger, Want};
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
        let late = self.direct(name).into_iter().filter(|id| !self.settled(id, state, behaviours));
        let late = late.map(|id| format!("{name} before {} was settled", text::name(id)));
        let around = self.around(&self.resources[name].id);
        let closed = around.iter().filter(|(bracket, _)| !state.things.contains_key(&bracket.owner.address.name));
        late.chain(closed.map(|(bracket, _)| format!("{name} before {} was open", bracket.owner))).collect()
    }

    /// Everything that must come before a resource in any order: what it needs, with what is inside, and what it is in.
    pub(crate) fn before(&self, name: &str) -> Vec<&ResourceId> {
        let mut before = self.direct(name);
        let mut next = 0;
        while let Some(id) = before.get(next).copied() {
            before.extend(self.members(id));
            next += 1;
        }
        before.extend(self.around(&self.resources[name].id).into_iter().map(|(bracket, _)| &bracket.owner));
        before
    }

    /// What must be settled before a resource starts.
    fn direct(&self, name: &str) -> Vec<&ResourceId> {
        let resource = &self.resources[name];
        let mut before: Vec<&ResourceId> = Vec::new();
        for need in &resource.needs {
            match need {
                Need::Resource(id) => before.push(id),
                Need::Task(task) => before.extend(self.of_task(task)),
            }
        }
        before.extend(self.after[&resource.task].iter().flat_map(|task| self.of_task(task)));
        let around = self.around(&resource.id);
        before.extend(around.iter().flat_map(|(bracket, phase)| bracket.phases[..*phase].iter().flatten()));
        before.retain(|id| !around.iter().any(|(bracket, _)| bracket.owner == **id));
        before
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

    fn members<'a>(&'a self, owner: &'a ResourceId) -> impl Iterator<Item = &'a ResourceId> {
        let brackets = self.brackets.iter().filter(move |bracket| bracket.owner == *owner);
        brackets.flat_map(|bracket| bracket.phases.iter().flatten())
    }

    fn settled(&self, id: &ResourceId, state: &State, behaviours: Behaviours<'_>) -> bool {
        let resource = &self.resources[&text::name(id)];
        let behaviour = behaviours(&text::name(id)).unwrap_or_default();
        let idle = match &resource.trigger {
            Trigger::With(leader) => {
                let leader = state.things.get(&leader.address.name);
                leader.is_some_and(|leader| leader.body.get("state").is_some_and(|state| state == "closed"))
            }
            Trigger::Differs => false,
        };
        let itself = idle
            || match (state.things.get(&id.address.name), &resource.want, &resource.trigger) {
                (None, _, _) if id.part == Part::Adoption => true,
                (None, Want::Absent, _) | (None, _, Trigger::With(_)) => true,
                (None, Want::Present(_) | Want::Existing(_), Trigger::Differs) | (Some(_), Want::Absent, _) => false,
                (Some(thing), Want::Present(_) | Want::Existing(_), _) => {
                    let closed = thing.body.get("state").is_none_or(|state| state == "closed");
                    closed && thing.followed >= behaviour.settles_after && !behaviour.fails.contains(&At::Settle)
                }
            };
        let under_way = state.under_way.contains(&text::name(id));
        itself && !under_way && self.members(id).all(|member| self.settled(member, state, behaviours))
    }
}
