//! Resources to the one graph: sound by construction, in an order that is the same on every run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::iter::successors;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::compile::Expanded;
use crate::resource::{Need, Resource, ResourceId, Trigger};
use crate::task::TaskId;

/// A node of the scheduling graph. Only `Start` and `Close` do something; the others join many edges into few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Vertex {
    /// A resource starts; by its index.
    Start(usize),
    /// A phase of a bracket is settled; by bracket and phase.
    Phase(usize, usize),
    /// A bracket closes; by its index.
    Close(usize),
    /// All of a task is settled; by its index.
    Task(usize),
}

/// A bracket with its members as indices.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The resource that opens and closes it.
    pub owner: usize,
    /// The members, phase by phase.
    pub phases: Vec<Vec<usize>>,
}

/// The resources and what needs what. One that exists has no missing need, no circle, and each resource once.
#[derive(Debug, Clone)]
pub struct ResourceGraph {
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Scope>,
    /// The bracket that a resource owns.
    owned: HashMap<usize, usize>,
    /// The bracket that a resource is in.
    around: HashMap<usize, usize>,
    graph: DiGraph<Vertex, ()>,
    order: Vec<NodeIndex>,
}

/// Why resources don't make a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two tasks, or two objects of one chart, claim the same resource.
    #[error("{0} is asked for twice, by {1} and by {2}")]
    Twice(String, String, String),
    /// A need, a bracket or a trigger names what isn't in the graph.
    #[error("{0} needs {1}, which nothing brings")]
    Missing(String, String),
    /// A resource opens two brackets, of which only one could be closed when it ends.
    #[error("{0} opens two brackets")]
    OpensTwo(String),
    /// A resource is in two brackets, neither of which is in the other, or twice in one.
    #[error("{0} is in a bracket of {1} and in one of {2}")]
    Shared(String, String, String),
    /// Resources that need each other in a circle, each needing the next, the last the first.
    #[error("these need each other in a circle: {}", .0.join(" → "))]
    Circle(Vec<String>),
}

impl ResourceGraph {
    /// Builds the graph of all tasks' resources.
    ///
    /// # Errors
    ///
    /// See [`GraphError`].
    pub fn new(tasks: Vec<Expanded>) -> Result<Self, GraphError> {
        let mut builder = Builder::default();
        for task in &tasks {
            builder.add_resources(task)?;
        }
        builder.connect(&tasks)?;
        let order = builder.order()?;
        let Builder { resources, scopes, owned, around, graph, .. } = builder;
        Ok(Self { resources, scopes, owned, around, graph, order })
    }

    /// The resources; their places are the indices that vertices name.
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The brackets; their places are the indices that vertices name.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// All vertices in topological order; of those that could come next, always the one that was added first.
    pub fn order(&self) -> impl DoubleEndedIterator<Item = (NodeIndex, Vertex)> + '_ {
        self.order.iter().map(|&node| (node, self.graph[node]))
    }

    /// The indices of the resources in topological order.
    pub fn resource_order(&self) -> impl Iterator<Item = usize> + '_ {
        self.order().filter_map(|(_, vertex)| if let Vertex::Start(index) = vertex { Some(index) } else { None })
    }

    /// What becomes possible once a vertex is done.
    pub fn successors(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.graph.neighbors_directed(node, Direction::Outgoing)
    }

    /// How many vertices must be done before this one.
    pub fn needs(&self, node: NodeIndex) -> usize {
        self.graph.neighbors_directed(node, Direction::Incoming).count()
    }

    /// How many vertices there are; every node's index is below.
    pub fn size(&self) -> usize {
        self.graph.node_count()
    }

    /// What a vertex stands for.
    pub fn vertex(&self, node: NodeIndex) -> Vertex {
        self.graph[node]
    }

    /// The bracket that a resource owns, if it owns one.
    pub fn owned_scope(&self, resource: usize) -> Option<usize> {
        self.owned.get(&resource).copied()
    }

    /// The innermost bracket that a resource is in, if it is in one.
    pub fn scope_around(&self, resource: usize) -> Option<usize> {
        self.around.get(&resource).copied()
    }
}

