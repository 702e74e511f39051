//! Secrets in memory: each value gets a seal that may be shown, stored and compared; only the vault gives the value back.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cfrt_engine::resource::{Document, Hole, Pointer};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::kube::path::token;
use crate::private;

const SEAL: &str = "sealed:";
const SEAL_DIGITS: usize = 32;
const KEY_FILE: &str = "key";
/// Shorter values are words that occur anywhere; masking them would hide more than it protects.
const SHORTEST_MASKED: usize = 8;

/// Why a vault could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The folder or its key file can't be made or read.
    #[error("keeping a key in {}", folder.display())]
    Folder {
        /// Where the key should lie.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key file is open to others, belongs to somebody else, or holds something else.
    #[error("{} is not a key that only its owner can read; remove it and a new one is made", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
    },
}

/// A seal that the vault has no value for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret value at {pointer} is not known to this run")]
pub struct Missing {
    /// Where the seal stands in its document.
    pub pointer: Pointer,
}

/// Keeps secret values for the time of a run, and gives each a seal.
///
/// A seal is a keyed digest: equal values have equal seals under one key, and without the key a seal tells nothing.
/// The vault is shared between threads and never forgets.
pub struct Vault {
    key: SecretBox<[u8; 32]>,
    values: Mutex<HashMap<String, SecretString>>,
    watched: Mutex<HashMap<String, SecretString>>,
}

impl Vault {
    /// Makes an empty vault that seals with this key.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key: SecretBox::new(Box::new(key)), values: Mutex::default(), watched: Mutex::default() }
    }

    /// Opens a vault with the key that lies in a folder; makes folder (mode 0700) and key (mode 0600) where they are absent.
    ///
    /// # Errors
    /// A folder that others can enter, or a key file that others can read, is refused and left as it is.
    pub fn at(folder: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::Folder { folder: folder.to_owned(), source };
        private::folder(folder).map_err(failed)?;
        let path = folder.join(KEY_FILE);
        if path.symlink_metadata().is_err() {
            let fresh: [u8; 32] = private::random().map_err(failed)?;
            private::write_once(&path, &fresh).map_err(failed)?;
        }
        let bytes = private::read(&path, 32).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self::new).ok_or(VaultError::Key { path })
    }

    /// Gives the seal of a value, and remembers the value.
    pub fn seal(&self, value: &str) -> String {
        let mut seal = self.digest(value.as_bytes());
        seal.truncate(SEAL_DIGITS);
        seal.insert_str(0, SEAL);
        locked(&self.values).entry(seal.clone()).or_insert_with(|| value.into());
        seal
    }

    /// Gives back the value that was sealed in this run; `None` for a seal of another run, or no seal at all.
    pub fn open(&self, seal: &str) -> Option<SecretString> {
        locked(&self.values).get(seal).cloned()
    }

    /// Tells whether a text has the form of a seal.
    pub fn is_seal(text: &str) -> bool {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.strip_prefix(SEAL).is_some_and(|digits| digits.len() == SEAL_DIGITS && digits.bytes().all(digit))
    }

    /// Gives a keyed digest of any bytes, as 64 hexadecimal digits; nothing is remembered.
    pub fn digest(&self, bytes: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("HMAC takes a key of any length");
        mac.update(bytes);
        hexadecimal(&mac.finalize().into_bytes())
    }

    /// Has every later [`Mask`] hide this value wherever it occurs; values under 8 characters are left alone.
    pub fn watch(&self, value: &str) {
        let value = value.trim();
        if value.chars().count() >= SHORTEST_MASKED {
            let _known = locked(&self.watched).insert(self.digest(value.as_bytes()), value.into());
        }
    }

    /// Turns a Secret into a document without a value in it: `stringData` becomes `data`, each leaf of that a seal.
    ///
    /// The values are watched from now on. The rest of the Secret is left as it is, for [`Mask::hide`].
    pub fn seal_document(&self, mut secret: Value) -> Document {
        put_string_data_into_data(&mut secret);
        let mut document = Document { body: secret, ..Document::default() };
        if let Some(data) = document.body.get_mut("data") {
            let seal = |pointer: Pointer, leaf: &mut Value| {
                let text = leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned);
                self.watch_encoded(&text);
                *leaf = Value::String(self.seal(&text));
                document.holes.insert(pointer, Hole::Secret);
            };
            leaves("/data".to_owned(), data, seal);
        }
        document
    }

    fn watch_encoded(&self, text: &str) {
        self.watch(text);
        let packed: String = text.split_whitespace().collect();
        if let Some(value) = BASE64_STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
            self.watch(&value);
        }
    }

    /// Makes a mask of all values that are watched now, but for those which occur in `names`.
    ///
    /// Names of objects are shown everywhere, so that a value inside one is no secret, and hiding it would hide the names.
    pub fn mask(&self, names: &BTreeSet<String>) -> Mask<'_> {
        let shown = |value: &str| names.iter().any(|name| name.contains(value));
        let watched = locked(&self.watched);
        let values = watched.values().map(|value| value.expose_secret()).filter(|value| !shown(value));
        let mut needles: Vec<SecretString> = values.flat_map(forms).map(SecretString::from).collect();
        // The longest first: a value that is the beginning of another one would leave that one's end behind.
        needles.sort_by(|a, b| {
            let (a, b) = (a.expose_secret(), b.expose_secret());
            b.len().cmp(&a.len()).then_with(|| a.cmp(b))
        });
        Mask { vault: self, needles }
    }

    /// Puts the values back where their seals stand.
    ///
    /// # Errors
    /// A seal whose value this run has not seen: the document comes from a cache and must be rendered anew.
    pub fn fill(&self, document: &Document) -> Result<Value, Missing> {
        let mut body = document.body.clone();
        for (pointer, hole) in &document.holes {
            let Some(Value::String(leaf)) = body.pointer_mut(pointer) else { continue };
            match (self.open(leaf), hole) {
                (Some(value), Hole::Secret | Hole::Generated) => value.expose_secret().clone_into(leaf),
                (None, Hole::Generated) if !Self::is_seal(leaf) => {}
                (None, Hole::Secret | Hole::Generated) => return Err(Missing { pointer: pointer.clone() }),
            }
        }
        Ok(body)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

/// Hides watched values in documents that are no Secrets.
pub struct Mask<'a> {
    vault: &'a Vault,
    needles: Vec<SecretString>,
}

