//! Hooks that never come to an end: what can't heal is told at once, what may heal is waited for up to the limit.

use crate::common::judge::{self, Judged};
use crate::common::scenario::Scenario;

/// A hook of a kind with pods, whose pod needs something.
fn values(kind: &str, tag: &str, more: &str) -> String {
    let pod = format!("restartPolicy: Never, containers: [{{name: hook, image: 'quay.io/example/hook:{tag}'}}]{more}");
    let (api, spec) = match kind {
        "Job" => ("batch/v1", format!("{{backoffLimit: 0, template: {{spec: {{{pod}}}}}}}")),
        _ => ("v1", format!("{{{pod}}}")),
    };
    let hook = "helm.sh/hook: 'pre-install,pre-upgrade'";
    let metadata = format!("{{name: check, annotations: {{{hook}}}}}");
    format!(
        "{{deployment: {{enabled: false}}, extraObjects: [{{apiVersion: {api}, kind: {kind}, metadata: {metadata}, spec: {spec}}}]}}"
    )
}

/// Fails unless the hook failed with all of these words, told from the release down to what is the matter, and the release was
/// closed as failed without anything after the hook.
#[track_caller]
fn failed(scenario: &Scenario, judged: &Judged, kind: &str, words: &[&str]) {
    let Scenario { namespace, release, .. } = scenario;
    let hook = judged.applied.steps.iter().find(|step| step.is_hook()).expect("there is a hook");
    let cause = hook.causes.join("\n");
    assert_eq!(hook.outcome.as_deref(), Some("failed"), "{cause}");
    let chain = match kind {
        "Job" => format!("Release {namespace}/{release} → Job {namespace}/check → Pod {namespace}/check-"),
        _ => format!("{kind} {namespace}/check"),
    };
    for words in [&[chain.as_str()], words].concat() {
        assert!(cause.contains(words), "{words:?} isn't in {cause:?}");
    }
    assert_eq!(judged.applied.release().outcome.as_deref(), Some("closed_as_failed"));
    assert_eq!(scenario.revisions(), ["1 failed"]);
    assert!(scenario.find(&format!("configmap/{release}")).is_none(), "what comes after the hook is skipped");
}

/// Fails unless the next apply succeeds. Only the pods of Jobs come to an end in a cluster without containers.
#[track_caller]
fn mended(scenario: &Scenario, kind: &str) {
    if kind == "Job" {
        scenario.values(&values(kind, "1.0.0", ""));
        judge::apply(scenario).done();
        assert_eq!(scenario.revisions(), ["1 failed", "2 deployed"]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_hook_whose_image_is_not_there_ends_the_wait_and_closes_the_release_as_failed() {
    for kind in ["Job", "Pod"] {
        let scenario = Scenario::small("no-image");
        scenario.values(&values(kind, "does-not-exist", ""));
        let judged = judge::apply(&scenario).exits(10);
        let image = "container hook: image \"quay.io/example/hook:does-not-exist\" can't be pulled: manifest unknown";
        failed(&scenario, &judged, kind, &[image]);
        mended(&scenario, kind);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_hook_that_is_never_scheduled_is_waited_for_up_to_the_limit_and_told_with_the_schedulers_reason() {
    for kind in ["Job", "Pod"] {
        let scenario = Scenario::small("unscheduled");
        scenario.write("desired.toml", &format!("{}\n[wait]\nlimit = \"1h\"\nchart = \"3s\"\n", scenario.desired()));
        scenario.values(&values(kind, "1.0.0", ", nodeSelector: {there: is-none}"));
        let judged = judge::apply(&scenario).exits(10);
        let reason = "pending: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector";
        failed(&scenario, &judged, kind, &["no progress for 3 s: ", reason]);
        assert!(judged.ran.stderr.contains("`[wait]` in the file says for how long"), "{}", judged.ran);
        mended(&scenario, kind);
    }
}
