//! `cfrt apply`: the plan shown, agreed to, and carried out.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::change::Action;
use cfrt_engine::driver::{Discreet, DriverError, Drivers, Fault};
use cfrt_engine::event::{Event, Failure, Outcome};
use cfrt_engine::execute::{Options, execute};
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::planfile::{PlanFile, compare};
use cfrt_engine::report::Report;
use cfrt_engine::resource::ResourceId;
use cfrt_providers::journal::{self, End, Journal, Opening};
use cfrt_providers::kube::access::permitted;
use cfrt_providers::world::{Access, Sealing, Surroundings, World};
use tokio::sync::{mpsc, watch};

use crate::args::{ApplyArguments, CommonArguments, Output, WriteArguments};
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::pipeline::{Prepared, TaskNote, around, look, remember};
use crate::planfile;
use crate::render::clean::clean;
use crate::render::json::{self, Outcomes};
use crate::render::progress::Progress;
use crate::render::words::plural;
use crate::render::{approved, failure, text};
use crate::screen;
use crate::trouble::Trouble;

/// How often a terminal is told how long things take by now.
const TICK: Duration = Duration::from_millis(100);

/// Shows the plan, asks, and carries it out.
///
/// # Errors
///
/// What kept the plan from being made, printed or agreed to; what happens while it is carried out is in the exit code.
pub(crate) async fn run(arguments: &ApplyArguments) -> Result<Exit, Trouble> {
    let approved = arguments.plan.as_deref().map(planfile::read).transpose()?;
    let arguments = agreed_to(arguments, approved.as_ref());
    let prepared = prepare(&arguments.common, approved.as_ref()).await?;
    if let Some(approved) = &approved {
        hold_against(approved, &prepared)?;
    }
    let meaning = Meaning { command: "apply", approved: approved.as_ref(), remembers: true };
    carry_through(&arguments, prepared, &meaning).await
}

/// What is to be carried out: a plan file names its file itself, and whoever approved it has agreed.
fn agreed_to(arguments: &ApplyArguments, approved: Option<&PlanFile>) -> WriteArguments {
    let ApplyArguments { file, plan, output, helm, yes } = arguments;
    let named = plan.as_deref().zip(approved).map(|(path, approved)| planfile::desired(path, approved));
    let file = file.clone().or(named).unwrap_or_default();
    let common = CommonArguments { file, output: *output, helm: helm.clone() };
    WriteArguments { common, yes: *yes || approved.is_some() }
}

/// The plan of now. What is held against a plan file has its secrets sealed as that has them.
async fn prepare(common: &CommonArguments, approved: Option<&PlanFile>) -> Result<Prepared, Trouble> {
    let shared = approved.is_some_and(|approved| approved.key.is_some());
    let sealing = if shared { Sealing::Shared } else { Sealing::Own };
    look(&common.file, Surroundings { sealing, ..around(common.helm.as_ref()) }, Access::ReadWrite).await
}

/// Makes sure that nothing but what was approved would be done.
fn hold_against(approved: &PlanFile, prepared: &Prepared) -> Result<(), Trouble> {
    let comparison = compare(approved, &planfile::now(approved, prepared));
    if !comparison.is_same() {
        screen::tell(&approved::differences(&comparison));
        return Err(Trouble::StalePlanFile);
    }
    screen::tell(&match comparison.already_so {
        0 => String::new(),
        1 => "note: 1 approved step needs nothing any more\n".to_owned(),
        many => format!("note: {many} approved steps need nothing any more\n"),
    });
    Ok(())
}

/// Writes the record of this apply. That only saves reads: an apply that could not write it is none the worse.
async fn remember_or_say(common: &CommonArguments, writer: &World) {
    let why = match remember(common, writer).await {
        Ok(()) | Err(Trouble::Interrupted) => return,
        Err(Trouble::World(error)) => error.chain().join(": "),
        Err(trouble) => trouble.to_string(),
    };
    screen::tell(&format!(
        "note: no record of this apply was written, so that plans read more than they need: {}\n",
        clean(&why)
    ));
}

