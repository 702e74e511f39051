//! What the server and its controllers write; where the real ones are there, it is awaited.

use serde_json::json;

use super::objects::{gadget, named, write, write_status};
use crate::common::process::until;
use crate::common::scenario::Scenario;

pub(super) fn role_aggregation(scenario: &Scenario) {
    until("the rules are aggregated", || {
        let role = scenario.get(&format!("clusterrole/{}-aggregate", scenario.namespace));
        (role["rules"][0]["resources"][0] == "pods").then_some(())
    });
}

pub(super) fn volume_binder(scenario: &Scenario) {
    let name = &scenario.namespace;
    let spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/nowhere"},
        "storageClassName": name,
    });
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec});
    scenario.write("volume.json", &volume.to_string());
    scenario.kubectl(&["create", "--filename", "volume.json"]).exits(0);
    until("the claim is bound", || {
        (scenario.get("persistentvolumeclaim/claim")["status"]["phase"] == "Bound").then_some(())
    });
}

pub(super) fn service_controller(scenario: &Scenario) {
    let ingress = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}});
    write_status(scenario, "cloud-controller-manager", "service/outside", &ingress);
    let annotations = json!({"service.kubernetes.io/load-balancer-id": "lb-1"});
    let finalizers = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    let metadata = json!({"annotations": annotations, "finalizers": finalizers});
    write(scenario, "cloud-controller-manager", "service/outside", &json!({ "metadata": metadata }));
    let outside = scenario.get("service/outside");
    assert!(outside["spec"]["clusterIP"].is_string() && outside["spec"]["ports"][0]["nodePort"].is_number());
}

pub(super) fn job_controller(scenario: &Scenario) {
    let job = scenario.get("job/once");
    assert!(job["spec"]["selector"].is_object() && job["status"].is_object());
}

pub(super) fn status_writers(scenario: &Scenario) {
    let condition = json!({"type": "Seen", "status": "True", "reason": "Looked", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"});
    let status = json!({ "conditions": [condition] });
    write_status(scenario, "someone", &named(scenario, "deployment"), &status);
    write_status(scenario, "gadgets", &gadget(scenario), &json!({"phase": "Ready", "seen": null}));
    let gadgets = format!("crd/gadgets.{}.example.com", scenario.namespace);
    write_status(scenario, "someone", &gadgets, &json!({"storedVersions": ["v1"]}));
}

pub(super) fn cluster_keepers(scenario: &Scenario) {
    let annotations = json!({"openshift.io/sa.scc.uid-range": "1000/10", "scheduler.alpha.kubernetes.io/x": ""});
    let metadata = json!({"annotations": annotations, "labels": {"pod-security.kubernetes.io/warn": "baseline"}});
    write(scenario, "cluster", &named(scenario, "namespace"), &json!({ "metadata": metadata }));
    write(scenario, "gc", &named(scenario, "configmap"), &json!({"metadata": {"finalizers": ["a.io/held"]}}));
}

/// Says something of every definition of the runtime, as API servers and migrators do.
pub(super) fn condition_of_every_definition(scenario: &Scenario) {
    let definitions = scenario.list("customresourcedefinitions");
    let named = definitions.iter().filter_map(|item| item["metadata"]["name"].as_str());
    for name in named.filter(|name| name.ends_with("argoproj.io")) {
        let condition = json!({"type": "Migrated", "status": "True", "reason": "Looked", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let operation = json!([{"op": "add", "path": "/status/conditions/-", "value": condition}]);
        let arguments = ["patch", "crd", name, "--subresource=status", "--type=json", "--field-manager=migrator"];
        scenario.kubectl(&[&arguments[..], &["--patch", &operation.to_string()]].concat()).exits(0);
    }
}
