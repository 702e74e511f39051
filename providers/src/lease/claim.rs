//! The Lease object as it stands in the cluster, and what it says about whoever holds it. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::holder::Holder;
use crate::drivers::object::OWN;
use crate::kube::client::{ApiError, Reply};
use crate::kube::fields::writer;
use crate::kube::said::line;

/// How long a lease holds without being renewed, in seconds.
pub const DURATION: i64 = 30;

/// The longest duration that is believed: a lease that someone wrote by hand must not hold for years.
const LONGEST: i64 = 600;

/// A lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What tells the object from another one of its name.
    pub uid: String,
    /// What tells it from itself after a write.
    pub revision: String,
    /// Who holds it; the run is empty where nobody does.
    pub holder: Holder,
    /// When it was renewed, as its holder says: what tells one renewal from the next.
    pub renewed: String,
    /// Since when it is held.
    pub since: String,
    /// The digest of the plan that is carried out.
    pub plan: String,
    /// How often it was taken over.
    pub transitions: u64,
    /// How many seconds ago it was renewed, both times being the server's; `None` where it doesn't tell.
    pub age: Option<i64>,
    /// How long it holds, in seconds.
    pub duration: i64,
    /// The server's clock when it was read, in seconds since 1970, where it told it.
    pub server_time: Option<i64>,
}

/// What a lease says about its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody holds it.
    Free,
    /// This very run does.
    Ours,
    /// A process of this host did, and has ended.
    Ended,
    /// Whoever held it hasn't renewed it for too long.
    Expired,
    /// A process of this host holds it, and is there.
    Lives,
    /// Someone holds it of whom nothing is known here.
    Held,
}

impl Claim {
    /// Reads a lease.
    ///
    /// # Errors
    ///
    /// An answer that is no JSON. What is missing in it counts as nobody's.
    pub fn of(reply: &Reply) -> Result<Self, ApiError> {
        Ok(Self::read(&reply.json()?, reply.server_time))
    }

    fn read(lease: &Value, now: Option<i64>) -> Self {
        let text = |pointer: &str| lease.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let note = |name: &str| text(&format!("/metadata/annotations/{}", name.replace('/', "~1")));
        let (spec, made) = (&lease["spec"], text("/metadata/creationTimestamp"));
        let transitions = spec["leaseTransitions"].as_u64().unwrap_or(0);
        let written = writer(lease, "spec.renewTime").and_then(|writer| writer.time?.parse::<Timestamp>().ok());
        let age = now.zip(written).map(|(now, written)| now.saturating_sub(written.as_second()));
        Self {
            uid: text("/metadata/uid"),
            revision: text("/metadata/resourceVersion"),
            holder: Holder {
                run: text("/spec/holderIdentity"),
                who: note(WHO),
                host: note(HOST),
                process: note(PROCESS),
            },
            renewed: text("/spec/renewTime"),
            // The server itself says when it was made; who takes it over has heard the server's clock by then.
            since: if transitions == 0 { made } else { note(SINCE) },
            plan: note(PLAN),
            transitions,
            age,
            duration: spec["leaseDurationSeconds"].as_i64().unwrap_or(DURATION).clamp(1, LONGEST),
            server_time: now,
        }
    }

    /// When it was read, by the server's clock; by ours where that tells nothing.
    pub fn now(&self) -> Timestamp {
        self.server_time.and_then(|now| Timestamp::from_second(now).ok()).unwrap_or_else(Timestamp::now)
    }

    /// What it says about its holder, to a run that would like to have it.
    pub fn standing(&self, to: &Holder) -> Standing {
        let beside = self.holder.is_beside(to);
        match self.age {
            _ if self.holder.run.is_empty() => Standing::Free,
            _ if self.holder.run == to.run => Standing::Ours,
            _ if beside && self.holder.has_ended() => Standing::Ended,
            Some(age) if age > self.duration => Standing::Expired,
            _ if beside && self.holder.process.contains(' ') => Standing::Lives,
            Some(_) | None => Standing::Held,
        }
    }

    /// Whether someone else holds it, for all that is known.
    pub fn is_of_others(&self, than: &Holder) -> bool {
        match self.standing(than) {
            Standing::Lives | Standing::Held => true,
            Standing::Free | Standing::Ours | Standing::Ended | Standing::Expired => false,
        }
    }

    /// Whether it is still what it was at another look: held by the same run, and not renewed.
    pub fn is_unmoved(&self, before: &Self) -> bool {
        (&self.uid, &self.holder.run, &self.renewed) == (&before.uid, &before.holder.run, &before.renewed)
    }

    /// Who holds it, since when and what for, in words.
    pub fn told(&self) -> String {
        let who = if self.holder.who.is_empty() { self.holder.run.as_str() } else { &self.holder.who };
        let since = if self.since.is_empty() { String::new() } else { format!(" since {}", self.since) };
        let plan = if self.plan.is_empty() { String::new() } else { format!(" (plan {})", self.plan) };
        // Whoever can write a lease can write anything into it.
        line(&format!("{who}{since}{plan}"))
    }
}

const WHO: &str = "cfrt.dev/holder";
const HOST: &str = "cfrt.dev/host";
const PROCESS: &str = "cfrt.dev/process";
const SINCE: &str = "cfrt.dev/since";
const PLAN: &str = "cfrt.dev/plan";

