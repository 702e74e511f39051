//! Someone else is at work on the release, or we are stopped in the middle of it.

use std::process::Command;

use crate::common::process::{Program, until};
use crate::common::scenario::Scenario;
use crate::common::tools::{self, Helm};
use crate::transcript::{command, text};

const NEVER: &str = "apiVersion: batch/v1
kind: Job
metadata:
  name: never
  annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  suspend: {{ .Values.never }}
  template: {spec: {restartPolicy: Never, containers: [{name: a, image: a:1}]}}
";
const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: object}\n";

/// A chart whose hook never ends while `never` is true.
fn with_endless_hook(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    std::fs::create_dir_all(scenario.folder().join("chart/templates")).expect("the folder can be written");
    scenario.write("chart/Chart.yaml", "apiVersion: v2\nname: endless\nversion: 0.1.0\n");
    scenario.write("chart/values.yaml", "never: true\n");
    scenario.write("chart/templates/hook.yaml", NEVER);
    scenario.write("chart/templates/object.yaml", OBJECT);
    let small = serde_json::Value::from(scenario.chart().to_string_lossy()).to_string();
    scenario.write("desired.toml", &scenario.desired().replace(&small, "\"chart\""));
    scenario
}

fn status(scenario: &Scenario) -> String {
    let records = scenario.helm(Helm::Four, &["history", &scenario.release, "--output", "json"]).exits(0).json();
    let newest = records.as_array().and_then(|records| records.last()).cloned().unwrap_or_default();
    format!("{} {}: {}", newest["revision"], newest["status"], newest["description"])
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_release_that_helm_is_at_work_on_is_left_alone() {
    let scenario = with_endless_hook("pending");
    let chart = scenario.folder().join("chart");
    let helm = Program::new(Helm::Four.path(), scenario.folder())
        .variable("KUBECONFIG", tools::kubeconfig())
        .variable("HOME", scenario.folder())
        .arguments(["--namespace", &scenario.namespace, "install", &scenario.release, "--create-namespace"])
        .arguments([chart])
        .start();
    until("helm waits for its hook", || scenario.find("job/never"));
    let ran = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(8);
    drop(helm);
    assert!(
        ran.stderr.contains("another installation, upgrade or rollback of it is in progress, or was broken off"),
        "{ran}"
    );
    assert!(
        ran.stderr.contains("hint: wait until it is done; if no one is at work, it counts as given up in "),
        "{ran}"
    );
    assert!(scenario.find("configmap/object").is_none(), "nothing of it is written");
}

#[test]
#[ignore = "needs a control plane and helm"]
fn an_interrupt_ends_the_wait_for_a_hook_and_the_next_apply_works() {
    let scenario = with_endless_hook("interrupt");
    let cfrt = env!("CARGO_BIN_EXE_cfrt");
    let apply = command(&scenario, cfrt, &["apply", "desired.toml", "--yes"]).spawn().expect("the binary was built");
    until("the hook is waited for", || scenario.find("job/never"));
    let sent = Command::new("kill").args(["-INT", &apply.id().to_string()]).status().expect("there is a kill");
    assert!(sent.success());
    let ended = text(&apply.wait_with_output().expect("it ends"));
    assert!(ended.ends_with("[exit 130]\n"), "{ended}");
    assert_eq!(status(&scenario), "1 \"failed\": \"Install stopped before it was complete\"");
    assert!(scenario.find("configmap/object").is_none(), "what comes after the hook has not begun");
    scenario.values("never: false");
    let _applied = scenario.apply_unjudged().1.exits(0);
    assert!(scenario.find("configmap/object").is_some());
    assert_eq!(status(&scenario), "2 \"deployed\": \"Upgrade complete\"");
}
