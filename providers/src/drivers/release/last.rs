//! What was applied last of each object of a release, as its records tell it.

use std::collections::BTreeMap;

use cfrt_engine::change::Moved;
use cfrt_engine::resource::{Address, Document};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::history::History;
use super::next::{aligned, same_texts};
use super::survey::{ChartQuestion, Item};
use crate::drivers::object::origin::{LastApplied, Other};
use crate::helm::manifest::Manifest;
use crate::helm::record::{Revision, Status};
use crate::helm::rendering::{Identity, Rendering};
use crate::kube::difference::difference;
use crate::kube::normalise::{normalised, owned_by_release};
use crate::vault::Vault;

/// What was applied last of a release's objects.
#[derive(Debug, Default)]
pub struct Last {
    /// Of those of which something is to be said apart.
    objects: BTreeMap<[String; 4], LastApplied>,
    /// Of all others.
    others: LastApplied,
}

/// Objects by what makes them the same object.
type Objects = BTreeMap<[String; 4], Value>;

impl Last {
    /// What was applied last of an object.
    pub fn of(&self, address: &Address) -> LastApplied {
        self.objects.get(&key(address)).unwrap_or(&self.others).clone()
    }

    /// Holds the revision that was applied last against the objects that are wanted, and against what others released since.
    pub(super) fn held_against(
        vault: &Vault,
        history: &History,
        rendering: &Rendering,
        question: &ChartQuestion,
        place: impl Fn(&Value) -> Option<Address>,
        objects: &[Item],
    ) -> Self {
        let everything = |others| Self { others, ..Self::default() };
        if history.proved.is_some() {
            return everything(LastApplied::Same);
        }
        let Some(last) = history.last_applied().filter(|last| last.status != Status::Uninstalled) else {
            return everything(if history.remembered { LastApplied::Something } else { LastApplied::Nothing });
        };
        if !matches!(last.status, Status::Deployed | Status::Superseded) {
            return everything(LastApplied::Begun);
        }
        let overtaking = history.overtaking();
        if overtaking.is_none() && same_texts(vault, last, rendering) {
            return everything(LastApplied::Same);
        }
        let read = |revision| recorded(revision, &place);
        let (Some(mut applied), Some(overtaken)) = (read(last), overtaking.map_or(Some(None), |by| read(by).map(Some)))
        else {
            return everything(LastApplied::Unknown);
        };
        let release = Wanted { vault, question, by: history.maker.clone() };
        let mut told = BTreeMap::new();
        for item in objects {
            let key = key(&item.address);
            let theirs = overtaken.as_ref().map(|objects| objects.get(&key));
            let applied = applied.remove(&key);
            told.insert(key, release.object(&item.document, applied, theirs));
        }
        // What is left is no longer wanted; what only the others have they have brought.
        let brought =
            overtaken.into_iter().flatten().filter(|(key, _)| !told.contains_key(key) && !applied.contains_key(key));
        let brought: Vec<_> = brought.map(|(key, _)| (key, release.overtaken())).collect();
        told.extend(brought);
        Self { objects: told, others: LastApplied::Same }
    }
}

struct Wanted<'a> {
    vault: &'a Vault,
    question: &'a ChartQuestion,
    by: Moved,
}

impl Wanted<'_> {
    /// What was applied last of an object that is wanted; `theirs` is what others made of it since, where they did.
    fn object(&self, wanted: &Document, applied: Option<Value>, theirs: Option<Option<&Value>>) -> LastApplied {
        let Some(applied) = applied else { return LastApplied::Nothing };
        let overtaken = match theirs {
            None => Vec::new(),
            Some(None) => vec![String::new()],
            Some(Some(theirs)) => paths(&applied, theirs),
        };
        let applied = normalised(aligned(self.vault, wanted, applied));
        let applied = owned_by_release(applied, &self.question.release, &self.question.namespace);
        let changed = paths(&applied, &wanted.body);
        if changed.is_empty() && overtaken.is_empty() {
            return LastApplied::Same;
        }
        LastApplied::Other(Other { changed, overtaken, by: self.by.clone() })
    }

    /// What others have made, or done away with, as a whole.
    fn overtaken(&self) -> LastApplied {
        LastApplied::Other(Other { changed: Vec::new(), overtaken: vec![String::new()], by: self.by.clone() })
    }
}

fn paths(before: &Value, after: &Value) -> Vec<String> {
    difference(before, after).into_iter().map(|field| field.path).collect()
}

/// The objects of a revision; `None` where its manifest can't be read.
fn recorded(revision: &Revision, place: impl Fn(&Value) -> Option<Address>) -> Option<Objects> {
    let manifest = Manifest::parse(revision.manifest.expose_secret()).ok()?;
    let objects = manifest.objects.into_iter().map(|parsed| parsed.value);
    Some(objects.filter_map(|object| Some((key(&place(&object)?), object))).collect())
}

fn key(address: &Address) -> [String; 4] {
    Identity::of_address(address).key()
}