/// The object with which a run holds a lease, new or in the place of what was read of it.
pub fn document(
    namespace: &str,
    name: &str,
    holder: &Holder,
    plan: &str,
    over: Option<&Claim>,
    at: Timestamp,
) -> Value {
    let now = micro_time(at);
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": OWN},
            "annotations": {
                WHO: holder.who, HOST: holder.host, PROCESS: holder.process, SINCE: seconds(at), PLAN: plan,
            },
        },
        "spec": {
            "holderIdentity": holder.run,
            "leaseDurationSeconds": DURATION,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": over.map_or(0, |claim| claim.transitions.saturating_add(1)),
        },
    });
    if let Some(Claim { uid, revision, .. }) = over {
        lease["metadata"]["uid"] = json!(uid);
        lease["metadata"]["resourceVersion"] = json!(revision);
    }
    lease
}

/// What renews a lease, of exactly this object in exactly this revision.
pub fn renewal(uid: &str, revision: &str, at: Timestamp) -> Value {
    json!({"metadata": {"uid": uid, "resourceVersion": revision}, "spec": {"renewTime": micro_time(at)}})
}

/// A time as the API takes it for leases: with exactly six digits behind the point.
fn micro_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A time as the API tells it elsewhere.
pub(crate) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENEWED: &str = "2026-11-23T03:30:00Z";

    fn here() -> Holder {
        Holder { run: "ours".to_owned(), ..Holder::this().expect("there is a random source") }
    }

    fn held(holder: &Holder, now: Option<i64>) -> Claim {
        let mut lease = document("n", "l", holder, "sha256:1", None, RENEWED.parse().expect("it is a time"));
        lease["metadata"]["managedFields"] = json!([{"manager": "cfrt", "operation": "Update", "time": RENEWED,
            "fieldsV1": {"f:spec": {"f:renewTime": {}}}}]);
        Claim::read(&lease, now)
    }

    fn now(after: i64) -> Option<i64> {
        let renewed: Timestamp = RENEWED.parse().expect("it is a time");
        Some(renewed.as_second() + after)
    }

    fn elsewhere() -> Holder {
        Holder {
            run: "theirs".to_owned(),
            who: "alice@far".to_owned(),
            host: "far".to_owned(),
            process: "1 1".to_owned(),
        }
    }

    #[test]
    fn a_lease_of_another_host_is_held_until_it_has_expired_by_the_server_s_clock() {
        let standing = |after| held(&elsewhere(), now(after)).standing(&here());
        assert_eq!(
            (standing(0), standing(30), standing(31), standing(-5)),
            (Standing::Held, Standing::Held, Standing::Expired, Standing::Held)
        );
        assert_eq!(held(&elsewhere(), None).standing(&here()), Standing::Held, "nothing tells its age");
    }

    #[test]
    fn a_process_of_this_host_is_seen_to_be_there_or_to_have_ended() {
        let theirs = Holder { run: "theirs".to_owned(), ..here() };
        assert_eq!(held(&theirs, now(0)).standing(&here()), Standing::Lives);
        assert_eq!(held(&theirs, now(31)).standing(&here()), Standing::Expired, "it is there, but it hangs");
        let ended = Holder { process: "1 nothing-began-then".to_owned(), ..theirs };
        assert_eq!(held(&ended, now(0)).standing(&here()), Standing::Ended);
    }

    #[test]
    fn a_lease_is_ours_or_nobody_s_by_its_holder_alone() {
        assert_eq!(held(&here(), now(99)).standing(&here()), Standing::Ours);
        assert_eq!(held(&Holder::default(), now(0)).standing(&here()), Standing::Free);
        assert_eq!(Claim::read(&json!({"spec": 7}), None).standing(&here()), Standing::Free);
    }

    #[test]
    fn no_one_holds_a_lease_for_years() {
        let mut lease = document("n", "l", &elsewhere(), "", None, Timestamp::UNIX_EPOCH);
        lease["spec"]["leaseDurationSeconds"] = json!(i32::MAX);
        assert_eq!(Claim::read(&lease, None).duration, LONGEST);
    }

    #[test]
    fn whoever_takes_a_lease_over_says_what_it_was_and_counts_on() {
        let mut before = held(&elsewhere(), now(99));
        (before.uid, before.revision) = ("u".to_owned(), "7".to_owned());
        let lease = document("n", "l", &here(), "", Some(&before), Timestamp::UNIX_EPOCH);
        assert_eq!((&lease["metadata"]["uid"], &lease["metadata"]["resourceVersion"]), (&json!("u"), &json!("7")));
        assert_eq!((&lease["spec"]["leaseTransitions"], &lease["spec"]["holderIdentity"]), (&json!(1), &json!("ours")));
        assert_eq!(lease["spec"]["renewTime"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(before.told(), "alice@far (plan sha256:1)");
        let foreign = Holder { who: "\u{1b}[31malice \n".repeat(100_000), ..elsewhere() };
        let told = held(&foreign, None).told();
        assert!(told.starts_with("[31malice [31malice ") && told.len() < 600 && !told.contains('\n'), "{told}");
    }
}