/// Shows what was prepared, asks, and carries it out.
///
/// # Errors
///
/// As [`run`].
pub(crate) async fn carry_through(
    arguments: &WriteArguments,
    mut prepared: Prepared,
    meaning: &Meaning<'_>,
) -> Result<Exit, Trouble> {
    let output = arguments.common.output;
    if output == Output::Text {
        screen::print(&text::plan(&prepared.about, &prepared.plan))?;
    }
    screen::tell(&failure::refused(&prepared.plan));
    let ended = if prepared.plan.count(Action::Refuse) > 0 {
        Ended::without_a_start(Exit::Refused)
    } else if !prepared.plan.writes() {
        if meaning.remembers && prepared.forgotten && arguments.yes {
            remember_or_say(&arguments.common, &prepared.world).await;
        }
        Ended::in_step(&prepared.plan)
    } else if let Some(ended) = Ended::before_obstacles(&prepared.plan, &prepared.drivers) {
        ended
    } else if agreed(arguments, &mut prepared).await? {
        if output == Output::Text {
            screen::tell("\n");
        }
        carry_out_recorded(arguments, &mut prepared, meaning).await
    } else {
        Ended::without_a_start(Exit::Interrupted)
    };
    conclude(output, &prepared, &ended)
}

/// What a run is for, as its journal and its lease say it.
pub(crate) struct Meaning<'a> {
    /// The command.
    pub(crate) command: &'static str,
    /// The plan file that was approved, where there is one.
    pub(crate) approved: Option<&'a PlanFile>,
    /// Whether it leaves things as its file says them, which is worth a record.
    pub(crate) remembers: bool,
}

/// What the journal says in the beginning.
fn opening(arguments: &WriteArguments, prepared: &Prepared, meaning: &Meaning<'_>) -> Opening {
    let own = || journal::digest(&json::plan(&prepared.about, &prepared.plan));
    let digest = meaning.approved.map_or_else(own, |approved| approved.approval().to_owned());
    let file = arguments.common.file.file_name().unwrap_or_default().to_string_lossy();
    Opening::of(&prepared.plan, meaning.command, &digest, &file)
}

/// Carries a plan out under the lease of its release, and writes down how it went before that is given back.
async fn carry_out_recorded(arguments: &WriteArguments, prepared: &mut Prepared, meaning: &Meaning<'_>) -> Ended {
    let opening = opening(arguments, prepared, meaning);
    let Prepared { world, drivers, plan, about, interrupts, .. } = prepared;
    let say = |words: &str| screen::tell(&format!("note: {}\n", clean(words)));
    match interrupts.unless_asked(world.begin_run(plan, opening, &say)).await {
        Some(Ok(())) => {}
        Some(Err(error)) => return Ended::not_begun(plan, error.into()),
        None => {
            let exit = Exit::Interrupted;
            world.end_run(&End { outcome: outcome(exit), exit: exit.code() }).await;
            return Ended::without_a_start(exit);
        }
    }
    let watcher = Watcher::new(&about.tasks, plan, Arc::clone(&world.journal));
    let options = Options::waiting(&about.facts.wait);
    let mut ended = carry_out(plan, drivers, world, &options, interrupts, watcher, world.lease.lost()).await;
    if meaning.remembers && ended.exit == Exit::Done && ended.report.done > 0 {
        // Who is in a hurry goes without.
        let remembering = interrupts.unless_asked(remember_or_say(&arguments.common, world));
        if let Some(why) = lost_during(world.lease.lost(), remembering).await {
            ended.exit = lease_lost(why);
        }
    }
    if !ended.aborted {
        let end = End { outcome: outcome(ended.exit), exit: ended.exit.code() };
        let notes = interrupts.unless_asked(world.end_run(&end)).await.unwrap_or_default();
        notes.iter().for_each(|note| say(note));
    }
    ended
}

