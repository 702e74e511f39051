//! Who owns a field, what was applied last, and which side that says has moved.

use std::sync::Arc;

use cfrt_engine::driver::Stamp;
use cfrt_engine::resource::{Address, Document, ResourceId, Trigger};
use cfrt_engine::task::TaskId;

use super::*;

/// One owner of `spec.x`: manager, operation and subresource.
type Owner = (&'static str, &'static str, &'static str);

const OURS: Owner = ("helm", "Apply", "");
const HELM3: Owner = ("helm", "Update", "");
const THEIRS: Owner = ("kubectl", "Update", "scale");

fn live(owners: &[Owner]) -> Value {
    let entry = |(manager, operation, subresource): &Owner| {
        json!({"manager": manager, "operation": operation, "subresource": subresource, "apiVersion": "v1",
            "fieldsV1": {"f:spec": {"f:x": {}}}})
    };
    let ours = json!({"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:other": {}}}});
    let entries: Vec<Value> = owners.iter().map(entry).chain([ours]).collect();
    json!({"metadata": {"managedFields": entries}})
}

fn resource(want: Want, last: &LastApplied) -> Resource {
    Resource {
        id: ResourceId::whole(Address::new("v1/ConfigMap", "n", "a")),
        task: TaskId { kind: "chart", name: String::new() },
        driver: "object",
        want,
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: with_last(json!({}), last),
    }
}

fn other(changed: &[&str], overtaken: &[&str]) -> LastApplied {
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    let by = Moved { by: Some("Helm".to_owned()), ..Moved::default() };
    LastApplied::Other(Other { changed: paths(changed), overtaken: paths(overtaken), by })
}

fn said(origin: Option<&Origin>) -> String {
    let by = |moved: &Moved| moved.by.clone().unwrap_or_else(|| "nobody".to_owned());
    match origin {
        None => "unknown".to_owned(),
        Some(Origin::File) => "file".to_owned(),
        Some(Origin::World(moved)) => format!("world: {}", by(moved)),
        Some(Origin::Both(moved)) => format!("both: {}", by(moved)),
    }
}

fn field_of(last: &LastApplied, owners: &[Owner], before: Option<Value>) -> String {
    let field = FieldChange::new("spec.x", before, Some(json!(1)));
    said(of_field(last, &live(owners), &field).as_ref())
}

#[test]
fn a_field_has_moved_on_the_side_that_ownership_and_the_last_apply_tell() {
    let [changed, overtaken, both] = [other(&["spec"], &[]), other(&[], &["spec.x"]), other(&["spec.x"], &["spec.x"])];
    let elsewhere = other(&["spec.xy"], &["data"]);
    let table: [(&LastApplied, &[Owner], &str); 23] = [
        (&LastApplied::Same, &[THEIRS], "world: kubectl"),
        (&LastApplied::Same, &[OURS], "world: helm"),
        (&LastApplied::Same, &[HELM3], "file"),
        (&LastApplied::Same, &[], "world: nobody"),
        (&changed, &[OURS], "file"),
        (&changed, &[THEIRS], "both: kubectl"),
        (&changed, &[OURS, THEIRS], "file"),
        (&changed, &[], "file"),
        (&elsewhere, &[THEIRS], "world: kubectl"),
        (&elsewhere, &[OURS], "world: helm"),
        (&elsewhere, &[], "world: nobody"),
        (&overtaken, &[OURS], "world: helm"),
        (&overtaken, &[], "world: Helm"),
        (&both, &[OURS], "both: helm"),
        (&LastApplied::Begun, &[THEIRS], "world: kubectl"),
        (&LastApplied::Begun, &[OURS], "file"),
        (&LastApplied::Begun, &[], "unknown"),
        (&LastApplied::Nothing, &[THEIRS], "file"),
        (&LastApplied::Something, &[THEIRS], "world: kubectl"),
        (&LastApplied::Something, &[OURS], "file"),
        (&LastApplied::Unknown, &[THEIRS], "world: kubectl"),
        (&LastApplied::Unknown, &[OURS], "file"),
        (&LastApplied::Unknown, &[], "unknown"),
    ];
    for (last, owners, expected) in table {
        assert_eq!(field_of(last, owners, Some(json!(3))), expected, "{last:?} {owners:?}");
    }
    assert_eq!(field_of(&LastApplied::Unknown, &[], None), "file");
}

#[test]
fn where_an_object_was_never_ours_nothing_of_it_has_moved() {
    let field = FieldChange::new("spec.x", Some(json!(3)), Some(json!(1)));
    let live = json!({"metadata": {"managedFields": [
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:x": {}}}},
    ]}});
    assert_eq!(said(of_field(&LastApplied::Unknown, &live, &field).as_ref()), "file");
}

#[test]
fn a_list_that_several_own_is_told_by_who_is_not_us() {
    assert_eq!(field_of(&other(&["spec.x"], &[]), &[OURS, THEIRS], Some(json!([1]))), "both: kubectl");
}

#[test]
fn an_object_that_was_there_and_is_gone_has_moved_and_a_new_one_has_not() {
    let present = || Want::Present(Document::default().into());
    let gone = |last: &LastApplied, change: Change| {
        said(with_origin(&resource(present(), last), &Observation::Absent, change).origin.as_ref())
    };
    let create = || Change::of(Action::Create);
    assert_eq!(gone(&LastApplied::Same, create()), "world: nobody");
    assert_eq!(gone(&other(&["spec"], &[]), create()), "world: nobody");
    assert_eq!(gone(&other(&[], &[""]), create()), "world: Helm");
    assert_eq!(gone(&LastApplied::Something, create()), "world: nobody");
    assert_eq!(gone(&LastApplied::Nothing, create()), "file");
    assert_eq!(gone(&LastApplied::Begun, create()), "unknown");
    assert_eq!(gone(&LastApplied::Same, Change::of(Action::Keep)), "unknown");
    assert_eq!(gone(&LastApplied::Same, Change::of(Action::Migrate)), "file");
}

#[test]
fn an_object_that_only_others_released_is_theirs_and_one_that_the_file_dropped_is_not() {
    let seen = Observation::Present { live: Arc::new(live(&[OURS])), stamp: Stamp::default(), predicted: None };
    let dropped = |last: &LastApplied, action| {
        said(with_origin(&resource(Want::Absent, last), &seen, Change::of(action)).origin.as_ref())
    };
    assert_eq!(dropped(&LastApplied::Same, Action::Delete), "file");
    assert_eq!(dropped(&LastApplied::Same, Action::Refuse), "file");
    assert_eq!(dropped(&other(&[], &[""]), Action::Delete), "world: Helm");
}

#[test]
fn settings_without_a_word_of_the_last_apply_say_nothing() {
    let resource = Resource { settings: json!({"last": {"newer": 1}}), ..resource(Want::Absent, &LastApplied::Same) };
    assert_eq!(last_applied(&resource), LastApplied::Unknown);
    assert!(!was_applied(&resource));
}
