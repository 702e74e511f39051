//! What ready means, a row for each state of each kind.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Builds a live object of generation 2, observed unless its status says otherwise.
fn live(kind: &str, spec: &Value, status: &Value) -> Value {
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
    let mut status = status.clone();
    if let Some(status) = status.as_object_mut() {
        status.entry("observedGeneration").or_insert(json!(2));
    }
    json!({"apiVersion": version, "kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status})
}

fn drawn(settled: &Settled) -> String {
    match settled {
        Settled::Yes => "ready".to_owned(),
        Settled::Waiting(lack) => format!("waiting: {lack}"),
        Settled::Failed(trouble) => format!("failed: {trouble}"),
    }
}

fn check(kind: &str, table: &[(Value, Value, &str)]) {
    for (spec, status, expected) in table {
        assert_eq!(drawn(&settled(Some(&live(kind, spec, status)))), *expected, "{kind} {spec} {status}");
    }
}

fn conditions(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!([{"type": "Other", "status": "True"}, {"type": name, "status": status, "reason": reason, "message": message}])
}

#[test]
fn a_deployment_is_ready_when_all_its_pods_are_of_now_and_available() {
    let three = json!({"replicas": 3});
    check(
        "apps/v1/Deployment",
        &[
            (three.clone(), json!({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}), "ready"),
            (
                three.clone(),
                json!({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}),
                "waiting: 2 of 3 ready",
            ),
            (
                three.clone(),
                json!({"replicas": 3, "updatedReplicas": 1, "availableReplicas": 3}),
                "waiting: 1 of 3 updated",
            ),
            (three.clone(), json!({"replicas": 4, "updatedReplicas": 3, "availableReplicas": 4}), "waiting: 1 to end"),
            (
                three.clone(),
                json!({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "observedGeneration": 1}),
                "waiting: not noticed by its controller yet",
            ),
            (three.clone(), json!(null), "waiting: not noticed by its controller yet"),
            (json!({"replicas": 0}), json!({}), "ready"),
            (json!({}), json!({}), "waiting: 0 of 1 updated"),
            (
                three.clone(),
                json!({"conditions": conditions("Progressing", "False", "ProgressDeadlineExceeded", "timed out")}),
                "failed: ProgressDeadlineExceeded: timed out",
            ),
            (
                three.clone(),
                json!({"conditions": conditions("Progressing", "True", "ReplicaSetUpdated", "")}),
                "waiting: 0 of 3 updated",
            ),
            (
                three.clone(),
                json!({"conditions": conditions("ReplicaFailure", "True", "FailedCreate", "quota")}),
                "waiting: 0 of 3 updated: FailedCreate: quota",
            ),
            (
                json!({}),
                json!({"conditions": conditions("ReplicaFailure", "True", "FailedCreate", "exceeded quota: few")}),
                "failed: FailedCreate: exceeded quota: few",
            ),
            (
                json!({}),
                json!({"replicas": 1, "conditions": conditions("ReplicaFailure", "True", "FailedCreate", "exceeded quota: few")}),
                "waiting: 0 of 1 updated: FailedCreate: exceeded quota: few",
            ),
            (
                json!({}),
                json!({"conditions": conditions("ReplicaFailure", "True", "FailedCreate", "Internal error occurred: failed calling webhook \"w.io\": failed to call webhook: Post \"https://w.n.svc:443/\": no endpoints available")}),
                "waiting: 0 of 1 updated: FailedCreate: webhook w.io of Service n/w doesn't answer: no endpoints available",
            ),
        ],
    );
}

#[test]
fn a_stateful_set_is_ready_when_the_pods_that_it_updates_itself_are() {
    let strategy = |strategy: Value| json!({"replicas": 3, "updateStrategy": strategy});
    let partition = strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}));
    check(
        "apps/v1/StatefulSet",
        &[
            (strategy(json!(null)), json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}), "ready"),
            (
                strategy(json!(null)),
                json!({"replicas": 3, "updatedReplicas": 2, "readyReplicas": 3}),
                "waiting: 2 of 3 updated",
            ),
            (
                strategy(json!(null)),
                json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 1}),
                "waiting: 1 of 3 ready",
            ),
            (
                strategy(json!(null)),
                json!({"replicas": 4, "updatedReplicas": 3, "readyReplicas": 4}),
                "waiting: 1 to end",
            ),
            (partition.clone(), json!({"replicas": 3, "updatedReplicas": 1, "readyReplicas": 3}), "ready"),
            (
                partition.clone(),
                json!({"replicas": 3, "updatedReplicas": 0, "readyReplicas": 3}),
                "waiting: 0 of 1 updated",
            ),
            (partition, json!({"replicas": 3, "updatedReplicas": 1, "readyReplicas": 2}), "waiting: 2 of 3 ready"),
            (strategy(json!({"rollingUpdate": {"partition": 9}})), json!({"readyReplicas": 3}), "ready"),
            (
                strategy(json!({"type": "OnDelete"})),
                json!({"replicas": 3, "updatedReplicas": 0, "readyReplicas": 3}),
                "ready",
            ),
            (
                strategy(json!({"type": "OnDelete"})),
                json!({"replicas": 3, "readyReplicas": 2}),
                "waiting: 2 of 3 ready",
            ),
            (json!({"replicas": 0}), json!({}), "ready"),
            (json!({"replicas": 0}), json!({"observedGeneration": 1}), "waiting: not noticed by its controller yet"),
        ],
    );
}

