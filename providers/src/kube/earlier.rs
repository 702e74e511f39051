//! What was the matter already before a run began: it may have been mended since, and counts once it happens again.

use std::sync::Arc;

use cfrt_engine::driver::Evidence;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The kind under which that is kept beside the objects that were seen.
const EARLIER: &str = "Earlier";

/// What a Deployment says of itself until something moves again.
const LASTING: [&str; 2] = ["ReplicaFailure", "Progressing"];

/// Notes of what is from before a run began, by the server's clock: how older pods are, and what an object has said of itself
/// before it. One that was `written` in this run says nothing of before.
///
/// The cluster's times are seconds, and what is of the very second says something else of either: pods may be this run's.
pub(crate) fn notes(live: &Value, parts: &[Arc<Value>], began: Timestamp, written: bool) -> Vec<Arc<Value>> {
    let (second, next) = (began.as_second(), began.as_second().saturating_add(1));
    let pods = parts.iter().map(|part| &**part).chain([live]).filter(|part| part["kind"] == "Pod");
    let pods = pods.filter(|pod| is_before(second, &pod["metadata"]["creationTimestamp"])).map(|pod| {
        let restarts: Map<String, Value> =
            containers(pod).map(|status| (text(&status["name"]).to_owned(), status["restartCount"].clone())).collect();
        json!({"kind": EARLIER, "uid": pod["metadata"]["uid"], "restarts": restarts})
    });
    let said = (!written).then(|| lasting(live, next)).filter(|said| !said.is_empty());
    let said = said.map(|said| json!({"kind": EARLIER, "uid": live["metadata"]["uid"], "said": said}));
    pods.chain(said).map(Arc::new).collect()
}

/// Whether a pod was there before anyone waited.
pub(crate) fn was_there(seen: &Evidence, pod: &Value) -> bool {
    note(seen, pod).is_some_and(|note| note["restarts"].is_object())
}

/// Whether a container has ended again since then, where its pod was there.
pub(crate) fn has_ended_again(seen: &Evidence, pod: &Value, container: &str) -> bool {
    let Some(note) = note(seen, pod) else { return true };
    let now = containers(pod).find(|status| status["name"] == container);
    now.and_then(|status| status["restartCount"].as_u64()) > note["restarts"][container].as_u64()
}

/// Whether what an object says of itself is what it said before.
pub(crate) fn is_old_news(seen: &Evidence) -> bool {
    let Some(live) = seen.live.as_deref() else { return false };
    let Some(said) = note(seen, live).and_then(|note| note["said"].as_array()) else { return false };
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array);
    said.iter().all(|said| conditions.is_some_and(|conditions| conditions.contains(said)))
}

fn note<'a>(seen: &'a Evidence, object: &Value) -> Option<&'a Value> {
    let notes = seen.around.iter().map(|note| &**note).filter(|note| note["kind"] == EARLIER);
    notes.into_iter().find(|note| note["uid"] == object["metadata"]["uid"])
}

/// The conditions that last, of those that say that something is the matter, and have said so since before.
fn lasting(live: &Value, next: i64) -> Vec<Value> {
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let is_bad = |condition: &&Value| match text(&condition["type"]) {
        "ReplicaFailure" => condition["status"] == "True",
        name => LASTING.contains(&name) && condition["status"] == "False",
    };
    let old = conditions.filter(is_bad).filter(|condition| is_before(next, &condition["lastTransitionTime"]));
    old.cloned().collect()
}

fn is_before(second: i64, time: &Value) -> bool {
    text(time).parse::<Timestamp>().is_ok_and(|time| time.as_second() < second)
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let statuses = ["initContainerStatuses", "containerStatuses"];
    statuses.into_iter().filter_map(|key| pod["status"][key].as_array()).flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().expect("it is a time")
    }

    fn pod(made: &str, restarts: u64) -> Value {
        json!({"kind": "Pod", "metadata": {"uid": "p", "creationTimestamp": made},
            "status": {"containerStatuses": [{"name": "main", "restartCount": restarts}]}})
    }

    fn deployment(since: &str) -> Value {
        let condition = json!({"type": "ReplicaFailure", "status": "True", "lastTransitionTime": since});
        json!({"kind": "Deployment", "metadata": {"uid": "d"}, "status": {"conditions": [condition]}})
    }

    fn seen(live: &Value, parts: &[Value], notes: Vec<Arc<Value>>) -> Evidence {
        let around = parts.iter().cloned().map(Arc::new).chain(notes).collect();
        Evidence { live: Some(Arc::new(live.clone())), around }
    }

    #[test]
    fn what_ended_before_counts_once_it_ends_again_and_what_is_new_counts_at_once() {
        for (made, restarts, has_ended) in
            [("2026-11-23T11:00:00Z", 5, false), ("2026-11-23T11:00:00Z", 6, true), ("2026-11-23T12:00:00Z", 5, true)]
        {
            let (live, there) = (json!({"kind": "Deployment"}), pod(made, 5));
            let notes = notes(&live, &[Arc::new(there)], began(), true);
            let later = pod(made, restarts);
            let seen = seen(&live, std::slice::from_ref(&later), notes);
            assert_eq!(has_ended_again(&seen, &later, "main"), has_ended, "{made} {restarts}");
        }
    }

    #[test]
    fn what_an_object_said_before_is_old_news_until_it_says_so_anew() {
        for (since, written, again, is_old) in [
            ("2026-11-23T12:00:00Z", false, "2026-11-23T12:00:00Z", true),
            ("2026-11-23T12:00:00Z", false, "2026-11-23T12:00:09Z", false),
            ("2026-11-23T12:00:00Z", true, "2026-11-23T12:00:00Z", false),
            ("2026-11-23T12:00:01Z", false, "2026-11-23T12:00:01Z", false),
        ] {
            let notes = notes(&deployment(since), &[], began(), written);
            let seen = seen(&deployment(again), &[], notes);
            assert_eq!(is_old_news(&seen), is_old, "{since} {written} {again}");
        }
        assert!(!is_old_news(&seen(&deployment("2026-11-23T11:00:00Z"), &[], Vec::new())));
    }
}
