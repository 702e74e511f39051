//! What others do while an apply waits, and kinds whose versions come and go.

use serde_json::{Value, json};

use crate::common::judge;
use crate::common::plan::Plan;
use crate::common::process::until;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// Values whose Deployment isn't ready before its image is another one.
const STUCK: &str = "deployment: {resources: {requests: {cpu: '1000'}}}";

/// Meddles as soon as an apply has written an object, and gives how it ended.
fn meddled(scenario: &Scenario, object: &str, meddle: impl FnOnce(&Scenario) + Send) -> (Plan, String, i32) {
    std::thread::scope(|threads| {
        let apply = threads.spawn(|| scenario.apply());
        until("the object is written", || scenario.find(object));
        meddle(scenario);
        let (applied, ran) = apply.join().expect("the apply ends");
        (applied, ran.stderr, ran.code)
    })
}

fn causes(applied: &Plan, step: &str) -> String {
    applied.step(step).causes.join(": ")
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn ready_counts_only_for_what_was_written() {
    let scenario = Scenario::small("scaled-meanwhile");
    scenario.values(STUCK);
    let deployment = format!("deployment/{}", scenario.release);
    let meddle = |scenario: &Scenario| {
        let patch = json!({"spec": {"replicas": 0}}).to_string();
        scenario.kubectl(&["patch", &deployment, "--patch", &patch]).exits(0);
    };
    let (applied, told, code) = meddled(&scenario, &deployment, meddle);
    let name = scenario.release.as_str();
    assert_eq!(
        causes(&applied, &format!("Deployment {name}/{name}")),
        format!(
            "waiting for Deployment {name}/{name}: spec.replicas was changed by kubectl-patch while it was waited for"
        )
    );
    assert_eq!(code, 6, "{told}");
    assert_eq!(scenario.revisions(), ["1 failed"]);
    scenario.values("");
    judge::apply(&scenario).done();
    assert_eq!(scenario.get(&deployment)["spec"]["replicas"], 1);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_is_deleted_while_it_is_waited_for_fails_at_once() {
    let scenario = Scenario::small("deleted-meanwhile");
    scenario.values(STUCK);
    let deployment = format!("deployment/{}", scenario.release);
    let meddle = |scenario: &Scenario| drop(scenario.kubectl(&["delete", &deployment]).exits(0));
    let (applied, told, code) = meddled(&scenario, &deployment, meddle);
    let name = scenario.release.as_str();
    let expected = format!("waiting for Deployment {name}/{name}: it was deleted while it was waited for");
    assert_eq!(causes(&applied, &format!("Deployment {name}/{name}")), expected);
    assert_eq!(code, 6, "{told}");
    scenario.values("");
    judge::apply(&scenario).done();
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_someone_made_after_the_plan_stays_as_it_is() {
    let scenario = Scenario::small("made-meanwhile");
    scenario.values("{deployment: {enabled: false}, hooks: [{name: first, event: pre-install, suspend: true}]}");
    let name = scenario.release.as_str();
    let mut made = Value::Null;
    let meddle = |scenario: &Scenario| {
        // None of its fields is the chart's, so that an apply would find no conflict.
        scenario.kubectl(&["create", "configmap", name, "--from-literal=theirs=1"]).exits(0);
        made = scenario.get(&format!("configmap/{name}"));
        let resume = json!({"spec": {"suspend": false}}).to_string();
        scenario.kubectl(&["patch", "job", "first", "--patch", &resume]).exits(0);
    };
    let (applied, told, code) = meddled(&scenario, "job/first", meddle);
    assert_eq!(
        causes(&applied, &format!("ConfigMap {name}/{name}")),
        format!("creating ConfigMap {name}/{name}: it was made by someone else after the plan was made")
    );
    assert_eq!(code, 6, "{told}");
    assert_eq!(scenario.get(&format!("configmap/{name}")), made);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_field_that_someone_changed_after_the_plan_is_not_overwritten() {
    let scenario = Scenario::small("changed-meanwhile");
    let values = |greeting: &str| {
        let hook = "{name: first, event: pre-upgrade, suspend: true}";
        format!("{{deployment: {{enabled: false}}, hooks: [{hook}], data: {{greeting: {greeting}}}}}")
    };
    scenario.values(&values("one"));
    judge::apply(&scenario).done();
    scenario.values(&values("two"));
    let name = scenario.release.as_str();
    let meddle = |scenario: &Scenario| {
        let theirs = json!({"data": {"greeting": "theirs"}}).to_string();
        scenario.kubectl(&["patch", "configmap", name, "--patch", &theirs]).exits(0);
        let resume = json!({"spec": {"suspend": false}}).to_string();
        scenario.kubectl(&["patch", "job", "first", "--patch", &resume]).exits(0);
    };
    let (applied, told, code) = meddled(&scenario, "job/first", meddle);
    let expected = format!(
        "updating ConfigMap {name}/{name}: data.greeting was changed meanwhile by kubectl-patch: it is \"theirs\" by now"
    );
    assert_eq!((causes(&applied, &format!("ConfigMap {name}/{name}")), code), (expected, 6), "{told}");
    assert_eq!(scenario.get(&format!("configmap/{name}"))["data"]["greeting"], "theirs");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_someone_wants_to_keep_by_now_is_not_deleted() {
    let scenario = Scenario::small("kept-meanwhile");
    let removed = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "removed"}, "data": {"a": "b"}});
    let values = |objects: &[&Value]| {
        let hook = json!({"name": "first", "event": "pre-upgrade", "suspend": true});
        json!({"deployment": {"enabled": false}, "hooks": [hook], "extraObjects": objects}).to_string()
    };
    scenario.values(&values(&[&removed]));
    judge::apply(&scenario).done();
    scenario.values(&values(&[]));
    let meddle = |scenario: &Scenario| {
        scenario.kubectl(&["annotate", "configmap", "removed", "helm.sh/resource-policy=keep"]).exits(0);
        let resume = json!({"spec": {"suspend": false}}).to_string();
        scenario.kubectl(&["patch", "job", "first", "--patch", &resume]).exits(0);
    };
    let (applied, told, code) = meddled(&scenario, "job/first", meddle);
    let step = format!("ConfigMap {}/removed", scenario.namespace);
    let expected =
        format!("deleting {step}: it was changed meanwhile: no longer in the chart, kept by its resource policy");
    assert_eq!((causes(&applied, &step), code), (expected, 6), "{told}");
    assert!(scenario.find("configmap/removed").is_some());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_that_is_uninstalled_while_it_is_waited_for_is_not_told_as_recorded() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("uninstalled");
        scenario.values(STUCK);
        let meddle = |scenario: &Scenario| drop(scenario.helm(helm, &["uninstall", &scenario.release]).exits(0));
        let (applied, told, code) = meddled(&scenario, &format!("deployment/{}", scenario.release), meddle);
        assert_eq!((code, applied.release().outcome.as_deref()), (6, Some("failed")), "{told}");
        let causes = applied.release().causes.join(": ");
        let said =
            ["someone else has taken it over meanwhile: it is uninstalling", "someone has uninstalled it meanwhile"];
        assert!(said.iter().any(|said| causes.contains(said)), "{causes}");
        assert_eq!(scenario.revisions(), [""; 0]);
    }
}

/// A definition of widgets with these versions, each with whether it is served.
fn definition(scenario: &Scenario, versions: &[(&str, bool)]) -> Value {
    let group = format!("{}.example.com", scenario.namespace);
    let version = |(index, (name, served)): (usize, &(&str, bool))| {
        json!({
            "name": name, "served": served, "storage": index == 0,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
            "versions": versions.iter().enumerate().map(version).collect::<Value>(),
        },
    })
}

fn widget(version: &str, name: &str, size: u8) -> Value {
    let version = format!("NAMESPACE.example.com/{version}");
    json!({"apiVersion": version, "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}})
}

fn with_objects(objects: &[Value]) -> String {
    json!({"deployment": {"enabled": false}, "extraObjects": objects}).to_string()
}

fn seen(scenario: &Scenario, name: &str) -> Option<Value> {
    scenario.find(&format!("widgets.{}.example.com/{name}", scenario.namespace))
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_removed_object_is_deleted_though_its_version_is_no_longer_served() {
    let scenario = Scenario::small("unserved");
    scenario.write("definition.json", &definition(&scenario, &[("v1", true), ("v1beta1", true)]).to_string());
    scenario.kubectl(&["apply", "--filename", "definition.json"]).exits(0);
    let established = format!("crd/widgets.{}.example.com", scenario.namespace);
    scenario.kubectl(&["wait", "--for=condition=Established", &established]).exits(0);
    scenario.values(&with_objects(&[widget("v1beta1", "old", 1)]));
    judge::apply(&scenario).done();
    assert!(seen(&scenario, "old").is_some());
    scenario.write("definition.json", &definition(&scenario, &[("v1", true), ("v1beta1", false)]).to_string());
    scenario.kubectl(&["apply", "--filename", "definition.json"]).exits(0);
    scenario.values(&with_objects(&[]));
    let judged = judge::apply(&scenario).done();
    assert_eq!(judged.plan.step(&format!("Widget {}/old", scenario.namespace)).action, "delete");
    assert_eq!(seen(&scenario, "old"), None);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_gains_a_version_and_objects_move_to_it_in_one_go() {
    let scenario = Scenario::small("gains-version");
    let objects = |versions: &[(&str, bool)], version: &str, widgets: &[(&str, u8)]| {
        let widgets = widgets.iter().map(|(name, size)| widget(version, name, *size));
        with_objects(&std::iter::once(definition(&scenario, versions)).chain(widgets).collect::<Vec<_>>())
    };
    scenario.values(&objects(&[("v1", true)], "v1", &[("changed", 1), ("same", 1), ("gone", 1)]));
    judge::apply(&scenario).done();
    let uid = seen(&scenario, "changed").map(|widget| widget["metadata"]["uid"].clone());
    scenario.values(&objects(&[("v1", true), ("v2", true)], "v2", &[("changed", 2), ("same", 1), ("new", 1)]));
    let plan = scenario.plan();
    scenario.apply().1.exits(0);
    let action = |name: &str| plan.step(&format!("Widget {}/{name}", scenario.namespace)).action.clone();
    assert_eq!(["changed", "same", "new", "gone"].map(action), ["update", "keep", "create", "delete"]);
    let changed = seen(&scenario, "changed").expect("it is there");
    assert_eq!((Some(&changed["metadata"]["uid"]), &changed["spec"]["size"]), (uid.as_ref(), &json!(2)));
    assert!(seen(&scenario, "new").is_some() && seen(&scenario, "gone").is_none());
    scenario.detailed().exits(0);
}
