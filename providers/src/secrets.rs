//! Where a secret value comes from, and reading it into the vault: from there on only its seal goes round.

use std::env::VarError;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cfrt_engine::driver::{DriverError, Fault};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kube::gvk::{Gvk, Resolved};
use crate::kube::read::{Key, get};
use crate::vault::Vault;
use crate::world::World;

/// No token or certificate is larger: the API server takes no Secret above this.
const LARGEST: u64 = 1 << 20;

/// Where a secret value is to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// An environment variable.
    Env(String),
    /// A file; white space around its text doesn't count.
    File(PathBuf),
    /// A key of a Secret in the cluster.
    Secret {
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
        /// The key in its data.
        key: String,
    },
}

/// Reads a secret value, puts it into the vault, and gives the seal of its base64 form, as a Secret's `data` has it.
///
/// # Errors
///
/// A source that isn't there, can't be read, or is empty.
pub async fn seal(world: &World, about: &Value) -> Result<String, DriverError> {
    let source: Source =
        serde_json::from_value(about.clone()).map_err(|error| DriverError::new("reading a secret", error))?;
    let encoded = match &source {
        Source::Env(name) => encode(&variable(name).map_err(|why| failed(&source, why))?),
        Source::File(path) => encode(&read_file(path).map_err(|error| failed(&source, error))?),
        Source::Secret { namespace, name, key } => from_cluster(world, &source, namespace, name, key).await?,
    };
    keep(&world.vault, &source, &encoded)
}

/// Puts a value that was read from a source, in its base64 form, into the vault, and gives its seal.
///
/// # Errors
///
/// An empty value.
pub fn keep(vault: &Vault, source: &Source, encoded: &SecretString) -> Result<String, DriverError> {
    if encoded.expose_secret().is_empty() {
        return Err(failed(source, "it is empty"));
    }
    if let Some(value) = decode(encoded.expose_secret()) {
        vault.watch(value.expose_secret());
    }
    Ok(vault.seal(encoded.expose_secret()))
}

/// Gives a value's base64 form, without the white space around it.
pub fn encode(value: &SecretString) -> SecretString {
    BASE64_STANDARD.encode(value.expose_secret().trim()).into()
}

fn decode(encoded: &str) -> Option<SecretString> {
    String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok().map(SecretString::from)
}

fn variable(name: &str) -> Result<SecretString, &'static str> {
    match std::env::var(name) {
        Ok(value) => Ok(value.into()),
        Err(VarError::NotPresent) => Err("it is not set"),
        Err(VarError::NotUnicode(_)) => Err("it is no text"),
    }
}

fn read_file(path: &Path) -> std::io::Result<SecretString> {
    let mut bytes = Vec::new();
    // Not by its size: what isn't a plain file doesn't tell one.
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other("it is larger than a Secret may be"));
    }
    String::from_utf8(bytes).map(SecretString::from).map_err(|_| std::io::Error::other("it is no text"))
}

async fn from_cluster(
    world: &World,
    source: &Source,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<SecretString, DriverError> {
    let secrets = Resolved { gvk: Gvk::new("v1", "Secret"), plural: "secrets".to_owned(), namespaced: true };
    let wanted = Key { namespace: namespace.to_owned(), name: name.to_owned() };
    let found = get(&world.kube, &secrets, &wanted).await.map_err(|error| {
        let forbidden = error.code() == Some(403);
        let error = failed(source, error);
        if forbidden { error.fault(Fault::Forbidden) } else { error }
    })?;
    let (_, secret) = found.ok_or_else(|| failed(source, "there is no such Secret"))?;
    let value = secret["data"][key].as_str().ok_or_else(|| failed(source, "the Secret has no such key"))?;
    Ok(SecretString::from(value))
}

fn failed(source: &Source, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DriverError {
    let (place, hint) = match source {
        Source::Env(name) => (format!("environment variable {name}"), format!("set it: export {name}=…")),
        Source::File(path) => {
            (format!("file {}", path.display()), "write the value, and nothing else, into that file".to_owned())
        }
        Source::Secret { namespace, name, key } => (
            format!("key {key} of Secret {namespace}/{name}"),
            format!("create it: kubectl -n {namespace} create secret generic {name} --from-literal={key}=…"),
        ),
    };
    DriverError::new(format!("reading a secret from {place}"), error).hint(hint)
}
