//! Graphs and plans as text that a test can hold beside what it expects.

use std::collections::BTreeMap;

use cfrt_engine::change::Action;
use cfrt_engine::event::{Because, Event, Outcome};
use cfrt_engine::graph::{ResourceGraph, Vertex};
use cfrt_engine::plan::{Plan, Step};

use super::text;

/// One line a vertex, in order: what it is, and what must be done before. `r[` opens a bracket, `r|1` ends its first
/// phase, `]r` closes it; `@t` is all of a task, shown only where something waits for it.
pub(crate) fn drawn(graph: &ResourceGraph) -> String {
    let mut before: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (node, vertex) in graph.order() {
        for next in graph.successors(node) {
            before.entry(next).or_default().push(label(graph, vertex));
        }
    }
    before.values_mut().for_each(|needs| needs.dedup());
    let shown = |(node, vertex): &(_, Vertex)| match vertex {
        Vertex::Task(_) => graph.successors(*node).next().is_some(),
        Vertex::Start(_) | Vertex::Phase(_, _) | Vertex::Close(_) => true,
    };
    let line = |(node, vertex)| match before.get(&node) {
        Some(needs) => format!("{} <- {}\n", label(graph, vertex), needs.join(" ")),
        None => format!("{}\n", label(graph, vertex)),
    };
    graph.order().filter(shown).map(line).collect()
}

/// The names of the resources in topological order.
pub(crate) fn order(graph: &ResourceGraph) -> String {
    graph.resource_order().map(|index| text::name(&graph.resources()[index].id)).collect::<Vec<_>>().join(" ")
}

/// The steps in order as `NAME ACTION`, each with its reason where it has one.
pub(crate) fn planned(plan: &Plan) -> Vec<String> {
    let line = |step: &Step| {
        let line = format!("{} {:?}", text::name(&step.resource.id), step.change.action).to_lowercase();
        if step.change.reason.is_empty() { line } else { format!("{line}: {}", step.change.reason) }
    };
    plan.in_order().map(line).collect()
}

/// An event as `WORD NAME` and what there is to say of it.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Started { resource, action, .. } => {
            format!("started {} {}", text::name(resource), format!("{action:?}").to_lowercase())
        }
        Event::Revealed { resource, change } => {
            format!("revealed {} {}", text::name(resource), format!("{:?}", change.action).to_lowercase())
        }
        Event::Waiting { resource, lacking, .. } => format!("waiting {}: {lacking}", text::name(resource)),
        Event::Finished { resource, action, outcome, .. } => match outcome {
            Outcome::Done if *action == Action::Keep => format!("kept {}", text::name(resource)),
            Outcome::Done => format!("done {}", text::name(resource)),
            Outcome::Unchanged => format!("kept {}", text::name(resource)),
            Outcome::Failed(failure) => format!("failed {}: {}", text::name(resource), failure.causes.join(": ")),
            Outcome::NotAwaited => format!("left {}", text::name(resource)),
            Outcome::ClosedAsFailed(Because::Needs(id)) => {
                format!("closed {} for {}", text::name(resource), text::name(id))
            }
            Outcome::ClosedAsFailed(Because::Stopped) => format!("closed {} as stopped", text::name(resource)),
            Outcome::Skipped(Because::Needs(id)) => format!("skipped {} for {}", text::name(resource), text::name(id)),
            Outcome::Skipped(Because::Stopped) => format!("skipped {} as stopped", text::name(resource)),
        },
    }
}

fn label(graph: &ResourceGraph, vertex: Vertex) -> String {
    let resource = |index: usize| text::name(&graph.resources()[index].id);
    match vertex {
        Vertex::Start(index) if graph.owned_scope(index).is_some() => format!("{}[", resource(index)),
        Vertex::Start(index) => resource(index),
        Vertex::Phase(scope, number) => format!("{}|{}", resource(graph.scopes()[scope].owner), number + 1),
        Vertex::Close(scope) => format!("]{}", resource(graph.scopes()[scope].owner)),
        Vertex::Task(index) => format!("@{index}"),
    }
}
