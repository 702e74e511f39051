//! Fields that stay as they were made: foreseen, refused where much would be lost, and set by deleting and making again.

use crate::common::audit;
use crate::common::judge;
use crate::common::process::until;
use crate::common::scenario::Scenario;

/// A release of these objects and nothing else that could move.
fn of(scenario: &Scenario, objects: &[String]) {
    scenario.values(&format!("{{extraObjects: [{}]}}", objects.join(", ")));
}

fn object(version: &str, kind: &str, name: &str, rest: &str) -> String {
    format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}, {rest}}}")
}

fn pod(label: &str, image: &str) -> String {
    format!(
        "{{metadata: {{labels: {{app: {label}}}}}, spec: {{containers: [{{name: main, image: 'quay.io/example/{image}'}}]}}}}"
    )
}

fn deployment(label: &str) -> String {
    let spec = format!("spec: {{selector: {{matchLabels: {{app: {label}}}}}, template: {}}}", pod(label, "app:1.0.0"));
    object("apps/v1", "Deployment", "selected", &spec)
}

fn config(text: &str) -> String {
    object("v1", "ConfigMap", "frozen", &format!("immutable: true, data: {{text: {text}}}"))
}

fn service(address: &str) -> String {
    object(
        "v1",
        "Service",
        "addressed",
        &format!("spec: {{clusterIP: {address}, selector: {{app: x}}, ports: [{{port: 80}}]}}"),
    )
}

fn job(tag: &str) -> String {
    let template =
        format!("{{spec: {{restartPolicy: Never, containers: [{{name: main, image: 'quay.io/example/job:{tag}'}}]}}}}");
    object("batch/v1", "Job", "once", &format!("spec: {{template: {template}}}"))
}

