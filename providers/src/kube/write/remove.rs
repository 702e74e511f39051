//! Objects that are to go, for good or to be made again: deleted as the plan saw them, and waited for until they are gone.

use std::time::Duration;

use cfrt_engine::change::Change;
use cfrt_engine::driver::{DriverError, Fault, Observation};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Document, Resource};
use futures::stream::StreamExt as _;
use serde_json::Value;

use super::{Target, Unforeseen, told};
use crate::kube::call::Call;
use crate::kube::client::ApiError;
use crate::kube::holding::holding;
use crate::kube::retry::tries;

/// How long an object may take to go; something holds it then, as a finalizer does.
const LEAVING: Duration = Duration::from_secs(120);

impl Target<'_> {
    /// Deletes the object that the plan saw, and makes it again once it is gone. Generated values stay as they were.
    ///
    /// A run that is cut off in between leaves nothing there, which the next one creates.
    ///
    /// # Errors
    ///
    /// Whatever the server says against either; an object that moved so that the plan no longer fits, or that doesn't go.
    pub async fn replace(
        &self,
        step: &Step,
        document: &Document,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<Value, DriverError> {
        let live = self.delete_as_seen("replacing", step, diff).await?;
        self.gone().await?;
        self.make("making again", document, &live, "someone else made it anew as soon as it was gone").await
    }

    /// Deletes the object that the plan saw, and what depends on it in the background. That it is gone already is fine.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it; an object that moved so that the plan no longer fits.
    pub async fn remove(
        &self,
        step: &Step,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<(), DriverError> {
        self.delete_as_seen("deleting", step, diff).await.map(drop)
    }

    /// Deletes the very state of the object that the plan saw, and gives it; one that moved elsewhere is read again.
    async fn delete_as_seen(
        &self,
        doing: &str,
        step: &Step,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<Value, DriverError> {
        let (mut seen, mut pauses) = (step.seen.clone(), tries());
        while let Observation::Present { live, stamp, .. } = &seen {
            let (namespace, name) = (&self.key.namespace, &self.key.name);
            let call = Call::delete(&self.kind, namespace, name, Some(&stamp.uid)).of_revision(&stamp.revision);
            match self.world.kube.send(&call).await {
                Err(error) if error.is_conflict() => {}
                Err(error) if !error.is_not_found() => return Err(self.refused(doing, error)),
                Ok(_) | Err(_) => return Ok(Value::clone(live)),
            }
            let Some(pause) = pauses.next() else { break };
            tokio::time::sleep(pause).await;
            match self.still_to_go(doing, step, &stamp.uid, &diff).await? {
                Some(now) => seen = now,
                None => return Ok(Value::clone(live)),
            }
        }
        Err(self.others(doing))
    }

    /// Reads an object again that moved before it could be deleted; none where it is gone or on its way, as after a deletion
    /// whose answer got lost.
    async fn still_to_go(
        &self,
        doing: &str,
        step: &Step,
        uid: &str,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<Option<Observation>, DriverError> {
        let Some(live) = self.there().await? else { return Ok(None) };
        if live["metadata"]["uid"] != *uid {
            return Err(self.stale(doing, ApiError::Transport("another one has taken its place".to_owned())));
        }
        if live.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(None);
        }
        let (now, moved) = self.same_again(doing, step, live, diff).await?;
        if moved.action == step.change.action {
            return Ok(Some(now));
        }
        let told = told(&Unforeseen::All(moved.reason), &Value::Null, Value::clone);
        Err(self.stale(doing, ApiError::Transport(told)))
    }

    /// Waits until nothing is left of the object.
    ///
    /// # Errors
    ///
    /// It is still there after two minutes, with what holds it; it can't be watched.
    pub async fn gone(&self) -> Result<(), DriverError> {
        let mut seen = self.world.watches.follow(&self.world.kube, &self.kind, self.key.clone());
        let mut last = None;
        let left = async {
            while let Some(live) = seen.next().await {
                match live? {
                    Some(live) => last = Some(live),
                    None => return Ok(()),
                }
            }
            Err(self.failed("removing", "nothing more can be seen of it"))
        };
        if let Ok(ended) = tokio::time::timeout(LEAVING, left).await {
            return ended;
        }
        let held = last.map_or_else(|| "it is still there".to_owned(), |live| holding(&live));
        Err(self.failed("removing", format!("{held}, after {} s", LEAVING.as_secs())).fault(Fault::TimedOut))
    }
}
