//! A world that is a map: a case's objects, records and secrets, and what its API server and controllers do with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use cfrt_engine::driver::{Discreet, DriverError, Fault, Stamp};
use cfrt_engine::resource::{Address, Resource};
use cfrt_providers::helm::manifest::Manifest;
use cfrt_providers::helm::record::{RecordedHook, Revision, Status};
use cfrt_providers::kube::discovery::Discovery;
use cfrt_providers::kube::gvk::{Gvk, address};
use cfrt_providers::kube::look::to_send;
use cfrt_providers::vault::Vault;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server;

/// The kinds that every API server knows, as far as cases use them: group, version, kind, scope.
const BUILT_IN: [(&str, &str, &str, &str); 9] = [
    ("", "v1", "Namespace", "Cluster"),
    ("", "v1", "ConfigMap", "Namespaced"),
    ("", "v1", "Secret", "Namespaced"),
    ("", "v1", "ServiceAccount", "Namespaced"),
    ("apps", "v1", "Deployment", "Namespaced"),
    ("batch", "v1", "Job", "Namespaced"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "Cluster"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "Namespaced"),
    ("networking.k8s.io", "v1", "IngressClass", "Cluster"),
];

/// `world.json`; objects are named as people say it: `Job demo/migrate`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    /// The live objects. An entry of `managedFields` without fields owns all that its object says.
    objects: Vec<Value>,
    /// The release's revisions, oldest first.
    records: Vec<Record>,
    /// Environment variables.
    environment: BTreeMap<String, String>,
    /// Objects that the API server doesn't take, and its words.
    refuses: BTreeMap<String, String>,
    /// The status that an object comes to, where that isn't the one of success.
    becomes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    revision: u32,
    status: String,
    /// The file with what it rendered to.
    rendering: String,
    values: Value,
    /// How many seconds ago it was written; long ago where nothing is said.
    age: Option<i64>,
}

pub(crate) struct MapWorld {
    pub(crate) folder: PathBuf,
    pub(crate) vault: Vault,
    pub(crate) discovery: Discovery,
    pub(crate) environment: BTreeMap<String, String>,
    refuses: BTreeMap<String, String>,
    becomes: BTreeMap<String, Value>,
    state: Mutex<State>,
}

impl Discreet for MapWorld {}

#[derive(Default)]
pub(crate) struct State {
    /// By [`identity`], with the address under which each was written last.
    objects: BTreeMap<String, (Address, Value)>,
    pub(crate) records: Vec<Revision>,
    /// How many seconds ago the newest record was written.
    pub(crate) age: i64,
    writes: u64,
}

impl MapWorld {
    /// The world of a case; an empty one where the case says nothing.
    pub(crate) fn of(folder: &Path) -> Self {
        let given = fs::read_to_string(folder.join("world.json")).unwrap_or_else(|_| "{}".to_owned());
        let given: Given = serde_json::from_str(&given).expect("world.json is what `Given` says");
        let discovery = Discovery::default();
        for (group, version, kind, scope) in BUILT_IN {
            let names = json!({"kind": kind, "plural": format!("{}s", kind.to_lowercase())});
            let spec = json!({"group": group, "names": names, "scope": scope, "versions": [{"name": version}]});
            discovery.learn(&json!({ "spec": spec }));
        }
        given.objects.iter().for_each(|object| discovery.learn(object));
        let Given { objects, records, environment, refuses, becomes } = given;
        let age = records.last().and_then(|record| record.age).unwrap_or(i64::MAX);
        let (folder, vault, state) = (folder.to_owned(), Vault::new([7; 32]), Mutex::default());
        let world = Self { folder, vault, discovery, environment, refuses, becomes, state };
        let records = records.into_iter().map(|record| world.revision(record)).collect();
        *world.state() = State { records, age, ..State::default() };
        objects.into_iter().for_each(|object| world.put(&world.place(&object), server::completed(object)));
        world
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the world")
    }

    /// What a file of the case renders to; nothing where the case has no such file.
    pub(crate) fn rendered(&self, name: &str) -> Option<Manifest> {
        let text = fs::read_to_string(self.folder.join(name)).ok()?;
        Some(Manifest::parse(&text).expect(name))
    }

