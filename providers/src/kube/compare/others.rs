//! Places that others are there to write: their values stay, and an apply sends them as they are.

use serde_json::json;

use super::*;

/// Compares a document with a live object whose named fields `helm` applied; gives the places that differ, and those that stay.
fn places(document: &Value, live: &Value, fields: &Value) -> (Vec<String>, Vec<(String, Option<Value>)>) {
    let mut live = live.clone();
    for key in ["apiVersion", "kind"] {
        live[key] = document[key].clone();
    }
    live["metadata"]["managedFields"] = json!([{"manager": "helm", "operation": "Apply", "fieldsV1": fields}]);
    let compared = compare(&Document { body: document.clone(), ..Document::default() }, &live, "helm");
    let kept = compared.kept.into_iter().map(|kept| (kept.place, kept.value));
    (compared.fields.into_iter().map(|field| field.path).collect(), kept.collect())
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn certificates_that_were_injected_stay_and_those_that_we_wrote_do_not() {
    let service = |certificate: &str| json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "spec": {"group": "a.io", "caBundle": certificate}});
    let injected = json!({"f:spec": {"f:group": {}}});
    let kept = vec![("/spec/caBundle".to_owned(), None)];
    assert_eq!(places(&service("YQ=="), &service("Yg=="), &injected), (none(), kept));
    let ours = json!({"f:spec": {"f:group": {}, "f:caBundle": {}}});
    assert_eq!(places(&service("YQ=="), &service("Yg=="), &ours), (vec!["spec.caBundle".to_owned()], vec![]));
    let mut issuer = service("YQ==");
    issuer["apiVersion"] = json!("cert-manager.io/v1");
    let (differs, kept) = places(&issuer, &service("Yg=="), &injected);
    assert_eq!(
        (differs, kept),
        (vec!["spec.caBundle".to_owned()], vec![]),
        "what other kinds call so is nobody else's"
    );
}

#[test]
fn a_certificate_is_kept_in_its_own_webhook_wherever_that_stands() {
    let hook = |name: &str, certificate: &str| json!({"name": name, "clientConfig": {"caBundle": certificate}});
    let hooks = |hooks: &[Value]| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "webhooks": hooks});
    let fields = json!({"f:webhooks": {"k:{\"name\":\"a\"}": {"f:name": {}, "f:clientConfig": {"f:url": {}}}, "k:{\"name\":\"b\"}": {"f:name": {}}}});
    let live = hooks(&[hook("theirs", "dA=="), hook("a", "MQ=="), hook("b", "Mg==")]);
    let kept = 0..2;
    let kept = kept.map(|index| (format!("/webhooks/{index}/clientConfig/caBundle"), None));
    let (differs, found) = places(&hooks(&[hook("a", "Cg=="), hook("b", "")]), &live, &fields);
    assert_eq!(found, kept.collect::<Vec<_>>());
    assert_eq!(differs, none());
}

#[test]
fn the_conversion_of_a_definition_has_a_certificate_and_its_schema_may_call_anything_so() {
    let definition = |certificate: &str, about: &str| {
        let client = json!({"caBundle": certificate});
        let schema = json!({"properties": {"caBundle": {"description": about}}});
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"conversion": {"webhook": {"clientConfig": client}}, "versions": [schema]}})
    };
    let (differs, kept) = places(&definition("Cg==", "one"), &definition("YQ==", "other"), &json!({}));
    assert_eq!(differs, ["spec.versions[0].properties.caBundle.description"]);
    assert_eq!(kept, [("/spec/conversion/webhook/clientConfig/caBundle".to_owned(), None)]);
}

