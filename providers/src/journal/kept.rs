//! The journals that are kept: the runs of a release, newest first; older ones are removed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{FORMAT, HookNote, LABEL, config_maps, name};
use crate::drivers::release::history::ReleaseName;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};

/// How many journals are kept.
const KEPT: usize = 50;

/// How many are removed at once: there are never more, unless someone else made them.
const REMOVED_AT_ONCE: usize = 5;

/// How many are looked at.
const LISTED: usize = 500;

/// A run, as its journal says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub run: String,
    /// The command.
    pub command: String,
    /// Who ran it.
    pub by: String,
    /// When it began, by the server's clock.
    pub began: String,
    /// The digest of its plan.
    pub plan: String,
    /// The file, without its folder.
    pub file: String,
    /// How many steps it meant to take, by action.
    pub counts: BTreeMap<String, usize>,
    /// How it ended; nothing where it didn't say so any more.
    pub end: Option<Ended>,
}

/// How a run ended, as its journal says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// In a word.
    pub outcome: String,
    /// The exit code.
    pub exit: u8,
    /// After how many seconds.
    pub seconds: u64,
}

#[derive(Deserialize)]
struct List {
    items: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Opened {
    format: String,
    run: String,
    #[serde(default)]
    command: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    began: String,
    #[serde(default)]
    plan: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    counts: BTreeMap<String, usize>,
}

fn list(release: &ReleaseName) -> Call {
    let path = config_maps().collection(&release.namespace);
    Call::get(format!("{path}?labelSelector={}%3D{}&limit={LISTED}", LABEL.replace('/', "%2F"), release.name))
}

/// Reads the runs of a release, newest first. What bears the label and is no journal is left out.
///
/// # Errors
///
/// Journals that can't be listed.
pub async fn read_all(kube: &Kube, release: &ReleaseName) -> Result<Vec<Run>, ApiError> {
    let list: List = kube.send(&list(release)).await?.json()?;
    let mut runs: Vec<Run> = list.items.unwrap_or_default().iter().filter_map(|object| run(release, object)).collect();
    runs.sort_by_key(|run| Reverse((run.began.clone(), run.run.clone())));
    runs.truncate(KEPT);
    Ok(runs)
}

fn run(release: &ReleaseName, object: &Value) -> Option<Run> {
    let data = &object["data"];
    let opened: Opened = serde_json::from_str(data["run"].as_str()?).ok()?;
    let Opened { format, run, command, by, began, plan, file, counts } = opened;
    let is_ours = format == FORMAT && object["metadata"]["name"] == name(release, &run);
    let end = data["end"].as_str().and_then(|end| serde_json::from_str(end).ok());
    is_ours.then_some(Run { run, command, by, began, plan, file, counts, end })
}

/// Reads what a run has written down of its hooks, and who it was; nothing where its journal is gone or makes no sense.
///
/// # Errors
///
/// Any answer but the journal and 404.
pub async fn read_hooks(
    kube: &Kube,
    release: &ReleaseName,
    of: &str,
) -> Result<Option<(Run, Vec<HookNote>)>, ApiError> {
    // It comes from a record that anyone may have written, and goes into a path.
    if !of.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let object: Value = match kube.send(&Call::get(config_maps().path(&release.namespace, &name(release, of)))).await {
        Ok(reply) => reply.json()?,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let notes: BTreeMap<&String, &Value> = object["data"].as_object().into_iter().flatten().collect();
    let hooks = notes.into_iter().filter(|(key, _)| key.starts_with("hook."));
    let hooks = hooks.filter_map(|(_, note)| serde_json::from_str(note.as_str()?).ok()).collect();
    Ok(run(release, &object).map(|run| (run, hooks)))
}

/// The journals of a release, as they stand in the cluster.
#[derive(Debug)]
pub struct Journals<'a> {
    kube: &'a Kube,
    release: &'a ReleaseName,
}

impl<'a> Journals<'a> {
    /// Those of a release.
    pub fn of(kube: &'a Kube, release: &'a ReleaseName) -> Self {
        Self { kube, release }
    }

