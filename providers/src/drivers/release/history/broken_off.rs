//! A revision that is pending although nobody is at work on it any more: given up, or gone on with where a run of ours left it.

use cfrt_engine::driver::{DriverError, Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ABANDONED_AFTER, Found, Opened, PLAN_AGAIN, Record, ReleaseName, Seen, opening, rewrite, rewrite_for, unreadable,
};
use crate::drivers::release::at_work;
use crate::drivers::release::next::Busy;
use crate::helm::record::{self, Status};
use crate::journal::{self, HookNote};
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};
use crate::kube::gvk::Resolved;
use crate::lease::claim::Standing;
use crate::world::{Access, World};

/// What a record says of a revision that was begun and never ended.
pub const ABANDONED: &str = "Broken off: whoever began it did not finish it";

/// A run of ours that has opened a revision and not closed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The run.
    pub run: String,
    /// Who ran it and since when, in words.
    pub by: String,
    /// Whether it is known to be at work still.
    pub lives: bool,
    /// Whether it may be at work still: it is on another host, and its lease holds.
    pub may_live: bool,
    /// What it has written down of its hooks.
    pub hooks: Vec<HookNote>,
    /// Whether its revision has all that the next one would have.
    pub same: bool,
}

impl Left {
    /// Reads what a run has left, and whether it lives.
    ///
    /// Who may only read need not be able to see either: it may be at work then, for all that is known.
    ///
    /// # Errors
    ///
    /// A journal or a lease that can't be read.
    pub async fn read(world: &World, release: &ReleaseName, run: &str) -> Result<Self, DriverError> {
        let (kube, place) = (&world.kube, world.lease.place());
        let (journal, claim) = futures::join!(journal::read_hooks(kube, release, run), place.read(kube));
        let doing = || format!("looking who has left release {}/{} pending", release.namespace, release.name);
        let blind = |error: &ApiError| world.access == Access::ReadOnly && error.code() == Some(403);
        let may_live = claim.as_ref().is_err_and(blind);
        let journal = journal.or_else(|error| if blind(&error) { Ok(None) } else { Err(error.during(doing())) })?;
        let claim = claim.or_else(|error| if blind(&error) { Ok(None) } else { Err(error.during(doing())) })?;
        let claim = claim.filter(|claim| claim.holder.run == run);
        let standing = claim.as_ref().map_or(Standing::Free, |claim| claim.standing(world.lease.holder()));
        let lives = standing == Standing::Lives;
        let (known, hooks) = journal.map_or_else(Default::default, |(run, hooks)| (Some(run), hooks));
        let by = match (known, &claim) {
            (Some(run), _) if !lives => format!("{} since {}", run.by, run.began),
            (_, Some(claim)) => claim.told(),
            (Some(_) | None, None) => format!("run {run}"),
        };
        Ok(Self {
            run: run.to_owned(),
            by,
            lives,
            may_live: may_live || standing == Standing::Held,
            hooks,
            same: false,
        })
    }
}

/// Writes that a revision failed which was left pending: before that helm does nothing with the release.
///
/// `run` is the one of ours that has left it, where one has: whoever holds the lease knows that it is gone.
///
/// # Errors
///
/// A record that can't be read or written; someone who has come back to work on it, or waits for a hook.
pub async fn abandon(
    kube: &Kube,
    release: &ReleaseName,
    revision: u32,
    run: Option<&String>,
) -> Result<(), DriverError> {
    let secret = name(release, revision);
    let stored = kube.send(&Call::get(Resolved::secrets().path(&release.namespace, &secret))).await;
    let stored: Record = stored.and_then(|reply| reply.json()).map_err(|error| unreadable(release, error))?;
    if let Some(hook) = at_work::hook(kube, &release.namespace, &stored.decode()?).await? {
        return Err(Busy::Hook(hook).error(release));
    }
    rewrite(kube, release, &secret, |found, record| given_up(release, found, run, record)).await.map(drop)
}

fn name(release: &ReleaseName, revision: u32) -> String {
    format!("sh.helm.release.v1.{}.v{revision}", release.name)
}

pub(super) fn given_up(
    release: &ReleaseName,
    found: &Found,
    run: Option<&String>,
    record: Value,
) -> Result<Value, DriverError> {
    let status = Status::parse(record["info"]["status"].as_str().unwrap_or_default());
    if !status.is_pending() {
        // Someone has ended it since the plan was made, and knows better.
        return Ok(record);
    }
    let left_by_us = run.is_some() && found.run.as_ref() == run;
    if found.age < ABANDONED_AFTER && !left_by_us {
        let doing = format!("taking over release {}/{}", release.namespace, release.name);
        let error = DriverError::new(doing, "someone has gone on with it since the plan was made");
        return Err(error.fault(Fault::Locked).hint("wait until that is done, then plan again"));
    }
    Ok(record::finished(record, Status::Failed, ABANDONED))
}

/// A revision that a run of ours has left, and the run that goes on with it.
#[derive(Debug, Clone, Copy)]
pub struct Reopening<'a> {
    /// The revision.
    pub revision: u32,
    /// The records from which the plan was made, the revision's own first.
    pub planned: &'a [Seen],
    /// The run that has left it.
    pub left_by: &'a str,
    /// The run that goes on.
    pub run: &'a str,
}

/// Goes on with a revision: its record stays pending, and belongs to another run from now on. `texts` puts in what is applied.
///
/// # Errors
///
/// The record is no longer what the plan has seen; it can't be read or written.
pub async fn reopen(
    kube: &Kube,
    release: &ReleaseName,
    reopening: Reopening<'_>,
    texts: impl Fn(&mut Value),
) -> Result<Opened, DriverError> {
    let Reopening { revision, planned, left_by, run } = reopening;
    let secret = name(release, revision);
    let stored = kube.send(&Call::get(Resolved::secrets().path(&release.namespace, &secret)).metadata()).await;
    let reply = stored.map_err(|error| unreadable(release, error))?;
    let stored: Record = reply.json().map_err(|error| unreadable(release, error))?;
    let planned = planned.first().map(|seen| seen.uid.as_str());
    let change = |found: &Found, mut record: Value| {
        let is_pending = Status::parse(record["info"]["status"].as_str().unwrap_or_default()).is_pending();
        // Ours already where an answer got lost.
        let is_left = found.run.as_deref().is_some_and(|of| of == left_by || of == run);
        if !is_pending || !is_left || Some(found.uid.as_str()) != planned {
            let cause = format!("others have worked on revision {revision} since the plan was made");
            return Err(DriverError::new(opening(release), cause).fault(Fault::Stale).hint(PLAN_AGAIN));
        }
        record["info"]["last_deployed"] = json!(Timestamp::now().to_string());
        texts(&mut record);
        Ok(record)
    };
    rewrite_for(kube, release, &secret, Some(run), change).await?;
    let ahead = super::now(&reply).as_second() - Timestamp::now().as_second();
    let status = stored.label("status").to_owned();
    Ok(Opened { secret, uid: stored.metadata.uid, status, ahead, run: run.to_owned() })
}
