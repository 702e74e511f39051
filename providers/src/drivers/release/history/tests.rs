//! Records that others write too: what the plan has not seen is left alone, and lost answers are asked for again.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::broken_off::given_up;
use super::*;
use crate::world::Access;

fn release() -> ReleaseName {
    ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() }
}

fn known(revisions: &[(u64, &str)]) -> Vec<Record> {
    let items = revisions.iter().map(|(revision, status)| {
        let labels = json!({"version": revision.to_string(), "status": status});
        json!({"metadata": {"name": "r", "uid": format!("uid-{revision}"), "labels": labels}})
    });
    serde_json::from_value(items.collect()).expect("they are records")
}

/// Whether a plan that saw some revisions may open one when there are others.
fn may_open(planned: &[(u64, &str)], there: &[(u64, &str)]) -> Result<(), Fault> {
    let planned = seen(&counting(known(planned)));
    unmoved(&release(), &counting(known(there)), &planned).map_err(|error| error.fault)
}

#[test]
fn a_plan_counts_only_for_the_revisions_that_it_was_made_from() {
    let planned = [(1, "superseded"), (2, "deployed")];
    assert_eq!(may_open(&planned, &planned), Ok(()));
    assert_eq!(may_open(&planned, &[(2, "deployed")]), Ok(()), "what is superseded doesn't count");
    let newer = [(2, "superseded"), (3, "superseded"), (4, "deployed")];
    assert_eq!(may_open(&planned, &newer), Err(Fault::Stale), "others made two more");
    assert_eq!(may_open(&planned, &[(2, "deployed"), (3, "failed")]), Err(Fault::Stale));
    assert_eq!(may_open(&planned, &[(2, "deployed"), (3, "pending-upgrade")]), Err(Fault::Locked));
    assert_eq!(may_open(&planned, &[(2, "uninstalling")]), Err(Fault::Locked));
    assert_eq!(may_open(&planned, &[(2, "uninstalled")]), Err(Fault::Stale));
    assert_eq!(may_open(&planned, &[(1, "deployed")]), Err(Fault::Stale), "another one was made of that number");
    assert_eq!(may_open(&planned, &[]), Err(Fault::Stale));
    assert_eq!(may_open(&[], &[]), Ok(()));
    assert_eq!(may_open(&[], &[(1, "deployed")]), Err(Fault::Stale));
}

#[test]
fn a_revision_that_was_given_up_and_closed_as_failed_is_still_the_one_that_the_plan_saw() {
    let planned = [(2, "deployed"), (3, "pending-upgrade")];
    assert_eq!(may_open(&planned, &[(2, "deployed"), (3, "failed")]), Ok(()));
    assert_eq!(may_open(&planned, &[(2, "superseded"), (3, "deployed")]), Err(Fault::Stale));
}

#[test]
fn a_number_that_was_had_already_is_passed_over() {
    let number = |last| numbered(&json!({"version": 3}), last)["version"].as_u64();
    assert_eq!((number(2), number(4)), (Some(3), Some(5)));
}

/// What a server makes of a write.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It does it, and the answer gets lost.
    AnswerLost,
    /// The request gets lost.
    RequestLost,
    /// Someone else writes first.
    Overtaken,
    /// Someone else closes it first, and the request gets lost.
    TakenOver,
}

/// A server that keeps one record. Each write meets the next fate; when there is none left, it is done.
struct Server {
    secret: Option<Value>,
    fates: Vec<Fate>,
    writes: usize,
}

fn served(secret: Option<Value>, fates: &[Fate]) -> (Kube, Arc<Mutex<Server>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = Arc::new(Mutex::new(Server { secret, fates: fates.to_vec(), writes: 0 }));
    let served = Arc::clone(&server);
    std::thread::spawn(move || listener.incoming().for_each(|stream| served.lock().unwrap().serve(stream.unwrap())));
    let config = ::kube::Config::new(address.parse().unwrap());
    (Kube::plain(&config, Access::ReadWrite).unwrap(), server)
}

impl Server {
    fn serve(&mut self, stream: TcpStream) {
        let mut lines = BufReader::new(&stream);
        let (mut head, mut length) = (String::new(), 0);
        while lines.read_line(&mut head).unwrap() > 2 {
            let header = head.lines().last().unwrap().to_lowercase();
            length = header.strip_prefix("content-length: ").map_or(length, |length| length.parse().unwrap());
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).unwrap();
        let Some((code, answer)) = self.answer(&head, serde_json::from_slice(&body).ok()) else { return };
        let (answer, close) = (answer.to_string(), "Connection: close");
        let length = answer.len();
        write!(&stream, "HTTP/1.1 {code} x\r\nContent-Length: {length}\r\n{close}\r\n\r\n{answer}").unwrap();
    }

