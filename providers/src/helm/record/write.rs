//! Making records and the Secrets that hold them; label and record always tell the same status.

use std::io::{self, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::{RecordError, RecordedHook, Status};

/// What the API server lets a Secret hold.
const LARGEST_SECRET: usize = 1 << 20;
const SECRET_TYPE: &str = "helm.sh/release.v1";

/// What a revision is opened with.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// The number of the new revision.
    pub revision: u32,
    /// Whether it is an installation; otherwise it is an upgrade.
    pub install: bool,
    /// The text of the very rendering that is going to be applied.
    pub manifest: &'a str,
    /// Its hooks.
    pub hooks: &'a [RecordedHook],
    /// When the release's first revision was made; `None` for a first one.
    pub first_deployed: Option<Timestamp>,
    /// The time of this revision.
    pub now: Timestamp,
}

/// One run of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRun {
    /// The hook's kind, without group and version.
    pub kind: String,
    /// The hook's name.
    pub name: String,
    /// When it was made.
    pub started: Timestamp,
    /// When it had ended.
    pub completed: Timestamp,
    /// Whether it ended well.
    pub succeeded: bool,
}

/// Makes the record of a revision that is about to be applied, from what helm's dry run says of it (chart, values, notes).
///
/// It is pending in helm's words, as an installation or an upgrade, and says that it is applied
/// by the server, so that helm 4 goes on in the same way.
///
/// # Errors
/// What the dry run gave is no release.
pub fn pending(dry_run: Value, opening: &Opening<'_>) -> Result<Value, RecordError> {
    let mut record = dry_run;
    let _theirs = text(&record, "/info/status", "info.status")?;
    // The dry run may be one of an installation though an upgrade is made.
    let (status, description) = if opening.install {
        (Status::PendingInstall, "Initial install underway")
    } else {
        (Status::PendingUpgrade, "Preparing upgrade")
    };
    let first_deployed = opening.first_deployed.unwrap_or(opening.now);
    record["version"] = opening.revision.into();
    put_texts(&mut record, opening.manifest, opening.hooks);
    record["apply_method"] = "ssa".into();
    record["info"]["first_deployed"] = first_deployed.to_string().into();
    record["info"]["last_deployed"] = opening.now.to_string().into();
    Ok(finished(record, status, description))
}

/// Puts the text of a rendering and its hooks into a record.
pub fn put_texts(record: &mut Value, manifest: &str, hooks: &[RecordedHook]) {
    record["manifest"] = manifest.into();
    record["hooks"] = hooks.iter().map(hook).collect();
}

/// Changes a record's status and helm's sentence about it.
pub fn finished(mut record: Value, status: Status, description: &str) -> Value {
    if let Some(info) = record.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("status".into(), status.word().into());
        info.insert("description".into(), description.into());
        if status != Status::Uninstalled {
            info.remove("deleted");
        }
    }
    record
}

/// Notes in a record how its hooks ran, the last run of each.
pub fn ran(mut record: Value, runs: &[HookRun]) -> Value {
    for hook in record.get_mut("hooks").and_then(Value::as_array_mut).into_iter().flatten() {
        let own = |run: &&HookRun| hook["name"] == run.name.as_str() && hook["kind"] == run.kind.as_str();
        if let Some(run) = runs.iter().rev().find(own) {
            hook["last_run"] = json!({
                "started_at": run.started.to_string(),
                "completed_at": run.completed.to_string(),
                "phase": if run.succeeded { "Succeeded" } else { "Failed" },
            });
        }
    }
    record
}

/// Marks a record as followed by a later revision.
pub fn superseded(record: Value) -> Value {
    let description = record.pointer("/info/description").and_then(Value::as_str).unwrap_or_default().to_owned();
    finished(record, Status::Superseded, &description)
}

/// Makes the Secret that keeps a new record.
///
/// # Errors
/// A record without name, revision or status, and one that does not fit into a Secret.
pub fn secret(record: &Value, now: Timestamp) -> Result<Value, RecordError> {
    let release = text(record, "/name", "name")?;
    let revision = record["version"].as_u64().ok_or(RecordError::Incomplete { missing: "version" })?;
    let labels = json!({
        "name": release,
        "owner": "helm",
        "status": text(record, "/info/status", "info.status")?,
        "version": revision.to_string(),
        "createdAt": now.as_second().to_string(),
    });
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {
            "name": format!("sh.helm.release.v1.{release}.v{revision}"),
            "namespace": text(record, "/namespace", "namespace")?,
            "labels": labels,
        },
        "data": {"release": encode(record)?},
    }))
}

/// Puts a changed record into the Secret that holds it; identity, resource version and people's own labels stay.
///
/// # Errors
/// As [`secret`].
pub fn rewritten(mut secret: Value, record: &Value, now: Timestamp) -> Result<Value, RecordError> {
    let status = text(record, "/info/status", "info.status")?.to_owned();
    secret["data"] = json!({"release": encode(record)?});
    if let Some(metadata) = secret["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        let labels = metadata.entry("labels").or_insert_with(|| Map::new().into());
        if let Some(labels) = labels.as_object_mut() {
            labels.remove("createdAt");
            labels.insert("status".into(), status.into());
            labels.insert("modifiedAt".into(), now.as_second().to_string().into());
        }
    }
    Ok(secret)
}

fn text<'a>(record: &'a Value, pointer: &str, missing: &'static str) -> Result<&'a str, RecordError> {
    record.pointer(pointer).and_then(Value::as_str).ok_or(RecordError::Incomplete { missing })
}

fn hook(hook: &RecordedHook) -> Value {
    let facts = &hook.facts;
    let mut recorded = json!({
        "name": facts.name,
        "kind": facts.kind,
        "path": facts.path,
        "manifest": hook.manifest.expose_secret(),
        "events": facts.events,
        "last_run": {"phase": ""},
        "delete_policies": facts.delete_policies,
    });
    if facts.weight != 0 {
        recorded["weight"] = facts.weight.into();
    }
    if !facts.log_policies.is_empty() {
        recorded["output_log_policies"] = json!(facts.log_policies);
    }
    recorded
}

/// Makes sure that a record fits into a Secret.
///
/// # Errors
/// It doesn't; with its size.
pub fn fits(record: &Value) -> Result<(), RecordError> {
    let text = record.to_string();
    let size = |level| pack(&text, level).expect("writing to memory does not fail").len().div_ceil(3) * 4;
    // What fits when it is packed in haste fits when it is packed well.
    if size(Compression::fast()) <= LARGEST_SECRET {
        return Ok(());
    }
    let size = size(Compression::best());
    if size > LARGEST_SECRET { Err(RecordError::DoesNotFit { size, limit: LARGEST_SECRET }) } else { Ok(()) }
}

/// Packs a record as it stands in the JSON of its Secret.
pub(super) fn encode(record: &Value) -> Result<String, RecordError> {
    let packed = pack(&record.to_string(), Compression::best()).expect("writing to memory does not fail");
    let inner = BASE64_STANDARD.encode(packed);
    if inner.len() > LARGEST_SECRET {
        return Err(RecordError::DoesNotFit { size: inner.len(), limit: LARGEST_SECRET });
    }
    Ok(BASE64_STANDARD.encode(inner))
}

fn pack(text: &str, level: Compression) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), level);
    packer.write_all(text.as_bytes())?;
    packer.finish()
}