#[derive(Default)]
struct Builder {
    resources: Vec<Arc<Resource>>,
    places: HashMap<ResourceId, usize>,
    scopes: Vec<Scope>,
    owned: HashMap<usize, usize>,
    around: HashMap<usize, usize>,
    graph: DiGraph<Vertex, ()>,
    starts: Vec<NodeIndex>,
    /// For each resource the vertex after which it is settled: its start, or its bracket's close.
    ends: Vec<NodeIndex>,
    tasks: HashMap<TaskId, NodeIndex>,
}

impl Builder {
    fn add_resources(&mut self, task: &Expanded) -> Result<(), GraphError> {
        for resource in &task.expansion.resources {
            let index = self.resources.len();
            if let Some(earlier) = self.places.insert(resource.id.clone(), index) {
                let first = self.resources[earlier].task.to_string();
                return Err(GraphError::Twice(resource.id.to_string(), first, resource.task.to_string()));
            }
            let node = self.graph.add_node(Vertex::Start(index));
            self.starts.push(node);
            self.ends.push(node);
            self.resources.push(Arc::new(resource.clone()));
        }
        Ok(())
    }

    fn connect(&mut self, tasks: &[Expanded]) -> Result<(), GraphError> {
        for task in tasks {
            for bracket in &task.expansion.brackets {
                let owner = self.place(&bracket.owner, &bracket.owner)?;
                let phases =
                    bracket.phases.iter().map(|phase| phase.iter().map(|id| self.place(&bracket.owner, id)).collect());
                let phases = phases.collect::<Result<_, _>>()?;
                self.add_scope(Scope { owner, phases })?;
            }
        }
        (0..self.scopes.len()).for_each(|index| self.connect_scope(index));
        for (index, task) in tasks.iter().enumerate() {
            self.add_task(index, task)?;
        }
        for task in tasks {
            self.connect_task(task)?;
        }
        self.connect_needs()
    }

    fn add_scope(&mut self, scope: Scope) -> Result<(), GraphError> {
        let (index, name) = (self.scopes.len(), |resource: usize| self.resources[resource].id.to_string());
        if self.owned.insert(scope.owner, index).is_some() {
            return Err(GraphError::OpensTwo(name(scope.owner)));
        }
        for &member in scope.phases.iter().flatten() {
            if let Some(other) = self.around.insert(member, index) {
                return Err(GraphError::Shared(name(member), name(self.scopes[other].owner), name(scope.owner)));
            }
        }
        self.ends[scope.owner] = self.graph.add_node(Vertex::Close(index));
        self.scopes.push(scope);
        Ok(())
    }

    /// Needs every bracket's end: a member that opens a bracket itself is settled when that one is closed.
    fn connect_scope(&mut self, index: usize) {
        let Scope { owner, phases } = &self.scopes[index];
        let mut gate = self.starts[*owner];
        for (number, phase) in phases.iter().enumerate() {
            let after = self.graph.add_node(Vertex::Phase(index, number));
            self.graph.add_edge(gate, after, ());
            for &member in phase {
                self.graph.add_edge(gate, self.starts[member], ());
                self.graph.add_edge(self.ends[member], after, ());
            }
            gate = after;
        }
        self.graph.add_edge(gate, self.ends[*owner], ());
    }

    fn add_task(&mut self, index: usize, task: &Expanded) -> Result<(), GraphError> {
        let settled = self.graph.add_node(Vertex::Task(index));
        for resource in &task.expansion.resources {
            let end = self.ends[self.place(&resource.id, &resource.id)?];
            self.graph.add_edge(end, settled, ());
        }
        self.tasks.insert(task.id.clone(), settled);
        Ok(())
    }

    /// The task itself comes after the earlier ones too: one without resources passes on what it waits for.
    fn connect_task(&mut self, task: &Expanded) -> Result<(), GraphError> {
        let places = task.expansion.resources.iter().map(|resource| self.place(&resource.id, &resource.id));
        let starts = places.map(|place| Ok(self.starts[place?]));
        let mut later = starts.collect::<Result<Vec<_>, _>>()?;
        later.extend(self.tasks.get(&task.id));
        for settled in task.after.iter().filter_map(|earlier| self.tasks.get(earlier)) {
            for &later in &later {
                self.graph.add_edge(*settled, later, ());
            }
        }
        Ok(())
    }

