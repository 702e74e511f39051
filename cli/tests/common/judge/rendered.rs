//! What helm itself makes of a chart: what an object that is created may have in it.

use serde_json::Value;

use super::announced::chart_of;
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
