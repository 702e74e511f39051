//! What becomes of writes that meet others, and of those whose answer got lost.

use std::sync::{Arc, Mutex};

use cfrt_engine::driver::{Predicted, Stamp};
use cfrt_engine::resource::{Address, ResourceId, Trigger};
use cfrt_engine::task::TaskId;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;

use super::*;
use crate::kube::client::Kube;
use crate::kube::difference::difference;
use crate::kube::look::present;

fn live(uid: &str) -> Value {
    let entry = json!({"manager": "helm", "operation": "Update", "apiVersion": "a.io/v1", "fieldsV1": {"f:spec": {}}});
    json!({"apiVersion": "a.io/v1", "kind": "Widget", "spec": {},
        "metadata": {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": "7", "managedFields": [entry]}})
}

fn step() -> Step {
    let body = json!({"apiVersion": "a.io/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
    let resource = Resource {
        id: ResourceId::whole(Address::new("a.io/v1/Widget", "n", "a")),
        task: TaskId { kind: "chart", name: String::new() },
        driver: "object",
        want: Want::Present(Document { body, ..Document::default() }.into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    };
    let stamp = Stamp { uid: "old".to_owned(), revision: "7".to_owned() };
    let seen = Observation::Present { live: Arc::new(live("old")), stamp, predicted: None };
    Step { resource: Arc::new(resource), change: Change::of(Action::Update), seen, settled: false }
}

/// How an update fares whose migration the server answers with a code; it reads what is there after that.
async fn updated(code: StatusCode, there: Option<&str>) -> DriverError {
    let there = there.map(|uid| live(uid).to_string());
    let kube = Kube::refusing(move |request| match (request.method(), &there) {
        (&Method::GET, Some(there)) => (StatusCode::OK, there.clone()),
        (&Method::GET, None) => (StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()),
        (_, _) => (code, r#"{"message": "an error in our request"}"#.to_owned()),
    });
    let (world, step) = (World::played(kube), step());
    let target = Target::new(&world, &step.resource, "helm").expect("its kind is known");
    let document = step.resource.want.document().expect("it is wanted");
    // Whatever took its place has other fields, so that the plan no longer fits.
    target.update(&step, document, |_, _| Change::of(Action::Refuse)).await.expect_err("it is refused")
}

#[tokio::test(start_paused = true)]
async fn an_object_that_another_one_took_the_place_of_is_not_as_the_plan_saw_it() {
    let replaced = updated(StatusCode::UNPROCESSABLE_ENTITY, Some("new")).await;
    assert_eq!(
        (replaced.fault, replaced.chain().join(": ")),
        (Fault::Stale, "updating Widget n/a: it was changed meanwhile".to_owned())
    );
    let deleted = updated(StatusCode::NOT_FOUND, None).await;
    assert_eq!(
        (deleted.fault, deleted.chain().join(": ")),
        (Fault::Stale, "updating Widget n/a: it was deleted meanwhile".to_owned())
    );
}

#[test]
fn only_fields_that_are_as_the_plan_showed_them_are_written() {
    let field = |path: &str, before: Option<&str>| {
        let before = before.map(Value::from);
        FieldChange::new(path, before, Some(json!("wanted")))
    };
    let planned = Change::of_fields(vec![field("data.a", Some("one")), field("data.b", Some("hidden"))]);
    let found = |fields: Vec<FieldChange>| {
        let hide = |value: &Value| if value == "password" { json!("hidden") } else { value.clone() };
        match unforeseen(&planned, &Change::of_fields(fields), hide)? {
            Unforeseen::Field(field) => Some(field.path),
            Unforeseen::All(reason) => Some(reason),
        }
    };
    assert_eq!(found(vec![field("data.a", Some("one")), field("data.b", Some("password"))]), None);
    assert_eq!(found(vec![]), None, "someone else has done it");
    assert_eq!(found(vec![field("data.a", Some("two"))]).as_deref(), Some("data.a"));
    assert_eq!(found(vec![field("data.a", None)]).as_deref(), Some("data.a"));
    assert_eq!(found(vec![field("data.c", Some("one"))]).as_deref(), Some("data.c"));
    assert_eq!(found(vec![field("data.a.deeper", Some("two"))]), None, "places that aren't the same say nothing");
}

#[test]
fn what_the_file_agreed_to_is_agreed_to_also_after_another_look() {
    let needs_consent = || Change::of(Action::Update).unless_agreed("argocd:a keeps it");
    let action = |agreed: Option<Action>| with_consent(needs_consent(), agreed).action;
    assert_eq!(action(Some(Action::Update)), Action::Update);
    assert_eq!(action(Some(Action::Replace)), Action::Refuse, "that is more than what was agreed to");
    assert_eq!(action(None), Action::Refuse, "nobody was asked");
    assert_eq!(with_consent(Change::of(Action::Refuse), Some(Action::Update)).action, Action::Refuse);
}

#[tokio::test(start_paused = true)]
async fn a_prediction_is_about_the_object_that_was_seen_and_not_about_what_others_did_meanwhile() {
    let object = |revision: &str, by_others: Value, by_us: Value| {
        json!({"apiVersion": "a.io/v1", "kind": "Widget", "spec": by_us,
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": revision, "labels": by_others}})
    };
    let (moved, ours) = (json!({"moved": "by others"}), json!({"size": 1}));
    let (now, answer) = (object("8", moved.clone(), json!({})), object("8", moved, ours));
    let kube = Kube::refusing(move |request| match *request.method() {
        Method::GET => (StatusCode::OK, now.to_string()),
        _ => (StatusCode::OK, answer.to_string()),
    });
    let (world, step) = (World::played(kube), step());
    let before = present(&world.vault, &step.resource, object("7", json!({}), json!({})));
    let wanted = Wanted { resource: &step.resource, depth: Depth::DryRun, before: Some(&before) };
    let seen = predict(&world, &wanted, "helm").await.expect("it is answered");
    let Observation::Present { live, stamp, predicted: Some(Predicted::Live(predicted)) } = seen else {
        panic!("it is there, and predicted: {seen:?}")
    };
    assert_eq!(stamp.revision, "8");
    let moves: Vec<String> = difference(&live, &predicted).into_iter().map(|field| field.path).collect();
    assert_eq!(moves, ["spec.size"]);
}

/// How a creation fares that the server calls a conflict, where something is there or not.
async fn created(there: Option<&str>) -> (Fault, String) {
    let there = there.map(|uid| live(uid).to_string());
    let kube = Kube::refusing(move |request| match (request.method(), &there) {
        (&Method::GET, Some(there)) => (StatusCode::OK, there.clone()),
        (&Method::GET, None) => (StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()),
        (_, _) => (StatusCode::CONFLICT, r#"{"message": "many use the quota"}"#.to_owned()),
    });
    let (world, step) = (World::played(kube), step());
    let target = Target::new(&world, &step.resource, "helm").expect("its kind is known");
    let document = step.resource.want.document().expect("it is wanted");
    let error = target.create(document).await.expect_err("it is refused");
    (error.fault, error.chain().join(": "))
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_meets_an_object_is_stale_and_another_conflict_is_not() {
    let met = "creating Widget n/a: it was made by someone else after the plan was made";
    assert_eq!(created(Some("new")).await, (Fault::Stale, met.to_owned()));
    let conflict = "creating Widget n/a: many use the quota";
    assert_eq!(created(None).await, (Fault::World, conflict.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn whatever_else_a_server_refuses_is_told_in_its_words() {
    let refused = updated(StatusCode::UNPROCESSABLE_ENTITY, Some("old")).await;
    assert_eq!(
        (refused.fault, refused.chain().join(": ")),
        (Fault::World, "updating Widget n/a: an error in our request".to_owned())
    );
    assert_eq!(updated(StatusCode::FORBIDDEN, Some("old")).await.fault, Fault::World, "no right is missing");
}

#[test]
fn what_moved_is_told_with_who_moved_it_and_to_what() {
    let entry = json!({"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}});
    let live = json!({"metadata": {"managedFields": [entry]}, "data": {"a": "theirs"}});
    let moved = |path: &str, before: Option<Value>| {
        told(&Unforeseen::Field(FieldChange::new(path, before, None)), &live, Value::clone)
    };
    assert_eq!(
        moved("data.a", Some(json!("theirs"))),
        "data.a was changed meanwhile by kubectl: it is \"theirs\" by now"
    );
    assert_eq!(moved("data.b", None), "data.b was changed meanwhile: it is nothing by now");
    let long = moved("data.a", Some(json!("x".repeat(500))));
    assert!(long.len() < 150 && long.contains('…'), "{long}");
    let refused = told(&Unforeseen::All("someone else's".to_owned()), &live, Value::clone);
    assert_eq!(refused, "it was changed meanwhile: someone else's");
}

/// How a creation fares whose answer gets lost, where this is there afterwards, and how often it was sent.
async fn lost(there: Option<Value>) -> (Result<(), Fault>, usize) {
    let sent: Arc<std::sync::atomic::AtomicUsize> = Arc::default();
    let count = Arc::clone(&sent);
    let kube = Kube::refusing(move |request| match (request.method(), &there) {
        (&Method::GET, Some(there)) => (StatusCode::OK, there.to_string()),
        (&Method::GET, None) => (StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()),
        (_, _) => {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (StatusCode::GATEWAY_TIMEOUT, r#"{"message": "no answer"}"#.to_owned())
        }
    });
    let (world, step) = (World::played(kube), step());
    let target = Target::new(&world, &step.resource, "helm").expect("its kind is known");
    let document = step.resource.want.document().expect("it is wanted");
    let created = target.create(document).await.map(drop).map_err(|error| error.fault);
    (created, sent.load(std::sync::atomic::Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_got_lost_is_done_where_it_is_there_as_it_was_sent() {
    let owned = |manager: &str, size: u8| {
        let entry = json!({"manager": manager, "operation": "Apply", "apiVersion": "a.io/v1",
            "fieldsV1": {"f:spec": {"f:size": {}}}});
        json!({"apiVersion": "a.io/v1", "kind": "Widget", "spec": {"size": size},
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "managedFields": [entry]}})
    };
    assert_eq!(lost(Some(owned("helm", 1))).await, (Ok(()), 1));
    assert_eq!(lost(Some(owned("helm", 2))).await, (Err(Fault::Stale), 1));
    assert_eq!(lost(Some(owned("someone", 1))).await, (Err(Fault::Stale), 1));
    assert_eq!(lost(None).await, (Err(Fault::World), 9), "tried anew 8 times");
}

/// How a deletion fares where the object has moved to this by then, and which revisions were to be deleted.
async fn removed(
    there: Option<Value>,
    diff: impl Fn(&Resource, &Observation) -> Change,
) -> (Result<(), String>, Vec<String>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let kube = Kube::answering(move |request| {
        let (there, noted) = (there.clone(), Arc::clone(&noted));
        async move {
            let (head, body) = request.into_parts();
            if head.method == Method::GET {
                let found = there.map(|there| (StatusCode::OK, there.to_string()));
                return found.unwrap_or((StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()));
            }
            let body = body.collect().await.expect("it is in memory").to_bytes();
            let options: Value = serde_json::from_slice(&body).expect("it is JSON");
            let Value::String(revision) = &options["preconditions"]["resourceVersion"] else { panic!("{options}") };
            let is_now = there.is_some_and(|there| there["metadata"]["resourceVersion"] == **revision);
            assert_eq!(options["preconditions"]["uid"], "old");
            noted.lock().unwrap().push(revision.clone());
            let code = if is_now { StatusCode::OK } else { StatusCode::CONFLICT };
            (code, r#"{"message": "it moved"}"#.to_owned())
        }
    });
    let (world, mut step) = (World::played(kube), step());
    step.change = Change::of(Action::Delete);
    let target = Target::new(&world, &step.resource, "helm").expect("its kind is known");
    let removed = target.remove(&step, diff).await.map_err(|error| {
        assert_eq!(error.fault, Fault::Stale);
        error.chain().join(": ")
    });
    let asked = asked.lock().unwrap().clone();
    (removed, asked)
}

#[tokio::test(start_paused = true)]
async fn an_object_that_moved_is_deleted_only_where_it_would_still_be() {
    let moved = |uid: &str| {
        let mut live = live(uid);
        live["metadata"]["resourceVersion"] = json!("8");
        live
    };
    let still = |_: &Resource, _: &Observation| Change::of(Action::Delete);
    assert_eq!(removed(Some(live("old")), still).await, (Ok(()), vec!["7".to_owned()]));
    let both = vec!["7".to_owned(), "8".to_owned()];
    assert_eq!(removed(Some(moved("old")), still).await, (Ok(()), both), "nothing that matters moved");
    let kept = |_: &Resource, _: &Observation| Change::of(Action::Keep).because("kept by its resource policy");
    let told = "deleting Widget n/a: it was changed meanwhile: kept by its resource policy";
    assert_eq!(removed(Some(moved("old")), kept).await, (Err(told.to_owned()), vec!["7".to_owned()]));
    let refused = |_: &Resource, _: &Observation| Change::of(Action::Refuse).because("no");
    let told = "deleting Widget n/a: it was changed meanwhile: no";
    assert_eq!(removed(Some(moved("old")), refused).await.0, Err(told.to_owned()));
    let told = "deleting Widget n/a: another one has taken its place";
    assert_eq!(removed(Some(moved("new")), still).await, (Err(told.to_owned()), vec!["7".to_owned()]));
    assert_eq!(removed(None, still).await, (Ok(()), vec!["7".to_owned()]), "it is gone");
    let mut going = moved("old");
    going["metadata"]["deletionTimestamp"] = json!("2026-11-23T03:30:00Z");
    assert_eq!(removed(Some(going), kept).await, (Ok(()), vec!["7".to_owned()]), "the answer may have got lost");
}
