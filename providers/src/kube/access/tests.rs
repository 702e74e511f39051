//! How a refusal is understood, what a plan takes, and what of it is asked for.

use std::sync::{Arc, Mutex};

use cfrt_engine::change::Change;
use cfrt_engine::driver::Observation;
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::resource::{Address, Document, Resource, ResourceId, Trigger, Want};
use cfrt_engine::task::TaskId;
use http::StatusCode;
use proptest::prelude::{any, proptest};

use super::*;
use crate::drivers::release::history::ReleaseName;

#[test]
fn a_servers_refusal_is_told_in_four_words() {
    for (said, told) in [
        (
            r#"deployments.apps "a" is forbidden: User "viewer" cannot patch resource "deployments" in API group "apps" in the namespace "n""#,
            r#"viewer may not patch deployments.apps "a" in namespace n"#,
        ),
        (
            r#"secrets is forbidden: User "system:serviceaccount:n:a" cannot list resource "secrets" in API group "" in the namespace "n""#,
            "system:serviceaccount:n:a may not list secrets in namespace n",
        ),
        (
            r#"nodes is forbidden: User "viewer" cannot list resource "nodes" in API group "" at the cluster scope: no role"#,
            "viewer may not list nodes in the cluster (no role)",
        ),
        (
            r#"namespaces "n" is forbidden: User "viewer" cannot get resource "namespaces" in API group "" in the namespace "n""#,
            r#"viewer may not get namespaces "n""#,
        ),
    ] {
        assert_eq!(Denied::parse(said).map(|denied| denied.to_string()).as_deref(), Some(told));
    }
    for said in ["", r#"pods "a" is forbidden: exceeded quota: q"#, r#"User "a" cannot get path "/apis""#] {
        assert_eq!(Denied::parse(said), None);
    }
}

proptest! {
    #[test]
    fn no_refusal_is_too_strange(before in ".*", user in ".*", rest in ".*") {
        let _understood = Denied::parse(&format!("{before} is forbidden: User \"{user}\" cannot {rest}"));
        let _understood = Denied::parse(&format!("a \"{before}\" is forbidden: User \"{user}\" cannot get resource \"{rest}"));
    }

    #[test]
    fn what_is_refused_in_names_that_a_server_has_is_understood(
        user in "[a-z:]{1,9}", verb in "[a-z]{1,6}", name in "[a-z.]{0,9}", namespace in "[a-z]{0,9}", core in any::<bool>(),
    ) {
        let group = if core { "" } else { "apps" };
        let about = if name.is_empty() { "things".to_owned() } else { format!("things \"{name}\"") };
        let place = if namespace.is_empty() { "at the cluster scope".to_owned() } else { format!("in the namespace \"{namespace}\"") };
        let said = format!("{about} is forbidden: User \"{user}\" cannot {verb} resource \"things\" in API group \"{group}\" {place}");
        let right = Right { namespace, group: group.to_owned(), resource: "things".to_owned(), verb, name };
        assert_eq!(Denied::parse(&said), Some(Denied { subject: user, right, why: String::new() }));
    }
}

fn step(driver: &'static str, kind: &str, name: &str, action: Action) -> Step {
    let resource = Resource {
        id: ResourceId::whole(Address::new(kind, "n", name)),
        task: TaskId { kind: "chart", name: String::new() },
        driver,
        want: if action == Action::Delete { Want::Absent } else { Want::Present(Document::default().into()) },
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    };
    Step { resource: Arc::new(resource), change: Change::of(action), seen: Observation::Absent, settled: false }
}

fn known() -> Discovery {
    let discovery = Discovery::default();
    for (kind, plural, scope) in [("Widget", "widgets", "Namespaced"), ("Gadget", "gadgets", "Cluster")] {
        let names = json!({"kind": kind, "plural": plural});
        discovery
            .learn(&json!({"spec": {"group": "a.io", "names": names, "scope": scope, "versions": [{"name": "v1"}]}}));
    }
    discovery
}

/// `verb resource namespace/name` of everything that some steps take.
fn taken(steps: Vec<Step>) -> Vec<String> {
    let plan = Plan { graph: ResourceGraph::new(Vec::new()).expect("it is empty"), steps };
    let told = |right: Right| format!("{} {} {}/{}", right.verb, right.resource, right.namespace, right.name);
    let all = rights(&known(), &plan, &lease());
    let books: BTreeSet<Right> = of_books(&lease()).collect();
    assert!(all.is_superset(&books), "every apply keeps them");
    all.difference(&books).cloned().map(told).collect()
}

