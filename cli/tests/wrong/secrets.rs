//! No byte of a secret reaches what `cfrt` prints or keeps.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::process::Ran;
use crate::common::scenario::Scenario;

/// Plain, base64 and URL encodings of it differ from one another.
const TOKEN: &str = "tok&en+6f1d/8a?b=c%ö 7e";
const PASSWORD: &str = "pass~word>3c9e?f0/2d+\"b";

/// The bytes by which a secret would be known.
fn traces(secret: &str) -> Vec<String> {
    let base64 = base64(secret.as_bytes());
    let url = secret.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    let json = serde_json::Value::from(secret).to_string();
    let unpadded = base64.trim_end_matches('=').to_owned();
    let twice = base64_of_text(&base64);
    vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        unpadded.replace('+', "-").replace('/', "_"),
        unpadded,
        twice,
        url.collect(),
    ]
}

fn base64_of_text(text: &str) -> String {
    base64(text.as_bytes()).trim_end_matches('=').to_owned()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let digit =
            |at: usize| if at <= chunk.len() { char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]) } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be listed").map(|entry| entry.expect("it can be listed").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(text: &[u8], trace: &str) -> bool {
    text.windows(trace.len()).any(|window| window == trace.as_bytes())
}

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
    let refused = ["text", "json"].map(|output| scenario.cfrt(&["plan", "desired.toml", "--output", output]).exits(5));
    assert!(refused[0].stdout.contains("is invalid: spec.template: field is immutable"), "{}", refused[0]);
    silent(&scenario, &[PASSWORD], &[&[applied], &refused[..]].concat());
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
    assert_eq!(secret["data"]["token"], base64(TOKEN.as_bytes()));
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
    assert_eq!(scenario.get("secret/cfrt-platform-token")["data"]["token"], base64(other.as_bytes()));
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
    assert_eq!(scenario.get(&format!("secret/{name}"))["data"]["key"], base64(TOKEN.as_bytes()));
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
