//! The faults of the world: a proxy brings them to an apply, which ends as without them, or says why it doesn't.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use cfrt_sandbox::Schedule;
use serde_json::json;

use crate::common::faults::Faulty;
use crate::common::judge::{self, Judged};
use crate::common::process::until;
use crate::common::scenario::Scenario;

const HOOK: &str = "{name: last, event: 'post-install,post-upgrade'}";

fn values(scenario: &Scenario, greeting: &str, count: u8) {
    scenario.values(&format!("{{count: {count}, data: {{greeting: '{greeting}'}}, hooks: [{HOOK}]}}"));
}

/// Applies through a proxy, and holds it against the plan.
#[track_caller]
fn applied(scenario: &Scenario, rules: &str) -> Judged {
    let faulty = Faulty::by(scenario, rules);
    let judged = judge::apply_by(scenario, || faulty.apply(scenario));
    assert!(
        judged.ran.code != 0 || judged.ran.stderr.is_empty() || !judged.ran.stderr.contains("error"),
        "{}",
        judged.ran
    );
    faulty.all_happened();
    judged
}

/// Fails where anything was made twice.
#[track_caller]
fn made_once(judged: &Judged) {
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    for event in judged.writes().into_iter().filter(|event| event.0["responseStatus"]["code"] == 201) {
        *made.entry(event.told()).or_default() += 1;
    }
    let twice: Vec<_> = made.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty() && !made.is_empty(), "made twice: {twice:?} of {made:#?}");
}

