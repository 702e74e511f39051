//! Objects that fail: their cause is named, only what needs them is skipped, and the next apply goes on from there.

use std::collections::BTreeMap;

use crate::common::judge::{self, Judged};
use crate::common::scenario::Scenario;

/// A Deployment with a container image of this tag.
fn deployment(name: &str, tag: &str, more: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}, spec: {{\
         selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: \
         {{containers: [{{name: main, image: 'quay.io/example/app:{tag}'{more}}}]}}}}}}}}"
    )
}

fn values(objects: &[String], count: u8) -> String {
    let hook = "{name: last, event: 'post-install,post-upgrade'}";
    let objects = objects.join(", ");
    format!("{{count: {count}, data: {{count: '{count}'}}, hooks: [{hook}], extraObjects: [{objects}]}}")
}

/// What became of each of the chart's steps, by kind and name, with the scenario's own name as `NAME`.
fn outcomes(scenario: &Scenario, judged: &Judged) -> BTreeMap<String, String> {
    let own = judged.applied.steps.iter().filter(|step| step.task == "chart");
    let name = |what: &str| what.replace(&format!("{}/", scenario.namespace), "").replace(&scenario.namespace, "NAME");
    own.map(|step| (name(step.short()), step.outcome.clone().unwrap_or_default())).collect()
}

/// What doesn't need what failed is written, and may or may not be ready by then: nobody waits for it any longer.
fn is_written(outcome: &str) -> bool {
    matches!(outcome, "done" | "not_awaited")
}

/// The causes that are told of a step that failed.
#[track_caller]
fn causes(judged: &Judged, name: &str) -> String {
    let failed = judged.applied.steps.iter().find(|step| step.address.ends_with(&format!("/{name}")));
    let failed = failed.expect("the step is told");
    assert_eq!(failed.outcome.as_deref(), Some("failed"), "{failed:?}");
    failed.causes.join(": ")
}

/// Fails unless exactly these were skipped, each because of what failed.
#[track_caller]
fn skipped(judged: &Judged, names: &[&str], because: &str) {
    let skipped = judged.applied.steps.iter().filter(|step| step.outcome.as_deref() == Some("skipped"));
    let mut seen = Vec::new();
    for step in skipped {
        assert!(step.needs.as_deref().is_some_and(|needs| needs.contains(because)), "{step:?}");
        seen.push(step.address.rsplit('/').next().unwrap_or_default());
    }
    seen.sort_unstable();
    assert_eq!(seen, names);
    let release = judged.applied.release();
    assert_eq!(release.outcome.as_deref(), Some("closed_as_failed"), "{release:?}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_deployment_that_never_comes_up_skips_only_what_waits_for_all() {
    for (tag, cause) in [("does-not-exist", "manifest unknown"), ("crashes", "crash loop")] {
        let scenario = Scenario::small("broken");
        scenario.values(&values(&[deployment("broken", tag, ""), deployment("fine", "1.0.0", "")], 1));
        let judged = judge::apply(&scenario).exits(10);
        let causes = causes(&judged, "broken");
        assert!(causes.contains(cause), "{causes}");
        assert!(judged.ran.stderr.contains("broken"), "{}", judged.ran);
        skipped(&judged, &["last"], "broken");
        let outcomes = outcomes(&scenario, &judged);
        for written in ["ConfigMap NAME", "ConfigMap NAME-00000", "Deployment NAME", "Deployment fine", "Secret NAME"] {
            assert!(is_written(&outcomes[written]), "{written}: {outcomes:#?}");
        }
        assert!(scenario.find("deployment/fine").is_some());
        assert!(scenario.find("job/last").is_none());
        assert_eq!(scenario.revisions(), ["1 failed"]);

        scenario.values(&values(&[deployment("broken", "1.0.0", ""), deployment("fine", "1.0.0", "")], 1));
        let judged = judge::apply(&scenario).done();
        let image = "spec.template.spec.containers[main].image";
        let told = judged.plan.told(&scenario.namespace);
        assert_eq!(told, ["run Job last (post-upgrade)", &format!("update Deployment broken {image}")]);
        let (reason, failed) = (&judged.plan.release().reason, "revision 2: revision 1 is failed; values changed: ");
        assert!(reason.starts_with(failed) && reason.ends_with("containers[main].image"), "{reason}");
        assert_eq!(scenario.revisions(), ["1 failed", "2 deployed"]);
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_a_revision_no_longer_has_goes_only_once_the_new_ones_are_ready() {
    let scenario = Scenario::small("kept");
    scenario.values(&values(&[deployment("app", "1.0.0", "")], 1));
    judge::apply(&scenario).done();
    let old = format!("configmap/{}-00000", scenario.release);

    scenario.values(&values(&[deployment("app", "does-not-exist", "")], 0));
    let judged = judge::apply(&scenario).exits(10);
    assert!(causes(&judged, "app").contains("manifest unknown"), "{}", judged.ran);
    let removed = format!("{}-00000", scenario.release);
    skipped(&judged, &["last", &removed], "app");
    assert!(scenario.find(&old).is_some(), "what runs still may need it");
    assert_eq!(scenario.revisions(), ["1 deployed", "2 failed"]);

    scenario.values(&values(&[deployment("app", "1.0.1", "")], 0));
    judge::apply(&scenario).done();
    assert!(scenario.find(&old).is_none());
    assert_eq!(scenario.revisions(), ["1 superseded", "2 failed", "3 deployed"]);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_server_does_not_take_skips_only_what_needs_it() {
    let scenario = Scenario::small("untaken");
    let config =
        |key: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: wrong}}, data: {{{key}: x}}}}");
    let needing = deployment("needing", "1.0.0", ", envFrom: [{configMapRef: {name: wrong}}]");
    let objects = |key: &str| [config(key), needing.clone(), deployment("fine", "1.0.0", "")];
    scenario.values(&values(&objects("not/a-key"), 0));
    let judged = judge::apply(&scenario).exits(10);
    let causes = causes(&judged, "wrong");
    assert!(causes.starts_with("creating ConfigMap ") && causes.contains("not/a-key"), "{causes}");
    skipped(&judged, &["last", "needing"], "wrong");
    let outcomes = outcomes(&scenario, &judged);
    for written in ["ConfigMap NAME", "Deployment NAME", "Deployment fine", "Service NAME"] {
        assert!(is_written(&outcomes[written]), "{written}: {outcomes:#?}");
    }
    assert!(scenario.find("deployment/needing").is_none());
    assert_eq!(scenario.revisions(), ["1 failed"]);

    scenario.values(&values(&objects("a-key"), 0));
    let judged = judge::apply(&scenario).done();
    let told = judged.plan.told(&scenario.namespace);
    let create = ["create ConfigMap wrong", "create Deployment needing", "run Job last (post-upgrade)"];
    assert_eq!(told, create);
    assert_eq!(scenario.revisions(), ["1 failed", "2 deployed"]);
    scenario.detailed().exits(0);
}
