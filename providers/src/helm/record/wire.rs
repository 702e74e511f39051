//! The form of a record's JSON, read leniently: what helm can do without may be absent, null or unknown.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{RecordError, RecordedHook, Revision, Status};
use crate::helm::hook::{DeletePolicy, HookEvent, HookFacts, LogPolicy};

#[derive(Deserialize)]
pub(super) struct Record {
    name: Option<String>,
    namespace: Option<String>,
    version: Option<u32>,
    info: Option<Info>,
    chart: Option<Chart>,
    #[serde(default)]
    config: Value,
    manifest: Option<String>,
    hooks: Option<Vec<Hook>>,
    apply_method: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    status: Option<String>,
    first_deployed: Option<String>,
    last_deployed: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Chart {
    metadata: Option<Metadata>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Hook {
    name: Option<String>,
    kind: Option<String>,
    path: Option<String>,
    manifest: Option<String>,
    events: Option<Vec<Lenient<HookEvent>>>,
    weight: Option<i64>,
    delete_policies: Option<Vec<Lenient<DeletePolicy>>>,
    output_log_policies: Option<Vec<Lenient<LogPolicy>>>,
}

/// A word that a later helm may know and we don't.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Known(T),
    Unknown(serde::de::IgnoredAny),
}

fn known<T>(words: Option<Vec<Lenient<T>>>) -> Vec<T> {
    let keep = |word| match word {
        Lenient::Known(word) => Some(word),
        Lenient::Unknown(_) => None,
    };
    words.unwrap_or_default().into_iter().filter_map(keep).collect()
}

pub(super) fn revision(record: Record) -> Result<Revision, RecordError> {
    let info = record.info.ok_or(RecordError::Incomplete { missing: "info" })?;
    let status = info.status.ok_or(RecordError::Incomplete { missing: "info.status" })?;
    let metadata = record.chart.and_then(|chart| chart.metadata).unwrap_or_default();
    Ok(Revision {
        name: record.name.unwrap_or_default(),
        namespace: record.namespace.unwrap_or_default(),
        revision: record.version.unwrap_or_default(),
        status: Status::parse(&status),
        first_deployed: time(info.first_deployed),
        last_deployed: time(info.last_deployed),
        description: info.description.unwrap_or_default(),
        chart_name: metadata.name.unwrap_or_default(),
        chart_version: metadata.version.unwrap_or_default(),
        config: record.config,
        manifest: record.manifest.unwrap_or_default().into(),
        hooks: record.hooks.unwrap_or_default().into_iter().map(hook).collect(),
        apply_method: record.apply_method,
    })
}

fn hook(hook: Hook) -> RecordedHook {
    let delete_policies = known(hook.delete_policies);
    let facts = HookFacts {
        name: hook.name.unwrap_or_default(),
        kind: hook.kind.unwrap_or_default(),
        path: hook.path.unwrap_or_default(),
        events: known(hook.events),
        weight: hook.weight.unwrap_or_default(),
        delete_policies: if delete_policies.is_empty() {
            vec![DeletePolicy::BeforeHookCreation]
        } else {
            delete_policies
        },
        log_policies: known(hook.output_log_policies),
    };
    RecordedHook { facts, manifest: hook.manifest.unwrap_or_default().into() }
}

fn time(text: Option<String>) -> Option<Timestamp> {
    text?.parse().ok()
}
