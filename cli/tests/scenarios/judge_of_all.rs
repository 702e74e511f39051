//! The judge itself: what is altered in a request that was really sent is no longer announced.

use serde_json::{Value, json};

use crate::common::audit::Event;
use crate::common::judge::{self, Judged};
use crate::common::scenario::Scenario;

/// What the judge says of the first such write, and of the same with an altered body.
#[track_caller]
fn said(
    scenario: &Scenario,
    judged: &Judged,
    is_it: impl Fn(&Event) -> bool,
    alter: impl FnOnce(&mut Value),
) -> [Option<String>; 2] {
    let run = scenario.runs().pop().expect("it was announced");
    let event = judged.events.iter().find(|event| event.mutates() && is_it(event)).expect("it was sent");
    let mut altered = event.clone();
    alter(&mut altered.0["requestObject"]);
    assert_ne!(altered.0, event.0, "nothing was altered");
    [event, &altered].map(|event| run.allows(event).err())
}

/// That a request is fine as it was sent, and that a word of the objection to the altered one.
#[track_caller]
fn is_seen(
    scenario: &Scenario,
    judged: &Judged,
    (verb, resource): (&str, &str),
    alter: impl FnOnce(&mut Value),
    word: &str,
) {
    let is_it = |event: &Event| (event.verb(), event.resource()) == (verb, resource);
    let [sent, altered] = said(scenario, judged, is_it, alter);
    assert_eq!(sent, None);
    assert!(altered.as_ref().is_some_and(|why| why.contains(word)), "{verb} {resource}: {altered:?} without {word}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn whatever_a_body_says_beside_the_plan_is_found() {
    let scenario = Scenario::small("bodies");
    scenario.values("{count: 1, data: {greeting: one}, hooks: [{name: first, event: 'pre-install,pre-upgrade'}]}");
    let judged = judge::apply(&scenario).done();
    let label = |body: &mut Value| body["metadata"]["labels"]["more"] = json!("x");
    is_seen(&scenario, &judged, ("patch", "deployments"), label, "metadata.labels.more");
    let image = |body: &mut Value| body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
    is_seen(&scenario, &judged, ("patch", "deployments"), image, "containers[small].image");
    is_seen(&scenario, &judged, ("patch", "jobs"), |body| body["spec"]["backoffLimit"] = json!(7), "spec.backoffLimit");
    is_seen(&scenario, &judged, ("patch", "namespaces"), |body| body["metadata"]["labels"] = json!({"a": "b"}), "a: ");
    is_seen(&scenario, &judged, ("create", "leases"), |body| body["spec"]["token"] = json!("x"), "spec.token");
    is_seen(&scenario, &judged, ("create", "configmaps"), |body| body["data"]["values"] = json!("x"), "data.values");

    scenario.values("{data: {greeting: two}, hooks: [{name: first, event: 'pre-install,pre-upgrade'}]}");
    let judged = judge::apply(&scenario).done();
    let config = |body: &mut Value| body["data"]["greeting"] = json!("three");
    let updates = |event: &Event| event.verb() == "patch" && event.name() == scenario.release;
    let [sent, altered] = said(&scenario, &judged, updates, config);
    assert!(sent.is_none() && altered.is_some_and(|why| why.contains("data.greeting")));
    let anyone = |body: &mut Value| body["preconditions"] = Value::Null;
    for resource in ["configmaps", "jobs", "leases"] {
        is_seen(&scenario, &judged, ("delete", resource), anyone, "whatever is there");
    }
    let elsewhere = |event: &mut Event| event.0["objectRef"]["name"] = json!("other");
    let run = scenario.runs().pop().expect("it was announced");
    let mut event = judged.events.iter().find(|event| updates(event)).expect("it was sent").clone();
    elsewhere(&mut event);
    assert!(run.allows(&event).is_err_and(|why| why.contains("no step says so")));
}
