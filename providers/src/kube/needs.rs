//! Finds which documents must be settled before which, from what they refer to.
//!
//! There is never a circle: every kind has a rank, and a reference counts only where it leads to a lower one.

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::podspec::{items, pod_spec, service_account, texts_at, uses};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Kinds that live in no namespace besides those of rank 0 and what CRDs say.
const CLUSTER_WIDE: [(&str, &str); 7] = [
    (RBAC, "ClusterRoleBinding"),
    ("", "PersistentVolume"),
    ("apiregistration.k8s.io", "APIService"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
];

/// Gives for each document the documents of the same list that must be settled before it, in ascending order.
///
/// `namespace` is where documents live that don't say. What is not in the list is no need. Takes time in proportion to
/// the documents and the needs found; no document needs itself, directly or by way of others.
pub fn needs<D: Borrow<Value>>(documents: &[D], namespace: &str) -> Vec<Vec<usize>> {
    let index = Index::of(documents, namespace);
    let lower = |document: &Value, need: &usize| rank(kind_of(documents[*need].borrow())) < rank(kind_of(document));
    let of = |document| index.references(document).into_iter().filter(move |need| lower(document, need));
    documents.iter().map(|document| of(document.borrow()).collect::<BTreeSet<_>>().into_iter().collect()).collect()
}

/// An API group and a kind in it.
type Kind<'a> = (&'a str, &'a str);

/// Where each document of a list stands in it.
struct Index<'a> {
    /// Where documents live that don't say.
    namespace: &'a str,
    objects: HashMap<(Kind<'a>, &'a str, &'a str), usize>,
    /// The CRDs by the kind that they define.
    definitions: HashMap<Kind<'a>, (usize, &'a Value)>,
    /// The bindings by namespace and name of the accounts that they name.
    bindings: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Index<'a> {
    fn of<D: Borrow<Value>>(documents: &'a [D], namespace: &'a str) -> Self {
        let mut index =
            Self { namespace, objects: HashMap::new(), definitions: HashMap::new(), bindings: HashMap::new() };
        for (place, document) in documents.iter().map(Borrow::borrow).enumerate() {
            let spec = &document["spec"];
            match kind_of(document) {
                ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                    index.definitions.insert((text(&spec["group"]), text(&spec["names"]["kind"])), (place, spec));
                }
                (RBAC, "RoleBinding" | "ClusterRoleBinding") => index.add_binding(place, document),
                _ => {}
            }
        }
        for (place, document) in documents.iter().map(Borrow::borrow).enumerate() {
            let scope = index.scope(document);
            index.objects.insert((kind_of(document), scope, text(&document["metadata"]["name"])), place);
        }
        index
    }

    fn add_binding(&mut self, place: usize, binding: &'a Value) {
        for subject in items(&binding["subjects"]) {
            if subject["kind"] == "ServiceAccount" {
                let namespace = self.or_default(text(&subject["namespace"]));
                self.bindings.entry((namespace, text(&subject["name"]))).or_default().push(place);
            }
        }
    }

    /// Gives the namespace that a document lives in; empty where its kind lives in none.
    fn scope(&self, document: &'a Value) -> &'a str {
        let kind = kind_of(document);
        let defined_so = self.definitions.get(&kind).is_some_and(|(_, spec)| spec["scope"] == "Cluster");
        if rank(kind) == 0 || CLUSTER_WIDE.contains(&kind) || defined_so {
            return "";
        }
        self.or_default(text(&document["metadata"]["namespace"]))
    }

    fn or_default(&self, namespace: &'a str) -> &'a str {
        if namespace.is_empty() { self.namespace } else { namespace }
    }

    fn references(&self, document: &'a Value) -> Vec<usize> {
        let (kind, scope) = (kind_of(document), self.scope(document));
        let mut found: Vec<_> = self.definitions.get(&kind).map(|(place, _)| *place).into_iter().collect();
        found.extend(self.object(("", "Namespace"), "", scope));
        found.extend(plain_references(kind).iter().flat_map(|(path, target)| {
            texts_at(document, path).into_iter().filter_map(|name| self.object(*target, scope, name))
        }));
        found.extend(self.special_references(kind, document, scope));
        if let Some(spec) = pod_spec(document) {
            found.extend(self.pod_references(spec, scope));
        }
        found
    }

    fn pod_references(&self, spec: &'a Value, scope: &'a str) -> Vec<usize> {
        let account = service_account(spec);
        let mut found: Vec<_> = self.object(("", "ServiceAccount"), scope, account).into_iter().collect();
        found.extend(self.bindings.get(&(scope, account)).into_iter().flatten());
        found.extend(uses(spec).filter_map(|(kind, name)| self.object((group_of(kind), kind), scope, name)));
        found
    }

    /// Gives the references that say themselves which kind or namespace they lead to.
    fn special_references(&self, kind: Kind<'a>, document: &'a Value, scope: &'a str) -> Vec<usize> {
        let service = |place: &'a Value| self.object(("", "Service"), text(&place["namespace"]), text(&place["name"]));
        match kind {
            (RBAC, "RoleBinding" | "ClusterRoleBinding") => {
                let role = &document["roleRef"];
                self.object((RBAC, text(&role["kind"])), scope, text(&role["name"])).into_iter().collect()
            }
            ("autoscaling", "HorizontalPodAutoscaler") => {
                let target = &document["spec"]["scaleTargetRef"];
                self.object(kind_of(target), scope, text(&target["name"])).into_iter().collect()
            }
            ("apiregistration.k8s.io", "APIService") => service(&document["spec"]["service"]).into_iter().collect(),
            ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
                let webhooks = items(&document["webhooks"]).into_iter();
                webhooks.filter_map(|webhook| service(&webhook["clientConfig"]["service"])).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Finds an object by kind and name; `scope` counts only where the kind lives in namespaces.
    fn object(&self, kind: Kind<'a>, scope: &'a str, name: &'a str) -> Option<usize> {
        let scope = if rank(kind) == 0 { "" } else { scope };
        self.objects.get(&(kind, scope, name)).copied()
    }
}

/// Gives the names in documents of a kind that lead to objects of one kind, in the same namespace or in none.
fn plain_references(kind: Kind<'_>) -> &'static [(&'static str, Kind<'static>)] {
    const SERVICE: Kind<'_> = ("", "Service");
    const STORAGE_CLASS: Kind<'_> = ("storage.k8s.io", "StorageClass");
    match kind {
        ("", "PersistentVolumeClaim") => &[("spec.storageClassName", STORAGE_CLASS)],
        ("apps", "StatefulSet") => {
            &[("spec.serviceName", SERVICE), ("spec.volumeClaimTemplates.spec.storageClassName", STORAGE_CLASS)]
        }
        ("networking.k8s.io", "Ingress") => &[
            ("spec.rules.http.paths.backend.service.name", SERVICE),
            ("spec.defaultBackend.service.name", SERVICE),
            ("spec.ingressClassName", ("networking.k8s.io", "IngressClass")),
            ("spec.tls.secretName", ("", "Secret")),
        ],
        _ => &[],
    }
}

/// Ranks a kind above all that it may refer to; kinds of rank 0 live in no namespace.
///
/// Rank 3 is workloads and every kind that the table does not know, custom resources included:
/// an autoscaler may refer to any of them.
fn rank(kind: Kind<'_>) -> u8 {
    match kind {
        ("", "Namespace") | ("apiextensions.k8s.io", "CustomResourceDefinition") => 0,
        ("scheduling.k8s.io", "PriorityClass") | ("node.k8s.io", "RuntimeClass") => 0,
        ("storage.k8s.io", "StorageClass") | ("networking.k8s.io", "IngressClass") | (RBAC, "ClusterRole") => 0,
        ("", "ServiceAccount" | "ConfigMap" | "Secret" | "Service" | "PersistentVolumeClaim") | (RBAC, "Role") => 1,
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => 2,
        ("autoscaling", "HorizontalPodAutoscaler") => 4,
        _ => 3,
    }
}

/// Gives the API group of a kind that pods use.
fn group_of(kind: &str) -> &'static str {
    match kind {
        "PriorityClass" => "scheduling.k8s.io",
        "RuntimeClass" => "node.k8s.io",
        "StorageClass" => "storage.k8s.io",
        _ => "",
    }
}

fn kind_of(document: &Value) -> Kind<'_> {
    let version = text(&document["apiVersion"]);
    (version.split_once('/').map_or("", |(group, _)| group), text(&document["kind"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
