//! `cfrt apply`: the plan shown, agreed to, and carried out.

use std::collections::HashMap;
use std::time::Duration;

use cfrt_engine::change::Action;
use cfrt_engine::event::{Event, Outcome};
use cfrt_engine::execute::{Options, execute};
use cfrt_engine::report::Report;
use cfrt_providers::world::Access;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::args::{ApplyArguments, Output};
use crate::exit::Exit;
use crate::pipeline::{Prepared, prepare};
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
    let output = arguments.common.output;
    if output == Output::Text {
        screen::print(&text::plan(&prepared.about, &prepared.plan))?;
    }
    screen::tell(&failure::refused(&prepared.plan));
    let ended = if prepared.plan.count(Action::Refuse) > 0 {
        Ended::without_a_start(Exit::Refused)
    } else if !prepared.plan.writes() {
        Ended::without_a_start(Exit::Done)
    } else if agreed(arguments, &prepared)? {
        carry_out(&prepared).await?
    } else {
        Ended::without_a_start(Exit::Interrupted)
    };
    conclude(output, &prepared, &ended)
}

/// How it went.
struct Ended {
    report: Report,
    outcomes: Outcomes,
    interrupted: bool,
    started: bool,
    exit: Exit,
}

impl Ended {
    fn without_a_start(exit: Exit) -> Self {
        let interrupted = exit == Exit::Interrupted;
        Self { report: Report::default(), outcomes: HashMap::new(), interrupted, started: false, exit }
    }
}

fn agreed(arguments: &ApplyArguments, prepared: &Prepared) -> Result<bool, Trouble> {
    if arguments.yes {
        return Ok(true);
    }
    // A question would be in the middle of the JSON.
    if arguments.common.output == Output::Json || !screen::can_ask() {
        return Err(Trouble::Unconfirmed);
    }
    let writing = prepared.plan.steps.iter().filter(|step| step.change.action.writes()).count();
    let these = if writing == 1 { "this 1 change".to_owned() } else { format!("these {}", plural(writing, "change")) };
    screen::ask(&format!("\nApply {these} to {}? [y/N] ", clean(&prepared.about.target.context)))
}

async fn carry_out(prepared: &Prepared) -> Result<Ended, Trouble> {
    let mut interrupts = Interrupts::new()?;
    let mut watcher = Watcher::new(prepared);
    let (stop, stopped) = watch::channel(false);
    let (events, mut heard) = mpsc::unbounded_channel();
    let options = Options::default();
    let run = execute(&prepared.plan, &prepared.drivers, &prepared.world, &options, stopped, events);
    tokio::pin!(run);
    let mut ticks = tokio::time::interval(TICK);
    let mut running = true;
    while running {
        tokio::select! {
            biased;
            Some(event) = heard.recv() => watcher.take(event),
            () = interrupts.next() => {
                if stop.send_replace(true) {
                    watcher.progress.say("aborted: what was being written may be there or not");
                    return Ok(watcher.end(true));
                }
                watcher.progress.say("stopping: what is being written is finished first; once more aborts at once");
            }
            () = &mut run => running = false,
            _ = ticks.tick() => watcher.progress.tick(),
        }
    }
    while let Ok(event) = heard.try_recv() {
        watcher.take(event);
    }
    let interrupted = *stop.borrow();
    Ok(watcher.end(interrupted))
}

/// Listens to a run: for the report, for the JSON, and for who watches.
struct Watcher {
    report: Report,
    outcomes: Outcomes,
    progress: Progress,
}

impl Watcher {
    fn new(prepared: &Prepared) -> Self {
        let progress = Progress::new(&prepared.about.tasks, &prepared.plan);
        Self { report: Report::default(), outcomes: HashMap::new(), progress }
    }

    fn take(&mut self, event: Event) {
        self.report.take(&event);
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

    fn end(self, interrupted: bool) -> Ended {
        self.progress.end();
        let exit = Exit::of_report(&self.report, interrupted);
        Ended { report: self.report, outcomes: self.outcomes, interrupted, started: true, exit }
    }
}

/// What asks us to stop: Ctrl-C, and whoever runs us.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, Trouble> {
        let listen = |kind| signal(kind).map_err(Trouble::Runtime);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Prints what came of it; the exit code of what was done matters more than whether that could be printed.
fn conclude(output: Output, prepared: &Prepared, ended: &Ended) -> Result<Exit, Trouble> {
    screen::tell(&failure::report(&ended.report));
    let Ended { report, outcomes, interrupted, started, exit } = ended;
    let shown = match output {
        Output::Json => json::apply(&prepared.about, &prepared.plan, report, outcomes, *interrupted, *exit),
        Output::Text if *started => text::outcome(&prepared.plan, report, *interrupted, *exit),
        Output::Text if *interrupted => "Nothing was applied.\n".to_owned(),
        Output::Text => String::new(),
    };
    match screen::print(&shown) {
        Err(trouble) if *exit == Exit::Done => Err(trouble),
        Err(_) | Ok(()) => Ok(*exit),
    }
}
