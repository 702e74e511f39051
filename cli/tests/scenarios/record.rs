//! The record of the last apply: it saves reads, and no plan says anything else without it.

use serde_json::{Value, json};

use crate::common::audit::{self, Event};
use crate::common::judge;
use crate::common::plan::Step;
use crate::common::process::end;
use crate::common::scenario::Scenario;

/// Enough objects of one kind that they are read by a list, and some of a kind that the chart itself brings.
fn values(scenario: &Scenario, more: &str) {
    scenario.values(&format!("{{count: 6, crd: {{enabled: true, group: NAMESPACE.example.com, objects: 2}}{more}}}"));
}

/// What a plan says of every resource, and the reads of ours that it took.
fn plan(scenario: &Scenario) -> (Vec<String>, Vec<Event>) {
    let mark = audit::mark();
    let steps = scenario.plan_at_all().steps;
    let asked = audit::since(mark, scenario).into_iter().filter(Event::is_ours).collect();
    (steps.iter().map(said).collect(), asked)
}

fn said(step: &Step) -> String {
    let Step { address, part, action, reason, fields, .. } = step;
    format!("{address} {part:?} {action} {reason} {fields:?}")
}

fn record(scenario: &Scenario) -> String {
    format!("secret/cfrt-{}-record", scenario.release)
}

/// The lists of which all was asked for, and not metadata alone: those have an answer without a spec or data.
fn full_lists(asked: &[Event]) -> Vec<&Event> {
    let ours = |event: &&Event| event.verb() == "list" && !event.uri().contains("resourceVersionMatch=NotOlderThan");
    asked.iter().filter(ours).collect()
}

#[track_caller]
fn set(scenario: &Scenario, packed: &Value) {
    let patch = json!({"data": {"record": packed}}).to_string();
    scenario.kubectl(&["patch", &record(scenario), "--type=merge", "-p", &patch]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_reads_metadata_of_what_has_not_moved_and_says_the_same_without_the_record() {
    let scenario = Scenario::small("record");
    values(&scenario, "");
    judge::apply(&scenario).done();
    let (proved, asked) = plan(&scenario);
    let helm = |event: &&Event| event.uri().contains("owner%3Dhelm");
    assert_eq!(full_lists(&asked).len(), full_lists(&asked).iter().copied().filter(helm).count(), "{asked:#?}");
    let one_by_one = asked.iter().filter(|event| event.verb() == "list").count();
    assert!(one_by_one >= 2, "the numbered objects are read by a list: {asked:#?}");
    let packed = scenario.get(&record(&scenario))["data"]["record"].clone();
    for spoilt in [json!("bm9uc2Vuc2U="), json!(""), Value::Null] {
        set(&scenario, &spoilt);
        let (said, asked) = plan(&scenario);
        assert_eq!(said, proved, "with {spoilt} as the record");
        assert!(full_lists(&asked).len() > 1, "nothing is proved by {spoilt}");
    }
    set(&scenario, &packed);
    assert!(full_lists(&plan(&scenario).1).len() <= 1, "it is as good as before");
    scenario.kubectl(&["delete", &record(&scenario)]).exits(0);
    assert_eq!(plan(&scenario).0, proved);
    let mark = audit::mark();
    scenario.apply().1.exits(0);
    scenario.apply().1.exits(0);
    let written = audit::since(mark, &scenario);
    assert_eq!(audit::mutating(&written).len(), 1, "what was lost is written down again, once: {written:#?}");
    assert!(full_lists(&plan(&scenario).1).len() <= 1);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn whatever_moved_since_is_found_with_an_old_record_as_without_one() {
    let scenario = Scenario::small("aged");
    values(&scenario, "");
    judge::apply(&scenario).done();
    let name = scenario.release.clone();
    // The server then leaves out what the custom resources say of it, which moves none of them.
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let pruning = json!([
        {"op": "remove", "path": format!("{schema}/x-kubernetes-preserve-unknown-fields")},
        {"op": "remove", "path": format!("{schema}/properties/size")},
    ]);
    let by_others: [&[&str]; 8] = [
        &["patch", &format!("crd/widgets.{name}.example.com"), "--type=json", "-p", &pruning.to_string()],
        &["patch", &format!("configmap/{name}"), "--type=merge", "-p", r#"{"data":{"greeting":"moved"}}"#],
        &["scale", &format!("deployment/{name}"), "--replicas=2"],
        &["label", &format!("service/{name}"), "app.kubernetes.io/managed-by-"],
        &["annotate", &format!("secret/{name}"), "meta.helm.sh/release-name=other", "--overwrite"],
        &["delete", &format!("configmap/{name}-00001")],
        &["patch", &format!("configmap/{name}-00002"), "--type=merge", "-p", r#"{"data":null}"#],
        &["annotate", &format!("configmap/{name}-00003"), "someone=else"],
    ];
    for arguments in by_others {
        scenario.kubectl(arguments).exits(0);
        let (with, _) = plan(&scenario);
        let kept = scenario.get(&record(&scenario))["data"]["record"].clone();
        set(&scenario, &Value::Null);
        let (without, _) = plan(&scenario);
        set(&scenario, &kept);
        assert_eq!(with, without, "after kubectl {arguments:?}");
    }
    let acting = |said: &&String| !said.contains(" keep ");
    let found = plan(&scenario).0.iter().filter(acting).count();
    if found < 8 {
        end(&format!("{found} of them are to be seen"));
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_a_secret_holds_is_shown_nowhere_although_nobody_moved_the_secret() {
    let scenario = Scenario::small("needle");
    scenario.values("{secret: {password: hidden-in-the-haystack}}");
    judge::apply(&scenario).done();
    let patch = json!({"data": {"greeting": "http://user:hidden-in-the-haystack@host"}}).to_string();
    scenario.kubectl(&["patch", &format!("configmap/{}", scenario.release), "--type=merge", "-p", &patch]).exits(0);
    let (junit, metrics) = (scenario.folder().join("junit.xml"), scenario.folder().join("metrics.prom"));
    let files = ["--junit", &junit.to_string_lossy(), "--metrics", &metrics.to_string_lossy()];
    let mut shown = Vec::new();
    for output in ["text", "json", "markdown"] {
        let arguments = [&["drift", "desired.toml", "--output", output], &files[..]].concat();
        shown.push(scenario.cfrt(&arguments).exits(3).to_string());
    }
    for output in ["text", "json"] {
        shown.push(scenario.cfrt(&["plan", "desired.toml", "--output", output]).exits(0).to_string());
    }
    shown.extend([junit, metrics].map(|file| std::fs::read_to_string(file).expect("it was written")));
    for shown in shown {
        assert!(!shown.contains("haystack"), "{shown}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_value_that_is_changed_or_a_revision_by_helm_is_no_matter_of_the_record() {
    let scenario = Scenario::small("values-record");
    values(&scenario, "");
    judge::apply(&scenario).done();
    values(&scenario, ", data: {greeting: changed}");
    let (with, _) = plan(&scenario);
    assert_eq!(with.iter().filter(|said| said.contains(" update ")).count(), 2, "{with:#?}");
    judge::apply(&scenario).done();
    let renderer = scenario.renderer;
    scenario.helm_upgrade(renderer, &["--set", "data.greeting=by-helm"]).exits(0);
    let (with, _) = plan(&scenario);
    let kept = scenario.get(&record(&scenario))["data"]["record"].clone();
    set(&scenario, &Value::Null);
    let (without, _) = plan(&scenario);
    set(&scenario, &kept);
    assert_eq!(with, without);
    assert!(with.iter().any(|said| said.contains(" update ")), "{with:#?}");
}
