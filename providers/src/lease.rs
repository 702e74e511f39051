//! The lease of a release: whoever writes holds it, renews it while at work, and stops where it is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cfrt_engine::driver::{DriverError, Fault};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::drivers::object::OWN;
use crate::drivers::release::charts::lock;
use crate::drivers::release::heartbeat::Heartbeats;
use crate::drivers::release::history::ReleaseName;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};
use crate::kube::gvk::{Gvk, Resolved};

pub mod claim;
pub mod holder;
mod take;

use claim::{Claim, Standing, renewal};
use holder::Holder;
pub use take::Say;
use take::Taking;

/// How often a lease is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(10);

/// How often it is looked whether that is due, so that a renewal that failed is soon tried again.
const PULSE: Duration = Duration::from_secs(2);

/// How long one request for it may take.
const LIMIT: Duration = Duration::from_secs(4);

/// How long it may go without a renewal before it counts as lost. No one else may have it before its duration is over, and
/// what was sent just before has to arrive by then.
const PATIENCE: Duration = Duration::from_secs(24);

/// How long whoever has just made the namespace may take until the lease is there, too.
const SOON: Duration = Duration::from_millis(100);

/// How often it is looked for.
const LOOKS_FOR_OTHERS: usize = 20;

/// Where a lease is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    namespace: String,
    name: String,
}

impl Place {
    /// Where the lease of a release is.
    pub fn of(release: &ReleaseName) -> Self {
        Self { namespace: release.namespace.clone(), name: format!("cfrt-{}", release.name) }
    }

