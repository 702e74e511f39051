//! What others do to the objects of a release is seen and healed, without a revision and without hooks.

use crate::common::judge;
use crate::common::scenario::Scenario;

/// A release with everything that could run by mistake, meddled with.
fn healed(name: &str, meddle: impl Fn(&Scenario), told: &[&str]) -> Scenario {
    let scenario = Scenario::small(name);
    scenario.values("{count: 1, hooks: [{name: before, event: pre-upgrade}, {name: after, event: post-upgrade}]}");
    judge::apply(&scenario).done();
    meddle(&scenario);
    let judged = judge::apply(&scenario).done();
    let seen: Vec<String> =
        judged.plan.told(&scenario.namespace).iter().map(|step| step.replace(&scenario.namespace, "NAME")).collect();
    assert_eq!(seen, told);
    assert_eq!(judged.plan.release().action, "keep");
    assert_eq!(judged.writes_of_objects().len(), judged.writes().len(), "a record was written");
    assert_eq!(scenario.revisions(), ["1 deployed"]);
    assert!(scenario.find("job/before").is_none() && scenario.find("job/after").is_none());
    scenario.detailed().exits(0);
    scenario
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_scaled_deployment_is_scaled_back() {
    let meddle = |scenario: &Scenario| {
        let deployment = format!("deployment/{}", scenario.release);
        scenario.kubectl(&["scale", &deployment, "--replicas=3"]).exits(0);
    };
    let scenario = healed("scale", meddle, &["update Deployment NAME spec.replicas"]);
    assert_eq!(scenario.get(&format!("deployment/{}", scenario.release))["spec"]["replicas"], 1);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_edited_image_and_an_edited_text_are_set_back() {
    let meddle = |scenario: &Scenario| {
        let name = &scenario.release;
        scenario
            .kubectl(&["set", "image", &format!("deployment/{name}"), "small=quay.io/example/other:2.0.0"])
            .exits(0);
        let patch = ["patch", &format!("configmap/{name}"), "--patch", r#"{"data": {"greeting": "bye"}}"#];
        scenario.kubectl(&patch).exits(0);
        let patch = ["patch", &format!("secret/{name}"), "--patch", r#"{"stringData": {"password": "other"}}"#];
        scenario.kubectl(&patch).exits(0);
    };
    let told = [
        "update ConfigMap NAME data.greeting",
        "update Deployment NAME spec.template.spec.containers[small].image",
        "update Secret NAME data.password",
    ];
    let scenario = healed("edit", meddle, &told);
    assert_eq!(scenario.get(&format!("secret/{}", scenario.release))["data"]["password"], "c2VjcmV0");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn deleted_objects_come_back() {
    let meddle = |scenario: &Scenario| {
        let name = &scenario.release;
        let objects = [format!("configmap/{name}-00000"), format!("deployment/{name}"), format!("service/{name}")];
        scenario.kubectl(&["delete", &objects[0], &objects[1], &objects[2]]).exits(0);
    };
    let told = ["create ConfigMap NAME-00000", "create Deployment NAME", "create Service NAME"];
    let scenario = healed("delete", meddle, &told);
    assert_eq!(scenario.get(&format!("deployment/{}", scenario.release))["status"]["readyReplicas"], 1);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn labels_that_were_taken_away_come_back_and_labels_of_others_stay() {
    let meddle = |scenario: &Scenario| {
        let object = format!("configmap/{}", scenario.release);
        let managed = "app.kubernetes.io/managed-by-";
        scenario.kubectl(&["label", &object, managed, "app.kubernetes.io/name=other", "--overwrite"]).exits(0);
        scenario.kubectl(&["label", &object, "team=blue"]).exits(0);
        scenario.kubectl(&["annotate", &object, "team=blue"]).exits(0);
    };
    let paths = r#"metadata.labels["app.kubernetes.io/managed-by"] metadata.labels["app.kubernetes.io/name"]"#;
    let scenario = healed("label", meddle, &[&format!("update ConfigMap NAME {paths}")]);
    let live = scenario.get(&format!("configmap/{}", scenario.release));
    assert_eq!(live["metadata"]["labels"]["team"], "blue");
    assert_eq!(live["metadata"]["annotations"]["team"], "blue");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_others_add_without_touching_what_we_say_is_no_drift() {
    let scenario = Scenario::small("others");
    judge::apply(&scenario).done();
    let name = &scenario.release;
    scenario.kubectl(&["label", &format!("deployment/{name}"), "team=blue"]).exits(0);
    let patch = ["patch", &format!("configmap/{name}"), "--patch", r#"{"data": {"of-others": "stays"}}"#];
    scenario.kubectl(&patch).exits(0);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_deleted_namespace_is_a_first_installation_again() {
    let scenario = Scenario::small("namespace");
    judge::apply(&scenario).done();
    scenario.kubectl(&["delete", "namespace", &scenario.namespace]).exits(0);
    let judged = judge::apply(&scenario).done();
    assert_eq!(judged.plan.summary.keep, 0);
    assert_eq!(scenario.revisions(), ["1 deployed"]);
}
