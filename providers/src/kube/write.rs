//! Steps to requests that write: each for exactly the object, in exactly the revision, that the plan saw.

use std::time::Duration;

use cfrt_engine::change::{Action, Change, FieldChange};
use cfrt_engine::driver::{Depth, DriverError, Fault, Observation, Stamp, Wanted};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Document, Resource, Want};
use serde_json::{Value, json};

use super::call::{Apply, Call};
use super::client::ApiError;
use super::compare::compare;
use super::fields;
use super::gvk::{Gvk, Resolved};
use super::look::{key, predict, present, seen, to_send};
use super::path::lies_in;
use super::read::{Key, get};
use super::rejected::Unanswered;
use super::retry::{is_unclear, tries, until_served};
use super::said::line;
use crate::world::World;

mod remove;

/// What can be done about a webhook that doesn't answer, and without whose answer nothing is let in.
const HELP_A_WEBHOOK: &str = "bring up what is behind the webhook; where that is gone for good, delete its webhook configuration, without \
                              which the server asks no one";

/// An object to write, and under whose name.
pub struct Target<'a> {
    world: &'a World,
    resource: &'a Resource,
    kind: Resolved,
    key: Key,
    manager: &'a str,
}

impl<'a> Target<'a> {
    /// The object of a resource.
    ///
    /// # Errors
    ///
    /// A kind that the server doesn't know and that this run didn't bring; what is to be gone may be of any version.
    pub fn new(world: &'a World, resource: &'a Resource, manager: &'a str) -> Result<Self, DriverError> {
        let gvk = Gvk::of_address(&resource.id.address);
        let kind = match resource.want {
            Want::Present(_) | Want::Existing(_) => world.discovery.resolve(&gvk),
            Want::Absent => world.discovery.find(&gvk),
        };
        let kind = kind.ok_or_else(|| {
            let doing = format!("finding out where {} belongs", resource.id.address.short());
            DriverError::new(doing, format!("the API server knows no kind {} in {}", gvk.kind, gvk.api_version()))
        })?;
        Ok(Self { world, resource, kind, key: key(resource), manager })
    }

    /// Creates the object by server-side apply. What turned up there meanwhile stays as it is.
    ///
    /// Where an answer got lost, or something is there, it is looked what that is: what is all as we sent it, and ours, is
    /// what was to be done, and nothing is made twice.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it; that something else is there.
    pub async fn create(&self, document: &Document) -> Result<Value, DriverError> {
        self.make("creating", document, &Value::Null, "it was made by someone else after the plan was made").await
    }

    /// Makes an object where none is; `live` is what was there before it, and `taken` what is said where another one is.
    async fn make(&self, doing: &str, document: &Document, live: &Value, taken: &str) -> Result<Value, DriverError> {
        let body = self.filled(document, live).await?;
        let call = Call::apply(&self.kind, &self.key.namespace, &self.key.name, self.manager, Apply::New, &body);
        let mut pauses = tries();
        loop {
            // A quota that many use at once is a conflict, too.
            let error = match self.send(&call).await {
                Err(error) if error.is_conflict() || is_unclear(&error) => error,
                made => return made.map_err(|error| self.refused(doing, error)),
            };
            match (self.there().await?, pauses.next()) {
                (Some(live), _) if self.is_as_sent(document, &live) => return Ok(self.written(live)),
                (Some(_), _) => return Err(self.stale(doing, ApiError::Transport(taken.to_owned()))),
                (None, Some(pause)) => tokio::time::sleep(pause).await,
                (None, None) => return Err(self.refused(doing, error)),
            }
        }
    }

    async fn there(&self) -> Result<Option<Value>, DriverError> {
        let found = get(&self.world.kube, &self.kind, &self.key).await;
        found.map(|found| found.map(|(_, live)| live)).map_err(|error| self.refused("reading", error))
    }

