//! Someone else is at work on the release, or we are stopped in the middle of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::process::{Program, until};
use crate::common::scenario::Scenario;
use crate::common::tools::{self, Helm};
use crate::transcript::{command, said, text};

const HANGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wrong/helm-that-hangs");

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

/// Sends a signal; whether there was someone to send it to.
fn kill(signal: &str, process: &str) -> bool {
    Command::new("kill").args([signal, process]).stderr(Stdio::null()).status().expect("there is a kill").success()
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
    let apply = scenario.program(&["apply", "desired.toml", "--yes"]).start();
    until("the hook is waited for", || scenario.find("job/never"));
    assert!(kill("-INT", &apply.id()));
    let ended = said(&apply.ended());
    assert!(
        ended.contains(" It was stopped before its end. Exit 130.\n") && ended.ends_with("[exit 130]\n"),
        "{ended}"
    );
    let Scenario { namespace, release, .. } = &scenario;
    for line in [
        format!("chart: running hook Job {namespace}/never (pre-install)\n"),
        format!("chart: started hook Job {namespace}/never (pre-install), not awaited\n"),
        format!("chart: closed Release {namespace}/{release} as failed\n"),
        format!("Release {namespace}/{release} is recorded as failed (revision 1)."),
    ] {
        assert!(ended.contains(&line), "{line} is not in {ended}");
    }
    assert_eq!(status(&scenario), "1 \"failed\": \"Install stopped before it was complete\"");
    assert!(scenario.find(&format!("lease/cfrt-{release}")).is_none(), "it was given back");
    assert_eq!(runs(&scenario), ["interrupted 130"]);
    assert!(scenario.find("configmap/object").is_none(), "what comes after the hook has not begun");
    scenario.values("never: false");
    let _applied = scenario.apply().1.exits(0);
    assert!(scenario.find("configmap/object").is_some());
    assert_eq!(status(&scenario), "2 \"deployed\": \"Upgrade complete\"");
}

/// How the runs of a release stand, the newest first.
fn runs(scenario: &Scenario) -> Vec<String> {
    let history = scenario.cfrt(&["history", "desired.toml", "--output", "json"]).exits(0).json();
    let run = |run: &serde_json::Value| format!("{} {}", run["state"].as_str().unwrap_or_default(), run["exit"]);
    history["runs"].as_array().into_iter().flatten().map(run).collect()
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_second_interrupt_aborts_at_once_and_the_next_apply_goes_on_from_there() {
    let scenario = with_endless_hook("abort");
    let mut apply = scenario.program(&["apply", "desired.toml", "--yes"]).start();
    let uid = until("the hook is waited for", || scenario.find("job/never"))["metadata"]["uid"].clone();
    until("it was written down what it was made as", || {
        let made = uid.as_str().unwrap_or_default();
        scenario.list("configmaps").iter().any(|journal| journal["data"].to_string().contains(made)).then_some(())
    });
    // Both come at once, so that nothing can be finished in between.
    assert!(["-STOP", "-INT", "-TERM", "-CONT"].iter().all(|signal| kill(signal, &apply.id())));
    until("it has ended", || apply.has_ended());
    let ended = said(&apply.ended());
    assert!(ended.contains("aborted: what was being written may be there or not\n"), "{ended}");
    assert!(ended.ends_with("[exit 130]\n"), "{ended}");
    assert_eq!(runs(&scenario), ["broken-off null"]);
    assert!(scenario.find(&format!("lease/cfrt-{}", scenario.release)).is_some(), "it was left as it was");
    scenario.kubectl(&["patch", "job/never", "--type=merge", "--patch={\"spec\":{\"suspend\":false}}"]).exits(0);
    scenario.apply().1.exits(0);
    assert_eq!(runs(&scenario), ["done 0", "broken-off null"]);
    assert_eq!(scenario.get("job/never")["metadata"]["uid"], uid, "the hook doesn't run twice");
    assert_eq!(status(&scenario), "1 \"deployed\": \"Install complete\"");
}

/// Runs a command with a helm that never answers, and asks it to stop by a signal once helm is at work. It is announced to
/// nobody: it may write nothing at all.
fn stopped(scenario: &Scenario, arguments: &[&str], signal: &str) {
    let (noted, temporary) = (scenario.folder().join("noted"), scenario.folder().join("temporary"));
    fs::create_dir_all(&temporary).expect("the folder can be written");
    scenario.write("noted", "");
    let mut cfrt = command(scenario, env!("CARGO_BIN_EXE_cfrt"), arguments);
    cfrt.env("CFRT_HELM", HANGING).env("HANGING", &noted).env("TMPDIR", &temporary);
    let cfrt = cfrt.spawn().expect("the binary was built");
    let helm = until("helm is at work", || {
        fs::read_to_string(&noted).ok().filter(|noted| noted.ends_with('\n')).map(|noted| noted.trim().to_owned())
    });
    assert!(kill("-0", &helm), "helm is there");
    assert!(kill(signal, &cfrt.id().to_string()));
    let ended = text(&cfrt.wait_with_output().expect("it ends"));
    assert_eq!(ended, "interrupted: nothing was written\n[exit 130]\n", "{arguments:?} {signal}");
    until("helm is gone", || (!kill("-0", &helm)).then_some(()));
    assert_eq!(left(&temporary), Vec::<String>::new());
    let left = left(&scenario.folder().join("cache"));
    assert!(left.iter().all(|name| !name.contains("tmp")), "{left:?}");
}

/// The names of all that is in a folder.
fn left(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it can be listed").map(|entry| entry.expect("it can be listed"));
    let below = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if entry.path().is_dir() { left(&entry.path()) } else { Vec::new() };
        std::iter::once(name).chain(below).collect::<Vec<_>>()
    };
    entries.flat_map(below).collect()
}

#[test]
#[ignore = "needs a control plane and helm"]
fn who_is_stopped_while_helm_renders_ends_helm_and_leaves_nothing_behind() {
    let scenario = Scenario::small("preparing");
    for signal in ["-INT", "-TERM"] {
        stopped(&scenario, &["plan", "desired.toml"], signal);
        stopped(&scenario, &["apply", "desired.toml", "--yes"], signal);
    }
    assert!(scenario.find(&format!("namespace/{}", scenario.namespace)).is_none());
}
