//! What comes after what, as text, as DOT, or as Mermaid.

use std::collections::HashMap;
use std::fmt::Write as _;

use cfrt_engine::compile::Tasks;
use cfrt_engine::graph::{ResourceGraph, Vertex};
use cfrt_engine::resource::{Part, Resource};
use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::stable_graph::StableDiGraph;

use super::clean::clean;
use crate::pipeline::TaskNote;

/// What is drawn. An arrow leads from what comes first to what comes after it.
#[derive(Debug, Default)]
pub(crate) struct Drawing(DiGraph<Node, ()>);

/// A place where arrows begin and end.
#[derive(Debug, Clone)]
enum Node {
    /// A task or a resource, by its name.
    Named(String),
    /// What joins many arrows into few: everything before it is settled.
    Joint(String),
}

impl Drawing {
    /// The tasks of a file.
    pub(crate) fn of_tasks(tasks: &Tasks) -> Self {
        let mut graph = DiGraph::new();
        let places: HashMap<_, _> =
            tasks.entries.iter().map(|entry| (&entry.id, graph.add_node(Node::named(&entry.id.to_string())))).collect();
        for entry in &tasks.entries {
            for earlier in entry.after.iter().filter_map(|id| places.get(id)) {
                graph.add_edge(*earlier, places[&entry.id], ());
            }
        }
        Self(reduced(graph))
    }

    /// The resources of all tasks, in the order in which they could start.
    pub(crate) fn of_resources(resources: &ResourceGraph, tasks: &[TaskNote]) -> Self {
        let mut graph = DiGraph::new();
        let places: HashMap<NodeIndex, NodeIndex> = resources
            .order()
            .map(|(node, vertex)| (node, graph.add_node(Node::of_vertex(resources, tasks, vertex))))
            .collect();
        for (node, _) in resources.order() {
            for next in resources.successors(node) {
                graph.update_edge(places[&node], places[&next], ());
            }
        }
        Self(reduced(without_idle_joints(reduced(graph))))
    }

    /// A line for each, with what must be settled before it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for node in self.0.node_indices() {
            let after: Vec<&str> = self.before(node).map(|before| self.0[before].name()).collect();
            let name = self.0[node].name();
            if after.is_empty() {
                writeln!(text, "{name}").unwrap_or_default();
            } else {
                writeln!(text, "{name}   after {}", after.join(", ")).unwrap_or_default();
            }
        }
        text
    }

    /// The same for Graphviz.
    pub(crate) fn dot(&self) -> String {
        let mut text = "digraph cfrt {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
        for (index, node) in self.0.node_weights().enumerate() {
            let (name, shape) = match node {
                Node::Named(name) => (quoted(name), ""),
                Node::Joint(name) => (quoted(name), ", shape=plaintext"),
            };
            writeln!(text, "  n{index} [label={name}{shape}];").unwrap_or_default();
        }
        self.arrows(|from, to| writeln!(text, "  n{from} -> n{to};").unwrap_or_default());
        text + "}\n"
    }

    /// The same for Markdown.
    pub(crate) fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (index, node) in self.0.node_weights().enumerate() {
            // Mermaid has no escape for a quote, only the entity.
            let name = node.name().replace('"', "#quot;");
            let (open, close) = if matches!(node, Node::Named(_)) { ("[", "]") } else { ("([", "])") };
            writeln!(text, "  n{index}{open}\"{name}\"{close}").unwrap_or_default();
        }
        self.arrows(|from, to| writeln!(text, "  n{from} --> n{to}").unwrap_or_default());
        text
    }

    fn arrows(&self, mut arrow: impl FnMut(usize, usize)) {
        for node in self.0.node_indices() {
            self.before(node).for_each(|before| arrow(before.index(), node.index()));
        }
    }

    /// What must be settled before a node, in the order of the drawing.
    fn before(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let mut before: Vec<NodeIndex> = self.0.neighbors_directed(node, Direction::Incoming).collect();
        before.sort();
        before.into_iter()
    }
}

impl Node {
    fn named(name: &str) -> Self {
        Self::Named(clean(name).into_owned())
    }

    fn of_vertex(graph: &ResourceGraph, tasks: &[TaskNote], vertex: Vertex) -> Self {
        let resource = |index: usize| name(&graph.resources()[index]);
        let owner = |scope: usize| resource(graph.scopes()[scope].owner);
        match vertex {
            Vertex::Start(index) => Self::named(&resource(index)),
            Vertex::Phase(scope, phase) => Self::Joint(format!("phase {} of {}", phase + 1, owner(scope))),
            Vertex::Close(scope) => Self::Joint(format!("end of {}", owner(scope))),
            Vertex::Task(index) => Self::Joint(format!("end of task {}", tasks[index].id)),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::Joint(name) => name,
        }
    }
}

/// A resource as people say it.
fn name(resource: &Resource) -> String {
    let address = resource.id.address.short();
    match &resource.id.part {
        Part::Whole => address.to_string(),
        Part::Adoption => format!("{address} (adoption)"),
        Part::Fields(part) => format!("{address} ({part})"),
    }
}

