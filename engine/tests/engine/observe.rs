//! Looking: everything once, all of a driver in one batch, and more closely only where a doubt is left.

use std::sync::Arc;

use cfrt_engine::driver::Predicted;
use cfrt_engine::resource::{LazyDocument, Want};
use serde_json::json;

use crate::common::drawing::planned;
use crate::common::scene::Scene;
use crate::common::text::document;

#[tokio::test]
async fn where_nothing_differs_each_driver_is_asked_once() {
    let mut scene = Scene::of("a b c d");
    scene.resource("b").driver = "other";
    scene.resource("d").driver = "other";
    scene.there("a b c d");
    scene.plan().await;
    assert_eq!(scene.world.lines(&["look"]), ["look map full a c", "look other full b d"]);
}

#[tokio::test]
async fn only_what_differs_is_asked_about_by_dry_run() {
    let mut scene = Scene::of("same gone differs kept hidden removed");
    scene.there("same hidden removed");
    scene.world.put("differs", json!({ "value": 7 }));
    scene.world.put("kept", json!({ "value": 7 }));
    scene.resource("kept").want = Want::Existing(document(json!({ "value": 1 })));
    scene.resource("removed").want = Want::Absent;
    scene.behave("hidden", |how| how.behind = Some("nothing".to_owned()));
    scene.plan().await;
    let everything = "look map full same gone differs kept hidden removed";
    assert_eq!(scene.world.lines(&["look"]), [everything, "look map dry-run differs removed"]);
}

#[tokio::test]
async fn the_world_has_the_last_word_on_a_difference() {
    let mut scene = Scene::of("spelling immutable");
    let live = json!({ "value": 7 });
    scene.world.put("spelling", live.clone());
    scene.world.put("immutable", live.clone());
    scene.behave("spelling", |how| {
        how.dry_run = Some(Predicted::Live(Arc::new(json!({ "value": 7, "followed": 1_000 }))));
    });
    scene.behave("immutable", |how| how.dry_run = Some(Predicted::Refused("field is immutable".to_owned())));
    assert_eq!(planned(&scene.plan().await), ["spelling keep", "immutable refuse: field is immutable"]);
}

#[tokio::test]
async fn what_has_not_moved_is_kept_and_neither_its_document_nor_the_thing_is_looked_at() {
    let mut scene = Scene::of("unmoved existing differs");
    let unread = || LazyDocument::new("known".to_owned(), || panic!("nobody needs it"));
    scene.resource("unmoved").want = Want::Present(unread());
    scene.resource("existing").want = Want::Existing(unread());
    scene.behave("unmoved", |how| how.unmoved = true);
    scene.behave("existing", |how| how.unmoved = true);
    scene.world.put("differs", json!({ "value": 7 }));
    let plan = scene.plan().await;
    assert_eq!(planned(&plan)[..2], ["unmoved keep", "existing keep: left as it is"]);
    assert_eq!(scene.world.lines(&["look"])[1..], ["look map dry-run differs"]);
}

#[tokio::test]
async fn looking_writes_nothing() {
    let mut scene = Scene::of("r[a]; b -> r");
    scene.world.put("a", json!({ "value": 7 }));
    scene.there("b");
    let before = scene.world.state().things.clone();
    scene.plan().await;
    assert_eq!(scene.world.state().things, before);
    assert!(scene.world.state().log.iter().all(|(_, line)| line.starts_with("look ")));
}
