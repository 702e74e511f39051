//! Whose an object is, and what is written to take it or give it back.

use super::*;
use cfrt_engine::resource::{Document, Part, ResourceId, Trigger, Want};
use cfrt_engine::task::TaskId;

fn settings(take_from: &[&str]) -> Settings {
    Settings {
        release: "r".to_owned(),
        namespace: "n".to_owned(),
        take_from: take_from.iter().map(|&owner| owner.to_owned()).collect(),
        restores: None,
    }
}

fn resource(settings: &Settings) -> Resource {
    let address = Address::new("v1/Thing", "", "a");
    let body = match &settings.restores {
        Some(former) => former.document(),
        None => ownership(&address, settings),
    };
    Resource {
        id: ResourceId { address, part: Part::Adoption },
        task: TaskId { kind: "crd-adoption", name: String::new() },
        driver: "object",
        want: Want::Present(Document { body, ..Document::default() }.into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: settings.to_json(),
    }
}

fn seen(metadata: Value) -> Observation {
    let stamp = Stamp { uid: "u".to_owned(), revision: "7".to_owned() };
    Observation::Present { live: json!({ "metadata": metadata }).into(), stamp, predicted: None }
}

fn ours() -> Value {
    let annotations = json!({"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"});
    json!({"uid": "u", "labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": annotations})
}

fn told(settings: &Settings, metadata: Value) -> String {
    let Change { action, reason, fields, .. } = change(&resource(settings), &seen(metadata));
    format!("{action:?} {} {reason}", fields.len())
}

#[test]
fn what_no_one_has_is_adopted_and_what_is_ours_is_kept() {
    assert_eq!(told(&settings(&[]), json!({})), "Update 3 adopted, as it belongs to no release");
    let helm_made = json!({"labels": {"app.kubernetes.io/managed-by": "Helm", "a": "b"}});
    assert_eq!(told(&settings(&[]), helm_made), "Update 2 adopted, as it belongs to no release");
    assert_eq!(told(&settings(&[]), ours()), "Keep 0 ");
    let absent = change(&resource(&settings(&[])), &Observation::Absent);
    assert_eq!((absent.action, absent.reason.as_str()), (Action::Keep, "not there yet"));
}

#[test]
fn what_another_has_is_taken_only_where_the_file_names_that_owner() {
    let owners = [
        (
            json!({"annotations": {"meta.helm.sh/release-name": "rollouts", "meta.helm.sh/release-namespace": "argo"}}),
            "argo/rollouts",
        ),
        (json!({"annotations": {"argocd.argoproj.io/tracking-id": "argo-cd:apps/Thing:n/a"}}), "argocd:argo-cd"),
        (
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "k", "kustomize.toolkit.fluxcd.io/namespace": "flux"}}),
            "flux:flux/k",
        ),
        (
            json!({"labels": {"helm.toolkit.fluxcd.io/name": "h", "helm.toolkit.fluxcd.io/namespace": "flux"}}),
            "flux:flux/h",
        ),
    ];
    for (metadata, owner) in owners {
        let refused = told(&settings(&["someone/else"]), metadata.clone());
        assert!(refused.starts_with(&format!("Refuse 0 it belongs to {owner}, ")), "{refused}");
        assert!(refused.ends_with(&format!("[crds] take_from = [\"{owner}\"]")), "{refused}");
        assert!(told(&settings(&[owner]), metadata).ends_with(&format!(" taken from {owner}")));
    }
}

#[test]
fn what_is_going_is_not_taken() {
    let going = told(&settings(&[]), json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}));
    assert_eq!(going, "Refuse 0 it is being deleted, held by x/y");
}

#[test]
fn what_is_given_back_is_as_it_was() {
    let before = json!({"uid": "u", "labels": {"app.kubernetes.io/managed-by": "kubectl", "other": "x"}});
    let document = resource(&settings(&[])).want.document().map(|document| document.body.clone()).unwrap_or_default();
    let former = Former::of(&json!({ "metadata": before }), &document);
    let back = Settings { restores: Some(former.clone()), ..settings(&[]) };
    assert_eq!(told(&back, ours()), "Update 3 given back as it was");
    let stamp = Stamp { uid: "u".to_owned(), revision: "7".to_owned() };
    let expected = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/metadata/labels/app.kubernetes.io~1managed-by", "value": "kubectl"},
        {"op": "remove", "path": "/metadata/annotations/meta.helm.sh~1release-name"},
        {"op": "remove", "path": "/metadata/annotations/meta.helm.sh~1release-namespace"},
    ]);
    assert_eq!(operations(&json!({ "metadata": ours() }), &former.document(), &stamp), expected);
}

#[test]
fn what_was_made_anew_or_went_to_another_is_not_given_back() {
    let former = Former { uid: "u".to_owned(), labels: BTreeMap::new(), annotations: BTreeMap::new() };
    let back = Settings { restores: Some(former), ..settings(&[]) };
    let anew = json!({"uid": "v", "annotations": ours()["annotations"]});
    assert_eq!(told(&back, anew), "Keep 0 it was made anew after it had been taken");
    assert_eq!(told(&back, json!({"uid": "u"})), "Keep 0 it isn't this release's");
}

#[test]
fn maps_that_are_not_there_are_made_first() {
    let document = ownership(&Address::new("v1/Thing", "", "a"), &settings(&[]));
    let operations = operations(&json!({"metadata": {}}), &document, &Stamp::default());
    let paths: Vec<&str> = operations.as_array().into_iter().flatten().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(paths[2..4], ["/metadata/labels", "/metadata/labels/app.kubernetes.io~1managed-by"]);
    assert_eq!(paths[4], "/metadata/annotations");
}