#[test]
fn other_sets_of_pods_are_ready_by_count() {
    check(
        "apps/v1/DaemonSet",
        &[
            (
                json!({}),
                json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}),
                "ready",
            ),
            (
                json!({}),
                json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 1, "numberAvailable": 2}),
                "waiting: 1 of 2 updated",
            ),
            (
                json!({}),
                json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}),
                "waiting: 1 of 2 ready",
            ),
            (
                json!({"updateStrategy": {"type": "OnDelete"}}),
                json!({"desiredNumberScheduled": 2, "numberAvailable": 2}),
                "ready",
            ),
            (json!({}), json!({}), "ready"),
            (json!({}), json!({"observedGeneration": 1}), "waiting: not noticed by its controller yet"),
        ],
    );
    check(
        "apps/v1/ReplicaSet",
        &[
            (json!({"replicas": 2}), json!({"replicas": 2, "availableReplicas": 2}), "ready"),
            (json!({"replicas": 2}), json!({"replicas": 2, "availableReplicas": 1}), "waiting: 1 of 2 ready"),
            (json!({"replicas": 2}), json!({"replicas": 3, "availableReplicas": 3}), "waiting: 1 to end"),
            (json!({"replicas": 0}), json!({"replicas": 0}), "ready"),
        ],
    );
}

#[test]
fn a_job_is_ready_when_it_is_complete() {
    check(
        "batch/v1/Job",
        &[
            (json!({"completions": 3}), json!({"conditions": conditions("Complete", "True", "", "")}), "ready"),
            (
                json!({"completions": 3}),
                json!({"conditions": conditions("Complete", "False", "", ""), "succeeded": 1}),
                "waiting: 1 of 3 succeeded",
            ),
            (json!({}), json!({}), "waiting: 0 of 1 succeeded"),
            (
                json!({}),
                json!({"conditions": conditions("Failed", "True", "BackoffLimitExceeded", "too often")}),
                "failed: BackoffLimitExceeded: too often",
            ),
            (json!({}), json!({"conditions": conditions("Failed", "False", "", "")}), "waiting: 0 of 1 succeeded"),
            (json!({}), json!({"conditions": conditions("FailureTarget", "True", "a", "b")}), "failed: a: b"),
            (json!({}), json!({"conditions": conditions("Failed", "True", "", "")}), "failed: no reason given"),
            (json!({"suspend": true}), json!({}), "ready"),
        ],
    );
    check("batch/v1/CronJob", &[(json!({}), json!({}), "ready")]);
}

#[test]
fn a_pod_is_ready_when_it_says_so_or_has_succeeded() {
    check(
        "Pod",
        &[
            (json!({}), json!({"phase": "Running", "conditions": conditions("Ready", "True", "", "")}), "ready"),
            (
                json!({}),
                json!({"phase": "Running", "conditions": conditions("Ready", "False", "", "")}),
                "waiting: running, not ready",
            ),
            (json!({}), json!({"phase": "Succeeded", "conditions": conditions("Ready", "False", "", "")}), "ready"),
            (json!({}), json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}), "failed: Evicted: disk"),
            (json!({}), json!({"phase": "Pending"}), "waiting: pending"),
            (
                json!({}),
                json!({"phase": "Pending", "conditions": conditions("PodScheduled", "False", "Unschedulable", "no node")}),
                "waiting: pending: Unschedulable: no node",
            ),
            (
                json!({}),
                json!({"phase": "Pending", "conditions": conditions("PodScheduled", "True", "", "")}),
                "waiting: pending",
            ),
        ],
    );
}