/// Leaves out the arrows that others imply.
fn reduced(graph: DiGraph<Node, ()>) -> DiGraph<Node, ()> {
    let Ok(order) = toposort(&graph, None) else { return graph };
    let (list, places) = dag_to_toposorted_adjacency_list::<_, u32>(&graph, &order);
    let (needed, _) = dag_transitive_reduction_closure(&list);
    let place = |node: NodeIndex| places[node.index()];
    graph.filter_map(
        |_, node| Some(node.clone()),
        |edge, ()| {
            let (from, to) = graph.edge_endpoints(edge)?;
            needed.contains_edge(place(from), place(to)).then_some(())
        },
    )
}

/// Leaves out the joints that don't save arrows, and those after which nothing comes.
fn without_idle_joints(graph: DiGraph<Node, ()>) -> DiGraph<Node, ()> {
    // Its nodes keep their indices while others are removed.
    let mut graph = StableDiGraph::from(graph);
    for node in graph.node_indices().collect::<Vec<_>>() {
        let side = |way| graph.neighbors_directed(node, way).collect::<Vec<_>>();
        let (before, after) = (side(Direction::Incoming), side(Direction::Outgoing));
        let saves_arrows = before.len() > 1 && after.len() > 1;
        if saves_arrows || matches!(graph[node], Node::Named(_)) {
            continue;
        }
        graph.remove_node(node);
        for from in before {
            for &to in &after {
                graph.update_edge(from, to, ());
            }
        }
    }
    graph.into()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use cfrt_engine::compile::Expanded;
    use cfrt_engine::resource::{Address, Bracket, Document, Need, ResourceId, Trigger, Want};
    use cfrt_engine::task::{Expansion, TaskId};
    use serde_json::Value;

    use super::*;

    fn id(name: &str) -> ResourceId {
        ResourceId::whole(Address::new("v1/Thing", "", name))
    }

    fn resource(name: &str, needs: &[&str]) -> Resource {
        Resource {
            id: id(name),
            task: TaskId { kind: "chart", name: String::new() },
            driver: "object",
            want: Want::Present(Document::default().into()),
            needs: needs.iter().map(|name| Need::Resource(id(name))).collect(),
            trigger: Trigger::Differs,
            settings: Value::Null,
        }
    }

    fn drawing(resources: Vec<Resource>, phases: &[&[&str]]) -> Drawing {
        let phases = phases.iter().map(|phase| phase.iter().map(|name| id(name)).collect()).collect();
        let brackets = vec![Bracket { owner: id("release"), phases }];
        let task = TaskId { kind: "chart", name: String::new() };
        let expansion = Expansion { resources, brackets, ..Expansion::default() };
        let note = TaskNote { id: task.clone(), after: Vec::new(), remarks: Vec::new(), nothing: "" };
        let graph = ResourceGraph::new(vec![Expanded { id: task, after: Vec::new(), expansion }]).expect("it is sound");
        Drawing::of_resources(&graph, &[note])
    }

    #[test]
    fn joints_are_drawn_only_where_they_save_arrows_and_arrows_only_where_no_other_implies_them() {
        let names: [(&str, &[&str]); 6] =
            [("release", &[]), ("hook", &[]), ("a", &[]), ("b", &["a", "hook"]), ("c", &[]), ("d", &[])];
        let resources = names.map(|(name, needs)| resource(name, needs)).to_vec();
        let text = drawing(resources, &[&["hook"], &["a", "b", "c"], &["d"]]).text();
        let expected = "Thing release\nThing hook   after Thing release\nThing a   after Thing hook\nThing b   after Thing a\n\
                        Thing c   after Thing hook\nThing d   after Thing b, Thing c\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_many_wait_for_together_is_a_joint() {
        let resources = ["release", "a", "b", "c", "d"].map(|name| resource(name, &[])).to_vec();
        let drawing = drawing(resources, &[&["a", "b"], &["c", "d"]]);
        assert!(drawing.text().contains("Thing c   after phase 1 of Thing release\n"), "{}", drawing.text());
        assert!(drawing.dot().contains("[label=\"phase 1 of Thing release\", shape=plaintext];"), "{}", drawing.dot());
        assert!(drawing.mermaid().contains("([\"phase 1 of Thing release\"])"), "{}", drawing.mermaid());
    }

    #[test]
    fn no_name_breaks_out_of_its_quotes_or_reaches_the_terminal_as_a_command() {
        let drawing = drawing(vec![resource("release", &[]), resource("\"];\u{1b}[2J\\", &[])], &[]);
        assert!(!drawing.text().contains('\u{1b}'));
        assert!(drawing.dot().contains(r#"[label="Thing \"];"#), "{}", drawing.dot());
        assert!(drawing.dot().contains(r#"\\"];"#), "{}", drawing.dot());
        assert!(drawing.mermaid().contains("#quot;];"), "{}", drawing.mermaid());
    }
}
