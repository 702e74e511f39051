//! The records of a release: read with one list, opened, closed and pruned as Helm does it.

use cfrt_engine::driver::{DriverError, Fault};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::helm::record::{self, Revision, Status};
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};
use crate::kube::gvk::{Gvk, Resolved};

/// How many revisions Helm keeps where nobody says otherwise.
const KEPT: usize = 10;

/// How long a pending revision that no one has touched may still belong to someone at work.
pub const ABANDONED_AFTER: i64 = 600;

/// Which release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What there is of a release: the newest revision, and the one that counts as deployed.
#[derive(Debug, Default)]
pub struct History {
    /// The newest revision, whatever became of it.
    pub newest: Option<Revision>,
    /// The newest deployed revision, where that is another one.
    pub deployed: Option<Revision>,
    /// How many seconds ago the newest was last written, by the server's clock.
    pub age: i64,
}

#[derive(Deserialize)]
struct List {
    items: Option<Vec<Record>>,
}

#[derive(Deserialize)]
struct Record {
    metadata: Metadata,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Data {
    release: Option<String>,
}

impl Record {
    fn label(&self, name: &str) -> &str {
        self.metadata.labels.get(name).map(String::as_str).unwrap_or_default()
    }

    fn revision(&self) -> u64 {
        self.label("version").parse().unwrap_or(0)
    }

    fn decode(&self) -> Result<Revision, DriverError> {
        let encoded = self.data.as_ref().and_then(|data| data.release.as_ref());
        record::decode(encoded.map(String::as_str).unwrap_or_default()).map_err(|error| {
            let hint = "helm can't read it either; delete that Secret if an older revision may count again";
            DriverError::new(format!("reading the release record {}", self.metadata.name), error).hint(hint)
        })
    }
}

fn secrets() -> Resolved {
    Resolved { gvk: Gvk::new("v1", "Secret"), plural: "secrets".to_owned(), namespaced: true }
}

fn list(release: &ReleaseName, more: &str) -> Call {
    let path = secrets().collection(&release.namespace);
    Call::get(format!("{path}?labelSelector=owner%3Dhelm,name%3D{}{more}", release.name))
}

/// The records of a release that say how it is, as they are stored.
pub struct Records {
    newest: Option<Record>,
    deployed: Option<Record>,
    age: i64,
}

impl Records {
    /// Whether helm would install: there is nothing, or nothing that counts any more.
    pub fn is_install(&self) -> bool {
        self.newest.as_ref().is_none_or(|newest| newest.label("status") == Status::Uninstalled.word())
    }

