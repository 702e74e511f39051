//! A release that helm made becomes ours.

use serde_json::Value;

use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_that_helm_made_is_taken_over_without_a_revision_and_without_hooks() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("takeover");
        scenario.values("{ingress: {enabled: true}, hooks: [{name: after, event: post-upgrade}]}");
        scenario.helm_upgrade(helm, &[]).exits(0);
        let judged = judge::apply(&scenario).done();
        let other: Vec<_> =
            judged.plan.writing().filter(|step| step.action != "migrate").map(|step| step.told()).collect();
        assert_eq!(other, Vec::<String>::new(), "made by {helm:?}");
        assert_eq!(judged.plan.summary.migrate > 0, helm == Helm::Three);
        assert_eq!(scenario.revisions(), ["1 deployed"]);
        assert!(scenario.find("job/after").is_none());
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn fields_that_helm_set_go_when_they_are_no_longer_wanted() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("orphans");
        scenario.values(
            "{data: {more: text}, secret: {more: text}, deployment: {env: {EXTRA: x, KEPT: y}}, labels: {more: text}}",
        );
        scenario.helm_upgrade(helm, &[]).exits(0);
        // In one step, without a plan in between at which ownership could move by itself.
        scenario.values("deployment: {env: {KEPT: y}}");
        judge::apply(&scenario).done();
        let name = scenario.release.as_str();
        assert_eq!(scenario.get(&format!("configmap/{name}"))["data"].get("more"), None);
        assert_eq!(scenario.get(&format!("secret/{name}"))["data"].get("more"), None, "made by {helm:?}");
        let deployment = scenario.get(&format!("deployment/{name}"));
        assert_eq!(deployment["metadata"]["labels"].get("more"), None);
        let env =
            deployment.pointer("/spec/template/spec/containers/0/env").and_then(|env| env.as_array().map(Vec::len));
        assert_eq!(env, Some(1));
        scenario.detailed().exits(0);
    }
}

/// Everything that a chart may name, so that something of each sort can go.
const FULL: &str = "
data: {greeting: hello, more: text}
secret: {password: secret, more: text}
labels: {more: text}
annotations: {more: text}
deployment: {env: {KEPT: x, MORE: y}, resources: {limits: {cpu: 100m}, requests: {cpu: 10m}}}
service: {ports: [{name: http, port: 80}, {name: more, port: 81}]}
ingress: {enabled: true}
crd: {enabled: true, group: NAMESPACE.example.com, objects: 2, spec: {size: 1, note: null, tags: [a, b], more: {x: 1}}}
count: 2
hooks: [{name: after, event: post-upgrade}]
";

/// The same chart with less of each.
const LESS: &str = "
deployment: {env: {KEPT: x}, resources: {requests: {cpu: 10m}}}
service: {ports: [{name: http, port: 80}]}
crd: {enabled: true, group: NAMESPACE.example.com, objects: 1, spec: {size: 1, note: null, tags: [a]}}
count: 1
hooks: [{name: after, event: post-upgrade}]
";

/// A release of a helm with [`FULL`]. Helm wants a definition to be there before its objects, so it takes two revisions.
fn made_by(helm: Helm, name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    scenario.values(FULL);
    scenario.helm_upgrade(helm, &["--set", "crd.objects=0"]).exits(0);
    scenario.helm_upgrade(helm, &[]).exits(0);
    scenario
}

