//! What the API server says that was asked of it.

use std::fs::{self, File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::until;
use super::scenario::Scenario;
use super::secrets;
use super::tools;

/// A place in the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    file: u64,
    end: u64,
}

/// One request, as the audit log has it.
#[derive(Debug, Clone)]
pub(crate) struct Event(pub(crate) Value);

/// The present end of the log.
pub(crate) fn mark() -> Mark {
    let log = about(&tools::audit_log());
    Mark { file: log.ino(), end: log.len() }
}

fn about(path: &Path) -> Metadata {
    fs::metadata(path).expect("there is an audit log")
}

/// What `cfrt` has asked for since a mark that belongs to a scenario, in the order in which it was answered.
///
/// The log has no bodies of Secrets; nothing else may have the token of a scenario in it.
#[track_caller]
pub(crate) fn since(mark: Mark, scenario: &Scenario) -> Vec<Event> {
    let ours = with_marker(mark, scenario, |line| line.contains(OURS));
    let ours: Vec<Event> = ours.into_iter().filter(|event| event.is_ours() && scenario.owns(event)).collect();
    ours.iter().for_each(|event| secrets::absent(secrets::TOKEN, event.0.to_string().as_bytes(), &event.told()));
    ours
}

/// What anyone has asked for since a mark.
pub(crate) fn everything_since(mark: Mark, scenario: &Scenario) -> Vec<Event> {
    with_marker(mark, scenario, |_| true)
}

/// The lines that count, and with them a read of our own that tells that all before it is there.
fn with_marker(mark: Mark, scenario: &Scenario, counts: impl Fn(&str) -> bool) -> Vec<Event> {
    let marker = scenario.unique("marker");
    let path = format!("/api/v1/namespaces/{}/configmaps/{marker}", scenario.namespace);
    until("the audit log is up to date", || {
        // Asked for each time: what was answered before this request was written before it.
        let _absent = scenario.kubectl(&["get", "--raw", &path]);
        let events = read(mark, |line| counts(line) || line.contains(&marker));
        events.iter().any(|event| event.uri().contains(&marker)).then_some(events)
    })
}

/// What `cfrt` has asked for so far since a mark, of what the log has by now.
pub(crate) fn so_far(mark: Mark, scenario: &Scenario) -> Vec<Event> {
    read(mark, |line| line.contains(OURS)).into_iter().filter(|event| event.is_ours() && scenario.owns(event)).collect()
}

/// Those that write.
pub(crate) fn mutating(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| event.mutates()).collect()
}

/// What is in every line of ours. Bodies are long, and most lines are someone else's.
const OURS: &str = "\"userAgent\":\"cfrt/";

fn read(mark: Mark, counts: impl Fn(&str) -> bool) -> Vec<Event> {
    let current = tools::audit_log();
    let mut text = Vec::new();
    // The server begins a new file when one is large, and renames the old one.
    match earlier(&current, mark) {
        Some(renamed) => {
            append(&renamed, mark.end, &mut text);
            append(&current, 0, &mut text);
        }
        None => append(&current, mark.end, &mut text),
    }
    // A last line without its end is still being written, and no event yet.
    let text = String::from_utf8_lossy(&text);
    let lines = text.split('\n').filter(|line| counts(line));
    lines.filter_map(|line| serde_json::from_str(line).ok()).map(Event).collect()
}

/// The file of a mark, where that is no longer the present one.
fn earlier(current: &Path, mark: Mark) -> Option<PathBuf> {
    if about(current).ino() == mark.file {
        return None;
    }
    let beside = fs::read_dir(current.parent()?).ok()?;
    beside
        .filter_map(Result::ok)
        .find(|file| file.metadata().is_ok_and(|file| file.ino() == mark.file))
        .map(|file| file.path())
}

fn append(path: &Path, start: u64, text: &mut Vec<u8>) {
    let mut log = File::open(path).expect("the audit log can be read");
    let _place = log.seek(SeekFrom::Start(start)).expect("the audit log can be read");
    let _size = log.read_to_end(text).expect("the audit log can be read");
}

impl Event {
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether `cfrt` asked.
    pub(crate) fn is_ours(&self) -> bool {
        self.text("/userAgent").starts_with("cfrt/")
    }

