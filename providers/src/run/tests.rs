//! Runs on a server that keeps no objects: what is sent before what, and what is renewed while something hangs.

use std::time::Duration;

use cfrt_engine::change::Change;
use cfrt_engine::driver::Observation;
use cfrt_engine::event::{Event, Outcome};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Address, Document, ResourceId, Trigger, Want};
use cfrt_engine::task::TaskId;
use http::{Method, Request, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;
use crate::kube::client::Kube;
use crate::lease::Lease;

/// What was written, and when.
type Log = Arc<Mutex<Vec<(String, Instant)>>>;

/// A world whose server does as it is asked, but that it answers to a write of a ConfigMap by `journal` as it says.
fn world(journal: impl Fn(&Method) -> (Duration, StatusCode) + Copy + Send + Sync + 'static) -> (World, Log) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let kube = Kube::answering(move |request: Request<Body>| {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let about_journal = path.contains("/configmaps") && method != Method::GET;
        let (pause, code) = if about_journal { journal(&method) } else { (Duration::ZERO, StatusCode::OK) };
        if method != Method::GET {
            let what = path.rsplit('/').find(|part| ["leases", "configmaps"].contains(part)).unwrap_or_default();
            lock(&kept).push((format!("{method} {what}"), Instant::now()));
        }
        async move {
            sleep(pause).await;
            let denied = "x is forbidden: User \"a\" cannot get path \"/x\"";
            let message = if code == StatusCode::FORBIDDEN { denied } else { "no" };
            (code, json!({"metadata": {"uid": "u", "resourceVersion": "1"}, "message": message}).to_string())
        }
    });
    let release = ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() };
    let lease = Lease::of(&release).expect("there is a random source");
    (World { lease, run: Run::on(release), ..World::played(kube) }, log)
}

fn resource(kind: &str, name: &str) -> Resource {
    Resource {
        id: ResourceId::whole(Address::new(kind, "", name)),
        task: TaskId { kind: "chart", name: String::new() },
        driver: "object",
        want: Want::Present(Document::default().into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    }
}

fn namespace() -> Resource {
    resource("v1/Namespace", "n")
}

/// A plan that does this to the namespace of the lease.
fn plan(action: Action) -> Plan {
    let (resource, seen) = (Arc::new(namespace()), Observation::Absent);
    let step = Step { resource, change: Change::of(action), seen, settled: false };
    Plan { graph: ResourceGraph::new(Vec::new()).expect("it is sound"), steps: vec![step] }
}

async fn begin(world: &World, action: Action) -> Result<(), Fault> {
    world.begin_run(&plan(action), Opening::default(), &|_| {}).await.map_err(|error| error.fault)
}

fn told(log: &Log) -> Vec<String> {
    lock(log).iter().map(|(what, _)| what.clone()).collect()
}

/// The longest time between two writes of the lease.
fn longest_pause(log: &Log) -> Duration {
    let leases: Vec<Instant> =
        lock(log).iter().filter(|(what, _)| what.ends_with("leases")).map(|(_, at)| *at).collect();
    leases.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_in_time_while_its_journal_hangs_in_the_beginning_or_later() {
    for slow in [&Method::POST, &Method::PATCH] {
        let (world, log) = world(move |method| {
            (if method == slow { Duration::from_secs(55) } else { Duration::ZERO }, StatusCode::OK)
        });
        begin(&world, Action::Keep).await.expect("nobody else is at work");
        let resource = ResourceId::whole(Address::new("v1/ConfigMap", "n", "a"));
        let task = TaskId { kind: "chart", name: String::new() };
        world.journal.take(&Event::Finished { resource, task, action: Action::Create, outcome: Outcome::Done });
        sleep(Duration::from_secs(100)).await;
        assert_eq!(world.end_run(&End { outcome: "done", exit: 0 }).await, Vec::<String>::new());
        assert!(longest_pause(&log) < Duration::from_secs(13), "{slow}: {:?} {:?}", longest_pause(&log), told(&log));
        let told = told(&log);
        assert!(told.iter().filter(|what| *what == "PATCH leases").count() > 7, "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("DELETE leases"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_noted_is_sent_beside_the_renewals_and_no_more_often() {
    let (world, log) = world(|_| (Duration::ZERO, StatusCode::OK));
    begin(&world, Action::Keep).await.expect("nobody else is at work");
    for number in 0..20 {
        let resource = ResourceId::whole(Address::new("v1/ConfigMap", "n", number.to_string()));
        let task = TaskId { kind: "chart", name: String::new() };
        world.journal.take(&Event::Finished { resource, task, action: Action::Create, outcome: Outcome::Done });
        sleep(Duration::from_secs(2)).await;
    }
    let sent = told(&log).iter().filter(|what| *what == "PATCH configmaps").count();
    assert!((3..=4).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn where_the_journal_is_refused_nothing_is_written_and_the_lease_is_given_back() {
    let (world, log) = world(|_| (Duration::ZERO, StatusCode::FORBIDDEN));
    assert_eq!(begin(&world, Action::Keep).await, Err(Fault::Forbidden));
    assert_eq!(told(&log), ["POST leases", "POST configmaps", "DELETE leases"]);
    let write = async { unreachable!("it is not begun") };
    let refused = world.in_turn::<()>(&resource("v1/ConfigMap", "a"), write).await.expect_err("there is no journal");
    assert_eq!(refused.fault, Fault::Forbidden);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(told(&log).len(), 3, "and it is not renewed");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_namespace_that_can_not_be_made_fails_as_that_does() {
    let (world, log) = world(|_| (Duration::ZERO, StatusCode::OK));
    begin(&world, Action::Create).await.expect("it waits for its namespace");
    let (namespace, other) = (namespace(), resource("v1/ConfigMap", "a"));
    let fails = async { Err(DriverError::new("creating Namespace n", "no").fault(Fault::Forbidden)) };
    let waits = world.in_turn::<()>(&other, async { unreachable!("it is not begun") });
    let (waited, failed) = futures::join!(waits, world.in_turn::<()>(&namespace, fails));
    let (waited, failed) = (waited.expect_err("there is no lease"), failed.expect_err("it could not be made"));
    assert_eq!((waited.fault, failed.fault), (Fault::Forbidden, Fault::Forbidden));
    assert_eq!(waited.chain().join(": "), "writing under the lease: creating Namespace n: no");
    assert_eq!(told(&log), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_creation_of_its_namespace_comes_before_the_lease_and_the_journal() {
    let (creating, log) = world(|_| (Duration::ZERO, StatusCode::OK));
    begin(&creating, Action::Create).await.expect("it waits for its namespace");
    assert_eq!(told(&log), Vec::<String>::new());
    let (namespace, other) = (namespace(), resource("v1/ConfigMap", "a"));
    let write = async { Ok(told(&log)) };
    let (waited, made) =
        futures::join!(creating.in_turn(&other, write), creating.in_turn(&namespace, async { Ok(()) }));
    let before = waited.expect("the lease is ours");
    assert!(made.is_ok() && before == ["POST leases", "POST configmaps"], "{before:?}");
    for action in [Action::Update, Action::Migrate, Action::Replace] {
        let (updating, log) = world(|_| (Duration::ZERO, StatusCode::OK));
        begin(&updating, action).await.expect("nobody else is at work");
        assert_eq!(told(&log), ["POST leases", "POST configmaps"], "{action:?}");
    }
}
