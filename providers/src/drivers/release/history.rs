//! The records of a release: read with one list, opened, closed and pruned as Helm does it.

use std::collections::BTreeMap;
use std::time::Duration;

use cfrt_engine::change::Moved;
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::facts::Runtime;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::drivers::object::OWN;
use crate::helm::record::{self, Revision, Status};
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube, Reply};
use crate::kube::gvk::Resolved;
use crate::kube::retry::{is_unclear, tries};

mod broken_off;
mod made;
mod records;

pub use broken_off::{ABANDONED, Left, Reopening, abandon, reopen};
pub use made::ours;
pub use records::{Records, read, read_metadata};

/// How many revisions Helm keeps where nobody says otherwise.
const KEPT: usize = 10;

/// How long a pending revision that no one has touched may still belong to someone at work.
pub const ABANDONED_AFTER: i64 = 600;

/// The annotation of a record that says which run of ours has opened it. Helm drops it with whatever it writes itself, and
/// never hands it on to a later revision, as it does with labels.
const RUN: &str = "cfrt.dev/run";

/// Which release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ReleaseName {
    /// The release of a runtime.
    pub fn of(runtime: &Runtime) -> Self {
        let Runtime { namespace, release, .. } = runtime;
        Self { namespace: namespace.get_ref().as_str().to_owned(), name: release.get_ref().as_str().to_owned() }
    }
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
    /// The records of all of them, newest first.
    pub seen: Vec<Seen>,
    /// The number of the newest, where it has been proved to say all that is wanted, so that nothing else of it was looked at.
    pub proved: Option<u32>,
    /// Whether our own record says that it was applied once, whatever became of its revisions.
    pub remembered: bool,
    /// The hook that has not ended yet, where the newest is pending and hasn't been written for long.
    pub hook: Option<String>,
    /// The run of ours that has opened the newest and not closed it.
    pub left: Option<Left>,
    /// Who made the record of the newest, and when.
    pub maker: Moved,
    /// Where someone else made the newest: the newest one that we made, as far as it is known.
    pub ours: Option<Revision>,
}

/// A record as a plan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What tells it from another one of its name.
    uid: String,
    /// Its status, in Helm's word.
    status: String,
}

#[derive(Deserialize)]
struct Record {
    metadata: Metadata,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default, rename = "managedFields")]
    managed_fields: Value,
}

#[derive(Deserialize)]
struct Data {
    release: Option<String>,
}

impl Record {
    fn label(&self, name: &str) -> &str {
        self.metadata.labels.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The run of ours that has opened it, where nobody has written it since.
    fn run(&self) -> Option<&String> {
        self.metadata.annotations.get(RUN)
    }

    fn revision(&self) -> u64 {
        self.label("version").parse().unwrap_or(0)
    }

    fn status(&self) -> Status {
        Status::parse(self.label("status"))
    }

    fn seen(&self) -> Seen {
        // One that was given up is closed as failed before the next one is opened.
        let status = if self.status().is_pending() { Status::Failed } else { self.status() };
        Seen { uid: self.metadata.uid.clone(), status: status.word().to_owned() }
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
            let Metadata { namespace, name, .. } = &self.metadata;
            DriverError::new(format!("reading the release record {namespace}/{name}"), error).hint(hint)
        })
    }
}

fn list(release: &ReleaseName, more: &str) -> Call {
    let path = Resolved::secrets().collection(&release.namespace);
    Call::get(format!("{path}?labelSelector=owner%3Dhelm,name%3D{}{more}", release.name))
}

/// The records whose objects may still be there, newest first: none that is superseded, and none before the deployed one.
fn counting(mut records: Vec<Record>) -> Vec<Record> {
    records.retain(|record| record.status() != Status::Superseded);
    records.sort_by_key(|record| std::cmp::Reverse(record.revision()));
    let deployed = records.iter().position(|record| record.status() == Status::Deployed);
    records.truncate(deployed.map_or(records.len(), |deployed| deployed + 1));
    records
}

