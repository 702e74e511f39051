//! Looks around an object for as long as it isn't ready: at its parts, by watches that many share, and at what would tell more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::driver::{DriverError, Evidence, Settled};
use cfrt_engine::resource::Resource;
use futures::future::select_all;
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::call::Call;
use super::cause::{LOG, Question, explained, questions};
use super::client::ApiError;
use super::earlier::notes;
use super::gvk::Gvk;
use super::look::key;
use super::parts::{kinds, parts, runs_to_an_end};
use super::said::tail;
use super::sight::Seen;
use crate::world::World;

/// How long one question may take: what is known already is worth telling without an answer, too.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a first look at an object's parts may take, and how long one that failed may show which of them did.
const LOOK: Duration = Duration::from_secs(1);

/// How soon a question is asked again whose answer wasn't enough; each time twice as late.
const AGAIN: Duration = Duration::from_millis(250);

/// How many lines of a log are asked for, and how many bytes at most.
const LOG_LINES: usize = 20;
const LOG_BYTES: usize = 16384;

/// How many events are asked for; how many answers, and how many pods of a run that ends, are remembered.
const MOST: usize = 100;

/// What a status alone says of readiness.
pub(crate) type ByStatus = fn(Option<&Value>) -> Settled;

/// Adds to what is seen of an object what is around it, whenever its status doesn't say that it is ready.
pub(crate) fn with_surroundings<'a>(
    world: &'a World,
    resource: &'a Resource,
    by_status: ByStatus,
    seen: BoxStream<'a, Result<Evidence, DriverError>>,
) -> BoxStream<'a, Result<Evidence, DriverError>> {
    let around = Around {
        world,
        resource,
        by_status,
        seen,
        live: None,
        watched: None,
        earlier: Vec::new(),
        ended: BTreeMap::new(),
        learnt: BTreeMap::new(),
        open: BTreeMap::new(),
    };
    stream::unfold(around, |mut around| async move { Some((around.next().await?, around)) }).boxed()
}

struct Around<'a> {
    world: &'a World,
    resource: &'a Resource,
    by_status: ByStatus,
    seen: BoxStream<'a, Result<Evidence, DriverError>>,
    live: Option<Arc<Value>>,
    /// The watches of the kinds that its parts are of, from when they were first needed.
    watched: Option<Vec<watch::Receiver<Seen>>>,
    /// What was the matter before this run began.
    earlier: Vec<Arc<Value>>,
    /// The pods of something that runs to an end, as they were seen last.
    ended: BTreeMap<String, Arc<Value>>,
    /// The answers so far.
    learnt: BTreeMap<Question, Vec<Arc<Value>>>,
    /// The questions that are open.
    open: BTreeMap<Question, Open>,
}

/// Since when a question is open, when it is to be asked, and how long to wait for asking once more where it was.
#[derive(Debug, Clone, Copy)]
struct Open {
    since: Instant,
    due: Instant,
    asked: Option<(Instant, Duration)>,
}

impl Open {
    /// The same where it may stay open for so long before it is asked.
    fn after(self, time: Duration) -> Self {
        let due = self.asked.map_or(self.since + time, |(last, pause)| last + pause.max(time));
        Self { due, ..self }
    }

    fn asked(self) -> Self {
        let pause = self.asked.map_or(AGAIN, |(_, pause)| pause * 2);
        Self { asked: Some((Instant::now(), pause)), ..self }
    }
}

