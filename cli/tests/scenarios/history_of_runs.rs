//! The journals of a release: who has applied what and how it ended, the last fifty of them.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::process::until;
use crate::common::scenario::Scenario;

fn runs(scenario: &Scenario) -> Vec<Value> {
    let history = scenario.cfrt(&["history", "desired.toml", "--output", "json"]).exits(0).json();
    assert_eq!(history["format"], "cfrt.history/1");
    history["runs"].as_array().cloned().unwrap_or_default()
}

fn states(scenario: &Scenario) -> Vec<String> {
    runs(scenario).iter().map(|run| format!("{} {}", run["state"].as_str().unwrap_or_default(), run["exit"])).collect()
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn every_run_that_writes_is_told_with_what_it_meant_to_do_and_how_it_ended() {
    let scenario = Scenario::small("runs");
    let nothing = scenario.cfrt(&["history", "desired.toml"]).exits(0);
    assert!(nothing.stdout.ends_with("  Nothing was applied yet.\n"), "{nothing}");
    judge::apply(&scenario).done();
    judge::apply(&scenario).done();
    assert_eq!(states(&scenario), ["done 0"], "who has nothing to do writes no journal");
    scenario
        .values("{data: {greeting: two}, hooks: [{name: broken, event: pre-upgrade, image: 'example/hook:fails'}]}");
    judge::apply(&scenario).exits(10);
    assert_eq!(states(&scenario), ["failed 10", "done 0"]);
    scenario.values("{data: {greeting: three}, hooks: [{name: long, event: pre-upgrade, suspend: true}]}");
    let apply = scenario.program(&["apply", "desired.toml", "--yes"]).start();
    until("the hook is waited for", || scenario.find("job/long"));
    assert_eq!(states(&scenario), ["at-work null", "failed 10", "done 0"]);
    apply.kill();
    assert_eq!(states(&scenario), ["broken-off null", "failed 10", "done 0"]);
    let mark = audit::mark();
    let told = scenario.cfrt(&["history", "desired.toml"]).exits(0).stdout;
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty(), "a history writes");
    let lines: Vec<&str> = told.lines().skip(1).collect();
    assert!(
        lines[0].ends_with("   broken off") && lines[0].contains("apply desired.toml   1 hook to run, 2 to update"),
        "{told}"
    );
    assert!(lines[1].contains("failed after ") && lines[1].ends_with(", exit 10"), "{told}");
    assert!(lines[2].contains("7 to create") && lines[2].contains("   done in "), "{told}");
    let run = &runs(&scenario)[2];
    assert_eq!((&run["file"], &run["counts"]), (&json!("desired.toml"), &json!({"create": 7})));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn fifty_journals_are_kept_and_what_is_no_journal_stays() {
    let scenario = Scenario::small("fifty");
    scenario.values("{deployment: {enabled: false}}");
    judge::apply(&scenario).done();
    let release = &scenario.release;
    let old = |number: usize| {
        let run = format!("{number:03}");
        let data = json!({"format": "cfrt.run/1", "run": run, "began": "2026-01-01T00:00:00Z"}).to_string();
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"run": data},
            "metadata": {"name": format!("cfrt-{release}-run-{run}"), "labels": {"cfrt.dev/run-of": release}}})
    };
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "theirs", "labels": {"cfrt.dev/run-of": release}}});
    let items: Vec<Value> = (0..50).map(old).chain([theirs]).collect();
    scenario.write("old.json", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    scenario.kubectl(&["create", "--filename", "old.json"]).exits(0);
    scenario.values("{deployment: {enabled: false}, data: {greeting: two}}");
    judge::apply(&scenario).done();
    let labelled = scenario.kubectl(&["get", "configmaps", "--selector", "cfrt.dev/run-of", "--output", "name"]);
    let labelled = labelled.exits(0).stdout;
    assert_eq!((labelled.lines().count(), labelled.contains("/theirs\n")), (51, true), "{labelled}");
    let runs = runs(&scenario);
    assert_eq!((runs.len(), &runs[0]["state"], &runs[49]["state"]), (50, &json!("done"), &json!("broken-off")));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_journal_that_disappears_in_the_middle_is_told_and_breaks_nothing_but_the_next_hook() {
    let hooks = "{name: long, event: post-install, suspend: true}";
    let journal = |scenario: &Scenario| {
        let journals = scenario.list("configmaps").into_iter();
        let mut names = journals.filter_map(|journal| journal["metadata"]["name"].as_str().map(str::to_owned));
        names.find(|name| name.contains("-run-"))
    };
    for (more, code) in [("", 0), (", {name: next, event: post-install, weight: 1}", 10)] {
        let fresh = Scenario::small("gone");
        fresh.values(&format!("{{deployment: {{enabled: false}}, hooks: [{hooks}{more}]}}"));
        let apply = fresh.program(&["apply", "desired.toml", "--yes"]).start();
        until("the hook is waited for", || fresh.find("job/long"));
        let name = until("there is a journal", || journal(&fresh));
        let known =
            |journal: &Value| journal["data"]["hook.000"].as_str().is_some_and(|hook| hook.contains("\"uid\":\""));
        until("it says what the hook was made as", || Some(fresh.get(&format!("configmap/{name}"))).filter(known));
        fresh.kubectl(&["delete", "configmap", &name]).exits(0);
        fresh.kubectl(&["patch", "job/long", "--type=merge", "--patch={\"spec\":{\"suspend\":false}}"]).exits(0);
        let ran = apply.ended().exits(code);
        assert!(ran.stderr.contains("note: the journal of this run is not complete"), "{ran}");
        assert!(fresh.find("job/next").is_none(), "a hook without an intent doesn't run");
    }
}
