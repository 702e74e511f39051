//! Steps to requests that write: each for exactly the object, in exactly the revision, that the plan saw.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable as _};
use cfrt_engine::change::{Action, Change, FieldChange};
use cfrt_engine::driver::{Depth, DriverError, Fault, Observation, Stamp, Wanted};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Document, Resource, Want};
use serde_json::{Value, json};

use super::call::{Apply, Call};
use super::client::ApiError;
use super::fields;
use super::gvk::{Gvk, Resolved};
use super::look::{key, predict, seen, to_send};
use super::path::lies_in;
use super::read::{Key, get};
use crate::world::World;

mod replace;

pub(crate) use replace::holding;

/// How often an object that others write at the same time is read again before we give up.
const ATTEMPTS: usize = 5;

/// A server takes a moment before it serves a kind that was just defined; nobody says when that is over.
const SOON: Duration = Duration::from_millis(50);

/// How often such a kind is tried again.
const ATTEMPTS_AT_A_NEW_KIND: usize = 100;

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
    /// # Errors
    ///
    /// Whatever the server says against it; that something is there.
    pub async fn create(&self, document: &Document) -> Result<Value, DriverError> {
        let body = self.filled(document, &Value::Null).await?;
        let call = Call::apply(&self.kind, &self.key.namespace, &self.key.name, self.manager, Apply::New, &body);
        match self.send(&call).await {
            // A quota that many use at once is a conflict, too.
            Err(error) if error.is_conflict() && self.is_there().await? => {
                let cause = "it was made by someone else after the plan was made";
                Err(self.stale("creating", ApiError::Transport(cause.to_owned())))
            }
            created => created.map_err(|error| self.refused("creating", error)),
        }
    }

    async fn is_there(&self) -> Result<bool, DriverError> {
        let found = get(&self.world.kube, &self.kind, &self.key).await;
        found.map(|found| found.is_some()).map_err(|error| self.refused("reading", error))
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
        let mut seen = step.seen.clone();
        for _ in 0..ATTEMPTS {
            let Observation::Present { live, stamp, .. } = &seen else { break };
            let operations = operations(live, stamp);
            let call = Call::patch(&self.kind, &self.key.namespace, &self.key.name, self.manager, &operations);
            match self.send(&call).await {
                Err(error) if error.is_conflict() => seen = self.same_again(step, &diff).await?,
                result => return result.map_err(|error| self.refused("updating", error)),
            }
        }
        Err(self.stale("updating", ApiError::Transport("others keep writing to it".to_owned())))
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
        let seen = seen(self.world, self.resource, live).await?;
        let was_predicted = matches!(step.seen, Observation::Present { predicted: Some(_), .. });
        let again = Wanted { resource: self.resource, depth: Depth::DryRun, before: Some(&seen) };
        let seen = if was_predicted { predict(self.world, &again, self.manager).await? } else { seen };
        let moved = diff(self.resource, &seen);
        match unforeseen(&step.change, &moved, |value| self.world.concealed(self.resource, value)) {
            None => Ok(seen),
            Some(what) => Err(self.stale("updating", ApiError::Transport(format!("{what} was changed meanwhile")))),
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
        let again = ConstantBuilder::default().with_delay(SOON).with_max_times(ATTEMPTS_AT_A_NEW_KIND);
        let is_new = self.world.discovery.has_learned(&self.kind.gvk);
        let not_yet = |error: &ApiError| is_new && error.is_not_found();
        let object: Value = (|| self.world.kube.send(call)).retry(again).when(not_yet).await?.json()?;
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

/// What of an object is no longer as a plan showed it: a field that is none of the planned ones, or whose value is
/// another one by now. A plan holds values with the secrets in them concealed.
fn unforeseen(planned: &Change, moved: &Change, conceal: impl Fn(&Value) -> Value) -> Option<String> {
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
        return Some("it".to_owned());
    }
    moved.fields.iter().find(|field| !as_planned(field)).map(|field| field.path.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cfrt_engine::driver::{Predicted, Stamp};
    use cfrt_engine::resource::{Address, ResourceId, Trigger};
    use cfrt_engine::task::TaskId;
    use http::{Method, StatusCode};

    use super::*;
    use crate::cache_folder::CacheFolder;
    use crate::drivers::hook::HookRuns;
    use crate::drivers::release::charts::Charts;
    use crate::drivers::release::heartbeat::Heartbeats;
    use crate::helm::binary::Search;
    use crate::kube::client::Kube;
    use crate::kube::difference::difference;
    use crate::kube::discovery::Discovery;
    use crate::kube::lists::Lists;
    use crate::kube::look::present;
    use crate::kube::watch::Watches;
    use crate::vault::Vault;
    use crate::world::{self, Access};

    fn world(kube: Kube) -> World {
        let discovery = Discovery::default();
        let names = json!({"kind": "Widget", "plural": "widgets"});
        let spec = json!({"group": "a.io", "names": names, "scope": "Namespaced", "versions": [{"name": "v1"}]});
        discovery.learn(&json!({ "spec": spec }));
        let vault = Arc::new(Vault::new([7; 32]));
        let nothing = String::new();
        World {
            target: world::Target {
                context: nothing.clone(),
                uid: nothing.clone(),
                version: nothing.clone(),
                authority: nothing,
            },
            kube,
            lists: Lists::default(),
            last_apply: crate::last_apply::LastApply::default(),
            discovery: Arc::new(discovery),
            watches: Watches::default(),
            charts: Charts::new(Search::from_environment(None), std::env::temp_dir(), Arc::clone(&vault)),
            vault,
            shared_key: None,
            hook_runs: HookRuns::default(),
            heartbeats: Heartbeats::default(),
            lease: crate::lease::Lease::default(),
            journal: Arc::default(),
            run: crate::run::Run::default(),
            cache: CacheFolder::Lasting(std::env::temp_dir()),
            access: Access::ReadWrite,
            kube_context: None,
        }
    }

    fn live(uid: &str) -> Value {
        let entry =
            json!({"manager": "helm", "operation": "Update", "apiVersion": "a.io/v1", "fieldsV1": {"f:spec": {}}});
        json!({"apiVersion": "a.io/v1", "kind": "Widget", "spec": {},
            "metadata": {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": "7", "managedFields": [entry]}})
    }

    fn step() -> Step {
        let body = json!({"apiVersion": "a.io/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}});
        let resource = Resource {
            id: ResourceId::whole(Address::new("a.io/v1/Widget", "n", "a")),
            task: TaskId { kind: "chart", name: String::new() },
            driver: "object",
            want: Want::Present(Document { body, ..Document::default() }.into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: Value::Null,
        };
        let stamp = Stamp { uid: "old".to_owned(), revision: "7".to_owned() };
        let seen = Observation::Present { live: Arc::new(live("old")), stamp, predicted: None };
        Step { resource: Arc::new(resource), change: Change::of(Action::Update), seen, settled: false }
    }

    /// How an update fares whose migration the server answers with a code; it reads what is there after that.
    async fn updated(code: StatusCode, there: Option<&str>) -> DriverError {
        let there = there.map(|uid| live(uid).to_string());
        let kube = Kube::refusing(move |request| match (request.method(), &there) {
            (&Method::GET, Some(there)) => (StatusCode::OK, there.clone()),
            (&Method::GET, None) => (StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()),
            (_, _) => (code, r#"{"message": "an error in our request"}"#.to_owned()),
        });
        let (world, step) = (world(kube), step());
        let target = Target::new(&world, &step.resource, "helm").expect("its kind is known");
        let document = step.resource.want.document().expect("it is wanted");
        // Whatever took its place has other fields, so that the plan no longer fits.
        target.update(&step, document, |_, _| Change::of(Action::Refuse)).await.expect_err("it is refused")
    }

    #[tokio::test]
    async fn an_object_that_another_one_took_the_place_of_is_not_as_the_plan_saw_it() {
        let replaced = updated(StatusCode::UNPROCESSABLE_ENTITY, Some("new")).await;
        assert_eq!(
            (replaced.fault, replaced.chain().join(": ")),
            (Fault::Stale, "updating Widget n/a: it was changed meanwhile".to_owned())
        );
        let deleted = updated(StatusCode::NOT_FOUND, None).await;
        assert_eq!(
            (deleted.fault, deleted.chain().join(": ")),
            (Fault::Stale, "updating Widget n/a: it was deleted meanwhile".to_owned())
        );
    }

    #[test]
    fn only_fields_that_are_as_the_plan_showed_them_are_written() {
        let field = |path: &str, before: Option<&str>| {
            let before = before.map(Value::from);
            FieldChange::new(path, before, Some(json!("wanted")))
        };
        let planned = Change::of_fields(vec![field("data.a", Some("one")), field("data.b", Some("hidden"))]);
        let found = |fields: Vec<FieldChange>| {
            let hide = |value: &Value| if value == "password" { json!("hidden") } else { value.clone() };
            unforeseen(&planned, &Change::of_fields(fields), hide)
        };
        assert_eq!(found(vec![field("data.a", Some("one")), field("data.b", Some("password"))]), None);
        assert_eq!(found(vec![]), None, "someone else has done it");
        assert_eq!(found(vec![field("data.a", Some("two"))]).as_deref(), Some("data.a"));
        assert_eq!(found(vec![field("data.a", None)]).as_deref(), Some("data.a"));
        assert_eq!(found(vec![field("data.c", Some("one"))]).as_deref(), Some("data.c"));
        assert_eq!(found(vec![field("data.a.deeper", Some("two"))]), None, "places that aren't the same say nothing");
    }

    #[tokio::test]
    async fn a_prediction_is_about_the_object_that_was_seen_and_not_about_what_others_did_meanwhile() {
        let object = |revision: &str, by_others: Value, by_us: Value| {
            json!({"apiVersion": "a.io/v1", "kind": "Widget", "spec": by_us,
                "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": revision, "labels": by_others}})
        };
        let (moved, ours) = (json!({"moved": "by others"}), json!({"size": 1}));
        let (now, answer) = (object("8", moved.clone(), json!({})), object("8", moved, ours));
        let kube = Kube::refusing(move |request| match *request.method() {
            Method::GET => (StatusCode::OK, now.to_string()),
            _ => (StatusCode::OK, answer.to_string()),
        });
        let (world, step) = (world(kube), step());
        let before = present(&world.vault, &step.resource, object("7", json!({}), json!({})));
        let wanted = Wanted { resource: &step.resource, depth: Depth::DryRun, before: Some(&before) };
        let seen = predict(&world, &wanted, "helm").await.expect("it is answered");
        let Observation::Present { live, stamp, predicted: Some(Predicted::Live(predicted)) } = seen else {
            panic!("it is there, and predicted: {seen:?}")
        };
        assert_eq!(stamp.revision, "8");
        let moves: Vec<String> = difference(&live, &predicted).into_iter().map(|field| field.path).collect();
        assert_eq!(moves, ["spec.size"]);
    }

    /// How a creation fares that the server calls a conflict, where something is there or not.
    async fn created(there: Option<&str>) -> (Fault, String) {
        let there = there.map(|uid| live(uid).to_string());
        let kube = Kube::refusing(move |request| match (request.method(), &there) {
            (&Method::GET, Some(there)) => (StatusCode::OK, there.clone()),
            (&Method::GET, None) => (StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()),
            (_, _) => (StatusCode::CONFLICT, r#"{"message": "many use the quota"}"#.to_owned()),
        });
        let (world, step) = (world(kube), step());
        let target = Target::new(&world, &step.resource, "helm").expect("its kind is known");
        let document = step.resource.want.document().expect("it is wanted");
        let error = target.create(document).await.expect_err("it is refused");
        (error.fault, error.chain().join(": "))
    }

    #[tokio::test]
    async fn a_creation_that_meets_an_object_is_stale_and_another_conflict_is_not() {
        let met = "creating Widget n/a: it was made by someone else after the plan was made";
        assert_eq!(created(Some("new")).await, (Fault::Stale, met.to_owned()));
        let conflict = "creating Widget n/a: many use the quota";
        assert_eq!(created(None).await, (Fault::World, conflict.to_owned()));
    }

    #[tokio::test]
    async fn whatever_else_a_server_refuses_is_told_in_its_words() {
        let refused = updated(StatusCode::UNPROCESSABLE_ENTITY, Some("old")).await;
        assert_eq!(
            (refused.fault, refused.chain().join(": ")),
            (Fault::World, "updating Widget n/a: an error in our request".to_owned())
        );
        assert_eq!(updated(StatusCode::FORBIDDEN, Some("old")).await.fault, Fault::Forbidden);
    }
}
