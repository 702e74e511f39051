//! What controllers, webhooks and the server write into objects of a release is never drift, and no apply takes it away.

use serde_json::Value;

use crate::common::audit;
use crate::common::judge;
use crate::common::process::until;
use crate::common::scenario::Scenario;

/// Objects into which others are there to write.
const OBJECTS: &str = "
extraObjects:
- apiVersion: admissionregistration.k8s.io/v1
  kind: ValidatingWebhookConfiguration
  metadata: {name: NAMESPACE}
  webhooks:
  - name: a.NAMESPACE.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Ignore
    clientConfig: {service: {name: nobody, namespace: NAMESPACE}, caBundle: Cg==}
    rules: [{apiGroups: [NAMESPACE.example.com], apiVersions: [v1], operations: [CREATE], resources: [widgets]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NAMESPACE}
  aggregationRule: {clusterRoleSelectors: [{matchLabels: {part-of: NAMESPACE}}]}
  rules: []
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {name: NAMESPACE-part, labels: {part-of: NAMESPACE}}
  rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]
- apiVersion: autoscaling/v2
  kind: HorizontalPodAutoscaler
  metadata: {name: NAMESPACE}
  spec:
    scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAMESPACE}
    minReplicas: 2
    maxReplicas: 3
    metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
";

/// What others make of it.
fn meddle(scenario: &Scenario) {
    let name = &scenario.release;
    let deployment = format!("deployment/{name}");
    until("the autoscaler has scaled", || (scenario.get(&deployment)["spec"]["replicas"] == 2).then_some(()));
    let role = format!("clusterrole/{name}");
    until("the rules are aggregated", || scenario.get(&role)["rules"][0].is_object().then_some(()));
    let bundle = r#"[{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "YWJj"}]"#;
    let webhooks = format!("validatingwebhookconfiguration/{name}");
    scenario.kubectl(&["patch", &webhooks, "--type=json", "--field-manager=cainjector", "--patch", bundle]).exits(0);
    let sidecar = r#"{"spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "quay.io/example/sidecar:1"}],
        "tolerations": [{"operator": "Exists"}]}}}}"#;
    scenario.kubectl(&["patch", &deployment, "--field-manager=injector", "--patch", sidecar]).exits(0);
    let tracked = format!("argocd.argoproj.io/tracking-id=app:apps/Deployment:{name}/{name}");
    scenario.kubectl(&["annotate", &deployment, &tracked]).exits(0);
    scenario.kubectl(&["rollout", "restart", &deployment]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_controllers_and_injectors_write_is_no_drift_and_stays() {
    let scenario = Scenario::small("writers");
    scenario.values(OBJECTS);
    judge::apply(&scenario).done();
    meddle(&scenario);
    let mark = audit::mark();
    let drift = scenario.cfrt(&["drift", "desired.toml"]).exits(0);
    assert!(drift.stdout.starts_with("no drift: "), "{drift}");
    scenario.detailed().exits(0);
    scenario.apply_unjudged().1.exits(0);
    let asked = audit::since(mark, &scenario);
    assert!(audit::mutating(&asked).is_empty(), "{:?}", audit::mutating(&asked));

    // Whatever else changes in these objects, what others wrote stays.
    scenario.values(&format!("{OBJECTS}\nlabels: {{team: blue}}"));
    judge::apply(&scenario).done();
    let name = &scenario.release;
    let deployment = scenario.get(&format!("deployment/{name}"));
    assert_eq!(deployment["metadata"]["labels"]["team"], "blue");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().map_or(0, Vec::len);
    assert_eq!(containers, 2);
    let webhooks: Value = scenario.get(&format!("validatingwebhookconfiguration/{name}"));
    assert_eq!(webhooks["webhooks"][0]["clientConfig"]["caBundle"], "YWJj");
    scenario.cfrt(&["drift", "desired.toml"]).exits(0);
}
