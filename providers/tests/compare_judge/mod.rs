//! A cluster that judges comparisons: it applies documents, lets them and the live objects change, and asks for dry runs.

mod change;
mod random;
mod tally;

use cfrt_engine::resource::Document;
use cfrt_providers::kube::call::{Apply, Call};
use cfrt_providers::kube::client::{ApiError, Kube};
use cfrt_providers::kube::compare::compare;
use cfrt_providers::kube::difference::difference;
use cfrt_providers::kube::discovery::Discovery;
use cfrt_providers::kube::fields::migration_patch;
use cfrt_providers::kube::gvk::{Gvk, Resolved};
use cfrt_providers::kube::normalise::{normalised, owned_by_release};
use cfrt_providers::world::Access;
use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use change::{alter, content, places, replacement};
pub(crate) use random::Random;
pub(crate) use tally::{Effect, Tally, Verdict};

/// More only queue at the server.
const AT_ONCE: usize = 8;

/// A document and where it goes.
pub(crate) struct Object {
    pub(crate) kind: Resolved,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) document: Document,
}

impl Object {
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.kind.gvk.kind, self.name)
    }

    /// Large definitions cost the server half a second for each dry run; ours is small.
    fn is_costly(&self) -> bool {
        self.kind.gvk.is_crd() && !self.name.contains("compare")
    }
}

/// The server, and a namespace of it for one test.
pub(crate) struct Cluster {
    kube: Kube,
    discovery: Discovery,
    pub(crate) namespace: String,
}

