//! What is seen of drift by someone who may only read, and of definitions, whose ownership is a part of its own.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::process::Ran;
use crate::common::scenario::Scenario;

/// Runs `cfrt` as a ServiceAccount that may get and list everything and nothing else.
fn as_a_reader(scenario: &Scenario, arguments: &[&str]) -> Ran {
    let login = scenario.folder().join("reader.json");
    scenario.program(arguments).variable("KUBECONFIG", login).run()
}

/// Makes the ServiceAccount and its kubeconfig; the role is the scenario's own, and goes with its namespace's name.
fn reader(scenario: &Scenario) {
    let name = &scenario.namespace;
    scenario.kubectl(&["create", "serviceaccount", "reader"]).exits(0);
    let role = ["create", "clusterrole", name, "--verb=get,list", "--resource=*.*"];
    scenario.kubectl_anywhere(&role).exits(0);
    let account = format!("--serviceaccount={name}:reader");
    let binding = ["create", "clusterrolebinding", name, &format!("--clusterrole={name}"), &account];
    scenario.kubectl_anywhere(&binding).exits(0);
    let token = scenario.kubectl(&["create", "token", "reader"]).exits(0).stdout;
    let config = ["config", "view", "--raw", "--minify", "--flatten", "--output", "json"];
    let mut config: Value = scenario.kubectl_anywhere(&config).exits(0).json();
    config["users"][0]["user"] = json!({"token": token.trim()});
    scenario.write("reader.json", &config.to_string());
}

fn forget(scenario: &Scenario) {
    for kind in ["clusterrolebinding", "clusterrole"] {
        scenario.kubectl_anywhere(&["delete", kind, &scenario.namespace]).exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn who_may_only_read_plans_and_finds_what_has_moved_and_is_told_once_that_nothing_confirms_it() {
    let scenario = Scenario::small("reader");
    judge::apply(&scenario).done();
    reader(&scenario);
    let name = &scenario.release;
    let nothing = as_a_reader(&scenario, &["drift", "desired.toml"]).exits(0).stdout;
    assert!(!nothing.contains("dry runs"), "{nothing}");
    scenario.kubectl(&["scale", &format!("deployment/{name}"), "--replicas=3"]).exits(0);
    scenario.kubectl(&["label", &format!("configmap/{name}"), "app.kubernetes.io/name=x", "--overwrite"]).exits(0);
    let plan = as_a_reader(&scenario, &["plan", "desired.toml"]).exits(0).stdout;
    assert!(plan.contains("drift: kubectl (scale), time unknown"), "{plan}");
    let drift = as_a_reader(&scenario, &["drift", "desired.toml"]).exits(3).stdout;
    assert!(drift.starts_with("drift: 2 objects moved, 5 as they should be\n"), "{drift}");
    for shown in [plan, drift] {
        assert_eq!(shown.matches("dry runs").count(), 1, "{shown}");
    }
    let mark = audit::mark();
    as_a_reader(&scenario, &["apply", "desired.toml", "--yes"]).exits(11);
    let writes = audit::since(mark, &scenario);
    assert!(audit::mutating(&writes).iter().all(|event| !event.succeeded()), "who may only read has written");
    forget(&scenario);
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
