//! A journal on a server that keeps one object: begun, written and ended, also where the server is away.

use std::sync::{Arc, Mutex};

use cfrt_engine::change::Action;
use cfrt_engine::driver::Fault;
use cfrt_engine::event::{Failure, Outcome};
use cfrt_engine::resource::{Address, Part};
use cfrt_engine::task::TaskId;
use http::{Method, StatusCode};

use super::entry::NAMED;
use super::*;

/// What a server keeps, and what it answers to whatever writes.
#[derive(Debug)]
struct Server {
    data: Value,
    code: StatusCode,
    writes: usize,
}

impl Server {
    fn answer(&mut self, method: &Method, body: &Value) -> (StatusCode, String) {
        if self.code.is_success() && *method != Method::GET {
            self.writes += 1;
            for (key, text) in body["data"].as_object().into_iter().flatten() {
                self.data[key] = text.clone();
            }
        }
        let message = match self.code {
            StatusCode::FORBIDDEN => "x is forbidden: User \"a\" cannot get path \"/x\"",
            _ => "as it is",
        };
        (self.code, json!({"message": message, "reason": "Because"}).to_string())
    }
}

fn served(code: StatusCode) -> (Kube, Arc<Mutex<Server>>) {
    let server = Arc::new(Mutex::new(Server { data: json!({}), code, writes: 0 }));
    (Kube::keeping(&server, Server::answer), server)
}

fn hook() -> ResourceId {
    ResourceId { address: Address::new("batch/v1/Job", "n", "migrate"), part: Part::Fields("pre-install") }
}

fn intent() -> HookNote {
    HookNote::intent(&hook(), None, "2026-11-23T03:30:00Z".to_owned())
}

async fn begun(kube: &Kube) -> Result<Journal, Fault> {
    let (journal, release) = (Journal::default(), ReleaseName { namespace: "n".to_owned(), name: "r".to_owned() });
    let (run, who, at) = ("1f0c".to_owned(), "alice@far".to_owned(), "2026-11-23T03:30:00Z".to_owned());
    let begin = Beginning { release, run, who, at };
    journal.begin(kube, begin, &Opening::default()).await.map(|()| journal).map_err(|error| error.fault)
}

fn finished(name: String, outcome: Outcome) -> Event {
    let resource = ResourceId::whole(Address::new("v1/ConfigMap", "n", name));
    Event::Finished { resource, task: TaskId { kind: "chart", name: String::new() }, action: Action::Create, outcome }
}

#[tokio::test]
async fn a_hook_is_written_down_before_it_runs_and_outcomes_go_with_what_is_sent_next() {
    let (kube, server) = served(StatusCode::OK);
    let journal = begun(&kube).await.expect("it is permitted");
    journal.take(&finished("a".to_owned(), Outcome::Done));
    journal.intend(&kube, intent()).await.expect("it is written");
    assert_eq!(lock(&server).data["outcomes"], "1 done\ndone: create ConfigMap n/a\n");
    journal.tell(&kube, &hook(), |note| note.uid = Some("u".to_owned())).await;
    journal.flush(&kube).await.expect("there is nothing to send");
    assert_eq!(journal.end(&kube, &End { outcome: "done", exit: 0 }, "now").await, None);
    let server = lock(&server);
    let kept: HookNote = serde_json::from_str(server.data["hook.000"].as_str().unwrap_or_default()).expect("it is one");
    assert_eq!((kept, server.writes), (HookNote { uid: Some("u".to_owned()), ..intent() }, 4));
    assert!(server.data["end"].as_str().is_some_and(|end| end.contains(r#""outcome":"done""#)));
}

#[tokio::test(start_paused = true)]
async fn a_hook_whose_intent_can_not_be_written_does_not_run_and_nothing_is_forgotten() {
    let (kube, server) = served(StatusCode::OK);
    let journal = begun(&kube).await.expect("it is permitted");
    lock(&server).code = StatusCode::INTERNAL_SERVER_ERROR;
    let error = journal.intend(&kube, intent()).await.expect_err("the server is away");
    let unsure = journal.tell_surely(&kube, &hook(), |_| {}).await;
    assert!(unsure.is_err_and(|error| error.doing.contains("how Job n/migrate ended")), "nothing is deleted then");
    assert!(error.doing.contains("the intent to run batch/v1/Job n/migrate"), "{}", error.doing);
    lock(&server).code = StatusCode::OK;
    journal.flush(&kube).await.expect("it is there again");
    assert!(lock(&server).data["hook.000"].is_string());
}

#[tokio::test]
async fn a_journal_that_may_not_be_made_ends_the_run_and_one_that_can_not_be_made_is_told_in_the_end() {
    let (kube, _server) = served(StatusCode::FORBIDDEN);
    assert_eq!(begun(&kube).await.err(), Some(Fault::Forbidden));
    let (kube, server) = served(StatusCode::UNPROCESSABLE_ENTITY);
    let journal = begun(&kube).await.expect("the run goes on");
    lock(&server).code = StatusCode::OK;
    assert!(journal.intend(&kube, intent()).await.is_err());
    journal.take(&finished("a".to_owned(), Outcome::Done));
    journal.flush(&kube).await.expect("nothing is sent");
    let told = journal.end(&kube, &End { outcome: "done", exit: 0 }, "now").await;
    assert_eq!((told.as_deref(), lock(&server).writes), (Some("as it is"), 0));
}

#[tokio::test]
async fn what_is_written_down_does_not_grow_with_what_was_done() {
    let (kube, server) = served(StatusCode::OK);
    let journal = begun(&kube).await.expect("it is permitted");
    let causes = vec!["a\nb".to_owned().repeat(5_000)];
    let failure = Failure { causes, fault: Fault::World, hint: String::new() };
    journal.take(&finished("a".to_owned(), Outcome::Failed(failure)));
    (1..NAMED + 7).for_each(|number| journal.take(&finished(number.to_string(), Outcome::Done)));
    journal.flush(&kube).await.expect("it is written");
    let server = lock(&server);
    let text = server.data["outcomes"].as_str().unwrap_or_default();
    assert!(text.starts_with("206 done, 1 failed\nfailed: create ConfigMap n/a: ") && text.ends_with("\nand 7 more\n"));
    assert_eq!((text.lines().count(), server.writes), (NAMED + 2, 2));
    assert!(text.lines().all(|line| line.chars().count() < 500));
}
