//! A revision that this run has open, on a real API server: touched while we are at work, left alone once it isn't ours.

use std::path::Path;
use std::time::Duration;

use cfrt_engine::change::Action;
use cfrt_engine::compile::{compile, expand, survey};
use cfrt_engine::desired::parse;
use cfrt_engine::driver::{Driver as _, Ending, Fault};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::observe::observe;
use cfrt_engine::plan::{Step, plan};
use cfrt_engine::source::Sources;
use cfrt_providers::KINDS;
use cfrt_providers::drivers::release::Release;
use cfrt_providers::drivers::release::heartbeat::Heartbeats;
use cfrt_providers::drivers::release::history::{Opened, ReleaseName, close, open, read, touch};
use cfrt_providers::helm::record::Status;
use cfrt_providers::kube::call::Call;
use cfrt_providers::kube::client::Kube;
use cfrt_providers::kube::gvk::{Gvk, Resolved};
use cfrt_providers::world::{Access, Surroundings, World};
use kube::Config;
use serde_json::{Value, json};

fn kind(kind: &str, plural: &str, namespaced: bool) -> Resolved {
    Resolved { gvk: Gvk::new("v1", kind), plural: plural.to_owned(), namespaced }
}

/// A release of its own, in a namespace of its own.
struct Scene {
    kube: Kube,
    release: ReleaseName,
}

impl Scene {
    async fn new(test: &str) -> Self {
        let config = Config::infer().await.expect("there is a kubeconfig");
        let kube = Kube::new(&config, Access::ReadWrite).expect("it can be used");
        let name = format!("{test}-{}", std::process::id());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let made = kube.send(&Call::create(&kind("Namespace", "namespaces", false), "", &namespace)).await;
        assert!(made.is_ok(), "{made:?}");
        Self { kube, release: ReleaseName { namespace: name.clone(), name } }
    }

    /// Opens a first revision.
    async fn open(&self) -> Opened {
        let ReleaseName { namespace, name } = &self.release;
        let record = json!({
            "name": name, "namespace": namespace, "version": 1, "manifest": "",
            "info": {"status": "pending-install", "description": ""},
        });
        open(&self.kube, &self.release, &record, &[], "run").await.expect("no one else has opened it")
    }

    async fn touch(&self, opened: &Opened) -> bool {
        touch(&self.kube, &self.release, opened).await
    }

    async fn age(&self) -> i64 {
        let records = read(&self.kube, &self.release).await.expect("records can be read");
        records.unpack().expect("they are records").age
    }

    fn path(&self) -> String {
        let ReleaseName { namespace, name } = &self.release;
        kind("Secret", "secrets", true).path(namespace, &format!("sh.helm.release.v1.{name}.v1"))
    }

    async fn labels(&self) -> Value {
        let secret = self.kube.send(&Call::get(self.path())).await.expect("it is there");
        secret.json::<Value>().expect("it is JSON")["metadata"]["labels"].clone()
    }

    async fn label(&self, name: &str, value: &str) {
        let operations = json!([{"op": "add", "path": format!("/metadata/labels/{name}"), "value": value}]);
        let (ReleaseName { namespace, name }, secrets) = (&self.release, kind("Secret", "secrets", true));
        let record = format!("sh.helm.release.v1.{name}.v1");
        let patched = self.kube.send(&Call::patch(&secrets, namespace, &record, "someone", &operations)).await;
        assert!(patched.is_ok(), "{patched:?}");
    }

