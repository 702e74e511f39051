//! A case's folder to the text of each stage: the real kinds through the real engine, over the map.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cfrt_engine::change::Action;
use cfrt_engine::compile::{Tasks, compile, expand, survey};
use cfrt_engine::desired::parse;
use cfrt_engine::driver::Drivers;
use cfrt_engine::event::Event;
use cfrt_engine::execute::{Options, execute};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::observe::observe;
use cfrt_engine::plan::{Plan, Step, plan};
use cfrt_engine::policy::agreed;
use cfrt_engine::report::Report;
use cfrt_engine::source::{Sources, extends};
use cfrt_providers::KINDS;
use cfrt_providers::kube::difference::difference;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::drawing;
use crate::drivers::drivers;
use crate::world::MapWorld;

/// The files that stages come out in, in their order.
pub(crate) const STAGES: [&str; 6] = ["tasks.txt", "graph.txt", "plan.txt", "events.txt", "report.txt", "after.txt"];

/// What came out of a case.
#[derive(Default)]
pub(crate) struct Ran {
    /// The text of each stage that was reached; the last says why, where it was not the last one.
    pub(crate) stages: BTreeMap<&'static str, String>,
    /// What may never be, blessed or not.
    pub(crate) broken: Vec<String>,
}

/// Runs a case, and where it went well once more, which must change nothing.
pub(crate) async fn run(folder: &Path) -> Ran {
    let world = MapWorld::of(folder);
    let mut ran = Ran::default();
    let Some(plan) = planned(&world, &mut ran.stages).await else { return ran };
    if plan.count(Action::Refuse) > 0 {
        return ran;
    }
    let before = world.snapshot();
    let events = carried_out(&plan, &world).await;
    let mut report = Report::default();
    events.iter().for_each(|event| report.take(event));
    ran.stages.insert("events.txt", drawing::events(&events));
    ran.stages.insert("after.txt", drawing::world(&before, &world.snapshot()));
    ran.broken = unforeseen(&plan, &before, &world.snapshot());
    let again = planned(&world, &mut BTreeMap::new()).await;
    let keeps = again.as_ref().is_some_and(|plan| plan.count(Action::Keep) == plan.steps.len());
    if report.complete() && !keeps {
        ran.broken.push("a second run would do something".to_owned());
    }
    ran.stages.insert("report.txt", drawing::report(&report, again.as_ref()));
    ran
}

/// What moved in objects that were there, and that the plan doesn't show.
fn unforeseen(plan: &Plan, before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    // What is deleted may come back as a hook.
    let stays = |step: &&Step| step.resource.driver == "object" && step.change.action != Action::Delete;
    for step in plan.steps.iter().filter(stays) {
        let name = step.resource.id.address.to_string();
        let (Some(was), Some(is)) = (before.get(&name), after.get(&name)) else { continue };
        // Several steps may have to do with one object, each with a part of it.
        let parts = plan.steps.iter().filter(|part| part.resource.id.address == step.resource.id.address);
        let fields: Vec<&str> = parts.flat_map(|part| &part.change.fields).map(|field| field.path.as_str()).collect();
        let shown = |path: &str| fields.iter().any(|field| path.starts_with(field) || field.starts_with(path));
        let moved = difference(was, is).into_iter().map(|field| field.path);
        let moved = moved.filter(|path| !path.starts_with("managers") && !shown(path));
        found.extend(moved.map(|path| format!("the plan doesn't show that {path} of {name} moves")));
    }
    found
}

/// Makes a plan, and leaves the text of each stage on the way; `None` where one of them failed.
async fn planned(world: &MapWorld, stages: &mut BTreeMap<&'static str, String>) -> Option<Plan> {
    let drivers = drivers();
    let mut sources = Sources::default();
    load(&world.folder, "desired.toml", &mut sources);
    let tasks = parse(&sources).and_then(|desired| compile(&desired, &KINDS));
    stages.insert("tasks.txt", tasks.as_ref().map_or_else(|wrong| drawing::mistakes(&sources, wrong), drawing::tasks));
    let tasks = tasks.ok()?;
    let (text, graph) = match graph(&tasks, &sources, &drivers, world).await {
        Ok((text, graph)) => (text, Some(graph)),
        Err(text) => (text, None),
    };
    stages.insert("graph.txt", text);
    let graph = graph?;
    let registered = cfrt_providers::drivers();
    // A driver that is only here, and not in the registry, makes this panic.
    graph.resources().iter().for_each(|resource| assert_eq!(registered.get(resource.driver).name(), resource.driver));
    let observations = observe(&graph, &drivers, world).await;
    let plan = observations.map(|observations| agreed(plan(graph, observations, &drivers), &tasks.facts.consents));
    stages.insert("plan.txt", plan.as_ref().map_or_else(drawing::error, drawing::plan));
    plan.ok()
}

/// The graph and its text, or why there is none.
async fn graph(
    tasks: &Tasks,
    sources: &Sources,
    drivers: &Drivers<MapWorld>,
    world: &MapWorld,
) -> Result<(String, ResourceGraph), String> {
    let answers = survey(tasks, drivers, world).await.map_err(|error| drawing::error(&error))?;
    let expanded = expand(tasks, &answers).map_err(|wrong| drawing::mistakes(sources, &wrong))?;
    let notes = drawing::notes(&expanded);
    let graph = ResourceGraph::new(expanded).map_err(|error| format!("error: {error}\n"))?;
    Ok((drawing::graph(&graph) + &notes, graph))
}

async fn carried_out(plan: &Plan, world: &MapWorld) -> Vec<Event> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (_never, stop) = watch::channel(false);
    execute(plan, &drivers(), world, &Options::default(), stop, tell).await;
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

/// Reads a file after those that it extends.
fn load(folder: &Path, name: &str, sources: &mut Sources) {
    let text = fs::read_to_string(folder.join(name)).expect("the case has the file");
    for base in extends(&text).expect("`extends` is a list of paths") {
        load(folder, base.get_ref(), sources);
    }
    sources.push(name, text);
}
