//! Failing fast: the cause is named from the outside in, and nobody waits for what can no longer help.

use std::time::Duration;

use cfrt_engine::driver::{Fault, Trouble};

use crate::common::driver::At;
use crate::common::scene::Scene;

fn trouble(within: &[&str], what: &str, log: &str) -> Trouble {
    let within = within.iter().map(|place| (*place).to_owned()).collect();
    Trouble { within, what: what.to_owned(), log: log.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_named_from_the_bracket_down_to_its_cause_with_the_log_last() {
    let mut scene = Scene::of("release[x]");
    scene.fail("x", At::Settle);
    scene.behave("x", |how| how.trouble = Some(trouble(&["Pod p", "container c"], "exit code 1", "one\ntwo")));
    let ran = scene.apply().await;
    let causes =
        ["waiting for node x", "node release → node x → Pod p → container c: exit code 1", "its log ends:\none\ntwo"];
    assert_eq!(ran.report.failed[0].1.causes, causes);
    let close = "close release failed: waiting for node x: node release → node x → Pod p → container c: exit code 1";
    assert_eq!(scene.world.lines(&["close"]), [close], "what is recorded is one line");
}

#[tokio::test(start_paused = true)]
async fn once_something_failed_nobody_is_awaited_but_writes_that_do_not_need_it_go_through() {
    let mut scene = Scene::of("release[x | y]; late; slow");
    scene.fail("x", At::Settle);
    scene.behave("late", |how| (how.takes, how.settles_after) = (9, 50));
    scene.behave("slow", |how| how.settles_after = 50);
    let ran = scene.apply().await;
    let why = "failed x: waiting for node x: it crashes";
    assert_eq!(ran.endings(), ["left late", "closed release for x", "left slow", why, "skipped y for x"]);
    assert_eq!(["end slow stopped", "end late stopped"].map(|line| scene.world.second_of(line)), [1, 10]);
    assert!(!ran.report.stopped, "the user did nothing");
}

#[tokio::test(start_paused = true)]
async fn what_a_write_needs_that_can_still_be_made_is_awaited_whatever_else_failed() {
    let mut scene = Scene::of("x; definition; object -> definition; doomed; both -> doomed x");
    scene.fail("x", At::Apply);
    for name in ["definition", "doomed"] {
        scene.behave(name, |how| how.settles_after = 5);
    }
    let ran = scene.apply().await;
    let failed = "failed x: writing x: out of order";
    assert_eq!(ran.endings(), ["skipped both for x", "done definition", "left doomed", "done object", failed]);
    assert_eq!(scene.world.second_of("apply object"), 5);
}

#[tokio::test(start_paused = true)]
async fn failures_that_come_together_are_told_together() {
    let mut scene = Scene::of("a b c");
    for (name, seconds) in [("a", 3), ("b", 4), ("c", 9)] {
        scene.fail(name, At::Settle);
        scene.behave(name, |how| how.settles_after = seconds);
    }
    let ran = scene.apply().await;
    let failed = |name: &str| format!("failed {name}: waiting for node {name}: it crashes");
    assert_eq!(ran.endings(), [&failed("a"), &failed("b"), "left c"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_has_the_patience_of_its_kind_and_the_cause_is_told_when_it_ends() {
    let mut scene = Scene::of("a");
    let within = trouble(&["Pod p"], "no node", "");
    scene.behave("a", |how| (how.settles_after, how.silent, how.trouble) = (500, true, Some(within)));
    scene.options.patience_of.insert("task".to_owned(), Duration::from_secs(20));
    let ran = scene.apply().await;
    let failure = &ran.report.failed[0].1;
    let causes = ["waiting for node a", "no progress for 20 s: it is not ready", "node a → Pod p: no node"];
    assert_eq!((failure.causes.join("; "), failure.fault), (causes.join("; "), Fault::TimedOut));
    assert_eq!(ran.events[1], "waiting a: it is not ready: Pod p: no node");
}
