//! Where a secret value comes from, and reading it into the vault: from there on only its seal goes round.

use std::env::VarError;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cfrt_engine::driver::{DriverError, Fault};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blocking::blocking;
use crate::kube::gvk::Resolved;
use crate::kube::read::{Key, get};
use crate::vault::Vault;
use crate::world::World;

/// No token or certificate is larger: the API server takes no Secret above this.
const LARGEST: u64 = 1 << 20;
/// Behind a pipe there may be a program that asks a person.
const PATIENCE: Duration = Duration::from_secs(60);

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

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Secret { namespace, name, key } => write!(f, "key {key} of Secret {namespace}/{name}"),
        }
    }
}

/// What a task must know of a secret value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretQuestion {
    /// Where it is.
    pub source: Source,
    /// Whether the task goes on without it.
    pub may_lack: bool,
}

/// What became known of a secret value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The seal of its base64 form, as a Secret's `data` has it.
    Sealed(String),
    /// The cluster doesn't have it; why, and what to do.
    Lacking {
        /// What isn't there.
        what: &'static str,
        /// How it is made.
        hint: String,
    },
}

/// Reads a secret value and puts it into the vault.
///
/// # Errors
///
/// A source that isn't there (unless the question allows for it), can't be read, or is empty.
pub async fn seal(world: &World, about: &Value) -> Result<Found, DriverError> {
    let question: SecretQuestion =
        serde_json::from_value(about.clone()).map_err(|error| DriverError::new("reading a secret", error))?;
    let source = &question.source;
    let encoded = match source {
        Source::Env(name) => encode(&variable(name).map_err(|why| failed(source, why))?),
        Source::File(path) => encode(&from_file(path, PATIENCE).await.map_err(|error| failed(source, error))?),
        Source::Secret { namespace, name, key } => {
            let secret = from_cluster(world, source, namespace, name).await?;
            return keep_of(&world.vault, &question, secret.as_ref(), key);
        }
    };
    keep(&world.vault, source, &encoded)
}

/// Puts the value of a Secret's key into the vault.
///
/// # Errors
///
/// A value that isn't there where the question doesn't allow for it.
pub fn keep_of(
    vault: &Vault,
    question: &SecretQuestion,
    secret: Option<&Value>,
    key: &str,
) -> Result<Found, DriverError> {
    let source = &question.source;
    let (what, hint) = match secret.map(|secret| secret["data"][key].as_str()) {
        None => ("there is no such Secret", hint(source)),
        Some(None) => ("the Secret has no such key", hint_of_key(source)),
        Some(Some("")) => ("it is empty", hint_of_key(source)),
        Some(Some(encoded)) => return keep(vault, source, &encoded.into()),
    };
    if question.may_lack { Ok(Found::Lacking { what, hint }) } else { Err(failed(source, what).hint(hint)) }
}

/// Puts a value that was read from a source, in its base64 form, into the vault, and gives its seal.
///
/// # Errors
///
/// An empty value.
pub fn keep(vault: &Vault, source: &Source, encoded: &SecretString) -> Result<Found, DriverError> {
    if encoded.expose_secret().is_empty() {
        return Err(failed(source, "it is empty"));
    }
    if let Some(value) = decode(encoded.expose_secret()) {
        vault.watch(value.expose_secret());
    }
    Ok(Found::Sealed(vault.seal(encoded.expose_secret())))
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

/// Reads a file, or what stands for one: a pipe gives what a program prints, and `/dev/stdin` what is handed to us.
async fn from_file(path: &Path, limit: Duration) -> io::Result<SecretString> {
    let path = path.to_owned();
    // Opening a pipe waits for its writer. What waits beyond the limit ends with the process.
    let read = tokio::time::timeout(limit, blocking(move || read_file(&path))).await;
    let slow = || io::Error::other(format!("it did not come to its end within {} s", limit.as_secs()));
    read.unwrap_or_else(|_| Err(slow()))
}

fn read_file(path: &Path) -> io::Result<SecretString> {
    let mut bytes = Vec::new();
    // What isn't a plain file doesn't tell its size, and a device has no end.
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than a Secret may be"));
    }
    String::from_utf8(bytes).map(SecretString::from).map_err(|_| io::Error::other("it is no text"))
}

async fn from_cluster(
    world: &World,
    source: &Source,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, DriverError> {
    let secrets = Resolved::secrets();
    let wanted = Key { namespace: namespace.to_owned(), name: name.to_owned() };
    let found = get(&world.kube, &secrets, &wanted).await.map_err(|error| {
        let fault = error.fault();
        failed(source, error).fault(fault)
    })?;
    Ok(found.map(|(_, secret)| secret))
}

/// What the file says is in a variable or another file, is there or the file is wrong; the cluster is the world.
fn failed(source: &Source, error: impl Into<Box<dyn Error + Send + Sync>>) -> DriverError {
    let fault = match source {
        Source::Env(_) | Source::File(_) => Fault::Input,
        Source::Secret { .. } => Fault::World,
    };
    DriverError::new(format!("reading a secret from {source}"), error).fault(fault).hint(hint(source))
}

/// How a value comes to where it is looked for.
fn hint(source: &Source) -> String {
    match source {
        Source::Env(name) => format!("set it: export {name}=…"),
        Source::File(_) => "write the value, and nothing else, into that file".to_owned(),
        Source::Secret { namespace, name, key } => {
            format!("create it: kubectl -n {namespace} create secret generic {name} --from-literal={key}=…")
        }
    }
}

/// The same where the Secret is there, and can't be created.
fn hint_of_key(source: &Source) -> String {
    match source {
        Source::Secret { namespace, name, key } => {
            let patch = serde_json::json!({"stringData": {key: "…"}});
            format!("add it: kubectl -n {namespace} patch secret {name} --patch '{patch}'")
        }
        Source::Env(_) | Source::File(_) => hint(source),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    fn pipe() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        (home, path)
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_writes_to_is_given_up() {
        let (_home, path) = pipe();
        let given_up = from_file(&path, Duration::ZERO).await.unwrap_err().to_string();
        assert_eq!(given_up, "it did not come to its end within 0 s");
        // Lets the reader go, for which the test's own end would wait.
        fs::write(&path, "late").unwrap();
    }

    #[tokio::test]
    async fn what_a_program_prints_into_a_pipe_is_read() {
        let (_home, path) = pipe();
        let mut writer = Command::new("sh").args(["-c", "echo token > \"$0\""]).arg(&path).spawn().unwrap();
        let read = from_file(&path, PATIENCE).await.unwrap();
        assert_eq!(encode(&read).expose_secret(), BASE64_STANDARD.encode("token"));
        assert!(writer.wait().unwrap().success());
    }

    #[tokio::test]
    async fn a_file_without_an_end_is_refused() {
        let endless = from_file(Path::new("/dev/zero"), PATIENCE).await.unwrap_err().to_string();
        assert_eq!(endless, "it is larger than a Secret may be");
        assert!(from_file(Path::new("/"), PATIENCE).await.is_err());
    }
}
