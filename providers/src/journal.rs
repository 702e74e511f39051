//! The journal of a run: one object in the cluster that says what was meant to happen, and what did.
//!
//! One intent for the whole plan, one more for each hook, since a hook must not run twice; outcomes in groups.

use std::collections::BTreeMap;
use std::sync::Mutex;

use cfrt_engine::driver::DriverError;
use cfrt_engine::event::Event;
use cfrt_engine::resource::ResourceId;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::drivers::object::OWN;
use crate::drivers::release::charts::lock;
use crate::drivers::release::history::ReleaseName;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};
use crate::kube::gvk::{Gvk, Resolved};
use crate::kube::state::short_digest;
use crate::vault::hexadecimal;

mod entry;
mod kept;
mod outcomes;

pub use entry::{End, HookNote, HookOutcome, Opening};
pub use kept::{Ended, Journals, Run, read_all, read_hooks};
use outcomes::Outcomes;

/// The form of what is written.
const FORMAT: &str = "cfrt.run/1";

/// The label by which the journals of a release are found.
const LABEL: &str = "cfrt.dev/run-of";

fn config_maps() -> Resolved {
    Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true }
}

fn name(release: &ReleaseName, run: &str) -> String {
    format!("cfrt-{}-run-{run}", release.name)
}

/// A short digest of a text, by which people tell one plan from another.
pub fn digest(text: &str) -> String {
    hexadecimal(&short_digest(text.as_bytes()))
}

/// The journal of this run; nothing is written before it is begun.
#[derive(Debug, Default)]
pub struct Journal {
    book: Mutex<Option<Book>>,
    /// One write at a time, so that a later one never comes before an earlier one.
    writing: tokio::sync::Mutex<()>,
}

/// What is written down, and what of it has not been sent yet.
#[derive(Debug)]
struct Book {
    release: ReleaseName,
    run: String,
    began: Instant,
    hooks: Vec<HookNote>,
    outcomes: Outcomes,
    unsent: BTreeMap<String, String>,
    /// Why it could not be begun, where it couldn't.
    missing: Option<String>,
}

/// Where and when a run begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// Its release.
    pub release: ReleaseName,
    /// Its id.
    pub run: String,
    /// Who runs it, for people.
    pub who: String,
    /// The time, by the server's clock.
    pub at: String,
}