    fn revision(&self, record: Record) -> Revision {
        let rendered = self.rendered(&record.rendering).expect("a record names a file of its case");
        Revision {
            name: "demo".to_owned(),
            namespace: "demo".to_owned(),
            revision: record.revision,
            status: Status::parse(&record.status),
            first_deployed: None,
            last_deployed: None,
            description: String::new(),
            chart_name: "shop".to_owned(),
            chart_version: "1.0.0".to_owned(),
            config: record.values,
            hooks: recorded_hooks(&rendered),
            manifest: rendered.text.into(),
            apply_method: None,
        }
    }

    fn place(&self, object: &Value) -> Address {
        let kind = Gvk::of(object).and_then(|gvk| self.discovery.resolve(&gvk));
        let namespaced = kind.expect("the world knows the kinds of its objects").namespaced;
        address(object, namespaced, "").expect("an object of a case has a name")
    }

    /// An object as it is.
    pub(crate) fn live(&self, address: &Address) -> Option<Value> {
        self.state().objects.get(&identity(address)).map(|(_, object)| object.clone())
    }

    /// What an object is once a document is applied to it, as it is now.
    pub(crate) fn foreseen(&self, resource: &Resource, manager: &str) -> Result<Value, DriverError> {
        let short = resource.id.address.short().to_string();
        if let Some(why) = self.refuses.get(&short) {
            return Err(DriverError::new(format!("writing {short}"), why.as_str()));
        }
        let live = self.live(&resource.id.address).unwrap_or_default();
        let document = resource.want.document().expect("what is applied is wanted");
        let body = to_send(&self.vault, document, &live, manager).expect("its secrets were read in this run");
        Ok(server::applied(&live, &body, manager))
    }

    /// Applies a resource's document; the object must still be the one that was seen. It may have been adopted since.
    pub(crate) fn apply(&self, resource: &Resource, manager: &str, seen: Option<&Stamp>) -> Result<(), DriverError> {
        let address = &resource.id.address;
        let uid = |live: Value| live["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if self.live(address).map(uid).as_ref() != seen.map(|stamp| &stamp.uid) {
            let error = DriverError::new(format!("writing {}", address.short()), "it is not as the plan saw it");
            return Err(error.fault(Fault::Stale));
        }
        let object = self.foreseen(resource, manager)?;
        self.discovery.learn(&object);
        self.put(address, object);
        Ok(())
    }

    pub(crate) fn remove(&self, address: &Address) {
        self.state().objects.remove(&identity(address));
    }

    /// Lets the controllers do their work on an object, and gives what it is then.
    pub(crate) fn finish(&self, address: &Address) -> Option<Value> {
        let mut object = self.live(address)?;
        let status = self.becomes.get(&address.short().to_string()).cloned().or_else(|| server::success(&object));
        if let Some(status) = status.filter(|status| *status != object["status"]) {
            object["status"] = status;
            self.put(address, object.clone());
        }
        Some(object)
    }

    fn put(&self, address: &Address, mut object: Value) {
        let mut state = self.state();
        state.writes += 1;
        let now = state.writes.to_string();
        let metadata = &mut object["metadata"];
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(now);
        }
        metadata["resourceVersion"] = json!(now);
        state.objects.insert(identity(address), (address.clone(), object));
    }

    /// Everything there is, by name: objects without the server's bookkeeping, and what the records say.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, Value> {
        let state = self.state();
        let shown = |(address, object): &(Address, Value)| (address.to_string(), server::without_bookkeeping(object));
        let objects = state.objects.values().map(shown);
        let records = state.records.iter().map(|record| {
            let said = json!({"status": record.status.word(), "description": record.description});
            (format!("Release {}/{} revision {}", record.namespace, record.name, record.revision), said)
        });
        objects.chain(records).collect()
    }
}

/// What all versions of one object have in common.
fn identity(address: &Address) -> String {
    let Gvk { group, kind, .. } = Gvk::of_address(address);
    Address::new(format!("{group}/{kind}"), &address.scope, &address.name).to_string()
}

/// The hooks of a rendering as a record keeps them.
pub(crate) fn recorded_hooks(rendered: &Manifest) -> Vec<RecordedHook> {
    let hooks = rendered.hooks.iter();
    hooks.map(|hook| RecordedHook { facts: hook.facts.clone(), manifest: hook.text.clone().into() }).collect()
}
