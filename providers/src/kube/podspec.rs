//! Finds the pod spec in an object of any kind that runs pods, and what the pods use.

use serde_json::Value;

use super::gvk::Gvk;

/// What pods name, by its kind and where in the spec; lists on the way are gone through item by item.
const USES: [(&str, &str); 18] = [
    ("PriorityClass", "priorityClassName"),
    ("RuntimeClass", "runtimeClassName"),
    ("Secret", "imagePullSecrets.name"),
    ("Secret", "volumes.secret.secretName"),
    ("Secret", "volumes.projected.sources.secret.name"),
    ("Secret", "volumes.csi.nodePublishSecretRef.name"),
    ("Secret", "containers.env.valueFrom.secretKeyRef.name"),
    ("Secret", "containers.envFrom.secretRef.name"),
    ("Secret", "initContainers.env.valueFrom.secretKeyRef.name"),
    ("Secret", "initContainers.envFrom.secretRef.name"),
    ("ConfigMap", "volumes.configMap.name"),
    ("ConfigMap", "volumes.projected.sources.configMap.name"),
    ("ConfigMap", "containers.env.valueFrom.configMapKeyRef.name"),
    ("ConfigMap", "containers.envFrom.configMapRef.name"),
    ("ConfigMap", "initContainers.env.valueFrom.configMapKeyRef.name"),
    ("ConfigMap", "initContainers.envFrom.configMapRef.name"),
    ("PersistentVolumeClaim", "volumes.persistentVolumeClaim.claimName"),
    ("StorageClass", "volumes.ephemeral.volumeClaimTemplate.spec.storageClassName"),
];

/// Gives the spec of the pods that an object is or makes; `None` for kinds that make none.
pub fn pod_spec(document: &Value) -> Option<&Value> {
    let gvk = Gvk::of(document)?;
    let pointer = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => "/spec",
        ("", "ReplicationController") | ("batch", "Job") => "/spec/template/spec",
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => "/spec/template/spec",
        ("batch", "CronJob") => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    };
    document.pointer(pointer)
}

/// Gives the account that pods run as, in their own namespace.
pub fn service_account(spec: &Value) -> &str {
    // The second key is the older spelling, and still read.
    let name = spec["serviceAccountName"].as_str().or_else(|| spec["serviceAccount"].as_str());
    name.filter(|name| !name.is_empty()).unwrap_or("default")
}

/// Gives the kind and name of all else that pods use; the same thing may come more than once.
pub fn uses(spec: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    USES.iter().flat_map(|(kind, path)| texts_at(spec, path).into_iter().map(|text| (*kind, text)))
}

/// Gives all texts at a path of keys with dots between, lists on the way being gone through item by item.
pub(crate) fn texts_at<'a>(value: &'a Value, path: &str) -> Vec<&'a str> {
    let mut places = items(value);
    for key in path.split('.') {
        places = places.into_iter().filter_map(|place| place.get(key)).flat_map(items).collect();
    }
    places.into_iter().filter_map(Value::as_str).collect()
}

/// Gives the items of a list, or else the value itself.
pub(crate) fn items(value: &Value) -> Vec<&Value> {
    match value.as_array() {
        Some(items) => items.iter().collect(),
        None => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_that_makes_pods_has_a_pod_spec() {
        let spec = json!({"nodeName": "n"});
        let template = json!({"template": {"spec": spec}});
        let table = [
            ("v1", "Pod", spec.clone()),
            ("v1", "ReplicationController", template.clone()),
            ("apps/v1", "Deployment", template.clone()),
            ("apps/v1", "StatefulSet", template.clone()),
            ("apps/v1", "DaemonSet", template.clone()),
            ("apps/v1", "ReplicaSet", template.clone()),
            ("batch/v1", "Job", template.clone()),
            ("batch/v1", "CronJob", json!({"jobTemplate": {"spec": template}})),
        ];
        for (version, kind, body) in table {
            let document = json!({"apiVersion": version, "kind": kind, "spec": body});
            assert_eq!(pod_spec(&document), Some(&spec), "{kind}");
        }
        assert_eq!(
            pod_spec(
                &json!({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {"template": {"spec": {}}}})
            ),
            None
        );
        assert_eq!(pod_spec(&json!([])), None);
    }

    #[test]
    fn an_account_may_be_spelt_in_two_ways_or_not_at_all() {
        assert_eq!(service_account(&json!({"serviceAccountName": "a", "serviceAccount": "b"})), "a");
        assert_eq!(service_account(&json!({"serviceAccount": "b"})), "b");
        assert_eq!(service_account(&json!({"serviceAccountName": ""})), "default");
        assert_eq!(service_account(&json!(null)), "default");
    }

    #[test]
    fn texts_are_found_through_lists() {
        let value = json!({"a": [{"b": "x"}, {"b": [{"c": 1}, "y"]}, 3, {"b": null}]});
        assert_eq!(texts_at(&value, "a.b"), ["x", "y"]);
        assert_eq!(texts_at(&value, "a.b.c"), [""; 0]);
        assert_eq!(texts_at(&json!(null), "a"), [""; 0]);
    }
}
