//! Tells which ReplicaSets and Pods belong to an object as it is now, and not to what it was before.

use std::sync::Arc;

use serde_json::Value;

use super::gvk::Gvk;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// The kinds that an object's parts are of; none where it has no pods of its own.
pub(crate) fn kinds(live: &Value) -> Vec<Gvk> {
    let (sets, pods) = (Gvk::new("apps/v1", "ReplicaSet"), Gvk::new("v1", "Pod"));
    match kind(live).as_ref().map(|(group, kind)| (group.as_str(), kind.as_str())) {
        Some(("apps", "Deployment") | ("argoproj.io", "Rollout")) => vec![sets, pods],
        Some(
            ("apps", "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("", "ReplicationController")
            | ("batch", "Job")
            | ("argoproj.io", "Workflow"),
        ) => vec![pods],
        _ => Vec::new(),
    }
}

/// Whether an object runs to an end: what its pods were at theirs matters even when they are gone.
pub(crate) fn runs_to_an_end(live: &Value) -> bool {
    kind(live).is_some_and(|(group, kind)| {
        matches!((group.as_str(), kind.as_str()), ("batch", "Job") | ("argoproj.io", "Workflow"))
    })
}

/// The parts of an object, given all objects that another one owns, by its uid.
pub(crate) fn parts(live: &Value, owned: impl Fn(&str) -> Vec<Arc<Value>>) -> Vec<Arc<Value>> {
    if !is_noticed(live) {
        return Vec::new();
    }
    let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let mut parts = owned(&uid(live));
    parts.retain(|part| is_of_now(live, part) || is_in_the_way(live, part));
    let pods: Vec<Arc<Value>> =
        parts.iter().filter(|part| part["kind"] == "ReplicaSet").flat_map(|set| owned(&uid(set))).collect();
    parts.extend(pods);
    // What is about to go says nothing about what is to come.
    parts.retain(|part| runs_to_an_end(live) || part["metadata"]["deletionTimestamp"].is_null());
    parts
}

/// Whether a controller that counts generations has seen this one: before that its status is about another.
fn is_noticed(live: &Value) -> bool {
    let observed = &live["status"]["observedGeneration"];
    // A Rollout writes it as a string.
    let observed = observed.as_u64().or_else(|| observed.as_str()?.parse().ok());
    runs_to_an_end(live) || observed >= live["metadata"]["generation"].as_u64()
}

/// Whether a part was made from what its owner says now, as far as anyone can tell.
fn is_of_now(live: &Value, part: &Value) -> bool {
    let label = |name: &str| &part["metadata"]["labels"][name];
    let annotation = |object: &Value, name: &str| object["metadata"]["annotations"][name].clone();
    match live["kind"].as_str() {
        Some("Deployment") => annotation(live, REVISION) == annotation(part, REVISION),
        Some("Rollout") => *label("rollouts-pod-template-hash") == live["status"]["currentPodHash"],
        Some("StatefulSet") => *label("controller-revision-hash") == live["status"]["updateRevision"],
        Some("DaemonSet") => {
            let generation = annotation(live, "deprecated.daemonset.template.generation");
            generation.is_null() || *label("pod-template-generation") == generation
        }
        Some(_) | None => true,
    }
}

/// Whether a pod of an earlier revision keeps those of this one from coming: a StatefulSet that goes in order replaces none
/// that isn't ready.
pub(crate) fn is_in_the_way(live: &Value, part: &Value) -> bool {
    let spec = &live["spec"];
    let goes_in_order = spec["podManagementPolicy"] != "Parallel" && spec["updateStrategy"]["type"] != "OnDelete";
    live["kind"] == "StatefulSet" && goes_in_order && !is_of_now(live, part)
}

fn kind(live: &Value) -> Option<(String, String)> {
    let gvk = Gvk::of(live)?;
    Some((gvk.group, gvk.kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, uid: &str, owner: &str, more: &Value) -> Value {
        let (version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"uid": uid, "owner": owner}});
        for (key, value) in more.as_object().into_iter().flatten() {
            object["metadata"][key] = value.clone();
        }
        object
    }

    /// The uids of an object's parts among others.
    fn of(live: &Value, all: &[Value]) -> Vec<String> {
        let owned = |uid: &str| {
            let owned = all.iter().filter(|object| object["metadata"]["owner"] == uid);
            owned.cloned().map(Arc::new).collect()
        };
        let uid = |part: &Arc<Value>| part["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        parts(live, owned).iter().map(uid).collect()
    }

    #[test]
    fn of_a_deployment_only_the_pods_of_its_last_revision_count() {
        let revision = |number: &str| json!({"annotations": {REVISION: number}});
        let live = object("apps/v1/Deployment", "d", "", &revision("2"));
        let all = [
            object("apps/v1/ReplicaSet", "old", "d", &revision("1")),
            object("apps/v1/ReplicaSet", "new", "d", &revision("2")),
            object("Pod", "a", "old", &json!({})),
            object("Pod", "b", "new", &json!({})),
            object("Pod", "c", "new", &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"})),
            object("Pod", "d", "", &json!({})),
        ];
        assert_eq!(of(&live, &all), ["new", "b"]);
        assert_eq!(kinds(&live).len(), 2);
    }

    #[test]
    fn of_other_sets_the_pods_of_the_revision_that_they_bring_count() {
        let label = |name: &str, value: &str| json!({"labels": {name: value}});
        let mut live = object("apps/v1/StatefulSet", "s", "", &json!({}));
        live["status"] = json!({"updateRevision": "r2"});
        let hash = "controller-revision-hash";
        let pods = [object("Pod", "a", "s", &label(hash, "r1")), object("Pod", "b", "s", &label(hash, "r2"))];
        assert_eq!(of(&live, &pods), ["a", "b"], "the old one is in the way");
        live["spec"] = json!({"podManagementPolicy": "Parallel"});
        assert_eq!(of(&live, &pods), ["b"]);
        live["metadata"]["generation"] = json!(2);
        live["status"]["observedGeneration"] = json!(1);
        assert_eq!(of(&live, &pods), [""; 0], "the status is about what was before");

        let generation = json!({"annotations": {"deprecated.daemonset.template.generation": "3"}});
        let live = object("apps/v1/DaemonSet", "s", "", &generation);
        let name = "pod-template-generation";
        let pods = [object("Pod", "a", "s", &label(name, "2")), object("Pod", "b", "s", &label(name, "3"))];
        assert_eq!(of(&live, &pods), ["b"]);

        let mut live = object("argoproj.io/v1alpha1/Rollout", "r", "", &json!({}));
        live["status"] = json!({"currentPodHash": "h2"});
        let name = "rollouts-pod-template-hash";
        let sets = [
            object("apps/v1/ReplicaSet", "a", "r", &label(name, "h1")),
            object("apps/v1/ReplicaSet", "b", "r", &label(name, "h2")),
            object("Pod", "p", "b", &json!({})),
        ];
        assert_eq!(of(&live, &sets), ["b", "p"]);
    }

    #[test]
    fn of_a_job_those_count_too_that_are_about_to_go() {
        let live = object("batch/v1/Job", "j", "", &json!({}));
        let going = object("Pod", "a", "j", &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(of(&live, &[going]), ["a"]);
        assert!(kinds(&object("ConfigMap", "c", "", &json!({}))).is_empty());
        assert!(kinds(&json!(null)).is_empty());
    }
}
