//! Waiting: for as long as there is progress, and not longer.

use cfrt_engine::driver::Fault;
use tokio::sync::watch;

use crate::common::driver::At;
use crate::common::scene::Scene;

#[tokio::test(start_paused = true)]
async fn each_progress_is_told_once() {
    let mut scene = Scene::of("a");
    scene.behave("a", |how| how.settles_after = 2);
    let ran = scene.apply().await;
    assert_eq!(ran.events, ["started a create", "waiting a: 0 of 2", "waiting a: 1 of 2", "done a"]);
}

#[tokio::test(start_paused = true)]
async fn progress_gives_new_patience() {
    let mut scene = Scene::of("a");
    scene.behave("a", |how| how.settles_after = 500);
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["done a"]);
    assert_eq!(scene.world.second_of("end a settled"), 500);
}

#[tokio::test(start_paused = true)]
async fn without_progress_patience_ends_though_there_is_word_every_second() {
    let mut scene = Scene::of("a; b -> a");
    scene.behave("a", |how| (how.settles_after, how.silent) = (500, true));
    let ran = scene.apply().await;
    let why = "waiting for node a: no progress for 60 s: it is not ready";
    assert_eq!(ran.endings(), [&format!("failed a: {why}"), "skipped b for a"]);
    assert_eq!(ran.report.failed[0].1.fault, Fault::TimedOut);
    assert_eq!(scene.world.second_of(&format!("end a failed: {why}")), 60);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_in_turn_counts_as_progress_each_time() {
    let mut scene = Scene::of("a");
    let (tell, told) = watch::channel("no node");
    scene.behave("a", |how| how.told = Some(told));
    let talk = async {
        for lacking in ["no image", "no image", "not ready", ""] {
            // The same words twice are no progress, but the third word is still in time.
            tokio::time::sleep(scene.options.patience / 3).await;
            tell.send_replace(lacking);
        }
        std::future::pending::<()>().await;
    };
    let ran = scene.apply_until(talk).await;
    assert_eq!(ran.events[1..], ["waiting a: no node", "waiting a: no image", "waiting a: not ready", "done a"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_and_goes_is_no_progress() {
    let mut scene = Scene::of("a");
    let (tell, told) = watch::channel("0 of 1");
    scene.behave("a", |how| how.told = Some(told));
    let talk = async {
        for lacking in ["1 of 1, not for long", "0 of 1"].into_iter().cycle().take(100) {
            tokio::time::sleep(scene.options.patience / 3).await;
            tell.send_replace(lacking);
        }
        std::future::pending::<()>().await;
    };
    let ran = scene.apply_until(talk).await;
    assert!(ran.endings()[0].starts_with("failed a: waiting for node a: no progress for 60 s"), "{:?}", ran.endings());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_ends_patience() {
    let mut scene = Scene::of("a");
    let (tell, told) = watch::channel("no node");
    scene.behave("a", |how| how.told = Some(told));
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["failed a: waiting for node a: no progress for 60 s: no node"]);
    drop(tell);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_heal_fails_at_once() {
    let mut scene = Scene::of("a");
    scene.fail("a", At::Settle);
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["failed a: waiting for node a: it crashes"]);
    assert_eq!(ran.report.failed[0].1.fault, Fault::World);
    assert_eq!(scene.world.second_of("end a failed: waiting for node a: it crashes"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_the_thing_is_settled_is_a_failure() {
    let mut scene = Scene::of("a; b -> a");
    scene.behave("a", |how| (how.settles_after, how.lost) = (2, true));
    let ran = scene.apply().await;
    assert_eq!(ran.endings()[0], "failed a: waiting for node a: nothing more can be seen of it: 0 of 2");
}
