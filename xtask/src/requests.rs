//! Counts in an audit log what clients asked of the API server.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Agents whose requests are the control plane's own.
const OWN_AGENTS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"];

/// Verbs of the audit log that change something; a dry run is none of them.
const WRITING_VERBS: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Remembers the present end of the log, so that the next count starts there.
pub(crate) fn mark(folder: &Path) -> Result<()> {
    let end = fs::metadata(folder.join("audit.log")).map_or(0, |log| log.len());
    write_mark(folder, end)
}

/// How often each client asked with each verb.
#[derive(Default)]
pub(crate) struct Requests(BTreeMap<(String, String), usize>);

impl Requests {
    /// How many requests there were.
    pub(crate) fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// How many of them could have written something.
    pub(crate) fn writes(&self) -> usize {
        let writing = self.0.iter().filter(|((_, verb), _)| WRITING_VERBS.contains(&verb.as_str()));
        writing.map(|(_, count)| count).sum()
    }
}

/// One line for each verb and client, and their sum.
impl fmt::Display for Requests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((agent, verb), count) in &self.0 {
            writeln!(formatter, "{count:6} {verb:20} {agent}")?;
        }
        writeln!(formatter, "{:6} requests", self.total())
    }
}

/// What clients asked since the last call.
pub(crate) fn since_last_call(folder: &Path) -> Result<Requests> {
    let path = folder.join("audit.log");
    let mut log = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let start = fs::read_to_string(folder.join("audit.mark")).ok().and_then(|mark| mark.trim().parse().ok());
    let mut position = log.seek(SeekFrom::Start(start.unwrap_or(0)))?;
    let mut requests = Requests::default();
    let mut reader = BufReader::new(log);
    let mut line = Vec::new();
    // A last line without its end is still being written: it is counted by the next call.
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        position += line.len() as u64;
        if let Some(request) = client_request(&serde_json::from_slice(&line).unwrap_or_default()) {
            *requests.0.entry(request).or_default() += 1;
        }
        line.clear();
    }
    write_mark(folder, position)?;
    Ok(requests)
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
        append(&event("admin", "cfrt/0.1", "delete", "/api/v1/pods/a"));
        append(&event("admin", "kwok/v0.7.0", "patch", "/api/v1/nodes/a"));
        append(&event("system:kube-scheduler", "go", "list", "/api/v1/pods"));
        append("{\"half\": \"a li");
        let requests = since_last_call(folder.path()).expect("the log can be read");
        assert_eq!((requests.total(), requests.writes()), (4, 1));
        let lines = [
            "     1 delete               cfrt",
            "     2 list                 cfrt",
            "     1 patch (dry run)      cfrt",
            "     4 requests",
        ];
        assert_eq!(requests.to_string().lines().collect::<Vec<_>>(), lines);
        append("ne\"}\n");
        append(&event("admin", "cfrt/0.1", "get", "/version"));
        let requests = since_last_call(folder.path()).expect("the log can be read");
        assert_eq!(requests.to_string(), "     1 get                  cfrt\n     1 requests\n");
    }
}
