//! What is hidden when the plan is made is looked at again just before its turn.

use cfrt_engine::driver::Fault;
use serde_json::json;

use crate::common::drawing::planned;
use crate::common::driver::At;
use crate::common::scene::Scene;

fn behind_a_definition() -> Scene {
    let mut scene = Scene::of("definition; custom -> definition; after -> custom");
    scene.behave("custom", |how| how.behind = Some("definition".to_owned()));
    scene
}

#[tokio::test(start_paused = true)]
async fn what_is_hidden_is_planned_as_if_it_were_not_there() {
    let scene = behind_a_definition();
    assert_eq!(planned(&scene.plan().await), ["definition create", "custom create", "after create"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_absent_when_its_turn_comes_is_created() {
    let scene = behind_a_definition();
    let ran = scene.apply().await;
    assert_eq!(ran.endings(), ["done after", "done custom", "done definition"]);
    assert!(ran.events.iter().all(|event| !event.starts_with("revealed")));
    assert_eq!(scene.world.lines(&["look"])[1..], ["look map full custom"]);
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_to_be_in_step_is_kept() {
    let mut scene = behind_a_definition();
    scene.there("custom");
    let ran = scene.apply().await;
    assert!(ran.events.contains(&"revealed custom keep".to_owned()));
    assert_eq!(ran.endings(), ["done after", "kept custom", "done definition"]);
    assert_eq!((ran.report.done, ran.report.unchanged), (2, 1));
    assert_eq!(
        scene.world.lines(&["apply", "end"]),
        ["apply definition", "end definition settled", "apply after", "end after settled"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_to_be_in_step_is_waited_for_until_it_is_settled() {
    let mut scene = behind_a_definition();
    scene.there("custom");
    scene.behave("custom", |how| how.settles_after = 1_007);
    scene.apply().await;
    assert_eq!(scene.world.second_of("apply after"), 7);
}

#[tokio::test(start_paused = true)]
async fn what_turns_out_to_be_different_stops_as_stale() {
    let scene = behind_a_definition();
    scene.world.put("custom", json!({ "value": 7 }));
    let ran = scene.apply().await;
    assert!(ran.events.contains(&"revealed custom update".to_owned()));
    assert_eq!(ran.endings()[0], "skipped after for custom");
    assert_eq!(ran.report.failed[0].1.fault, Fault::Stale);
    assert!(!ran.report.failed[0].1.hint.is_empty());
    assert_eq!(scene.world.lines(&["apply"]), ["apply definition"]);
    assert_eq!(scene.world.state().things["custom"].body, json!({ "value": 7 }));
}

#[tokio::test(start_paused = true)]
async fn what_is_hidden_behind_a_failure_is_not_looked_at_again() {
    let mut scene = behind_a_definition();
    scene.fail("definition", At::Apply);
    let ran = scene.apply().await;
    assert_eq!(ran.endings()[1], "skipped custom for definition");
    assert_eq!(scene.world.lines(&["look"]).len(), 1);
}
