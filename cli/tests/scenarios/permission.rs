//! Who may not do all that a plan needs is told so before anything is written, in one answer.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::process::Ran;
use crate::common::scenario::Scenario;

/// A ServiceAccount that may read everything, and in the scenario's namespace what its role says besides.
struct Limited<'a> {
    scenario: &'a Scenario,
}

impl<'a> Limited<'a> {
    fn new(scenario: &'a Scenario, rules: &Value) -> Self {
        let name = &scenario.namespace;
        let read = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]});
        let role = |kind: &str, namespace: Value, rules: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "rules": rules});
        let roles = json!({"apiVersion": "v1", "kind": "List", "items": [
            role("ClusterRole", Value::Null, json!([read])), role("Role", json!(name), rules.clone()),
        ]});
        scenario.write("roles.json", &roles.to_string());
        scenario.kubectl_anywhere(&["apply", "--filename", "roles.json"]).exits(0);
        scenario.kubectl(&["create", "serviceaccount", "limited"]).exits(0);
        let account = format!("--serviceaccount={name}:limited");
        let bind =
            |kind: &str, role: &str| scenario.kubectl(&["create", kind, name, &format!("--{role}={name}"), &account]);
        bind("clusterrolebinding", "clusterrole").exits(0);
        bind("rolebinding", "role").exits(0);
        let token = scenario.kubectl(&["create", "token", "limited"]).exits(0).stdout;
        let config = ["config", "view", "--raw", "--minify", "--flatten", "--output", "json"];
        let mut config: Value = scenario.kubectl_anywhere(&config).exits(0).json();
        config["users"][0]["user"] = json!({"token": token.trim()});
        scenario.write("limited.json", &config.to_string());
        Self { scenario }
    }

    fn apply(&self) -> Ran {
        let login = self.scenario.folder().join("limited.json");
        self.scenario.program(&["apply", "desired.toml", "--yes"]).variable("KUBECONFIG", login).run()
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            let _gone = self.scenario.kubectl_anywhere(&["delete", kind, &self.scenario.namespace]);
        }
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn all_that_is_not_permitted_is_told_at_once_and_nothing_is_written() {
    let scenario = Scenario::small("denied");
    scenario.values("{data: {greeting: one}}");
    judge::apply(&scenario).done();
    scenario.values("{count: 1, data: {greeting: two}, deployment: {replicas: 2}}");
    let dry_run = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    let limited = Limited::new(&scenario, &dry_run);
    let mark = audit::mark();
    let ran = limited.apply().exits(11);
    let name = &scenario.namespace;
    let subject = format!("system:serviceaccount:{name}:limited may not");
    for missing in [
        format!("{subject} create configmaps in namespace {name}"),
        format!("{subject} create, delete, patch, update leases.coordination.k8s.io in namespace {name}"),
        format!("{subject} create, delete, patch, update secrets in namespace {name}"),
    ] {
        assert!(ran.stderr.contains(&missing), "{missing}: {ran}");
    }
    assert!(!ran.stderr.contains("deployments"), "{ran}");
    let events = audit::since(mark, &scenario);
    assert!(audit::mutating(&events).is_empty(), "{:#?}", audit::mutating(&events));
    assert_eq!(scenario.revisions(), ["1 deployed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_role_that_names_the_objects_of_a_plan_is_enough_for_it() {
    let scenario = Scenario::small("named");
    scenario.values("{service: {ports: [{name: http, port: 80}]}}");
    judge::apply(&scenario).done();
    scenario.values("{service: {ports: [{name: http, port: 81}]}}");
    let name = &scenario.release;
    let lease = format!("cfrt-{name}");
    let rules = json!([
        {"apiGroups": [""], "resources": ["services"], "resourceNames": [name], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [lease],
            "verbs": ["get", "update", "patch", "delete"]},
    ]);
    let limited = Limited::new(&scenario, &rules);
    limited.apply().exits(0);
    assert_eq!(scenario.get(&format!("service/{name}"))["spec"]["ports"][0]["port"], 81);
    scenario.values(
        "{service: {ports: [{name: http, port: 82}]}, extraObjects: [{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {clusterIP: None}}]}",
    );
    let ran = limited.apply().exits(11);
    assert!(ran.stderr.contains("may not patch services \"other\" in"), "{ran}");
    assert!(!ran.stderr.contains(&format!("\"{name}\" in")), "{ran}");
}
