//! The lease of a release: whoever writes holds it, renews it while at work, and stops where it is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cfrt_engine::driver::{DriverError, Fault};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::drivers::release::charts::lock;
use crate::drivers::release::heartbeat::Heartbeats;
use crate::drivers::release::history::ReleaseName;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube, Moment};
use crate::kube::gvk::{Gvk, Resolved};

pub mod claim;
pub mod holder;
mod keep;
mod take;

use claim::{Claim, Standing};
use holder::Holder;
use keep::Keeping;
pub use take::Say;
use take::Taking;

/// How often a lease is renewed.
pub(crate) const RENEWED_EVERY: Duration = Duration::from_secs(10);

/// How often it is looked whether that is due, so that a renewal that failed is soon tried again.
const PULSE: Duration = Duration::from_secs(2);

/// How long one request for it may take.
const LIMIT: Duration = Duration::from_secs(4);

/// How long it may go without a renewal before what writes is held back. No one else may have it before its duration is over,
/// and what was sent just before has to arrive by then.
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

    fn path(&self) -> String {
        Self::kind().path(&self.namespace, &self.name)
    }

    /// Reads the lease; nothing where nobody holds any.
    ///
    /// # Errors
    ///
    /// Any answer but the lease and 404.
    pub async fn read(&self, kube: &Kube) -> Result<Option<Claim>, ApiError> {
        match kube.send(&Call::get(self.path())).await {
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
    /// When it was last known to be ours: when what made it so was sent.
    renewed: Moment,
}

impl Taken {
    fn of(claim: &Claim, renewed: Moment) -> Self {
        let Claim { uid, revision, server_time, .. } = claim.clone();
        let ahead = server_time.map_or(0, |now| now.saturating_sub(Timestamp::now().as_second()));
        Self { uid, revision, ahead, renewed }
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
    /// This run holds it, and has not begun its journal.
    Taken(Taken),
    /// This run holds it, and may write.
    Held(Taken),
    /// It was given back.
    Over,
    /// It could not be had, or nothing could be written under it.
    Refused(Refusal),
    /// It is not ours any more; why.
    Lost(String),
}

/// What kept a run from writing under its lease.
#[derive(Debug, Clone)]
struct Refusal {
    why: String,
    fault: Fault,
    hint: String,
}

impl State {
    fn taken(&self) -> Option<&Taken> {
        match self {
            Self::Taken(taken) | Self::Held(taken) => Some(taken),
            Self::Unasked | Self::Later | Self::Over | Self::Refused(_) | Self::Lost(_) => None,
        }
    }
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

    /// Takes it, which `say` is told of where someone else had it. Nothing is written before it has [begun](Self::begin).
    ///
    /// # Errors
    ///
    /// Someone else holds it, and lives; a server that refuses it.
    pub(crate) async fn take(&self, kube: &Kube, plan: &str, say: Say<'_>) -> Result<(), DriverError> {
        let taking = Taking { kube, place: &self.place, holder: &self.holder, plan, say };
        let taken = taking.take().await.inspect_err(|error| self.refuse(error))?;
        kube.renewed(self.place.path(), taken.renewed, PATIENCE);
        self.state.send_replace(State::Taken(taken));
        Ok(())
    }

    /// Says that things may be written under it, where it was taken and is still ours.
    pub(crate) fn begin(&self) {
        self.state.send_if_modified(|state| {
            let State::Taken(taken) = &*state else { return false };
            *state = State::Held(taken.clone());
            true
        });
    }

    /// Says that nothing can be written under it, and why.
    pub(crate) fn refuse(&self, error: &DriverError) {
        let (why, fault, hint) = (error.chain().join(": "), error.fault, error.hint.clone());
        self.state.send_replace(State::Refused(Refusal { why, fault, hint }));
    }

    /// Looks for a while whether someone else takes it who has made the namespace meanwhile, and says that as an error.
    pub(crate) async fn held_by_others(&self, kube: &Kube) -> Option<DriverError> {
        for _ in 0..LOOKS_FOR_OTHERS {
            match self.place.read(kube).await {
                Ok(Some(claim)) => return Some(take::locked(&self.place, &claim, "is at work")),
                Ok(None) => sleep(SOON).await,
                Err(_) => return None,
            }
        }
        None
    }

    /// Renews it from now on; where it is lost nothing more is written.
    pub(crate) fn keep(&self, kube: &Kube) {
        let beats = Arc::new(Heartbeats::every(PULSE));
        let (place, holder, state) = (self.place.clone(), self.holder.clone(), Arc::clone(&self.state));
        let keeping = Arc::new(Keeping { kube: kube.clone(), place, holder, state });
        beats.start(&self.place.name, move || {
            let keeping = Arc::clone(&keeping);
            async move { keeping.beat().await }
        });
        *lock(&self.beats) = Some(beats);
    }

    /// Waits until this run may write: nothing is written before its lease, and before that has begun.
    ///
    /// # Errors
    ///
    /// It is lost or given back, or couldn't be had.
    pub(crate) async fn held(&self) -> Result<(), DriverError> {
        let mut state = self.state.subscribe();
        // The sender is ours, so that there is always one.
        let settled = state.wait_for(|state| !matches!(state, State::Later | State::Taken(_))).await;
        let refused = |why: &str, fault| DriverError::new("writing under the lease", why).fault(fault);
        match settled.as_deref() {
            Ok(State::Refused(Refusal { why, fault, hint })) => Err(refused(why, *fault).hint(hint.as_str())),
            Ok(State::Lost(why)) => Err(refused(why, Fault::Locked)),
            Ok(State::Over) => Err(refused("it was given back", Fault::Locked)),
            Ok(State::Unasked | State::Later | State::Taken(_) | State::Held(_)) | Err(_) => Ok(()),
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
        self.state.borrow().taken().is_some()
    }

    /// The time by the server's clock, as far as it is known.
    pub(crate) fn now(&self) -> Timestamp {
        self.state.borrow().taken().map_or_else(Timestamp::now, Taken::now)
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
        let Some(taken) = self.state.borrow().taken().cloned() else { return Ok(()) };
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

#[cfg(test)]
mod tests;
