//! What is the matter with definitions, custom resources and webhooks: told by name, at once where it can't heal.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge::{self, Judged};
use crate::common::plan::Plan;
use crate::common::process::{Ran, end, until};
use crate::common::scenario::Scenario;

/// Far less than the limit of any wait: what ends by then was not waited for.
const SOON: Duration = Duration::from_secs(60);

fn values(objects: &[&str]) -> String {
    format!("{{deployment: {{enabled: false}}, extraObjects: [{}]}}", objects.join(", "))
}

/// All that is said of why a step failed.
#[track_caller]
fn cause(judged: &Judged, name: &str) -> String {
    let failed = judged.applied.steps.iter().find(|step| step.address.ends_with(name));
    let failed = failed.expect("the step is told");
    assert_eq!(failed.outcome.as_deref(), Some("failed"), "{failed:?} {}", judged.ran);
    failed.causes.join("\n")
}

/// A definition with a status of its own, of which anything can be said.
fn definition(name: &str, kind: &str) -> Value {
    let (plural, group) = name.split_once('.').expect("a definition is named so");
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = if group == "argoproj.io" { "v1alpha1" } else { "v1" };
    let singular = plural.trim_end_matches('s');
    let version = json!({"name": version, "served": true, "storage": true, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {"group": group, "scope": "Namespaced", "versions": [version],
            "names": {"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular}},
    })
}

fn create(scenario: &Scenario, object: &Value) {
    scenario.write("there.json", &object.to_string());
    scenario.kubectl(&["create", "--filename", "there.json"]).exits(0);
}

/// Applies, and says something in an object's status as soon as it is there.
fn with_status(scenario: &Scenario, object: &str, status: &Value) -> (Plan, Ran) {
    let program = scenario.program(&["apply", "desired.toml", "--yes", "--output", "json"]).start();
    until("the object is there", || scenario.find(object));
    say(scenario, object, status);
    let ran = program.ended();
    let plan = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| end(&format!("{error}: {ran}")));
    (plan, ran)
}

fn say(scenario: &Scenario, object: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    scenario.kubectl(&["patch", object, "--subresource=status", "--type=merge", "--patch", &patch]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_rollout_and_an_application_that_failed_end_the_wait_with_what_their_controller_says() {
    let table = [
        (
            "Rollout",
            json!({"observedGeneration": "1", "phase": "Degraded", "message": "ProgressDeadlineExceeded: timed out"}),
            "degraded: ProgressDeadlineExceeded: timed out",
            json!({"observedGeneration": "1", "phase": "Healthy", "message": null}),
        ),
        (
            "Application",
            json!({"operationState": {"phase": "Failed", "message": "one or more objects failed to apply"}}),
            "its sync failed: one or more objects failed to apply",
            json!({"operationState": null, "health": {"status": "Healthy"}, "sync": {"status": "Synced"}}),
        ),
    ];
    // Its group is the runtime chart's: nobody else may have that meanwhile, and what is left of it goes with the lock.
    let cluster = Scenario::runtime("argo");
    for (kind, status, says, healthy) in table {
        let plural = format!("{}s.argoproj.io", kind.to_lowercase());
        create(&cluster, &definition(&plural, kind));
        cluster.kubectl(&["wait", "--for=condition=Established", &format!("crd/{plural}")]).exits(0);
        let scenario = Scenario::small("argo-kind");
        let object = format!("{plural}/app");
        scenario.values(&values(&[&format!(
            "{{apiVersion: argoproj.io/v1alpha1, kind: {kind}, metadata: {{name: app}}, spec: {{replicas: 1}}}}"
        )]));
        let began = Instant::now();
        let judged = judge::apply_by(&scenario, || with_status(&scenario, &object, &status)).exits(10);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let told = format!("waiting for {kind} {}/app\n{says}", scenario.namespace);
        let cause = cause(&judged, "/app");
        assert!(cause.contains(&told), "{told:?} isn't in {cause:?}");
        assert_eq!(scenario.revisions(), ["1 failed"]);
        say(&scenario, &object, &healthy);
        judge::apply(&scenario).done();
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_whose_names_are_taken_is_told_at_once_with_which() {
    let scenario = Scenario::small("names");
    let [first, second] = ["gadgets", "widgets"].map(|plural| format!("{plural}.{}.example.com", scenario.namespace));
    create(&scenario, &definition(&first, "Widget"));
    scenario.kubectl(&["wait", "--for=condition=Established", &format!("crd/{first}")]).exits(0);
    scenario.values(&values(&[&definition(&second, "Widget").to_string()]));
    let began = Instant::now();
    let judged = judge::apply(&scenario).exits(10);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let cause = cause(&judged, &second);
    assert!(cause.contains("KindConflict: \"Widget") && cause.contains("\" is already in use"), "{cause}");
    scenario.kubectl(&["delete", &format!("crd/{first}")]).exits(0);
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_can_not_lose_a_version_in_which_objects_are_stored() {
    let scenario = Scenario::small("stored");
    let name = format!("widgets.{}.example.com", scenario.namespace);
    let mut later = definition(&name, "Widget");
    scenario.values(&values(&[&later.to_string()]));
    judge::apply(&scenario).done();
    later["spec"]["versions"][0]["name"] = json!("v2");
    scenario.values(&values(&[&later.to_string()]));
    let judged = judge::apply(&scenario).exits(5);
    let refused = judged.plan.refused();
    assert_eq!(refused.len(), 1, "{refused:?}");
    for words in [name.as_str(), "the API server refuses it: ", "status.storedVersions"] {
        assert!(refused[0].contains(words), "{words:?} isn't in {refused:?}");
    }
    assert_eq!(judged.writes().len(), 0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_conversion_webhook_that_nobody_is_behind_is_named_by_the_plan() {
    let scenario = Scenario::small("conversion");
    let group = format!("{}.example.com", scenario.namespace);
    let name = format!("widgets.{group}");
    let mut both = definition(&name, "Widget");
    let mut later = both["spec"]["versions"][0].clone();
    (later["name"], later["storage"]) = (json!("v2"), json!(false));
    both["spec"]["versions"].as_array_mut().expect("it has one").push(later);
    create(&scenario, &both);
    scenario.kubectl(&["wait", "--for=condition=Established", &format!("crd/{name}")]).exits(0);
    let widget = |version: &str| {
        format!("{{apiVersion: {group}/{version}, kind: Widget, metadata: {{name: app}}, spec: {{size: 1}}}}")
    };
    scenario.values(&values(&[&widget("v1")]));
    judge::apply(&scenario).done();
    let service = json!({"name": "convert", "namespace": scenario.namespace, "path": "/convert"});
    let webhook = json!({"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]});
    let convert = |by: &Value| {
        let patch = json!({"spec": {"conversion": by}}).to_string();
        scenario.kubectl(&["patch", &format!("crd/{name}"), "--type=merge", "--patch", &patch]).exits(0);
    };
    convert(&json!({"strategy": "Webhook", "webhook": webhook}));
    let converted = format!("widgets.v2.{group}");
    let asked = ["get", &converted];
    until("the webhook is asked", || (scenario.kubectl(&asked).code != 0).then_some(()));

    scenario.values(&values(&[&widget("v2")]));
    let (began, mark) = (Instant::now(), audit::mark());
    for arguments in [&["plan", "desired.toml"][..], &["apply", "desired.toml", "--yes"]] {
        let told = scenario.cfrt(arguments).exits(1);
        let says = format!("conversion webhook for {group}/v1, Kind=Widget failed: ");
        for words in [says.as_str(), "service \"convert\" not found"] {
            assert!(told.stderr.contains(words), "{words:?} isn't in {told}");
        }
    }
    assert!(began.elapsed() < SOON * 2, "{:?}", began.elapsed());
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());
    convert(&json!({"strategy": "None", "webhook": null}));
    until("the webhook is asked no more", || (scenario.kubectl(&asked).code == 0).then_some(()));
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_webhook_that_nobody_is_behind_is_named_with_its_service() {
    let scenario = Scenario::small("webhook");
    let name = scenario.namespace.clone();
    scenario.kubectl_anywhere(&["create", "namespace", &name]).exits(0);
    let service = json!({"name": "guard", "namespace": name, "path": "/check"});
    let webhook = json!({
        "name": "guard.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
        "clientConfig": {"service": service}, "timeoutSeconds": 1,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["limitranges"]}],
    });
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": [webhook]});
    create(&scenario, &configuration);
    // The server takes a moment before it asks a new webhook.
    let range = r#"{"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "asked"}, "spec": {"limits": []}}"#;
    scenario.write("range.json", range);
    let asked = ["create", "--dry-run=server", "--filename", "range.json"];
    until("the webhook is asked", || (scenario.kubectl(&asked).code != 0).then_some(()));

    scenario.values(&values(&["{apiVersion: v1, kind: LimitRange, metadata: {name: guarded}, spec: {limits: []}}"]));
    let began = Instant::now();
    let judged = judge::apply(&scenario).exits(10);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let cause = cause(&judged, "/guarded");
    let told = format!("webhook guard.example.com of Service {name}/guard doesn't answer: service \"guard\" not found");
    assert!(cause.contains(&told), "{told:?} isn't in {cause:?}");
    assert!(judged.ran.stderr.contains("hint: "), "{}", judged.ran);
    scenario.kubectl_anywhere(&["delete", "validatingwebhookconfiguration", &name]).exits(0);
    until("the webhook is asked no more", || (scenario.kubectl(&asked).code == 0).then_some(()));
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_pod_that_needs_what_is_not_there_is_waited_for_up_to_the_limit_and_told_what_it_needs() {
    let scenario = Scenario::small("needs");
    scenario.write("desired.toml", &format!("{}\n[wait]\nlimit = \"1h\"\nchart = \"3s\"\n", scenario.desired()));
    let deployment = |tag: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: app}}, spec: {{selector: {{matchLabels: {{app: app}}}}, \
             template: {{metadata: {{labels: {{app: app}}}}, spec: {{containers: [{{name: main, \
             image: 'quay.io/example/app:{tag}', envFrom: [{{configMapRef: {{name: settings}}}}]}}]}}}}}}}}"
        )
    };
    scenario.values(&values(&[&deployment("lacks-settings")]));
    let judged = judge::apply(&scenario).exits(10);
    let cause = cause(&judged, "/app");
    for words in ["no progress for 3 s: ", "container main: ", "configmap \"settings\" not found"] {
        assert!(cause.contains(words), "{words:?} isn't in {cause:?}");
    }
    scenario.values(&values(&[&deployment("1.0.0")]));
    judge::apply(&scenario).done();
}