    /// The namespace that it is in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn kind() -> Resolved {
        Resolved { gvk: Gvk::new("coordination.k8s.io/v1", "Lease"), plural: "leases".to_owned(), namespaced: true }
    }

    /// Reads the lease; nothing where nobody holds any.
    ///
    /// # Errors
    ///
    /// Any answer but the lease and 404.
    pub async fn read(&self, kube: &Kube) -> Result<Option<Claim>, ApiError> {
        match kube.send(&Call::get(Self::kind().path(&self.namespace, &self.name))).await {
            Ok(reply) => Claim::of(&reply).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A lease that this run holds.
#[derive(Debug, Clone)]
struct Taken {
    uid: String,
    revision: String,
    /// By how many seconds the server's clock is ahead of ours.
    ahead: i64,
    /// When it was last known to be ours.
    renewed: Instant,
}

impl Taken {
    fn of(claim: &Claim) -> Self {
        let Claim { uid, revision, server_time, .. } = claim.clone();
        let ahead = server_time.map_or(0, |now| now.saturating_sub(Timestamp::now().as_second()));
        Self { uid, revision, ahead, renewed: Instant::now() }
    }

    /// The time by the server's clock.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(jiff::SignedDuration::from_secs(self.ahead)).unwrap_or(now)
    }
}

/// How far a run is with its lease.
#[derive(Debug, Clone, Default)]
enum State {
    /// Nobody has asked for it: what is written needs none.
    #[default]
    Unasked,
    /// It is taken as soon as its namespace is there.
    Later,
    /// This run holds it.
    Held(Taken),
    /// It was given back.
    Over,
    /// It could not be had; why.
    Refused(String),
    /// It is not ours any more; why.
    Lost(String),
}

/// What a run has to do with the lease of its release.
#[derive(Debug, Default)]
pub struct Lease {
    place: Place,
    holder: Holder,
    state: Arc<watch::Sender<State>>,
    beats: Mutex<Option<Arc<Heartbeats>>>,
}

impl Lease {
    /// The lease of a release, for a run of this process.
    ///
    /// # Errors
    ///
    /// No random bytes to draw the run's id from.
    pub fn of(release: &ReleaseName) -> Result<Self, DriverError> {
        let holder = Holder::this().map_err(|error| DriverError::new("drawing an id for this run", error))?;
        Ok(Self { place: Place::of(release), holder, ..Self::default() })
    }

    /// This run, as a holder.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Says that it is taken as soon as its namespace is there: until then nothing else is written.
    pub(crate) fn wait_for_its_namespace(&self) {
        self.state.send_replace(State::Later);
    }

    /// Whether writing something comes before the lease: it is the namespace in which that is going to be.
    pub(crate) fn lives_in(&self, address: &cfrt_engine::resource::Address) -> bool {
        matches!(*self.state.borrow(), State::Later)
            && address.kind == "v1/Namespace"
            && address.name == self.place.namespace
    }

    /// Takes it, which `say` is told of where someone else had it.
    ///
    /// # Errors
    ///
    /// Someone else holds it, and lives; a server that refuses it.
    pub(crate) async fn take(&self, kube: &Kube, plan: &str, say: Say<'_>) -> Result<(), DriverError> {
        let taking = Taking { kube, place: &self.place, holder: &self.holder, plan, say };
        match taking.take().await {
            Ok(taken) => drop(self.state.send_replace(State::Held(taken))),
            Err(error) => {
                self.state.send_replace(State::Refused(error.chain().join(": ")));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Says that this run can't have it: the namespace for it could not be made.
    pub(crate) fn can_not_be_had(&self) {
        self.state.send_replace(State::Refused(format!("the namespace {} could not be made", self.place.namespace)));
    }

    /// Looks for a while whether someone else takes it who has made the namespace meanwhile, and says that as an error.
    pub(crate) async fn held_by_others(&self, kube: &Kube) -> Option<DriverError> {
        self.can_not_be_had();
        for _ in 0..LOOKS_FOR_OTHERS {
            match self.place.read(kube).await {
                Ok(Some(claim)) => return Some(take::locked(&self.place, &claim, "is at work")),
                Ok(None) => sleep(SOON).await,
                Err(_) => return None,
            }
        }
        None
    }

    /// Renews it from now on, and calls `renewed` after each time; where it is lost nothing more is written.
    pub(crate) fn keep<F>(&self, kube: &Kube, mut renewed: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let beats = Arc::new(Heartbeats::every(PULSE));
        let (kube, place, holder) = (kube.clone(), self.place.clone(), self.holder.clone());
        let state = Arc::clone(&self.state);
        beats.start(&self.place.name, move || {
            let keeping = Keeping { kube: kube.clone(), place: place.clone(), holder: holder.clone() };
            let (state, after) = (Arc::clone(&state), renewed());
            async move {
                let held = state.borrow().clone();
                let State::Held(taken) = held else { return false };
                match keeping.beat(taken).await {
                    Beat::NotDue => true,
                    Beat::Renewed(taken) => {
                        state.send_replace(State::Held(taken));
                        after.await;
                        true
                    }
                    Beat::Lost(why) => {
                        keeping.kube.close();
                        state.send_replace(State::Lost(why));
                        false
                    }
                }
            }
        });
        *lock(&self.beats) = Some(beats);
    }

    /// Waits until this run may write: nothing is written before its lease.
    ///
    /// # Errors
    ///
    /// It is lost, or couldn't be had.
    pub(crate) async fn held(&self) -> Result<(), DriverError> {
        let mut state = self.state.subscribe();
        // The sender is ours, so that there is always one.
        let settled = state.wait_for(|state| !matches!(state, State::Later)).await;
        match settled.as_deref() {
            Ok(State::Refused(why) | State::Lost(why)) => {
                Err(DriverError::new("writing under the lease", why.clone()).fault(Fault::Locked))
            }
            Ok(State::Unasked | State::Later | State::Held(_) | State::Over) | Err(_) => Ok(()),
        }
    }

    /// Waits until it is lost, and says why; for ever where it isn't.
    pub async fn lost(&self) -> String {
        let mut state = self.state.subscribe();
        loop {
            if let State::Lost(why) = &*state.borrow_and_update() {
                return why.clone();
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether this run holds it.
    pub(crate) fn is_held(&self) -> bool {
        matches!(*self.state.borrow(), State::Held(_))
    }

    /// The time by the server's clock, as far as it is known.
    pub(crate) fn now(&self) -> Timestamp {
        if let State::Held(taken) = &*self.state.borrow() { taken.now() } else { Timestamp::now() }
    }

    /// Gives it back where this run holds it.
    ///
    /// # Errors
    ///
    /// A server that doesn't let us; it ends by itself then.
    pub(crate) async fn release(&self, kube: &Kube) -> Result<(), ApiError> {
        let beats = lock(&self.beats).take();
        if let Some(beats) = beats {
            beats.stop(&self.place.name).await;
        }
        let State::Held(taken) = self.state.borrow().clone() else { return Ok(()) };
        self.state.send_replace(State::Over);
        let Place { namespace, name } = &self.place;
        let delete = |revision: &str| {
            Call::delete(&Place::kind(), namespace, name, Some(&taken.uid)).of_revision(revision).within(LIMIT)
        };
        match kube.send(&delete(&taken.revision)).await {
            Err(error) if error.is_conflict() => match self.place.read(kube).await? {
                Some(claim) if claim.standing(&self.holder) == Standing::Ours => {
                    kube.send(&delete(&claim.revision)).await.map(drop)
                }
                Some(_) | None => Ok(()),
            },
            Err(error) if error.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

/// What renews a lease.
struct Keeping {
    kube: Kube,
    place: Place,
    holder: Holder,
}

/// What came of one look at whether a lease is to be renewed.
enum Beat {
    NotDue,
    Renewed(Taken),
    Lost(String),
}

impl Keeping {
    async fn beat(&self, taken: Taken) -> Beat {
        if taken.renewed.elapsed() < RENEWED_EVERY {
            return Beat::NotDue;
        }
        let began = Instant::now();
        let answer = timeout(LIMIT, self.renew(&taken)).await.unwrap_or(Err(ApiError::Slow(LIMIT.as_secs())));
        match answer {
            Ok(Ok(revision)) => Beat::Renewed(Taken { revision, renewed: began, ..taken }),
            Ok(Err(lost)) => Beat::Lost(lost),
            Err(error) if taken.renewed.elapsed() >= PATIENCE => {
                Beat::Lost(format!("it could not be renewed for {} s: {error}", taken.renewed.elapsed().as_secs()))
            }
            Err(_) => Beat::NotDue,
        }
    }

    /// Renews it, and gives its revision; or why it is no longer ours.
    async fn renew(&self, taken: &Taken) -> Result<Result<String, String>, ApiError> {
        match self.send(taken, &taken.revision).await {
            Err(error) if matches!(error.code(), Some(404 | 409 | 422)) => match self.place.read(&self.kube).await? {
                // Someone may have labelled it, say; or the answer to our last renewal got lost.
                Some(claim) if claim.uid == taken.uid && claim.standing(&self.holder) == Standing::Ours => {
                    self.send(taken, &claim.revision).await.map(Ok)
                }
                Some(claim) => Ok(Err(format!("{} has taken it over", claim.told()))),
                None => Ok(Err("it was deleted".to_owned())),
            },
            renewed => renewed.map(Ok),
        }
    }

    async fn send(&self, taken: &Taken, revision: &str) -> Result<String, ApiError> {
        let Place { namespace, name } = &self.place;
        let patch = renewal(&taken.uid, revision, taken.now());
        let call = Call::merge(&Place::kind(), namespace, name, OWN, &patch).metadata();
        let renewed: Value = self.kube.send(&call).await?.json()?;
        Ok(renewed["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests;
