//! Taking a lease: made where there is none, taken over from whoever is gone, and left to whoever lives.

use std::time::Duration;

use cfrt_engine::driver::{DriverError, Fault};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::claim::{Claim, Standing, document};
use super::holder::Holder;
use super::{LIMIT, Place, Taken};
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube, Moment};
use crate::kube::retry::{is_unclear, tries};

/// How often it is looked whether a lease is renewed of whose holder nothing else is known.
const LOOK: Duration = Duration::from_secs(2);

/// How often at most; no lease is believed to hold longer than this takes.
const LOOKS: usize = 400;

/// What is told while a lease is being taken.
pub type Say<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Whoever would like to have a lease.
pub(super) struct Taking<'a> {
    pub(super) kube: &'a Kube,
    pub(super) place: &'a Place,
    pub(super) holder: &'a Holder,
    pub(super) plan: &'a str,
    pub(super) say: Say<'a>,
}

/// What a run met that wanted to make the lease.
enum Met {
    /// There was none, and it has it.
    Nothing(Taken),
    /// There is one.
    Lease(Box<Claim>),
}

/// A lease that someone holds of whom nothing is known here, and since when it looks like this.
struct Watched {
    claim: Claim,
    since: Instant,
}

impl Taking<'_> {
    /// Takes the lease. Until then nothing of a run may be written.
    ///
    /// # Errors
    ///
    /// Someone who lives holds it, as told; a server that doesn't let us have it.
    pub(super) async fn take(&self) -> Result<Taken, DriverError> {
        let (began, mut watched): (_, Option<Watched>) = (Moment::now(), None);
        let mut claim = match self.create().await? {
            Met::Nothing(taken) => return Ok(taken),
            Met::Lease(there) => *there,
        };
        for _ in 0..LOOKS {
            match self.standing(&claim, watched.as_ref()) {
                // An answer got lost, and nothing tells when its request was done.
                Standing::Ours => return Ok(Taken::of(&claim, began)),
                Standing::Free | Standing::Ended | Standing::Expired => {
                    if let Some(taken) = self.take_over(&claim).await? {
                        return Ok(taken);
                    }
                }
                Standing::Lives => return Err(self.locked(&claim, "is at work")),
                Standing::Held => {
                    let since = self.unless_renewed(&claim, watched.as_ref())?;
                    watched = Some(Watched { claim, since });
                    sleep(LOOK).await;
                }
            }
            claim = match (self.read().await?, &watched) {
                (Some(there), _) => there,
                // Whatever they did, the plan was made before it.
                (None, Some(Watched { claim, .. })) => return Err(self.locked(claim, "was at work until just now")),
                (None, None) => match self.create().await? {
                    Met::Nothing(taken) => return Ok(taken),
                    Met::Lease(there) => *there,
                },
            };
        }
        Err(self.locked(&claim, "keeps it"))
    }

    /// What a lease says about its holder; one of which the server tells no age is watched for as long as it holds.
    fn standing(&self, claim: &Claim, watched: Option<&Watched>) -> Standing {
        let holds = Duration::from_secs(claim.duration.unsigned_abs());
        let outlived = |watched: &Watched| claim.is_unmoved(&watched.claim) && watched.since.elapsed() > holds;
        match claim.standing(self.holder) {
            Standing::Held if watched.is_some_and(outlived) => Standing::Expired,
            standing => standing,
        }
    }

    /// Since when a lease has looked like this.
    fn unless_renewed(&self, claim: &Claim, watched: Option<&Watched>) -> Result<Instant, DriverError> {
        match watched {
            Some(before) if claim.is_unmoved(&before.claim) => Ok(before.since),
            Some(_) => Err(self.locked(claim, "is at work")),
            None => {
                let Claim { duration, .. } = claim;
                (self.say)(&format!(
                    "{} may be at work; if it isn't renewed, its lease ends within {duration} s",
                    claim.told()
                ));
                Ok(Instant::now())
            }
        }
    }

    /// Makes the lease, or reads the one that is there.
    async fn create(&self) -> Result<Met, DriverError> {
        let Place { namespace, name } = self.place;
        let lease = document(namespace, name, self.holder, self.plan, None, Timestamp::now());
        let mut waits = tries();
        loop {
            let (sent, call) = (Moment::now(), Call::create(&Place::kind(), namespace, &lease).within(LIMIT));
            let error = match self.kube.send(&call).await {
                Ok(reply) => {
                    return Claim::of(&reply)
                        .map(|claim| Met::Nothing(Taken::of(&claim, sent)))
                        .map_err(|error| self.failed(error));
                }
                Err(error) => error,
            };
            if error.is_conflict()
                && let Some(there) = self.read().await?
            {
                return Ok(Met::Lease(Box::new(there)));
            }
            match waits.next().filter(|_| error.is_conflict() || is_unclear(&error)) {
                Some(wait) => sleep(wait).await,
                None => return Err(self.failed(error)),
            }
        }
    }

    /// Takes a lease from whoever is gone; nothing where someone else was quicker.
    async fn take_over(&self, claim: &Claim) -> Result<Option<Taken>, DriverError> {
        let Place { namespace, name } = self.place;
        let lease = document(namespace, name, self.holder, self.plan, Some(claim), claim.now());
        let (sent, call) = (Moment::now(), Call::replace(&Place::kind(), namespace, name, &lease).within(LIMIT));
        let taken = match self.kube.send(&call).await {
            Ok(reply) => Claim::of(&reply).map_err(|error| self.failed(error))?,
            Err(error) if error.is_conflict() || error.is_not_found() || is_unclear(&error) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        if !claim.holder.run.is_empty() {
            (self.say)(&format!("the lease of {} was taken over: {}", claim.told(), self.why(claim)));
        }
        Ok(Some(Taken::of(&taken, sent)))
    }

    fn why(&self, claim: &Claim) -> &'static str {
        match claim.standing(self.holder) {
            Standing::Ended => "its process has ended",
            Standing::Free | Standing::Ours | Standing::Expired | Standing::Lives | Standing::Held => {
                "it wasn't renewed any more"
            }
        }
    }

    async fn read(&self) -> Result<Option<Claim>, DriverError> {
        self.place.read(self.kube).await.map_err(|error| self.failed(error))
    }

    fn locked(&self, claim: &Claim, what: &str) -> DriverError {
        locked(self.place, claim, what)
    }

    fn failed(&self, error: ApiError) -> DriverError {
        let gone = error.is_not_found();
        let error = error.during(self.doing());
        if gone { error.fault(Fault::Stale) } else { error }
    }

    fn doing(&self) -> String {
        taking(self.place)
    }
}

fn taking(Place { namespace, name }: &Place) -> String {
    format!("taking the lease {namespace}/{name}")
}

/// That someone else has a lease.
pub(super) fn locked(place: &Place, claim: &Claim, what: &str) -> DriverError {
    let error = DriverError::new(taking(place), format!("{} {what}", claim.told())).fault(Fault::Locked);
    error.hint("wait until that run is through, then plan again; nothing was written by this one")
}