#[test]
fn rules_that_are_gathered_from_other_roles_stay_whoever_owns_them() {
    let role = |kind: &str, rule: &Value, rules: &Value| json!({"apiVersion": format!("{kind}/v1"), "kind": "ClusterRole", "aggregationRule": rule, "rules": rules});
    let rule = json!({"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]});
    let (before, after) = (json!([]), json!([{"verbs": ["get"]}]));
    let rbac = "rbac.authorization.k8s.io";
    let fields = json!({"f:aggregationRule": {"f:clusterRoleSelectors": {}}, "f:rules": {}});
    let gathered = places(&role(rbac, &rule, &before), &role(rbac, &rule, &after), &fields);
    assert_eq!(gathered, (none(), vec![("/rules".to_owned(), Some(after.clone()))]));
    for (group, rule) in [(rbac, &Value::Null), ("example.com", &rule)] {
        let (differs, kept) = places(&role(group, rule, &before), &role(group, rule, &after), &fields);
        assert_eq!((differs.is_empty(), kept), (false, vec![]), "{group} {rule}");
    }
}

#[test]
fn replicas_stay_only_where_an_autoscaler_was_found_to_look_after_them() {
    let workload = |replicas: u64, status: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas, "template": {"spec": {"replicas": 1}}}, "status": status});
    let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:replicas": {}}}}});
    let (mut document, autoscaled) = (workload(1, json!({})), json!({"cfrt.dev/autoscaled": true}));
    let _status = document.as_object_mut().and_then(|document| document.remove("status"));
    let kept = vec![("/spec/replicas".to_owned(), None)];
    assert_eq!(places(&document, &workload(3, autoscaled), &fields), (none(), kept));
    assert_eq!(places(&document, &workload(3, json!({})), &fields), (vec!["spec.replicas".to_owned()], vec![]));
}

#[test]
fn items_of_others_stay_in_lists_that_are_merged_and_in_no_other() {
    let pod = |containers: Value, arguments: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers, "args": arguments}});
    let (ours, theirs) = (json!({"name": "a"}), json!({"name": "b"}));
    let fields = json!({"f:spec": {"f:args": {}, "f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}}}}});
    let document = pod(json!([ours]), json!(["x"]));
    assert_eq!(places(&document, &pod(json!([theirs, ours]), json!(["x"])), &fields).0, none());
    assert_eq!(places(&document, &pod(json!([ours]), json!(["x", "y"])), &fields).0, ["spec.args[1]"]);
    let both = json!({"f:spec": {"f:args": {}, "f:containers": {"k:{\"name\":\"a\"}": {}, "k:{\"name\":\"b\"}": {}}}});
    assert_eq!(places(&document, &pod(json!([theirs, ours]), json!(["x"])), &both).0, ["spec.containers[b]"]);
    let held = |names: &Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": names}});
    let set = json!({"f:metadata": {"f:finalizers": {"v:\"a\"": {}}}});
    assert_eq!(places(&held(&json!(["a"])), &held(&json!(["a", "b"])), &set).0, none());
    let set = json!({"f:metadata": {"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}}}});
    assert_eq!(places(&held(&json!(["a"])), &held(&json!(["a", "b"])), &set).0, ["metadata.finalizers[1]"]);
}

#[test]
fn texts_that_were_applied_as_such_are_no_difference_until_they_are_no_longer_named() {
    let secret = |data: &Value| json!({"apiVersion": "v1", "kind": "Secret", "data": data, "type": "Opaque"});
    let live = secret(&json!({"a": "eA==", "b": "eQ==", "theirs": "eg=="}));
    let fields = json!({"f:stringData": {"f:a": {}, "f:b": {}}, "f:type": {}});
    assert_eq!(places(&secret(&json!({"a": "eA==", "b": "eQ=="})), &live, &fields).0, none());
    assert_eq!(places(&secret(&json!({"a": "eA==", "b": "eg=="})), &live, &fields).0, ["data.b"]);
    assert_eq!(places(&secret(&json!({"a": "eA=="})), &live, &fields).0, ["data.b"]);
    let silent = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque"});
    assert_eq!(places(&silent, &live, &fields).0, ["data.a", "data.b"]);
    let both = json!({"f:data": {"f:a": {}}, "f:stringData": {"f:b": {}}, "f:type": {}});
    assert_eq!(places(&secret(&json!({"b": "eQ=="})), &live, &both).0, ["data.a"]);
    assert_eq!(places(&secret(&json!({"a": "eA=="})), &live, &both).0, ["data.b"]);
}