    /// Unpacks them, which takes a while.
    ///
    /// # Errors
    ///
    /// A record that can't be read.
    pub fn unpack(self) -> Result<History, DriverError> {
        Ok(History {
            newest: self.newest.as_ref().map(Record::decode).transpose()?,
            deployed: self.deployed.as_ref().map(Record::decode).transpose()?,
            age: self.age,
        })
    }
}

/// Reads what a plan needs to know of a release: one request, without the revisions that are superseded.
///
/// # Errors
///
/// Records that can't be listed.
pub async fn read(kube: &Kube, release: &ReleaseName) -> Result<Records, DriverError> {
    let reply = kube.send(&list(release, ",status!%3Dsuperseded")).await.map_err(|error| unreadable(release, error))?;
    let records: List = reply.json().map_err(|error| unreadable(release, error))?;
    let mut records = records.items.unwrap_or_default();
    records.sort_by_key(|record| std::cmp::Reverse(record.revision()));
    let is_deployed = |record: &Record| record.label("status") == Status::Deployed.word();
    let mut records = records.into_iter();
    let newest = records.next();
    let deployed = newest.as_ref().filter(|newest| !is_deployed(newest)).and_then(|_| records.find(is_deployed));
    let label = |label: &&str| newest.as_ref()?.label(label).parse::<i64>().ok();
    let touched = ["modifiedAt", "createdAt"].iter().find_map(label);
    let now = reply.server_time.unwrap_or_else(|| Timestamp::now().as_second());
    Ok(Records { age: touched.map_or(i64::MAX, |touched| now - touched), newest, deployed })
}

/// Creates the record of a revision: that it can't be created twice is what keeps two from working at once.
///
/// # Errors
///
/// Someone else has made that revision.
pub async fn open(kube: &Kube, release: &ReleaseName, record: &Value) -> Result<String, DriverError> {
    let doing = || format!("opening a revision of release {}/{}", release.namespace, release.name);
    let secret = record::secret(record, Timestamp::now()).map_err(|error| DriverError::new(doing(), error))?;
    prune(kube, release).await?;
    let call = Call::create(&secrets(), &release.namespace, &secret);
    kube.send(&call).await.map_err(|error| match error {
        exists if exists.is_conflict() => DriverError::new(doing(), "someone else has just opened it")
            .fault(Fault::Locked)
            .hint("wait until that is done, then plan again"),
        other => refused(doing(), other),
    })?;
    Ok(secret["metadata"]["name"].as_str().unwrap_or_default().to_owned())
}

/// Writes how a revision ended, and that older ones no longer count where it ended well.
///
/// # Errors
///
/// Records that can't be read or written.
pub async fn close(
    kube: &Kube,
    release: &ReleaseName,
    secret: &str,
    status: Status,
    description: &str,
) -> Result<(), DriverError> {
    rewrite(kube, release, secret, |record| record::finished(record, status, description)).await?;
    if status != Status::Deployed {
        return Ok(());
    }
    let older = kube.send(&list(release, ",status%3Ddeployed").accept(METADATA)).await;
    let older: List = older.and_then(|reply| reply.json()).map_err(|error| unreadable(release, error))?;
    for record in older.items.unwrap_or_default().into_iter().filter(|record| record.metadata.name != secret) {
        rewrite(kube, release, &record.metadata.name, record::superseded).await?;
    }
    Ok(())
}

const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn rewrite(
    kube: &Kube,
    release: &ReleaseName,
    name: &str,
    change: impl FnOnce(Value) -> Value,
) -> Result<(), DriverError> {
    let doing = || format!("closing the release record {}/{name}", release.namespace);
    let path = secrets().path(&release.namespace, name);
    let secret: Value =
        kube.send(&Call::get(path)).await.and_then(|reply| reply.json()).map_err(|error| refused(doing(), error))?;
    let encoded = secret["data"]["release"].as_str().unwrap_or_default();
    let record = record::raw(encoded).map_err(|error| DriverError::new(doing(), error))?;
    let secret = record::rewritten(secret, &change(record), Timestamp::now())
        .map_err(|error| DriverError::new(doing(), error))?;
    let call = Call::replace(&secrets(), &release.namespace, name, &secret);
    kube.send(&call).await.map(drop).map_err(|error| refused(doing(), error))
}

/// Deletes the oldest revisions beyond Helm's own limit, but never one that is deployed.
async fn prune(kube: &Kube, release: &ReleaseName) -> Result<(), DriverError> {
    let all: List = kube
        .send(&list(release, "").accept(METADATA))
        .await
        .and_then(|reply| reply.json())
        .map_err(|error| unreadable(release, error))?;
    let mut all = all.items.unwrap_or_default();
    all.sort_by_key(Record::revision);
    // One place is for the revision that is about to be made.
    let surplus = (all.len() + 1).saturating_sub(KEPT);
    for record in all.iter().filter(|record| record.label("status") != Status::Deployed.word()).take(surplus) {
        let call = Call::delete(&secrets(), &release.namespace, &record.metadata.name, None);
        match kube.send(&call).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                return Err(refused(format!("removing the old release record {}", record.metadata.name), error));
            }
        }
    }
    Ok(())
}

fn unreadable(release: &ReleaseName, error: ApiError) -> DriverError {
    refused(format!("reading the records of release {}/{}", release.namespace, release.name), error)
}

fn refused(doing: String, error: ApiError) -> DriverError {
    let forbidden = error.code() == Some(403);
    let error = DriverError::new(doing, error);
    if forbidden { error.fault(Fault::Forbidden) } else { error }
}