    /// Whether an object is what our request leaves: by its fields, and by who owns them.
    fn is_as_sent(&self, document: &Document, live: &Value) -> bool {
        let Observation::Present { live, .. } = present(&self.world.vault, self.resource, live.clone()) else {
            return false;
        };
        let compared = compare(document, &live, self.manager);
        compared.fields.is_empty() && !compared.foreign && !compared.migrate
    }

    /// Writes a document over the object with this uid, and no other, whoever wrote its fields.
    ///
    /// What the document doesn't name stays.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it; that the object is gone.
    pub async fn write_over(&self, document: &Document, uid: &str) -> Result<Value, DriverError> {
        let mut body = self.filled(document, &Value::Null).await?;
        body["metadata"]["uid"] = json!(uid);
        let call = Call::apply(&self.kind, &self.key.namespace, &self.key.name, self.manager, Apply::Forced, &body);
        self.send(&call).await.map_err(|error| match error {
            conflict if conflict.is_conflict() => self.stale("writing over", conflict),
            other => self.refused("writing over", other),
        })
    }

    /// Brings an object that is there to its document, migrating the ownership of its fields first where that is needed.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it; an object that moves so that the plan no longer fits.
    pub async fn update(
        &self,
        step: &Step,
        document: &Document,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<Value, DriverError> {
        let (mut seen, mut pauses) = (step.seen.clone(), tries());
        while let Observation::Present { live, stamp, .. } = &seen {
            let body = self.filled(document, live).await?;
            let updated = self.update_once(body, live, &stamp.uid, &stamp.revision).await;
            match self.again(step, &diff, updated, &mut pauses).await? {
                Again::Over(updated) => return Ok(updated),
                Again::From(now) => seen = now,
            }
        }
        Err(self.others("updating"))
    }

    /// Patches an object that is there by what `operations` make of it as it was seen last.
    ///
    /// # Errors
    ///
    /// As for [`Self::update`].
    pub async fn patch(
        &self,
        step: &Step,
        operations: impl Fn(&Value, &Stamp) -> Value,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<Value, DriverError> {
        let (mut seen, mut pauses) = (step.seen.clone(), tries());
        while let Observation::Present { live, stamp, .. } = &seen {
            let operations = operations(live, stamp);
            let call = Call::patch(&self.kind, &self.key.namespace, &self.key.name, self.manager, &operations);
            let patched = self.send(&call).await;
            match self.again(step, &diff, patched, &mut pauses).await? {
                Again::Over(patched) => return Ok(patched),
                Again::From(now) => seen = now,
            }
        }
        Err(self.others("updating"))
    }

    /// What is to be done after a write: nothing more, or the same from what is there now.
    ///
    /// Where others came in between, or the answer got lost, the object is read again. That it is as it should be by then
    /// is as good as having been told.
    async fn again(
        &self,
        step: &Step,
        diff: impl Fn(&Resource, &Observation) -> Change,
        written: Result<Value, ApiError>,
        pauses: &mut impl Iterator<Item = Duration>,
    ) -> Result<Again, DriverError> {
        let error = match written {
            Err(error) if error.is_conflict() || is_unclear(&error) => error,
            written => return written.map(Again::Over).map_err(|error| self.refused("updating", error)),
        };
        let Some(pause) = pauses.next() else {
            return Err(if error.is_conflict() { self.others("updating") } else { self.refused("updating", error) });
        };
        tokio::time::sleep(pause).await;
        let Some(live) = self.there().await? else {
            return Err(self.stale("updating", ApiError::Transport("it was deleted meanwhile".to_owned())));
        };
        let (now, change) = self.same_again("updating", step, live, diff).await?;
        match &now {
            Observation::Present { live, .. } if change.action == Action::Keep => {
                Ok(Again::Over(self.written(Value::clone(live))))
            }
            _ => Ok(Again::From(now)),
        }
    }

    fn others(&self, doing: &str) -> DriverError {
        self.stale(doing, ApiError::Transport("others keep writing to it".to_owned()))
    }

    async fn update_once(&self, mut body: Value, live: &Value, uid: &str, revision: &str) -> Result<Value, ApiError> {
        let (namespace, name) = (&self.key.namespace, &self.key.name);
        let migrated = self.migrate(live, uid).await?;
        body["metadata"]["uid"] = json!(uid);
        body["metadata"]["resourceVersion"] = json!(migrated.as_deref().unwrap_or(revision));
        self.send(&Call::apply(&self.kind, namespace, name, self.manager, Apply::Forced, &body)).await
    }

    /// Migrates the ownership of fields where that is needed, and gives the revision that this left.
    async fn migrate(&self, live: &Value, uid: &str) -> Result<Option<String>, ApiError> {
        let Some(patch) = fields::migration_patch(live, self.manager) else { return Ok(None) };
        let call = Call::patch(&self.kind, &self.key.namespace, &self.key.name, self.manager, &patch);
        match self.world.kube.send(&call).await {
            Ok(reply) => {
                let migrated: Value = reply.json()?;
                Ok(Some(migrated["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()))
            }
            // A server says 422 of a test that fails, and of much else; which of them it was the object itself tells.
            Err(error) if matches!(error.code(), Some(404 | 422)) && self.is_another(uid).await? => {
                Err(ApiError::Status { code: 409, reason: "Conflict".to_owned(), message: error.to_string() })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the object with this uid is no longer the one that is there.
    async fn is_another(&self, uid: &str) -> Result<bool, ApiError> {
        let there = get(&self.world.kube, &self.kind, &self.key).await?;
        Ok(there.is_none_or(|(_, live)| live["metadata"]["uid"] != *uid))
    }

    /// The document as it is sent; secret values that came sealed from the cache are rendered afresh first.
    async fn filled(&self, document: &Document, live: &Value) -> Result<Value, DriverError> {
        if let Some(body) = to_send(&self.world.vault, document, live, self.manager) {
            return Ok(body);
        }
        self.world.charts.reveal().await?;
        to_send(&self.world.vault, document, live, self.manager)
            .ok_or_else(|| self.failed("preparing", "a secret value in it can't be had again"))
    }

    /// Decides anew about an object that moved under our hands: what the plan showed must still be what happens.
    async fn same_again(
        &self,
        doing: &str,
        step: &Step,
        live: Value,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<(Observation, Change), DriverError> {
        let found = live.clone();
        let seen = seen(self.world, self.resource, live).await?;
        let was_predicted = matches!(step.seen, Observation::Present { predicted: Some(_), .. });
        let again = Wanted { resource: self.resource, depth: Depth::DryRun, before: Some(&seen) };
        let seen = if was_predicted { predict(self.world, &again, self.manager).await? } else { seen };
        let was_agreed = diff(self.resource, &step.seen).unless_agreed.is_some();
        let moved = with_consent(diff(self.resource, &seen), was_agreed.then_some(step.change.action));
        match unforeseen(&step.change, &moved, |value| self.world.concealed(self.resource, value)) {
            None => Ok((seen, moved)),
            Some(what) => {
                let told = told(&what, &found, |value| self.world.concealed(self.resource, value));
                Err(self.stale(doing, ApiError::Transport(told)))
            }
        }
    }

    /// Deletes what ran as a hook, by its uid, and what depends on it in the background.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it; that it is gone already is fine.
    pub async fn delete(&self, uid: Option<&str>) -> Result<(), DriverError> {
        let call = Call::delete(&self.kind, &self.key.namespace, &self.key.name, uid);
        match self.world.kube.send(&call).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.is_conflict() => Err(self.stale("deleting", error)),
            Err(error) => Err(self.refused("deleting", error)),
        }
    }

    async fn send(&self, call: &Call) -> Result<Value, ApiError> {
        let (kube, is_new) = (&self.world.kube, self.world.discovery.has_learned(&self.kind.gvk));
        Ok(self.written(until_served(is_new, || kube.send(call)).await?.json()?))
    }

    /// Remembers what a write of ours left.
    fn written(&self, object: Value) -> Value {
        self.world.watches.wrote(&self.kind, &self.key, &object);
        if self.kind.gvk.is_crd() {
            // A definition that gets a further version brings a kind as much as a new one does.
            self.world.discovery.learn(&object);
        }
        object
    }

    /// Where the object's kind is kept.
    pub fn kind(&self) -> &Resolved {
        &self.kind
    }

    fn failed(&self, verb: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DriverError {
        DriverError::new(format!("{verb} {}", self.resource.id.address.short()), error)
    }

    fn stale(&self, verb: &str, error: ApiError) -> DriverError {
        self.failed(verb, error).fault(Fault::Stale).hint("plan again and look at what has changed")
    }

    fn refused(&self, verb: &str, error: ApiError) -> DriverError {
        let (fault, words) = (error.fault(), error.to_string());
        let webhook = Unanswered::of(&words);
        let hint = if webhook.is_some() { HELP_A_WEBHOOK } else { error.hint() };
        // A server quotes what it refuses.
        let words = self.world.redacted(self.resource, &webhook.map_or(words, |webhook| line(&webhook.told())));
        self.failed(verb, words).fault(fault).hint(hint)
    }
}

/// A change, where the file has agreed to such an action: a driver that looks again knows nothing of the file.
fn with_consent(change: Change, agreed: Option<Action>) -> Change {
    match change.unless_agreed {
        Some(instead) if Some(instead.action) == agreed => *instead,
        unless_agreed => Change { unless_agreed, ..change },
    }
}

/// How a write goes on.
enum Again {
    /// It is done.
    Over(Value),
    /// It is sent again for the object as it is now.
    From(Observation),
}

/// What of an object is no longer as a plan showed it.
#[derive(Debug, PartialEq)]
enum Unforeseen {
    /// It may not be written any more.
    All(String),
    /// A field that is none of the planned ones, or whose value is another one by now.
    Field(FieldChange),
}

/// Finds what of an object is no longer as a plan showed it. A plan holds values with the secrets in them concealed.
fn unforeseen(planned: &Change, moved: &Change, conceal: impl Fn(&Value) -> Value) -> Option<Unforeseen> {
    // A dry run names a field more exactly than our own comparison, so places are held against places.
    let around = |path: &str, field: &FieldChange| lies_in(path, &field.path) || lies_in(&field.path, path);
    let same = |planned: &FieldChange, field: &FieldChange| {
        planned.path != field.path
            || planned.before == field.before
            || planned.before == field.before.as_ref().map(&conceal)
    };
    let as_planned = |field: &FieldChange| {
        let mut planned = planned.fields.iter().filter(|planned| around(&field.path, planned)).peekable();
        planned.peek().is_some() && planned.all(|planned| same(planned, field))
    };
    if moved.action == Action::Refuse {
        return Some(Unforeseen::All(moved.reason.clone()));
    }
    moved.fields.iter().find(|field| !as_planned(field)).cloned().map(Unforeseen::Field)
}

/// Says what has moved, who moved it as far as the object tells, and to what.
fn told(what: &Unforeseen, live: &Value, conceal: impl Fn(&Value) -> Value) -> String {
    match what {
        Unforeseen::All(reason) if reason.is_empty() => "it was changed meanwhile".to_owned(),
        Unforeseen::All(reason) => format!("it was changed meanwhile: {reason}"),
        Unforeseen::Field(FieldChange { path, before, .. }) => {
            let by = fields::writer(live, path).map_or_else(String::new, |writer| format!(" by {}", writer.manager));
            let value = before.as_ref().map_or("nothing".to_owned(), |value| shortened(&conceal(value).to_string()));
            format!("{path} was changed meanwhile{by}: it is {value} by now")
        }
    }
}

/// A value as it is told in one line.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 80;
    let short: String = value.chars().take(LONGEST).collect();
    if short.len() < value.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests;
