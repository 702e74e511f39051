//! The graph and what was seen of it to the plan: what happens to each resource, and why.

use cfrt_engine::change::Action;
use cfrt_engine::driver::Observation;
use cfrt_engine::graph::Vertex;
use cfrt_engine::plan::Plan;
use cfrt_engine::resource::Want;
use serde_json::json;

use crate::common::drawing::planned;
use crate::common::driver::At;
use crate::common::scene::Scene;
use crate::common::text::{document, name};

#[tokio::test]
async fn every_resource_has_a_step_also_where_nothing_happens() {
    let mut scene = Scene::of("c -> a b; d");
    scene.there("a");
    scene.world.put("b", json!({ "value": 7 }));
    scene.world.put("d", json!({ "value": 7 }));
    scene.resource("d").want = Want::Absent;
    let plan = scene.plan().await;
    assert_eq!(planned(&plan), ["a keep", "b update", "c create", "d delete"]);
    let counts = [Action::Keep, Action::Update, Action::Create, Action::Delete].map(|action| plan.count(action));
    assert_eq!(counts, [1, 1, 1, 1]);
}

#[tokio::test]
async fn an_update_names_the_fields_that_move() {
    let scene = Scene::of("a");
    scene.world.put("a", json!({ "value": 7, "other": 8 }));
    let plan = scene.plan().await;
    let [field] = &plan.steps[0].change.fields[..] else { unreachable!("one field differs") };
    assert_eq!((field.path.as_str(), &field.before, &field.after), ("value", &Some(json!(7)), &Some(json!(1))));
}

#[tokio::test]
async fn what_only_has_to_be_there_is_made_once_and_never_changed() {
    let mut scene = Scene::of("a b");
    for name in ["a", "b"] {
        scene.resource(name).want = Want::Existing(document(json!({ "value": 1 })));
    }
    scene.world.put("a", json!({ "value": 7 }));
    assert_eq!(planned(&scene.plan().await), ["a keep: left as it is", "b create"]);
}

#[tokio::test]
async fn what_has_to_be_gone_is_kept_where_it_is() {
    let mut scene = Scene::of("a");
    scene.resource("a").want = Want::Absent;
    let plan = scene.plan().await;
    assert_eq!(planned(&plan), ["a keep: is gone"]);
    assert!(plan.steps[0].settled);
}

#[tokio::test]
async fn a_follower_acts_only_where_its_leader_does() {
    let text = "release[hook]; hook with release; in-step with release -> release";
    let mut scene = Scene::of(text);
    scene.there("release");
    scene.world.put("in-step", json!({ "value": 7 }));
    assert_eq!(planned(&scene.plan().await), ["release keep", "hook keep", "in-step keep"]);
    assert!(scene.plan().await.steps.iter().all(|step| step.settled), "nobody waits for a hook that doesn't run");

    let mut scene = Scene::of(text);
    scene.there("in-step");
    assert_eq!(planned(&scene.plan().await), ["release create", "hook create", "in-step keep"]);
}

#[tokio::test]
async fn a_part_is_compared_with_what_this_plan_will_have_made() {
    let mut scene = Scene::of("a(status) -> a; b(status) -> b; c(status) -> c");
    for name in ["a", "b", "c"] {
        scene.resource(name).want = Want::Present(document(json!({ "value": 1, "host": "x" })));
        scene.resource(&format!("{name}(status)")).want = Want::Present(document(json!({ "host": "x" })));
    }
    scene.resource("b(status)").want = Want::Present(document(json!({ "host": "y" })));
    scene.world.put("c", json!({ "value": 1, "host": "z" }));
    assert_eq!(
        planned(&scene.plan().await),
        ["a create", "a(status) keep", "b create", "b(status) update", "c update", "c(status) update"]
    );
}

#[tokio::test]
async fn a_part_is_compared_also_with_what_is_made_and_never_changed_later() {
    let mut scene = Scene::of("a(adoption) -> a");
    scene.resource("a").want = Want::Existing(document(json!({ "value": 1, "owner": "x" })));
    scene.resource("a(adoption)").want = Want::Present(document(json!({ "owner": "x" })));
    assert_eq!(planned(&scene.plan().await), ["a create", "a(adoption) keep"]);
}