    /// Removes the oldest beyond those that are kept.
    ///
    /// # Errors
    ///
    /// Journals that can't be listed or removed.
    pub async fn prune(&self) -> Result<(), ApiError> {
        let list: List = self.kube.send(&list(self.release).metadata_of_all()).await?.json()?;
        for (name, uid) in surplus(self.release, &list.items.unwrap_or_default()) {
            let call = Call::delete(&config_maps(), &self.release.namespace, &name, Some(&uid));
            match self.kube.send(&call).await {
                Err(error) if error.is_not_found() || error.is_conflict() => {}
                removed => drop(removed?),
            }
        }
        Ok(())
    }
}

/// The names and uids of the oldest journals beyond those that are kept, oldest first.
fn surplus(release: &ReleaseName, objects: &[Value]) -> Vec<(String, String)> {
    let text = |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let prefix = name(release, "");
    let mut journals: Vec<(String, String, String)> = objects
        .iter()
        .map(|object| (text(object, "creationTimestamp"), text(object, "name"), text(object, "uid")))
        .filter(|(_, name, _)| name.starts_with(&prefix))
        .collect();
    journals.sort();
    let surplus = journals.len().saturating_sub(KEPT).min(REMOVED_AT_ONCE);
    journals.into_iter().take(surplus).map(|(_, name, uid)| (name, uid)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release() -> ReleaseName {
        ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() }
    }

    fn journal(id: usize, created: &str) -> Value {
        json!({"metadata": {"name": format!("cfrt-r-run-{id:03}"), "uid": id.to_string(), "creationTimestamp": created},
            "data": {"run": json!({"format": FORMAT, "run": format!("{id:03}"), "began": created}).to_string()}})
    }

    #[test]
    fn the_oldest_beyond_fifty_are_removed_a_few_at_once_and_nothing_that_is_no_journal() {
        let day = |id: usize| format!("2026-11-{:02}T00:00:{:02}Z", id / 30 + 1, id % 30);
        let mut journals: Vec<Value> = (0..52).rev().map(|id| journal(id, &day(id))).collect();
        journals.push(json!({"metadata": {"name": "theirs", "uid": "x", "creationTimestamp": "2020-01-01T00:00:00Z"}}));
        let names: Vec<String> = surplus(&release(), &journals).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["cfrt-r-run-000", "cfrt-r-run-001"]);
        let many: Vec<Value> = (0..200).map(|id| journal(id, &day(id))).collect();
        assert_eq!(surplus(&release(), &many).len(), REMOVED_AT_ONCE);
        assert!(surplus(&release(), &journals[..50]).is_empty());
    }

    #[tokio::test]
    async fn a_run_that_is_no_run_of_ours_is_not_looked_for() {
        let kube = Kube::played(|path| unreachable!("{path} is asked for"));
        for junk in ["../secrets/x", "a/b", "a?b", "%2e", "a b", "ä"] {
            assert_eq!(read_hooks(&kube, &release(), junk).await.expect("nothing is asked"), None);
        }
    }

    #[test]
    fn what_bears_the_label_and_is_no_journal_is_none() {
        let right = journal(1, "2026-11-01T00:00:00Z");
        assert_eq!(run(&release(), &right).map(|run| run.run), Some("001".to_owned()));
        for (pointer, junk) in [
            ("/data/run", json!("{}")),
            ("/data/run", json!(7)),
            ("/data/run", json!(r#"{"format": "cfrt.run/2", "run": "001"}"#)),
            ("/metadata/name", json!("cfrt-other-run-001")),
            ("/data", Value::Null),
        ] {
            let mut object = right.clone();
            *object.pointer_mut(pointer).expect("it is there") = junk;
            assert_eq!(run(&release(), &object), None, "{object}");
        }
    }
}