    fn answer(&mut self, head: &str, written: Option<Value>) -> Option<(u16, Value)> {
        let Some(written) = written else {
            let items = self.secret.iter().collect::<Vec<_>>();
            return Some(match &self.secret {
                _ if head.contains("labelSelector") => (200, json!({"items": items})),
                Some(secret) => (200, secret.clone()),
                None => (404, json!({"message": "not found"})),
            });
        };
        self.writes += 1;
        let fate = (!self.fates.is_empty()).then(|| self.fates.remove(0));
        match fate {
            Some(Fate::RequestLost) => return None,
            Some(Fate::Overtaken) => self.store(self.secret.clone().unwrap()),
            Some(Fate::TakenOver) => {
                self.store(secret("failed", "by someone else"));
                return None;
            }
            Some(Fate::AnswerLost) | None => {}
        }
        let version = |secret: &Value| secret["metadata"]["resourceVersion"].clone();
        let same = self.secret.as_ref().is_none_or(|secret| version(secret) == version(&written));
        if !same || self.secret.is_some() && head.starts_with("POST") {
            return Some((409, json!({"message": "it is another one"})));
        }
        self.store(written);
        fate.is_none().then(|| (200, json!(self.secret)))
    }

    fn store(&mut self, mut secret: Value) {
        secret["metadata"]["uid"] = json!("a");
        secret["metadata"]["resourceVersion"] = json!(format!("v{}", self.writes));
        self.secret = Some(secret);
    }

    fn status(&self) -> &str {
        self.secret.as_ref().unwrap()["metadata"]["labels"]["status"].as_str().unwrap()
    }
}

fn record(status: &str, description: &str) -> Value {
    json!({"name": "r", "namespace": "n", "version": 1, "info": {"status": status, "description": description}})
}

fn secret(status: &str, description: &str) -> Value {
    record::secret(&record(status, description), Timestamp::UNIX_EPOCH).unwrap()
}

/// How a revision is closed whose closing meets these fates, its status then, and how often it was written.
async fn closed(fates: &[Fate]) -> (Result<(), Fault>, String, usize) {
    let (kube, server) = served(None, &[]);
    let opened = open(&kube, &release(), &record("pending-install", ""), &[], "run").await.unwrap();
    server.lock().unwrap().fates = fates.to_vec();
    let end = |record| record::finished(record, Status::Deployed, "Install complete");
    let closed = close(&kube, &release(), &opened, Status::Deployed, end).await.map_err(|error| error.fault);
    let server = server.lock().unwrap();
    (closed, server.status().to_owned(), server.writes - 1)
}

#[tokio::test]
async fn a_revision_is_closed_although_answers_get_lost_and_others_write_to_it() {
    for (fates, writes) in [
        (&[][..], 1),
        (&[Fate::AnswerLost], 1),
        (&[Fate::RequestLost], 2),
        (&[Fate::Overtaken], 2),
        (&[Fate::RequestLost, Fate::Overtaken, Fate::AnswerLost], 3),
    ] {
        assert_eq!(closed(fates).await, (Ok(()), "deployed".to_owned(), writes), "{fates:?}");
    }
}

#[tokio::test]
async fn a_revision_that_someone_took_over_while_an_answer_got_lost_is_left_to_them() {
    assert_eq!(closed(&[Fate::TakenOver]).await, (Err(Fault::Stale), "failed".to_owned(), 1));
}

#[tokio::test]
async fn a_revision_whose_creation_was_not_answered_is_ours_all_the_same() {
    for fate in [Fate::AnswerLost, Fate::RequestLost] {
        let (kube, server) = served(None, &[fate]);
        let opened = open(&kube, &release(), &record("pending-install", "ours"), &[], "run").await.unwrap();
        assert_eq!((opened.uid.as_str(), opened.status.as_str()), ("a", "pending-install"));
        assert_eq!(server.lock().unwrap().writes, 2);
    }
}

#[tokio::test]
async fn a_revision_that_someone_else_creates_first_is_theirs() {
    for (status, fault) in [("pending-install", Fault::Locked), ("deployed", Fault::Stale)] {
        let (kube, _server) = served(Some(secret(status, "theirs")), &[]);
        let refused = create(&kube, &release(), &secret("pending-install", "ours")).await.err().unwrap();
        assert_eq!(refused.fault, fault);
    }
}