fn claiming(service: &str) -> String {
    let claim = "{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}";
    let spec = format!(
        "spec: {{replicas: 0, serviceName: {service}, selector: {{matchLabels: {{app: db}}}}, template: {}, \
         volumeClaimTemplates: [{claim}]}}",
        pod("db", "db:1.0.0")
    );
    object("apps/v1", "StatefulSet", "claiming", &spec)
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_can_not_change_is_foreseen_and_made_again() {
    let scenario = Scenario::small("replaced");
    of(&scenario, &[deployment("one"), config("one"), service("''"), job("1.0.0")]);
    judge::apply(&scenario).done();
    let replaced = ["deployment/selected", "configmap/frozen", "service/addressed", "job/once"];
    let before = replaced.map(|object| scenario.uid(object));

    of(&scenario, &[deployment("two"), config("two"), service("'None'"), job("1.0.1")]);
    let text = scenario.cfrt(&["plan", "desired.toml"]).exits(0).stdout;
    assert!(text.contains("± Deployment") && text.contains("spec.selector can't change"), "{text}");
    assert!(text.contains("4 to replace") && !text.contains("Nothing is deleted or replaced"), "{text}");
    let judged = judge::apply(&scenario).done();
    let told: Vec<String> = judged.plan.writing().map(|step| format!("{} {}", step.action, step.short())).collect();
    for name in ["ConfigMap NS/frozen", "Deployment NS/selected", "Job NS/once", "Service NS/addressed"] {
        let step = format!("replace {}", name.replace("NS", &scenario.namespace));
        assert!(told.contains(&step), "{step}: {told:#?}");
    }
    let selector = judged.plan.step(&format!("Deployment {}/selected", scenario.namespace));
    assert!(selector.fields.iter().any(|field| field.path == "spec.selector.matchLabels.app"), "{selector:?}");
    let after = replaced.map(|object| scenario.uid(object));
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
    assert_eq!(scenario.get("configmap/frozen")["data"]["text"], "two");
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_holds_more_than_its_document_says_is_replaced_only_where_the_file_agrees() {
    let scenario = Scenario::small("claims");
    of(&scenario, &[claiming("first")]);
    judge::apply(&scenario).done();
    let before = scenario.uid("statefulset/claiming");
    of(&scenario, &[claiming("second")]);
    let mark = audit::mark();
    let refused = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(5);
    let agree =
        format!("[[policy.allow]] action = \"replace\", resource = \"StatefulSet {}/claiming\"", scenario.namespace);
    assert!(refused.stdout.contains(&agree), "{refused}");
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());

    let consent = |resource: &str| {
        format!("\n[[policy.allow]]\naction = \"replace\"\nresource = \"{resource}\"\nreason = \"it is empty\"\n")
    };
    let file = scenario.desired();
    scenario.write("desired.toml", &(file.clone() + &consent(&format!("StatefulSet {}/other", scenario.namespace))));
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(5);
    scenario.write("desired.toml", &(file + &consent(&format!("StatefulSet {}/claiming", scenario.namespace))));
    let judged = judge::apply(&scenario).done();
    let step = judged.plan.step(&format!("StatefulSet {}/claiming", scenario.namespace));
    assert!(step.action == "replace" && step.reason.contains("the file agrees: it is empty"), "{step:?}");
    let there = scenario.get("statefulset/claiming");
    assert_eq!(there["spec"]["serviceName"], "second");
    assert_ne!(there["metadata"]["uid"], before);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn nothing_is_deleted_for_an_object_that_the_server_would_not_take() {
    let scenario = Scenario::small("untakable");
    of(&scenario, &[config("one")]);
    judge::apply(&scenario).done();
    let before = scenario.uid("configmap/frozen");
    let wrong = object("v1", "ConfigMap", "frozen", "immutable: true, data: {'not/a-key': one}");
    of(&scenario, &[wrong]);
    let refused = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(5);
    assert!(refused.stdout.contains("not/a-key"), "{refused}");
    assert_eq!(scenario.uid("configmap/frozen"), before);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_deletion_that_something_holds_is_waited_for() {
    let scenario = Scenario::small("held");
    of(&scenario, &[config("one")]);
    judge::apply(&scenario).done();
    let finalizers = |text: &str| format!("{{\"metadata\": {{\"finalizers\": {text}}}}}");
    let hold = |text: &str| scenario.kubectl(&["patch", "configmap", "frozen", "--patch", &finalizers(text)]).exits(0);
    let _held = hold("[\"example.com/held\"]");
    let before = scenario.uid("configmap/frozen");
    of(&scenario, &[config("two")]);
    let running = scenario.program(&["apply", "desired.toml", "--yes"]).start();
    until("the deletion has begun", || {
        scenario.get("configmap/frozen")["metadata"].get("deletionTimestamp").is_some().then_some(())
    });
    assert_eq!(scenario.uid("configmap/frozen"), before, "nothing takes its place while it is there");
    let _free = hold("null");
    until("it is made again", || {
        let there = scenario.find("configmap/frozen")?;
        (there["data"]["text"] == "two" && there["metadata"]["uid"] != before).then_some(())
    });
    until("the release is closed", || {
        (scenario.revisions().last().map(String::as_str) == Some("2 deployed")).then_some(())
    });
    drop(running);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_claim_that_the_chart_no_longer_has_goes_only_where_the_file_agrees() {
    let scenario = Scenario::small("claim-gone");
    let claim = "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}";
    of(&scenario, &[object("v1", "PersistentVolumeClaim", "claim", claim)]);
    let (_, ran) = scenario.apply();
    let name = format!("PersistentVolumeClaim {}/claim", scenario.namespace);
    assert!(scenario.find("persistentvolumeclaim/claim").is_some(), "{ran}");
    of(&scenario, &[]);
    let refused = scenario.cfrt(&["plan", "desired.toml"]).exits(5);
    assert!(refused.stdout.contains(&format!("action = \"delete\", resource = \"{name}\"")), "{refused}");
    let consent = format!("\n[[policy.allow]]\naction = \"delete\"\nresource = \"{name}\"\nreason = \"moved away\"\n");
    scenario.write("desired.toml", &(scenario.desired() + &consent));
    let judged = judge::apply(&scenario).done();
    assert_eq!(judged.plan.step(&name).action, "delete");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_secret_that_can_not_change_is_foreseen_from_the_cache_as_without_it() {
    let scenario = Scenario::small("frozen-secret");
    let secret =
        |text: &str| object("v1", "Secret", "frozen", &format!("immutable: true, stringData: {{text: {text}}}"));
    of(&scenario, &[secret("one-of-many-words")]);
    judge::apply(&scenario).done();
    of(&scenario, &[secret("two-of-many-words")]);
    let name = format!("Secret {}/frozen", scenario.namespace);
    // The second and third find the chart rendered, and its Secrets sealed.
    for _ in 0..3 {
        assert_eq!(scenario.plan().step(&name).action, "replace");
    }
    judge::apply(&scenario).done();
    scenario.detailed().exits(0);
}
