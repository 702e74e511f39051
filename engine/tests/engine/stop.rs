//! Stopping: nothing more is started, what is being written is finished, and what was begun is ended.

use std::future::ready;
use std::time::Duration;

use cfrt_engine::execute::execute;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::common::drawing;
use crate::common::scene::Scene;

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_at_once_starts_nothing() {
    let mut scene = Scene::of("a; b -> a; c");
    scene.there("c");
    let plan = scene.plan().await;
    let (stop, stopped) = watch::channel(true);
    let (tell, mut told) = mpsc::unbounded_channel();
    let drivers = scene.drivers();
    execute(&plan, &drivers, &scene.world, &scene.options, stopped, tell).await;
    drop(stop);
    let mut events: Vec<String> =
        std::iter::from_fn(|| told.try_recv().ok()).map(|event| drawing::event(&event)).collect();
    events.sort();
    assert_eq!(events, ["kept c", "skipped a as stopped", "skipped b as stopped"]);
    assert_eq!(scene.world.lines(&["apply"]), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_under_way_are_finished() {
    let mut scene = Scene::of("a b; c -> a");
    scene.behave("a", |how| how.takes = 5);
    let ran = scene.apply_until(scene.world.until("apply a")).await;
    assert_eq!(ran.endings(), ["done a", "done b", "skipped c as stopped"]);
    assert!(ran.report.stopped);
    assert!(scene.world.state().things.contains_key("a"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_for_a_place_is_not_started() {
    let mut scene = Scene::of("a b c");
    scene.options.at_once = 1;
    scene.behave("a", |how| how.takes = 5);
    let ran = scene.apply_until(scene.world.until("apply a")).await;
    assert_eq!(ran.endings(), ["done a", "skipped b as stopped", "skipped c as stopped"]);
}

#[tokio::test(start_paused = true)]
async fn brackets_that_are_open_are_closed_and_told() {
    let mut scene = Scene::of("lease[release]; release[x | y]; after -> release");
    scene.behave("x", |how| how.settles_after = 50);
    let ran = scene.apply_until(scene.world.until("apply x")).await;
    assert_eq!(
        scene.world.lines(&["apply", "close"]),
        ["apply lease", "apply release", "apply x", "close release stopped", "close lease stopped"]
    );
    assert_eq!(
        ran.endings(),
        [
            "skipped after as stopped",
            "closed lease as stopped",
            "closed release as stopped",
            "left x",
            "skipped y as stopped"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_only_kept_is_not_waited_for_after_a_stop() {
    let mut scene = Scene::of("a; b -> a");
    scene.there("a");
    scene.behave("a", |how| how.settles_after = 1_050);
    let ran = scene.apply_until(ready(())).await;
    assert_eq!(ran.endings(), ["kept a", "skipped b as stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_is_finished_by_the_next_one() {
    let mut scene = Scene::of("release[x | y]; after -> release");
    scene.behave("x", |how| how.settles_after = 5);
    scene.apply_until(scene.world.until("apply x")).await;
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["done after", "done release", "kept x", "done y"]);
    assert!(scene.apply().await.events.iter().all(|event| event.starts_with("kept ")));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_any_longer_but_each_step_is_ended() {
    let mut scene = Scene::of("a; b -> a");
    scene.behave("a", |how| how.settles_after = 50);
    let happened = async {
        scene.world.until("apply a").await;
        sleep(Duration::from_secs(5)).await;
    };
    let ran = scene.apply_until(happened).await;
    assert_eq!(ran.endings(), ["left a", "skipped b as stopped"]);
    assert_eq!(scene.world.lines(&["apply", "end"]), ["apply a", "end a stopped"]);
    assert_eq!(scene.world.second_of("end a stopped"), 5);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_step_is_not_cut_off() {
    let mut scene = Scene::of("a; b -> a");
    scene.behave("a", |how| how.closes_in = 3);
    let ran = scene.apply_until(scene.world.until("end a settled")).await;
    assert_eq!(ran.endings(), ["done a", "skipped b as stopped"]);
    assert_eq!(scene.world.lines(&["end"]), ["end a settled"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_when_the_stop_came_is_ended_too() {
    let mut scene = Scene::of("a");
    scene.behave("a", |how| (how.takes, how.settles_after) = (3, 50));
    let ran = scene.apply_until(scene.world.until("apply a")).await;
    assert_eq!(scene.world.second_of("end a stopped"), 3);
    let report = ran.report;
    assert_eq!((report.done, report.not_awaited, report.stopped, report.complete()), (0, 1, true, false));
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_as_soon_as_it_is_written_is_not_told_of_the_stop() {
    let mut scene = Scene::of("a");
    scene.behave("a", |how| how.takes = 3);
    scene.apply_until(scene.world.until("apply a")).await;
    assert_eq!(scene.world.lines(&["end"]), ["end a settled"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_closes_a_bracket_as_stopped_is_not_complete_though_nothing_in_it_was_left() {
    let mut scene = Scene::of("release[x]");
    scene.there("x");
    scene.behave("release", |how| how.settles_after = 50);
    let ran = scene.apply_until(scene.world.until("apply release")).await;
    assert_eq!(ran.endings(), ["closed release as stopped", "kept x"]);
    assert_eq!((ran.report.stopped, ran.report.complete()), (true, false));
    assert!(scene.plan().await.writes());
}