    fn connect_needs(&mut self) -> Result<(), GraphError> {
        for (index, resource) in self.resources.iter().enumerate() {
            if let Trigger::With(leader) = &resource.trigger {
                self.place(&resource.id, leader)?;
            }
            for need in &resource.needs {
                let from = match need {
                    Need::Resource(id) => {
                        let target = self.place(&resource.id, id)?;
                        // A member needs the brackets around it open; anyone else needs them closed.
                        if self.encloses(target, index) { self.starts[target] } else { self.ends[target] }
                    }
                    Need::Task(id) => {
                        let missing = || GraphError::Missing(resource.id.to_string(), id.to_string());
                        *self.tasks.get(id).ok_or_else(missing)?
                    }
                };
                // Not `update_edge`, which walks all edges of what many need; an edge that is there twice is counted twice.
                self.graph.add_edge(from, self.starts[index], ());
            }
        }
        Ok(())
    }

    /// Whether a resource owns a bracket that another is in, at whatever depth.
    fn encloses(&self, owner: usize, member: usize) -> bool {
        let around = |member: &usize| self.around.get(member).map(|&scope| self.scopes[scope].owner);
        // No deeper than there are brackets: those that are in each other are told as a circle later.
        successors(around(&member), around).take(self.scopes.len()).any(|around| around == owner)
    }

    fn place(&self, needing: &ResourceId, id: &ResourceId) -> Result<usize, GraphError> {
        self.places.get(id).copied().ok_or_else(|| GraphError::Missing(needing.to_string(), id.to_string()))
    }

    /// Kahn's algorithm with a sorted ready set: petgraph's own order is not the same for the same graph built another way.
    fn order(&self) -> Result<Vec<NodeIndex>, GraphError> {
        let incoming = |node| self.graph.neighbors_directed(node, Direction::Incoming).count();
        let mut open: Vec<usize> = self.graph.node_indices().map(incoming).collect();
        let free = self.graph.node_indices().filter(|node| open[node.index()] == 0);
        let mut ready: BinaryHeap<Reverse<NodeIndex>> = free.map(Reverse).collect();
        let mut order = Vec::with_capacity(open.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for next in self.graph.neighbors_directed(node, Direction::Outgoing) {
                open[next.index()] -= 1;
                if open[next.index()] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        if order.len() == open.len() { Ok(order) } else { Err(GraphError::Circle(self.circle())) }
    }

    /// One circle, whole: the smallest strongly connected part, walked from its first member along edges inside it.
    fn circle(&self) -> Vec<String> {
        let parts = tarjan_scc(&self.graph);
        let Some(part) = parts.iter().filter(|part| self.is_circle(part)).min_by_key(|part| part.len()) else {
            return Vec::new();
        };
        let Some(&first) = part.iter().min() else { return Vec::new() };
        let part: HashSet<NodeIndex> = part.iter().copied().collect();
        let (mut path, mut places, mut node) = (vec![first], HashMap::from([(first, 0)]), first);
        loop {
            let inside = self.graph.neighbors_directed(node, Direction::Incoming).filter(|next| part.contains(next));
            let Some(next) = inside.min() else { break };
            if let Some(&start) = places.get(&next) {
                path.drain(..start);
                break;
            }
            places.insert(next, path.len());
            path.push(next);
            node = next;
        }
        let mut names: Vec<String> = path.iter().filter_map(|&node| self.name(node)).collect();
        // The opening and the closing of one bracket bear one name, also where the circle begins between them.
        names.dedup();
        if names.len() > 1 && names.first() == names.last() {
            names.pop();
        }
        names.extend(names.first().cloned());
        names
    }

    fn is_circle(&self, part: &[NodeIndex]) -> bool {
        part.len() > 1 || part.iter().any(|&node| self.graph.contains_edge(node, node))
    }

    fn name(&self, node: NodeIndex) -> Option<String> {
        match self.graph[node] {
            Vertex::Start(index) => Some(self.resources[index].id.to_string()),
            Vertex::Close(scope) => Some(self.resources[self.scopes[scope].owner].id.to_string()),
            Vertex::Phase(_, _) | Vertex::Task(_) => None,
        }
    }
}
