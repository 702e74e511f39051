//! A file to a plan: every stage in its order, for all commands that need one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cfrt_engine::compile::{Expanded, Tasks, compile, expand, survey};
use cfrt_engine::desired::parse;
use cfrt_engine::driver::{DriverError, Drivers, Fault, Observation, Predicted};
use cfrt_engine::facts::{Facts, Runtime};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::observe::{Observations, observe};
use cfrt_engine::plan::{Plan, Step, plan};
use cfrt_engine::policy::agreed;
use cfrt_engine::source::Sources;
use cfrt_engine::task::{Expansion, TaskId};
use cfrt_providers::KINDS;
use cfrt_providers::drivers::release::history::ReleaseName;
use cfrt_providers::kinds::crd_adoption::unadoption;
use cfrt_providers::last_apply::LastApply;
use cfrt_providers::platform::platform;
use cfrt_providers::shared_key;
use cfrt_providers::world::{Access, Surroundings, Target, World};

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::args::CommonArguments;
use crate::interrupts::Interrupts;
use crate::load::load;
use crate::trouble::Trouble;

/// A plan, and the world that it was made in: carrying it out needs both.
pub(crate) struct Prepared {
    /// The handles to the world.
    pub(crate) world: World,
    /// The drivers that made the plan.
    pub(crate) drivers: Drivers<World>,
    /// What happens to each resource.
    pub(crate) plan: Plan,
    /// What people want to know besides.
    pub(crate) about: About,
    /// Each time that we are asked to stop from now on.
    pub(crate) interrupts: Interrupts,
    /// Whether the record of the last apply proves hardly anything of what is as it should be; told only to what may write.
    pub(crate) forgotten: bool,
}

/// What a plan is about, as people know it.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The names of the runtime.
    pub(crate) facts: Facts,
    /// The cluster.
    pub(crate) target: Target,
    /// The account's id on the platform; empty where the file doesn't say it.
    pub(crate) account: String,
    /// The tasks in their order.
    pub(crate) tasks: Vec<TaskNote>,
    /// How many requests it took to know.
    pub(crate) requests: usize,
    /// How long it took to know.
    pub(crate) took: Duration,
}

/// What is known of a task besides its resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskNote {
    /// The task.
    pub(crate) id: TaskId,
    /// The tasks that must be settled before it starts.
    pub(crate) after: Vec<TaskId>,
    /// What the user should know of it, as sentences.
    pub(crate) remarks: Vec<String>,
    /// What it means where it has no resources.
    pub(crate) nothing: &'static str,
}

/// The resources of a file, and the world that they are in.
pub(crate) struct Drawn {
    /// The handles to the world.
    pub(crate) world: World,
    /// The drivers that answered the tasks' questions.
    pub(crate) drivers: Drivers<World>,
    /// The resources, and what needs what.
    pub(crate) graph: ResourceGraph,
    /// The tasks in their order.
    pub(crate) notes: Vec<TaskNote>,
    facts: Facts,
    account: String,
    interrupts: Interrupts,
}

/// The surroundings of a run whose user named this helm, or none.
pub(crate) fn around(helm: Option<&PathBuf>) -> Surroundings {
    Surroundings { helm: helm.cloned(), ..Surroundings::default() }
}

/// Makes a plan from a file. Where the user stops it, whatever was started for it is ended.
///
/// # Errors
///
/// Everything that [`Trouble`] names, from an unreadable file to an unreachable cluster.
pub(crate) async fn look(file: &Path, around: Surroundings, access: Access) -> Result<Prepared, Trouble> {
    let began = Instant::now();
    let prepared = planned(draw(file, around.clone(), access).await?, began).await?;
    if prepared.world.renders_anew || !prepared.world.lacks_values(&prepared.plan) {
        return Ok(prepared);
    }
    // What the cache has sealed can't be shown to the server, which alone knows what may be made of it.
    let drawn = draw(file, Surroundings { renders_anew: true, ..around }, access).await?;
    planned(drawn, began).await
}

