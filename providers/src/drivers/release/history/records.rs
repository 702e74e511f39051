//! What a plan reads of a release's records: one request, without the revisions that are superseded.

use cfrt_engine::change::Moved;
use cfrt_engine::driver::DriverError;

use super::{History, Metadata, Record, ReleaseName, counting, list, now, seen, unreadable};
use crate::helm::record::Status;
use crate::kube::call::Call;
use crate::kube::client::Kube;

/// The records of a release as they are stored: those that [`History`] tells of, newest first.
pub struct Records {
    records: Vec<Record>,
    age: i64,
}

impl Records {
    /// Whether helm would install: there is nothing, or nothing that counts any more.
    pub fn is_install(&self) -> bool {
        self.records.first().is_none_or(|newest| newest.label("status") == Status::Uninstalled.word())
    }

    /// The run of ours that has opened the newest and not closed it, and whether that is an installation.
    pub fn left(&self) -> Option<(&str, bool)> {
        let newest = self.records.first().filter(|newest| newest.status().is_pending())?;
        Some((newest.run()?, newest.status() == Status::PendingInstall))
    }

    /// What tells them from themselves after a write, and from others of their names.
    pub fn marks(&self) -> Vec<String> {
        let mark = |Metadata { uid, resource_version, .. }: &Metadata| format!("{uid}@{resource_version}");
        self.records.iter().map(|record| mark(&record.metadata)).collect()
    }

    /// What is known of them where it has been proved that the newest says all that is wanted.
    pub fn proved(&self) -> History {
        let newest = self.records.first().map_or(0, Record::revision);
        let (seen, maker) = (seen(&self.records), self.maker());
        History { proved: newest.try_into().ok(), seen, maker, ..History::default() }
    }

    fn maker(&self) -> Moved {
        self.records.first().map(Record::maker).unwrap_or_default()
    }

    /// Unpacks them, which takes milliseconds for each.
    ///
    /// # Errors
    ///
    /// A record that can't be read.
    pub fn unpack(self) -> Result<History, DriverError> {
        let mut revisions = self.records.iter().map(Record::decode);
        let newest = revisions.next().transpose()?;
        let (earlier, seen) = (revisions.collect::<Result<Vec<_>, _>>()?, seen(&self.records));
        let maker = self.maker();
        let overtaken = self.records.iter().skip(1).position(Record::is_ours).filter(|_| !self.records[0].is_ours());
        let ours = overtaken.and_then(|index| earlier.get(index).cloned());
        Ok(History { newest, earlier, age: self.age, seen, maker, ours, ..History::default() })
    }
}

/// Reads what a plan needs to know of a release: one request, without the revisions that are superseded.
///
/// # Errors
///
/// Records that can't be listed.
pub async fn read(kube: &Kube, release: &ReleaseName) -> Result<Records, DriverError> {
    read_as(kube, release, counted(release)).await
}

/// Reads the same without what the records hold, which can be a third of all that a plan reads.
///
/// # Errors
///
/// As [`read`].
pub async fn read_metadata(kube: &Kube, release: &ReleaseName) -> Result<Records, DriverError> {
    read_as(kube, release, counted(release).metadata_of_all()).await
}

fn counted(release: &ReleaseName) -> Call {
    list(release, ",status!%3Dsuperseded")
}

async fn read_as(kube: &Kube, release: &ReleaseName, call: Call) -> Result<Records, DriverError> {
    let reply = kube.send(&call).await.map_err(|error| unreadable(release, error))?;
    let records = counting(reply.items().map_err(|error| unreadable(release, error))?);
    let age = records.first().map_or(0, |newest| newest.age(now(&reply)));
    Ok(Records { records, age })
}