fn seen(counting: &[Record]) -> Vec<Seen> {
    counting.iter().map(Record::seen).collect()
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
    /// The run that has opened it.
    run: String,
}

/// Creates the record of a revision: that it can't be created twice is what keeps two from working at once.
///
/// # Errors
///
/// Someone else has made that revision, or the records are no longer those that the plan has seen.
pub async fn open(
    kube: &Kube,
    release: &ReleaseName,
    record: &Value,
    planned: &[Seen],
    run: &str,
) -> Result<Opened, DriverError> {
    let (known, now) = all(kube, release).await?;
    let last = known.iter().map(Record::revision).max().unwrap_or(0);
    let surplus = surplus(&known);
    unmoved(release, &counting(known), planned)?;
    prune(kube, release, surplus).await?;
    let ahead = now.as_second() - Timestamp::now().as_second();
    let mut secret =
        record::secret(&numbered(record, last), now).map_err(|error| DriverError::new(opening(release), error))?;
    secret["metadata"]["annotations"] = json!({ RUN: run });
    let created = create(kube, release, &secret).await?;
    let (status, run) = (created.label("status").to_owned(), run.to_owned());
    Ok(Opened { secret: created.metadata.name, uid: created.metadata.uid, status, ahead, run })
}

fn opening(release: &ReleaseName) -> String {
    format!("opening a revision of release {}/{}", release.namespace, release.name)
}

/// Makes sure that the plan was made from the revisions that there are: it removes what those have brought, and no more.
fn unmoved(release: &ReleaseName, counting: &[Record], planned: &[Seen]) -> Result<(), DriverError> {
    match counting.first() {
        Some(newest) if newest.status().is_pending() => Err(opened_by_others(release, newest)),
        _ if seen(counting) == planned => Ok(()),
        Some(newest) => Err(opened_by_others(release, newest)),
        None => {
            let error = DriverError::new(opening(release), "its revisions are gone since the plan was made");
            Err(error.fault(Fault::Stale).hint(PLAN_AGAIN))
        }
    }
}

const PLAN_AGAIN: &str = "plan again and look at what has changed";

/// What is to be said of a revision that others have made since the plan was.
fn opened_by_others(release: &ReleaseName, newest: &Record) -> DriverError {
    let (revision, status) = (newest.revision(), newest.status());
    if status.is_pending() {
        let cause = format!("someone else has just opened revision {revision}, which is {status}");
        let error = DriverError::new(opening(release), cause).fault(Fault::Locked);
        return error.hint("wait until that is done, then plan again");
    }
    let cause = format!("others have worked on it since the plan was made: revision {revision} is {status}");
    DriverError::new(opening(release), cause).fault(Fault::Stale).hint(PLAN_AGAIN)
}

/// Creates a record. Where the answer got lost, the server may have made it all the same, and it is ours.
async fn create(kube: &Kube, release: &ReleaseName, secret: &Value) -> Result<Record, DriverError> {
    let call = Call::create(&Resolved::secrets(), &release.namespace, secret).metadata();
    let name = secret["metadata"]["name"].as_str().unwrap_or_default();
    let mut waits = tries();
    loop {
        let error = match kube.send(&call).await.and_then(|reply| reply.json()) {
            Ok(created) => return Ok(created),
            Err(error) => error,
        };
        if error.is_conflict() {
            let call = Call::get(Resolved::secrets().path(&release.namespace, name));
            let there = kube.send(&call).await.and_then(|reply| reply.json::<Record>());
            let there = there.map_err(|error| error.during(opening(release)))?;
            let sent = secret["data"]["release"].as_str();
            let same = there.data.as_ref().is_some_and(|data| data.release.as_deref() == sent);
            return if same { Ok(there) } else { Err(opened_by_others(release, &there)) };
        }
        match waits.next().filter(|_| is_unclear(&error)) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(error.during(opening(release))),
        }
    }
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
    let call = Call::patch(&Resolved::secrets(), &release.namespace, &opened.secret, OWN, &operations);
    let touched = kube.send(&call.metadata().within(LONGEST_TOUCH)).await;
    // 422 is what a test says that fails. Whatever else went wrong may go well the next time.
    touched.err().is_none_or(|error| !matches!(error.code(), Some(404 | 422)))
}

