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
use cfrt_engine::report::Report;
use cfrt_engine::resource::ResourceId;
use cfrt_providers::journal::{self, End, Journal, Opening};
use cfrt_providers::world::Access;
use tokio::sync::{mpsc, watch};

use crate::args::{ApplyArguments, Output};
use crate::exit::Exit;
use crate::interrupts::Interrupts;
use crate::pipeline::{Prepared, TaskNote, prepare, remember};
use crate::render::clean::clean;
use crate::render::json::{self, Outcomes};
use crate::render::progress::Progress;
use crate::render::words::plural;
use crate::render::{failure, text};
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
    let prepared = prepare(&arguments.common, Access::ReadWrite).await?;
    let Carried { exit, remembers } = carry_through(arguments, prepared, "apply").await?;
    if remembers && exit == Exit::Done {
        tell_if_forgotten(remember(&arguments.common).await);
    }
    Ok(exit)
}

/// What came of a plan that was shown.
pub(crate) struct Carried {
    /// How the command ends.
    pub(crate) exit: Exit,
    /// Whether the record of the last apply no longer says how things are.
    remembers: bool,
}

/// The record only saves reads: an apply that could not write it is none the worse.
fn tell_if_forgotten(remembered: Result<(), Trouble>) {
    let why = match remembered {
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
    arguments: &ApplyArguments,
    mut prepared: Prepared,
    command: &'static str,
) -> Result<Carried, Trouble> {
    let output = arguments.common.output;
    if output == Output::Text {
        screen::print(&text::plan(&prepared.about, &prepared.plan))?;
    }
    screen::tell(&failure::refused(&prepared.plan));
    let ended = if prepared.plan.count(Action::Refuse) > 0 {
        Ended::without_a_start(Exit::Refused)
    } else if !prepared.plan.writes() {
        Ended::in_step(&prepared.plan)
    } else if let Some(ended) = Ended::before_obstacles(&prepared.plan, &prepared.drivers) {
        ended
    } else if agreed(arguments, &mut prepared).await? {
        if output == Output::Text {
            screen::tell("\n");
        }
        let opening = opening(arguments, &prepared, command);
        carry_out_recorded(&mut prepared, opening).await
    } else {
        Ended::without_a_start(Exit::Interrupted)
    };
    let exit = conclude(output, &prepared, &ended)?;
    Ok(Carried { exit, remembers: ended.report.done > 0 || (prepared.forgotten && arguments.yes) })
}

/// What the journal says in the beginning.
fn opening(arguments: &ApplyArguments, prepared: &Prepared, command: &str) -> Opening {
    let digest = journal::digest(&json::plan(&prepared.about, &prepared.plan));
    let file = arguments.common.file.file_name().unwrap_or_default().to_string_lossy();
    Opening::of(&prepared.plan, command, &digest, &file)
}

/// Carries a plan out under the lease of its release, and writes down in its journal how it went.
async fn carry_out_recorded(prepared: &mut Prepared, opening: Opening) -> Ended {
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
    let ended = carry_out(plan, drivers, world, interrupts, watcher, world.lease.lost()).await;
    if !ended.aborted {
        let end = End { outcome: outcome(ended.exit), exit: ended.exit.code() };
        let notes = interrupts.unless_asked(world.end_run(&end)).await.unwrap_or_default();
        notes.iter().for_each(|note| say(note));
    }
    ended
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

async fn agreed(arguments: &ApplyArguments, prepared: &mut Prepared) -> Result<bool, Trouble> {
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
    interrupts: &mut Interrupts,
    mut watcher: Watcher,
    lost: impl Future<Output = String>,
) -> Ended {
    let (stop, stopped) = watch::channel(false);
    let (events, mut heard) = mpsc::unbounded_channel();
    let options = Options::default();
    let mut run = pin!(execute(plan, drivers, world, &options, stopped, events));
    let mut ticks = tokio::time::interval(TICK);
    let (mut lost, mut why) = (pin!(lost), None);
    loop {
        tokio::select! {
            biased;
            Some(event) = heard.recv() => watcher.take(event),
            () = interrupts.next() => {
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
    let interrupted = *stop.borrow() && why.is_none();
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
        let exit = match lost {
            Some(why) => {
                let error = DriverError::new("holding the lease of the release", why).fault(Fault::Locked);
                screen::tell(&format!("\n{}", failure::trouble(&Trouble::World(error))));
                Exit::Locked
            }
            None => Exit::of_report(&self.report, interrupted),
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
mod tests {
    use cfrt_engine::change::Change;
    use cfrt_engine::driver::{Applied, Driver, Effect, Evidence, Observation, Settled, Wanted};
    use cfrt_engine::resource::Resource;
    use cfrt_engine::task::{Answer, Question};
    use futures::stream::{self, BoxStream, StreamExt as _};

    use super::*;
    use crate::render::samples::{about, core, plan, sample};

    /// A driver that is told by a resource's name what to do: `fails`, `hangs`, `waits`, `busy`, or anything else to succeed.
    struct Told;

    impl Driver<()> for Told {
        fn name(&self) -> &'static str {
            "object"
        }

        fn answer<'a>(&'a self, _: &'a (), _: &'a Question) -> Effect<'a, Answer> {
            unreachable!("nothing is asked")
        }

        fn observe<'a>(&'a self, _: &'a (), _: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
            Box::pin(async { Ok(vec![Observation::Absent]) })
        }

        fn diff(&self, _: &Resource, _: &Observation) -> Change {
            Change::of(Action::Keep)
        }

        fn obstacle(&self, step: &cfrt_engine::plan::Step) -> Option<DriverError> {
            let busy = step.resource.id.address.name == "busy";
            busy.then(|| DriverError::new("opening it", "someone is at work").fault(Fault::Locked))
        }

        fn apply<'a>(&'a self, _: &'a (), step: &'a cfrt_engine::plan::Step) -> Effect<'a, Applied> {
            Box::pin(async {
                match step.resource.id.address.name.as_str() {
                    "fails" => Err(DriverError::new("creating it", "no").fault(Fault::Forbidden)),
                    "hangs" => std::future::pending().await,
                    _ => Ok(Applied { wrote: true, ..Applied::default() }),
                }
            })
        }

        fn follow<'a>(&'a self, _: &'a (), resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
            let waits = resource.id.address.name == "waits";
            if waits { stream::pending().boxed() } else { stream::empty().boxed() }
        }

        fn settled(&self, _: &Resource, _: &Evidence) -> Settled {
            Settled::Yes
        }
    }

    fn planned(names: &[&str], action: Action) -> Plan {
        let sample = |name: &&str| sample("chart", core("ConfigMap", name), Change::of(action));
        plan(names.iter().map(sample).collect())
    }

    #[test]
    fn a_plan_of_which_a_step_can_not_be_begun_is_not_begun_at_all() {
        let before =
            |names, action| Ended::before_obstacles(&planned(names, action), &Drivers::<()>::new(vec![Box::new(Told)]));
        let ended = before(&["a", "busy"], Action::Create).expect("one of them is busy");
        assert_eq!((ended.exit, ended.started, ended.report.failed.len()), (Exit::Locked, false, 1));
        assert!(before(&["a", "busy"], Action::Keep).is_none(), "nothing is to be begun");
        assert!(before(&["a"], Action::Create).is_none());
    }

    async fn carried_out(names: &[&str], interrupts: usize) -> Ended {
        let plan = planned(names, Action::Create);
        let watcher = Watcher::new(&about(&[("chart", &[])]).tasks, &plan, Arc::default());
        let interrupts = stream::iter(vec![(); interrupts]).then(|()| a_while()).chain(stream::pending());
        let mut interrupts = Interrupts::of(interrupts);
        carry_out(&plan, &Drivers::new(vec![Box::new(Told)]), &(), &mut interrupts, watcher, std::future::pending())
            .await
    }

    #[tokio::test]
    async fn a_lease_that_is_lost_ends_the_waiting_and_is_no_interrupt() {
        let plan = planned(&["waits", "a"], Action::Create);
        let watcher = Watcher::new(&about(&[("chart", &[])]).tasks, &plan, Arc::default());
        let lost = async {
            a_while().await;
            "it was taken over".to_owned()
        };
        let mut interrupts = Interrupts::of(stream::pending());
        let ended = carry_out(&plan, &Drivers::new(vec![Box::new(Told)]), &(), &mut interrupts, watcher, lost).await;
        let Ended { report, interrupted, aborted, exit, .. } = ended;
        assert_eq!((report.done, report.not_awaited, interrupted, aborted), (1, 1, false, false));
        assert_eq!(exit, Exit::Locked);
    }

    /// As long as the run needs to come as far as it can by itself.
    async fn a_while() {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn every_event_is_in_the_report_when_it_is_over() {
        let ended = carried_out(&["a", "b", "c"], 0).await;
        assert_eq!((ended.report.done, ended.outcomes.len(), ended.exit), (3, 3, Exit::Done));
    }

    #[tokio::test]
    async fn a_failure_gives_its_exit_code() {
        let ended = carried_out(&["fails", "a"], 0).await;
        let id = ResourceId::whole(core("ConfigMap", "fails"));
        assert!(matches!(ended.outcomes.get(&id), Some(Outcome::Failed(_))));
        assert_eq!(ended.exit, Exit::NotPermitted);
    }

    #[tokio::test]
    async fn the_first_interrupt_ends_the_waiting() {
        let ended = carried_out(&["waits", "a"], 1).await;
        let Ended { report, interrupted, exit, .. } = ended;
        assert_eq!((report.done, report.not_awaited, interrupted, exit), (1, 1, true, Exit::Interrupted));
    }

    #[tokio::test]
    async fn the_first_interrupt_does_not_end_a_write() {
        let run = carried_out(&["hangs"], 1);
        let finished = tokio::select! {
            biased;
            _ = run => true,
            () = async { a_while().await; a_while().await } => false,
        };
        assert!(!finished);
    }

    #[tokio::test]
    async fn the_second_interrupt_ends_it_at_once() {
        let ended = carried_out(&["hangs"], 2).await;
        assert_eq!((ended.outcomes.len(), ended.aborted, ended.exit), (0, true, Exit::Interrupted));
    }
}
