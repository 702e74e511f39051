//! Plan files: made, read, approved, and carried out as they were approved or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cfrt_engine::planfile::PlanFile;

use crate::common::audit::{self, Event};
use crate::common::process::Ran;
use crate::common::scenario::Scenario;
use crate::common::secrets;

const FILE: &str = "prod.plan.json";

/// A release of the small chart with a token; nothing is applied yet.
fn with_token(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    let platform = "[platform]\ntoken = { env = \"SCENARIO_TOKEN\" }\n\n[chart]";
    scenario.write("desired.toml", &scenario.desired().replace("[chart]", platform));
    scenario.values("{data: {greeting: one}}");
    scenario
}

fn planned(scenario: &Scenario) -> PlanFile {
    scenario.cfrt(&["plan", "desired.toml", "-o", FILE]).exits(0);
    read(scenario)
}

fn text(scenario: &Scenario) -> String {
    fs::read_to_string(scenario.folder().join(FILE)).expect("the plan file was written")
}

fn read(scenario: &Scenario) -> PlanFile {
    PlanFile::read(&text(scenario)).expect("it is genuine")
}

/// Carries the plan file out, and gives what was written besides bookkeeping.
fn applied(scenario: &Scenario, code: i32) -> (Ran, Vec<String>) {
    let mark = audit::mark();
    let ran = scenario.cfrt(&["apply", "--plan", FILE]).exits(code);
    let events = audit::since(mark, scenario);
    let kept = |event: &&&Event| event.is_last_apply() || event.is_key() || event.is_book(&scenario.release);
    let bookkeeping = |event: &&&Event| kept(event) || event.is_record();
    let writes = audit::mutating(&events);
    let written: BTreeSet<String> =
        writes.iter().filter(|event| !bookkeeping(event)).map(|event| event.told()).collect();
    (ran, written.into_iter().map(|told| told.replace(&format!("{}/", scenario.namespace), "")).collect())
}

/// What carrying it out would change; where nothing may be written, nothing at all is.
fn refused(scenario: &Scenario, code: i32) -> Ran {
    let mark = audit::mark();
    let ran = scenario.cfrt(&["apply", "--plan", FILE]).exits(code);
    let events = audit::since(mark, scenario);
    assert!(audit::mutating(&events).is_empty(), "{:#?}", audit::mutating(&events));
    ran
}

fn greeting(scenario: &Scenario) -> String {
    let config = scenario.get(&format!("configmap/{}", scenario.release));
    config["data"]["greeting"].as_str().unwrap_or_default().to_owned()
}

