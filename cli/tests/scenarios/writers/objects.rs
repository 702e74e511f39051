//! The objects that others write into, and how someone writes.

use serde_json::{Value, json};

use crate::common::process::until;
use crate::common::scenario::Scenario;

/// Kinds that others write into, each as bare as can be.
pub(crate) const OBJECTS: &str = "
crd: {enabled: true, group: NAMESPACE.example.com}
deployment: {env: {OURS: x}}
extraObjects:
- apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: {name: NAMESPACE}
  spec:
    scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAMESPACE}
    minReplicas: 2
    maxReplicas: 4
    metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NAMESPACE-aggregate}
  aggregationRule: {clusterRoleSelectors: [{matchLabels: {aggregate-to: NAMESPACE}}]}
  rules: []
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NAMESPACE-part, labels: {aggregate-to: NAMESPACE}}
  rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get]}]
- apiVersion: admissionregistration.k8s.io/v1
  kind: ValidatingWebhookConfiguration
  metadata: {name: NAMESPACE, annotations: {cert-manager.io/inject-ca-from: NAMESPACE/hook}}
  webhooks:
  - &hook
    name: first.example.com
    clientConfig: {caBundle: Cg==, service: {name: NAMESPACE, namespace: NAMESPACE, path: /validate}}
    rules: [{apiGroups: [NAMESPACE.example.com], apiVersions: [v1], operations: [DELETE], resources: [gadgets]}]
    sideEffects: None
    admissionReviewVersions: [v1]
  - name: second.example.com
    clientConfig: {service: {name: NAMESPACE, namespace: NAMESPACE, path: /validate}}
    rules: [{apiGroups: [NAMESPACE.example.com], apiVersions: [v1], operations: [DELETE], resources: [gadgets]}]
    sideEffects: None
    admissionReviewVersions: [v1]
- apiVersion: admissionregistration.k8s.io/v1
  kind: MutatingWebhookConfiguration
  metadata: {name: NAMESPACE}
  webhooks: [*hook]
- apiVersion: apiextensions.k8s.io/v1
  kind: CustomResourceDefinition
  metadata: {name: gadgets.NAMESPACE.example.com}
  spec:
    group: NAMESPACE.example.com
    scope: Namespaced
    names: {kind: Gadget, listKind: GadgetList, plural: gadgets, singular: gadget}
    conversion:
      strategy: Webhook
      webhook:
        conversionReviewVersions: [v1]
        clientConfig: {service: {name: NAMESPACE, namespace: NAMESPACE, path: /convert}}
    versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
- apiVersion: NAMESPACE.example.com/v1
  kind: Gadget
  metadata: {name: NAMESPACE}
  spec: {size: 1, note: null}
- apiVersion: v1
  kind: Service
  metadata: {name: outside}
  spec: {type: LoadBalancer, externalIPs: [203.0.113.1], ports: [{name: https, port: 443}], selector: {app: outside}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata: {name: claim}
  spec: {accessModes: [ReadWriteOnce], storageClassName: NAMESPACE, resources: {requests: {storage: 0.5Gi}}}
- apiVersion: batch/v1
  kind: Job
  metadata: {name: once}
  spec: {template: {spec: {restartPolicy: Never, containers: [{name: once, image: 'quay.io/example/once:1.0.0'}]}}}
";

/// A release of the small chart with [`OBJECTS`]; what belongs to the whole cluster goes with it.
pub(crate) struct Release(pub(crate) Scenario);

impl Release {
    pub(crate) fn new(name: &str, more: &str) -> Self {
        let release = Self(Scenario::small(name));
        release.0.values(&format!("{more}{OBJECTS}"));
        release
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let name = &self.0.namespace;
        for object in [named(&self.0, "configmap"), "service/outside".to_owned()] {
            let freed = r#"{"metadata": {"finalizers": null}}"#;
            let _freed = self.0.kubectl(&["patch", &object, "--type=merge", "--patch", freed]);
        }
        let objects = [
            format!("clusterrole/{name}-aggregate"),
            format!("clusterrole/{name}-part"),
            format!("validatingwebhookconfiguration/{name}"),
            format!("mutatingwebhookconfiguration/{name}"),
            format!("persistentvolume/{name}"),
            format!("crd/gadgets.{name}.example.com"),
        ];
        for object in objects {
            let _gone = self.0.kubectl(&["delete", &object, "--ignore-not-found", "--wait=false"]);
        }
    }
}

/// Writes a merge patch under a manager's name.
#[track_caller]
pub(crate) fn write(scenario: &Scenario, manager: &str, object: &str, patch: &Value) {
    let manager = format!("--field-manager={manager}");
    scenario.kubectl(&["patch", object, "--type=merge", &manager, "--patch", &patch.to_string()]).exits(0);
}

/// Writes a status under a manager's name.
#[track_caller]
pub(crate) fn write_status(scenario: &Scenario, manager: &str, object: &str, status: &Value) {
    let (manager, patch) = (format!("--field-manager={manager}"), json!({ "status": status }).to_string());
    let arguments = ["patch", object, "--type=merge", "--subresource=status", &manager, "--patch", &patch];
    scenario.kubectl(&arguments).exits(0);
}

/// Applies a document under a manager's name.
#[track_caller]
pub(crate) fn apply(scenario: &Scenario, manager: &str, document: &Value) {
    scenario.write("applied.json", &document.to_string());
    let manager = format!("--field-manager={manager}");
    scenario.kubectl(&["apply", "--server-side", &manager, "--filename", "applied.json"]).exits(0);
}

/// The one custom resource; every scenario has a kind of that name.
pub(crate) fn gadget(scenario: &Scenario) -> String {
    let name = &scenario.namespace;
    format!("gadgets.{name}.example.com/{name}")
}

pub(crate) fn named(scenario: &Scenario, kind: &str) -> String {
    format!("{kind}/{}", scenario.namespace)
}

/// Waits until an autoscaler has given the scenario's Deployment so many replicas.
#[track_caller]
pub(crate) fn scaled(scenario: &Scenario, replicas: u64) {
    until("the autoscaler scales", || {
        (scenario.get(&named(scenario, "deployment"))["spec"]["replicas"] == replicas).then_some(())
    });
}
