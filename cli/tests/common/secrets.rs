//! The forms in which a secret would be known, looked for in everything that is printed, kept or asked.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The token of every scenario that has one. Plain, base64 and URL encodings of it differ from one another.
pub(crate) const TOKEN: &str = "scn~token>6f1d?8a/+b=c%7e";

/// The bytes by which a secret would be known: plain, in JSON, in base64 once and twice, and as a URL has it.
pub(crate) fn traces(secret: &str) -> Vec<String> {
    let base64 = BASE64_STANDARD.encode(secret);
    let url = secret.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    let json = serde_json::Value::from(secret).to_string();
    let unpadded = base64.trim_end_matches('=').to_owned();
    let twice = BASE64_STANDARD.encode(&base64).trim_end_matches('=').to_owned();
    vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        unpadded.replace('+', "-").replace('/', "_"),
        unpadded,
        twice,
        url.collect(),
    ]
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Whether bytes have a trace in them.
pub(crate) fn holds(text: &[u8], trace: &str) -> bool {
    text.windows(trace.len()).any(|window| window == trace.as_bytes())
}

/// Fails where a trace of a secret is in a text.
#[track_caller]
pub(crate) fn absent(secret: &str, text: &[u8], place: &str) {
    for trace in traces(secret) {
        assert!(!holds(text, &trace), "a secret, as {trace}, is in {place}");
    }
}
