//! What helm itself makes of a chart: what an object that is created may have in it.

use serde_json::Value;

use crate::common::plan::Plan;
use crate::common::process::end;
use crate::common::scenario::Scenario;

/// The documents of `helm template`, hooks and definitions included, of the chart and the values that the file names.
pub(super) fn rendered(scenario: &Scenario, plan: &Plan) -> Vec<Value> {
    let desired: toml::Table = toml::from_str(&scenario.desired()).expect("what could be planned is TOML");
    let chart = chart_of(scenario, &desired);
    let mut words = vec!["template".to_owned(), scenario.release.clone()];
    words.extend(chart);
    words.push("--include-crds".to_owned());
    let upgrades = |reason: &str| reason.starts_with("revision ") && !reason.starts_with("revision 1:");
    if plan.steps.iter().any(|step| step.address.starts_with("Release ") && upgrades(&step.reason)) {
        words.push("--is-upgrade".to_owned());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = scenario.helm(scenario.renderer, &words).exits(0);
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let documents = serde_saphyr::from_multiple_with_options::<Value>(&ran.stdout, options);
    documents.unwrap_or_else(|error| end(&format!("{error}: {ran}")))
}

/// The chart of a file and the values that it is given, as helm takes them.
fn chart_of(scenario: &Scenario, desired: &toml::Table) -> Vec<String> {
    let empty = toml::Table::new();
    let chart = desired.get("chart").and_then(toml::Value::as_table).unwrap_or(&empty);
    let text = |key: &str| chart.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let source = text("source");
    let mut words = if source.starts_with("http") {
        vec![text("name"), "--repo".to_owned(), source, "--version".to_owned(), text("version")]
    } else {
        vec![source]
    };
    let files = chart.get("values").and_then(toml::Value::as_array).into_iter().flatten();
    words.extend(files.filter_map(toml::Value::as_str).flat_map(|file| ["--values".to_owned(), file.to_owned()]));
    if let Some(set) = chart.get("set") {
        scenario.write("set.json", &serde_json::to_string(set).expect("TOML without times is JSON"));
        words.extend(["--values".to_owned(), "set.json".to_owned()]);
    }
    words
}
