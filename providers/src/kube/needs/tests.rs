//! Needs drawn as text, and that they never form a circle.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Builds `VERSION/KIND [NAMESPACE/]NAME` with what else it says.
fn document(title: &str, body: &Value) -> Value {
    let (kind, name) = title.split_once(' ').unwrap_or((title, ""));
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
    let mut object = json!({"apiVersion": version, "kind": kind});
    object["metadata"] = match name.split_once('/') {
        Some((namespace, name)) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": name}),
    };
    object.as_object_mut().unwrap().extend(body.as_object().cloned().unwrap_or_default());
    object
}

fn title(document: &Value) -> String {
    let metadata = &document["metadata"];
    let namespace = metadata["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{} {namespace}{}", text(&document["kind"]), text(&metadata["name"]))
}

/// Draws a line for each document that needs others, in namespace `n`.
fn drawn(documents: &[(&str, Value)]) -> Vec<String> {
    let documents: Vec<_> = documents.iter().map(|(title, body)| document(title, body)).collect();
    let lines = needs(&documents, "n").into_iter().zip(&documents).filter(|(needs, _)| !needs.is_empty());
    lines
        .map(|(needs, document)| {
            let titles: Vec<_> = needs.into_iter().map(|need| title(&documents[need])).collect();
            format!("{} ← {}", title(document), titles.join(", "))
        })
        .collect()
}

fn deployment(spec: &Value) -> Value {
    json!({"spec": {"template": {"spec": spec}}})
}

#[test]
fn what_lives_in_a_namespace_needs_it() {
    let none = json!({});
    let documents = [
        ("Namespace n", none.clone()),
        ("Namespace m", none.clone()),
        ("ConfigMap a", none.clone()),
        ("Secret m/b", none.clone()),
        ("Secret other/c", none.clone()),
        ("rbac.authorization.k8s.io/v1/ClusterRole n", none.clone()),
        ("rbac.authorization.k8s.io/v1/ClusterRoleBinding n", none.clone()),
        (
            "apiextensions.k8s.io/v1/CustomResourceDefinition widgets",
            json!({"spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Widget"}}}),
        ),
        (
            "apiextensions.k8s.io/v1/CustomResourceDefinition gadgets",
            json!({"spec": {"group": "example.com", "scope": "Namespaced", "names": {"kind": "Gadget"}}}),
        ),
        ("example.com/v2/Widget w", none.clone()),
        ("example.com/v1/Gadget g", none.clone()),
        ("other.com/v1/Gadget g", none),
    ];
    let expected = [
        "ConfigMap a ← Namespace n",
        "Secret m/b ← Namespace m",
        "Widget w ← CustomResourceDefinition widgets",
        "Gadget g ← Namespace n, CustomResourceDefinition gadgets",
        "Gadget g ← Namespace n",
    ];
    assert_eq!(drawn(&documents), expected);
}

#[test]
fn pods_need_their_account_and_its_bindings_and_these_their_role() {
    let binding = |role: &str, subjects: Value| json!({"roleRef": {"kind": role, "name": "r"}, "subjects": subjects});
    let account = json!([{"kind": "User", "name": "b"}, {"kind": "ServiceAccount", "name": "a", "namespace": "n"}]);
    let documents = [
        ("apps/v1/Deployment d", deployment(&json!({"serviceAccountName": "a"}))),
        ("apps/v1/Deployment m/elsewhere", deployment(&json!({"serviceAccountName": "a"}))),
        ("batch/v1/Job by-default", deployment(&json!({}))),
        ("ServiceAccount a", json!({})),
        ("ServiceAccount default", json!({})),
        ("rbac.authorization.k8s.io/v1/Role r", json!({})),
        ("rbac.authorization.k8s.io/v1/ClusterRole r", json!({})),
        ("rbac.authorization.k8s.io/v1/RoleBinding b", binding("Role", account.clone())),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding c",
            binding("ClusterRole", json!([{"kind": "ServiceAccount", "name": "default"}])),
        ),
        ("rbac.authorization.k8s.io/v1/ClusterRoleBinding d", binding("ClusterRole", account)),
        ("rbac.authorization.k8s.io/v1/RoleBinding nobody", json!({"subjects": null})),
    ];
    let expected = [
        "Deployment d ← ServiceAccount a, RoleBinding b, ClusterRoleBinding d",
        "Job by-default ← ServiceAccount default, RoleBinding c",
        "RoleBinding b ← Role r",
        "RoleBinding c ← ClusterRole r",
        "ClusterRoleBinding d ← ClusterRole r",
    ];
    assert_eq!(drawn(&documents), expected);
}

