//! Who may not do all that a plan needs is told so before anything is written, in one answer.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::login::Account;
use crate::common::process::Ran;
use crate::common::scenario::Scenario;

/// An account that may read everything, and in the scenario's namespace what these rules say besides.
fn limited<'a>(scenario: &'a Scenario, rules: &Value) -> Account<'a> {
    let read = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]);
    let account = Account::new(scenario, "limited", &read);
    account.may_here(rules);
    account
}

fn apply(account: &Account<'_>) -> Ran {
    account.cfrt(&["apply", "desired.toml", "--yes"])
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn all_that_is_not_permitted_is_told_at_once_and_nothing_is_written() {
    let scenario = Scenario::small("denied");
    scenario.values("{data: {greeting: one}}");
    judge::apply(&scenario).done();
    scenario.values("{count: 1, data: {greeting: two}, deployment: {replicas: 2}}");
    // Not even dry runs of ConfigMaps.
    let dry_run = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}]);
    let limited = limited(&scenario, &dry_run);
    let mark = audit::mark();
    let ran = apply(&limited).exits(11);
    let name = &scenario.namespace;
    let subject = format!("system:serviceaccount:{name}:limited may not");
    for missing in [
        format!("{subject} create, patch configmaps in namespace {name}"),
        format!("{subject} create, delete, patch, update leases.coordination.k8s.io in namespace {name}"),
        format!("{subject} create, delete, patch, update secrets in namespace {name}"),
    ] {
        assert!(ran.stderr.contains(&missing), "{missing}: {ran}");
    }
    assert!(!ran.stderr.contains("deployments"), "{ran}");
    let events = audit::since(mark, &scenario);
    assert!(audit::mutating(&events).is_empty(), "{:#?}", audit::mutating(&events));
    assert_eq!(scenario.revisions(), ["1 deployed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_role_that_names_the_objects_of_a_plan_is_enough_for_it() {
    let scenario = Scenario::small("named");
    scenario.values("{service: {ports: [{name: http, port: 80}]}}");
    judge::apply(&scenario).done();
    scenario.values("{service: {ports: [{name: http, port: 81}]}}");
    let name = &scenario.release;
    let lease = format!("cfrt-{name}");
    let rules = json!([
        {"apiGroups": [""], "resources": ["services"], "resourceNames": [name], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [lease],
            "verbs": ["get", "update", "patch", "delete"]},
    ]);
    let limited = limited(&scenario, &rules);
    apply(&limited).exits(0);
    assert_eq!(scenario.get(&format!("service/{name}"))["spec"]["ports"][0]["port"], 81);
    scenario.values(
        "{service: {ports: [{name: http, port: 82}]}, extraObjects: [{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {clusterIP: None}}]}",
    );
    let ran = apply(&limited).exits(11);
    assert!(ran.stderr.contains("may not patch services \"other\" in"), "{ran}");
    assert!(!ran.stderr.contains(&format!("\"{name}\" in")), "{ran}");
}