#[tokio::test]
async fn a_thing_is_compared_with_what_its_adoption_will_have_made_of_it() {
    let mut scene = Scene::of("a -> a(adoption); b -> b(adoption)");
    for name in ["a", "b"] {
        scene.resource(name).want = Want::Present(document(json!({ "value": 1, "owner": "x" })));
        scene.resource(&format!("{name}(adoption)")).want = Want::Present(document(json!({ "owner": "x" })));
    }
    scene.world.put("a", json!({ "value": 1, "owner": "y" }));
    scene.world.put("b", json!({ "value": 7, "owner": "y" }));
    let plan = scene.plan().await;
    assert_eq!(planned(&plan), ["a(adoption) update", "a keep", "b(adoption) update", "b update"]);
    let step = plan.steps.iter().find(|step| name(&step.resource.id) == "b").expect("it has a step");
    assert_eq!(step.change.fields.iter().map(|field| &field.path).collect::<Vec<_>>(), ["value"]);
}

#[tokio::test]
async fn a_part_of_what_nothing_brings_is_not_there() {
    let scene = Scene::of("a(status); b");
    assert_eq!(planned(&scene.plan().await), ["a(status) create", "b create"]);
}

#[tokio::test]
async fn what_may_not_change_is_refused_with_its_reason() {
    let mut scene = Scene::of("a");
    scene.world.put("a", json!({ "value": 7 }));
    scene.behave("a", |how| how.refuses = true);
    let plan = scene.plan().await;
    assert_eq!(planned(&plan), ["a refuse: it is protected"]);
    assert!(!plan.writes());
}

#[tokio::test]
async fn only_a_step_that_writes_keeps_what_was_seen() {
    let mut scene = Scene::of("a b");
    scene.there("a");
    scene.world.put("b", json!({ "value": 7 }));
    let plan = scene.plan().await;
    assert_eq!((&plan.steps[0].seen, plan.steps[0].expects()), (&Observation::Absent, None));
    assert_eq!(plan.steps[1].expects().map(|stamp| stamp.revision.as_str()), Some("2"));
}

#[tokio::test]
async fn a_step_knows_whether_it_is_settled_already() {
    let mut scene = Scene::of("a b c d");
    scene.there("a b d");
    scene.behave("b", |how| how.settles_after = 2_000);
    scene.fail("d", At::Settle);
    let settled: Vec<bool> = scene.plan().await.steps.iter().map(|step| step.settled).collect();
    assert_eq!(settled, [true, false, false, false]);
}

/// The names of the resources after whose vertices something acts.
fn awaited(plan: &Plan) -> String {
    let awaited = plan.awaited();
    let starts = plan.graph.order().filter(|(node, _)| awaited[node.index()]);
    let names = starts.filter_map(|(_, vertex)| match vertex {
        Vertex::Start(index) => Some(name(&plan.graph.resources()[index].id)),
        Vertex::Phase(_, _) | Vertex::Close(_) | Vertex::Task(_) => None,
    });
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn awaited_is_what_something_that_acts_comes_after() {
    let mut scene = Scene::of("a; b -> a; c -> b; d -> b; e -> d");
    scene.there("a b d e");
    assert_eq!(awaited(&scene.plan().await), "a b");
    scene.there("c");
    assert_eq!(awaited(&scene.plan().await), "");
}

#[tokio::test]
async fn the_members_of_a_bracket_that_acts_are_awaited_before_it_closes() {
    let mut scene = Scene::of("r[x | y]; after -> r");
    scene.there("x y after");
    assert_eq!(awaited(&scene.plan().await), "r x y");
    scene.there("r");
    assert_eq!(awaited(&scene.plan().await), "");
}

#[tokio::test]
async fn the_same_world_makes_the_same_plan() {
    let mut scene = Scene::of("one: r[a b | c]; d -> r; two after one: e -> d; a(status) -> a");
    scene.there("b d");
    let first = format!("{:?}", scene.plan().await.steps);
    assert_eq!(format!("{:?}", scene.plan().await.steps), first);
}
