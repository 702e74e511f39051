//! The plan to events: what starts when, what a failure stops, and what comes of it.

use std::future::pending;
use std::sync::Arc;

use cfrt_engine::driver::Fault;
use cfrt_engine::event::Because;
use cfrt_engine::execute::execute;
use cfrt_engine::resource::Want;
use tokio::sync::{Barrier, mpsc, watch};

use crate::common::driver::At;
use crate::common::scene::Scene;
use crate::common::text::id;
use crate::common::world::MapWorld;

#[tokio::test(start_paused = true)]
async fn what_does_not_depend_on_each_other_is_written_at_the_same_time() {
    let mut scene = Scene::of("a b; c -> a b");
    let together = Arc::new(Barrier::new(2));
    for name in ["a", "b"] {
        scene.behave(name, |how| how.together = Some(Arc::clone(&together)));
    }
    let ran = scene.apply().await;
    assert_eq!(ran.events[..2], ["started a create", "started b create"]);
    assert_eq!(ran.endings(), ["done a", "done b", "done c"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_starts_the_moment_its_own_needs_are_settled() {
    let mut scene = Scene::of("slow quick; later -> slow; next -> quick; last -> next");
    scene.behave("slow", |how| how.takes = 9);
    scene.behave("quick", |how| (how.takes, how.settles_after) = (1, 2));
    scene.apply().await;
    let second = |name| scene.world.second_of(&format!("apply {name}"));
    assert_eq!([second("next"), second("last"), second("later")], [3, 3, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_whole_task_is_waited_for() {
    let mut scene = Scene::of("one: a b; two after one: c; three: d -> @one; e");
    scene.behave("a", |how| how.takes = 3);
    scene.behave("b", |how| how.settles_after = 5);
    scene.apply().await;
    let second = |name| scene.world.second_of(&format!("apply {name}"));
    assert_eq!([second("c"), second("d"), second("e")], [5, 5, 0]);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_written_at_once_than_allowed() {
    let mut scene = Scene::of("a b c d e; hub[f g h]");
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        scene.behave(name, |how| (how.takes, how.settles_after) = (1, 3));
    }
    scene.options.at_once = 2;
    scene.apply().await;
    assert_eq!(scene.world.state().most_writing, 2);
}

#[tokio::test(start_paused = true)]
async fn waiting_takes_no_place_from_writing() {
    let mut scene = Scene::of("a b");
    scene.behave("a", |how| how.settles_after = 5);
    scene.options.at_once = 1;
    scene.apply().await;
    assert_eq!(scene.world.second_of("apply b"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_longest_remaining_path_goes_first() {
    let mut scene = Scene::of("s t u; a; b -> a; c -> b; d -> c");
    for name in ["s", "t", "u", "a", "b", "c", "d"] {
        scene.behave(name, |how| how.takes = 1);
    }
    scene.options.at_once = 1;
    scene.apply().await;
    let order: Vec<String> = scene.world.lines(&["apply"]).iter().map(|line| line.replace("apply ", "")).collect();
    // While one settles there is a place for the next best.
    assert_eq!(order.join(" "), "a s b t c u d");
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_only_what_needs_it() {
    let mut scene = Scene::of("a; b -> a; c -> b; d; e -> d; f -> e c");
    scene.fail("a", At::Apply);
    let ran = scene.apply().await;
    let expected = [
        "failed a: writing a: out of order",
        "skipped b for a",
        "skipped c for a",
        "done d",
        "done e",
        "skipped f for a",
    ];
    assert_eq!(ran.endings(), expected);
    assert_eq!(scene.world.lines(&["apply"]), ["apply a", "apply d", "apply e"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_skips_the_tasks_that_come_after_its_own() {
    let mut scene = Scene::of("one: a b; two after one: c; three: d");
    scene.fail("a", At::Settle);
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["failed a: waiting for node a: it crashes", "done b", "skipped c for a", "done d"]);
}

#[tokio::test(start_paused = true)]
async fn what_needs_nothing_is_kept_even_where_something_before_it_failed() {
    let mut scene = Scene::of("a; b -> a; c -> b");
    scene.fail("a", At::Apply);
    scene.there("b");
    let ran = scene.apply().await;
    assert_eq!(ran.endings()[1..], ["kept b", "skipped c for a"]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_keeps_everything_does_nothing() {
    let mut scene = Scene::of("r[a | b]; c -> r");
    scene.there("r a b c");
    scene.behave("b", |how| how.settles_after = 2_000);
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&["apply", "close", "end"]), Vec::<String>::new());
    assert_eq!(ran.endings(), ["kept a", "kept b", "kept c", "kept r"]);
    assert_eq!(scene.world.second_of("look map full r a b c"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_but_not_settled_is_waited_for_where_something_acts_after_it() {
    let mut scene = Scene::of("a b; c -> a; d -> b; e -> c");
    scene.there("a b c d");
    for name in ["a", "b"] {
        scene.behave(name, |how| how.settles_after = 1_005);
    }
    let ran = scene.apply().await;
    assert_eq!(scene.world.second_of("apply e"), 5);
    assert_eq!(ran.events[..3], ["started a keep", "kept b", "kept d"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_but_never_settles_fails_what_needs_it() {
    let mut scene = Scene::of("a; b -> a");
    scene.there("a");
    scene.fail("a", At::Settle);
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["failed a: waiting for node a: it crashes", "skipped b for a"]);
    assert_eq!(scene.world.lines(&["apply", "end"]), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn each_step_is_told_how_it_went_at_its_end() {
    let mut scene = Scene::of("a b c");
    scene.fail("b", At::Settle);
    scene.fail("c", At::Close);
    let ran = scene.apply().await;
    assert_eq!(
        scene.world.lines(&["end"]),
        ["end a settled", "end b failed: waiting for node b: it crashes", "end c settled"]
    );
    assert_eq!(ran.endings()[2], "failed c: closing c: out of order");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_until_the_thing_is_gone() {
    let mut scene = Scene::of("a; b -> a");
    scene.there("a");
    scene.resource("a").want = Want::Absent;
    let ran = scene.apply().await;
    assert_eq!(ran.events[..2], ["started a delete", "done a"]);
    assert!(!scene.world.state().things.contains_key("a"));
}

#[tokio::test(start_paused = true)]
async fn a_thing_that_was_changed_after_the_plan_is_not_written() {
    let scene = Scene::of("a");
    scene.world.put("a", serde_json::json!({ "value": 7 }));
    let plan = scene.plan().await;
    scene.world.put("a", serde_json::json!({ "value": 8 }));
    let ran = scene.carry_out(&plan, pending()).await;
    assert_eq!(ran.report.failed[0].1.fault, Fault::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_report_counts_what_was_done_kept_failed_and_skipped() {
    let mut scene = Scene::of("a; b -> a; c -> b; d e f");
    scene.there("d");
    scene.fail("a", At::Apply);
    let report = scene.apply().await.report;
    assert_eq!((report.done, report.unchanged, report.stopped, report.complete()), (2, 1, false, false));
    assert_eq!(report.failed.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [id("a")]);
    assert_eq!(report.skipped.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [id("b"), id("c")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_closed_as_failed_is_neither_failed_nor_skipped() {
    let mut scene = Scene::of("release[x | y]");
    scene.fail("x", At::Settle);
    let report = scene.apply().await.report;
    assert_eq!((report.done, report.failed.len(), report.skipped.len()), (0, 1, 1));
    assert_eq!(report.closed_as_failed, [(id("release"), Because::Needs(id("x")))]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_neither_told_nor_recorded_wherever_it_turns_up() {
    let mut scene = Scene::of("release[a]; inner[b c]");
    scene.fail("a", At::Apply);
    scene.fail("b", At::Settle);
    scene.fail("inner", At::Close);
    for (name, secret) in [("a", "out of order"), ("b", "it crashes"), ("c", "0 of 1"), ("inner", "closing")] {
        scene.behave("c", |how| how.settles_after = 1);
        scene.world = MapWorld::new();
        scene.world.state().secret = secret;
        let ran = scene.apply().await;
        let heard = ran.events.join("\n") + &scene.world.lines(&["close", "end"]).join("\n");
        assert!(heard.contains("(secret)") && !heard.contains(secret), "{name}: {heard}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_when_nobody_listens() {
    let scene = Scene::of("a; b -> a");
    let (plan, drivers) = (scene.plan().await, scene.drivers());
    let (tell, told) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    drop((told, stop));
    execute(&plan, &drivers, &scene.world, &scene.options, stopped, tell).await;
    assert_eq!(scene.world.lines(&["apply"]), ["apply a", "apply b"]);
}

#[tokio::test(start_paused = true)]
async fn closing_brackets_takes_places_like_any_write() {
    let mut scene = Scene::of("a[]; b[]; c[]");
    for name in ["a", "b", "c"] {
        scene.behave(name, |how| how.closes_in = 1);
    }
    scene.options.at_once = 2;
    scene.apply().await;
    assert_eq!(scene.world.state().most_writing, 2);
}

#[tokio::test(start_paused = true)]
async fn many_that_are_ready_at_once_are_all_written() {
    let names: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
    let scene = Scene::of(&names.join(" "));
    let ran = scene.apply().await;
    assert_eq!(ran.report.done, 3_000);
}
