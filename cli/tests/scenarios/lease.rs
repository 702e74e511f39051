//! The lease of a release: one writes, whoever comes second is told who, and one that nobody holds any more is taken over.

use serde_json::{Value, json};

use crate::common::audit::{self, Event};
use crate::common::faults::Faulty;
use crate::common::judge;
use crate::common::login::Account;
use crate::common::process::{Ran, Running, until};
use crate::common::scenario::Scenario;

fn start(scenario: &Scenario) -> Running {
    scenario.program(&["apply", "desired.toml", "--yes"]).start()
}

/// A release whose hook is waited for until someone resumes it.
fn with_a_long_hook(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    scenario.values(
        "{deployment: {enabled: false}, hooks: [{name: long, event: 'pre-install,pre-upgrade', suspend: true}]}",
    );
    scenario
}

fn resume(scenario: &Scenario) {
    scenario.kubectl(&["patch", "job/long", "--type=merge", "--patch={\"spec\":{\"suspend\":false}}"]).exits(0);
}

fn lease(scenario: &Scenario) -> String {
    format!("lease/cfrt-{}", scenario.release)
}

/// Gives the lease to someone on another host, who holds it for so many seconds.
fn held_elsewhere(scenario: &Scenario, seconds: u32) {
    let about = json!({"cfrt.dev/holder": "alice@far", "cfrt.dev/host": "far", "cfrt.dev/process": "1 1",
        "cfrt.dev/since": "2026-11-23T03:30:00Z", "cfrt.dev/plan": "1f0c"});
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": format!("cfrt-{}", scenario.release), "annotations": about},
        "spec": {"holderIdentity": "theirs", "leaseDurationSeconds": seconds, "leaseTransitions": 1,
            "renewTime": "2026-11-23T03:30:00.000000Z"}});
    scenario.write("lease.json", &lease.to_string());
    scenario.kubectl(&["create", "--filename", "lease.json"]).exits(0);
}

fn with_namespace(scenario: &Scenario) {
    scenario.kubectl_anywhere(&["create", "namespace", &scenario.namespace]).exits(0);
}

/// What was written, but for the books.
fn written(scenario: &Scenario, events: &[Event]) -> Vec<String> {
    let written = audit::mutating(events).into_iter();
    let written = written.filter(|event| event.succeeded() && !event.is_book(&scenario.release));
    written.map(Event::told).collect()
}