    /// Whether it was to change anything.
    pub(crate) fn mutates(&self) -> bool {
        let writes = matches!(self.verb(), "create" | "update" | "patch" | "delete" | "deletecollection");
        let reviews = self.resource().starts_with("selfsubject");
        writes && !reviews && !self.uri().contains("dryRun=")
    }

    /// Whether the server did as asked.
    pub(crate) fn succeeded(&self) -> bool {
        self.0["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
    }

    pub(crate) fn uri(&self) -> &str {
        self.text("/requestURI")
    }

    pub(crate) fn verb(&self) -> &str {
        self.text("/verb")
    }

    /// The resource in the plural: `configmaps`.
    pub(crate) fn resource(&self) -> &str {
        self.text("/objectRef/resource")
    }

    pub(crate) fn group(&self) -> &str {
        self.text("/objectRef/apiGroup")
    }

    pub(crate) fn namespace(&self) -> &str {
        if self.resource() == "namespaces" { "" } else { self.text("/objectRef/namespace") }
    }

    pub(crate) fn name(&self) -> &str {
        let named = self.text("/objectRef/name");
        if named.is_empty() { self.text("/requestObject/metadata/name") } else { named }
    }

    /// When it came in and when it was answered, as RFC 3339 texts of one length, which sort like times.
    pub(crate) fn span(&self) -> (&str, &str) {
        (self.text("/requestReceivedTimestamp"), self.text("/stageTimestamp"))
    }

    /// Whether its object is the one at an address such as `apps/v1/Deployment codefresh/app-proxy`.
    pub(crate) fn is_about(&self, address: &str) -> bool {
        let Some((kind, place)) = address.split_once(' ') else { return false };
        let (version, kind) = kind.rsplit_once('/').unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let (namespace, name) = place.split_once('/').unwrap_or(("", place));
        (self.group(), self.namespace(), self.name()) == (group, namespace, name) && is_plural(self.resource(), kind)
    }

    /// Whether its object is a Helm release record.
    pub(crate) fn is_record(&self) -> bool {
        self.resource() == "secrets" && (self.name().is_empty() || self.name().starts_with("sh.helm.release.v1."))
    }

    /// Whether its object is what adoptions write down.
    pub(crate) fn is_undo_record(&self) -> bool {
        self.resource() == "configmaps" && self.name().starts_with("cfrt-") && self.name().ends_with("-undo")
    }

    /// Whether its object is the record of the last apply.
    pub(crate) fn is_last_apply(&self) -> bool {
        self.resource() == "secrets" && self.name().starts_with("cfrt-") && self.name().ends_with("-record")
    }

    /// Whether its object is the lease of a release.
    pub(crate) fn is_lease(&self, release: &str) -> bool {
        (self.group(), self.resource()) == ("coordination.k8s.io", "leases") && self.name() == format!("cfrt-{release}")
    }

    /// Whether its object is the journal of a run on a release.
    pub(crate) fn is_journal(&self, release: &str) -> bool {
        self.resource() == "configmaps" && self.name().starts_with(&format!("cfrt-{release}-run-"))
    }

    /// Whether its object is one of the books that an apply keeps of itself: its lease, or its journal.
    pub(crate) fn is_book(&self, release: &str) -> bool {
        self.is_lease(release) || self.is_journal(release)
    }

    /// Whether it makes the key by which plan files fingerprint secrets.
    pub(crate) fn is_key(&self) -> bool {
        self.verb() == "create" && self.resource() == "secrets" && self.name() == "cfrt-key"
    }

    /// `patch configmaps ns/name`
    pub(crate) fn told(&self) -> String {
        format!("{} {} {}/{}", self.verb(), self.resource(), self.namespace(), self.name())
    }
}

fn is_plural(resource: &str, kind: &str) -> bool {
    let kind = kind.to_lowercase();
    let changed = kind.strip_suffix('y').map(|stem| format!("{stem}ies"));
    [kind.clone(), format!("{kind}s"), format!("{kind}es")].contains(&resource.to_owned())
        || changed.is_some_and(|changed| changed == resource)
}
