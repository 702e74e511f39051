//! A run that writes: its lease before its first write, its journal, and what is left of both at its end.

use std::sync::{Arc, Mutex, OnceLock};

use cfrt_engine::change::Action;
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::plan::Plan;
use cfrt_engine::resource::Resource;
use jiff::Timestamp;

use crate::drivers::release::charts::lock;
use crate::drivers::release::heartbeat::Heartbeats;
use crate::drivers::release::history::ReleaseName;
use crate::journal::{Beginning, End, Journals, Opening};
use crate::lease::claim::seconds;
use crate::lease::{RENEWED_EVERY, Say};
use crate::world::World;

/// A run that is to be recorded: whose release it works on, and what it means to do.
#[derive(Debug, Default)]
pub struct Run {
    release: Option<ReleaseName>,
    opening: OnceLock<Opening>,
    /// When it had the lease, by the server's clock.
    began: OnceLock<Timestamp>,
    /// What sends its journal while it is at work.
    sending: Mutex<Option<Heartbeats>>,
}

impl Run {
    /// A run on a release, which has not begun.
    pub fn on(release: ReleaseName) -> Self {
        Self { release: Some(release), ..Self::default() }
    }
}

impl World {
    /// Begins a run that writes: takes the lease, and writes down what is meant to happen. Where its plan makes the
    /// namespace in which both are going to be, that comes first.
    ///
    /// # Errors
    ///
    /// Someone else is at work; a server that refuses the lease, or doesn't permit the journal.
    pub async fn begin_run(&self, plan: &Plan, opening: Opening, say: Say<'_>) -> Result<(), DriverError> {
        self.begin_writing();
        self.run.opening.set(opening).unwrap_or_default();
        self.lease.wait_for_its_namespace();
        let mut made = plan.steps.iter().filter(|step| step.change.action == Action::Create);
        if made.any(|step| self.lease.lives_in(&step.resource.id.address)) {
            return Ok(());
        }
        self.hold(say).await
    }

    /// Takes the lease and keeps it from then on, however long the journal takes to be begun.
    async fn hold(&self, say: Say<'_>) -> Result<(), DriverError> {
        let (Some(release), Some(opening)) = (&self.run.release, self.run.opening.get()) else { return Ok(()) };
        self.lease.take(&self.kube, &opening.plan, say).await?;
        self.lease.keep(&self.kube);
        self.run.began.set(self.lease.now()).unwrap_or_default();
        let holder = self.lease.holder();
        let begin = Beginning {
            release: release.clone(),
            run: holder.run.clone(),
            who: holder.who.clone(),
            at: seconds(self.lease.now()),
        };
        if let Err(error) = self.journal.begin(&self.kube, begin, opening).await {
            // Nothing was written under it; where it can't be given back it ends by itself.
            self.lease.release(&self.kube).await.unwrap_or_default();
            self.lease.refuse(&error);
            return Err(error);
        }
        self.lease.begin();
        self.send_what_is_noted();
        self.lease.held().await
    }

    /// Sends what was noted for the journal as often as the lease is renewed, and beside that: it may take long.
    fn send_what_is_noted(&self) {
        let (beats, journal, kube) = (Heartbeats::every(RENEWED_EVERY), Arc::clone(&self.journal), self.kube.clone());
        beats.start("journal", move || {
            let (journal, kube) = (Arc::clone(&journal), kube.clone());
            async move {
                // What can't be sent now is sent with what comes next.
                journal.flush(&kube).await.unwrap_or_default();
                true
            }
        });
        *lock(&self.run.sending) = Some(beats);
    }

    /// Writes a resource in its turn: under the lease, but for the namespace in which that is going to be.
    ///
    /// # Errors
    ///
    /// As `write`; the lease is lost, or couldn't be had.
    pub(crate) async fn in_turn<T>(
        &self,
        resource: &Resource,
        write: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        if !self.lease.lives_in(&resource.id.address) {
            self.lease.held().await?;
            return write.await;
        }
        let error = match write.await {
            Ok(written) => return self.hold(&|_| {}).await.map(|()| written),
            // Who made it meanwhile has the lease, or is about to.
            Err(error) if error.fault == Fault::Stale => self.lease.held_by_others(&self.kube).await.unwrap_or(error),
            Err(error) => error,
        };
        self.lease.refuse(&error);
        Err(error)
    }

    /// Who else is at work on the release, in words. Nobody is while this run holds the lease.
    ///
    /// # Errors
    ///
    /// A lease that can't be read.
    pub async fn others_at_work(&self) -> Result<Option<String>, DriverError> {
        if self.lease.is_held() {
            return Ok(None);
        }
        let claim = self.lease.place().read(&self.kube).await;
        let claim = claim.map_err(|error| error.during("looking who is at work on the release"))?;
        Ok(claim.filter(|claim| claim.is_of_others(self.lease.holder())).map(|claim| claim.told()))
    }

    /// When this run took its lease, by the server's clock; now where it has none.
    pub(crate) fn began(&self) -> Timestamp {
        self.run.began.get().copied().unwrap_or_else(|| self.lease.now())
    }

    /// Ends a run: its journal, then the lease. Gives what of that was in the way.
    pub async fn end_run(&self, end: &End) -> Vec<String> {
        let (Some(release), true) = (&self.run.release, self.lease.is_held()) else { return Vec::new() };
        let at = seconds(self.lease.now());
        let journals = Journals::of(&self.kube, release);
        let (missing, pruned) = futures::join!(self.journal.end(&self.kube, end, &at), journals.prune());
        drop(lock(&self.run.sending).take());
        let released = self.lease.release(&self.kube).await;
        let journal = missing.map(|why| format!("the journal of this run is not complete: {why}"));
        let old = pruned.err().map(|error| format!("old journals were not removed: {error}"));
        let lease = released.err().map(|error| format!("the lease was not given back, and ends by itself: {error}"));
        journal.into_iter().chain(old).chain(lease).collect()
    }
}

#[cfg(test)]
mod tests;
