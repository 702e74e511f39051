//! One line of text to the expanded tasks that a graph is built of.
//!
//! ```text
//! a -> b c                     a needs b and c; who is named is there, but for a name with `!` before it
//! release[pre | x y | post]    release is a bracket around three phases
//! hook with release -> a       hook acts because release does
//! late after early: x -> @ops  what follows belongs to the task late, which comes after early; x needs all of the task ops
//! crd(adoption)                another part of the thing crd
//! ```

use std::collections::BTreeMap;

use cfrt_engine::compile::Expanded;
use cfrt_engine::resource::{
    Address, Bracket, Document, LazyDocument, Need, Part, Resource, ResourceId, Trigger, Want,
};
use cfrt_engine::task::{Expansion, TaskId};
use serde_json::{Value, json};

/// The driver of every resource that a text names.
pub(crate) const DRIVER: &str = "map";

/// The tasks that a text describes; what stands before any header belongs to the task `main`.
pub(crate) fn tasks(text: &str) -> Vec<Expanded> {
    let mut reader = Reader::default();
    for statement in text.split([';', '\n']).map(str::trim).filter(|statement| !statement.is_empty()) {
        reader.statement(statement);
    }
    reader.tasks
}

/// The id of a name in a text.
pub(crate) fn id(name: &str) -> ResourceId {
    let (name, part) = match name.split_once('(') {
        None => (name, Part::Whole),
        Some((name, "adoption)")) => (name, Part::Adoption),
        Some((name, _)) => (name, Part::Fields("status")),
    };
    ResourceId { address: Address::new("node", "", name), part }
}

/// The name of an id in a text.
pub(crate) fn name(id: &ResourceId) -> String {
    id.to_string().trim_start_matches("node ").replace(" (", "(")
}

/// The id of the task of a name.
pub(crate) fn task(name: &str) -> TaskId {
    TaskId { kind: "task", name: name.to_owned() }
}

/// The resource of a name, to be changed.
pub(crate) fn resource<'a>(tasks: &'a mut [Expanded], name: &str) -> &'a mut Resource {
    let mut all = tasks.iter_mut().flat_map(|task| &mut task.expansion.resources);
    all.find(|resource| resource.id == id(name)).expect("the text names it")
}

/// A document without holes.
pub(crate) fn document(body: Value) -> LazyDocument {
    Document { body, ..Document::default() }.into()
}

#[derive(Default)]
struct Reader {
    tasks: Vec<Expanded>,
    /// Where each resource stands: in which task, and at which place there.
    places: BTreeMap<ResourceId, (usize, usize)>,
}

impl Reader {
    fn statement(&mut self, statement: &str) {
        let body = match statement.split_once(':') {
            Some((header, body)) => {
                self.header(header);
                body.trim()
            }
            None => statement,
        };
        if self.tasks.is_empty() {
            self.header("main");
        }
        if let Some((owner, phases)) = body.strip_suffix(']').and_then(|body| body.split_once('[')) {
            self.bracket(owner, phases);
        } else if body.contains("->") || body.contains(" with ") {
            self.needs(body);
        } else {
            body.split_whitespace().for_each(|name| drop(self.declare(name)));
        }
    }

    fn header(&mut self, header: &str) {
        let (name, after) = header.split_once(" after ").unwrap_or((header, ""));
        let after = after.split_whitespace().map(task).collect();
        self.tasks.push(Expanded { id: task(name.trim()), after, expansion: Expansion::default() });
    }

    fn bracket(&mut self, owner: &str, phases: &str) {
        let owner = self.declare(owner);
        let phase =
            |reader: &mut Self, names: &str| names.split_whitespace().map(|name| reader.declare(name)).collect();
        let phases = phases.split('|').map(|names| phase(self, names)).collect();
        // Like a release's record, what is wanted of it is that it was closed well.
        self.resource(&owner).want = Want::Present(document(json!({ "state": "closed" })));
        self.last().brackets.push(Bracket { owner, phases });
    }

    fn needs(&mut self, body: &str) {
        let (subject, needs) = body.split_once("->").unwrap_or((body, ""));
        let (subject, leader) = subject.split_once(" with ").unwrap_or((subject, ""));
        let subject = self.declare(subject.trim());
        let needs: Vec<Need> = needs.split_whitespace().map(|need| self.need(need)).collect();
        let leader = Some(leader.trim()).filter(|leader| !leader.is_empty()).map(|leader| self.declare(leader));
        let resource = self.resource(&subject);
        resource.needs.extend(needs);
        if let Some(leader) = leader {
            resource.trigger = Trigger::With(leader);
        }
    }

    fn need(&mut self, need: &str) -> Need {
        match need.strip_prefix('@') {
            Some(name) => Need::Task(task(name)),
            None => Need::Resource(self.declare(need)),
        }
    }

    fn declare(&mut self, name: &str) -> ResourceId {
        if let Some(missing) = name.strip_prefix('!') {
            return id(missing);
        }
        if !self.places.contains_key(&id(name)) {
            let task = self.tasks.last().expect("there is a task");
            self.places.insert(id(name), (self.tasks.len() - 1, task.expansion.resources.len()));
            let fresh = fresh(name, task.id.clone());
            self.last().resources.push(fresh);
        }
        id(name)
    }

    fn resource(&mut self, id: &ResourceId) -> &mut Resource {
        let (task, place) = self.places[id];
        &mut self.tasks[task].expansion.resources[place]
    }

    fn last(&mut self) -> &mut Expansion {
        &mut self.tasks.last_mut().expect("there is a task").expansion
    }
}

/// A resource of a name as a text describes it.
pub(crate) fn fresh(name: &str, task: TaskId) -> Resource {
    Resource {
        id: id(name),
        task,
        driver: DRIVER,
        want: Want::Present(document(json!({ "value": 1 }))),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    }
}
