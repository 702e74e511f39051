//! What the server, controllers and the tools of others write into the objects of a release is theirs, and never drift.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::process::until;
use crate::common::scenario::Scenario;

/// Who writes, and what he does.
type Writer = (&'static str, fn(&Scenario));

/// Kinds that others write into, each as bare as can be.
const OBJECTS: &str = "
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
  spec: {type: LoadBalancer, ports: [{name: https, port: 443}], selector: {app: outside}}
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
struct Release(Scenario);

impl Release {
    fn new(name: &str, more: &str) -> Self {
        let release = Self(Scenario::small(name));
        release.0.values(&format!("{more}{OBJECTS}"));
        release
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let name = &self.0.namespace;
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
fn write(scenario: &Scenario, manager: &str, object: &str, patch: &Value) {
    let manager = format!("--field-manager={manager}");
    scenario.kubectl(&["patch", object, "--type=merge", &manager, "--patch", &patch.to_string()]).exits(0);
}

/// Writes a status under a manager's name.
#[track_caller]
fn write_status(scenario: &Scenario, manager: &str, object: &str, status: &Value) {
    let (manager, patch) = (format!("--field-manager={manager}"), json!({ "status": status }).to_string());
    let arguments = ["patch", object, "--type=merge", "--subresource=status", &manager, "--patch", &patch];
    scenario.kubectl(&arguments).exits(0);
}

/// Applies a document under a manager's name.
#[track_caller]
fn apply(scenario: &Scenario, manager: &str, document: &Value) {
    scenario.write("applied.json", &document.to_string());
    let manager = format!("--field-manager={manager}");
    scenario.kubectl(&["apply", "--server-side", &manager, "--filename", "applied.json"]).exits(0);
}

/// Plays the writers one after another, and gives what plans had to say of each.
fn seen(scenario: &Scenario, writers: &[Writer]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut before = Vec::new();
    for (who, writes) in writers {
        writes(scenario);
        let mut told = scenario.plan().told(&scenario.namespace);
        let now = told.clone();
        told.retain(|step| !before.contains(step));
        seen.extend(told.into_iter().map(|step| format!("{who}: {step}")));
        before = now;
    }
    seen
}

/// Plays the writers: no plan has anything to say of them, nor anything to ask, and an apply nothing to do.
#[track_caller]
fn none_is_drift(scenario: &Scenario, writers: &[Writer]) {
    assert_eq!(seen(scenario, writers), Vec::<String>::new());
    let mark = audit::mark();
    scenario.detailed().exits(0);
    let dry_runs = audit::since(mark, scenario).into_iter().filter(|event| event.uri().contains("dryRun="));
    assert_eq!(dry_runs.map(|event| event.told()).collect::<Vec<_>>(), Vec::<String>::new());
    let judged = judge::apply(scenario).done();
    assert_eq!(judged.writes().len(), 0);
}

fn named(scenario: &Scenario, kind: &str) -> String {
    format!("{kind}/{}", scenario.namespace)
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_server_and_its_controllers_write_is_no_drift() {
    let release = Release::new("server", "");
    judge::apply(&release.0).done();
    let writers: [Writer; 7] = [
        ("autoscaler", |scenario| {
            until("the autoscaler scales", || {
                (scenario.get(&named(scenario, "deployment"))["spec"]["replicas"] == 2).then_some(())
            });
        }),
        ("role aggregation", |scenario| {
            until("the rules are aggregated", || {
                let role = scenario.get(&format!("clusterrole/{}-aggregate", scenario.namespace));
                (role["rules"][0]["resources"][0] == "pods").then_some(())
            });
        }),
        ("volume binder", |scenario| {
            let name = &scenario.namespace;
            let spec = json!({
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Gi"},
                "hostPath": {"path": "/nowhere"},
                "storageClassName": name,
            });
            let volume =
                json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec});
            scenario.write("volume.json", &volume.to_string());
            scenario.kubectl(&["create", "--filename", "volume.json"]).exits(0);
            until("the claim is bound", || {
                (scenario.get("persistentvolumeclaim/claim")["status"]["phase"] == "Bound").then_some(())
            });
        }),
        ("service controller", |scenario| {
            let ingress = json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}});
            write_status(scenario, "cloud-controller-manager", "service/outside", &ingress);
            let annotations = json!({"service.kubernetes.io/load-balancer-id": "lb-1"});
            let finalizers = json!(["service.kubernetes.io/load-balancer-cleanup"]);
            let metadata = json!({"annotations": annotations, "finalizers": finalizers});
            write(scenario, "cloud-controller-manager", "service/outside", &json!({ "metadata": metadata }));
            let outside = scenario.get("service/outside");
            assert!(outside["spec"]["clusterIP"].is_string() && outside["spec"]["ports"][0]["nodePort"].is_number());
        }),
        ("job controller", |scenario| {
            let job = scenario.get("job/once");
            assert!(job["spec"]["selector"].is_object() && job["status"].is_object());
        }),
        ("status writers", |scenario| {
            let condition = json!({"type": "Seen", "status": "True", "reason": "Looked", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"});
            let status = json!({ "conditions": [condition] });
            write_status(scenario, "someone", &named(scenario, "deployment"), &status);
            write_status(scenario, "gadgets", &named(scenario, "gadget"), &json!({"phase": "Ready", "seen": null}));
            let gadgets = format!("crd/gadgets.{}.example.com", scenario.namespace);
            write_status(scenario, "someone", &gadgets, &json!({"storedVersions": ["v1"]}));
        }),
        ("garbage collector and namespaces", |scenario| {
            let annotations =
                json!({"openshift.io/sa.scc.uid-range": "1000/10", "scheduler.alpha.kubernetes.io/x": ""});
            let metadata =
                json!({"annotations": annotations, "labels": {"pod-security.kubernetes.io/warn": "baseline"}});
            write(scenario, "cluster", &named(scenario, "namespace"), &json!({ "metadata": metadata }));
            write(scenario, "gc", &named(scenario, "configmap"), &json!({"metadata": {"finalizers": ["a.io/held"]}}));
        }),
    ];
    none_is_drift(&release.0, &writers);
    let scenario = &release.0;
    assert_eq!(scenario.get(&named(scenario, "deployment"))["spec"]["replicas"], 2);
    let role = scenario.get(&format!("clusterrole/{}-aggregate", scenario.namespace));
    assert_eq!(role["rules"][0]["resources"][0], "pods");
    write(scenario, "gc", &named(scenario, "configmap"), &json!({"metadata": {"finalizers": null}}));
    write(scenario, "gc", "service/outside", &json!({"metadata": {"finalizers": null}}));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_tools_of_others_inject_is_no_drift() {
    let release = Release::new("tools", "");
    judge::apply(&release.0).done();
    let writers: [Writer; 8] = [
        ("certificate injector", |scenario| {
            for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
                let hooks = scenario.get(&named(scenario, kind))["webhooks"].as_array().map_or(0, Vec::len);
                let operation = |index: usize| json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": "YQ=="});
                let patch = (0..hooks).map(operation).collect::<Value>().to_string();
                let arguments = ["patch", &named(scenario, kind), "--type=json", "--patch", &patch];
                scenario.kubectl(&[&arguments[..], &["--field-manager=cert-manager-cainjector"]].concat()).exits(0);
            }
            let certificate = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUIKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
            let _unused = certificate;
        }),
        ("sidecar injector that applies", |scenario| {
            let name = &scenario.namespace;
            let sidecar = json!({"name": "sidecar", "image": "quay.io/example/sidecar:1.0.0",
                "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}]});
            let own = json!({"name": "small", "env": [{"name": "INJECTED", "value": "x"}],
                "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}]});
            let pod = json!({"containers": [own, sidecar], "initContainers": [{"name": "init", "image": "quay.io/example/init:1.0.0"}],
                "volumes": [{"name": "certificates", "emptyDir": {}}]});
            let metadata = json!({"annotations": {"sidecar.istio.io/status": "injected"}, "labels": {"mesh": "yes"}});
            let spec = json!({"template": {"metadata": metadata, "spec": pod}});
            let document =
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
            apply(scenario, "sidecar-injector", &document);
        }),
        ("sidecar injector that updates", |scenario| {
            let first = json!([{"op": "add", "path": "/spec/template/spec/containers/0",
                "value": {"name": "first", "image": "quay.io/example/first:1.0.0"}}]);
            let deployment = named(scenario, "deployment");
            let arguments = ["patch", &deployment, "--type=json", "--field-manager=injector", "--patch"];
            scenario.kubectl(&[&arguments[..], &[&first.to_string()]].concat()).exits(0);
        }),
        ("kubectl rollout restart", |scenario| {
            scenario.kubectl(&["rollout", "restart", &named(scenario, "deployment")]).exits(0);
        }),
        ("Argo CD", |scenario| {
            let annotations = json!({"argocd.argoproj.io/tracking-id": "app:apps/Deployment:a/b", "app.kubernetes.io/instance": "app"});
            for kind in ["deployment", "service", "configmap", "validatingwebhookconfiguration", "gadget"] {
                write(
                    scenario,
                    "argocd-controller",
                    &named(scenario, kind),
                    &json!({"metadata": {"annotations": annotations}}),
                );
            }
        }),
        ("token controller", |scenario| {
            let secrets = json!({"secrets": [{"name": "token"}], "imagePullSecrets": [{"name": "pull"}]});
            write(scenario, "openshift-controller-manager", &named(scenario, "serviceaccount"), &secrets);
        }),
        ("ingress and service tools", |scenario| {
            let annotations = json!({"external-dns.alpha.kubernetes.io/hostname": "a.example.com"});
            write(scenario, "external-dns", "service/outside", &json!({"metadata": {"annotations": annotations}}));
            let spec =
                json!({"healthCheckNodePort": null, "sessionAffinityConfig": null, "externalIPs": ["192.0.2.1"]});
            write(scenario, "cloud", "service/outside", &json!({ "spec": spec }));
        }),
        ("someone's keys and fields", |scenario| {
            write(scenario, "kubectl-edit", &named(scenario, "configmap"), &json!({"data": {"theirs": "stays"}}));
            write(
                scenario,
                "kubectl-edit",
                &named(scenario, "deployment"),
                &json!({"spec": {"revisionHistoryLimit": 3}}),
            );
            let env = [&named(scenario, "deployment"), "THEIRS=stays"];
            scenario.kubectl(&["set", "env", env[0], env[1], "--containers=small"]).exits(0);
        }),
    ];
    none_is_drift(&release.0, &writers);
}
