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

/// What there is of a release: the newest revision, and those before it whose objects may still be there.
#[derive(Debug, Default)]
pub struct History {
    /// The newest revision, whatever became of it.
    pub newest: Option<Revision>,
    /// Where the newest isn't deployed: those before it down to the deployed one, newest first.
    ///
    /// What one of them brought stays there until a revision that ends well takes it away.
    pub earlier: Vec<Revision>,
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

    /// Unpacks them, which takes milliseconds for each.
    ///
    /// # Errors
    ///
    /// A record that can't be read.
    pub fn unpack(self) -> Result<History, DriverError> {
        let mut revisions = self.records.iter().map(Record::decode);
        let newest = revisions.next().transpose()?;
        Ok(History { newest, earlier: revisions.collect::<Result<_, _>>()?, age: self.age })
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
    let Some(newest) = records.first() else { return Ok(Records { records, age: 0 }) };
    let is_deployed = |record: &Record| record.label("status") == Status::Deployed.word();
    let deployed = records.iter().position(is_deployed).unwrap_or(records.len() - 1);
    let touched = ["modifiedAt", "createdAt"].iter().find_map(|label| newest.label(label).parse::<i64>().ok());
    let now = reply.server_time.unwrap_or_else(|| Timestamp::now().as_second());
    let age = touched.map_or(i64::MAX, |touched| now - touched);
    records.truncate(deployed + 1);
    Ok(Records { records, age })
}

/// Creates the record of a revision: that it can't be created twice is what keeps two from working at once.
///
/// # Errors
///
/// Someone else has made that revision.
pub async fn open(kube: &Kube, release: &ReleaseName, record: &Value) -> Result<String, DriverError> {
    let doing = || format!("opening a revision of release {}/{}", release.namespace, release.name);
    let known = prune(kube, release).await?;
    let record = &numbered(record, &known);
    let secret = record::secret(record, Timestamp::now()).map_err(|error| DriverError::new(doing(), error))?;
    let call = Call::create(&secrets(), &release.namespace, &secret);
    kube.send(&call).await.map_err(|error| match error {
        exists if exists.is_conflict() => DriverError::new(doing(), "someone else has just opened it")
            .fault(Fault::Locked)
            .hint("wait until that is done, then plan again"),
        other => refused(doing(), other),
    })?;
    Ok(secret["metadata"]["name"].as_str().unwrap_or_default().to_owned())
}

/// The record under a number that is free. One that a superseded revision has was not seen when the plan was made, and
/// stands behind us; any other is someone at work, on whom the creation must fail.
fn numbered(record: &Value, known: &[Record]) -> Value {
    let wanted = record["version"].as_u64().unwrap_or(0);
    let superseded = |known: &&Record| known.label("status") == Status::Superseded.word();
    let last = known.iter().map(Record::revision).max().unwrap_or(0);
    let taken = known.iter().filter(superseded).any(|known| known.revision() == wanted);
    let mut record = record.clone();
    if taken {
        record["version"] = (last + 1).into();
    }
    record
}

/// Writes how a revision ended, as `end` puts it into the record, and that older ones no longer count where it ended well.
///
/// # Errors
///
/// Records that can't be read or written.
pub async fn close(
    kube: &Kube,
    release: &ReleaseName,
    secret: &str,
    status: Status,
    end: impl FnOnce(Value) -> Value,
) -> Result<(), DriverError> {
    let ours = rewrite(kube, release, secret, |record| still_ours(release, record).map(end)).await?;
    if status != Status::Deployed {
        return Ok(());
    }
    let older = kube.send(&list(release, ",status%3Ddeployed").accept(METADATA)).await;
    let older: List = older.and_then(|reply| reply.json()).map_err(|error| unreadable(release, error))?;
    for record in older.items.unwrap_or_default().into_iter().filter(|record| record.revision() < ours) {
        rewrite(kube, release, &record.metadata.name, |record| Ok(record::superseded(record))).await?;
    }
    Ok(())
}

/// A record that is no longer pending was closed by someone else, who took the release over: it isn't ours to close.
fn still_ours(release: &ReleaseName, record: Value) -> Result<Value, DriverError> {
    let status = Status::parse(record.pointer("/info/status").and_then(Value::as_str).unwrap_or_default());
    if status.is_pending() {
        return Ok(record);
    }
    let doing = format!("closing a revision of release {}/{}", release.namespace, release.name);
    let error = DriverError::new(doing, format!("someone else has closed it meanwhile: it is {status}"));
    Err(error
        .fault(Fault::Stale)
        .hint("`helm history` tells who came in between; plan again and look at what is left to do"))
}

/// What a record says of a revision that was begun and never ended.
pub const ABANDONED: &str = "Broken off: whoever began it did not finish it";

/// Writes that a revision failed which was left pending: before that helm does nothing with the release.
///
/// # Errors
///
/// A record that can't be read or written.
pub async fn abandon(kube: &Kube, release: &ReleaseName, revision: u32) -> Result<(), DriverError> {
    let secret = format!("sh.helm.release.v1.{}.v{revision}", release.name);
    let pending =
        |record: &Value| record["info"]["status"].as_str().is_some_and(|word| Status::parse(word).is_pending());
    // Someone may have ended it since the plan was made, and knows better.
    let failed =
        |record| Ok(if pending(&record) { record::finished(record, Status::Failed, ABANDONED) } else { record });
    rewrite(kube, release, &secret, failed).await.map(drop)
}

const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn rewrite(
    kube: &Kube,
    release: &ReleaseName,
    name: &str,
    change: impl FnOnce(Value) -> Result<Value, DriverError>,
) -> Result<u64, DriverError> {
    let doing = || format!("closing the release record {}/{name}", release.namespace);
    let path = secrets().path(&release.namespace, name);
    let secret: Value =
        kube.send(&Call::get(path)).await.and_then(|reply| reply.json()).map_err(|error| refused(doing(), error))?;
    let encoded = secret["data"]["release"].as_str().unwrap_or_default();
    let record = change(record::raw(encoded).map_err(|error| DriverError::new(doing(), error))?)?;
    let secret =
        record::rewritten(secret, &record, Timestamp::now()).map_err(|error| DriverError::new(doing(), error))?;
    let call = Call::replace(&secrets(), &release.namespace, name, &secret);
    kube.send(&call).await.map_err(|error| refused(doing(), error))?;
    Ok(record["version"].as_u64().unwrap_or(0))
}

/// Deletes the oldest revisions beyond Helm's own limit, but never one that is deployed; gives all there were.
async fn prune(kube: &Kube, release: &ReleaseName) -> Result<Vec<Record>, DriverError> {
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
    Ok(all)
}

fn unreadable(release: &ReleaseName, error: ApiError) -> DriverError {
    refused(format!("reading the records of release {}/{}", release.namespace, release.name), error)
}

fn refused(doing: String, error: ApiError) -> DriverError {
    let forbidden = error.code() == Some(403);
    let error = DriverError::new(doing, error);
    if forbidden { error.fault(Fault::Forbidden) } else { error }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known(revisions: &[(u64, &str)]) -> Vec<Record> {
        let items = revisions.iter().map(|(revision, status)| {
            json!({"metadata": {"name": "r", "labels": {"version": revision.to_string(), "status": status}}})
        });
        serde_json::from_value(items.collect()).expect("they are records")
    }

    #[test]
    fn a_number_that_a_superseded_revision_has_is_passed_over_and_any_other_is_left_to_the_server_to_refuse() {
        let number = |revisions| numbered(&json!({"version": 3}), &known(revisions))["version"].as_u64();
        assert_eq!(number(&[(2, "deployed")]), Some(3));
        assert_eq!(number(&[(2, "deployed"), (3, "superseded"), (4, "superseded")]), Some(5));
        assert_eq!(number(&[(2, "deployed"), (3, "pending-upgrade")]), Some(3));
    }

    #[test]
    fn a_record_that_someone_else_has_closed_is_not_ours_any_more() {
        let release = ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() };
        let ours = |status: &str| still_ours(&release, json!({"info": {"status": status}}));
        assert!(ours("pending-upgrade").is_ok());
        assert_eq!(ours("superseded").expect_err("it is over").fault, Fault::Stale);
    }
}