/// Does some work, and gives why the lease was lost where that comes before its end.
async fn lost_during<T>(lost: impl Future<Output = String>, work: impl Future<Output = T>) -> Option<String> {
    tokio::select! {
        biased;
        why = lost => Some(why),
        _ = work => None,
    }
}

/// Tells that the lease is lost; gives the code for that.
fn lease_lost(why: String) -> Exit {
    let error = DriverError::new("holding the lease of the release", why).fault(Fault::Locked);
    screen::tell(&format!("\n{}", failure::trouble(&Trouble::World(error))));
    Exit::Locked
}

/// How a run ended, in the word of its journal.
fn outcome(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Interrupted => "interrupted",
        Exit::Failed
        | Exit::Changes
        | Exit::Drift
        | Exit::DriftAndChanges
        | Exit::Refused
        | Exit::Stale
        | Exit::NotGenuine
        | Exit::Locked
        | Exit::TimedOut
        | Exit::PartlyApplied
        | Exit::NotPermitted
        | Exit::Usage => "failed",
    }
}

/// How it went.
struct Ended {
    report: Report,
    outcomes: Outcomes,
    interrupted: bool,
    started: bool,
    /// Whether it was left as it was: the second time that we were asked to stop.
    aborted: bool,
    exit: Exit,
}

impl Ended {
    fn without_a_start(exit: Exit) -> Self {
        let interrupted = exit == Exit::Interrupted;
        Self { report: Report::default(), outcomes: HashMap::new(), interrupted, started: false, aborted: false, exit }
    }

    /// A plan of which nothing was begun, since someone else is at work, say; told of the release.
    fn not_begun(plan: &Plan, failure: Failure) -> Self {
        let release = |step: &&Step| step.resource.driver == "release";
        let writing = plan.steps.iter().filter(|step| step.change.action.writes());
        let step = writing.clone().find(release).or_else(|| writing.clone().next());
        Self::before(step.map(|step| (step.resource.id.clone(), failure)).into_iter().collect())
    }

    /// A plan of which a step could not be begun now, so that no one is asked and nothing is written.
    fn before_obstacles<W>(plan: &Plan, drivers: &Drivers<W>) -> Option<Self> {
        let failed = plan.obstacles(drivers);
        (!failed.is_empty()).then(|| Self::before(failed))
    }

    fn before(failed: Vec<(ResourceId, Failure)>) -> Self {
        let outcome = |(id, failure): &(ResourceId, Failure)| (id.clone(), Outcome::Failed(failure.clone()));
        let outcomes: Outcomes = failed.iter().map(outcome).collect();
        let report = Report { failed, ..Report::default() };
        let exit = Exit::of_report(&report, false);
        Self { report, outcomes, ..Self::without_a_start(exit) }
    }

    fn in_step(plan: &Plan) -> Self {
        let outcomes = plan.steps.iter().map(|step| (step.resource.id.clone(), Outcome::Unchanged)).collect();
        let report = Report { unchanged: plan.steps.len(), ..Report::default() };
        Self { report, outcomes, ..Self::without_a_start(Exit::Done) }
    }
}

async fn agreed(arguments: &WriteArguments, prepared: &mut Prepared) -> Result<bool, Trouble> {
    // Nobody is asked about what may not be done.
    let Prepared { world, plan, interrupts, .. } = &mut *prepared;
    interrupts.unless_asked(permitted(world, plan)).await.ok_or(Trouble::Interrupted)??;
    if arguments.yes {
        return Ok(true);
    }
    // A question would be in the middle of the JSON.
    if arguments.common.output == Output::Json || !screen::can_ask() {
        return Err(Trouble::Unconfirmed);
    }
    let writing = prepared.plan.steps.iter().filter(|step| step.change.action.writes()).count();
    let these = if writing == 1 { "this 1 change".to_owned() } else { format!("these {}", plural(writing, "change")) };
    let question = format!("\nApply {these} to {}? [y/N] ", clean(&prepared.about.target.context));
    match prepared.interrupts.unless_asked(screen::ask(&question)).await {
        Some(answer) => answer,
        None => screen::print("\n").map(|()| false),
    }
}

