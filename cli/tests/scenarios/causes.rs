//! What cannot heal ends the wait, and its cause is named from the release down to the container.

use crate::common::judge::{self, Judged};
use crate::common::scenario::Scenario;

/// Objects of the chart besides its own Deployment, which is left out.
fn values(objects: &[&str], more: &str) -> String {
    format!("{{deployment: {{enabled: false}}, extraObjects: [{}]{more}}}", objects.join(", "))
}

/// A Deployment, or another kind with pods, of one container of an image with a tag.
fn workload(kind: &str, name: &str, tag: &str, more: &str) -> String {
    let service = if kind == "StatefulSet" { "serviceName: x, podManagementPolicy: Parallel, " } else { "" };
    format!(
        "{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: {name}}}, spec: {{{service}selector: {{matchLabels: \
         {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: main, image: \
         'quay.io/example/app:{tag}'}}]{more}}}}}}}}}"
    )
}

/// All that is said of why a step failed.
#[track_caller]
fn cause(judged: &Judged, name: &str) -> String {
    let failed = judged.applied.steps.iter().find(|step| step.address.ends_with(&format!("/{name}")));
    let failed = failed.expect("the step is told");
    assert_eq!(failed.outcome.as_deref(), Some("failed"), "{failed:?} {}", judged.ran);
    failed.causes.join("\n")
}

/// Fails unless a cause begins with the chain down to an object, and says all of these words.
#[track_caller]
fn says(scenario: &Scenario, judged: &Judged, object: &str, words: &[&str]) {
    let Scenario { namespace, release, .. } = scenario;
    let (kind, name) = object.split_once(' ').expect("an object has a kind and a name");
    let cause = cause(judged, name);
    let chain = format!("Release {namespace}/{release} → {kind} {namespace}/{name} → ");
    for words in [&[chain.as_str()], words].concat() {
        assert!(cause.contains(words), "{words:?} isn't in {cause:?}");
    }
    let told = &judged.ran.stderr;
    assert!(cause.lines().all(|line| told.contains(line)), "{cause} isn't in {told}");
}

