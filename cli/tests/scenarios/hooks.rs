//! Hooks: what is left of them afterwards, by deletion policy and outcome, is what helm leaves.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::judge;
use crate::common::process::until;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// Every policy that a hook can have, with a name for it.
const POLICIES: [(&str, &str); 6] = [
    ("none", ""),
    ("before", "before-hook-creation"),
    ("succeeded", "hook-succeeded"),
    ("failed", "hook-failed"),
    ("both", "hook-succeeded,hook-failed"),
    ("all", "before-hook-creation,hook-succeeded,hook-failed"),
];

fn hook(name: &str, event: &str, weight: i8, policy: &str, image: &str) -> String {
    let policy = if policy.is_empty() { String::new() } else { format!(", policy: \"{policy}\"") };
    format!("{{name: {name}, event: \"{event}\", weight: {weight}, image: \"quay.io/example/hook:{image}\"{policy}}}")
}

fn values(hooks: &[String]) -> String {
    format!("{{deployment: {{enabled: false}}, hooks: [{}]}}", hooks.join(", "))
}

/// The Jobs that are there, but for those that are just going.
fn jobs(scenario: &Scenario) -> BTreeSet<String> {
    until("what is being deleted is gone", || {
        let jobs = scenario.list("jobs");
        let going = |job: &Value| job["metadata"].get("deletionTimestamp").is_some();
        let name = |job: &Value| job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (!jobs.iter().any(going)).then(|| jobs.iter().map(name).collect())
    })
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn after_success_the_same_hooks_are_left_as_by_helm() {
    let hooks: Vec<String> = POLICIES
        .iter()
        .flat_map(|(name, policy)| ["pre-install", "post-install"].map(|event| (name, policy, event)))
        .map(|(name, policy, event)| hook(&format!("{name}-{event}"), event, 0, policy, "1.0.0"))
        .collect();
    let ours = Scenario::small("success");
    ours.values(&values(&hooks));
    judge::apply(&ours).done();
    let left = jobs(&ours);
    assert!(left.contains("none-pre-install") && !left.contains("succeeded-post-install"), "{left:?}");
    for helm in Helm::BOTH {
        let theirs = Scenario::small("success");
        theirs.values(&values(&hooks));
        theirs.helm_upgrade(helm, &[]).exits(0);
        assert_eq!(left, jobs(&theirs), "{helm:?}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn after_a_failure_the_same_hooks_are_left_as_by_helm() {
    for (name, policy) in POLICIES {
        let hooks = [
            hook("earlier", "pre-install", 0, "hook-succeeded", "1.0.0"),
            hook("earlier-kept", "pre-install", 1, "hook-failed", "1.0.0"),
            hook("broken", "pre-install", 2, policy, "fails"),
            hook("later", "pre-install", 3, "", "1.0.0"),
        ];
        let ours = Scenario::small("failure");
        ours.values(&values(&hooks));
        let judged = judge::apply(&ours).exits(10);
        assert!(judged.ran.stderr.contains("broken"), "{}", judged.ran);
        let theirs = Scenario::small("failure");
        theirs.values(&values(&hooks));
        theirs.helm_upgrade(Helm::Four, &[]).exits(1);
        assert_eq!(jobs(&ours), jobs(&theirs), "{name}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_hook_runs_again_with_each_revision_whatever_is_left_of_it() {
    let scenario = Scenario::small("again");
    let hooks: Vec<String> =
        POLICIES.iter().map(|(name, policy)| hook(name, "post-install,post-upgrade", 0, policy, "1.0.0")).collect();
    let text = |greeting: &str| {
        let hooks = hooks.join(", ");
        format!("{{deployment: {{enabled: false}}, data: {{greeting: {greeting}}}, hooks: [{hooks}]}}")
    };
    scenario.values(&text("one"));
    judge::apply(&scenario).done();
    let uid = |name: &str| scenario.get(&format!("job/{name}"))["metadata"]["uid"].clone();
    let before = ["none", "before", "failed"].map(uid);
    scenario.values(&text("two"));
    let judged = judge::apply(&scenario).done();
    let hooks = judged.plan.writing().filter(|step| step.part.as_deref() == Some("post-upgrade")).count();
    assert_eq!(hooks, POLICIES.len());
    for (name, before) in ["none", "before", "failed"].into_iter().zip(before) {
        assert_ne!(uid(name), before, "{name} did not run again");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn hooks_that_are_no_jobs_are_done_once_they_are_there() {
    let scenario = Scenario::small("kinds");
    let config = "{name: text, event: 'pre-install,pre-upgrade', weight: -1, kind: ConfigMap}";
    let temporary = "{name: temporary, event: pre-install, kind: ConfigMap, policy: hook-succeeded}";
    scenario.values(&format!("{{deployment: {{enabled: false}}, hooks: [{config}, {temporary}]}}"));
    judge::apply(&scenario).done();
    let text = scenario.get("configmap/text");
    assert_eq!(text["metadata"]["annotations"].get("meta.helm.sh/release-name"), None, "hooks belong to no release");
    assert!(scenario.find("configmap/temporary").is_none());
    scenario.detailed().exits(0);
}