/// Takes the scenario's release over: nothing but ownership moves, and after that nothing at all.
#[track_caller]
fn taken_over(scenario: &Scenario, helm: Helm) {
    let judged = judge::apply(scenario).done();
    let told = judged.plan.told(&scenario.namespace);
    assert!(told.iter().all(|step| step.starts_with("migrate ")), "made by {helm:?}: {told:#?}");
    assert_eq!(judged.plan.release().action, "keep", "made by {helm:?}");
    scenario.detailed().exits(0);
    assert_eq!(judge::apply(scenario).done().writes().len(), 0, "made by {helm:?}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn of_a_release_that_either_helm_made_and_we_took_over_what_the_chart_drops_goes() {
    for helm in Helm::BOTH {
        let scenario = made_by(helm, "drops");
        taken_over(&scenario, helm);
        assert_eq!(scenario.revisions(), ["1 superseded", "2 deployed"]);
        scenario.values(LESS);
        judge::apply(&scenario).done();
        nothing_more_is_left(&scenario, helm);
        scenario.detailed().exits(0);
    }
}

#[track_caller]
fn nothing_more_is_left(scenario: &Scenario, helm: Helm) {
    let name = scenario.release.as_str();
    for object in
        [format!("configmap/{name}-00001"), format!("ingress/{name}"), format!("widgets.{name}.example.com/{name}-1")]
    {
        assert!(scenario.find(&object).is_none(), "{object}, made by {helm:?}");
    }
    let kinds = ["configmap", "secret", "service", "serviceaccount", "deployment"];
    let widget = format!("widgets.{name}.example.com/{name}-0");
    for object in kinds.map(|kind| format!("{kind}/{name}")).into_iter().chain([widget]) {
        let mut live = scenario.get(&object);
        live["metadata"]["managedFields"] = Value::Null;
        let text = live.to_string();
        assert!(!text.contains("more") && !text.contains("MORE"), "{object}, made by {helm:?}: {text}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn whichever_helm_goes_on_with_a_release_that_we_took_over_we_go_on_from_it() {
    for (first, between) in [(Helm::Three, Helm::Four), (Helm::Four, Helm::Three), (Helm::Three, Helm::Three)] {
        let scenario = made_by(first, "between");
        taken_over(&scenario, first);
        let more = ["--set", "data.greeting=theirs,data.added=theirs,deployment.env.ADDED=theirs,count=3"];
        scenario.helm_upgrade(between, &more).exits(0);
        let judged = judge::apply(&scenario).done();
        let name = scenario.release.as_str();
        let told = judged.plan.told(&scenario.namespace);
        let told: Vec<&String> = told.iter().filter(|step| !step.starts_with("migrate ")).collect();
        let expected = [
            format!("delete ConfigMap {name}-00002"),
            "run Job after (post-upgrade)".to_owned(),
            format!("update ConfigMap {name} data.added data.greeting"),
            format!("update Deployment {name} spec.template.spec.containers[small].env[ADDED]"),
        ];
        assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{first:?}, then {between:?}");
        assert_eq!(judged.plan.release().action, "update");
        assert!(!scenario.get(&format!("configmap/{name}"))["data"].to_string().contains("theirs"));
        scenario.detailed().exits(0);
        assert_eq!(scenario.revisions(), ["1 superseded", "2 superseded", "3 superseded", "4 deployed"]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_someone_else_made_in_the_chart_s_place_is_refused_by_name_and_nothing_is_written() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("in-the-way");
        scenario.values("count: 1");
        scenario.helm_upgrade(helm, &[]).exits(0);
        let name = scenario.release.as_str();
        scenario.kubectl(&["create", "configmap", &format!("{name}-00001"), "--from-literal=number=theirs"]).exits(0);
        scenario.values("{count: 2, data: {greeting: bye}}");
        let judged = judge::apply(&scenario).exits(5);
        let refused = format!("v1/ConfigMap {name}/{name}-00001: it is there already, and no release made it");
        assert_eq!(judged.plan.refused(), [refused], "{helm:?}");
        assert_eq!(judged.writes().len(), 0, "{helm:?}");

        let theirs = ["meta.helm.sh/release-name=other", "meta.helm.sh/release-namespace=elsewhere"];
        scenario.kubectl(&["annotate", "configmap", &format!("{name}-00001"), theirs[0], theirs[1]]).exits(0);
        let refused = format!("v1/ConfigMap {name}/{name}-00001: it belongs to release elsewhere/other");
        assert_eq!(judge::apply(&scenario).exits(5).plan.refused(), [refused], "{helm:?}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_runtime_that_either_helm_made_is_taken_over_and_then_there_is_nothing_to_do() {
    for helm in Helm::BOTH {
        let scenario = Scenario::runtime("made").rendered_by(helm);
        scenario.helm_upgrade(helm, &[]).exits(0);
        let judged = judge::apply(&scenario).done();
        let told = judged.plan.told(&scenario.namespace);
        let other: Vec<&String> = told.iter().filter(|step| !step.starts_with("migrate ")).collect();
        assert_eq!(other, ["create Secret cfrt-platform-token"], "made by {helm:?}");
        assert_eq!(judged.plan.release().action, "keep", "made by {helm:?}");
        assert_eq!(scenario.revisions(), ["1 deployed"]);
        scenario.detailed().exits(0);
        assert_eq!(judge::apply(&scenario).done().writes().len(), 0, "made by {helm:?}");
    }
}
