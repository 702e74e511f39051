//! What a chart says of itself in its `Chart.yaml`.

use std::path::Path;

use serde_json::Value;

use super::ChartError;
use crate::helm::yaml::{self, Twice};

/// A chart's `Chart.yaml`, as far as cfrt needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The chart's name.
    pub name: String,
    /// The chart's version.
    pub version: String,
    /// The version of what it installs.
    pub app_version: Option<String>,
    /// The Kubernetes versions that it is for, as a constraint in helm's grammar.
    pub kube_version: Option<String>,
    /// The names of the subcharts that must be in `charts/`.
    pub dependencies: Vec<String>,
}

impl Metadata {
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ChartError> {
        let documents: Result<Vec<Value>, _> = yaml::documents(text, Twice::LastCounts);
        let documents = documents.map_err(|fault| ChartError::NotYaml { path: path.to_owned(), fault })?;
        let chart = documents.into_iter().next().unwrap_or_default();
        let wrong = |problem: String| ChartError::Metadata { path: path.to_owned(), problem };
        let needed = |key: &str| word(&chart[key]).ok_or_else(|| wrong(format!("it has no {key}")));
        let (name, version) = (needed("name")?, needed("version")?);
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(wrong(format!("{name:?} is no name for a chart")));
        }
        if chart["type"] == "library" {
            return Err(wrong("it is a library, which installs nothing".to_owned()));
        }
        let dependencies = chart["dependencies"].as_array().into_iter().flatten();
        Ok(Self {
            name,
            version,
            app_version: word(&chart["appVersion"]),
            kube_version: word(&chart["kubeVersion"]),
            dependencies: dependencies.filter_map(|dependency| word(&dependency["name"])).collect(),
        })
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