impl Mask<'_> {
    /// Tells whether a watched value, or its base64 form, occurs in a text.
    pub fn covers(&self, text: &str) -> bool {
        self.needles.iter().any(|needle| text.contains(needle.expose_secret()))
    }

    /// A text with every watched value in it left out.
    pub fn redacted(&self, text: &str) -> String {
        let hide = |text: String, needle: &SecretString| text.replace(needle.expose_secret(), "(secret)");
        self.needles.iter().fold(text.to_owned(), hide)
    }

    /// Seals each string of a value that holds a watched one.
    pub fn seal_within(&self, value: &mut Value) {
        leaves(Pointer::new(), value, |_, leaf| {
            if let Some(seal) = leaf.as_str().filter(|text| self.covers(text)).map(|text| self.vault.seal(text)) {
                *leaf = Value::String(seal);
            }
        });
    }

    /// Seals each string of the document that holds a watched value, as a whole.
    ///
    /// Kind, API version, name and namespace stay: they are the document's address.
    pub fn hide(&self, document: &mut Document) {
        let Document { body, holes } = document;
        leaves(Pointer::new(), body, |pointer, leaf| {
            let hidden = leaf.as_str().filter(|text| !holes.contains_key(&pointer) && self.covers(text));
            if let Some(seal) = hidden.filter(|_| !is_address(&pointer)).map(|text| self.vault.seal(text)) {
                *leaf = Value::String(seal);
                holes.insert(pointer, Hole::Secret);
            }
        });
    }
}

/// A value as others write it: as it is, inside a JSON string, in an address, as base64, and inside of what is base64, as the
/// password of a login is.
fn forms(value: &str) -> BTreeSet<String> {
    let within = (0..3).map(|before| base64_within(value, before));
    [value.to_owned(), escaped(value), in_address(value), BASE64_STANDARD.encode(value)]
        .into_iter()
        .chain(within)
        .collect()
}

/// What is the same in every base64 text that holds a value after so many other bytes, be they one or a thousand times three.
fn base64_within(value: &str, before: usize) -> String {
    let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(value.bytes()).collect();
    let encoded = BASE64_STANDARD.encode(&bytes);
    encoded[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

/// A value as it stands in a URL (RFC 3986, 2.1).
fn in_address(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}

/// A value as it stands inside a JSON string, as servers quote it.
fn escaped(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn is_address(pointer: &str) -> bool {
    matches!(pointer, "/kind" | "/apiVersion" | "/metadata/name" | "/metadata/namespace")
}

/// Names a member of what a pointer points at.
pub(crate) fn member(pointer: &str, key: &str) -> Pointer {
    format!("{pointer}/{}", token(key))
}

/// Spells bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn leaves(pointer: Pointer, value: &mut Value, mut visit: impl FnMut(Pointer, &mut Value)) {
    let mut waiting = vec![(pointer, value)];
    while let Some((pointer, value)) = waiting.pop() {
        match value {
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) => visit(pointer, value),
            Value::Array(items) => {
                waiting.extend(items.iter_mut().enumerate().map(|(index, item)| (format!("{pointer}/{index}"), item)));
            }
            Value::Object(members) => {
                waiting.extend(members.iter_mut().map(|(key, item)| (member(&pointer, key), item)));
            }
        }
    }
}

/// Does to a Secret what the server does: `stringData` becomes base64 in `data`, where it replaces what is there.
pub(crate) fn put_string_data_into_data(secret: &mut Value) {
    let Some(body) = secret.as_object_mut() else { return };
    let Some(Value::Object(plain)) = body.remove("stringData") else { return };
    if plain.is_empty() {
        return;
    }
    let data = body.entry("data").or_insert(Value::Null);
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    let encode = |value: Value| match value {
        Value::Null => Value::String(String::new()),
        Value::String(text) => Value::String(BASE64_STANDARD.encode(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Value::String(BASE64_STANDARD.encode(value.to_string()))
        }
    };
    for (key, value) in plain {
        data[key] = encode(value);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A map is whole between two calls, also after a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
