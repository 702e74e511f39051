//! No byte of a secret reaches what `cfrt` prints or keeps.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::common::process::Ran;
use crate::common::scenario::Scenario;
use crate::common::secrets::{files, holds, traces};

/// Plain, base64 and URL encodings of it differ from one another.
const TOKEN: &str = "tok&en+6f1d/8a?b=c%ö 7e";
const PASSWORD: &str = "pass~word>3c9e?f0/2d+\"b";

/// Everything that was printed, and everything in the cache, and none of it with a trace of the secrets.
#[track_caller]
fn silent(scenario: &Scenario, secrets: &[&str], runs: &[Ran]) {
    let cache = files(&scenario.folder().join("cache"));
    assert!(cache.iter().any(|file| file.to_string_lossy().contains("renderings")), "a rendering was kept: {cache:?}");
    for trace in secrets.iter().flat_map(|secret| traces(secret)) {
        for ran in runs {
            assert!(!holds(ran.stdout.as_bytes(), &trace) && !holds(ran.stderr.as_bytes(), &trace), "{trace}\n{ran}");
        }
        for file in &cache {
            assert!(!holds(&fs::read(file).expect("it can be read"), &trace), "{trace} is in {}", file.display());
        }
    }
}

/// Every command in every format, before and after it is applied, and once more with all of it changed.
fn all(scenario: &Scenario, variables: &[(&str, &str)], change: impl Fn()) -> Vec<Ran> {
    let run = |arguments: &[&str]| {
        let program =
            variables.iter().fold(scenario.program(arguments), |program, (name, value)| program.variable(name, value));
        program.run().exits(0)
    };
    let plans = || [run(&["plan", "desired.toml"]), run(&["plan", "desired.toml", "--output", "json"])];
    let mut runs = plans().to_vec();
    runs.push(run(&["apply", "desired.toml", "--yes"]));
    runs.extend(plans());
    change();
    runs.extend(plans());
    runs.push(run(&["apply", "desired.toml", "--yes", "--output", "json"]));
    runs.extend(plans());
    runs
}

fn values(password: &str) -> String {
    let password = serde_json::Value::from(password);
    // In a Secret, and in places where no one expects it.
    format!(
        "secret: {{password: {password}}}\ndata: {{greeting: {password}}}\ndeployment: {{env: {{PASSWORD: {password}}}}}\nannotations: {{note: {password}}}"
    )
}

#[test]
#[ignore = "needs a control plane and helm"]
fn values_with_a_secret_in_them_leave_no_trace() {
    let scenario = Scenario::small("values");
    let other = PASSWORD.replace("pass", "word");
    scenario.values(&values(PASSWORD));
    let runs = all(&scenario, &[], || scenario.values(&values(&other)));
    assert!(runs.iter().any(|ran| ran.stdout.contains("secret")), "that a secret changes is said");
    silent(&scenario, &[PASSWORD, &other], &runs);
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_secret_that_stands_where_it_is_about_to_go_is_not_shown_either() {
    let scenario = Scenario::small("leaves");
    let job = |image: &str| {
        format!(
            "\nextraObjects: [{{apiVersion: batch/v1, kind: Job, metadata: {{name: task}}, spec: {{template: {{spec: {{restartPolicy: Never, \
         containers: [{{name: a, image: {image}, env: [{{name: PASSWORD, value: {}}}]}}]}}}}}}}}]",
            serde_json::Value::from(PASSWORD)
        )
    };
    scenario.values(&(values(PASSWORD) + &job("a:1")));
    let applied = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    let moved = format!("secret: {{password: {}}}\ndata: {{greeting: plain}}", serde_json::Value::from(PASSWORD));
    scenario.values(&(moved + &job("a:2")));
    let replaced = ["text", "json"].map(|output| scenario.cfrt(&["plan", "desired.toml", "--output", output]).exits(0));
    assert!(replaced[0].stdout.contains("spec.template can't change"), "{}", replaced[0]);
    silent(&scenario, &[PASSWORD], &[&[applied], &replaced[..]].concat());
}

fn with_token(scenario: &Scenario, place: &str) {
    scenario.write("desired.toml", &format!("{}\n[platform]\ntoken = {place}\n", scenario.desired()));
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_token_from_a_variable_leaves_no_trace() {
    let scenario = Scenario::small("env");
    with_token(&scenario, "{ env = \"SCENARIO_TOKEN\" }");
    let runs = all(&scenario, &[("SCENARIO_TOKEN", TOKEN)], || scenario.values("text: other"));
    silent(&scenario, &[TOKEN], &runs);
    let secret = scenario.get("secret/cfrt-platform-token");
    assert_eq!(secret["data"]["token"], BASE64_STANDARD.encode(TOKEN));
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_token_from_a_file_leaves_no_trace_when_it_changes_either() {
    let scenario = Scenario::small("file");
    with_token(&scenario, "{ file = \"token\" }");
    scenario.write("token", &format!("{TOKEN}\n"));
    let other = format!("{TOKEN}2");
    let runs = all(&scenario, &[], || scenario.write("token", &other));
    silent(&scenario, &[TOKEN, &other], &runs);
    assert_eq!(scenario.get("secret/cfrt-platform-token")["data"]["token"], BASE64_STANDARD.encode(&other));
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_token_from_another_namespace_leaves_no_trace() {
    let scenario = Scenario::small("elsewhere");
    let name = scenario.unique("token");
    let literal = format!("--from-literal=key={TOKEN}");
    let _made = scenario.kubectl(&["create", "secret", "generic", &name, &literal, "--namespace", "default"]).exits(0);
    with_token(&scenario, &format!("{{ secret = \"default/{name}\", key = \"key\" }}"));
    let runs = all(&scenario, &[], || scenario.values("text: other"));
    let _gone = scenario.kubectl(&["delete", "secret", &name, "--namespace", "default"]).exits(0);
    silent(&scenario, &[TOKEN], &runs);
    assert_eq!(scenario.get(&format!("secret/{name}"))["data"]["key"], BASE64_STANDARD.encode(TOKEN));
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_chart_that_fails_with_a_token_in_its_words_leaves_no_trace_of_it() {
    let scenario = Scenario::small("fails");
    fs::create_dir_all(scenario.folder().join("chart/templates")).expect("the folder can be written");
    scenario.write("chart/Chart.yaml", "apiVersion: v2\nname: fails\nversion: 0.1.0\n");
    scenario.write("chart/templates/fail.yaml", "{{ fail (printf \"no %s here\" .Values.text) }}\n");
    let small = serde_json::Value::from(scenario.chart().to_string_lossy()).to_string();
    scenario.write("desired.toml", &scenario.desired().replace(&small, "\"chart\""));
    with_token(&scenario, "{ env = \"SCENARIO_TOKEN\" }");
    scenario.values(&format!("text: {}", serde_json::Value::from(TOKEN)));
    for arguments in [&["plan", "desired.toml"][..], &["apply", "desired.toml", "--yes", "--output", "json"]] {
        let ran = scenario.program(arguments).variable("SCENARIO_TOKEN", TOKEN).run().exits(1);
        assert!(ran.stderr.contains("no (secret) here"), "{ran}");
        for trace in traces(TOKEN) {
            assert!(!ran.stdout.contains(&trace) && !ran.stderr.contains(&trace), "{trace}\n{ran}");
        }
    }
}