fn lease() -> Place {
    Place::of(&ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() })
}

#[test]
fn a_plan_takes_what_its_acting_steps_do() {
    let widget = |action| taken(vec![step("object", "a.io/v1/Widget", "a", action)]);
    assert_eq!(widget(Action::Create), ["create widgets n/a", "patch widgets n/a"]);
    assert_eq!(widget(Action::Update), ["patch widgets n/a"]);
    assert_eq!(widget(Action::Migrate), ["patch widgets n/a"]);
    let replaced =
        ["create widgets n/a", "delete widgets n/a", "list widgets n/", "patch widgets n/a", "watch widgets n/"];
    assert_eq!(widget(Action::Replace), replaced, "it is made again once it is gone");
    assert_eq!(widget(Action::Keep), [""; 0]);
    let waited = ["delete widgets n/a", "list widgets n/", "watch widgets n/"];
    assert_eq!(widget(Action::Delete), waited, "it is waited for until it is gone");
    let gadget = taken(vec![step("object", "a.io/v1/Gadget", "a", Action::Update)]);
    assert_eq!(gadget, ["patch gadgets /a"], "it lies in no namespace");
    assert_eq!(taken(vec![step("object", "b.io/v1/Unknown", "a", Action::Create)]), [""; 0]);
    let release = taken(vec![step("release", "Release", "r", Action::Create)]);
    let verbs = ["create", "delete", "get", "list", "patch", "update"];
    assert_eq!(release, verbs.map(|verb| format!("{verb} secrets n/")));
    let hook = taken(vec![step("hook", "a.io/v1/Widget", "a", Action::Create)]);
    let expected = [&["create widgets n/a", "delete widgets n/a", "get widgets n/a"], &replaced[2..]].concat();
    assert_eq!(hook, expected, "it is read just before it runs");
}

/// What is missing of some rights where these are allowed, and how many questions that took.
async fn found(names: &[&str], allowed: &'static [&'static str]) -> (Vec<String>, usize) {
    let asked: Arc<Mutex<usize>> = Arc::default();
    let count = Arc::clone(&asked);
    let kube = Kube::asking(move |question| {
        *count.lock().unwrap() += 1;
        let name = question["spec"]["resourceAttributes"]["name"].as_str().unwrap_or_default().to_owned();
        (StatusCode::CREATED, json!({"status": {"allowed": allowed.contains(&name.as_str())}}).to_string())
    });
    let kind = known().resolve(&Gvk::new("a.io/v1", "Widget")).expect("it is known");
    let rights = names.iter().map(|name| Right::new(&kind, "n", name, "patch")).collect();
    let missing = missing(&kube, rights).await.expect("it is answered");
    let count = *asked.lock().unwrap();
    (missing.into_iter().map(|right| right.name).collect(), count)
}

#[tokio::test]
async fn names_are_asked_for_only_where_not_all_of_a_kind_is_allowed() {
    assert_eq!(found(&["a", "b"], &["", "a", "b"]).await, (vec![], 1));
    assert_eq!(found(&["a", "b"], &["a", "b"]).await, (vec![], 3));
    assert_eq!(found(&["a", "b"], &["a"]).await, (vec!["b".to_owned()], 3));
    assert_eq!(found(&["a", "b"], &[]).await, (vec![String::new()], 3), "no role names any");
    assert_eq!(found(&[""], &[]).await, (vec![String::new()], 1));
    assert_eq!(found(&["", "a"], &["a"]).await, (vec![String::new()], 2), "one of them can't be named");
}

#[tokio::test]
async fn who_may_not_even_ask_has_to_try() {
    let kube = Kube::asking(|_| (StatusCode::FORBIDDEN, r#"{"message": "no"}"#.to_owned()));
    let kind = known().resolve(&Gvk::new("a.io/v1", "Widget")).expect("it is known");
    let rights = BTreeSet::from([Right::new(&kind, "n", "a", "patch")]);
    assert_eq!(missing(&kube, rights).await.expect("it is answered"), []);
    assert_eq!(subject(&kube).await, "this login");
}
