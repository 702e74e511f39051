//! Keeping a lease: it is renewed while the run is at work, and what writes is held back while that fails.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::claim::{Standing, renewal};
use super::holder::Holder;
use super::{LIMIT, PATIENCE, Place, RENEWED_EVERY, State, Taken};
use crate::drivers::object::OWN;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube, Moment};
use crate::kube::retry::borne_for;

/// What renews a lease.
pub(super) struct Keeping {
    pub(super) kube: Kube,
    pub(super) place: Place,
    pub(super) holder: Holder,
    pub(super) state: Arc<watch::Sender<State>>,
}

impl Keeping {
    /// Renews it where that is due, and gives whether there is still something to renew.
    ///
    /// A renewal goes through only where nobody else has had the lease meanwhile, however long ago the last one was, so that
    /// nothing is lost by trouble alone: until it is over what writes waits.
    pub(super) async fn beat(&self) -> bool {
        let Some(taken) = self.state.borrow().taken().cloned() else { return false };
        if taken.renewed.elapsed() < RENEWED_EVERY {
            return true;
        }
        let sent = Moment::now();
        let answer = timeout(LIMIT, self.renew(&taken)).await.unwrap_or(Err(ApiError::Slow(LIMIT.as_secs())));
        match answer {
            Ok(Ok(revision)) => self.is_renewed(Taken { revision, renewed: sent, ..taken }),
            Ok(Err(why)) => self.is_lost(why),
            Err(error) if taken.renewed.elapsed() >= PATIENCE + borne_for(&error) => {
                self.is_lost(format!("it could not be renewed for {} s: {error}", taken.renewed.elapsed().as_secs()))
            }
            Err(_) => true,
        }
    }

    fn is_renewed(&self, taken: Taken) -> bool {
        self.kube.renewed(self.place.path(), taken.renewed, PATIENCE);
        self.state.send_if_modified(|state| match state {
            State::Taken(before) | State::Held(before) => {
                *before = taken;
                true
            }
            State::Unasked | State::Later | State::Over | State::Refused(_) | State::Lost(_) => false,
        })
    }

    fn is_lost(&self, why: String) -> bool {
        // In this order, so that whoever is refused finds out why.
        self.state.send_replace(State::Lost(why));
        self.kube.close();
        false
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
