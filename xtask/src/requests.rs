//! Counts in an audit log what clients asked of the API server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Agents whose requests are the control plane's own.
const OWN_AGENTS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"];

/// Remembers the present end of the log, so that the next count starts there.
pub(crate) fn mark(folder: &Path) -> Result<()> {
    let end = fs::metadata(folder.join("audit.log")).map_or(0, |log| log.len());
    write_mark(folder, end)
}

/// One line for each verb and client since the last call, and their sum.
pub(crate) fn since_last_call(folder: &Path) -> Result<String> {
    let path = folder.join("audit.log");
    let mut log = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let start = fs::read_to_string(folder.join("audit.mark")).ok().and_then(|mark| mark.trim().parse().ok());
    let mut position = log.seek(SeekFrom::Start(start.unwrap_or(0)))?;
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut reader = BufReader::new(log);
    let mut line = Vec::new();
    // A last line without its end is still being written: it is counted by the next call.
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        position += line.len() as u64;
        if let Some(request) = client_request(&serde_json::from_slice(&line).unwrap_or_default()) {
            *counts.entry(request).or_default() += 1;
        }
        line.clear();
    }
    write_mark(folder, position)?;
    Ok(table(&counts))
}

fn table(counts: &BTreeMap<(String, String), usize>) -> String {
    let mut text = String::new();
    for ((agent, verb), count) in counts {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{count:6} {verb:20} {agent}");
    }
    text + &format!("{:6} requests\n", counts.values().sum::<usize>())
}

/// Agent and verb of a request, unless it is the control plane's own.
fn client_request(event: &Value) -> Option<(String, String)> {
    let user = event["user"]["username"].as_str()?;
    let agent = event["userAgent"].as_str().unwrap_or("unnamed").split('/').next()?;
    if user.starts_with("system:") || OWN_AGENTS.contains(&agent) {
        return None;
    }
    let dry_run = event["requestURI"].as_str()?.contains("dryRun=");
    Some((agent.to_owned(), event["verb"].as_str()?.to_owned() + if dry_run { " (dry run)" } else { "" }))
}

fn write_mark(folder: &Path, position: u64) -> Result<()> {
    let path = folder.join("audit.mark");
    fs::write(&path, position.to_string()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn event(user: &str, agent: &str, verb: &str, uri: &str) -> String {
        let event = serde_json::json!({
            "user": { "username": user }, "userAgent": agent, "verb": verb, "requestURI": uri
        });
        format!("{event}\n")
    }

    #[test]
    fn a_count_starts_where_the_last_one_ended() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut log = File::create(folder.path().join("audit.log")).expect("writable");
        let mut append = |text: &str| log.write_all(text.as_bytes()).expect("writable");
        append(&event("admin", "kubectl/v1", "get", "/version"));
        mark(folder.path()).expect("the log can be read");
        append(&event("admin", "cfrt/0.1", "list", "/api/v1/pods"));
        append(&event("admin", "cfrt/0.1", "list", "/api/v1/secrets"));
        append(&event("admin", "cfrt/0.1", "patch", "/api/v1/nodes/a?dryRun=All"));
        append(&event("admin", "kwok/v0.7.0", "patch", "/api/v1/nodes/a"));
        append(&event("system:kube-scheduler", "go", "list", "/api/v1/pods"));
        append("{\"half\": \"a li");
        let text = since_last_call(folder.path()).expect("the log can be read");
        assert_eq!(text, "     2 list                 cfrt\n     1 patch (dry run)      cfrt\n     3 requests\n");
        append("ne\"}\n");
        append(&event("admin", "cfrt/0.1", "get", "/version"));
        let text = since_last_call(folder.path()).expect("the log can be read");
        assert_eq!(text, "     1 get                  cfrt\n     1 requests\n");
    }
}
