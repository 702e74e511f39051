//! A lease on a server that keeps one object: taken, renewed, lost and given back, also where answers get lost.

use std::sync::Mutex;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::*;

/// What a server does once, besides what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// It does as asked, and the answer gets lost.
    AnswerLost,
    /// It does nothing.
    Down,
}

/// A server that keeps one lease.
#[derive(Debug, Default)]
struct Server {
    lease: Option<Value>,
    writes: u64,
    moods: Vec<Mood>,
    /// What comes of the lease by the time that it is read again.
    then: Vec<Option<Value>>,
}

type Shared = Arc<Mutex<Server>>;

fn refused(code: StatusCode) -> (StatusCode, String) {
    (code, json!({"message": code.to_string(), "reason": "Refused"}).to_string())
}

impl Server {
    fn answer(&mut self, method: &Method, body: &Value) -> (StatusCode, String) {
        if *method == Method::GET {
            if self.moods.first() == Some(&Mood::Down) {
                return refused(StatusCode::INTERNAL_SERVER_ERROR);
            }
            let there = self.lease.clone();
            if !self.then.is_empty() {
                self.lease = self.then.remove(0);
            }
            return there.map_or_else(|| refused(StatusCode::NOT_FOUND), |lease| (StatusCode::OK, lease.to_string()));
        }
        let mood = (!self.moods.is_empty()).then(|| self.moods.remove(0));
        if mood == Some(Mood::Down) {
            return refused(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let done = self.write(method, body);
        if mood == Some(Mood::AnswerLost) { refused(StatusCode::GATEWAY_TIMEOUT) } else { done }
    }

    fn write(&mut self, method: &Method, body: &Value) -> (StatusCode, String) {
        let meant = if *method == Method::DELETE { &body["preconditions"] } else { &body["metadata"] };
        let there = self.lease.as_ref().map(|lease| &lease["metadata"]);
        let fits = there
            .is_some_and(|there| there["uid"] == meant["uid"] && there["resourceVersion"] == meant["resourceVersion"]);
        match (method, &there) {
            (&Method::POST, Some(_)) => return refused(StatusCode::CONFLICT),
            (&Method::POST, None) => {}
            (_, None) => return refused(StatusCode::NOT_FOUND),
            (_, Some(_)) if !fits => return refused(StatusCode::CONFLICT),
            (_, Some(_)) => {}
        }
        self.writes += 1;
        let mut lease = if *method == Method::PATCH { self.lease.clone().unwrap_or_default() } else { body.clone() };
        if *method == Method::PATCH {
            lease["spec"]["renewTime"] = body["spec"]["renewTime"].clone();
        }
        lease["metadata"]["uid"] = json!("u");
        lease["metadata"]["resourceVersion"] = json!(self.writes.to_string());
        self.lease = (*method != Method::DELETE).then(|| lease.clone());
        (StatusCode::OK, lease.to_string())
    }
}

fn served() -> (Kube, Shared) {
    let server = Shared::default();
    (Kube::keeping(&server, Server::answer), server)
}

fn release() -> ReleaseName {
    ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() }
}

fn lease() -> Lease {
    Lease::of(&release()).expect("there is a random source")
}

/// A lease of someone on another host, renewed so many times.
fn theirs(renewed: usize) -> Value {
    json!({"metadata": {"uid": "u", "resourceVersion": renewed.to_string(), "creationTimestamp": "2026-11-23T03:30:00Z",
            "annotations": {"cfrt.dev/holder": "alice@far", "cfrt.dev/host": "far", "cfrt.dev/process": "1 1"}},
        "spec": {"holderIdentity": "theirs", "leaseDurationSeconds": 30, "renewTime": renewed.to_string()}})
}

async fn taken(lease: &Lease, kube: &Kube) -> Result<Vec<String>, (Fault, String)> {
    let said = Mutex::new(Vec::new());
    let say = |words: &str| lock(&said).push(words.to_owned());
    let taken = lease.take(kube, "1f0c", &say).await;
    taken.map_err(|error| (error.fault, error.chain().join(": ")))?;
    lease.begin();
    Ok(lock(&said).clone())
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_made_and_given_back_and_nothing_is_left_of_it() {
    for moods in [&[][..], &[Mood::AnswerLost], &[Mood::Down, Mood::AnswerLost]] {
        let (kube, server) = served();
        lock(&server).moods = moods.to_vec();
        let lease = lease();
        assert_eq!(taken(&lease, &kube).await, Ok(Vec::new()), "{moods:?}");
        assert!(lease.is_held() && lock(&server).lease.is_some());
        lease.release(&kube).await.expect("it is ours");
        assert!(!lease.is_held() && lock(&server).lease.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_is_taken_over_after_its_duration_although_nothing_tells_its_age() {
    let (kube, server) = served();
    lock(&server).lease = Some(theirs(1));
    let (lease, began) = (lease(), Instant::now());
    let said = taken(&lease, &kube).await.expect("it has expired");
    assert!(began.elapsed() > Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(said[0].starts_with("alice@far since 2026-11-23T03:30:00Z may be at work; "), "{said:?}");
    assert!(said[1].ends_with(" was taken over: it wasn't renewed any more"), "{said:?}");
    let spec = lock(&server).lease.clone().unwrap_or_default()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseTransitions"]), (&json!(lease.holder().run), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_renewed_or_given_back_while_it_is_watched_was_someone_s() {
    for (then, what) in [(Some(theirs(2)), "is at work"), (None, "was at work until just now")] {
        let (kube, server) = served();
        lock(&server).lease = Some(theirs(1));
        lock(&server).then = vec![then];
        let (fault, said) = taken(&lease(), &kube).await.expect_err("someone has it");
        assert_eq!(
            (fault, said),
            (Fault::Locked, format!("taking the lease n/cfrt-r: alice@far since 2026-11-23T03:30:00Z {what}"))
        );
    }
}

/// A lease that is held and kept.
async fn kept() -> (Lease, Kube, Shared) {
    let (kube, server) = served();
    let lease = lease();
    assert_eq!(taken(&lease, &kube).await, Ok(Vec::new()));
    kube.open();
    lease.keep(&kube);
    (lease, kube, server)
}

/// Whether something else may be written within so many seconds.
async fn may_write_within(kube: &Kube, seconds: u64) -> bool {
    let call = Call::merge(&Place::kind(), "n", "other", "cfrt", &json!({}));
    let written = timeout(Duration::from_secs(seconds), kube.send(&call)).await;
    written.is_ok_and(|written| !matches!(written, Err(ApiError::Closed(_))))
}

async fn may_write(kube: &Kube) -> bool {
    may_write_within(kube, 1).await
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_for_as_long_as_it_is_held_whatever_others_write_into_it() {
    let (lease, kube, server) = kept().await;
    sleep(Duration::from_secs(65)).await;
    let writes = lock(&server).writes;
    assert!((6..=7).contains(&writes), "made, and renewed {writes} times");
    if let Some(there) = &mut lock(&server).lease {
        there["metadata"]["resourceVersion"] = json!("by others");
    }
    sleep(Duration::from_secs(25)).await;
    assert!(lease.is_held() && lock(&server).writes > writes && may_write(&kube).await);
    lease.release(&kube).await.expect("it is ours");
    assert!(lock(&server).lease.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_someone_took_or_deleted_is_lost_and_nothing_more_is_written() {
    for (there, why) in
        [(Some(theirs(99)), "alice@far since 2026-11-23T03:30:00Z has taken it over"), (None, "it was deleted")]
    {
        let (lease, kube, server) = kept().await;
        lock(&server).lease.clone_from(&there);
        assert_eq!(lease.lost().await, why);
        assert!(!may_write(&kube).await && !lease.is_held());
        assert_eq!(lease.held().await.expect_err("it is lost").fault, Fault::Locked);
        lease.release(&kube).await.expect("there is nothing to give back");
        assert_eq!(lock(&server).lease, there, "what is others' stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_can_not_be_renewed_holds_writes_back_before_anyone_else_may_have_it_and_is_lost_in_the_end() {
    let (lease, kube, server) = kept().await;
    let began = Instant::now();
    lock(&server).moods = vec![Mood::Down; 9_999];
    sleep(PATIENCE).await;
    assert!(lease.is_held() && !may_write_within(&kube, 30).await, "it is held back");
    let why = lease.lost().await;
    assert!(why.starts_with("it could not be renewed for 8"), "{why}");
    let trouble = Duration::from_secs(60);
    assert!((PATIENCE + trouble..PATIENCE + 2 * trouble).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(!may_write(&kube).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_written_once_the_server_is_there_again_and_nobody_has_had_the_lease() {
    let (lease, kube, server) = kept().await;
    lock(&server).moods = vec![Mood::Down; 9_999];
    sleep(Duration::from_secs(60)).await;
    let written = async {
        assert!(may_write_within(&kube, 60).await, "it goes on");
        assert!(lock(&server).lease.as_ref().is_some_and(|lease| lease["metadata"]["resourceVersion"] != "1"));
    };
    let back = async {
        sleep(Duration::from_secs(3)).await;
        lock(&server).moods.clear();
    };
    futures::join!(written, back);
    assert!(lease.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_someone_had_while_the_server_was_away_is_lost_and_nothing_that_waited_is_written() {
    let (lease, kube, server) = kept().await;
    lock(&server).moods = vec![Mood::Down; 9_999];
    sleep(Duration::from_secs(40)).await;
    let back = async {
        sleep(Duration::from_secs(3)).await;
        let mut server = lock(&server);
        (server.moods, server.lease) = (Vec::new(), Some(theirs(99)));
    };
    let (written, ()) = futures::join!(may_write_within(&kube, 60), back);
    assert!(!written && !lease.is_held());
}

#[tokio::test(start_paused = true)]
async fn what_wakes_from_a_sleep_writes_nothing_before_its_lease_is_renewed() {
    let (lease, kube, _server) = kept().await;
    let asleep = Moment::before_a_sleep_of(PATIENCE);
    kube.renewed(lease.place.path(), asleep, PATIENCE);
    lease.state.send_modify(|state| {
        let taken = state.taken().cloned().expect("it is held");
        *state = State::Held(Taken { renewed: asleep, ..taken });
    });
    assert!(!may_write(&kube).await, "the clock of the timers has not moved");
    assert!(kube.send(&Call::get("/other")).await.is_ok(), "who only reads needs no lease");
    assert!(may_write_within(&kube, 3).await && lease.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_ours_from_when_it_was_asked_for_and_not_from_when_the_answer_came() {
    let late = Duration::from_secs(3);
    let server = Shared::default();
    let kube = Kube::answering({
        let server = Arc::clone(&server);
        move |request| {
            let (server, body) = (Arc::clone(&server), json!({"metadata": {}, "spec": {}}));
            async move {
                let answer = lock(&server).answer(request.method(), &body);
                sleep(late).await;
                answer
            }
        }
    });
    let lease = lease();
    assert_eq!(taken(&lease, &kube).await, Ok(Vec::new()));
    let renewed = lease.state.borrow().taken().expect("it is held").renewed;
    assert!(renewed.elapsed() >= late, "{renewed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_for_a_moment_does_no_harm() {
    let (lease, kube, server) = kept().await;
    lock(&server).moods = vec![Mood::Down, Mood::Down, Mood::AnswerLost];
    sleep(Duration::from_secs(60)).await;
    assert!(lease.is_held() && may_write(&kube).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_a_lease_that_waits_for_its_namespace() {
    let (kube, _server) = served();
    let lease = lease();
    lease.wait_for_its_namespace();
    let address = |kind: &str, name: &str| cfrt_engine::resource::Address::new(kind, "", name);
    assert!(lease.lives_in(&address("v1/Namespace", "n")));
    assert!(!lease.lives_in(&address("v1/Namespace", "other")) && !lease.lives_in(&address("v1/ConfigMap", "n")));
    assert!(timeout(Duration::from_secs(99), lease.held()).await.is_err(), "it waits");
    lease.take(&kube, "1f0c", &|_| {}).await.expect("nobody has it");
    assert!(timeout(Duration::from_secs(20), lease.held()).await.is_err(), "nor before it has begun");
    lease.begin();
    assert!(lease.held().await.is_ok());
    lease.release(&kube).await.expect("it is ours");
    assert!(lease.held().await.is_err(), "nor after it was given back");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_could_not_be_had_keeps_everything_else_from_being_written_and_was_not_lost() {
    let lease = lease();
    lease.wait_for_its_namespace();
    lease.refuse(&DriverError::new("creating Namespace n", "no").fault(Fault::Forbidden).hint("ask"));
    let error = lease.held().await.expect_err("there is none");
    assert_eq!((error.fault, error.hint.as_str()), (Fault::Forbidden, "ask"));
    assert_eq!(error.chain().join(": "), "writing under the lease: creating Namespace n: no");
    assert!(timeout(Duration::from_secs(99), lease.lost()).await.is_err());
}
