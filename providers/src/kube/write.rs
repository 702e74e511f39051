//! Steps to requests that write: each for exactly the object, in exactly the revision, that the plan saw.

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{DriverError, Fault, Observation};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Document, Resource};
use serde_json::{Value, json};

use super::call::{Apply, Call};
use super::client::ApiError;
use super::fields;
use super::gvk::{Gvk, Resolved};
use super::look::{key, present, to_send};
use super::path::lies_in;
use super::read::{Key, get};
use crate::world::World;

/// How often an object that others write at the same time is read again before we give up.
const ATTEMPTS: usize = 5;

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
    /// A kind that the server doesn't know and that this run didn't bring.
    pub fn new(world: &'a World, resource: &'a Resource, manager: &'a str) -> Result<Self, DriverError> {
        let gvk = Gvk::of_address(&resource.id.address);
        let kind = world.discovery.resolve(&gvk).ok_or_else(|| {
            let doing = format!("finding out where {} belongs", resource.id.address.short());
            DriverError::new(doing, format!("the API server knows no kind {} in {}", gvk.kind, gvk.api_version()))
        })?;
        Ok(Self { world, resource, kind, key: key(resource), manager })
    }

    /// Creates the object by server-side apply. What turned up there meanwhile isn't taken over.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it.
    pub async fn create(&self, document: &Document) -> Result<Value, DriverError> {
        let body = self.filled(document, &Value::Null).await?;
        let call = Call::apply(&self.kind, &self.key.namespace, &self.key.name, self.manager, Apply::Gently, &body);
        let created = self.send(&call).await.map_err(|error| match error {
            conflict if conflict.is_conflict() => self.stale("creating", conflict),
            other => self.refused("creating", other),
        })?;
        Ok(created)
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
        let mut seen = step.seen.clone();
        for _ in 0..ATTEMPTS {
            let Observation::Present { live, stamp, .. } = &seen else { break };
            let body = self.filled(document, live).await?;
            match self.update_once(body, live, &stamp.uid, &stamp.revision).await {
                Err(error) if error.is_conflict() => seen = self.same_again(step, &diff).await?,
                result => return result.map_err(|error| self.refused("updating", error)),
            }
        }
        Err(self.stale("updating", ApiError::Transport("others keep writing to it".to_owned())))
    }

    async fn update_once(&self, mut body: Value, live: &Value, uid: &str, revision: &str) -> Result<Value, ApiError> {
        let (namespace, name) = (&self.key.namespace, &self.key.name);
        let mut revision = revision.to_owned();
        if let Some(patch) = fields::migration_patch(live, self.manager) {
            let call = Call::patch(&self.kind, namespace, name, self.manager, &patch);
            let migrated: Value = self.world.kube.send(&call).await?.json()?;
            revision = migrated["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        }
        body["metadata"]["uid"] = json!(uid);
        body["metadata"]["resourceVersion"] = json!(revision);
        self.send(&Call::apply(&self.kind, namespace, name, self.manager, Apply::Forced, &body)).await
    }

    /// The document as it is sent; secret values that came sealed from the cache are rendered afresh first.
    async fn filled(&self, document: &Document, live: &Value) -> Result<Value, DriverError> {
        if let Some(body) = to_send(&self.world.vault, document, live) {
            return Ok(body);
        }
        self.world.charts.reveal().await?;
        to_send(&self.world.vault, document, live)
            .ok_or_else(|| self.failed("preparing", "a secret value in it can't be had again"))
    }

    /// Reads an object again that moved under our hands: what the plan showed must still be what happens.
    async fn same_again(
        &self,
        step: &Step,
        diff: impl Fn(&Resource, &Observation) -> Change,
    ) -> Result<Observation, DriverError> {
        let found =
            get(&self.world.kube, &self.kind, &self.key).await.map_err(|error| self.refused("reading", error))?;
        let Some((_, live)) = found else {
            return Err(self.stale("updating", ApiError::Transport("it was deleted meanwhile".to_owned())));
        };
        let seen = present(&self.world.vault, self.resource, live);
        let moved = diff(self.resource, &seen);
        // A dry run names a field more exactly than our own comparison, so places are held against places.
        let planned = |path: &str| {
            step.change.fields.iter().any(|field| lies_in(path, &field.path) || lies_in(&field.path, path))
        };
        let fits = moved.action != Action::Refuse && moved.fields.iter().all(|field| planned(&field.path));
        if fits {
            Ok(seen)
        } else {
            Err(self.stale("updating", ApiError::Transport("it was changed meanwhile".to_owned())))
        }
    }

    /// Deletes the object that the plan saw, and what depends on it in the background.
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
        let object: Value = self.world.kube.send(call).await?.json()?;
        self.world.watches.wrote(&self.kind, &self.key, &object);
        if self.kind.gvk.is_crd() {
            // A definition that gets a further version brings a kind as much as a new one does.
            self.world.discovery.learn(&object);
        }
        Ok(object)
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
        let fault = error.fault();
        // A server quotes what it refuses.
        self.failed(verb, self.world.redacted(self.resource, &error.to_string())).fault(fault)
    }
}
