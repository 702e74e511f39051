//! What others do to the objects of a release is found, named with who did it, and healed, without a revision and without hooks.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::process::Ran;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// What `cfrt drift` finds, having ended with this code: each as `changed Deployment NAME spec.replicas by kubectl (scale)`.
#[track_caller]
fn found(scenario: &Scenario, code: i32) -> Vec<String> {
    let mark = audit::mark();
    let ran = scenario.cfrt(&["drift", "desired.toml", "--output", "json"]).exits(code);
    assert!(audit::mutating(&audit::since(mark, scenario)).is_empty(), "drift writes");
    let found = ran.json();
    assert_eq!(found["summary"]["exit"], code);
    let findings = found["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().map(|finding| told(scenario, finding)).collect()
}

fn told(scenario: &Scenario, finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let address = text("address");
    let kind = address.find(' ').and_then(|end| address[..end].rfind('/')).map_or(0, |slash| slash + 1);
    let address = address[kind..].replace(&format!("{}/", scenario.namespace), "").replace(&scenario.namespace, "NAME");
    let more = |before: &str, key: &str, after: &str| match text(key) {
        text if text.is_empty() => text,
        text => format!("{before}{text}{after}"),
    };
    let by = more(" by ", "manager", "") + &more(" (", "subresource", ")");
    let both = if finding["also_changed"] == true { ", too" } else { "" };
    format!("{} {address}{}{by}{both}", text("sort"), more(" ", "path", ""))
}

/// The text that `cfrt drift` prints, without what only a chart has to say.
fn text(scenario: &Scenario, code: i32) -> String {
    let Ran { stdout, .. } = scenario.cfrt(&["drift", "desired.toml"]).exits(code);
    let lines = stdout.lines().filter(|line| !line.starts_with("note: templates "));
    lines.map(|line| format!("{}\n", line.replace(&scenario.namespace, "NAME"))).collect()
}

/// A release with everything that could run by mistake, meddled with.
fn healed(name: &str, meddle: impl Fn(&Scenario), told: &[&str], findings: &[&str]) -> Scenario {
    let scenario = Scenario::small(name);
    scenario.values("{count: 1, hooks: [{name: before, event: pre-upgrade}, {name: after, event: post-upgrade}]}");
    judge::apply(&scenario).done();
    assert_eq!(found(&scenario, 0), [""; 0]);
    meddle(&scenario);
    assert_eq!(found(&scenario, 3), findings);
    let judged = judge::apply(&scenario).done();
    let seen: Vec<String> =
        judged.plan.told(&scenario.namespace).iter().map(|step| step.replace(&scenario.namespace, "NAME")).collect();
    assert_eq!(seen, told);
    assert_eq!(judged.plan.release().action, "keep");
    assert_eq!(judged.writes_of_objects().len(), judged.writes().len(), "a record was written");
    assert_eq!(scenario.revisions(), ["1 deployed"]);
    assert!(scenario.find("job/before").is_none() && scenario.find("job/after").is_none());
    scenario.detailed().exits(0);
    assert_eq!(found(&scenario, 0), [""; 0]);
    scenario
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_scaled_deployment_is_scaled_back() {
    let meddle = |scenario: &Scenario| {
        let deployment = format!("deployment/{}", scenario.release);
        scenario.kubectl(&["scale", &deployment, "--replicas=3"]).exits(0);
    };
    let findings = ["changed Deployment NAME spec.replicas by kubectl (scale)"];
    let scenario = healed("scale", meddle, &["update Deployment NAME spec.replicas"], &findings);
    assert_eq!(scenario.get(&format!("deployment/{}", scenario.release))["spec"]["replicas"], 1);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_edited_image_and_an_edited_text_are_set_back() {
    let meddle = |scenario: &Scenario| {
        let name = &scenario.release;
        scenario
            .kubectl(&["set", "image", &format!("deployment/{name}"), "small=quay.io/example/other:2.0.0"])
            .exits(0);
        let patch = ["patch", &format!("configmap/{name}"), "--patch", r#"{"data": {"greeting": "bye"}}"#];
        scenario.kubectl(&patch).exits(0);
        let patch = ["patch", &format!("secret/{name}"), "--patch", r#"{"stringData": {"password": "other"}}"#];
        scenario.kubectl(&patch).exits(0);
    };
    let told = [
        "update ConfigMap NAME data.greeting",
        "update Deployment NAME spec.template.spec.containers[small].image",
        "update Secret NAME data.password",
    ];
    let findings = [
        "changed Secret NAME data.password by kubectl-patch",
        "changed ConfigMap NAME data.greeting by kubectl-patch",
        "changed Deployment NAME spec.template.spec.containers[small].image by kubectl-set",
    ];
    let scenario = healed("edit", meddle, &told, &findings);
    assert_eq!(scenario.get(&format!("secret/{}", scenario.release))["data"]["password"], "c2VjcmV0");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn deleted_objects_come_back() {
    let meddle = |scenario: &Scenario| {
        let name = &scenario.release;
        let objects = [format!("configmap/{name}-00000"), format!("deployment/{name}"), format!("service/{name}")];
        scenario.kubectl(&["delete", &objects[0], &objects[1], &objects[2]]).exits(0);
    };
    let told = ["create ConfigMap NAME-00000", "create Deployment NAME", "create Service NAME"];
    let findings = ["deleted ConfigMap NAME-00000", "deleted Service NAME", "deleted Deployment NAME"];
    let scenario = healed("delete", meddle, &told, &findings);
    assert_eq!(scenario.get(&format!("deployment/{}", scenario.release))["status"]["readyReplicas"], 1);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn labels_that_were_taken_away_come_back_and_labels_of_others_stay() {
    let meddle = |scenario: &Scenario| {
        let object = format!("configmap/{}", scenario.release);
        let managed = "app.kubernetes.io/managed-by-";
        scenario.kubectl(&["label", &object, managed, "app.kubernetes.io/name=other", "--overwrite"]).exits(0);
        scenario.kubectl(&["label", &object, "team=blue"]).exits(0);
        scenario.kubectl(&["annotate", &object, "team=blue"]).exits(0);
    };
    let paths = r#"metadata.labels["app.kubernetes.io/managed-by"] metadata.labels["app.kubernetes.io/name"]"#;
    let findings = [
        r#"changed ConfigMap NAME metadata.labels["app.kubernetes.io/name"] by kubectl-label"#,
        r#"missing ConfigMap NAME metadata.labels["app.kubernetes.io/managed-by"]"#,
    ];
    let scenario = healed("label", meddle, &[&format!("update ConfigMap NAME {paths}")], &findings);
    let live = scenario.get(&format!("configmap/{}", scenario.release));
    assert_eq!(live["metadata"]["labels"]["team"], "blue");
    assert_eq!(live["metadata"]["annotations"]["team"], "blue");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_others_add_without_touching_what_we_say_is_no_drift() {
    let scenario = Scenario::small("others");
    judge::apply(&scenario).done();
    let name = &scenario.release;
    scenario.kubectl(&["label", &format!("deployment/{name}"), "team=blue"]).exits(0);
    let patch = ["patch", &format!("configmap/{name}"), "--patch", r#"{"data": {"of-others": "stays"}}"#];
    scenario.kubectl(&patch).exits(0);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_deleted_namespace_is_a_first_installation_again() {
    let scenario = Scenario::small("namespace");
    judge::apply(&scenario).done();
    scenario.kubectl(&["delete", "namespace", &scenario.namespace]).exits(0);
    assert_eq!(found(&scenario, 4), ["absent Release NAME"], "whether it was ever there, nobody can tell any more");
    let judged = judge::apply(&scenario).done();
    assert_eq!(judged.plan.summary.keep, 0);
    assert_eq!(scenario.revisions(), ["1 deployed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_that_was_uninstalled_is_missed() {
    let scenario = Scenario::small("uninstalled");
    for more in [&["--keep-history"][..], &[]] {
        judge::apply(&scenario).done();
        scenario.helm(Helm::Four, &[&["uninstall", &scenario.release], more].concat()).exits(0);
        let found = found(&scenario, 3);
        assert_eq!(found[0], "absent Release NAME", "{more:?}");
        assert!(found.contains(&"deleted Deployment NAME".to_owned()), "{found:#?}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_namespace_that_is_going_has_moved() {
    let scenario = Scenario::small("going");
    judge::apply(&scenario).done();
    let finalizers = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    let held = format!("configmap/{}", scenario.release);
    scenario.kubectl(&["patch", &held, "--type=merge", "--patch", finalizers]).exits(0);
    scenario.kubectl(&["delete", "namespace", &scenario.namespace, "--wait=false"]).exits(0);
    let found = scenario.cfrt(&["drift", "desired.toml"]);
    scenario.kubectl(&["patch", &held, "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#]).exits(0);
    assert!(matches!(found.code, 3 | 4) && found.stdout.contains("  Namespace "), "{found}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_variable_and_an_annotation_that_someone_set_are_told_in_one_line_each() {
    let scenario = Scenario::small("lines");
    scenario.values("{deployment: {env: {MODE: calm}}, annotations: {note: ours}}");
    judge::apply(&scenario).done();
    let name = &scenario.release;
    scenario.kubectl(&["set", "env", &format!("deployment/{name}"), "MODE=wild"]).exits(0);
    scenario.kubectl(&["scale", &format!("deployment/{name}"), "--replicas=3"]).exits(0);
    scenario.kubectl(&["annotate", &format!("service/{name}"), "note=theirs", "--overwrite"]).exits(0);
    let text = text(&scenario, 3);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0], "drift: 2 objects moved, 5 as they should be");
    assert!(
        lines[1]
            .starts_with("  Service NAME/NAME   metadata.annotations.note ours → theirs   by kubectl-annotate at 2")
    );
    assert!(
        lines[2].starts_with("  Deployment NAME/NAME   spec.replicas 1 → 3   by kubectl (scale), time unknown   id ")
    );
    assert!(lines[3].contains("env[MODE].value calm → wild   by kubectl-set at 2"), "{text}");
    scenario.cfrt(&["drift", "desired.toml", "--metrics", "a.prom", "--junit", "a.xml"]).exits(3);
    let read = |name| std::fs::read_to_string(scenario.folder().join(name)).expect("it was written");
    let metrics = read("a.prom");
    assert!(metrics.contains("cfrt_drift_success{file=\"desired.toml\"} 1\n"), "{metrics}");
    assert!(metrics.lines().any(|line| line.starts_with("cfrt_drift_moved_resources{") && line.ends_with("} 2")));
    let junit = read("a.xml");
    assert!(junit.contains("<testsuites name=\"cfrt drift\" tests=\"4\" failures=\"3\">"), "{junit}");
    let markdown = scenario.cfrt(&["drift", "desired.toml", "--output", "markdown"]).exits(3).stdout;
    assert!(markdown.starts_with("**drift: 2 objects moved, 5 as they should be**\n"), "{markdown}");
    let plan = scenario.cfrt(&["plan", "desired.toml"]).exits(0).stdout;
    assert!(
        plan.contains("          + 1                                       drift: kubectl (scale), time unknown\n"),
        "{plan}"
    );
    judge::apply(&scenario).done();
    assert_eq!(self::text(&scenario, 0), "no drift: 7 as they should be\n");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_file_changed_is_no_drift_and_what_both_changed_is_both() {
    let scenario = Scenario::small("both");
    scenario.values("{count: 1, data: {greeting: one}, deployment: {env: {MODE: calm}}}");
    judge::apply(&scenario).done();
    scenario.values("{count: 2, data: {greeting: two}, deployment: {env: {MODE: brisk}}}");
    assert_eq!(found(&scenario, 0), [""; 0]);
    assert_eq!(text(&scenario, 0), "no drift: 5 as they should be, 4 changes from the file\n");
    scenario.cfrt(&["drift", "desired.toml", "--detailed-exitcode"]).exits(2);
    let name = &scenario.release;
    scenario.kubectl(&["set", "env", &format!("deployment/{name}"), "MODE=wild"]).exits(0);
    scenario.kubectl(&["scale", &format!("deployment/{name}"), "--replicas=3"]).exits(0);
    scenario.kubectl(&["delete", &format!("configmap/{name}-00000")]).exits(0);
    let findings = [
        "deleted ConfigMap NAME-00000",
        "changed Deployment NAME spec.replicas by kubectl (scale)",
        "changed Deployment NAME spec.template.spec.containers[small].env[MODE].value by kubectl-set, too",
    ];
    assert_eq!(found(&scenario, 4), findings);
    let origins = scenario.cfrt(&["plan", "desired.toml", "--output", "json"]).exits(0).json();
    let steps = origins["steps"].as_array().cloned().unwrap_or_default();
    let fields = steps.iter().flat_map(|step| step["fields"].as_array().cloned().unwrap_or_default());
    let from = fields.map(|field| field["origin"]["from"].clone()).collect::<Vec<_>>();
    assert_eq!(from, [json!("file"), json!("world"), json!("both")]);
    judge::apply(&scenario).done();
    assert_eq!(found(&scenario, 0), [""; 0]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_that_helm_took_further_is_one_finding_beside_what_it_moved_and_goes_with_an_apply() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("moved");
        scenario.values("{count: 1, data: {greeting: one}}");
        judge::apply(&scenario).done();
        let more = ["--set", "data.greeting=two,deployment.replicas=2,count=0", "--set", "ingress.enabled=true"];
        scenario.helm_upgrade(helm, &more).exits(0);
        let mut found = found(&scenario, 3);
        found.iter_mut().for_each(|line| *line = line.to_lowercase());
        let mut expected = [
            "moved release name revision by helm",
            "deleted configmap name-00000 by helm",
            "changed configmap name data.greeting by helm",
            "changed deployment name spec.replicas by helm",
            "extra ingress name by helm",
        ];
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "after {helm:?}");
        let text = text(&scenario, 3);
        assert!(text.contains("  Release NAME/NAME   revision 1 → 2   by "), "{text}");
        judge::apply(&scenario).done();
        assert_eq!(self::found(&scenario, 0), [""; 0]);
        scenario.values("{count: 1, data: {greeting: three}}");
        assert_eq!(self::found(&scenario, 0), [""; 0]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_that_helm_made_and_we_took_over_has_not_moved() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("taken");
        scenario.values("data: {greeting: one}");
        scenario.helm_upgrade(helm, &[]).exits(0);
        assert_eq!(found(&scenario, 0), [""; 0], "after {helm:?}");
        judge::apply(&scenario).done();
        assert_eq!(found(&scenario, 0), [""; 0], "after {helm:?}");
        scenario.kubectl(&["scale", &format!("deployment/{}", scenario.release), "--replicas=3"]).exits(0);
        assert_eq!(found(&scenario, 3), ["changed Deployment NAME spec.replicas by kubectl (scale)"]);
        scenario.values("data: {greeting: two}");
        assert_eq!(found(&scenario, 4), ["changed Deployment NAME spec.replicas by kubectl (scale)"]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_a_rule_ignores_is_told_with_its_reason_and_does_not_count() {
    let scenario = Scenario::small("ignored");
    judge::apply(&scenario).done();
    let name = scenario.release.clone();
    scenario.kubectl(&["scale", &format!("deployment/{name}"), "--replicas=3"]).exits(0);
    let desired = scenario.desired();
    let with = |rules: &str| {
        scenario.write("desired.toml", &format!("{desired}\n[drift]\nignore = [{rules}]\n"));
    };
    let deployment = format!("resource = \"Deployment {name}/{name}\"");
    with(&format!("{{ {deployment}, field = \"spec\", reason = \"a test\", until = 2999-12-31 }}"));
    let text = text(&scenario, 0);
    let start = "no drift: 6 as they should be, 1 finding ignored\n  ignored until 2999-12-31: Deployment NAME/NAME   \
                 spec.replicas 1 → 3   a test   id ";
    assert!(text.starts_with(start), "{text}");
    with(&format!("{{ {deployment}, field = \"spec\", reason = \"a test\", until = 2001-12-31 }}"));
    let text = self::text(&scenario, 3);
    let note = "note: the rule for Deployment NAME/NAME spec ended on 2001-12-31 and ignores nothing any more\n";
    assert!(text.ends_with(note), "{text}");
    let [idle, stranger] = [
        format!("{{ {deployment}, field = \"spec.template\", reason = \"a test\", until = 2999-12-31 }}"),
        "{ resource = \"Deployment other\", reason = \"a test\", until = 2999-12-31 }".to_owned(),
    ];
    with(&format!("{idle}, {stranger}"));
    let text = self::text(&scenario, 3);
    let notes = "note: the rule for Deployment NAME/NAME spec.template had nothing to ignore\n\
                 note: the rule for Deployment other ignores nothing: the file has no such resource\n";
    assert!(text.ends_with(notes), "{text}");
    judge::apply(&scenario).done();
    assert_eq!(scenario.get(&format!("deployment/{name}"))["spec"]["replicas"], 1, "an apply ignores no drift");
}
