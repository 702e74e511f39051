//! What is looked at and asked for around an object that isn't ready, on a server that is played.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cfrt_engine::resource::{Address, Document, ResourceId, Trigger, Want};
use cfrt_engine::task::TaskId;
use http::{Request, StatusCode};
use kube::client::Body;

use super::*;
use crate::kube::client::Kube;
use crate::kube::settle::settled;

/// What a server knows of a Job's pods, and what it was asked.
#[derive(Debug, Default)]
struct Server {
    pods: Vec<Value>,
    events: Vec<Value>,
    log: String,
    /// Paths that it refuses to answer, and those that it never comes to answer, by their ends.
    refuses: Vec<&'static str>,
    leaves_open: Vec<&'static str>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Server>>;

fn lock(server: &Shared) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// What it answers; `None` where it never does.
    fn answer(&mut self, request: &Request<Body>) -> Option<(StatusCode, String)> {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        self.asked.push(request.uri().to_string());
        let is_among = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        if query.contains("watch=") || is_among(&self.leaves_open) {
            return None;
        }
        if is_among(&self.refuses) {
            let message = json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"});
            return Some((StatusCode::FORBIDDEN, message.to_string()));
        }
        let list = |items: &[Value]| json!({"metadata": {"resourceVersion": "9"}, "items": items}).to_string();
        let answer = match path.rsplit('/').next() {
            Some("pods") => list(&self.pods),
            Some("events") => list(&self.events),
            Some("log") => self.log.clone(),
            _ => return Some((StatusCode::NOT_FOUND, "{}".to_owned())),
        };
        Some((StatusCode::OK, answer))
    }

    /// How often it was asked for paths with this end.
    fn count(&self, end: &str) -> usize {
        self.asked.iter().filter(|asked| asked.split('?').next().is_some_and(|path| path.ends_with(end))).count()
    }
}

fn played(server: Server) -> (World, Shared) {
    let server = Arc::new(Mutex::new(server));
    let kept = Arc::clone(&server);
    let kube = Kube::answering(move |request: Request<Body>| {
        let answer = lock(&kept).answer(&request);
        async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    });
    (World::played(kube), server)
}

fn job(conditions: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "n", "uid": "job"},
        "status": {"conditions": conditions}})
}

fn at_work() -> Value {
    job(&json!([]))
}

fn failed() -> Value {
    job(&json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]))
}

fn pod(name: &str, state: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "n", "uid": "pod", "resourceVersion": "7", "ownerReferences": [
            {"uid": "job", "apiVersion": "batch/v1", "kind": "Job", "name": "j"}]},
        "spec": {"containers": [{"name": "main", "image": "a.io/b:c"}]},
        "status": {"phase": "Pending", "containerStatuses": [{"name": "main", "state": state}]}})
}

fn ended() -> Value {
    json!({"terminated": {"exitCode": 1}})
}

fn backing_off() -> Value {
    json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})
}

fn said(message: &str) -> Value {
    json!({"type": "Warning", "message": message, "involvedObject": {"uid": "pod"}})
}

