//! One step, carried out: look again where it was hidden, write, wait until it is settled, close.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures::stream::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::change::Action;
use crate::driver::{
    Applied, Depth, Discreet, Driver, DriverError, Ending, Fault, Lack, Observation, Settled, Trouble, Wanted,
};
use crate::event::{Event, Failure};
use crate::execute::Events;
use crate::plan::{Step, change_of};
use crate::resource::Address;

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

/// How long what is left behind may still show that it fails, too: failures seldom come alone, and are told together.
const GRACE: Duration = Duration::from_secs(1);

/// How waiting for a step ended.
pub(crate) enum Waited {
    Settled,
    Failed(Failure),
    /// The user stopped the run.
    Stopped,
    /// Something else failed, and nothing that can still be done needs this.
    LeftBehind,
}

/// A step that is waited for, and all that it takes to wait.
pub(crate) struct Wait<'a, W> {
    pub(crate) driver: &'a dyn Driver<W>,
    pub(crate) world: &'a W,
    pub(crate) step: &'a Step,
    /// What the step's resource is a part of.
    pub(crate) owner: Option<&'a Address>,
    /// How long it may go without progress.
    pub(crate) patience: Duration,
    pub(crate) events: Events,
}

impl<W: Discreet> Wait<'_, W> {
    /// Waits until what the step is about is settled, for as long as there is progress and nobody says otherwise.
    pub(crate) async fn until_settled(
        &self,
        mut stop: watch::Receiver<bool>,
        left_behind: impl Future<Output = ()>,
    ) -> Waited {
        let mut settled = pin!(self.settle());
        let ended = tokio::select! {
            biased;
            // First, so that what is settled already is not taken for left behind.
            result = &mut settled => result,
            () = comes_true(&mut stop, |stop| *stop) => return Waited::Stopped,
            () = left_behind => match timeout(GRACE, settled).await {
                Ok(result) => result,
                Err(_) => return Waited::LeftBehind,
            },
        };
        match ended {
            Ok(()) => Waited::Settled,
            Err(failure) => Waited::Failed(tellable(self.world, self.step, failure)),
        }
    }

    async fn settle(&self) -> Result<(), Failure> {
        let resource = &self.step.resource;
        let mut seen = self.driver.follow(self.world, resource);
        let (mut lacking, mut deadline) = (None, Instant::now() + self.patience);
        // What comes and goes, as the pods of a crash loop do, is no progress the second time.
        let mut known = BTreeSet::new();
        loop {
            let evidence = match timeout_at(deadline, seen.next()).await {
                Ok(Some(evidence)) => evidence.map_err(Failure::from)?,
                Ok(None) => return lacking.map_or(Ok(()), |lack| Err(self.out_of_sight(&lack))),
                Err(_) => return Err(self.out_of_patience(lacking.as_ref())),
            };
            match self.driver.settled(resource, &evidence) {
                Settled::Yes => return Ok(()),
                Settled::Failed(trouble) => return Err(self.failed(self.told(&trouble))),
                Settled::Waiting(now) if lacking.as_ref() == Some(&now) => {}
                Settled::Waiting(now) => {
                    if known.insert(now.how_far.clone()) {
                        deadline = Instant::now() + self.patience;
                    }
                    self.tell(&now);
                    lacking = Some(now);
                }
            }
        }
    }

    fn tell(&self, lack: &Lack) {
        let (resource, task) = (self.step.resource.id.clone(), self.step.resource.task.clone());
        let lacking = self.world.redacted(&self.step.resource, &lack.to_string());
        self.events.send(Event::Waiting { resource, task, lacking }).unwrap_or_default();
    }

    /// What is the matter, from what the resource is a part of down to where it is; then what was written there last.
    fn told(&self, trouble: &Trouble) -> Vec<String> {
        let owner = self.owner.into_iter().chain([&self.step.resource.id.address]);
        let place = owner.map(|address| address.short().to_string()).chain(trouble.within.iter().cloned());
        let what = match trouble.within.is_empty() {
            true => trouble.what.clone(),
            false => format!("{}: {}", place.collect::<Vec<_>>().join(" → "), trouble.what),
        };
        let log = (!trouble.log.is_empty()).then(|| format!("its log ends:\n{}", trouble.log));
        [what].into_iter().chain(log).collect()
    }

    fn out_of_patience(&self, lacking: Option<&Lack>) -> Failure {
        let how_far = lacking.map(|lack| lack.how_far.as_str()).unwrap_or_default();
        let why = format!("no progress for {} s: {how_far}", self.patience.as_secs());
        let trouble = lacking.and_then(|lack| lack.trouble.as_ref()).map(|trouble| self.told(trouble));
        Failure { fault: Fault::TimedOut, ..self.failed([vec![why], trouble.unwrap_or_default()].concat()) }
    }

    fn out_of_sight(&self, lack: &Lack) -> Failure {
        self.failed(vec![format!("nothing more can be seen of it: {lack}")])
    }

    fn failed(&self, why: Vec<String>) -> Failure {
        let what = format!("waiting for {}", self.step.resource.id.address.short());
        Failure { causes: [vec![what], why].concat(), fault: Fault::World, hint: String::new() }
    }
}

/// Ends once a value is as wanted, and never where nobody can change it any more.
pub(crate) async fn comes_true<T>(value: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    if value.wait_for(wanted).await.is_err() {
        std::future::pending::<()>().await;
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
        Waited::Stopped | Waited::LeftBehind => Ending::Stopped,
    };
    match (driver.close(world, step, applied, ending).await, waited) {
        (Err(error), Waited::Settled | Waited::Stopped | Waited::LeftBehind) => {
            Waited::Failed(tellable(world, step, error))
        }
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

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Self { causes: error.chain(), fault: error.fault, hint: error.hint }
    }
}
