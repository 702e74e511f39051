//! Takes away what a scenario leaves behind, also in parts of the cluster that it does not have to itself.

use serde_json::{Value, json};

use super::scenario::{PREFIX, Scenario};

/// Cluster-wide hooks of the runtime chart, which outlive their release where they failed.
const HOOKS: [&str; 2] = ["validate-values-cr", "validate-values-crb"];

/// The groups of its definitions, which outlive it always.
const GROUPS: [&str; 2] = ["argoproj.io", "bitnami.com"];

/// What it has outside of its own namespace.
const KINDS: &str = "clusterroles,clusterrolebindings,roles,rolebindings,priorityclasses,customresourcedefinitions";

/// How often it is looked for what is left: a listing or a deletion may fail, and a definition takes a while to go.
const ROUNDS: usize = 10;

/// Takes away everything of a scenario. Nothing is checked: it also runs when the test has failed already.
pub(crate) fn up(scenario: &Scenario) {
    if scenario.cluster_wide {
        runtime(scenario);
    } else {
        let definition = format!("crd/widgets.{}.example.com", scenario.namespace);
        let _gone = scenario.kubectl(&["delete", &definition, "--ignore-not-found", "--wait=false"]);
    }
    let namespace = format!("namespace/{}", scenario.namespace);
    let _gone = scenario.kubectl(&["delete", &namespace, "--ignore-not-found", "--wait=false"]);
}

/// Takes away the objects of the runtime chart that are in no scenario's namespace.
pub(crate) fn runtime(scenario: &Scenario) {
    for _ in 0..ROUNDS {
        let found = scenario.kubectl_anywhere(&["get", KINDS, "--all-namespaces", "--output", "json"]);
        let found: Value = serde_json::from_str(&found.stdout).unwrap_or_default();
        let doomed: Vec<Value> =
            found["items"].as_array().into_iter().flatten().filter(|item| is_left(item)).map(named).collect();
        if !doomed.is_empty() {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": doomed});
            scenario.write("doomed.json", &list.to_string());
            let doomed = ["delete", "--filename", "doomed.json", "--ignore-not-found", "--timeout=30s"];
            let _gone = scenario.kubectl_anywhere(&doomed);
        } else if found["items"].is_array() {
            return;
        }
    }
}

fn is_left(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let released = metadata["annotations"]["meta.helm.sh/release-namespace"].as_str();
    HOOKS.contains(&name)
        || released.is_some_and(|namespace| namespace.starts_with(PREFIX))
            && !metadata["namespace"].as_str().is_some_and(|namespace| namespace.starts_with(PREFIX))
            && metadata["annotations"]["meta.helm.sh/release-name"] == "runtime"
        || object["kind"] == "CustomResourceDefinition" && GROUPS.iter().any(|group| name.ends_with(group))
}

fn named(object: &Value) -> Value {
    let place = json!({"name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"]});
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": place})
}
