//! Plans made by hand, and what is found to have moved in them.

use serde_json::json;

use super::*;
use crate::compile::Expanded;
use crate::driver::Observation;
use crate::graph::ResourceGraph;
use crate::resource::{Address, Bracket, Document, Part, Resource, Want};
use crate::task::Expansion;

const TODAY: Day = Day { year: 2026, month: 11, day: 23 };

fn id(name: &str) -> ResourceId {
    ResourceId::whole(Address::new("apps/v1/Deployment", "ns", name))
}

fn task() -> TaskId {
    TaskId { kind: "chart", name: String::new() }
}

/// A plan of these steps, in which the first is a release around the others where it is called `release`.
fn plan(changes: Vec<(ResourceId, Change)>) -> Plan {
    let resource = |(id, _): &(ResourceId, Change)| Resource {
        id: id.clone(),
        task: task(),
        driver: "object",
        want: Want::Present(Document::default().into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    };
    let resources: Vec<Resource> = changes.iter().map(resource).collect();
    let is_scope = changes[0].0.address.name == "release";
    let members = changes.iter().skip(1).map(|(id, _)| id.clone()).collect();
    let bracket = || Bracket { owner: changes[0].0.clone(), phases: vec![members] };
    let brackets = is_scope.then(bracket).into_iter().collect();
    let expansion = Expansion { resources, brackets, ..Expansion::default() };
    let graph = ResourceGraph::new(vec![Expanded { id: task(), after: Vec::new(), expansion }]).expect("it is sound");
    let step = |resource: &std::sync::Arc<Resource>| {
        let (_, change) = changes.iter().find(|(id, _)| *id == resource.id).expect("each has its change");
        Step { resource: resource.clone(), change: change.clone(), seen: Observation::Absent, settled: false }
    };
    Plan { steps: graph.resources().iter().map(step).collect(), graph }
}

fn by(name: &str) -> Moved {
    Moved { by: Some(name.to_owned()), ..Moved::default() }
}

fn field(path: &str, before: Option<Value>, after: Option<Value>, origin: Option<Origin>) -> FieldChange {
    FieldChange::new(path, before, after).origin(origin)
}

fn world() -> Option<Origin> {
    Some(Origin::World(by("kubectl")))
}

fn update(fields: Vec<FieldChange>) -> Change {
    Change::of_fields(fields)
}

fn whole(action: Action, origin: Option<Origin>) -> Change {
    Change { origin, ..Change::of(action) }
}

fn told(drift: &Drift) -> Vec<String> {
    let told = |finding: &Finding| {
        let value = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        let Finding { resource, sort, path, was, is, .. } = finding;
        format!("{} {} {path}: {} to {}", resource.address.name, sort.word(), value(was), value(is))
    };
    drift.findings.iter().map(told).collect()
}

#[test]
fn what_moved_in_the_world_is_found_and_what_the_file_moved_is_counted() {
    let found = drift(
        &plan(vec![
            (
                id("a"),
                update(vec![
                    field("spec.x", Some(json!(3)), Some(json!(1)), world()),
                    field("spec.y", None, Some(json!(2)), world()),
                    field("spec.z", Some(json!(5)), None, world()),
                ]),
            ),
            (id("b"), whole(Action::Create, world())),
            (id("c"), whole(Action::Delete, world())),
            (id("d"), update(vec![field("spec.x", Some(json!(3)), Some(json!(1)), Some(Origin::File))])),
            (id("e"), update(vec![field("spec.x", Some(json!(3)), Some(json!(1)), None)])),
            (id("f"), whole(Action::Create, Some(Origin::File))),
            (id("g"), whole(Action::Migrate, Some(Origin::File))),
            (id("h"), whole(Action::Refuse, None).because("it may not")),
            (id("i"), Change::of(Action::Keep)),
        ]),
        &[],
        TODAY,
    );
    let expected = [
        "a changed spec.x: 1 to 3",
        "a missing spec.y: 2 to nothing",
        "a extra spec.z: nothing to 5",
        "b deleted : nothing to nothing",
        "c extra : nothing to nothing",
    ];
    assert_eq!(told(&found), expected);
    assert_eq!((found.moved(), found.changes, found.refused, found.kept), (3, 5, 1, 1));
}

#[test]
fn what_both_sides_moved_is_a_finding_and_a_change_and_says_nothing_of_what_was_there() {
    let both = Some(Origin::Both(by("kubectl")));
    let found =
        drift(&plan(vec![(id("a"), update(vec![field("x", Some(json!(3)), Some(json!(1)), both)]))]), &[], TODAY);
    assert_eq!(told(&found), ["a changed x: nothing to 3"]);
    assert!(found.findings[0].also_changed);
    assert_eq!(found.changes, 1);
}

#[test]
fn a_release_that_was_taken_further_has_moved_from_ours() {
    let moved = Moved { was: Some(json!(2)), ..by("helm") };
    let revision = |origin| update(vec![field("revision", Some(json!(3)), Some(json!(4)), Some(origin))]);
    let found =
        |origin| drift(&plan(vec![(id("release"), revision(origin)), (id("a"), Change::of(Action::Keep))]), &[], TODAY);
    let world = found(Origin::World(moved.clone()));
    assert_eq!((told(&world), world.changes), (vec!["release moved revision: 2 to 3".to_owned()], 0));
    let both = found(Origin::Both(moved));
    assert_eq!((told(&both), both.changes), (vec!["release moved revision: 2 to 3".to_owned()], 1));
}

#[test]
fn a_hook_that_runs_with_something_else_is_no_change_of_its_own() {
    let mut plan = plan(vec![
        (id("a"), update(vec![field("x", None, Some(json!(1)), Some(Origin::File))])),
        (id("hook"), whole(Action::Create, None)),
    ]);
    let hook = plan.steps.iter_mut().find(|step| step.resource.id == id("hook")).expect("it was planned");
    hook.resource = Resource { trigger: Trigger::With(id("a")), ..(*hook.resource).clone() }.into();
    let found = drift(&plan, &[], TODAY);
    assert_eq!((found.changes, found.kept, found.findings.len()), (1, 1, 0));
}

#[test]
fn a_refused_step_hides_no_finding() {
    let change = Change { fields: vec![field("x", Some(json!(1)), None, world())], ..Change::of(Action::Refuse) };
    let found = drift(&plan(vec![(id("a"), change.because("it belongs to others"))]), &[], TODAY);
    assert_eq!((found.findings.len(), found.changes), (1, 0));
    assert_eq!(found.findings[0].refused, "it belongs to others");
}

#[test]
fn a_fingerprint_tells_place_and_sort_and_nothing_of_the_values() {
    let print = |resource: ResourceId, path: &str, before, after| {
        let plan = plan(vec![(resource, update(vec![field(path, before, after, world())]))]);
        drift(&plan, &[], TODAY).findings[0].fingerprint.clone()
    };
    let one = print(id("a"), "x", Some(json!(1)), Some(json!(2)));
    assert!(one.len() == 8 && one.chars().all(|digit| digit.is_ascii_hexdigit()), "{one}");
    assert_eq!(one, print(id("a"), "x", Some(json!(3)), Some(json!(4))));
    let adoption = ResourceId { part: Part::Adoption, ..id("a") };
    let others = [
        print(id("b"), "x", Some(json!(1)), Some(json!(2))),
        print(id("a"), "y", Some(json!(1)), Some(json!(2))),
        print(id("a"), "x", None, Some(json!(2))),
        print(adoption, "x", Some(json!(1)), Some(json!(2))),
    ];
    assert_eq!(others.iter().chain([&one]).collect::<BTreeSet<_>>().len(), 5);
}

#[test]
fn a_field_is_told_once() {
    let twice = vec![field("x", Some(json!(1)), None, world()), field("x", Some(json!(1)), None, world())];
    assert_eq!(drift(&plan(vec![(id("a"), update(twice))]), &[], TODAY).findings.len(), 1);
}

fn rule(resource: &str, field: Option<&str>, until: Day) -> Rule {
    Rule { resource: resource.to_owned(), field: field.map(str::to_owned), reason: "a test".to_owned(), until }
}

#[test]
fn a_rule_ignores_its_field_and_what_is_below_until_its_last_day_has_passed() {
    let plan = plan(vec![(
        id("a"),
        update(vec![
            field("spec.x", Some(json!(3)), Some(json!(1)), world()),
            field("spec.xy", Some(json!(3)), Some(json!(1)), world()),
            field("spec.x[0].y", Some(json!(3)), Some(json!(1)), world()),
        ]),
    )]);
    let yesterday = Day { day: 22, ..TODAY };
    let table = [
        (rule("Deployment ns/a", Some("spec.x"), TODAY), 1, 0),
        (rule("apps/v1/Deployment ns/a", None, TODAY), 0, 0),
        (rule("Deployment ns/a", Some("spec.x"), yesterday), 3, 1),
        (rule("Deployment ns/a", Some("metadata"), TODAY), 3, 1),
        (rule("Deployment ns/b", None, TODAY), 3, 1),
        (rule("Deployment ns/a (adoption)", None, TODAY), 3, 1),
    ];
    for (rule, findings, notes) in table {
        let found = drift(&plan, std::slice::from_ref(&rule), TODAY);
        assert_eq!((found.findings.len(), found.notes.len()), (findings, notes), "{rule:?}");
        assert_eq!(found.ignored.len(), 3 - findings, "{rule:?}");
    }
}
