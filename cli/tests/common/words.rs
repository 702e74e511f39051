//! What helm says of a release, without what is another on each run.

use std::collections::HashSet;

use serde_json::Value;

use super::scenario::Scenario;
use super::tools::Helm;

/// When things happened, and how hooks went, which is asked for apart.
const FLEETING: [&str; 10] = [
    "updated",
    "first_deployed",
    "last_deployed",
    "deployedAt",
    "modifiedAt",
    "createdAt",
    "started_at",
    "completed_at",
    "modtime",
    "last_run",
];

/// The answers of `helm list`, `status`, `history` and `get …`, each with its command.
pub(crate) fn words(scenario: &Scenario, helm: Helm) -> Vec<(String, String)> {
    let release = scenario.release.as_str();
    let structured: [&[&str]; 6] = [
        &["list", "--all"],
        &["status", release],
        &["history", release],
        &["get", "values", release],
        &["get", "values", "--all", release],
        &["get", "metadata", release],
    ];
    let plain = ["manifest", "hooks", "notes"];
    let structured = structured.iter().map(|command| {
        let arguments = [command, &["--output", "json"][..]].concat();
        // Helm 3 lists failed and pending releases only when asked to, helm 4 does always and no longer knows the flag.
        let arguments: Vec<&str> = arguments
            .into_iter()
            .filter(|word| !(helm == Helm::Four && command[0] == "list" && *word == "--all"))
            .collect();
        let mut answer = fullest(scenario, helm, &arguments);
        settle(&mut answer);
        (command.join(" "), serde_json::to_string_pretty(&answer).expect("it was JSON before"))
    });
    let plain = plain.iter().map(|what| {
        let answer = scenario.helm(helm, &["get", what, release]).exits(0).stdout;
        ((*what).to_owned(), trimmed(&answer))
    });
    structured.chain(plain).collect()
}

/// Helm silently leaves out of a status what it failed to read, so the longer of two answers counts.
fn fullest(scenario: &Scenario, helm: Helm, arguments: &[&str]) -> Value {
    let asked = if arguments[0] == "status" { 2 } else { 1 };
    let answers = (0..asked).map(|_| scenario.helm(helm, arguments).exits(0).json());
    answers.max_by_key(|answer: &Value| answer.to_string().len()).expect("it was asked at least once")
}

/// Fails where two sets of answers differ, and says in which lines.
#[track_caller]
pub(crate) fn same(ours: &[(String, String)], own: &[(String, String)], who: &str) {
    let only = |these: &str, those: &str| {
        let those: HashSet<&str> = those.lines().collect();
        these.lines().filter(|line| !those.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    for ((command, own), (_, ours)) in own.iter().zip(ours) {
        let (missing, additional) = (only(own, ours), only(ours, own));
        assert!(ours == own, "{who}, helm {command}: missing {missing:#?}, additional {additional:#?}");
    }
}

fn settle(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !FLEETING.contains(&key.as_str()));
            if let Some(resources) = map.get_mut("resources") {
                *resources = names(resources);
            }
            map.values_mut().for_each(settle);
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        // Both majors agree but for white space.
        Value::String(text) if text.contains('\n') => *text = trimmed(text),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The live objects by kind, without those that controllers made and those whose names are drawn.
fn names(resources: &Value) -> Value {
    let kinds = resources.as_object().into_iter().flatten().filter(|(kind, _)| !kind.ends_with("(related)"));
    let named = kinds.map(|(kind, items)| {
        let mut names: Vec<Value> =
            items.as_array().into_iter().flatten().map(|item| item["metadata"]["name"].clone()).collect();
        names.sort_by_key(Value::to_string);
        (kind.clone(), Value::Array(names))
    });
    Value::Object(named.collect())
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}