/// Carries a plan out until it is through, until `interrupts` says twice that it shall not be, or until its lease is `lost`.
async fn carry_out<W: Discreet>(
    plan: &Plan,
    drivers: &Drivers<W>,
    world: &W,
    options: &Options,
    interrupts: &mut Interrupts,
    mut watcher: Watcher,
    lost: impl Future<Output = String>,
) -> Ended {
    let (stop, stopped) = watch::channel(false);
    let (events, mut heard) = mpsc::unbounded_channel();
    let mut run = pin!(execute(plan, drivers, world, options, stopped, events));
    let mut ticks = tokio::time::interval(TICK);
    let (mut lost, mut why, mut interrupted) = (pin!(lost), None, false);
    loop {
        tokio::select! {
            biased;
            Some(event) = heard.recv() => watcher.take(event),
            () = interrupts.next() => {
                interrupted = true;
                if stop.send_replace(true) {
                    watcher.progress.say("aborted: what was being written may be there or not");
                    return Ended { aborted: true, ..watcher.end(true, None) };
                }
                watcher.progress.say("stopping: what is being written is finished first; once more aborts at once");
            }
            reason = &mut lost, if why.is_none() => {
                stop.send_replace(true);
                watcher.progress.say("stopping: the lease is lost, and nothing more is written");
                why = Some(reason);
            }
            () = &mut run => break,
            _ = ticks.tick() => watcher.progress.tick(),
        }
    }
    while let Ok(event) = heard.try_recv() {
        watcher.take(event);
    }
    watcher.end(interrupted, why)
}

/// Listens to a run: for the report, for the JSON, and for who watches.
struct Watcher {
    report: Report,
    outcomes: Outcomes,
    progress: Progress,
    journal: Arc<Journal>,
}

impl Watcher {
    fn new(tasks: &[TaskNote], plan: &Plan, journal: Arc<Journal>) -> Self {
        let progress = Progress::new(tasks, plan);
        Self { report: Report::default(), outcomes: HashMap::new(), progress, journal }
    }

    fn take(&mut self, event: Event) {
        self.report.take(&event);
        self.journal.take(&event);
        self.progress.take(&event);
        match event {
            // What was hidden can turn out to be as it should be; the report counts it like this, too.
            Event::Finished { resource, action: Action::Keep, outcome: Outcome::Done, .. } => {
                self.outcomes.insert(resource, Outcome::Unchanged);
            }
            Event::Finished { resource, outcome, .. } => {
                self.outcomes.insert(resource, outcome);
            }
            Event::Started { .. } | Event::Revealed { .. } | Event::Waiting { .. } => {}
        }
    }

    fn end(self, interrupted: bool, lost: Option<String>) -> Ended {
        self.progress.end();
        let exit = match lost.map(lease_lost) {
            Some(lost) if !interrupted => lost,
            Some(_) | None => Exit::of_report(&self.report, interrupted),
        };
        Ended { report: self.report, outcomes: self.outcomes, interrupted, started: true, aborted: false, exit }
    }
}

/// Prints what came of it; the exit code of what was done matters more than whether that could be printed.
fn conclude(output: Output, prepared: &Prepared, ended: &Ended) -> Result<Exit, Trouble> {
    let failed = failure::report(&ended.report);
    if !failed.is_empty() {
        screen::tell(&format!("\n{failed}"));
    }
    let Ended { report, outcomes, interrupted, started, aborted: _, exit } = ended;
    let shown = match output {
        Output::Json => json::apply(&prepared.about, &prepared.plan, report, outcomes, *interrupted, *exit),
        Output::Text if *started => format!("\n{}", text::outcome(&prepared.plan, report, *interrupted, *exit)),
        Output::Text if *interrupted => "Nothing was applied.\n".to_owned(),
        Output::Text => String::new(),
    };
    match screen::print(&shown) {
        Err(trouble) if *exit == Exit::Done => Err(trouble),
        Err(_) | Ok(()) => Ok(*exit),
    }
}

#[cfg(test)]
mod tests;
