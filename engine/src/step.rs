//! One step, carried out: look again where it was hidden, write, wait until it is settled, close.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::change::Action;
use crate::driver::{Applied, Depth, Discreet, Driver, DriverError, Ending, Fault, Observation, Settled, Wanted};
use crate::event::{Event, Failure};
use crate::execute::Events;
use crate::plan::{Step, change_of};

/// Writes a step; one that was hidden is observed and compared again first.
pub(crate) async fn apply<W: Sync>(
    driver: &dyn Driver<W>,
    world: &W,
    step: &Step,
    events: &Events,
) -> Result<(Action, Applied), DriverError> {
    if !matches!(step.seen, Observation::Hidden { .. }) {
        return Ok((step.change.action, driver.apply(world, step).await?));
    }
    let revealed = look_again(driver, world, step).await?;
    if revealed.change.action != step.change.action {
        let event = Event::Revealed { resource: step.resource.id.clone(), change: revealed.change.clone() };
        events.send(event).unwrap_or_default();
    }
    match revealed.change.action {
        Action::Keep => Ok((Action::Keep, Applied::default())),
        Action::Create => Ok((Action::Create, driver.apply(world, &revealed).await?)),
        Action::Migrate | Action::Update | Action::Replace | Action::Delete | Action::Refuse => {
            let doing = format!("creating {}", step.resource.id.address.short());
            let cause = "it turned up after the plan was made, and is not as the plan would have made it";
            Err(DriverError::new(doing, cause).fault(Fault::Stale).hint("plan again and look at what is there"))
        }
    }
}

async fn look_again<W: Sync>(driver: &dyn Driver<W>, world: &W, step: &Step) -> Result<Step, DriverError> {
    let wanted = [Wanted { resource: &step.resource, depth: Depth::Full, before: None }];
    let seen = driver.observe(world, &wanted).await?.pop().unwrap_or(Observation::Absent);
    let change = change_of(driver, &step.resource, &seen);
    Ok(Step { change, seen, ..step.clone() })
}

/// How waiting for a step ended.
pub(crate) enum Waited {
    Settled,
    Failed(Failure),
    /// The user stopped the run.
    Stopped,
}

/// Waits until what a step is about is settled, for as long as there is progress and nobody stops the run.
pub(crate) async fn wait<W: Discreet>(
    driver: &dyn Driver<W>,
    world: &W,
    step: &Step,
    patience: Duration,
    events: &Events,
    mut stop: watch::Receiver<bool>,
) -> Waited {
    tokio::select! {
        biased;
        // First, so that what is settled already is not taken for left behind.
        result = settle(driver, world, step, patience, events) => match result {
            Ok(()) => Waited::Settled,
            Err(failure) => Waited::Failed(tellable(world, step, failure)),
        },
        () = stopped(&mut stop) => Waited::Stopped,
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody can stop the run any more.
        std::future::pending::<()>().await;
    }
}

async fn settle<W: Discreet>(
    driver: &dyn Driver<W>,
    world: &W,
    step: &Step,
    patience: Duration,
    events: &Events,
) -> Result<(), Failure> {
    let resource = &step.resource;
    let mut seen = driver.follow(world, resource);
    let (mut lacking, mut deadline) = (String::new(), Instant::now() + patience);
    // What comes and goes, as the pods of a crash loop do, is no progress the second time.
    let mut known = BTreeSet::new();
    loop {
        let evidence = match timeout_at(deadline, seen.next()).await {
            Ok(Some(evidence)) => evidence.map_err(Failure::from)?,
            Ok(None) if lacking.is_empty() => return Ok(()),
            Ok(None) => return Err(failed(step, format!("nothing more can be seen of it: {lacking}"))),
            Err(_) => return Err(out_of_patience(step, &lacking, patience)),
        };
        match driver.settled(resource, &evidence) {
            Settled::Yes => return Ok(()),
            Settled::Failed(why) => return Err(failed(step, why)),
            Settled::Waiting(now) if now == lacking => {}
            Settled::Waiting(now) => {
                lacking = now;
                if known.insert(lacking.clone()) {
                    deadline = Instant::now() + patience;
                }
                let (resource, task) = (resource.id.clone(), resource.task.clone());
                let event = Event::Waiting { resource, task, lacking: world.redacted(&step.resource, &lacking) };
                events.send(event).unwrap_or_default();
            }
        }
    }
}

/// Tells the driver how its step went; the step's own failure matters more than one while closing.
pub(crate) async fn close<W: Discreet>(
    driver: &dyn Driver<W>,
    world: &W,
    step: &Step,
    applied: &Applied,
    waited: Waited,
) -> Waited {
    let ending = match &waited {
        Waited::Settled => Ending::Settled,
        Waited::Failed(failure) => Ending::Failed(failure.sentence(&step.resource.id.address.short().to_string())),
        Waited::Stopped => Ending::Stopped,
    };
    match (driver.close(world, step, applied, ending).await, waited) {
        (Err(error), Waited::Settled | Waited::Stopped) => Waited::Failed(tellable(world, step, error)),
        (Ok(()) | Err(_), waited) => waited,
    }
}

/// A failure as it may be told: servers and programs repeat what they were given, secrets too.
pub(crate) fn tellable<W: Discreet>(world: &W, step: &Step, failure: impl Into<Failure>) -> Failure {
    let Failure { causes, fault, hint } = failure.into();
    let told = |text: &String| world.redacted(&step.resource, text);
    Failure { causes: causes.iter().map(told).collect(), fault, hint: told(&hint) }
}

/// A plan that refuses something isn't carried out; should one get here, this is where it ends.
pub(crate) fn refused(step: &Step) -> Failure {
    let what = format!("changing {}", step.resource.id.address.short());
    Failure { causes: vec![what, step.change.reason.clone()], fault: Fault::Refused, hint: String::new() }
}

fn failed(step: &Step, why: String) -> Failure {
    let what = format!("waiting for {}", step.resource.id.address.short());
    Failure { causes: vec![what, why], fault: Fault::World, hint: String::new() }
}

fn out_of_patience(step: &Step, lacking: &str, patience: Duration) -> Failure {
    let why = format!("no progress for {} s: {lacking}", patience.as_secs());
    Failure { fault: Fault::TimedOut, ..failed(step, why) }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Self { causes: error.chain(), fault: error.fault, hint: error.hint }
    }
}
