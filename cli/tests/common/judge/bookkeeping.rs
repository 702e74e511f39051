//! The judge of an apply's books: one lease around all writes, one journal, and no request more than they take.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::body::{of_one_uid, walk};
use super::{Judged, lies_in};
use crate::common::audit::{self, Event};
use crate::common::plan::{Plan, Step};

/// How often a lease is renewed, in seconds.
const RENEWED_EVERY: f64 = 10.0;

/// Holds the lease and the journal of an apply against what they may cost, whatever it writes.
#[track_caller]
pub(super) fn judge(judged: &Judged) {
    let release = judged.release.as_str();
    let writes = audit::mutating(&judged.events);
    let (leases, journals) =
        (of(&writes, |event| event.is_lease(release)), of(&writes, |event| event.is_journal(release)));
    let other = judged.writes();
    let told = |events: &[&Event]| events.iter().map(|event| event.told()).collect::<Vec<_>>();
    if leases.is_empty() {
        // Where nothing is to be done the record alone may be made anew.
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
    around(&writes, &leases);
}

/// What a lease, a journal and the undo record may have in them, besides what says which object is meant.
const LEASE: [&str; 11] = [
    "metadata.labels[\"app.kubernetes.io/managed-by\"]",
    "metadata.annotations[\"cfrt.dev/holder\"]",
    "metadata.annotations[\"cfrt.dev/host\"]",
    "metadata.annotations[\"cfrt.dev/process\"]",
    "metadata.annotations[\"cfrt.dev/since\"]",
    "metadata.annotations[\"cfrt.dev/plan\"]",
    "spec.holderIdentity",
    "spec.leaseDurationSeconds",
    "spec.acquireTime",
    "spec.renewTime",
    "spec.leaseTransitions",
];
const JOURNAL: [&str; 6] = [
    "metadata.labels[\"app.kubernetes.io/managed-by\"]",
    "metadata.labels[\"cfrt.dev/run-of\"]",
    "data.run",
    "data.steps",
    "data.outcomes",
    "data.end",
];
const OPENING: [&str; 8] = ["format", "run", "command", "by", "began", "plan", "file", "counts"];
const IDENTITY: [&str; 6] =
    ["apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.uid", "metadata.resourceVersion"];

/// Holds the body of a write to one of our own books against the keys that it may have. What a journal begins with and what
/// an undo record keeps are looked into; the latter must be what the plan says that was there.
///
/// # Errors
///
/// What of it doesn't belong there.
pub(super) fn body(plan: &Plan, event: &Event) -> Result<(), String> {
    let body = &event.0["requestObject"];
    if event.verb() == "delete" {
        return of_one_uid(body);
    }
    if event.is_undo_record() {
        return undo(plan, body);
    }
    if let Some(run) = body.pointer("/data/run").and_then(Value::as_str) {
        let run: Map<String, Value> = serde_json::from_str(run).map_err(|error| error.to_string())?;
        let more: Vec<&String> = run.keys().filter(|key| !OPENING.contains(&key.as_str())).collect();
        require(more.is_empty(), || format!("a journal begins with {more:?}"))?;
    }
    let known: &[&str] = if event.resource() == "leases" { &LEASE } else { &JOURNAL };
    let hook = |path: &str| event.resource() == "configmaps" && path.starts_with("data[\"hook.");
    only(body, |path| known.contains(&path) || hook(path))
}

/// Nothing but what the plan says that the definitions said before.
fn undo(plan: &Plan, body: &Value) -> Result<(), String> {
    only(body, |path| path.starts_with("data") || path == "metadata.labels[\"app.kubernetes.io/managed-by\"]")?;
    for (name, text) in body["data"].as_object().into_iter().flatten() {
        let adopts = |step: &&Step| {
            step.part.as_deref() == Some("adoption") && step.address.split_once(' ').is_some_and(|(_, of)| of == name)
        };
        let step = plan.writing().find(adopts).ok_or_else(|| format!("{name} is not adopted"))?;
        let former: Value =
            serde_json::from_str(text.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
        for (path, said) in walk("metadata", &former).into_iter().filter(|(path, _)| path != "metadata.uid") {
            let was = step.fields.iter().find(|field| lies_in(&path, &field.path));
            // What doesn't move says the same after as before; the release's own name is all that it can be.
            let fits = was.is_none_or(|field| field.before.clone().unwrap_or_default() == said);
            require(fits, || format!("{path} of {name} was not {said}"))?;
        }
    }
    Ok(())
}

fn only(body: &Value, fine: impl Fn(&str) -> bool) -> Result<(), String> {
    let more: Vec<String> = walk("", body)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| !IDENTITY.contains(&path.as_str()) && !fine(path))
        .collect();
    require(more.is_empty(), || format!("it has {more:?} besides"))
}

fn require(fine: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if fine { Ok(()) } else { Err(why()) }
}

fn of<'a>(events: &[&'a Event], is: impl Fn(&Event) -> bool) -> Vec<&'a Event> {
    events.iter().copied().filter(|event| is(event)).collect()
}

/// Nothing but the namespace in which the lease is comes before it, and nothing after: no object, and none of the other books.
#[track_caller]
fn around(writes: &[&Event], leases: &[&Event]) {
    let (taken, given_back) = (leases[0].span().1, leases.last().expect("there is one").span().0);
    let is_its_home = |event: &Event| event.resource() == "namespaces" && event.name() == leases[0].namespace();
    for event in writes.iter().filter(|event| !leases.iter().any(|lease| std::ptr::eq(**event, *lease))) {
        assert!(event.span().0 >= taken || is_its_home(event), "{} comes before the lease: {writes:#?}", event.told());
        assert!(event.span().1 <= given_back, "{} comes after the lease", event.told());
    }
}

/// The time between the first and the last of these.
fn seconds(events: &[&Event]) -> f64 {
    let at = |text: &str| text.parse::<Timestamp>().expect("the audit log has times");
    let (first, last) = (events[0].span().0, events[events.len() - 1].span().1);
    at(last).duration_since(at(first)).as_secs_f64()
}
