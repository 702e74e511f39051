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
    let dry_run = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    let limited = limited(&scenario, &dry_run);
    let mark = audit::mark();
    let ran = apply(&limited).exits(11);
    let name = &scenario.namespace;
    let subject = format!("system:serviceaccount:{name}:limited may not");
    for missing in [
        format!("{subject} create configmaps in namespace {name}"),
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
    scenario.values("{data: {greeting: one}}");
    judge::apply(&scenario).done();
    scenario.values("{data: {greeting: two}}");
    let name = &scenario.release;
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "update", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
    ]);
    let limited = limited(&scenario, &rules);
    apply(&limited).exits(0);
    assert_eq!(scenario.get(&format!("configmap/{name}"))["data"]["greeting"], "two");
    scenario.values("{count: 1, data: {greeting: three}}");
    let ran = apply(&limited).exits(11);
    assert!(ran.stderr.contains(&format!("may not patch configmaps \"{name}-00000\" in")), "{ran}");
    assert!(!ran.stderr.contains(&format!("\"{name}\" in")), "{ran}");
}
