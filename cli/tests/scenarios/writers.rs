//! What the server, controllers and the tools of others write into the objects of a release is theirs, and never drift.

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;

mod controllers;
pub(crate) mod objects;
mod tools;

use objects::{OBJECTS, Release, named, scaled};

/// Who writes, and what he does.
type Writer = (&'static str, fn(&Scenario));

/// Plays the writers one after another, and gives what plans had to say of each.
fn seen(scenario: &Scenario, writers: &[Writer]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut before = Vec::new();
    for (who, writes) in writers {
        writes(scenario);
        let mut told = scenario.plan().told(&scenario.namespace);
        let now = told.clone();
        told.retain(|step| !before.contains(step));
        seen.extend(told.into_iter().map(|step| format!("{who}: {step}")));
        before = now;
    }
    seen
}

/// Plays the writers: no plan has anything to say of them, and an apply nothing to do.
#[track_caller]
fn none_is_drift(scenario: &Scenario, writers: &[Writer]) {
    assert_eq!(seen(scenario, writers), Vec::<String>::new());
    scenario.detailed().exits(0);
    scenario.cfrt(&["drift", "desired.toml", "--detailed-exitcode"]).exits(0);
    assert_eq!(judge::apply(scenario).done().writes().len(), 0);
}

/// The same; nor has a plan anything to ask the server.
#[track_caller]
fn none_is_in_doubt(scenario: &Scenario, writers: &[Writer]) {
    none_is_drift(scenario, writers);
    let mark = audit::mark();
    scenario.detailed().exits(0);
    let dry_runs = audit::since(mark, scenario).into_iter().filter(|event| event.uri().contains("dryRun="));
    assert_eq!(dry_runs.map(|event| event.told()).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_server_and_its_controllers_write_is_no_drift() {
    let release = Release::new("server", "");
    judge::apply(&release.0).done();
    let writers: [Writer; 7] = [
        ("autoscaler", |scenario| scaled(scenario, 2)),
        ("role aggregation", controllers::role_aggregation),
        ("volume binder", controllers::volume_binder),
        ("service controller", controllers::service_controller),
        ("job controller", controllers::job_controller),
        ("status writers", controllers::status_writers),
        ("garbage collector and namespaces", controllers::cluster_keepers),
    ];
    none_is_in_doubt(&release.0, &writers);
    let scenario = &release.0;
    assert_eq!(scenario.get(&named(scenario, "deployment"))["spec"]["replicas"], 2);
    let role = scenario.get(&format!("clusterrole/{}-aggregate", scenario.namespace));
    assert_eq!(role["rules"][0]["resources"][0], "pods");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_tools_of_others_inject_is_no_drift() {
    let release = Release::new("tools", "");
    judge::apply(&release.0).done();
    let writers: [Writer; 8] = [
        ("certificate injector", tools::inject_certificates),
        ("sidecar injector that applies", tools::sidecar_by_apply),
        ("sidecar injector that updates", tools::sidecar_by_update),
        ("kubectl rollout restart", tools::restart),
        ("Argo CD", tools::argo_cd),
        ("token controller", tools::token_controller),
        ("ingress and service tools", tools::network_tools),
        ("someone's keys and fields", tools::someone),
    ];
    none_is_in_doubt(&release.0, &writers);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_change_of_the_chart_leaves_what_others_look_after() {
    let release = Release::new("change", "");
    let scenario = &release.0;
    judge::apply(scenario).done();
    scaled(scenario, 2);
    tools::inject_certificates(scenario);
    let name = scenario.namespace.clone();
    let labelled = OBJECTS
        .replace("{name: NAMESPACE}", "{name: NAMESPACE, labels: {changed: by-us}}")
        .replace("{name: NAMESPACE-aggregate}", "{name: NAMESPACE-aggregate, labels: {changed: by-us}}")
        .replace(
            "{name: gadgets.NAMESPACE.example.com}",
            "{name: gadgets.NAMESPACE.example.com, labels: {changed: by-us}}",
        )
        .replace("OURS: x", "OURS: y");
    scenario.values(&labelled);
    let judged = judge::apply(scenario).done();
    let label = "metadata.labels";
    let told: Vec<String> = judged.plan.told(&name).iter().map(|step| step.replace(&name, "NAME")).collect();
    let expected = [
        format!("update ClusterRole NAME-aggregate {label}.changed"),
        format!("update CustomResourceDefinition gadgets.NAME.example.com {label}.changed"),
        "update Deployment NAME spec.template.spec.containers[small].env[OURS].value".to_owned(),
        format!("update Gadget NAME {label}.changed"),
        format!("update HorizontalPodAutoscaler NAME {label}.changed"),
        format!("update MutatingWebhookConfiguration NAME {label}.changed"),
    ];
    assert_eq!(told, expected);
    assert_eq!(scenario.get(&named(scenario, "deployment"))["spec"]["replicas"], 2);
    let role = scenario.get(&format!("clusterrole/{name}-aggregate"));
    assert_eq!(role["rules"][0]["resources"][0], "pods");
    for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
        for hook in scenario.get(&named(scenario, kind))["webhooks"].as_array().into_iter().flatten() {
            assert_eq!(hook["clientConfig"]["caBundle"], "YQ==", "{kind} {}", hook["name"]);
        }
    }
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_others_write_into_every_object_of_the_runtime_is_no_drift() {
    let scenario = Scenario::runtime("writers");
    judge::apply(&scenario).done();
    let writers: [Writer; 5] = [
        ("Argo CD", tools::track_everything),
        ("status writers", controllers::condition_of_every_definition),
        ("sidecar injector", tools::sidecar_everywhere),
        ("kubectl rollout restart", tools::restart_everything),
        ("token controller", tools::tokens_everywhere),
    ];
    none_is_drift(&scenario, &writers);
}