/// The record under a number that is free. A later one that is superseded is left over where someone deleted the records
/// after it: it is none that a plan looks at, and stands behind us.
fn numbered(record: &Value, last: u64) -> Value {
    let mut record = record.clone();
    if record["version"].as_u64().is_none_or(|wanted| wanted <= last) {
        record["version"] = (last + 1).into();
    }
    record
}

/// Writes how a revision ended, as `end` puts it into the record; where it ended well, older ones no longer count.
///
/// # Errors
///
/// Records that can't be read or written.
pub async fn close(
    kube: &Kube,
    release: &ReleaseName,
    opened: &Opened,
    status: Status,
    end: impl Fn(Value) -> Value,
) -> Result<(), DriverError> {
    if status == Status::Deployed {
        supersede_older(kube, release, opened).await?;
    }
    let closed = |found: &Found, record| still_ours(release, opened, found, record).map(&end);
    rewrite(kube, release, &opened.secret, closed).await.map(drop)
}

/// Says that older revisions no longer count, before ours says that it does, as Helm does it: where that is cut off in
/// between, ours is still pending, and is gone on with.
async fn supersede_older(kube: &Kube, release: &ReleaseName, opened: &Opened) -> Result<(), DriverError> {
    let (known, _) = all(kube, release).await?;
    let is_ours = |record: &&Record| record.metadata.uid == opened.uid && record.status().is_pending();
    // Where someone else took it over, they are not ours to close either.
    let Some(ours) = known.iter().find(is_ours).map(Record::revision) else { return Ok(()) };
    let older = known.iter().filter(|record| record.status() == Status::Deployed && record.revision() < ours);
    for record in older {
        rewrite(kube, release, &record.metadata.name, |_, record| Ok(record::superseded(record))).await?;
    }
    Ok(())
}

/// A record with another status than it was opened with, or another one of its name, belongs to someone else, who took
/// the release over: it isn't ours to close.
fn still_ours(release: &ReleaseName, opened: &Opened, found: &Found, record: Value) -> Result<Value, DriverError> {
    let status = Status::parse(record.pointer("/info/status").and_then(Value::as_str).unwrap_or_default());
    let same = found.uid == opened.uid && found.run.as_ref().is_none_or(|run| *run == opened.run);
    if same && status == Status::parse(&opened.status) {
        return Ok(record);
    }
    let what = if same { "taken it over" } else { "deleted it and made another one" };
    Err(taken_over(release, format!("someone else has {what} meanwhile: it is {status}")))
}

fn taken_over(release: &ReleaseName, cause: String) -> DriverError {
    let doing = format!("closing a revision of release {}/{}", release.namespace, release.name);
    let hint = "`helm history` tells who came in between; plan again and look at what is left to do";
    DriverError::new(doing, cause).fault(Fault::Stale).hint(hint)
}

/// A touch that takes longer is given up: closing the record waits for it.
const LONGEST_TOUCH: Duration = Duration::from_secs(10);

/// A record as it was found.
struct Found {
    uid: String,
    /// The run of ours that has opened it.
    run: Option<String>,
    /// How many seconds ago it was last written, by the server's clock.
    age: i64,
}

/// Changes a record. It is read again where someone else came in between, and where an answer got lost: the server may have
/// done what it was asked for all the same.
async fn rewrite(
    kube: &Kube,
    release: &ReleaseName,
    name: &str,
    change: impl Fn(&Found, Value) -> Result<Value, DriverError>,
) -> Result<u64, DriverError> {
    rewrite_for(kube, release, name, None, change).await
}

