//! What tools and people add to objects that aren't theirs.

use serde_json::{Value, json};

use super::objects::{apply, named, write};
use crate::common::plan::Step;
use crate::common::scenario::Scenario;

/// Fills in certificates as an injector does, where the chart names some and where it names none.
pub(super) fn inject_certificates(scenario: &Scenario) {
    for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
        let hooks = scenario.get(&named(scenario, kind))["webhooks"].as_array().map_or(0, Vec::len);
        let operation = |index: usize| json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": "YQ=="});
        let patch = (0..hooks).map(operation).collect::<Value>().to_string();
        let arguments = ["patch", &named(scenario, kind), "--type=json", "--patch", &patch];
        scenario.kubectl(&[&arguments[..], &["--field-manager=cert-manager-cainjector"]].concat()).exits(0);
    }
    // Of a definition's certificate the server wants that it is one.
    let path = "jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let root = scenario.kubectl(&["config", "view", "--raw", "--flatten", "--output", path]).exits(0).stdout;
    let webhook = json!({"clientConfig": {"caBundle": root}});
    let definition = format!("crd/gadgets.{}.example.com", scenario.namespace);
    let conversion = json!({"spec": {"conversion": {"webhook": webhook}}});
    write(scenario, "cert-manager-cainjector", &definition, &conversion);
}

pub(super) fn sidecar_by_apply(scenario: &Scenario) {
    let name = &scenario.namespace;
    let sidecar = json!({"name": "sidecar", "image": "quay.io/example/sidecar:1.0.0",
        "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}]});
    let own = json!({"name": "small", "env": [{"name": "INJECTED", "value": "x"}],
        "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}]});
    let pod = json!({"containers": [own, sidecar], "initContainers": [{"name": "init", "image": "quay.io/example/init:1.0.0"}],
        "volumes": [{"name": "certificates", "emptyDir": {}}]});
    let metadata = json!({"annotations": {"sidecar.istio.io/status": "injected"}, "labels": {"mesh": "yes"}});
    let spec = json!({"template": {"metadata": metadata, "spec": pod}});
    let document = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec});
    apply(scenario, "sidecar-injector", &document);
}

pub(super) fn sidecar_by_update(scenario: &Scenario) {
    let first = json!([{"op": "add", "path": "/spec/template/spec/containers/0",
        "value": {"name": "first", "image": "quay.io/example/first:1.0.0"}}]);
    let deployment = named(scenario, "deployment");
    let arguments = ["patch", &deployment, "--type=json", "--field-manager=injector", "--patch"];
    scenario.kubectl(&[&arguments[..], &[&first.to_string()]].concat()).exits(0);
}

pub(super) fn restart(scenario: &Scenario) {
    scenario.kubectl(&["rollout", "restart", &named(scenario, "deployment")]).exits(0);
}

pub(super) fn argo_cd(scenario: &Scenario) {
    let annotations =
        json!({"argocd.argoproj.io/tracking-id": "app:apps/Deployment:a/b", "app.kubernetes.io/instance": "app"});
    for kind in ["deployment", "service", "configmap", "validatingwebhookconfiguration"] {
        write(
            scenario,
            "argocd-controller",
            &named(scenario, kind),
            &json!({"metadata": {"annotations": annotations}}),
        );
    }
}

pub(super) fn token_controller(scenario: &Scenario) {
    let secrets = json!({"secrets": [{"name": "token"}], "imagePullSecrets": [{"name": "pull"}]});
    write(scenario, "openshift-controller-manager", &named(scenario, "serviceaccount"), &secrets);
}

pub(super) fn network_tools(scenario: &Scenario) {
    let annotations = json!({"external-dns.alpha.kubernetes.io/hostname": "a.example.com"});
    write(scenario, "external-dns", "service/outside", &json!({"metadata": {"annotations": annotations}}));
    let spec = json!({"healthCheckNodePort": null, "sessionAffinityConfig": null, "loadBalancerSourceRanges": ["192.0.2.0/24"]});
    write(scenario, "cloud", "service/outside", &json!({ "spec": spec }));
}

pub(super) fn someone(scenario: &Scenario) {
    write(scenario, "kubectl-edit", &named(scenario, "configmap"), &json!({"data": {"theirs": "stays"}}));
    write(scenario, "kubectl-edit", &named(scenario, "deployment"), &json!({"spec": {"revisionHistoryLimit": 3}}));
    let env = [&named(scenario, "deployment"), "THEIRS=stays"];
    scenario.kubectl(&["set", "env", env[0], env[1], "--containers=small"]).exits(0);
}

/// Puts the marks of Argo CD on all that a plan names.
pub(super) fn track_everything(scenario: &Scenario) {
    let plan = scenario.plan();
    let objects: Vec<String> = plan.steps.iter().filter(|step| !step.is_hook()).filter_map(object).collect();
    assert!(objects.len() > 100, "{}", objects.len());
    let marks = ["argocd.argoproj.io/tracking-id=app:x/y:a/b", "app.kubernetes.io/instance=app"];
    let annotate = ["annotate", "--field-manager=argocd-controller"];
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    scenario.kubectl(&[&annotate[..], &objects[..], &marks[..]].concat()).exits(0);
}

/// `apps/v1/Deployment n/a` as kubectl takes it: `deployment.v1.apps/a`. A release has no object of its own.
fn object(step: &Step) -> Option<String> {
    let (kind, place) = step.address.split_once(' ')?;
    let name = place.rsplit_once('/').map_or(place, |(_, name)| name);
    let (version, kind) = kind.rsplit_once('/')?;
    Some(match version.split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}/{name}"),
        None => format!("{kind}/{name}"),
    })
}

pub(super) fn sidecar_everywhere(scenario: &Scenario) {
    let sidecar = json!({"name": "sidecar", "image": "quay.io/example/sidecar:1.0.0"});
    let pod = json!({"containers": [sidecar], "volumes": [{"name": "injected", "emptyDir": {}}]});
    let patch = json!({"spec": {"template": {"spec": pod}}}).to_string();
    for kind in ["deployments", "statefulsets"] {
        for item in scenario.list(kind) {
            let name = item["metadata"]["name"].as_str().unwrap_or_default();
            let arguments = ["patch", kind, name, "--field-manager=sidecar-injector", "--patch", &patch];
            scenario.kubectl(&arguments).exits(0);
        }
    }
}

pub(super) fn restart_everything(scenario: &Scenario) {
    for kind in ["deployment", "statefulset"] {
        scenario.kubectl(&["rollout", "restart", kind]).exits(0);
    }
}

pub(super) fn tokens_everywhere(scenario: &Scenario) {
    for item in scenario.list("serviceaccounts") {
        let account = format!("serviceaccount/{}", item["metadata"]["name"].as_str().unwrap_or_default());
        write(scenario, "openshift-controller-manager", &account, &json!({"imagePullSecrets": [{"name": "pull"}]}));
    }
}
