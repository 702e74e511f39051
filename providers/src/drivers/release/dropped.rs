//! What earlier revisions named and a rendering doesn't: objects that go, and fields that go from objects that stay.

use std::collections::{BTreeMap, HashMap};

use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::resource::Address;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::survey::{ChartQuestion, Item};
use crate::helm::manifest::Manifest;
use crate::helm::record::{Revision, Status};
use crate::helm::rendering::Identity;
use crate::kube::difference::difference;
use crate::kube::normalise::{normalised, owned_by_release};

/// What is no longer named.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    /// Whole objects, in the order of the records.
    pub(super) objects: Vec<Address>,
    /// Fields, by the objects that they were in.
    ///
    /// Where an object was written by ordinary writes its ownership doesn't tell them from defaults.
    pub(super) fields: BTreeMap<Address, Vec<String>>,
}

impl Dropped {
    /// Holds the manifests of revisions that may still have objects in the cluster against a rendering's objects.
    ///
    /// # Errors
    ///
    /// A manifest that can't be read.
    pub(super) fn of<'a>(
        revisions: impl Iterator<Item = &'a Revision>,
        place: impl Fn(&Value) -> Option<Address>,
        question: &ChartQuestion,
        objects: &[Item],
        crds: &[Item],
    ) -> Result<Self, DriverError> {
        let mut known: HashMap<_, _> = objects.iter().map(|item| (key(&item.address), Some(item))).collect();
        // What moved from the templates to `crds/` stays, and isn't changed any more.
        known.extend(crds.iter().map(|item| (key(&item.address), None)));
        let mut dropped = Self::default();
        for revision in revisions.filter(|revision| revision.status != Status::Uninstalled) {
            for recorded in recorded(revision)? {
                let Some(address) = place(&recorded) else { continue };
                match known.get(&key(&address)) {
                    Some(Some(item)) => dropped.take_fields(question, item, recorded),
                    Some(None) => {}
                    None => {
                        known.insert(key(&address), None);
                        dropped.objects.push(address);
                    }
                }
            }
        }
        Ok(dropped)
    }

    fn take_fields(&mut self, question: &ChartQuestion, item: &Item, recorded: Value) {
        let applied = owned_by_release(normalised(recorded), &question.release, &question.namespace);
        let moved = difference(&applied, &item.document.body);
        let gone: Vec<String> =
            moved.into_iter().filter(|field| field.after.is_none()).map(|field| field.path).collect();
        if !gone.is_empty() {
            self.fields.entry(item.address.clone()).or_default().extend(gone);
        }
    }
}

fn recorded(revision: &Revision) -> Result<impl Iterator<Item = Value>, DriverError> {
    let manifest = Manifest::parse(revision.manifest.expose_secret()).map_err(|error| {
        DriverError::new(format!("reading the manifest of revision {}", revision.revision), error).fault(Fault::World)
    })?;
    Ok(manifest.objects.into_iter().map(|parsed| parsed.value))
}

fn key(address: &Address) -> [String; 4] {
    Identity::of_address(address).key()
}