#[test]
fn what_others_stand_on_is_ready_when_the_server_says_so() {
    check(
        "apiextensions.k8s.io/v1/CustomResourceDefinition",
        &[
            (
                json!({}),
                json!({"conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]}),
                "ready",
            ),
            (
                json!({}),
                json!({"conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "False", "reason": "Installing", "message": "soon"}]}),
                "waiting: not Established yet: Installing: soon",
            ),
            (
                json!({}),
                json!({"conditions": [{"type": "NamesAccepted", "status": "True"}]}),
                "waiting: not Established yet",
            ),
            (
                json!({}),
                json!({"conditions": conditions("NamesAccepted", "False", "ListKindConflict", "taken")}),
                "failed: ListKindConflict: taken",
            ),
            (
                json!({}),
                json!({"conditions": [{"type": "Established", "status": "True"}]}),
                "waiting: not NamesAccepted yet",
            ),
            (json!({}), json!(null), "waiting: not NamesAccepted yet"),
        ],
    );
    check(
        "apiregistration.k8s.io/v1/APIService",
        &[
            (json!({}), json!({"conditions": conditions("Available", "True", "", "")}), "ready"),
            (
                json!({}),
                json!({"conditions": conditions("Available", "False", "MissingEndpoints", "none")}),
                "waiting: not Available yet: MissingEndpoints: none",
            ),
            (json!({}), json!({}), "waiting: not Available yet"),
        ],
    );
}

#[test]
fn namespaces_and_claims_are_ready_by_their_phase() {
    check(
        "Namespace",
        &[
            (json!({}), json!({"phase": "Active"}), "ready"),
            (json!({}), json!({"phase": "Terminating"}), "failed: it is being deleted"),
            (json!({}), json!({}), "waiting: not active yet"),
        ],
    );
    check(
        "PersistentVolumeClaim",
        &[
            (json!({}), json!({"phase": "Bound"}), "ready"),
            (json!({}), json!({"phase": "Pending"}), "ready"),
            (json!({}), json!({"phase": "Lost"}), "failed: its volume is lost"),
        ],
    );
}

#[test]
fn everything_else_is_ready_once_it_is_there() {
    for kind in
        ["Service", "ConfigMap", "networking.k8s.io/v1/Ingress", "example.com/v1/Deployment", "example.com/v1/Job"]
    {
        check(kind, &[(json!({}), json!({"conditions": conditions("Ready", "False", "", "")}), "ready")]);
    }
    assert_eq!(drawn(&settled(None)), "waiting: not there yet");
    assert_eq!(drawn(&hook_settled(None)), "failed: it was deleted before it was seen to end");
}

#[test]
fn a_service_that_is_to_be_reached_from_outside_is_ready_when_it_has_an_address() {
    let outside = json!({"type": "LoadBalancer"});
    let missing = "waiting: no load balancer has given it an address yet";
    let table = [
        (outside.clone(), json!({"loadBalancer": {"ingress": [{"hostname": "a"}]}}), "ready"),
        (outside.clone(), json!({"loadBalancer": {}}), missing),
        (outside, json!({"loadBalancer": {"ingress": []}}), missing),
        (json!({"type": "LoadBalancer", "externalIPs": ["203.0.113.1"]}), json!({}), "ready"),
        (json!({"type": "ClusterIP"}), json!({"loadBalancer": {}}), "ready"),
    ];
    check("Service", &table);
}

#[test]
fn what_is_being_deleted_is_not_ready() {
    let mut service = live("Service", &json!({}), &json!({}));
    service["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(drawn(&settled(Some(&service))), "waiting: being deleted");
    let mut namespace = live("Namespace", &json!({}), &json!({"phase": "Active"}));
    namespace["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(drawn(&settled(Some(&namespace))), "failed: it is being deleted");
}

#[test]
fn a_hook_is_awaited_only_where_it_runs_to_an_end() {
    let table = [
        ("batch/v1/Job", json!({"conditions": conditions("Complete", "True", "", "")}), "ready"),
        ("batch/v1/Job", json!({"conditions": conditions("Failed", "True", "a", "b")}), "failed: a: b"),
        ("batch/v1/Job", json!({}), "waiting: 0 of 1 succeeded"),
        ("Pod", json!({"phase": "Succeeded"}), "ready"),
        ("Pod", json!({"phase": "Running", "conditions": conditions("Ready", "True", "", "")}), "waiting: running"),
        ("Pod", json!({"phase": "Failed", "reason": "a"}), "failed: a"),
        ("apps/v1/Deployment", json!({}), "ready"),
        ("ServiceAccount", json!({}), "ready"),
    ];
    for (kind, status, expected) in table {
        assert_eq!(
            drawn(&hook_settled(Some(&live(kind, &json!({"suspend": true}), &status)))),
            expected,
            "{kind} {status}"
        );
    }
}

proptest! {
    #[test]
    fn no_number_and_no_shape_makes_it_panic(
        kind in prop::sample::select(vec!["apps/v1/Deployment", "apps/v1/StatefulSet", "apps/v1/DaemonSet", "batch/v1/Job", "Pod", "Namespace"]),
        number in any::<i64>(),
        other in any::<u64>(),
        shape in 0..3,
    ) {
        let odd = [json!(number), json!([number]), json!({"partition": other})][usize::try_from(shape).unwrap_or_default()].clone();
        let spec = json!({"replicas": other, "updateStrategy": {"rollingUpdate": odd}, "completions": number});
        let status = json!({"replicas": number, "updatedReplicas": odd, "readyReplicas": other, "conditions": odd, "phase": odd, "succeeded": number});
        for object in [live(kind, &spec, &status), live(kind, &odd, &odd), odd] {
            settled(Some(&object));
            hook_settled(Some(&object));
        }
    }
}