impl Cluster {
    pub(crate) async fn new(test: &str) -> Self {
        let config = kube::Config::infer().await.expect("KUBECONFIG names a cluster");
        let kube = Kube::new(&config, Access::ReadWrite).expect("a client can be made");
        let discovery = Discovery::ask(&kube).await.expect("the server answers");
        // A run that failed leaves its namespace behind.
        let namespace = format!("{test}-{}", std::process::id());
        let cluster = Self { kube, discovery, namespace };
        let object =
            cluster.object(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}));
        let object = object.expect("namespaces are known");
        cluster
            .answer(&cluster.apply(&object, Apply::Forced, &object.document))
            .await
            .expect("the namespace can be made");
        cluster
    }

    /// Makes a rendered document ready for this cluster; `None` for kinds that the server doesn't know.
    pub(crate) fn object(&self, rendered: Value) -> Option<Object> {
        let kind = self.discovery.resolve(&Gvk::of(&rendered)?)?;
        let mut body = owned_by_release(normalised(rendered), "release", &self.namespace);
        let mut namespace = String::new();
        if kind.namespaced {
            namespace = body["metadata"]["namespace"].as_str().unwrap_or(&self.namespace).to_owned();
            body["metadata"]["namespace"] = json!(namespace);
        }
        let name = body["metadata"]["name"].as_str()?.to_owned();
        Some(Object { kind, namespace, name, document: Document { body, ..Document::default() } })
    }

    /// Applies what can be applied: definitions first, then all else. Gives it, and how much was left out.
    pub(crate) async fn install(&self, documents: Vec<Value>) -> (Vec<Object>, usize) {
        let all = documents.len();
        let is_crd = |document: &Value| document["kind"] == "CustomResourceDefinition";
        let (definitions, rest): (Vec<_>, Vec<_>) = documents.into_iter().partition(is_crd);
        let api = kube::Api::<CustomResourceDefinition>::all(self.kube.client().clone());
        let mut objects = self.apply_absent(definitions).await;
        for definition in &objects {
            self.discovery.learn(&definition.document.body);
            let established = await_condition(api.clone(), &definition.name, conditions::is_crd_established());
            established.await.expect("a definition is established");
        }
        objects.extend(self.apply_absent(rest).await);
        let left_out = all - objects.len();
        (objects, left_out)
    }

    /// Applies the documents whose objects are not there yet: another test may be at work with cluster-wide ones.
    async fn apply_absent(&self, documents: Vec<Value>) -> Vec<Object> {
        let objects = documents.into_iter().filter_map(|document| self.object(document));
        let applied = futures::stream::iter(objects).map(async |object| {
            if self.get(&object).await.is_some() {
                return None;
            }
            let applied = self.answer(&self.apply(&object, Apply::Forced, &object.document)).await;
            applied.inspect_err(|error| eprintln!("{}: {error}", object.title())).ok().map(|_| object)
        });
        applied.buffered(AT_ONCE).filter_map(async |object| object).collect().await
    }

    /// Compares every object with its own document.
    pub(crate) async fn unchanged(&self, objects: &[Object]) -> Tally {
        let seen = self.seen(objects.iter()).await;
        let verdicts = futures::stream::iter(&seen)
            .map(async |(object, live)| (object.title(), self.verdict(object, &object.document, live).await));
        verdicts.buffer_unordered(AT_ONCE).collect().await
    }

    /// Compares live objects with documents that differ at one place.
    pub(crate) async fn mutated(&self, objects: &[Object], count: usize, random: &Random) -> Tally {
        let seen = self.seen(objects.iter().filter(|object| !object.is_costly())).await;
        let mut cases = Vec::new();
        for (object, live) in &seen {
            for place in places(&object.document.body) {
                cases.extend(["drop", "null", "zero", "change"].map(|how| (object, live, place.clone(), how)));
            }
        }
        let chosen = random.chosen(cases, count);
        let verdicts = futures::stream::iter(chosen).map(async |(object, live, place, how)| {
            let mut document = object.document.clone();
            if !alter(&mut document.body, &place, how) {
                return None;
            }
            Some((format!("{}: {how} {place}", object.title()), self.verdict(object, &document, live).await))
        });
        verdicts.buffer_unordered(AT_ONCE).filter_map(async |verdict| verdict).collect().await
    }

    /// Reads the objects as they are now.
    async fn seen<'a>(&self, objects: impl Iterator<Item = &'a Object>) -> Vec<(&'a Object, Value)> {
        let reads = futures::stream::iter(objects)
            .map(async |object| (object, self.get(object).await.expect("what was applied is there")));
        reads.buffered(AT_ONCE).collect().await
    }

    /// Lets another manager edit live objects at one place at a time, and puts them back.
    pub(crate) async fn edited(&self, objects: &[Object], count: usize, seed: u64) -> Tally {
        let seeded = objects.iter().zip(seed..).filter(|(object, _)| !object.is_costly());
        let of_one = futures::stream::iter(seeded)
            .map(async |(object, seed)| self.edited_one(object, count, &Random::new(seed)).await);
        of_one.buffer_unordered(AT_ONCE).flat_map(futures::stream::iter).collect().await
    }

    async fn edited_one(&self, object: &Object, count: usize, random: &Random) -> Vec<(String, Verdict)> {
        let mut verdicts = Vec::new();
        let live = self.get(object).await.expect("what was applied is there");
        let hows = ["drop", "zero", "change", "add"];
        let cases = places(&content(&live)).into_iter().flat_map(|place| hows.map(|how| (place.clone(), how)));
        for (place, how) in random.chosen(cases.collect(), count) {
            let before = self.get(object).await.expect("what was applied is there");
            let mut after = content(&before);
            if !alter(&mut after, &place, how) {
                continue;
            }
            let edit = replacement(&content(&before), &after);
            let Ok(edited) = self.patch(object, "editor", &edit).await else { continue };
            if content(&edited) != content(&before) {
                let verdict = self.verdict(object, &object.document, &edited).await;
                verdicts.push((format!("{}: {how} {place}", object.title()), verdict));
            }
            if self.put_back(object, &edited, &before).await.is_err() {
                break;
            }
        }
        verdicts
    }

    /// Puts the content back, and then the owners, which a change of content moves.
    async fn put_back(&self, object: &Object, edited: &Value, before: &Value) -> Result<(), ApiError> {
        self.patch(object, "editor", &replacement(&content(edited), &content(before))).await?;
        let owners = &before["metadata"]["managedFields"];
        let operations = json!([{"op": "replace", "path": "/metadata/managedFields", "value": owners}]);
        self.patch(object, "editor", &operations).await?;
        Ok(())
    }

    /// Asks both judges whether applying a document would change the object, last seen as `live`.
    ///
    /// Controllers write too: the judges disagree only when they do so about a fresh state as well.
    async fn verdict(&self, object: &Object, document: &Document, live: &Value) -> Verdict {
        let first = self.verdict_on(object, document, live).await;
        if first.is_agreed() {
            return first;
        }
        let fresh = self.get(object).await.expect("what was applied is there");
        self.verdict_on(object, document, &fresh).await
    }

    async fn verdict_on(&self, object: &Object, document: &Document, live: &Value) -> Verdict {
        let compared = compare(document, live, "helm");
        let effect = match self.answer(&self.apply(object, Apply::DryRun, document)).await {
            Err(_) => Effect::Refused,
            Ok(answer) => {
                let changed = content(&answer) != content(live);
                assert_eq!(!difference(live, &answer).is_empty(), changed, "{}", object.title());
                if changed { Effect::Changed } else { Effect::Nothing }
            }
        };
        Verdict { flagged: compared.fields.into_iter().map(|change| change.path).collect(), effect }
    }

    async fn get(&self, object: &Object) -> Option<Value> {
        let answer = self.answer(&Call::get(object.kind.path(&object.namespace, &object.name))).await;
        if answer.as_ref().is_err_and(ApiError::is_not_found) {
            return None;
        }
        Some(answer.expect("objects can be read"))
    }

    fn apply(&self, object: &Object, how: Apply, document: &Document) -> Call {
        Call::apply(&object.kind, &object.namespace, &object.name, "helm", how, &document.body)
    }

    /// Turns a manager's ordinary writes into applied fields; again where a controller has written in between.
    pub(crate) async fn migrate(&self, object: &Object, manager: &str) -> Value {
        loop {
            let live = self.get(object).await.expect("what was made is there");
            let patch = migration_patch(&live, manager).expect("it needs migration");
            let answer = self.patch(object, manager, &patch).await;
            if !answer.as_ref().is_err_and(ApiError::is_conflict) {
                return answer.expect("the patch is accepted");
            }
        }
    }

    pub(crate) async fn patch(&self, object: &Object, manager: &str, operations: &Value) -> Result<Value, ApiError> {
        self.answer(&Call::patch(&object.kind, &object.namespace, &object.name, manager, operations)).await
    }

    pub(crate) async fn answer(&self, call: &Call) -> Result<Value, ApiError> {
        self.kube.send(call).await?.json()
    }

    /// Deletes what the test made.
    pub(crate) async fn clean(&self, objects: &[Object]) {
        let elsewhere = objects.iter().filter(|object| object.namespace != self.namespace);
        for object in elsewhere {
            let call = Call::delete(&object.kind, &object.namespace, &object.name, None);
            if let Err(error) = self.answer(&call).await {
                eprintln!("{}: {error}", object.title());
            }
        }
        let namespaces = self.discovery.resolve(&Gvk::new("v1", "Namespace")).expect("namespaces are known");
        let call = Call::delete(&namespaces, "", &self.namespace, None);
        self.answer(&call).await.expect("the namespace can be deleted");
    }
}