    async fn delete(&self) {
        let (ReleaseName { namespace, name }, secrets) = (&self.release, kind("Secret", "secrets", true));
        let record = format!("sh.helm.release.v1.{name}.v1");
        let deleted = self.kube.send(&Call::delete(&secrets, namespace, &record, None)).await;
        assert!(deleted.is_ok(), "{deleted:?}");
    }
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_touched_record_is_young_again() {
    let scene = Scene::new("touched").await;
    let opened = scene.open().await;
    assert!(scene.age().await < 60, "a new one is young");
    scene.label("modifiedAt", "1000000000").await;
    assert!(scene.age().await > 600);
    assert!(scene.touch(&opened).await);
    assert!((-1..60).contains(&scene.age().await));
    assert_eq!(scene.labels().await["status"], "pending-install");
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_record_that_is_no_longer_ours_is_left_alone() {
    let scene = Scene::new("taken").await;
    let opened = scene.open().await;
    scene.label("status", "failed").await;
    let before = scene.labels().await;
    assert!(!scene.touch(&opened).await, "someone else has given it up");
    assert_eq!(scene.labels().await, before);
    scene.delete().await;
    assert!(!scene.touch(&opened).await, "it is gone");
    let other = scene.open().await;
    let before = scene.labels().await;
    assert!(!scene.touch(&opened).await, "it is another one of the same name");
    assert_eq!(scene.labels().await, before);
    let closed = close(&scene.kube, &scene.release, &opened, Status::Deployed, |record| record).await;
    assert_eq!(closed.expect_err("it is another one").fault, Fault::Stale);
    assert!(close(&scene.kube, &scene.release, &other, Status::Failed, |record| record).await.is_ok());
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_touch_that_does_not_arrive_is_tried_again() {
    let scene = Scene::new("unreachable").await;
    let opened = scene.open().await;
    let nowhere = Config::new("http://127.0.0.1:1".parse().expect("it is an address"));
    let nowhere = Kube::new(&nowhere, Access::ReadWrite).expect("it needs nothing");
    assert!(touch(&nowhere, &scene.release, &opened).await);
}

/// The world, and the step that opens a first revision of the small chart.
async fn planned(folder: &Path, scene: &Scene) -> (World, Step) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/charts/small");
    let ReleaseName { namespace, name } = &scene.release;
    let text = format!(
        "schema = 1\n[runtime]\nname = \"a\"\nnamespace = \"{namespace}\"\nrelease = \"{name}\"\n\
         [chart]\nsource = {}\nversion = \"0.1.0\"\n",
        Value::from(chart.to_string_lossy())
    );
    let mut sources = Sources::default();
    sources.push("desired.toml", text);
    let tasks = parse(&sources).and_then(|desired| compile(&desired, &KINDS)).expect("it is right");
    let helm = std::env::var_os("CFRT_HELM4").expect("the variable names a helm");
    let around = Surroundings { helm: Some(helm.into()), cache: Some(folder.join("cache")), ..Surroundings::default() };
    let world = World::connect(&tasks.facts, Access::ReadWrite, around).await.expect("the cluster is there");
    let drivers = cfrt_providers::drivers();
    let answers = survey(&tasks, &drivers, &world).await.expect("the chart can be rendered");
    let graph = ResourceGraph::new(expand(&tasks, &answers).expect("it is right")).expect("it is sound");
    let seen = observe(&graph, &drivers, &world).await.expect("it can be looked at");
    let plan = plan(graph, seen, &drivers);
    let step = plan.steps.into_iter().find(|step| step.resource.driver == "release").expect("there is a release");
    assert_eq!(step.change.action, Action::Create);
    (world, step)
}

#[tokio::test]
#[ignore = "needs a control plane and helm"]
async fn an_open_revision_is_touched_until_it_is_closed() {
    let (scene, folder) = (Scene::new("beating").await, tempfile::tempdir().expect("a temporary folder"));
    let (mut world, step) = planned(folder.path(), &scene).await;
    let early = Release.apply(&world, &step).await.expect_err("no one has agreed yet");
    assert!(early.chain().iter().any(|cause| cause.contains("planning only reads")), "{:?}", early.chain());
    world.begin_writing();
    world.heartbeats = Heartbeats::every(Duration::from_millis(10));
    let applied = Release.apply(&world, &step).await.expect("it can be opened");
    let touched = async { while scene.labels().await["modifiedAt"].is_null() {} };
    tokio::time::timeout(Duration::from_secs(60), touched).await.expect("it is touched");
    assert_eq!(scene.labels().await["status"], "pending-install");
    let beats = |world: &World| format!("{:?}", world.heartbeats).contains("sh.helm.release.v1.");
    assert!(beats(&world));
    Release.close(&world, &step, &applied, Ending::Settled).await.expect("no touch comes in between");
    assert!(!beats(&world), "it was stopped, and not only left to find out that the record is closed");
    assert_eq!(scene.labels().await["status"], "deployed");
}