/// Fails unless nothing is left to do, and a further apply sends nothing.
#[track_caller]
fn converged(scenario: &Scenario) {
    scenario.detailed().exits(0);
    let judged = judge::apply(scenario).done();
    assert!(judged.writes().is_empty(), "{:#?}", judged.writes());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn creations_whose_answers_get_lost_are_looked_for_and_made_once() {
    let scenario = Scenario::small("lost");
    values(&scenario, "one", 1);
    let judged = applied(
        &scenario,
        "patch */configmaps/NAMESPACE 1 lose\n\
         patch */configmaps/NAMESPACE-00000 1 late=502\n\
         patch */deployments/* 1 late=504\n\
         patch */services/* 1 late=500\n\
         patch */jobs/* 1 truncate\n\
         create */secrets 1 late=500\n\
         replace */secrets/* 1 late=502\n",
    );
    made_once(&judged.done());
    assert_eq!(scenario.revisions(), ["1 deployed"]);
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn updates_and_deletions_whose_answers_get_lost_are_done_as_planned() {
    let scenario = Scenario::small("relost");
    values(&scenario, "one", 1);
    judge::apply(&scenario).done();
    values(&scenario, "two", 0);
    let judged = applied(
        &scenario,
        "patch */configmaps/NAMESPACE 1 lose\n\
         delete */configmaps/NAMESPACE-00000 1 late=504\n\
         delete */jobs/* 1 truncate\n",
    );
    judged.done();
    assert_eq!(scenario.get(&format!("configmap/{}", scenario.release))["data"]["greeting"], "two");
    assert!(scenario.find(&format!("configmap/{}-00000", scenario.release)).is_none());
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_server_that_puts_off_or_is_in_trouble_for_a_while_is_waited_for() {
    let scenario = Scenario::small("trouble");
    values(&scenario, "one", 2);
    let judged = applied(
        &scenario,
        "patch */configmaps/NAMESPACE 1-2 answer=429/1\n\
         patch */configmaps/NAMESPACE-00000 1-3 answer=429\n\
         patch */deployments/* 1-2 answer=503\n\
         patch */services/* 1-2 answer=500\n\
         patch */jobs/* 1 answer=504\n\
         patch */configmaps/NAMESPACE-00001 1 answer=502\n\
         create */secrets 1 answer=503\n\
         create *selfsubjectaccessreviews 2 answer=500\n\
         get */secrets 1 answer=429/1\n",
    );
    let judged = judged.done();
    made_once(&judged);
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn connections_that_end_are_made_again() {
    let scenario = Scenario::small("cut");
    values(&scenario, "one", 1);
    let judged = applied(
        &scenario,
        "patch */configmaps/NAMESPACE 1 cut\n\
         patch */configmaps/NAMESPACE-00000 1 goaway\n\
         patch */services/* 1 down=300\n\
         patch */deployments/* 1 twice\n\
         patch */jobs/* 1 twice\n\
         create */secrets 1 delay=200\n",
    );
    made_once(&judged.done());
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_connection_that_dies_without_a_word_is_given_up_for_another() {
    let scenario = Scenario::small("mute");
    let judged = applied(&scenario, "patch */configmaps/NAMESPACE 1 mute\n");
    made_once(&judged.done());
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_watch_that_ends_or_is_too_old_loses_nothing_of_what_happens_meanwhile() {
    let scenario = Scenario::small("watch");
    values(&scenario, "one", 1);
    let judged = applied(
        &scenario,
        "watch */deployments 1-2 drop\n\
         watch */jobs 1 gone\n\
         watch */jobs 2 drop\n\
         get */jobs 2 answer=410\n",
    );
    made_once(&judged.done());
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_through_faults_is_the_plan_without_them() {
    let scenario = Scenario::small("reads");
    values(&scenario, "one", 1);
    judge::apply(&scenario).done();
    values(&scenario, "two", 1);
    let calm = scenario.plan();
    for rules in [
        "get /api 1 cut\nget */configmaps* 1 answer=500\ndry-run * 1 answer=503\n",
        "get */configmaps* 1 truncate\nget */secrets 1 answer=429/1\ndry-run * 1 lose\n",
        "get */configmaps* 1 goaway\nget */secrets 1 cut\ndry-run * 1 late=504\n",
    ] {
        let faulty = Faulty::by(&scenario, rules);
        let ran = faulty.cfrt(&scenario, &["plan", "desired.toml", "--output", "json"]).exits(0);
        let plan: crate::common::plan::Plan = serde_json::from_str(&ran.stdout).expect("it is a plan");
        assert_eq!(plan.told(&scenario.namespace), calm.told(&scenario.namespace), "{}", faulty.told());
        faulty.all_happened();
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_conflict_is_read_again_and_one_that_does_not_end_is_stale() {
    let scenario = Scenario::small("conflict");
    values(&scenario, "one", 0);
    judge::apply(&scenario).done();
    values(&scenario, "two", 0);
    applied(&scenario, "patch */configmaps/NAMESPACE 1-3 answer=409\n").done();
    values(&scenario, "three", 0);
    let judged = applied(&scenario, "patch */configmaps/NAMESPACE every answer=409\n").exits(6);
    assert!(judged.ran.stderr.contains("others keep writing to it"), "{}", judged.ran);
    judge::apply(&scenario).done();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_others_changed_just_before_the_write_is_told_with_field_manager_and_value() {
    let scenario = Scenario::small("moved");
    values(&scenario, "one", 0);
    judge::apply(&scenario).done();
    values(&scenario, "two", 0);
    let faulty = Faulty::by(&scenario, "patch */configmaps/NAMESPACE 1 delay=3000\n");
    let ran = thread::scope(|scope| {
        let run = scope.spawn(|| faulty.cfrt(&scenario, &["apply", "desired.toml", "--yes"]));
        until("the write is on its way", || (!faulty.proxy.injected().is_empty()).then_some(()));
        let name = format!("configmap/{}", scenario.release);
        let theirs = ["patch", &name, "--field-manager=someone", "--patch", r#"{"data": {"greeting": "theirs"}}"#];
        scenario.kubectl(&theirs).exits(0);
        run.join().expect("it ends")
    });
    let ran = ran.exits(6);
    let told = "data.greeting was changed meanwhile by someone: it is \"theirs\" by now";
    assert!(ran.stderr.contains(told), "{ran}");
    assert_eq!(scenario.get(&format!("configmap/{}", scenario.release))["data"]["greeting"], "theirs");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_login_that_is_not_taken_any_more_is_renewed_once() {
    let scenario = Scenario::small("expired");
    values(&scenario, "one", 0);
    let faulty = Faulty::by(&scenario, "patch */configmaps/NAMESPACE 1 expire\n");
    let (script, runs) = (scenario.folder().join("login.sh"), scenario.folder().join("runs"));
    let answer =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"TOKEN.$n"}}"#;
    let answer = answer.replace("TOKEN", faulty.proxy.token()).replace('"', "\\\"");
    let runs_file = runs.display();
    let text = format!("#!/bin/sh\necho run >> {runs_file}\nn=$(/usr/bin/wc -l < {runs_file})\necho \"{answer}\"\n");
    fs::write(&script, text).expect("the folder is writable");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": script, "interactiveMode": "Never",
    }});
    let login = scenario.folder().join("login.json");
    fs::write(&login, faulty.proxy.login(&user)).expect("the folder is writable");
    let apply = ["apply", "desired.toml", "--yes"];
    let ran = scenario.program(&apply).variable("KUBECONFIG", &login).run().exits(0);
    faulty.all_happened();
    let count = fs::read_to_string(&runs).expect("it ran").lines().count();
    // One login is `cfrt`'s at its start, one is the renewed one; helm and the look afterwards log in by themselves.
    assert!((2..=6).contains(&count), "{count}");
    assert!(!(ran.stdout + &ran.stderr).contains(faulty.proxy.token()));
    converged(&scenario);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_login_that_can_not_be_renewed_is_told_with_what_to_do() {
    let scenario = Scenario::small("unrenewed");
    values(&scenario, "one", 0);
    let faulty = Faulty::by(&scenario, "patch */configmaps/NAMESPACE 1 expire\n");
    let ran = faulty.cfrt(&scenario, &["apply", "desired.toml", "--yes"]);
    assert!([1, 10].contains(&ran.code), "{ran}");
    assert!(ran.stderr.contains("log in as you do for kubectl"), "{ran}");
    assert!(!(ran.stdout + &ran.stderr).contains(faulty.proxy.token()));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn chance_may_break_an_apply_and_the_next_one_without_it_finishes_the_job() {
    for seed in 1..=5 {
        let scenario = Scenario::small(&format!("seed{seed}"));
        values(&scenario, "one", 2);
        let faulty = Faulty::of(Schedule::random(seed));
        let broken = faulty.cfrt(&scenario, &["apply", "desired.toml", "--yes", "--output", "json"]);
        assert!([0, 1, 6, 8, 9, 10].contains(&broken.code), "{broken}\n{}", faulty.told());
        assert!(!broken.stderr.contains("panicked"), "{broken}\n{}", faulty.told());
        let ran = scenario.cfrt(&["apply", "desired.toml", "--yes"]);
        assert_eq!(ran.code, 0, "{ran}\nafter {}\n{}", broken, faulty.told());
        converged(&scenario);
    }
}
