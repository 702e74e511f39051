//! The order of writes, as the API server saw it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::common::audit::{self, Event};
use crate::common::judge;
use crate::common::scenario::Scenario;

/// The creations among requests: the first write of each object that brought it, records left out.
fn creations<'a>(events: &'a [Event], scenario: &Scenario) -> Vec<&'a Event> {
    let mut seen = BTreeSet::new();
    let brings = |event: &&Event| matches!(event.verb(), "create" | "patch") && event.mutates() && event.succeeded();
    let is_book = |event: &Event| event.is_last_apply() || event.is_key() || event.is_book(&scenario.release);
    let is_bookkeeping = |event: &Event| event.is_record() || is_book(event);
    let mut brought: Vec<&Event> = events.iter().filter(brings).filter(|event| !is_bookkeeping(event)).collect();
    brought.sort_by_key(|event| event.span().0);
    brought.retain(|event| seen.insert((event.resource(), event.namespace(), event.name())));
    brought
}

fn place(event: &Event) -> String {
    format!("{} {}", event.resource(), event.name())
}

/// What a workload refers to: `serviceaccounts NAME`, `configmaps NAME`, `secrets NAME`.
fn references(object: &Value) -> BTreeSet<String> {
    let pod = object.pointer("/spec/template/spec").cloned().unwrap_or_default();
    let account = pod["serviceAccountName"].as_str().map(|name| format!("serviceaccounts {name}"));
    let mut found: BTreeSet<String> = account.into_iter().collect();
    collect(&pod, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let keys = [
                ("configMapRef", "configmaps", "name"),
                ("configMapKeyRef", "configmaps", "name"),
                ("configMap", "configmaps", "name"),
                ("secretRef", "secrets", "name"),
                ("secretKeyRef", "secrets", "name"),
                ("secret", "secrets", "secretName"),
            ];
            for (key, resource, name) in keys {
                let name = map.get(key).and_then(|source| source[name].as_str());
                found.extend(name.map(|name| format!("{resource} {name}")));
            }
            map.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Fails unless the first was answered before the second was asked.
#[track_caller]
fn before(first: &Event, second: &Event) {
    assert!(first.span().1 <= second.span().0, "{} was not there before {}", first.told(), second.told());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn nothing_of_the_runtime_is_written_before_what_it_needs() {
    let scenario = Scenario::runtime("order");
    let judged = judge::apply(&scenario).done();
    let all = creations(&judged.events, &scenario);
    let hooks: BTreeSet<String> =
        judged.plan.steps.iter().filter(|step| step.is_hook()).map(|step| step.address.clone()).collect();
    let is_hook = |event: &Event| hooks.iter().any(|address| event.is_about(address));
    let find = |what: &str| all.iter().find(|event| place(event) == what);
    let mut checked = 0;
    let namespace = find(&format!("namespaces {}", scenario.namespace)).expect("it was made");
    for event in &all {
        if event.namespace() == scenario.namespace {
            before(namespace, event);
        }
        for needed in references(&event.0["requestObject"]).iter().filter_map(|what| find(what)) {
            before(needed, event);
            checked += 1;
        }
        let definition = format!("customresourcedefinitions {}.{}", event.resource(), event.group());
        if let Some(definition) = find(&definition) {
            before(definition, event);
            checked += 1;
        }
        if matches!(event.resource(), "deployments" | "statefulsets") {
            let account = event.0.pointer("/requestObject/spec/template/spec/serviceAccountName").cloned();
            let binds = |binding: &&&Event| {
                let subjects = binding.0.pointer("/requestObject/subjects").and_then(Value::as_array);
                subjects.into_iter().flatten().any(|subject| account.as_ref() == Some(&subject["name"]))
            };
            let bindings = all.iter().filter(|event| event.resource().ends_with("bindings"));
            for binding in bindings.filter(binds).filter(|binding| !is_hook(binding)) {
                before(binding, event);
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} needs were seen");
    overlapping(&all);
}

/// Fails unless independent objects were under way at the same time.
#[track_caller]
fn overlapping(all: &[&Event]) {
    let configs: Vec<&&Event> = all.iter().filter(|event| event.resource() == "configmaps").collect();
    let together = configs.windows(2).filter(|pair| pair[1].span().0 < pair[0].span().1).count();
    assert!(together > 0, "{} ConfigMaps were written one after another", configs.len());
}

/// Fails unless the first was asked after the second was: a watch may tell of a write before its answer is on its way.
#[track_caller]
fn after(second: &Event, first: &Event) {
    assert!(first.span().0 <= second.span().0, "{} did not wait for {}", second.told(), first.told());
}

/// When a Job was first said to be complete, or a Deployment to have all its replicas.
fn settled<'a>(events: &'a [Event], resource: &str, name: &str, condition: &str) -> &'a Event {
    let says = |event: &&Event| {
        let conditions = event.0.pointer("/requestObject/status/conditions").and_then(Value::as_array);
        event.resource() == resource
            && event.name() == name
            && conditions.into_iter().flatten().any(|one| one["type"] == condition && one["status"] == "True")
    };
    events.iter().filter(says).min_by_key(|event| event.span().1).expect("a controller said so")
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn hooks_run_one_after_another_by_weight_then_name_around_the_objects() {
    let scenario = Scenario::small("sequence");
    let hook = |name: &str, event: &str, weight: i8| format!("{{name: {name}, event: {event}, weight: {weight}}}");
    let pre = [("zz", -10), ("aa", 0), ("mm", 0), ("bb", 7), ("cc", 10)];
    let post = [("post-z", -1), ("post-a", 0), ("post-b", 0)];
    let hooks = [("mm", "pre-install", 0), ("cc", "pre-install", 10), ("aa", "pre-install", 0)]
        .into_iter()
        .chain([("bb", "pre-install", 7), ("zz", "pre-install", -10), ("post-b", "post-install", 0)])
        .chain([("post-a", "post-install", 0), ("post-z", "post-install", -1)])
        .map(|(name, event, weight)| hook(name, event, weight));
    let hooks: Vec<String> = hooks.collect();
    scenario.values(&format!("{{deployment: {{replicas: 2}}, hooks: [{}]}}", hooks.join(", ")));
    let mark = audit::mark();
    let judged = judge::apply(&scenario).done();
    let all = creations(&judged.events, &scenario);
    let everyone: Vec<Event> = audit::everything_since(mark, &scenario);
    let everyone: Vec<Event> = everyone.into_iter().filter(|event| event.namespace() == scenario.namespace).collect();
    let jobs: Vec<&&Event> = all.iter().filter(|event| event.resource() == "jobs").collect();
    let names: Vec<&str> = jobs.iter().map(|event| event.name()).collect();
    let expected: Vec<&str> = pre.iter().chain(&post).map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for pair in jobs.windows(2) {
        after(pair[1], settled(&everyone, "jobs", pair[0].name(), "Complete"));
    }
    let objects: Vec<&&Event> =
        all.iter().filter(|event| event.resource() != "jobs" && event.resource() != "namespaces").collect();
    assert_eq!(objects.len(), 5);
    for object in objects {
        after(object, settled(&everyone, "jobs", "cc", "Complete"));
    }
    after(jobs[pre.len()], settled(&everyone, "deployments", &scenario.release, "Available"));
}
