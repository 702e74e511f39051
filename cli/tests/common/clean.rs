//! What the runtime chart leaves behind in a cluster that it does not have to itself.

use super::scenario::Scenario;

/// Cluster-wide hooks of the runtime chart, which outlive their release where they failed.
const HOOKS: [&str; 2] = ["clusterrole/validate-values-cr", "clusterrolebinding/validate-values-crb"];

/// The groups of its definitions, which outlive it always.
const GROUPS: [&str; 2] = ["argoproj.io", "bitnami.com"];

/// Takes away everything of a scenario. Nothing is checked: it also runs when the test has failed already.
pub(crate) fn up(scenario: &Scenario) {
    if scenario.cluster_wide {
        runtime(scenario);
    } else {
        let group = format!("widgets.{}.example.com", scenario.namespace);
        let _gone = scenario.kubectl(&["delete", "crd", &group, "--ignore-not-found", "--wait=false"]);
    }
    let namespace = &scenario.namespace;
    let _gone = scenario.kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"]);
}

/// Takes away the cluster-wide objects of the runtime chart, from whichever release they came.
pub(crate) fn runtime(scenario: &Scenario) {
    let mut doomed: Vec<String> = HOOKS.map(str::to_owned).to_vec();
    for kind in ["clusterrole", "clusterrolebinding", "validatingwebhookconfiguration", "priorityclass"] {
        let found = scenario.kubectl(&["get", kind, "-o", "json"]);
        let Ok(found) = serde_json::from_str::<serde_json::Value>(&found.stdout) else { continue };
        let items = found["items"].as_array().into_iter().flatten();
        let released = items.filter(|item| item["metadata"]["annotations"]["meta.helm.sh/release-name"] == "runtime");
        doomed.extend(released.filter_map(|item| Some(format!("{kind}/{}", item["metadata"]["name"].as_str()?))));
    }
    let found = scenario.kubectl(&["get", "crd", "-o", "name"]);
    let ours = |name: &&str| GROUPS.iter().any(|group| name.ends_with(group));
    doomed.extend(found.stdout.lines().filter(ours).map(str::to_owned));
    let _gone = scenario.kubectl_of(&[&["delete", "--ignore-not-found"], &as_texts(&doomed)[..]].concat());
}

fn as_texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
