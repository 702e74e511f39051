//! A map behind a mutex, and a log of what was done to it, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Mutex, MutexGuard};

use cfrt_engine::driver::Discreet;
use cfrt_engine::resource::{Resource, ResourceId};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The world: things by name.
pub(crate) struct MapWorld {
    state: Mutex<State>,
    moved: Notify,
    began: Instant,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) things: BTreeMap<String, Thing>,
    /// What was done, each with the second in which it was.
    pub(crate) log: Vec<(u64, String)>,
    /// How many writes are under way, and how many were at most.
    pub(crate) writing: usize,
    pub(crate) most_writing: usize,
    /// What was written although it should have waited.
    pub(crate) broken: Vec<String>,
    /// What must not be told; nothing where it is empty.
    pub(crate) secret: &'static str,
    /// What moved because a driver wrote it.
    pub(crate) effects: Vec<Effect>,
    /// What is being written.
    pub(crate) under_way: BTreeSet<String>,
    /// How many writes of each resource there were.
    pub(crate) sent: BTreeMap<String, u32>,
    /// How often drivers may still move before whoever runs them is killed.
    pub(crate) breaths: Option<usize>,
    /// The revision of the last write.
    pub(crate) revision: u64,
}

/// A thing that a write has moved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Effect {
    /// The resource whose step it was.
    pub(crate) resource: ResourceId,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    /// Whether it was the end of a step.
    pub(crate) closing: bool,
}

impl Effect {
    /// Whether it is the same again: of one step each of its writes may take effect once.
    pub(crate) fn repeats(&self, other: &Self) -> bool {
        let which = |effect: &Self| (effect.resource.clone(), effect.closing, effect.after.is_some());
        which(self) == which(other)
    }
}

/// One thing of the world.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thing {
    pub(crate) body: Value,
    pub(crate) revision: u64,
    /// The revision in which it was made.
    pub(crate) made: u64,
    /// How many seconds it was followed since it was written: things settle while they are watched.
    pub(crate) followed: u64,
}

/// A write that is under way; one that is dropped before its end was cut off, which the log says.
pub(crate) struct Write<'a> {
    world: &'a MapWorld,
    resource: String,
    name: String,
    counted: bool,
    ended: bool,
}

impl Discreet for MapWorld {
    fn redacted(&self, _: &Resource, text: &str) -> String {
        let secret = self.state().secret;
        if secret.is_empty() { text.to_owned() } else { text.replace(secret, "(secret)") }
    }
}

impl MapWorld {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), moved: Notify::new(), began: Instant::now() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the world")
    }

    /// Puts a thing there as if it had been there for long.
    pub(crate) fn put(&self, name: &str, body: Value) {
        self.state().put(name, body, 1_000);
    }

    pub(crate) fn log(&self, line: impl Into<String>) {
        let second = (Instant::now() - self.began).as_secs();
        self.state().log.push((second, line.into()));
        self.moved.notify_waiters();
    }

    /// Forgets what was done, but not what came of it.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.log.clear();
        state.broken.clear();
        state.most_writing = 0;
    }

    /// The log's lines that begin with one of some words.
    pub(crate) fn lines(&self, words: &[&str]) -> Vec<String> {
        let lines: Vec<String> = self.state().log.iter().map(|(_, line)| line.clone()).collect();
        lines.into_iter().filter(|line| line.split(' ').next().is_some_and(|word| words.contains(&word))).collect()
    }

    /// The second in which a line was logged.
    pub(crate) fn second_of(&self, wanted: &str) -> u64 {
        let state = self.state();
        let found = state.log.iter().find(|(_, line)| line == wanted);
        found.map(|(second, _)| *second).expect("the log has the line")
    }

    /// Waits until the log has a line.
    pub(crate) async fn until(&self, wanted: &str) {
        loop {
            let moved = self.moved.notified();
            if self.state().log.iter().any(|(_, line)| line == wanted) {
                return;
            }
            moved.await;
        }
    }

    /// Passes as long as there is breath left; whoever is killed here never moves again.
    pub(crate) async fn breathe(&self) {
        if self.state().breathe() {
            return;
        }
        self.moved.notify_waiters();
        pending::<()>().await;
    }

    /// Waits until there is no breath left.
    pub(crate) async fn killed(&self) {
        loop {
            let moved = self.moved.notified();
            if self.state().breaths == Some(0) {
                return;
            }
            moved.await;
        }
    }

    /// Begins a write of a resource that the log names so.
    pub(crate) fn write(&self, resource: &str, name: String) -> Write<'_> {
        let mut state = self.state();
        state.writing += 1;
        state.most_writing = state.most_writing.max(state.writing);
        drop(state);
        self.begin(resource, name, true)
    }

    /// Begins a write that doesn't count among those that may be under way at once.
    pub(crate) fn uncounted(&self, resource: &str, name: String) -> Write<'_> {
        self.begin(resource, name, false)
    }

    fn begin(&self, resource: &str, name: String, counted: bool) -> Write<'_> {
        self.state().under_way.insert(resource.to_owned());
        self.log(name.clone());
        Write { world: self, resource: resource.to_owned(), name, counted, ended: false }
    }
}

impl State {
    /// Takes one breath; none is left where that fails.
    fn breathe(&mut self) -> bool {
        let alive = self.breaths != Some(0);
        self.breaths = self.breaths.map(|left| left.saturating_sub(1));
        alive
    }

    pub(crate) fn put(&mut self, name: &str, body: Value, followed: u64) {
        self.revision += 1;
        let revision = self.revision;
        let made = self.things.get(name).map_or(revision, |thing| thing.made);
        self.things.insert(name.to_owned(), Thing { body, revision, made, followed });
    }
}

impl Write<'_> {
    pub(crate) fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        let mut state = self.world.state();
        state.under_way.remove(&self.resource);
        state.writing -= usize::from(self.counted);
        drop(state);
        if !self.ended {
            self.world.log(format!("cut {}", self.name));
        }
    }
}