/// Fails unless a cause ends with the last lines that a container wrote, without what a terminal would obey.
#[track_caller]
fn says_the_log(judged: &Judged, name: &str) {
    let cause = cause(judged, name);
    let (_, log) = cause.split_once("its log ends:\n").expect("there is a log");
    assert_eq!(log.lines().count(), 20, "{log}");
    assert!(log.ends_with("starting, step 30 of 30\nERROR no database: connection refused"), "{log}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_image_that_is_not_there_is_named_with_its_container_and_the_next_apply_mends_it() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let scenario = Scenario::small("image");
        scenario.values(&values(&[&workload(kind, "app", "does-not-exist", "")], ""));
        let judged = judge::apply(&scenario).exits(10);
        let image = "container main: image \"quay.io/example/app:does-not-exist\" can't be pulled: manifest unknown";
        says(&scenario, &judged, &format!("{kind} app"), &[&format!("Pod {}/app-", scenario.namespace), image]);
        assert_eq!(scenario.revisions(), ["1 failed"]);

        scenario.values(&values(&[&workload(kind, "app", "1.0.0", "")], ""));
        judge::apply(&scenario).done();
        assert_eq!(scenario.revisions(), ["1 failed", "2 deployed"]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_crash_loop_is_named_with_its_exit_code() {
    let scenario = Scenario::small("crash");
    scenario.values(&values(&[&workload("Deployment", "app", "crashes", "")], ""));
    let judged = judge::apply(&scenario).exits(10);
    says(&scenario, &judged, "Deployment app", &["container main: crash loop, ", "exit code 1 (Error)"]);
    says_the_log(&judged, "app");
    scenario.values(&values(&[&workload("Deployment", "app", "1.0.0", "")], ""));
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_secret_that_a_container_wrote_is_not_told() {
    let scenario = Scenario::small("wrote");
    let crashes = workload("Deployment", "app", "crashes", "");
    scenario.values(&values(&[&crashes], ", secret: {password: 'connection refused'}"));
    let judged = judge::apply(&scenario).exits(10);
    let cause = cause(&judged, "app");
    assert!(cause.contains("ERROR no database: "), "{cause}");
    for told in [&judged.ran.stdout, &judged.ran.stderr] {
        assert!(!told.contains("connection refused"), "{told}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_quota_rejects_is_told_at_once_also_where_no_status_says_it() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
        let scenario = Scenario::small("quota");
        scenario.kubectl_anywhere(&["create", "namespace", &scenario.namespace]).exits(0);
        scenario.kubectl(&["create", "quota", "few", "--hard=pods=0"]).exits(0);
        scenario.values(&values(&[&workload(kind, "app", "1.0.0", "")], ""));
        let judged = judge::apply(&scenario).exits(10);
        let cause = cause(&judged, "app");
        assert!(cause.contains("FailedCreate: ") && cause.contains("exceeded quota: few"), "{cause}");
        scenario.kubectl(&["delete", "quota", "few"]).exits(0);
        judge::apply(&scenario).done();
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_pod_that_fits_nowhere_is_waited_for_up_to_the_limit_and_told_with_the_schedulers_reason() {
    let scenario = Scenario::small("nowhere");
    scenario.write("desired.toml", &format!("{}\n[wait]\nlimit = \"1h\"\nchart = \"3s\"\n", scenario.desired()));
    let nowhere = workload("Deployment", "app", "1.0.0", ", nodeSelector: {there: is-none}");
    scenario.values(&values(&[&nowhere], ""));
    let judged = judge::apply(&scenario).exits(10);
    let reason = "pending: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector";
    says(&scenario, &judged, "Deployment app", &["no progress for 3 s: 0 of 1", "/app-", reason]);
    assert!(judged.ran.stderr.contains("`[wait]` in the file says for how long"), "{}", judged.ran);
    scenario.values(&values(&[&workload("Deployment", "app", "1.0.0", "")], ""));
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_hook_that_fails_is_told_with_its_log_though_its_policy_removes_it() {
    let scenario = Scenario::small("hook");
    let hooks = |tag: &str| {
        let (events, policy) = ("pre-install,pre-upgrade", "before-hook-creation,hook-failed");
        let image = format!("quay.io/example/hook:{tag}");
        format!(", hooks: [{{name: check, event: '{events}', policy: '{policy}', image: '{image}'}}]")
    };
    scenario.values(&values(&[], &hooks("fails")));
    let judged = judge::apply(&scenario).exits(10);
    says(&scenario, &judged, "Job check", &["container hook: exit code 1 (Error); BackoffLimitExceeded: "]);
    says_the_log(&judged, "check");
    assert!(scenario.find("job/check").is_none());
    scenario.values(&values(&[], &hooks("does-not-exist")));
    let judged = judge::apply(&scenario).exits(10);
    says(&scenario, &judged, "Job check", &["can't be pulled: manifest unknown"]);
    scenario.values(&values(&[], &hooks("1.0.0")));
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_service_without_an_address_is_given_up_after_the_limit_and_not_before_it_has_one() {
    let scenario = Scenario::small("address");
    scenario.write("desired.toml", &format!("{}\n[wait]\nlimit = \"2s\"\n", scenario.desired()));
    let service =
        "{apiVersion: v1, kind: Service, metadata: {name: door}, spec: {type: LoadBalancer, ports: [{port: 80}]}}";
    scenario.values(&values(&[service], ""));
    let judged = judge::apply(&scenario).exits(10);
    let cause = cause(&judged, "door");
    assert!(cause.contains("no progress for 2 s: no load balancer has given it an address yet"), "{cause}");
    let status = r#"{"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}"#;
    scenario.kubectl(&["patch", "service", "door", "--subresource=status", "--type=merge", "-p", status]).exits(0);
    judge::apply(&scenario).done();
}
