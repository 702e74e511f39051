//! The records of a release: read with one list, opened, closed and pruned as Helm does it.

use std::time::Duration;

use cfrt_engine::driver::{DriverError, Fault};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::drivers::object::OWN;
use crate::helm::record::{self, Revision, Status};
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube, Reply};
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
    uid: String,
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

    /// How many seconds ago it was last written, at a time; very long ago where it doesn't say.
    fn age(&self, now: Timestamp) -> i64 {
        let touched = ["modifiedAt", "createdAt"].iter().find_map(|label| self.label(label).parse::<i64>().ok());
        touched.map_or(i64::MAX, |touched| now.as_second().saturating_sub(touched))
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
    let age = newest.age(now(&reply));
    records.truncate(deployed + 1);
    Ok(Records { records, age })
}

/// A revision that this run has opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The name of its record.
    pub secret: String,
    /// What tells its record from another one of that name.
    uid: String,
    /// Its status, in Helm's word.
    status: String,
    /// By how many seconds the server's clock is ahead of ours.
    ahead: i64,
}

/// Creates the record of a revision: that it can't be created twice is what keeps two from working at once.
///
/// # Errors
///
/// Someone else has made that revision.
pub async fn open(kube: &Kube, release: &ReleaseName, record: &Value) -> Result<Opened, DriverError> {
    let doing = || format!("opening a revision of release {}/{}", release.namespace, release.name);
    let (known, now) = prune(kube, release).await?;
    let ahead = now.as_second() - Timestamp::now().as_second();
    let secret = record::secret(&numbered(record, &known), now).map_err(|error| DriverError::new(doing(), error))?;
    let call = Call::create(&secrets(), &release.namespace, &secret).accept(METADATA_OF_ONE);
    let created: Result<Record, ApiError> = kube.send(&call).await.and_then(|reply| reply.json());
    let created = created.map_err(|error| match error {
        exists if exists.is_conflict() => DriverError::new(doing(), "someone else has just opened it")
            .fault(Fault::Locked)
            .hint("wait until that is done, then plan again"),
        other => refused(doing(), other),
    })?;
    let status = created.label("status").to_owned();
    Ok(Opened { secret: created.metadata.name, uid: created.metadata.uid, status, ahead })
}

/// Says in an open record that someone is still at work on it, and whether it may be worth saying it again: not where the
/// record is gone, is another one, or has another status. Helm takes the label for one of its own, and shows it to no one.
pub async fn touch(kube: &Kube, release: &ReleaseName, opened: &Opened) -> bool {
    let now = Timestamp::now().as_second().saturating_add(opened.ahead);
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": opened.uid},
        {"op": "test", "path": "/metadata/labels/status", "value": opened.status},
        {"op": "add", "path": "/metadata/labels/modifiedAt", "value": now.to_string()},
    ]);
    let call = Call::patch(&secrets(), &release.namespace, &opened.secret, OWN, &operations);
    let touched = kube.send(&call.accept(METADATA_OF_ONE).within(LONGEST_TOUCH)).await;
    // 422 is what a test says that fails. Whatever else went wrong may go well the next time.
    touched.err().is_none_or(|error| !matches!(error.code(), Some(404 | 422)))
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
    opened: &Opened,
    status: Status,
    end: impl FnOnce(Value) -> Value,
) -> Result<(), DriverError> {
    let closed = |found: &Found, record| still_ours(release, found.uid == opened.uid, record).map(end);
    let ours = rewrite(kube, release, &opened.secret, closed).await?;
    if status != Status::Deployed {
        return Ok(());
    }
    let older = kube.send(&list(release, ",status%3Ddeployed").accept(METADATA)).await;
    let older: List = older.and_then(|reply| reply.json()).map_err(|error| unreadable(release, error))?;
    for record in older.items.unwrap_or_default().into_iter().filter(|record| record.revision() < ours) {
        rewrite(kube, release, &record.metadata.name, |_, record| Ok(record::superseded(record))).await?;
    }
    Ok(())
}