/// Makes the plan that gives back what an adoption took.
///
/// # Errors
///
/// As [`look`].
pub(crate) async fn prepare_return(common: &CommonArguments) -> Result<Prepared, Trouble> {
    let began = Instant::now();
    let sources = load(&common.file)?;
    let tasks = unadoption(tasks(&sources)?.facts);
    let drawn = expanded(sources, tasks, around(common.helm.as_ref()), Access::ReadWrite).await?;
    planned(drawn, began).await
}

/// Looks at everything once more after an apply, and writes down what is as it should be, so that the next plan needs only
/// metadata of it. `writer` writes it down: under its lease where it has one, and not at all while others are at work.
///
/// # Errors
///
/// As [`look`], others who are at work, and a server that doesn't take the record.
pub(crate) async fn remember(common: &CommonArguments, writer: &World) -> Result<(), Trouble> {
    let drawn = draw(&common.file, around(common.helm.as_ref()), Access::ReadWrite).await?;
    let Drawn { world, drivers, graph, facts, mut interrupts, notes: _, account: _ } = drawn;
    let observed = interrupts.unless_asked(observe(&graph, &drivers, &world)).await.ok_or(Trouble::Interrupted)?;
    let observations = observed.map_err(|error| tellable(&world, &facts, error))?;
    let seen = seen(&observations);
    let record = LastApply::of(&plan(graph, observations, &drivers), &seen, world.lists.revisions());
    if let Some(others) = writer.others_at_work().await? {
        let error = DriverError::new("writing the record", format!("{others} is at work"));
        return Err(error.fault(Fault::Locked).into());
    }
    writer.begin_writing();
    let release = ReleaseName::of(&facts.runtime);
    futures::try_join!(record.write(&writer.kube, &release), shared_key::ensure(&writer.kube, &release))?;
    Ok(())
}

async fn planned(drawn: Drawn, began: Instant) -> Result<Prepared, Trouble> {
    let Drawn { world, drivers, graph, facts, account, notes, mut interrupts } = drawn;
    let observed = interrupts.unless_asked(observe(&graph, &drivers, &world)).await.ok_or(Trouble::Interrupted)?;
    let observations = observed.map_err(|error| tellable(&world, &facts, error))?;
    let seen = (world.access == Access::ReadWrite).then(|| seen(&observations));
    let mut plan = agreed(plan(graph, observations, &drivers), &facts.consents);
    let proved = seen.map(|seen| LastApply::of(&plan, &seen, world.lists.revisions()));
    let forgotten = proved.is_some_and(|proved| world.last_apply.lacks_most_of(&proved));
    world.conceal(&mut plan);
    let (target, requests) = (world.target.clone(), world.requests());
    let tasks = with_doubts(notes, &plan);
    let about = About { facts, target, account, tasks, requests, took: began.elapsed() };
    Ok(Prepared { world, drivers, plan, about, interrupts, forgotten })
}

/// What was seen of each resource; things are shared, so that this is no copy of them.
fn seen(observations: &Observations) -> Vec<Observation> {
    observations.iter().map(|seen| seen.observation.clone()).collect()
}

const NOT_CONFIRMED: &str = "this login may not ask the API server for dry runs (they take the verb patch), so that nothing confirms \
     the fields above:\nthey are what cfrt's own comparison finds, and an apply may leave some of them alone";

/// Says once that the server was not there to be asked.
fn with_doubts(mut notes: Vec<TaskNote>, plan: &Plan) -> Vec<TaskNote> {
    let refused =
        |step: &&Step| matches!(&step.seen, Observation::Present { predicted: Some(Predicted::NotPermitted), .. });
    let task = plan.steps.iter().find(refused).map(|step| &step.resource.task);
    if let Some(note) = notes.iter_mut().find(|note| Some(&note.id) == task) {
        note.remarks.push(NOT_CONFIRMED.to_owned());
    }
    notes
}