#[test]
fn a_record_that_someone_else_has_closed_is_not_ours_any_more() {
    let status = "pending-upgrade".to_owned();
    let opened = Opened { secret: String::new(), uid: "a".to_owned(), status, ahead: 0, run: "run".to_owned() };
    let ours = |uid: &str, status: &str| {
        let found = Found { uid: uid.to_owned(), age: 0, run: Some("run".to_owned()) };
        still_ours(&release(), &opened, &found, json!({"info": {"status": status}}))
    };
    assert!(ours("a", "pending-upgrade").is_ok());
    assert_eq!(ours("a", "superseded").expect_err("it is over").fault, Fault::Stale);
    assert_eq!(ours("a", "uninstalling").expect_err("someone takes it away").fault, Fault::Stale);
    assert_eq!(ours("b", "pending-upgrade").expect_err("it is another one").fault, Fault::Stale);
}

#[tokio::test]
async fn a_revision_whose_record_is_gone_was_uninstalled() {
    let (kube, server) = served(None, &[]);
    let opened = open(&kube, &release(), &record("pending-install", ""), &[], "run").await.unwrap();
    server.lock().unwrap().secret = None;
    let error = close(&kube, &release(), &opened, Status::Failed, |record| record).await.expect_err("it is gone");
    assert_eq!(error.fault, Fault::Stale);
    assert_eq!(error.chain()[1], "its record is gone: someone has uninstalled it meanwhile");
}

#[test]
fn a_revision_is_taken_over_only_while_no_one_touches_it() {
    let status = |age, status: &str| {
        let found = Found { uid: String::new(), age, run: None };
        let record = given_up(&release(), &found, None, json!({"info": {"status": status}}));
        record.map(|record| record["info"]["status"].clone()).map_err(|error| error.fault)
    };
    assert_eq!(status(ABANDONED_AFTER, "pending-upgrade"), Ok(json!("failed")));
    assert_eq!(status(30, "pending-upgrade"), Err(Fault::Locked));
    assert_eq!(status(30, "deployed"), Ok(json!("deployed")));
}

#[test]
fn what_a_run_of_ours_has_left_is_given_up_at_once_and_what_anyone_else_has_is_not() {
    let given_up = |left: Option<&str>, found: Option<&str>| {
        let found = Found { uid: String::new(), age: 30, run: found.map(str::to_owned) };
        let left = left.map(str::to_owned);
        given_up(&release(), &found, left.as_ref(), json!({"info": {"status": "pending-upgrade"}})).is_ok()
    };
    assert!(given_up(Some("dead"), Some("dead")));
    assert!(!given_up(Some("dead"), Some("another")) && !given_up(Some("dead"), None) && !given_up(None, None));
}

#[tokio::test]
async fn a_revision_that_is_gone_on_with_belongs_to_the_run_that_does_even_where_answers_get_lost() {
    for fates in [&[][..], &[Fate::AnswerLost], &[Fate::RequestLost], &[Fate::Overtaken]] {
        let (kube, server) = served(None, &[]);
        let opened = open(&kube, &release(), &record("pending-install", ""), &[], "first").await.unwrap();
        server.lock().unwrap().fates = fates.to_vec();
        let planned = [Seen { uid: opened.uid.clone(), status: "failed".to_owned() }];
        let reopening = Reopening { revision: 1, planned: &planned, left_by: "first", run: "second" };
        let texts = |record: &mut Value| record["manifest"] = json!("a: b");
        let ours = reopen(&kube, &release(), reopening, texts).await.unwrap();
        let there = server.lock().unwrap().secret.clone().unwrap();
        assert_eq!(there["metadata"]["annotations"][RUN], "second");
        let kept = record::raw(there["data"]["release"].as_str().unwrap()).unwrap();
        assert_eq!((&kept["manifest"], &kept["info"]["status"]), (&json!("a: b"), &json!("pending-install")));
        let first = close(&kube, &release(), &opened, Status::Failed, |record| record).await;
        assert_eq!(first.expect_err("it is no longer its").fault, Fault::Stale);
        let end = |record| record::finished(record, Status::Failed, "ended");
        close(&kube, &release(), &ours, Status::Failed, end).await.unwrap();
        assert_eq!(server.lock().unwrap().status(), "failed");
        let again = reopen(&kube, &release(), reopening, texts).await;
        assert_eq!(again.expect_err("it has ended").fault, Fault::Stale);
    }
}
