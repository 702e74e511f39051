//! The judge of an apply's books: one lease around all writes, one journal, and no request more than they take.

use jiff::Timestamp;

use super::Judged;
use crate::common::audit::{self, Event};

/// How often a lease is renewed, in seconds.
const RENEWED_EVERY: f64 = 10.0;

/// Holds the lease and the journal of an apply against what they may cost, whatever it writes.
#[track_caller]
pub(super) fn judge(judged: &Judged) {
    let release = judged.release.as_str();
    let writes = of(&audit::mutating(&judged.events), |event| !event.is_last_apply());
    let (leases, journals) =
        (of(&writes, |event| event.is_lease(release)), of(&writes, |event| event.is_journal(release)));
    let other = judged.writes();
    let told = |events: &[&Event]| events.iter().map(|event| event.told()).collect::<Vec<_>>();
    if leases.is_empty() {
        assert!(other.is_empty() && journals.is_empty(), "written without a lease: {:#?}", told(&writes));
        return;
    }
    assert!(judged.plan.writing().next().is_some(), "an apply with nothing to do takes no lease");
    let count = |events: &[&Event], verbs: &[&str]| events.iter().filter(|event| verbs.contains(&event.verb())).count();
    let renewals = (seconds(&leases) / RENEWED_EVERY).floor() as usize;
    let hooks = judged.plan.writing().filter(|step| step.is_hook()).count();
    let taken = count(&leases, &["create", "update"]);
    assert!((1..=2).contains(&taken), "a lease is made, or taken over: {:#?}", told(&leases));
    assert_eq!(count(&leases, &["delete"]), 1, "and given back once: {:#?}", told(&leases));
    assert!(count(&leases, &["patch"]) <= renewals, "renewed too often: {:#?}", told(&leases));
    assert_eq!(count(&journals, &["create"]), 1, "one journal a run: {:#?}", told(&journals));
    let written = count(&journals, &["patch"]);
    assert!(written <= 2 + 3 * hooks + renewals, "{written} writes for {hooks} hooks: {:#?}", told(&journals));
    assert!(count(&journals, &["delete"]) <= 5, "too many old ones at once: {:#?}", told(&journals));
    around(&writes, &leases, &other);
}

fn of<'a>(events: &[&'a Event], is: impl Fn(&Event) -> bool) -> Vec<&'a Event> {
    events.iter().copied().filter(|event| is(event)).collect()
}

/// Nothing but the namespace in which the lease is comes before it, and nothing after.
#[track_caller]
fn around(writes: &[&Event], leases: &[&Event], other: &[&Event]) {
    let (taken, given_back) = (leases[0].span().1, leases.last().expect("there is one").span().0);
    for event in
        other.iter().filter(|event| !(event.resource() == "namespaces" && event.name() == leases[0].namespace()))
    {
        assert!(event.span().0 >= taken, "{} comes before the lease: {:#?}", event.told(), writes);
    }
    for event in writes.iter().filter(|event| other.iter().any(|other| std::ptr::eq(**event, *other))) {
        assert!(event.span().1 <= given_back, "{} comes after the lease", event.told());
    }
}

/// The time between the first and the last of these.
fn seconds(events: &[&Event]) -> f64 {
    let at = |text: &str| text.parse::<Timestamp>().expect("the audit log has times");
    let (first, last) = (events[0].span().0, events[events.len() - 1].span().1);
    at(last).duration_since(at(first)).as_secs_f64()
}