/// Finds out which resources a file stands for.
///
/// # Errors
///
/// As [`look`], but for what observing finds.
pub(crate) async fn draw(file: &Path, around: Surroundings, access: Access) -> Result<Drawn, Trouble> {
    let sources = load(file)?;
    let tasks = tasks(&sources)?;
    expanded(sources, tasks, around, access).await
}

async fn expanded(sources: Sources, tasks: Tasks, around: Surroundings, access: Access) -> Result<Drawn, Trouble> {
    let account = account(&sources);
    // Only now: what reads a file can't be dropped, so until here a signal ends the process by itself.
    let mut interrupts = Interrupts::listen()?;
    let connected = interrupts.unless_asked(connect(tasks.facts.clone(), access, around)).await;
    let world = connected.ok_or(Trouble::Interrupted)??;
    let drivers = cfrt_providers::drivers();
    let answered = interrupts.unless_asked(survey(&tasks, &drivers, &world)).await.ok_or(Trouble::Interrupted)?;
    let answers = answered.map_err(|error| tellable(&world, &tasks.facts, error))?;
    let expanded = expand(&tasks, &answers);
    let expanded = expanded.map_err(|mistakes| Trouble::Mistaken { sources, mistakes })?;
    let notes = expanded.iter().map(note).collect();
    let graph = ResourceGraph::new(expanded).map_err(Trouble::Graph)?;
    Ok(Drawn { world, drivers, graph, facts: tasks.facts, account, notes, interrupts })
}

/// The account that a file names; nothing where it doesn't, or says something wrong, which its task tells.
fn account(sources: &Sources) -> String {
    let platform = parse(sources).ok().and_then(|desired| platform(&desired).ok().flatten());
    platform.and_then(|platform| platform.account).unwrap_or_default()
}

/// Connects to the cluster of a file, to read from it and nothing else.
///
/// # Errors
///
/// As [`look`].
pub(crate) async fn reach(file: &Path) -> Result<(World, Facts, Interrupts), Trouble> {
    let facts = tasks(&load(file)?)?.facts;
    let mut interrupts = Interrupts::listen()?;
    let connected = connect(facts.clone(), Access::ReadOnly, Surroundings::default());
    let world = interrupts.unless_asked(connected).await.ok_or(Trouble::Interrupted)??;
    Ok((world, facts, interrupts))
}

/// Connects beside the event loop: a program that logs us in holds up its thread until it has answered.
async fn connect(facts: Facts, access: Access, around: Surroundings) -> Result<World, Trouble> {
    let runtime = Handle::current();
    match spawn_blocking(move || runtime.block_on(World::connect(&facts, access, around))).await {
        Ok(world) => Ok(world?),
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}

/// An error without the secrets that this run has seen: helm and servers repeat what they were given.
fn tellable(world: &World, facts: &Facts, error: DriverError) -> Trouble {
    let Runtime { name, namespace, release } = &facts.runtime;
    let names = [name.get_ref().as_str(), namespace.get_ref().as_str(), release.get_ref().as_str()];
    let names: BTreeSet<String> = names.map(str::to_owned).into();
    let mask = world.vault.mask(&names);
    Trouble::World(error.retold(|text| mask.redacted(text)))
}

/// Finds out which tasks a text asks for, without any look at the world.
///
/// # Errors
///
/// What is wrong in it.
pub(crate) fn tasks(sources: &Sources) -> Result<Tasks, Trouble> {
    let tasks = parse(sources).and_then(|desired| compile(&desired, &KINDS));
    tasks.map_err(|mistakes| Trouble::Mistaken { sources: sources.clone(), mistakes })
}

fn note(task: &Expanded) -> TaskNote {
    let Expansion { remarks, nothing, .. } = &task.expansion;
    TaskNote { id: task.id.clone(), after: task.after.clone(), remarks: remarks.clone(), nothing }
}