#[test]
fn pods_need_all_that_they_mount_and_read() {
    let from = |map: &str, secret: &str| json!([{"env": [{"value": "x"}, {"valueFrom": {"configMapKeyRef": {"name": map}}}], "envFrom": [{"secretRef": {"name": secret}}]}]);
    let spec = json!({
        "priorityClassName": "p",
        "runtimeClassName": "r",
        "imagePullSecrets": [{"name": "s1"}],
        "volumes": [
            {"configMap": {"name": "c1"}},
            {"secret": {"secretName": "s2"}},
            {"projected": {"sources": [{"configMap": {"name": "c2"}}, {"secret": {"name": "s3"}}]}},
            {"persistentVolumeClaim": {"claimName": "v"}},
            {"emptyDir": {}},
        ],
        "containers": from("c3", "s4"),
        "initContainers": from("c4", "s5"),
    });
    let names = [
        "Secret s1",
        "Secret s2",
        "Secret s3",
        "Secret s4",
        "Secret s5",
        "Secret unused",
        "ConfigMap c1",
        "ConfigMap c2",
        "ConfigMap c3",
        "ConfigMap c4",
        "PersistentVolumeClaim v",
        "scheduling.k8s.io/v1/PriorityClass p",
        "node.k8s.io/v1/RuntimeClass r",
    ];
    let mut documents: Vec<_> = names.iter().map(|name| (*name, json!({}))).collect();
    documents.push(("Pod a", json!({"spec": spec})));
    let expected = "Pod a ← Secret s1, Secret s2, Secret s3, Secret s4, Secret s5, ConfigMap c1, ConfigMap c2, ConfigMap c3, ConfigMap c4, PersistentVolumeClaim v, PriorityClass p, RuntimeClass r";
    assert_eq!(drawn(&documents), [expected]);
}

#[test]
fn other_references_lead_to_what_must_be_there_first() {
    let backend = |name: &str| json!({"service": {"name": name}});
    let webhook =
        json!([{"clientConfig": {"url": "x"}}, {"clientConfig": {"service": {"namespace": "n", "name": "a"}}}]);
    let documents = [
        ("Service a", json!({})),
        ("Service b", json!({})),
        ("Secret tls", json!({})),
        ("networking.k8s.io/v1/IngressClass i", json!({})),
        ("storage.k8s.io/v1/StorageClass s", json!({})),
        ("PersistentVolumeClaim v", json!({"spec": {"storageClassName": "s"}})),
        (
            "apps/v1/StatefulSet s",
            json!({"spec": {"serviceName": "a", "volumeClaimTemplates": [{"spec": {"storageClassName": "s"}}]}}),
        ),
        (
            "networking.k8s.io/v1/Ingress i",
            json!({"spec": {"ingressClassName": "i", "tls": [{"secretName": "tls"}], "defaultBackend": backend("b"), "rules": [{"http": {"paths": [{"backend": backend("a")}]}}]}}),
        ),
        (
            "autoscaling/v2/HorizontalPodAutoscaler h",
            json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s"}}}),
        ),
        (
            "autoscaling/v2/HorizontalPodAutoscaler custom",
            json!({"spec": {"scaleTargetRef": {"apiVersion": "example.com/v1", "kind": "Rollout", "name": "r"}}}),
        ),
        ("example.com/v1/Rollout r", json!({})),
        ("apiregistration.k8s.io/v1/APIService v1.x", json!({"spec": {"service": {"namespace": "n", "name": "b"}}})),
        ("admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration w", json!({"webhooks": webhook})),
        (
            "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration w",
            json!({"webhooks": [{"clientConfig": {"service": {"namespace": "m", "name": "a"}}}]}),
        ),
    ];
    let expected = [
        "PersistentVolumeClaim v ← StorageClass s",
        "StatefulSet s ← Service a, StorageClass s",
        "Ingress i ← Service a, Service b, Secret tls, IngressClass i",
        "HorizontalPodAutoscaler h ← StatefulSet s",
        "HorizontalPodAutoscaler custom ← Rollout r",
        "APIService v1.x ← Service b",
        "ValidatingWebhookConfiguration w ← Service a",
    ];
    assert_eq!(drawn(&documents), expected);
}