fn resource() -> Resource {
    Resource {
        id: ResourceId::whole(Address::new("batch/v1/Job", "n", "j")),
        task: TaskId { kind: "chart", name: String::new() },
        driver: "hook",
        want: Want::Present(Document::default().into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    }
}

/// What was seen by each of so many looks at an object that doesn't move.
async fn seen(world: &World, live: Value, looks: usize) -> Vec<Evidence> {
    let resource = resource();
    let first = stream::iter([Ok(Evidence { live: Some(Arc::new(live)), ..Evidence::default() })]);
    let looks = with_surroundings(world, &resource, settled, first.chain(stream::pending()).boxed()).take(looks);
    looks.map(|seen| seen.expect("it can be looked at")).collect().await
}

/// What is around an object, by kind and name.
fn around(evidence: &Evidence) -> Vec<String> {
    let told = |object: &Arc<Value>| match object["kind"].as_str() {
        Some("Pod") => format!("Pod {}", object["metadata"]["name"].as_str().unwrap_or_default()),
        Some(LOG) => format!("Log {}", object["text"].as_str().unwrap_or_default()),
        other => format!("{} {}", other.unwrap_or_default(), object["message"].as_str().unwrap_or_default()),
    };
    evidence.around.iter().map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_about_what_is_ready() {
    let (world, server) = played(Server { pods: vec![pod("p", &ended())], ..Server::default() });
    let complete = job(&json!([{"type": "Complete", "status": "True"}]));
    let seen = seen(&world, complete, 1).await;
    assert_eq!((around(&seen[0]), lock(&server).asked.len()), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_is_told_with_its_pod_and_the_end_of_its_log_without_secrets() {
    let log = format!("{}the password is hunter22x\n", "a line\n".repeat(30));
    let (world, server) = played(Server { pods: vec![pod("p", &ended())], log, ..Server::default() });
    world.vault.watch("hunter22x");
    let seen = seen(&world, failed(), 1).await;
    let around = around(&seen[0]);
    assert_eq!((around.len(), around[0].as_str()), (2, "Pod p"), "{around:?}");
    assert!(around[1].starts_with("Log a line\n") && around[1].ends_with("\nthe password is (secret)"), "{around:?}");
    assert_eq!(around[1].lines().count(), 20);
    let server = lock(&server);
    let asked = "/api/v1/namespaces/n/pods/p/log?container=main&tailLines=20&limitBytes=16384";
    assert_eq!((server.count("/log"), server.asked.iter().any(|path| path == asked)), (1, true), "{:?}", server.asked);
}

#[tokio::test(start_paused = true)]
async fn who_may_see_nothing_around_an_object_sees_its_status_all_the_same() {
    let refuses = vec!["/pods", "/events", "/log"];
    let (world, _server) = played(Server { pods: vec![pod("p", &ended())], refuses, ..Server::default() });
    let seen = seen(&world, failed(), 1).await;
    assert_eq!((around(&seen[0]), seen[0].live.as_deref()), (Vec::new(), Some(&failed())));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_never_answered_holds_nobody_up() {
    let pods = vec![pod("p", &ended())];
    let (world, _server) = played(Server { pods, leaves_open: vec!["/log"], ..Server::default() });
    let began = Instant::now();
    let answered = seen(&world, failed(), 1).await;
    assert_eq!(around(&answered[0]), ["Pod p"]);
    assert!((ANSWER..ANSWER * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    let (world, _server) = played(Server { leaves_open: vec!["/pods", "/events"], ..Server::default() });
    let began = Instant::now();
    let answered = seen(&world, failed(), 1).await;
    assert_eq!(around(&answered[0]), [""; 0]);
    assert!(began.elapsed() < LOOK * 2 + ANSWER * 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_no_status_says_is_asked_for_again_ever_more_rarely() {
    let (world, server) = played(Server { pods: vec![pod("p", &backing_off())], ..Server::default() });
    let began = Instant::now();
    let waited = seen(&world, at_work(), 6).await;
    assert!(waited.iter().all(|evidence| around(evidence) == ["Pod p"]), "{waited:?}");
    // At once, and a quarter of a second later; from then on twice as late each time.
    assert_eq!((lock(&server).count("/events"), began.elapsed()), (6, AGAIN * (1 + 2 + 4 + 8 + 16)));
    lock(&server).events = vec![said("Failed to pull image: manifest unknown")];
    let told = seen(&world, at_work(), 1).await;
    assert_eq!(around(&told[0]), ["Pod p", "Event Failed to pull image: manifest unknown"]);
    let failed = explained(settled(told[0].live.as_deref()), &told[0]);
    assert!(matches!(failed, Settled::Failed(_)), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn names_that_would_lead_elsewhere_are_not_put_into_a_path() {
    for name in ["../../../secrets/x", "p?x=y", "..", ""] {
        let (world, server) = played(Server { pods: vec![pod(name, &ended())], ..Server::default() });
        seen(&world, failed(), 1).await;
        let server = lock(&server);
        let others = server.asked.iter().filter(|asked| !asked.contains("/pods?") && !asked.contains("/events?"));
        assert_eq!(others.count(), 0, "{name:?}: {:?}", server.asked);
    }
    assert!(is_plain("app-7d9.x") && !is_plain("a/b") && !is_plain("a%2e") && !is_plain("a b"));
}

#[test]
fn an_event_was_said_when_it_was_last_seen() {
    let half_past = "2026-11-23T03:30:00Z".parse::<Timestamp>().expect("it is a time").as_second();
    let table = [
        (json!({"lastTimestamp": "2026-11-23T03:29:30Z", "eventTime": "2026-11-23T03:00:00Z"}), Some(-30)),
        (
            json!({"series": {"lastObservedTime": "2026-11-23T03:29:59Z"}, "lastTimestamp": "2020-01-01T00:00:00Z"}),
            Some(-1),
        ),
        (json!({"lastTimestamp": null, "eventTime": "2026-11-23T03:29:00.5Z"}), Some(-60)),
        (json!({"metadata": {"creationTimestamp": "2026-11-23T03:30:07Z"}}), Some(7)),
        (json!({"lastTimestamp": "yesterday"}), None),
        (json!({}), None),
    ];
    for (event, expected) in table {
        assert_eq!(last_said(&event).map(|said| said - half_past), expected, "{event}");
    }
}

#[test]
fn only_so_much_is_remembered_and_what_is_known_may_still_move() {
    let mut known = BTreeMap::new();
    (0..MOST * 2).for_each(|number| keep(&mut known, number, "first"));
    assert_eq!((known.len(), known.contains_key(&MOST)), (MOST, false));
    keep(&mut known, 0, "second");
    assert_eq!((known.len(), known[&0]), (MOST, "second"));
}

#[test]
fn a_line_that_the_server_has_cut_is_not_told_since_half_a_secret_may_be_its_end() {
    assert_eq!(whole_lines(b"one\ntwo"), b"one\ntwo");
    let long = "x".repeat(LOG_BYTES - 8);
    assert_eq!(whole_lines(format!("{long}\npasswor").as_bytes()), long.as_bytes());
    assert_eq!(whole_lines("x".repeat(LOG_BYTES).as_bytes()), b"");
}
