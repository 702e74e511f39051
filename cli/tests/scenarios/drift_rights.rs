//! What is seen of drift by someone who may only read, after an apply that failed, and of what belongs to no release.

use serde_json::json;

use crate::common::audit;
use crate::common::judge;
use crate::common::login::Account;
use crate::common::scenario::Scenario;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn who_may_only_read_plans_and_finds_what_has_moved_and_is_told_once_that_nothing_confirms_it() {
    let scenario = Scenario::small("reader");
    judge::apply(&scenario).done();
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]);
    let reader = Account::new(&scenario, "reader", &everything);
    let name = &scenario.release;
    let nothing = reader.cfrt(&["drift", "desired.toml"]).exits(0).stdout;
    assert!(!nothing.contains("dry runs"), "{nothing}");
    scenario.kubectl(&["scale", &format!("deployment/{name}"), "--replicas=3"]).exits(0);
    scenario.kubectl(&["label", &format!("configmap/{name}"), "app.kubernetes.io/name=x", "--overwrite"]).exits(0);
    let plan = reader.cfrt(&["plan", "desired.toml"]).exits(0).stdout;
    assert!(plan.contains("drift: kubectl (scale), time unknown"), "{plan}");
    let drift = reader.cfrt(&["drift", "desired.toml"]).exits(3).stdout;
    assert!(drift.starts_with("drift: 2 objects moved, 5 as they should be\n"), "{drift}");
    for shown in [plan, drift] {
        assert_eq!(shown.matches("dry runs").count(), 1, "{shown}");
    }
    let mark = audit::mark();
    reader.cfrt(&["apply", "desired.toml", "--yes"]).exits(11);
    let writes = audit::since(mark, &scenario);
    assert!(audit::mutating(&writes).iter().all(|event| !event.succeeded()), "who may only read has written");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_that_lost_the_label_of_its_adoption_has_moved_and_is_adopted_again() {
    let scenario = Scenario::small("adopted");
    scenario.values("{deployment: {enabled: false}, crd: {enabled: true, group: NAMESPACE.example.com, objects: 1}}");
    scenario.write("desired.toml", &format!("{}\n[crds]\nadopt = \"all\"\n", scenario.desired()));
    judge::apply(&scenario).done();
    let definition = format!("crd/widgets.{}.example.com", scenario.namespace);
    scenario.kubectl(&["label", &definition, "app.kubernetes.io/managed-by-"]).exits(0);
    scenario.kubectl(&["annotate", &definition, "meta.helm.sh/release-name-"]).exits(0);
    let drift = scenario.cfrt(&["drift", "desired.toml", "--output", "json"]).exits(3).json();
    let findings = drift["findings"].as_array().cloned().unwrap_or_default();
    let told: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} {} {}", finding["sort"], finding["part"], finding["path"]).replace('"', ""))
        .collect();
    let expected = [
        r"missing adoption metadata.annotations[\meta.helm.sh/release-name\]",
        r"missing adoption metadata.labels[\app.kubernetes.io/managed-by\]",
    ];
    assert_eq!(told, expected);
    judge::apply(&scenario).done();
    scenario.cfrt(&["drift", "desired.toml"]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_copied_secret_that_is_gone_or_edited_has_moved_and_another_token_is_a_change() {
    let scenario = Scenario::small("copied");
    let platform = "[platform]\naccount = \"a\"\ntoken = { env = \"SCENARIO_TOKEN\" }";
    scenario.write("desired.toml", &format!("{}\n{platform}\n", scenario.desired()));
    let first = scenario.cfrt(&["drift", "desired.toml"]).exits(4).stdout;
    assert!(first.starts_with("drift: 1 object moved, 8 changes from the file\n"), "{first}");
    assert!(first.contains("   absent: deleted, or never applied   "), "{first}");
    judge::apply(&scenario).done();
    let secret = "secret/cfrt-platform-token";
    scenario.kubectl(&["delete", secret]).exits(0);
    let gone = scenario.cfrt(&["drift", "desired.toml"]).exits(3).stdout;
    assert!(gone.contains("/cfrt-platform-token   deleted   who and when unknown   id "), "{gone}");
    judge::apply(&scenario).done();
    scenario.kubectl(&["patch", secret, "--patch", r#"{"stringData": {"token": "edited"}}"#]).exits(0);
    let edited = scenario.cfrt(&["drift", "desired.toml"]).exits(3).stdout;
    assert!(edited.contains("/cfrt-platform-token   data.token changed (secret)   by kubectl-patch at 2"), "{edited}");
    for output in ["text", "json", "markdown"] {
        let ran = scenario.cfrt(&["drift", "desired.toml", "--output", output, "--junit", "a.xml"]).exits(3);
        let junit = std::fs::read_to_string(scenario.folder().join("a.xml")).expect("it was written");
        let said = ran.stdout + &ran.stderr + &junit;
        let values = ["edited", "ZWRpdGVk", "sealed:"];
        assert!(!values.iter().any(|value| said.contains(value)), "{said}");
    }
    judge::apply(&scenario).done();
    let other = scenario.program(&["drift", "desired.toml"]).variable("SCENARIO_TOKEN", "another-token").run();
    assert!(other.exits(0).stdout.contains(", 1 change from the file\n"));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_a_failed_apply_did_not_reach_has_not_moved() {
    let scenario = Scenario::small("begun");
    scenario.values("data: {greeting: one}");
    judge::apply(&scenario).done();
    let broken = "{apiVersion: v1, kind: Service, metadata: {name: broken}, spec: {ports: [{port: 70000}]}}";
    scenario.values(&format!("data: {{greeting: two}}\nextraObjects: [{broken}]"));
    let (_, ran) = scenario.apply();
    assert_ne!(ran.code, 0, "{ran}");
    let text = scenario.cfrt(&["drift", "desired.toml"]).exits(0).stdout;
    assert!(text.starts_with("no drift: "), "{text}");
    scenario.kubectl(&["scale", &format!("deployment/{}", scenario.release), "--replicas=3"]).exits(0);
    let text = scenario.cfrt(&["drift", "desired.toml"]).exits(4).stdout;
    assert!(text.contains("   spec.replicas 1 → 3   by kubectl (scale), time unknown   id "), "{text}");
}