/// A record that is no longer pending, or another one of its name, belongs to someone else, who took the release over: it
/// isn't ours to close.
fn still_ours(release: &ReleaseName, same: bool, record: Value) -> Result<Value, DriverError> {
    let status = Status::parse(record.pointer("/info/status").and_then(Value::as_str).unwrap_or_default());
    if same && status.is_pending() {
        return Ok(record);
    }
    let doing = format!("closing a revision of release {}/{}", release.namespace, release.name);
    let what = if same { "closed it" } else { "deleted it and made another one" };
    let error = DriverError::new(doing, format!("someone else has {what} meanwhile: it is {status}"));
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
/// A record that can't be read or written; someone who has come back to work on it.
pub async fn abandon(kube: &Kube, release: &ReleaseName, revision: u32) -> Result<(), DriverError> {
    let secret = format!("sh.helm.release.v1.{}.v{revision}", release.name);
    rewrite(kube, release, &secret, |found, record| given_up(release, found, record)).await.map(drop)
}

fn given_up(release: &ReleaseName, found: &Found, record: Value) -> Result<Value, DriverError> {
    let status = Status::parse(record["info"]["status"].as_str().unwrap_or_default());
    if !status.is_pending() {
        // Someone has ended it since the plan was made, and knows better.
        return Ok(record);
    }
    if found.age < ABANDONED_AFTER {
        let doing = format!("taking over release {}/{}", release.namespace, release.name);
        let error = DriverError::new(doing, "someone has gone on with it since the plan was made");
        return Err(error.fault(Fault::Locked).hint("wait until that is done, then plan again"));
    }
    Ok(record::finished(record, Status::Failed, ABANDONED))
}

const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const METADATA_OF_ONE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// A touch that takes longer is given up: closing the record waits for it.
const LONGEST_TOUCH: Duration = Duration::from_secs(10);

/// A record as it was found.
struct Found {
    uid: String,
    /// How many seconds ago it was last written, by the server's clock.
    age: i64,
}

async fn rewrite(
    kube: &Kube,
    release: &ReleaseName,
    name: &str,
    change: impl FnOnce(&Found, Value) -> Result<Value, DriverError>,
) -> Result<u64, DriverError> {
    let doing = || format!("closing the release record {}/{name}", release.namespace);
    let failed = |error| refused(doing(), error);
    let reply = kube.send(&Call::get(secrets().path(&release.namespace, name))).await.map_err(failed)?;
    let stored: Record = reply.json().map_err(failed)?;
    let secret: Value = reply.json().map_err(failed)?;
    let found = Found { age: stored.age(now(&reply)), uid: stored.metadata.uid };
    let encoded = secret["data"]["release"].as_str().unwrap_or_default();
    let record = change(&found, record::raw(encoded).map_err(|error| DriverError::new(doing(), error))?)?;
    let secret =
        record::rewritten(secret, &record, Timestamp::now()).map_err(|error| DriverError::new(doing(), error))?;
    let call = Call::replace(&secrets(), &release.namespace, name, &secret);
    kube.send(&call).await.map_err(failed)?;
    Ok(record["version"].as_u64().unwrap_or(0))
}

/// Deletes the oldest revisions beyond Helm's own limit, but never one that is deployed; gives all there were, and when.
async fn prune(kube: &Kube, release: &ReleaseName) -> Result<(Vec<Record>, Timestamp), DriverError> {
    let unreadable = |error| unreadable(release, error);
    let reply = kube.send(&list(release, "").accept(METADATA)).await.map_err(unreadable)?;
    let mut all = reply.json::<List>().map_err(unreadable)?.items.unwrap_or_default();
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
    Ok((all, now(&reply)))
}

/// The time of an answer by the server's clock, by which the age of records is measured; by ours where it tells none.
fn now(reply: &Reply) -> Timestamp {
    reply.server_time.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(Timestamp::now)
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
        let ours = |same, status: &str| still_ours(&release, same, json!({"info": {"status": status}}));
        assert!(ours(true, "pending-upgrade").is_ok());
        assert_eq!(ours(true, "superseded").expect_err("it is over").fault, Fault::Stale);
        assert_eq!(ours(false, "pending-install").expect_err("it is another one").fault, Fault::Stale);
    }

    #[test]
    fn a_revision_is_taken_over_only_while_no_one_touches_it() {
        let release = ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() };
        let status = |age, status: &str| {
            let found = Found { uid: String::new(), age };
            let record = given_up(&release, &found, json!({"info": {"status": status}}));
            record.map(|record| record["info"]["status"].clone()).map_err(|error| error.fault)
        };
        assert_eq!(status(ABANDONED_AFTER, "pending-upgrade"), Ok(json!("failed")));
        assert_eq!(status(30, "pending-upgrade"), Err(Fault::Locked));
        assert_eq!(status(30, "deployed"), Ok(json!("deployed")));
    }
}