/// The same, for the run that goes on with it.
async fn rewrite_for(
    kube: &Kube,
    release: &ReleaseName,
    name: &str,
    run: Option<&str>,
    change: impl Fn(&Found, Value) -> Result<Value, DriverError>,
) -> Result<u64, DriverError> {
    let doing = || format!("closing the release record {}/{name}", release.namespace);
    let failed = |error: ApiError| match error.is_not_found() {
        true => taken_over(release, "its record is gone: someone has uninstalled it meanwhile".to_owned()),
        false => error.during(doing()),
    };
    let unwritable = |error| DriverError::new(doing(), error);
    let (mut waits, mut written) = (tries(), None);
    loop {
        let reply = kube.send(&Call::get(Resolved::secrets().path(&release.namespace, name))).await.map_err(failed)?;
        let stored: Record = reply.json().map_err(failed)?;
        let secret: Value = reply.json().map_err(failed)?;
        let found = Found { age: stored.age(now(&reply)), run: stored.run().cloned(), uid: stored.metadata.uid };
        if let Some((uid, release, revision)) = &written
            && (uid, release) == (&found.uid, &secret["data"]["release"])
        {
            return Ok(*revision);
        }
        let encoded = secret["data"]["release"].as_str().unwrap_or_default();
        let record = change(&found, record::raw(encoded).map_err(unwritable)?)?;
        let revision = record["version"].as_u64().unwrap_or(0);
        let mut secret = record::rewritten(secret, &record, Timestamp::now()).map_err(unwritable)?;
        if let Some(run) = run {
            secret["metadata"]["annotations"][RUN] = json!(run);
        }
        let replace = Call::replace(&Resolved::secrets(), &release.namespace, name, &secret);
        let Err(error) = kube.send(&replace).await else { return Ok(revision) };
        written = Some((found.uid, secret["data"]["release"].clone(), revision));
        match waits.next().filter(|_| error.is_conflict() || is_unclear(&error)) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(failed(error)),
        }
    }
}

/// All records of a release, without what they hold, and when they were read.
async fn all(kube: &Kube, release: &ReleaseName) -> Result<(Vec<Record>, Timestamp), DriverError> {
    let unreadable = |error| unreadable(release, error);
    let reply = kube.send(&list(release, "").metadata_of_all()).await.map_err(unreadable)?;
    Ok((reply.items().map_err(unreadable)?, now(&reply)))
}

/// The names and uids of the oldest records beyond Helm's own limit, but of none that is deployed.
fn surplus(all: &[Record]) -> Vec<(String, String)> {
    let mut oldest: Vec<&Record> = all.iter().filter(|record| record.status() != Status::Deployed).collect();
    oldest.sort_by_key(|record| record.revision());
    // One place is for the revision that is about to be made.
    let surplus = (all.len() + 1).saturating_sub(KEPT);
    oldest.into_iter().take(surplus).map(|record| (record.metadata.name.clone(), record.metadata.uid.clone())).collect()
}

async fn prune(kube: &Kube, release: &ReleaseName, surplus: Vec<(String, String)>) -> Result<(), DriverError> {
    for (name, uid) in surplus {
        let call = Call::delete(&Resolved::secrets(), &release.namespace, &name, Some(&uid));
        match kube.send(&call).await {
            Ok(_) => {}
            // Gone, or another one by now.
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => return Err(error.during(format!("removing the old release record {name}"))),
        }
    }
    Ok(())
}

/// The time of an answer by the server's clock, by which the age of records is measured; by ours where it tells none.
fn now(reply: &Reply) -> Timestamp {
    reply.server_time.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(Timestamp::now)
}

fn unreadable(release: &ReleaseName, error: ApiError) -> DriverError {
    error.during(format!("reading the records of release {}/{}", release.namespace, release.name))
}

#[cfg(test)]
mod tests;
