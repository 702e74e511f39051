//! Who made which revision: what we applied last is in the newest of our own.

use cfrt_engine::change::Moved;
use cfrt_engine::driver::DriverError;
use serde_json::json;

use super::{ABANDONED_AFTER, History, Left, Record, ReleaseName, all, unreadable};
use crate::blocking::blocking;
use crate::drivers::object::OWN;
use crate::helm::record::Revision;
use crate::kube::call::Call;
use crate::kube::client::Kube;
use crate::kube::fields::maker;
use crate::kube::gvk::Resolved;

impl History {
    /// The revision that was applied last: ours, or where we never made one the newest.
    pub fn last_applied(&self) -> Option<&Revision> {
        self.ours.as_ref().or(self.newest.as_ref())
    }

    /// The newest revision, where someone else made it after ours.
    pub fn overtaking(&self) -> Option<&Revision> {
        self.newest.as_ref().filter(|_| self.ours.is_some())
    }

    /// Whether we made the newest revision.
    pub fn is_ours(&self) -> bool {
        self.maker.by.as_deref() == Some(OWN)
    }

    /// The newest revision, where it was begun and whoever began it has given it up, unless they wait for a hook: a run of
    /// ours that is gone, or someone who hasn't written it for long; helm touches nothing while it waits.
    pub fn given_up(&self) -> Option<&Revision> {
        let is_gone = self.left.as_ref().map_or(self.age >= ABANDONED_AFTER, |left| !left.lives && !left.same);
        self.newest.as_ref().filter(|newest| newest.status.is_pending() && is_gone)
    }

    /// The run of ours that was broken off, where the next one goes on with its revision.
    pub fn to_go_on(&self) -> Option<&Left> {
        self.left.as_ref().filter(|left| left.same && !left.lives)
    }
}

impl Record {
    /// Who made it, and when: others write it too, as soon as they supersede it, but never its type.
    pub(super) fn maker(&self) -> Moved {
        let object = json!({"metadata": {"managedFields": self.metadata.managed_fields}});
        let text = |text: Option<&str>| text.map(str::to_owned);
        maker(&object, "type").map_or_else(Moved::default, |maker| Moved {
            by: text(Some(maker.manager)),
            at: text(maker.time),
            ..Moved::default()
        })
    }

    pub(super) fn is_ours(&self) -> bool {
        self.maker().by.as_deref() == Some(OWN)
    }
}

/// Reads the newest revision that we made, however long ago.
///
/// # Errors
///
/// Records that can't be listed or read.
pub async fn ours(kube: &Kube, release: &ReleaseName) -> Result<Option<Revision>, DriverError> {
    let (records, _) = all(kube, release).await?;
    let newest = records.into_iter().filter(Record::is_ours).max_by_key(Record::revision);
    let Some(newest) = newest else { return Ok(None) };
    let call = Call::get(Resolved::secrets().path(&release.namespace, &newest.metadata.name));
    let record = kube.send(&call).await.and_then(|reply| reply.json::<Record>());
    let record = record.map_err(|error| unreadable(release, error))?;
    blocking(move || record.decode()).await.map(Some)
}