impl Journal {
    /// Writes down what is meant to happen.
    ///
    /// # Errors
    ///
    /// That this is not permitted. A journal that can't be made for another reason is lacking, and said to be in the end.
    pub(crate) async fn begin(&self, kube: &Kube, begin: Beginning, opening: &Opening) -> Result<(), DriverError> {
        let Beginning { release, run, .. } = &begin;
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name(release, run),
                "namespace": release.namespace,
                "labels": {"app.kubernetes.io/managed-by": OWN, LABEL: release.name},
            },
            "data": opening.data(&begin),
        });
        let call = Call::create(&config_maps(), &release.namespace, &object).metadata();
        let missing = match kube.send(&call).await {
            Ok(_) => None,
            Err(error) if error.code() == Some(403) => {
                let place = format!("{}/{}", release.namespace, name(release, run));
                return Err(error.during(format!("beginning the journal {place}")));
            }
            Err(error) => Some(error.to_string()),
        };
        let Beginning { release, run, .. } = begin;
        let (hooks, outcomes, unsent) = (Vec::new(), Outcomes::default(), BTreeMap::new());
        *lock(&self.book) = Some(Book { release, run, began: Instant::now(), hooks, outcomes, unsent, missing });
        Ok(())
    }

    /// Takes over what another run has written down of its hooks, before this one goes on with its revision.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub(crate) async fn carry_on(&self, kube: &Kube, hooks: &[HookNote]) -> Result<(), DriverError> {
        hooks.iter().for_each(|hook| self.note_hook(hook.clone()));
        self.strictly(kube, "the hooks that have run").await
    }

    /// Writes down that a hook is about to run.
    ///
    /// # Errors
    ///
    /// It can't be written: the hook must not run then.
    pub(crate) async fn intend(&self, kube: &Kube, hook: HookNote) -> Result<(), DriverError> {
        let about = hook.address.clone();
        self.note_hook(hook);
        self.strictly(kube, &format!("the intent to run {about}")).await
    }

    /// Writes down what a hook was made as, or how it ended. Where that can't be written now, it is with what comes next.
    pub(crate) async fn tell(&self, kube: &Kube, of: &ResourceId, change: impl FnOnce(&mut HookNote)) {
        if let Some(mut hook) = self.hook(of) {
            change(&mut hook);
            self.note_hook(hook);
            self.flush(kube).await.unwrap_or_default();
        }
    }

    /// The same of what is about to be deleted, which would tell it otherwise.
    ///
    /// # Errors
    ///
    /// It can't be written: nothing may be deleted then.
    pub(crate) async fn tell_surely(
        &self,
        kube: &Kube,
        of: &ResourceId,
        change: impl FnOnce(&mut HookNote),
    ) -> Result<(), DriverError> {
        let Some(mut hook) = self.hook(of) else { return Ok(()) };
        change(&mut hook);
        self.note_hook(hook);
        self.strictly(kube, &format!("how {} ended", of.address.short())).await
    }

    /// Notes how a step ended; it is sent with the next group.
    pub fn take(&self, event: &Event) {
        if let Some(book) = &mut *lock(&self.book) {
            book.outcomes.take(event);
        }
    }

    /// Sends what has not been sent yet.
    ///
    /// # Errors
    ///
    /// A server that doesn't take it; it is sent with what comes next.
    pub(crate) async fn flush(&self, kube: &Kube) -> Result<(), ApiError> {
        let _one = self.writing.lock().await;
        let Some((call, data)) = self.unsent() else { return Ok(()) };
        let sent = kube.send(&call).await;
        if sent.is_err()
            && let Some(book) = &mut *lock(&self.book)
        {
            for (key, text) in data {
                book.unsent.entry(key).or_insert(text);
            }
        }
        sent.map(drop)
    }

    /// Writes down how the run ended, and gives what was in the way of the journal.
    pub(crate) async fn end(&self, kube: &Kube, end: &End, at: &str) -> Option<String> {
        if let Some(book) = &mut *lock(&self.book) {
            let text = end.text(at, book.began.elapsed().as_secs());
            book.unsent.insert("end".to_owned(), text);
        }
        let sent = self.flush(kube).await;
        let missing = lock(&self.book).as_ref().and_then(|book| book.missing.clone());
        missing.or_else(|| sent.err().map(|error| error.to_string()))
    }

    fn hook(&self, of: &ResourceId) -> Option<HookNote> {
        let book = lock(&self.book);
        book.as_ref()?.hooks.iter().find(|hook| hook.is_about(of)).cloned()
    }

    fn note_hook(&self, hook: HookNote) {
        let mut book = lock(&self.book);
        let Some(book) = book.as_mut() else { return };
        let same = |other: &HookNote| (&other.address, &other.event) == (&hook.address, &hook.event);
        let index = book.hooks.iter().position(same).unwrap_or(book.hooks.len());
        book.unsent.insert(format!("hook.{index:03}"), json!(hook).to_string());
        if index == book.hooks.len() {
            book.hooks.push(hook);
        } else {
            book.hooks[index] = hook;
        }
    }

    async fn strictly(&self, kube: &Kube, what: &str) -> Result<(), DriverError> {
        let doing = || format!("writing {what} into the journal of this run");
        if let Some(why) = lock(&self.book).as_ref().and_then(|book| book.missing.clone()) {
            return Err(DriverError::new(doing(), format!("there is none: {why}")));
        }
        self.flush(kube).await.map_err(|error| error.during(doing()))
    }

    /// What is to be sent next, and as what.
    fn unsent(&self) -> Option<(Call, BTreeMap<String, String>)> {
        let mut book = lock(&self.book);
        let book = book.as_mut().filter(|book| book.missing.is_none())?;
        book.unsent.extend(book.outcomes.unsent().map(|text| ("outcomes".to_owned(), text)));
        let data = std::mem::take(&mut book.unsent);
        let texts: Map<String, Value> = data.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
        let (namespace, name) = (&book.release.namespace, name(&book.release, &book.run));
        let call = Call::merge(&config_maps(), namespace, &name, OWN, &json!({ "data": texts })).metadata();
        (!data.is_empty()).then_some((call, data))
    }
}

#[cfg(test)]
mod tests;
