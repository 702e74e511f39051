//! Answers that no API server gives: of any shape, in any place of an object, without end. Nothing panics, and nothing is believed.

use std::collections::HashSet;

use cfrt_engine::resource::Document;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use serde_json::{Value, json};

use super::client::{ApiError, Kube};
use super::compare::compare;
use super::difference::difference;
use super::discovery::Discovery;
use super::fields;
use super::gvk::Resolved;
use super::pick::pick;
use super::refusal::refusal;
use super::settle::{hook_settled, settled};
use super::state::State;
use crate::kube::call::Call;

/// Texts that terminals obey, that look like paths or numbers, and any others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\u{1b}[2J\u{9b}31m\u{202e}".to_owned()),
        Just("../../../etc\0".to_owned()),
        Just("-9223372036854775809e999".to_owned()),
        Just("a".repeat(5000)),
        ".*",
    ]
}

/// Any JSON.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key =
            prop_oneof![Just("f:spec".to_owned()), Just("k:{\"name\":\"a\"}".to_owned()), Just(".".to_owned()), text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// An object as servers have it, with about everything in it that we look at.
fn object() -> Value {
    let container = json!({"name": "a", "image": "b", "env": [{"name": "c", "value": "d"}], "resources": {"limits": {"cpu": "100m"}}});
    let owned = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}}}}}}, "f:metadata": {"f:labels": {"f:app": {}}}});
    let entry = |manager: &str, operation: &str| {
        json!({
        "manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z", "fieldsV1": owned})
    };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2, "labels": {"app": "a"},
            "annotations": {"meta.helm.sh/release-name": "r"}, "finalizers": ["f"], "ownerReferences": [{"kind": "A", "uid": "x"}],
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [entry("helm", "Apply"), entry("kubectl", "Update")]},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": {
            "metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}}},
        "status": {"observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "availableReplicas": 1,
            "conditions": [{"type": "Available", "status": "True", "reason": "r", "message": "m"}],
            "phase": "Active", "succeeded": 1, "failed": 0},
    })
}

/// The places of an object, itself among them.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    let token = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, below)| places(below, &format!("{here}/{}", token(key)), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, below)| places(below, &format!("{here}/{index}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The object with junk in some of its places.
fn spoilt() -> impl Strategy<Value = Value> {
    prop::collection::vec((any::<prop::sample::Index>(), junk()), 1..4).prop_map(|changes| {
        let mut object = object();
        for (index, junk) in changes {
            let mut all = Vec::new();
            places(&object, "", &mut all);
            if let Some(place) = object.pointer_mut(&all[index.index(all.len())]) {
                *place = junk;
            }
        }
        object
    })
}

fn answering(answer: Value) -> Kube {
    Kube::played(move |_| answer.to_string())
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads can be started").block_on(future)
}

/// Looks at an object in every way in which we look at live ones.
fn looked_at(live: &Value) {
    let document = Document { body: object(), ..Document::default() };
    let _compared = compare(&document, live, "helm");
    let _seen = (difference(&object(), live), difference(live, &object()), State::of(live));
    let _owners = (fields::writers(live, "spec.template.spec.containers[a].image"), fields::scaler(live));
    let _migrated = (fields::migrate(live, "helm"), fields::migration_patch(live, "helm"));
    let _settled = (settled(Some(live)), hook_settled(Some(live)));
    let _kinds = Resolved::of_crd(live);
}

proptest! {
    #[test]
    fn an_object_may_have_anything_anywhere(live in spoilt()) {
        looked_at(&live);
    }

    #[test]
    fn an_object_of_any_kind_may_have_any_status(kind in "Job|Pod|StatefulSet|DaemonSet|Namespace|CustomResourceDefinition|PersistentVolumeClaim|APIService", status in junk(), spec in junk()) {
        let version = match kind.as_str() { "Job" => "batch/v1", "StatefulSet" | "DaemonSet" => "apps/v1", _ => "v1" };
        looked_at(&json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec, "status": status}));
    }

    #[test]
    fn a_list_may_be_anything(list in junk(), item in spoilt(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let wanted = HashSet::from(["a".to_owned()]);
        for body in [list.clone(), json!({"items": list}), json!({"metadata": list, "items": [item.clone()]}), json!({"items": [item, list]})] {
            let _read = pick(body.to_string().as_bytes(), &wanted);
        }
        let _read = pick(&bytes, &wanted);
    }

    #[test]
    fn what_a_server_knows_may_be_anything(junk in junk(), group in junk(), resource in junk()) {
        let groups = json!({"kind": "APIGroupDiscoveryList", "gitVersion": "v1", "items": [
            {"metadata": {"name": "a.io"}, "versions": [{"version": "v1", "resources": [resource]}]}, group]});
        for answer in [junk, groups] {
            let _known = run(async { Discovery::ask(&answering(answer)).await });
        }
    }

    #[test]
    fn a_refusal_may_be_anything_and_is_short(code in 300_u16..600, body in junk(), message in text(), bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let status = json!({"message": message, "reason": "r", "details": {"causes": [body.clone()]}});
        for body in [body.to_string().into_bytes(), status.to_string().into_bytes(), bytes] {
            assert!(refusal(code, &body).to_string().len() <= 20_000);
        }
    }
}

#[test]
fn a_refusal_of_a_megabyte_is_cut() {
    for body in ["x".repeat(1 << 20), json!({"message": "ü".repeat(1 << 20)}).to_string()] {
        assert!(refusal(500, body.as_bytes()).to_string().chars().count() <= 4100);
    }
}

#[test]
fn a_document_without_a_bottom_is_refused_before_it_is_built() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!(
            "{{\"items\":[{{\"metadata\":{{\"name\":\"a\"}},\"spec\":{}1{}}}]}}",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        assert!(pick(deep.as_bytes(), &HashSet::from(["a".to_owned()])).is_err());
        let answer = run(async { Kube::played(move |_| deep.clone()).send(&Call::get("/a")).await });
        assert!(answer.expect("it is an answer").json::<Value>().is_err());
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_up() {
    let answer = Kube::oversized().send(&Call::get("/a")).await;
    assert!(matches!(&answer, Err(ApiError::Junk(why)) if why == "it is larger than 256 MiB"), "{answer:?}");
}
