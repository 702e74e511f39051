//! Hooks and what bears their names already: an earlier run's is replaced and told, anything else is left alone.

use crate::common::audit::{self, Event};
use crate::common::judge;
use crate::common::process::{end, until};
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

fn values(greeting: &str, hooks: &str, more: &str) -> String {
    format!("{{deployment: {{enabled: false}}, data: {{greeting: {greeting}}}, hooks: [{hooks}]{more}}}")
}

/// Why a hook runs, or may not.
#[track_caller]
fn reason<'a>(plan: &'a crate::common::plan::Plan, name: &str) -> &'a str {
    let hooks = plan.steps.iter().filter(|step| step.is_hook());
    let hook = hooks.into_iter().find(|step| step.address.ends_with(&format!("/{name}")));
    hook.map_or_else(|| end(&format!("there is no hook {name}")), |hook| &hook.reason)
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_an_earlier_run_left_is_told_and_nothing_else_is_deleted() {
    let scenario = Scenario::small("left");
    let hooks = "{name: job, event: 'post-install,post-upgrade', policy: hook-failed}, \
                 {name: fresh, kind: ConfigMap, event: 'pre-install,pre-upgrade'}, \
                 {name: kept, kind: ConfigMap, event: 'pre-install,pre-upgrade', policy: hook-failed}";
    scenario.values(&values("one", hooks, ""));
    let judged = judge::apply(&scenario).done();
    assert_eq!(reason(&judged.plan, "job"), "hook, weight 0");
    let before = ["job/job", "configmap/fresh", "configmap/kept"].map(|object| scenario.uid(object));

    scenario.values(&values("two", hooks, ""));
    let shown = scenario.cfrt(&["plan", "desired.toml"]).exits(0).stdout;
    let left = " 3 hooks replace what an earlier run left. Nothing else is deleted or replaced.\n";
    assert!(shown.ends_with(left), "{shown}");
    let judged = judge::apply(&scenario).done();
    assert_eq!(reason(&judged.plan, "job"), "hook, weight 0; replaces what an earlier run left");
    assert_eq!(reason(&judged.plan, "fresh"), "hook, weight 0; replaces what an earlier run left");
    assert_eq!(reason(&judged.plan, "kept"), "hook, weight 0; is written over what an earlier run left");
    let after = ["job/job", "configmap/fresh", "configmap/kept"].map(|object| scenario.uid(object));
    assert!(before[0] != after[0] && before[1] != after[1]);
    assert_eq!(before[2], after[2]);
    let writes = judged.writes();
    let deleted = writes.iter().filter(|event| event.verb() == "delete" && !event.is_record());
    let exactly = |event: &&&Event| event.0.pointer("/requestObject/preconditions/uid").cloned();
    let mut deleted: Vec<_> = deleted.map(|event| (event.name(), exactly(&event))).collect();
    deleted.sort_by_key(|(name, _)| *name);
    assert_eq!(deleted, [("fresh", Some(before[1].clone())), ("job", Some(before[0].clone()))]);
    let mark = audit::mark();
    scenario.detailed().exits(0);
    let asked = audit::since(mark, &scenario);
    assert!(asked.len() > 5 && asked.iter().all(|event| event.resource() != "jobs"), "a hook that won't run is read");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_is_no_hook_is_left_alone_and_the_plan_refused() {
    for (kind, create, policy, would) in [
        ("Job", &["job", "taken", "--image=quay.io/example/app:1.0.0"][..], "before-hook-creation", "delete it"),
        ("Job", &["job", "taken", "--image=quay.io/example/app:1.0.0"], "hook-failed", "delete it"),
        ("ConfigMap", &["configmap", "taken"], "before-hook-creation", "delete it"),
        ("ConfigMap", &["configmap", "taken"], "hook-succeeded", "write over it"),
    ] {
        let scenario = Scenario::small("foreign-hook");
        let _made = scenario.kubectl(&["create", "namespace", &scenario.namespace]).exits(0);
        let _foreign = scenario.kubectl(&[&["create"], create].concat()).exits(0);
        let there = scenario.uid(&format!("{kind}/taken"));
        scenario.values(&values(
            "one",
            &format!("{{name: taken, kind: {kind}, event: pre-install, policy: '{policy}'}}"),
            "",
        ));
        let judged = judge::apply(&scenario).exits(5);
        assert_eq!(
            reason(&judged.plan, "taken"),
            format!(
                "a {kind} of this name is there that is no hook; the hook would {would}, so rename one of them, or \
                 delete it by hand"
            )
        );
        assert!(judged.writes().is_empty(), "{:?}", judged.writes_of_objects());
        assert_eq!(scenario.uid(&format!("{kind}/taken")), there);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_turns_up_under_a_hook_s_name_while_we_work_is_left_alone() {
    let scenario = Scenario::small("turns-up");
    let hooks = "{name: first, event: pre-install, weight: -1, suspend: true}, {name: second, event: pre-install}";
    scenario.values(&values("one", hooks, ""));
    let apply = scenario.program(&["apply", "desired.toml", "--yes"]).start();
    until("the first hook is waited for", || scenario.find("job/first"));
    let _foreign = scenario.kubectl(&["create", "job", "second", "--image=quay.io/example/app:1.0.0"]).exits(0);
    let there = scenario.uid("job/second");
    let resume = ["patch", "job", "first", "--type", "merge", "--patch", r#"{"spec":{"suspend":false}}"#];
    let _resumed = scenario.kubectl(&resume).exits(0);
    let ran = apply.ended().exits(6);
    assert!(ran.stderr.contains("it is not what was there when the plan was made"), "{ran}");
    assert_eq!(scenario.uid("job/second"), there);
    assert_eq!(scenario.revisions(), ["1 failed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_kept_hook_is_written_over_whoever_wrote_it_last() {
    let scenario = Scenario::small("kept-of-helm");
    let event = |more: &str| format!("{{name: kept, kind: ConfigMap, event: '{more}', policy: hook-failed}}");
    scenario.values(&values("one", &event("pre-install,pre-upgrade"), ""));
    scenario.helm_upgrade(Helm::Three, &[]).exits(0);
    let there = scenario.uid("configmap/kept");
    for (greeting, events) in [("two", "pre-upgrade,post-delete"), ("three", "pre-upgrade,post-rollback")] {
        scenario.values(&values(greeting, &event(events), ""));
        let judged = judge::apply(&scenario).done();
        assert_eq!(reason(&judged.plan, "kept"), "hook, weight 0; is written over what an earlier run left");
        let kept = scenario.get("configmap/kept");
        assert_eq!((&kept["metadata"]["uid"], kept["data"]["event"].as_str()), (&there, Some(events)));
        let edit = ["patch", "configmap", "kept", "--patch", r#"{"data":{"event":"edited"}}"#];
        let _edited = scenario.kubectl(&edit).exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_hook_of_two_events_runs_at_both_in_one_revision() {
    let scenario = Scenario::small("twice-in-one");
    let events = "event: 'pre-install,post-install'";
    let hooks = format!(
        "{{name: job, {events}}}, {{name: text, kind: ConfigMap, {events}}}, \
         {{name: kept, kind: ConfigMap, {events}, policy: hook-failed}}, \
         {{name: gone, kind: ConfigMap, {events}, policy: hook-succeeded}}"
    );
    scenario.values(&values("one", &hooks, ""));
    let judged = judge::apply(&scenario).done();
    let runs = |name: &str| {
        let about = |event: &&&Event| event.verb() == "patch" && event.name() == name && event.succeeded();
        judged.writes().iter().filter(about).count()
    };
    assert_eq!(["job", "text", "kept", "gone"].map(runs), [2; 4]);
    assert!(scenario.find("configmap/kept").is_some() && scenario.find("configmap/gone").is_none());
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_of_the_release_can_become_a_hook() {
    let scenario = Scenario::small("becomes");
    let job = |name: &str| {
        format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: a, image: 'quay.io/example/app:1.0.0'}}]}}}}}}}}"
        )
    };
    let config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: text}, data: {a: b}}";
    let objects = format!(", extraObjects: [{}, {}, {config}]", job("before"), job("after"));
    scenario.values(&values("one", "", &objects));
    judge::apply(&scenario).done();
    let before = ["job/before", "job/after", "configmap/text"].map(|object| scenario.uid(object));
    let hooks = "{name: before, event: pre-upgrade}, {name: after, event: post-upgrade}, \
                 {name: text, kind: ConfigMap, event: pre-upgrade, policy: hook-failed}";
    scenario.values(&values("one", hooks, ""));
    let judged = judge::apply(&scenario).done();
    assert_eq!(reason(&judged.plan, "before"), "hook, weight 0; replaces the object that it was until now");
    assert_eq!(reason(&judged.plan, "text"), "hook, weight 0; is written over the object that it was until now");
    let after = ["job/before", "job/after", "configmap/text"].map(|object| scenario.uid(object));
    assert!(before[0] != after[0] && before[1] != after[1] && before[2] == after[2]);
    let text = scenario.get("configmap/text");
    assert_eq!(text["metadata"]["annotations"]["helm.sh/hook"], "pre-upgrade");
    assert_eq!(text["metadata"]["annotations"].get("meta.helm.sh/release-name"), None);
    scenario.detailed().exits(0);
}
