//! What a policy of the cluster doesn't let in: told by the plan in the server's words, and nothing is deleted for it.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::process::until;
use crate::common::scenario::Scenario;

/// A ValidatingAdmissionPolicy for a scenario's namespace; it goes with it.
struct Policy<'a>(&'a Scenario);

impl<'a> Policy<'a> {
    /// Lets objects of a group's resource in only where this holds, and waits until it doesn't let this one in.
    fn new(scenario: &'a Scenario, group: &str, resource: &str, expression: &str, refused: &Value) -> Self {
        let (name, version) = (&scenario.namespace, "admissionregistration.k8s.io/v1");
        let rule = json!({"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": [resource]});
        let validation = json!({"expression": expression, "message": "none of ours", "reason": "Forbidden"});
        let own = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let items = json!([
            {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
                "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}},
            {"apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {
                "policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": own}}},
        ]);
        scenario.write("policy.json", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
        scenario.write("refused.json", &refused.to_string());
        scenario.kubectl_anywhere(&["create", "--filename", "policy.json"]).exits(0);
        let policy = Self(scenario);
        let asked = ["create", "--dry-run=server", "--filename", "refused.json"];
        until("the policy is in force", || scenario.kubectl(&asked).stderr.contains("none of ours").then_some(()));
        policy
    }
}

impl Drop for Policy<'_> {
    fn drop(&mut self) {
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            let _gone = self.0.kubectl_anywhere(&["delete", kind, &self.0.namespace]);
        }
    }
}

fn deployment(name: &str, label: &str) -> Value {
    let template = json!({"metadata": {"labels": {"app": label}},
        "spec": {"containers": [{"name": "main", "image": "quay.io/example/app:1.0.0"}]}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": label}}, "template": template}})
}

fn config(name: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": text}})
}

fn of(scenario: &Scenario, object: &Value) {
    scenario.values(&json!({ "extraObjects": [object] }).to_string());
}

/// Plan and apply refuse a step in a policy's words; nothing is written, and no plan file says that it could be.
#[track_caller]
fn refused(scenario: &Scenario, step: &str) {
    let plan = scenario.cfrt(&["plan", "desired.toml", "-o", "plan.txt"]).exits(5);
    assert!(
        plan.stdout.contains(&format!("! {step}")) && plan.stdout.contains("denied request: none of ours"),
        "{plan}"
    );
    assert!(!plan.stdout.contains("may not ask") && !scenario.folder().join("plan.txt").exists(), "{plan}");
    let mark = audit::mark();
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(5);
    let events = audit::since(mark, scenario);
    assert!(audit::mutating(&events).is_empty(), "{:#?}", audit::mutating(&events));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn nothing_is_deleted_for_an_object_that_a_policy_would_not_let_in() {
    let scenario = Scenario::small("denied-anew");
    of(&scenario, &deployment("selected", "one"));
    judge::apply(&scenario).done();
    let before = scenario.uid("deployment/selected");
    let expression = "object.spec.selector.matchLabels['app'] != 'two'";
    let policy = Policy::new(&scenario, "apps", "deployments", expression, &deployment("probe", "two"));
    of(&scenario, &deployment("selected", "two"));
    refused(&scenario, &format!("Deployment {}/selected", scenario.namespace));
    assert_eq!(scenario.uid("deployment/selected"), before);
    of(&scenario, &deployment("selected", "three"));
    judge::apply(&scenario).done();
    assert_ne!(scenario.uid("deployment/selected"), before);
    drop(policy);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_change_that_a_policy_would_not_let_in_is_refused_by_the_plan() {
    let scenario = Scenario::small("denied-change");
    of(&scenario, &config("checked", "one"));
    judge::apply(&scenario).done();
    let expression = "!has(object.data) || !('text' in object.data) || object.data['text'] != 'two'";
    let _policy = Policy::new(&scenario, "", "configmaps", expression, &config("probe", "two"));
    of(&scenario, &config("checked", "two"));
    refused(&scenario, &format!("ConfigMap {}/checked", scenario.namespace));
    assert_eq!(scenario.get("configmap/checked")["data"]["text"], "one");
    of(&scenario, &config("checked", "three"));
    judge::apply(&scenario).done();
}