impl Around<'_> {
    /// What is seen next: after each move of the object or of its parts, and after each answer.
    async fn next(&mut self) -> Option<Result<Evidence, DriverError>> {
        let due = self.open.values().map(|open| open.due).min();
        tokio::select! {
            biased;
            seen = self.seen.next() => match seen? {
                Ok(evidence) => self.live = evidence.live,
                Err(error) => return Some(Err(error)),
            },
            () = moved(self.watched.as_deref_mut()) => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        self.look().await;
        self.ask().await;
        Some(Ok(self.evidence()))
    }

    fn settled(&self) -> Settled {
        (self.by_status)(self.live.as_deref())
    }

    /// Whether this run has written the object.
    fn written(&self) -> bool {
        let kind = self.world.discovery.resolve(&Gvk::of_address(&self.resource.id.address));
        kind.is_some_and(|kind| self.world.watches.has_written(&kind, &key(self.resource)))
    }

    fn evidence(&mut self) -> Evidence {
        let parts = self.parts();
        let learnt = self.learnt.values().flatten().chain(&self.earlier).cloned();
        Evidence { live: self.live.clone(), around: parts.into_iter().chain(learnt).collect() }
    }

    fn parts(&mut self) -> Vec<Arc<Value>> {
        let (Some(live), Some(watched)) = (&self.live, &self.watched) else { return Vec::new() };
        let owned = |uid: &str| watched.iter().flat_map(|seen| seen.borrow().owned_by(uid)).collect();
        let parts = parts(live, owned);
        if !runs_to_an_end(live) {
            return parts;
        }
        for part in parts {
            let name = part["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            keep(&mut self.ended, name, part);
        }
        self.ended.values().cloned().collect()
    }

    /// Begins to watch the parts once they matter; of what has failed it waits a moment for the part that did.
    async fn look(&mut self) {
        let Some(live) = self.live.clone().filter(|_| self.settled() != Settled::Yes) else { return };
        if self.watched.is_none() {
            let namespace = live["metadata"]["namespace"].as_str().unwrap_or_default();
            let kinds = kinds(&live).into_iter().filter_map(|kind| self.world.discovery.resolve(&kind));
            let watch = |kind| self.world.watches.all(&self.world.kube, &kind, namespace);
            let mut watched: Vec<_> = kinds.map(watch).collect();
            let known = async {
                for seen in &mut watched {
                    // Whoever keeps it lives as long as we do.
                    drop(seen.wait_for(Seen::is_known).await);
                }
            };
            timeout(LOOK, known).await.unwrap_or_default();
            self.watched = Some(watched);
            self.earlier = notes(&live, &self.parts(), self.world.began(), self.written());
        }
        let failed = matches!(self.settled(), Settled::Failed(_)) && !kinds(&live).is_empty();
        if failed && explained(self.settled(), &self.evidence()) == self.settled() {
            timeout(LOOK, moved(self.watched.as_deref_mut())).await.unwrap_or_default();
        }
    }

    /// Asks what would tell more and is due, and notes what isn't due yet. An answer may raise a question itself.
    async fn ask(&mut self) {
        loop {
            let evidence = self.evidence();
            let settled = explained(self.settled(), &evidence);
            let (now, before) = (Instant::now(), std::mem::take(&mut self.open));
            for (question, after) in questions(&settled, &evidence) {
                let fresh = Open { since: now, due: now, asked: None };
                let open = before.get(&question).copied().unwrap_or(fresh).after(after);
                self.open.insert(question, open);
            }
            let due =
                self.open.iter().find(|(_, open)| open.due <= now).map(|(question, open)| (question.clone(), *open));
            let Some((question, open)) = due else { return };
            let live = self.live.as_ref();
            let namespace = live.and_then(|live| live["metadata"]["namespace"].as_str()).unwrap_or_default();
            let began = self.world.began().as_second();
            // What is of the very second may be about what was written in it.
            let since = if self.written() { began } else { began.saturating_add(1) };
            let asked = Asked { world: self.world, resource: self.resource, namespace, since };
            let answer = timeout(ANSWER, asked.answer(&question)).await.unwrap_or_default();
            self.open.insert(question.clone(), open.asked());
            keep(&mut self.learnt, question, answer);
        }
    }
}

/// Keeps what is known last of something, as long as that isn't too much.
fn keep<K: Ord, V>(known: &mut BTreeMap<K, V>, key: K, value: V) {
    if known.len() < MOST || known.contains_key(&key) {
        known.insert(key, value);
    }
}

/// Whom to ask about what, and in which namespace.
struct Asked<'a> {
    world: &'a World,
    resource: &'a Resource,
    namespace: &'a str,
    /// From when on what is said is about this run, in seconds since 1970.
    since: i64,
}

impl Asked<'_> {
    /// What is answered; nothing where nobody may or can answer, which must not hide what is known besides.
    async fn answer(&self, question: &Question) -> Vec<Arc<Value>> {
        let answer = match question {
            Question::Events(uid) => self.events(uid).await.unwrap_or_default(),
            Question::Log(pod, container) => {
                let text = self.log(pod, container).await.unwrap_or_default();
                vec![json!({"kind": LOG, "pod": pod, "container": container, "text": text})]
            }
        };
        answer.into_iter().map(Arc::new).collect()
    }

    async fn events(&self, uid: &str) -> Result<Vec<Value>, ApiError> {
        if ![self.namespace, uid].into_iter().all(is_plain) {
            return Ok(Vec::new());
        }
        let query = format!("fieldSelector=involvedObject.uid%3D{uid}&limit={MOST}");
        let call = Call::get(format!("/api/v1/namespaces/{}/events?{query}", self.namespace));
        let reply = self.world.kube.send(&call).await?;
        let mut list: Value = reply.json()?;
        let mut events = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        for event in events.iter_mut().filter(|event| event.is_object()) {
            event["kind"] = "Event".into();
            let said = last_said(event);
            event["new"] = said.is_some_and(|said| said >= self.since).into();
            event["said"] = said.into();
        }
        Ok(events)
    }

    async fn log(&self, pod: &str, container: &str) -> Result<String, ApiError> {
        if ![self.namespace, pod, container].into_iter().all(is_plain) {
            return Ok(String::new());
        }
        let query = format!("container={container}&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}");
        let call = Call::get(format!("/api/v1/namespaces/{}/pods/{pod}/log?{query}", self.namespace));
        let reply = self.world.kube.send(&call).await?;
        // Redacted before it is cut: of half a secret nobody would know that it is one.
        Ok(tail(&self.world.redacted(self.resource, &String::from_utf8_lossy(whole_lines(reply.bytes())))))
    }
}

/// The lines of a log that the server has not cut in the middle.
fn whole_lines(log: &[u8]) -> &[u8] {
    let cut = log.len() >= LOG_BYTES;
    if cut { log.rsplitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default() } else { log }
}

/// Ends when one of the watched moves; never where none is watched.
async fn moved(watched: Option<&mut [watch::Receiver<Seen>]>) {
    let changed = watched.into_iter().flatten().map(|seen| Box::pin(seen.changed())).collect::<Vec<_>>();
    if changed.is_empty() {
        return std::future::pending().await;
    }
    if let (Err(_), _, _) = select_all(changed).await {
        std::future::pending::<()>().await;
    }
}

/// When an event was last seen, by the clock of the cluster, in seconds since 1970.
fn last_said(event: &Value) -> Option<i64> {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let last = times.iter().find_map(|place| event.pointer(place)?.as_str())?;
    Some(last.parse::<Timestamp>().ok()?.as_second())
}

/// Whether a name that a server gave can be put into a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests;