fn set_greeting(scenario: &Scenario, text: &str) {
    let patch = format!("{{\"data\": {{\"greeting\": \"{text}\"}}}}");
    scenario.kubectl(&["patch", "configmap", &scenario.release, "--patch", &patch]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_file_has_the_same_bytes_wherever_it_is_made_and_no_secret_in_any_form() {
    let scenario = with_token("bytes");
    planned(&scenario);
    let first = text(&scenario);
    let elsewhere = scenario.folder().join("another-cache");
    for _ in 0..2 {
        scenario
            .program(&["plan", "desired.toml", "-o", FILE])
            .variable("CFRT_CACHE", &elsewhere)
            .variable("USER", "someone-else")
            .run()
            .exits(0);
        assert_eq!(text(&scenario), first, "without a key");
    }
    applied(&scenario, 0);
    scenario.values("{data: {greeting: two}, secret: {password: another-password}}");
    planned(&scenario);
    let second = text(&scenario);
    let program = scenario.program(&["plan", "desired.toml", "-o", FILE]);
    program.variable("CFRT_CACHE", scenario.folder().join("a-third-cache")).run().exits(0);
    assert_eq!(text(&scenario), second, "with the key that all share");
    for secret in ["another-password", secrets::TOKEN] {
        secrets::absent(secret, format!("{first}{second}").as_bytes(), "the plan file");
    }
    assert!(second.contains("\"secret_after\": \"hmac-sha256:"), "{second}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_approved_plan_is_carried_out_once_and_after_that_nothing_is_left_to_do() {
    let scenario = with_token("approved");
    scenario.values("{hooks: [{name: migrate, event: pre-install}]}");
    let file = planned(&scenario);
    assert_eq!(file.steps().count(), 9);
    let shown = scenario.cfrt(&["show", FILE]).exits(0);
    assert!(
        shown.stdout.contains("+ Deployment") && shown.stdout.contains("Plan: 8 to create, 1 hook to run."),
        "{shown}"
    );
    let verified = scenario.cfrt(&["verify", FILE]).exits(0);
    assert_eq!(verified.stdout, format!("genuine: 9 steps, approval {}\n", file.approval()));
    let (_, written) = applied(&scenario, 0);
    assert_eq!(written.len(), 8, "{written:#?}");
    let (ran, written) = applied(&scenario, 0);
    assert!(written.is_empty() && ran.stdout.contains("Nothing to do"), "{written:#?} {ran}");
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_file_that_was_altered_is_refused_before_anything_is_asked() {
    let scenario = with_token("altered");
    planned(&scenario);
    let text = text(&scenario);
    let mark = audit::mark();
    for altered in [text.replace("\"create\"", "\"delete\""), format!("{text} "), text[..text.len() / 2].to_owned()] {
        scenario.write(FILE, &altered);
        for command in [&["apply", "--plan", FILE][..], &["show", FILE], &["verify", FILE]] {
            let ran = scenario.cfrt(command).exits(7);
            assert!(ran.stderr.contains("error: reading the plan file"), "{ran}");
        }
    }
    let asked = audit::since(mark, &scenario);
    assert!(asked.is_empty(), "{:#?}", asked.iter().map(Event::told).collect::<Vec<_>>());
    scenario.cfrt(&["apply", "--plan", "nowhere.json"]).exits(64);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_moved_since_the_approval_stops_it_and_what_is_so_already_is_skipped() {
    let scenario = with_token("moved");
    planned(&scenario);
    applied(&scenario, 0);
    scenario.values("{data: {greeting: two, more: x}}");
    planned(&scenario);

    set_greeting(&scenario, "moved");
    let stale = refused(&scenario, 6);
    for part in ["approved: ~ ConfigMap", "- one", "now:      ~ ConfigMap", "- moved", "the plan file is stale"] {
        assert!(stale.stderr.contains(part), "{part}: {stale}");
    }
    // The same field by another hand, but as it was: the effects are those that were approved.
    set_greeting(&scenario, "one");
    let other = format!("configmap/{}", scenario.release);
    scenario.kubectl(&["label", &other, "of=others"]).exits(0);
    let (_, written) = applied(&scenario, 0);
    assert_eq!(written, [format!("patch configmaps {}", scenario.release)]);
    assert_eq!(greeting(&scenario), "two");

    scenario.values("{data: {greeting: three, more: x}}");
    planned(&scenario);
    set_greeting(&scenario, "three");
    let (ran, written) = applied(&scenario, 0);
    assert!(written.is_empty(), "{written:#?}");
    assert!(ran.stderr.contains("1 approved step needs nothing any more"), "{ran}");
    assert_eq!(scenario.revisions().last().map(String::as_str), Some("3 deployed"));
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_of_another_cluster_another_file_or_another_chart_is_stale() {
    let scenario = with_token("other");
    let chart = scenario.folder().join("chart");
    copy(scenario.chart(), &chart);
    let source = scenario.chart().to_string_lossy().into_owned();
    scenario.write("desired.toml", &scenario.desired().replace(&source, "chart"));
    let file = planned(&scenario);

    let mut target = file.target.clone();
    target.insert("cluster_uid".to_owned(), "0b0e5d2a-0000-4000-8000-000000000000".to_owned());
    let elsewhere = PlanFile::new(file.desired.clone(), target, None, file.tasks.clone());
    scenario.write(FILE, &elsewhere.text());
    let stale = refused(&scenario, 6);
    assert!(
        stale.stderr.contains("approved: 0b0e5d2a-") && stale.stderr.contains(&file.target["cluster_uid"]),
        "{stale}"
    );

    scenario.write(FILE, &file.text());
    let notes = chart.join("templates/NOTES.txt");
    fs::write(&notes, "another chart under the same version\n").expect("the copy is ours");
    let stale = refused(&scenario, 6);
    assert!(stale.stderr.contains("! chart_digest"), "{stale}");
    fs::remove_file(&notes).expect("it is there");
    copy(scenario.chart(), &chart);

    scenario.values("{data: {greeting: changed}}");
    let stale = refused(&scenario, 6);
    assert!(stale.stderr.contains("what is wanted of it is something else"), "{stale}");
    scenario.values("{data: {greeting: one}}");
    applied(&scenario, 0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_secret_that_changed_after_the_approval_stops_it() {
    let scenario = with_token("secret");
    planned(&scenario);
    applied(&scenario, 0);
    let apply = |token: &str| {
        let program = scenario.program(&["apply", "--plan", FILE]);
        program.variable("SCENARIO_TOKEN", token).variable("CFRT_CACHE", scenario.folder().join(token)).run()
    };
    let plan = scenario.program(&["plan", "desired.toml", "-o", FILE]).variable("SCENARIO_TOKEN", "token-two");
    plan.run().exits(0);
    assert_eq!(read(&scenario).steps().count(), 1);
    let stale = apply("token-three").exits(6);
    assert!(stale.stderr.contains("data.token   (secret, changed)") && !stale.stderr.contains("token-t"), "{stale}");
    apply("token-two").exits(0);
    let secret = scenario.get("secret/cfrt-platform-token");
    assert_eq!(secret["data"]["token"], BASE64_STANDARD.encode("token-two"));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_that_refuses_something_is_not_written_down() {
    let scenario = with_token("refusing");
    let theirs = format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {}}}}}", scenario.release);
    scenario.write("theirs.yaml", &theirs);
    scenario.kubectl_anywhere(&["create", "namespace", &scenario.namespace]).exits(0);
    scenario.kubectl(&["create", "--filename", "theirs.yaml"]).exits(0);
    scenario.cfrt(&["plan", "desired.toml", "-o", FILE]).exits(5);
    assert!(!scenario.folder().join(FILE).exists());
    scenario.cfrt(&["plan", "desired.toml", "-o", "nowhere/prod.plan.json"]).exits(5);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("the chart is there") {
        let entry = entry.expect("it can be read");
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            let _bytes = fs::copy(entry.path(), place).expect("the folder is ours");
        }
    }
}
