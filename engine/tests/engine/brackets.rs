//! Brackets: opened before their members, and closed whenever they were opened, with word of how it went.

use cfrt_engine::resource::Want;

use crate::common::driver::At;
use crate::common::scene::Scene;

const WRITES: [&str; 2] = ["apply", "close"];

#[tokio::test(start_paused = true)]
async fn a_bracket_is_around_its_phases() {
    let mut scene = Scene::of("release[pre | x y | post]; after -> release");
    for (name, seconds) in [("pre", 1), ("x", 2), ("y", 3), ("post", 1)] {
        scene.behave(name, |how| how.settles_after = seconds);
    }
    let ran = scene.apply().await;
    assert_eq!(
        scene.world.lines(&WRITES),
        ["apply release", "apply pre", "apply x", "apply y", "apply post", "close release settled", "apply after"]
    );
    assert_eq!(scene.world.second_of("close release settled"), 5);
    assert_eq!(ran.events.last().map(String::as_str), Some("done after"));
}

#[tokio::test(start_paused = true)]
async fn a_bracket_is_closed_though_a_member_failed_and_is_told_what() {
    let mut scene = Scene::of("release[pre | x y | post]; after -> release; other");
    scene.fail("x", At::Settle);
    scene.behave("y", |how| how.settles_after = 9);
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&["close"]), ["close release failed: waiting for node x: it crashes"]);
    assert_eq!(scene.world.second_of("close release failed: waiting for node x: it crashes"), 1, "nobody waits for y");
    assert_eq!(
        ran.endings(),
        [
            "skipped after for x",
            "done other",
            "skipped post for x",
            "done pre",
            "closed release for x",
            "failed x: waiting for node x: it crashes",
            "left y"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_bracket_is_told_when_something_outside_kept_its_members_from_starting() {
    let mut scene = Scene::of("release[x]; x -> outside");
    scene.fail("outside", At::Apply);
    scene.apply().await;
    assert_eq!(scene.world.lines(&WRITES)[2], "close release failed: node outside failed");
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_did_not_open_is_not_closed_and_nothing_inside_starts() {
    let mut scene = Scene::of("release[x | y]; after -> release");
    scene.fail("release", At::Apply);
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&WRITES), ["apply release"]);
    assert_eq!(
        ran.endings(),
        [
            "skipped after for release",
            "failed release: writing release: out of order",
            "skipped x for release",
            "skipped y for release"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_did_not_close_fails_and_stops_what_comes_after() {
    let mut scene = Scene::of("release[x]; after -> release");
    scene.fail("release", At::Close);
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["skipped after for release", "failed release: closing release: out of order", "done x"]);
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_is_kept_is_neither_opened_nor_closed_while_members_act() {
    let mut scene = Scene::of("release[x y]; after -> release");
    scene.there("release x");
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&WRITES), ["apply y", "apply after"]);
    assert_eq!(ran.endings(), ["done after", "kept release", "kept x", "done y"]);
}

#[tokio::test(start_paused = true)]
async fn a_bracket_whose_members_are_all_in_step_is_closed_once_they_are_settled() {
    let mut scene = Scene::of("release[x]");
    scene.there("x");
    scene.behave("x", |how| how.settles_after = 1_004);
    scene.apply().await;
    assert_eq!(scene.world.second_of("close release settled"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_bracket_inside_a_bracket_is_closed_first_and_its_failure_is_told_outside() {
    let scene = Scene::of("lease[release]; release[x]");
    scene.apply().await;
    assert_eq!(
        scene.world.lines(&WRITES),
        ["apply lease", "apply release", "apply x", "close release settled", "close lease settled"]
    );
    let mut scene = Scene::of("lease[release]; release[x]");
    scene.fail("x", At::Apply);
    scene.apply().await;
    assert_eq!(
        scene.world.lines(&["close"]),
        ["close release failed: node x: writing x: out of order", "close lease failed: node x failed"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_bracket_is_opened_again_by_the_next_run() {
    let mut scene = Scene::of("release[x]");
    scene.fail("x", At::Apply);
    scene.apply().await;
    scene.behaviours.clear();
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&["close"])[1], "close release settled");
    assert!(ran.report.complete());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_inside_a_bracket_is_done_before_it_closes() {
    let mut scene = Scene::of("release[x | old]");
    scene.there("old");
    scene.resource("old").want = Want::Absent;
    scene.apply().await;
    assert_eq!(scene.world.lines(&WRITES), ["apply release", "apply x", "apply old", "close release settled"]);
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_failed_to_close_is_told_outside() {
    let mut scene = Scene::of("lease[release]; release[x]");
    scene.fail("release", At::Close);
    scene.apply().await;
    assert_eq!(
        scene.world.lines(&["close"]),
        ["close release settled", "close lease failed: node release: closing release: out of order"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_is_kept_but_not_settled_is_waited_for_before_its_members() {
    let mut scene = Scene::of("release[x]");
    scene.there("release");
    scene.behave("release", |how| how.settles_after = 1_003);
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&WRITES), ["apply x"]);
    assert_eq!(scene.world.second_of("apply x"), 3);
    assert_eq!(ran.endings(), ["kept release", "done x"]);
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_opened_but_did_not_settle_is_closed() {
    let mut scene = Scene::of("release[x]; after -> release");
    scene.fail("release", At::Settle);
    let ran = scene.apply().await;
    assert_eq!(
        scene.world.lines(&WRITES),
        ["apply release", "close release failed: waiting for node release: it crashes"]
    );
    assert_eq!(
        ran.endings(),
        ["skipped after for release", "failed release: waiting for node release: it crashes", "skipped x for release"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_bracket_that_turns_out_to_be_there_is_neither_opened_nor_closed() {
    let mut scene = Scene::of("ns; release[x]; release -> ns");
    scene.there("release");
    scene.behave("release", |how| how.behind = Some("ns".to_owned()));
    let ran = scene.apply().await;
    assert_eq!(scene.world.lines(&WRITES), ["apply ns", "apply x"]);
    assert_eq!(ran.endings(), ["done ns", "kept release", "done x"]);
}
