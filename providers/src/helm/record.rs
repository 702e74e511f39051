//! Helm's release records: read leniently as helm reads them, written as helm writes them.

use std::fmt;
use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::hook::HookFacts;

mod wire;
mod write;

pub use write::{HookRun, Opening, finished, fits, pending, put_texts, ran, rewritten, secret, superseded};

/// A Secret holds at most 1 MiB, of which compression leaves far less than this when unpacked.
const LARGEST_RECORD: u64 = 32 << 20;
const LARGEST_ENCODED: usize = 8 << 20;
/// Far more than any chart has. In memory a value can take a hundred times what its text does.
const MOST_VALUES: usize = 1_000_000;
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Why a release record can't be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// One of the two layers of base64 is none.
    #[error("the release record is not base64 (layer {layer} of 2)")]
    NotBase64 {
        /// 1 is the Secret's own, 2 is helm's.
        layer: u8,
    },
    /// The compressed record ends early, or is otherwise damaged.
    #[error("the release record is cut off or damaged: its compressed content can't be unpacked")]
    Damaged,
    /// Unpacked, the record is larger than any that helm can have written.
    #[error("the release record is larger than {} MiB when unpacked", LARGEST_RECORD >> 20)]
    TooLarge,
    /// The record consists of more values than any that helm can have written.
    #[error("the release record has more than {MOST_VALUES} values")]
    TooManyValues,
    /// The content is no JSON, or not of a record's form.
    #[error("the release record is no record as helm writes it (line {line}, column {column} of its JSON)")]
    NotARecord {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
    /// The record lacks something without which neither helm nor cfrt can work with it.
    #[error("the release record has no {missing}")]
    Incomplete {
        /// What is not there.
        missing: &'static str,
    },
    /// The record does not fit into a Secret.
    #[error(
        "the release record needs {size} bytes and a Secret holds {limit}; the chart and its values are too large for helm"
    )]
    DoesNotFit {
        /// Its size, compressed and encoded.
        size: usize,
        /// What fits.
        limit: usize,
    },
}

/// What a release is going through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Helm's own word for it, and ours for any word that helm does not know.
    Unknown,
    /// The revision that is in the cluster.
    Deployed,
    /// Deleted, its history kept.
    Uninstalled,
    /// Followed by a later revision.
    Superseded,
    /// It did not come to its end.
    Failed,
    /// Being deleted, or left over by a deletion.
    Uninstalling,
    /// A first revision on its way.
    PendingInstall,
    /// A later revision on its way.
    PendingUpgrade,
    /// A rollback on its way.
    PendingRollback,
}

impl Status {
    const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Deployed,
        Self::Uninstalled,
        Self::Superseded,
        Self::Failed,
        Self::Uninstalling,
        Self::PendingInstall,
        Self::PendingUpgrade,
        Self::PendingRollback,
    ];

    /// Gives helm's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Reads helm's word.
    pub fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.word() == word).unwrap_or(Self::Unknown)
    }

    /// Tells whether somebody is at work on the release, or was when it was ended.
    pub fn is_pending(self) -> bool {
        match self {
            Self::Uninstalling | Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback => true,
            Self::Unknown | Self::Deployed | Self::Uninstalled | Self::Superseded | Self::Failed => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A hook as a record keeps it.
#[derive(Debug, Clone)]
pub struct RecordedHook {
    /// When and how it runs.
    pub facts: HookFacts,
    /// Its text; it may be a Secret.
    pub manifest: SecretString,
}

/// What a release record says, without the chart's templates and files.
#[derive(Clone)]
pub struct Revision {
    /// The release's name.
    pub name: String,
    /// The namespace of the release.
    pub namespace: String,
    /// The number of this revision; 0 where the record does not say.
    pub revision: u32,
    /// How it went.
    pub status: Status,
    /// When the first revision was made.
    pub first_deployed: Option<Timestamp>,
    /// When this one was.
    pub last_deployed: Option<Timestamp>,
    /// Helm's sentence about it.
    pub description: String,
    /// The chart's name.
    pub chart_name: String,
    /// The chart's version.
    pub chart_version: String,
    /// The user's values, which may hold secrets; null where there were none.
    pub config: Value,
    /// The objects' text, Secrets included.
    pub manifest: SecretString,
    /// The hooks.
    pub hooks: Vec<RecordedHook>,
    /// `ssa` or `csa`; `None` in a record of helm 3.
    pub apply_method: Option<String>,
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, namespace, revision, status, .. } = self;
        write!(f, "Revision({namespace}/{name} {revision} {status}, ..)")
    }
}

/// Reads `data.release` as it stands in the JSON of a record's Secret.
///
/// # Errors
/// See [`RecordError`]; none shows a value of the record.
pub fn decode(encoded: &str) -> Result<Revision, RecordError> {
    wire::revision(json(encoded)?)
}

/// Reads the whole record, chart and all, to write it back with [`rewritten`].
///
/// # Errors
/// As [`decode`].
pub fn raw(encoded: &str) -> Result<Value, RecordError> {
    let record: Value = json(encoded)?;
    match record.pointer("/info/status") {
        Some(Value::String(_)) => Ok(record),
        _ => Err(RecordError::Incomplete { missing: "info.status" }),
    }
}

fn json<T: DeserializeOwned>(encoded: &str) -> Result<T, RecordError> {
    let unpacked = unpack(encoded)?;
    if values(&unpacked) > MOST_VALUES {
        return Err(RecordError::TooManyValues);
    }
    // The message would repeat what it did not expect, and that may be a secret.
    serde_json::from_slice(&unpacked)
        .map_err(|error| RecordError::NotARecord { line: error.line(), column: error.column() })
}

/// How many values a text of JSON has, give or take: as many as it has openings and commas outside of strings.
fn values(json: &[u8]) -> usize {
    let (mut in_string, mut escaped, mut values) = (false, false, 0);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

fn unpack(encoded: &str) -> Result<Vec<u8>, RecordError> {
    if encoded.len() > LARGEST_ENCODED {
        return Err(RecordError::TooLarge);
    }
    if encoded.trim().is_empty() {
        return Err(RecordError::Incomplete { missing: "content" });
    }
    let outer = BASE64_STANDARD.decode(encoded.trim()).map_err(|_| RecordError::NotBase64 { layer: 1 })?;
    let packed = BASE64_STANDARD.decode(outer.trim_ascii()).map_err(|_| RecordError::NotBase64 { layer: 2 })?;
    if !packed.starts_with(&GZIP) {
        return Ok(packed);
    }
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(packed.as_slice()).take(LARGEST_RECORD + 1);
    reader.read_to_end(&mut unpacked).map_err(|_| RecordError::Damaged)?;
    if unpacked.len() as u64 > LARGEST_RECORD { Err(RecordError::TooLarge) } else { Ok(unpacked) }
}

#[cfg(test)]
mod tests;