/// Two applies of the same file, started side by side: how they ended, the better one first.
fn two_at_once(scenario: &Scenario) -> [Ran; 2] {
    let mark = audit::mark();
    let mut both = [start(scenario), start(scenario)];
    until("one of them gives up", || both.iter_mut().find_map(Running::has_ended));
    until("the other one waits for its hook", || scenario.find("job/long"));
    resume(scenario);
    let mut both = both.map(Running::ended);
    both.sort_by_key(|ran| ran.code);
    let events = audit::since(mark, scenario);
    let opened = written(scenario, &events)
        .iter()
        .filter(|told| told.starts_with("create secrets") && told.contains("/sh.helm.release"))
        .count();
    assert_eq!(opened, 1, "one of them has opened a revision: {:#?}", written(scenario, &events));
    both
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn of_two_applies_at_once_one_writes_and_the_other_is_told_who() {
    for is_there in [true, false] {
        let scenario = with_a_long_hook("two");
        if is_there {
            with_namespace(&scenario);
        }
        let [first, second] = two_at_once(&scenario);
        let (first, second) = (first.exits(0), second.exits(8));
        assert!(first.stdout.contains("Applied "), "{first}");
        let told = ["@", " since 20", "(plan ", " is at work"].iter().all(|word| second.stderr.contains(word));
        assert!(told, "{second}");
        assert_eq!(scenario.revisions(), ["1 deployed"]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn who_comes_while_another_apply_is_in_the_middle_is_told_before_anyone_is_asked() {
    let scenario = with_a_long_hook("middle");
    let first = start(&scenario);
    until("the hook is waited for", || scenario.find("job/long"));
    let mark = audit::mark();
    let second = scenario.cfrt(&["apply", "desired.toml"]).exits(8);
    assert!(second.stderr.contains("is at work on it"), "{second}");
    assert_eq!(written(&scenario, &audit::since(mark, &scenario)), Vec::<String>::new());
    let plan = scenario.cfrt(&["plan", "desired.toml"]).exits(0);
    assert!(plan.stdout.contains("an apply would be refused now: revision 1 is pending-install"), "{plan}");
    resume(&scenario);
    first.ended().exits(0);
    assert!(scenario.find(&lease(&scenario)).is_none(), "it was given back");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_lease_that_nobody_renews_is_taken_over_once_it_has_expired() {
    let scenario = Scenario::small("expired");
    with_namespace(&scenario);
    held_elsewhere(&scenario, 1);
    let judged = judge::apply(&scenario).done();
    let stderr = &judged.ran.stderr;
    let over = "note: the lease of alice@far since 2026-11-23T03:30:00Z (plan 1f0c) was taken over: it wasn't renewed any more";
    assert!(stderr.contains(over), "{stderr}");
    let taken = judged.events.iter().find(|event| event.is_lease(&scenario.release) && event.verb() == "update");
    let spec = taken.map(|event| event.0["requestObject"]["spec"].clone()).unwrap_or_default();
    assert_eq!(spec["leaseTransitions"], 2, "{spec}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_lease_that_is_renewed_belongs_to_someone_and_nothing_is_written() {
    let scenario = Scenario::small("renewed");
    with_namespace(&scenario);
    held_elsewhere(&scenario, 600);
    let mark = audit::mark();
    let mut apply = start(&scenario);
    let mut count = 0;
    until("it gives up", || {
        count += 1;
        let patch = json!({"spec": {"renewTime": format!("2026-11-23T03:30:00.{count:06}Z")}});
        scenario.kubectl(&["patch", &lease(&scenario), "--type=merge", &format!("--patch={patch}")]).exits(0);
        apply.has_ended()
    });
    let ran = apply.ended().exits(8);
    assert!(ran.stderr.contains("alice@far since 2026-11-23T03:30:00Z (plan 1f0c) is at work"), "{ran}");
    assert_eq!(written(&scenario, &audit::since(mark, &scenario)), Vec::<String>::new());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn who_loses_the_lease_in_the_middle_writes_nothing_more_and_the_next_run_goes_on() {
    let scenario = with_a_long_hook("lost");
    let apply = start(&scenario);
    let uid = until("the hook is waited for", || scenario.find("job/long"))["metadata"]["uid"].clone();
    let mine = until("it was written down what it was made as", || {
        let journals = scenario.list("configmaps").into_iter();
        let mut hooks = journals.filter_map(|journal| journal["data"]["hook.000"].as_str().map(str::to_owned));
        hooks.find(|hook| uid.as_str().is_some_and(|uid| hook.contains(uid)))
    });
    let patch =
        json!({"spec": {"holderIdentity": "theirs"}, "metadata": {"annotations": {"cfrt.dev/holder": "bob@far"}}});
    let before = scenario.get(&lease(&scenario));
    assert_eq!(before["spec"]["leaseDurationSeconds"], 30);
    scenario.kubectl(&["patch", &lease(&scenario), "--type=merge", &format!("--patch={patch}")]).exits(0);
    let mark = audit::mark();
    let ran = apply.ended().exits(8);
    assert!(ran.stderr.contains("error: holding the lease of the release\n  caused by: bob@far"), "{ran}");
    let written = written(&scenario, &audit::since(mark, &scenario));
    assert_eq!(written, Vec::<String>::new(), "{mine}");
    assert_eq!(scenario.revisions(), ["1 pending-install"]);
    let theirs = scenario.get(&lease(&scenario));
    assert_eq!(theirs["spec"]["holderIdentity"], Value::from("theirs"), "what is others' is left alone");
    scenario.kubectl(&["delete", &lease(&scenario)]).exits(0);
    resume(&scenario);
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    assert_eq!(
        (scenario.get("job/long")["metadata"]["uid"].clone(), scenario.revisions()),
        (uid, vec!["1 deployed".into()])
    );
}

/// What is written once all is done: the record of the apply, and the key of plan files.
fn records(scenario: &Scenario) -> [Option<Value>; 2] {
    [scenario.find(&format!("secret/cfrt-{}-record", scenario.release)), scenario.find("secret/cfrt-key")]
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn who_loses_the_lease_once_all_is_done_writes_no_record_of_it_either() {
    let scenario = Scenario::small("late");
    scenario.values("{deployment: {enabled: false}}");
    // The second time it is read to look at everything once more.
    let faulty = Faulty::by(&scenario, "get */secrets/*-record 2 delay=15000\n");
    let apply = scenario.program(&["apply", "desired.toml", "--yes"]).variable("KUBECONFIG", faulty.kubeconfig());
    let apply = apply.start();
    until("the release is there", || (scenario.revisions() == ["1 deployed"]).then_some(()));
    let patch = json!({"spec": {"holderIdentity": "theirs"}, "metadata": {"annotations": {"cfrt.dev/holder": "bob"}}});
    scenario.kubectl(&["patch", &lease(&scenario), "--type=merge", &format!("--patch={patch}")]).exits(0);
    let ran = apply.ended().exits(8);
    assert!(ran.stderr.contains("error: holding the lease of the release\n  caused by: bob"), "{ran}");
    assert_eq!(records(&scenario), [None, None]);
    faulty.all_happened();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_apply_with_nothing_to_do_writes_no_record_while_someone_else_is_at_work() {
    let scenario = Scenario::small("idle");
    scenario.values("{deployment: {enabled: false}}");
    judge::apply(&scenario).done();
    scenario.kubectl(&["delete", &format!("secret/cfrt-{}-record", scenario.release)]).exits(0);
    held_elsewhere(&scenario, 600);
    let mark = audit::mark();
    let ran = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    assert!(ran.stderr.contains("no record") && ran.stderr.contains("alice@far"), "{ran}");
    let events = audit::since(mark, &scenario);
    assert!(audit::mutating(&events).is_empty(), "{:#?}", audit::mutating(&events));
    scenario.kubectl(&["delete", &lease(&scenario)]).exits(0);
    judge::apply(&scenario).done();
    assert!(records(&scenario).iter().all(Option::is_some), "nobody is at work any more");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_server_that_is_away_for_longer_than_a_lease_lasts_is_waited_for_where_nobody_else_has_had_it() {
    let scenario = Scenario::small("away");
    scenario.values("{deployment: {enabled: false}}");
    let faulty = Faulty::by(&scenario, "patch */configmaps/NAMESPACE 1 down=28000\n");
    let judged = judge::apply_by(&scenario, || faulty.apply(&scenario)).done();
    assert_eq!(scenario.revisions(), ["1 deployed"], "{}", judged.ran);
    faulty.all_happened();
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn the_lease_of_a_process_of_this_host_that_was_killed_is_taken_over_at_once() {
    let scenario = Scenario::small("same-host");
    with_namespace(&scenario);
    let apply = start(&scenario);
    until("it has the lease", || scenario.find(&lease(&scenario)));
    apply.kill();
    let judged = judge::apply(&scenario).done();
    assert!(judged.ran.stderr.contains("was taken over: its process has ended"), "{}", judged.ran);
}

/// The rights of an account that may do everything but with leases, or but with ConfigMaps.
fn rights_but(groups: &[&str], resources: &[&str]) -> Value {
    let rule =
        |groups: &[&str], resources: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": ["*"]});
    let others = ["secrets", "namespaces", "deployments", "jobs", "services", "serviceaccounts"];
    let mut rules = vec![rule(&["", "apps", "batch"], &others), rule(groups, resources)];
    if resources == ["leases"] {
        // Whoever may not read them can't plan either.
        rules.push(json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}));
    }
    Value::Array(rules)
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn who_may_not_hold_a_lease_or_write_a_journal_is_told_what_is_missing_and_writes_nothing() {
    for (groups, resources, missing) in [
        (&[""][..], &["configmaps"][..], "create, delete, get, patch, update leases.coordination.k8s.io"),
        (&["", "coordination.k8s.io"], &["leases"], "create, patch configmaps"),
    ] {
        let scenario = Scenario::small("not-permitted");
        scenario.values("{deployment: {enabled: false}}");
        with_namespace(&scenario);
        let writer = Account::new(&scenario, "writer", &rights_but(groups, resources));
        let mark = audit::mark();
        let ran = writer.cfrt(&["apply", "desired.toml", "--yes"]).exits(11);
        let place = format!("{missing} in namespace {}", scenario.namespace);
        let subject = format!("system:serviceaccount:{}:writer may not", scenario.namespace);
        assert!(ran.stderr.contains(&place) && ran.stderr.contains(&subject), "{ran}");
        assert_eq!(written(&scenario, &audit::since(mark, &scenario)), Vec::<String>::new());
        assert!(scenario.find(&lease(&scenario)).is_none(), "none was made");
    }
}