#[test]
fn a_reference_to_a_kind_of_the_same_rank_is_no_need() {
    let scale = |name: &str| json!({"spec": {"scaleTargetRef": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": name}}});
    assert_eq!(
        drawn(&[
            ("autoscaling/v2/HorizontalPodAutoscaler a", scale("b")),
            ("autoscaling/v2/HorizontalPodAutoscaler b", scale("a"))
        ]),
        [""; 0]
    );
    assert_eq!(drawn(&[("autoscaling/v2/HorizontalPodAutoscaler a", scale("a"))]), [""; 0]);
}

/// Gives documents that refer to one another in every way, by few names.
fn any_document() -> impl Strategy<Value = Value> {
    let kinds = vec![
        "Namespace",
        "ServiceAccount",
        "ConfigMap",
        "Secret",
        "Service",
        "PersistentVolumeClaim",
        "Pod",
        "apps/v1/StatefulSet",
        "apiextensions.k8s.io/v1/CustomResourceDefinition",
        "example.com/v1/Widget",
        "rbac.authorization.k8s.io/v1/Role",
        "rbac.authorization.k8s.io/v1/RoleBinding",
        "autoscaling/v2/HorizontalPodAutoscaler",
        "networking.k8s.io/v1/Ingress",
    ];
    let versions = vec!["autoscaling/v2", "apps/v1", "example.com/v1", "v1"];
    let targets = vec!["HorizontalPodAutoscaler", "StatefulSet", "Widget", "Pod", "Namespace"];
    (prop::sample::select(kinds), "[ab]", "[ab]", prop::sample::select(versions), prop::sample::select(targets)).prop_map(|(kind, name, other, version, target)| {
        let pods = json!({"serviceAccountName": other, "imagePullSecrets": [{"name": other}], "volumes": [{"persistentVolumeClaim": {"claimName": other}}]});
        let mut spec = json!({
            "group": "example.com", "names": {"kind": "Widget"}, "serviceName": other, "defaultBackend": {"service": {"name": other}},
            "template": {"spec": pods}, "scaleTargetRef": {"apiVersion": version, "kind": target, "name": other},
        });
        spec.as_object_mut().unwrap().extend(pods.as_object().cloned().unwrap_or_default());
        let body = json!({"spec": spec, "subjects": [{"kind": "ServiceAccount", "name": other}], "roleRef": {"kind": "Role", "name": other}});
        document(&format!("{kind} {other}/{name}"), &body)
    })
}

proptest! {
    #[test]
    fn needs_never_form_a_circle(documents in prop::collection::vec(any_document(), 0..20)) {
        let needs = needs(&documents, "a");
        let mut settled = vec![false; documents.len()];
        for _ in 0..documents.len() {
            for place in 0..documents.len() {
                settled[place] |= needs[place].iter().all(|need| settled[*need]);
            }
        }
        prop_assert!(settled.iter().all(|settled| *settled));
    }

    #[test]
    fn nonsense_needs_nothing(text in "[a-z/]{0,8}", number in 0..9) {
        let odd = json!({"kind": number, "apiVersion": text});
        prop_assert_eq!(needs(&[json!(null), json!([number]), json!({"metadata": text}), odd], &text), vec![vec![]; 4] as Vec<Vec<usize>>);
    }
}
