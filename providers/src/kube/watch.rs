//! Watching objects while they settle: one shared watch for each kind and namespace, however many wait on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cfrt_engine::driver::DriverError;
use futures::stream::{self, BoxStream, StreamExt as _};
use kube::api::{Api, DynamicObject};
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::Kube;
use super::gvk::Resolved;
use super::read::Key;
use super::sight::{Keeper, Seen, Sight, Written};

/// All watches of a run. They end with it.
#[derive(Debug, Default)]
pub struct Watches {
    shared: Mutex<HashMap<(String, String), Shared>>,
    writes: Writes,
}

/// What our own last write of each object left, by collection and key: older sights of the object say nothing.
type Writes = Arc<Mutex<HashMap<(String, Key), Written>>>;

#[derive(Debug)]
struct Shared {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watches {
    /// Remembers what a write of ours left.
    pub fn wrote(&self, kind: &Resolved, key: &Key, object: &Value) {
        if let Some(written) = Written::of(object) {
            lock(&self.writes).insert((kind.collection(""), key.clone()), written);
        }
    }

    /// The object each time that it moves, beginning with how it is now; `None` once it isn't there.
    ///
    /// What another one took the place of isn't there any more. A Job or Pod that went is seen once more as it was at its
    /// end. Errors are those that end no sooner than somebody changes our rights; everything else is tried again.
    pub fn follow(
        &self,
        kube: &Kube,
        kind: &Resolved,
        key: Key,
    ) -> BoxStream<'static, Result<Option<Arc<Value>>, DriverError>> {
        let seen = self.shared(kube, kind, &key.namespace);
        let written = lock(&self.writes).get(&(kind.collection(""), key.clone())).cloned().unwrap_or_default();
        let first = (seen, key.name, written, None::<Sight>);
        stream::unfold(first, |(mut seen, name, written, last)| async move {
            loop {
                let now = seen.borrow_and_update().sight(&name, &written, last.as_ref());
                if let Some(now) = now.filter(|now| last.as_ref() != Some(now)) {
                    return Some((now.clone().told(), (seen, name, written, Some(now))));
                }
                seen.changed().await.ok()?;
            }
        })
        .boxed()
    }

    /// Whether this run has written an object.
    pub(crate) fn has_written(&self, kind: &Resolved, key: &Key) -> bool {
        lock(&self.writes).contains_key(&(kind.collection(""), key.clone()))
    }

    /// All objects of a kind in a namespace, as they are seen from now on.
    pub(crate) fn all(&self, kube: &Kube, kind: &Resolved, namespace: &str) -> watch::Receiver<Seen> {
        self.shared(kube, kind, namespace)
    }

    fn shared(&self, kube: &Kube, kind: &Resolved, namespace: &str) -> watch::Receiver<Seen> {
        let mut shared = lock(&self.shared);
        let place = (kind.collection(""), namespace.to_owned());
        shared.entry(place).or_insert_with(|| start(kube, kind, namespace, &self.writes)).seen.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are whole after every single insertion, so a panic elsewhere doesn't spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(kube: &Kube, kind: &Resolved, namespace: &str, writes: &Writes) -> Shared {
    let resource = ApiResource {
        group: kind.gvk.group.clone(),
        version: kind.gvk.version.clone(),
        api_version: kind.gvk.api_version(),
        kind: kind.gvk.kind.clone(),
        plural: kind.plural.clone(),
    };
    let client = kube.client().clone();
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client, &resource),
        namespace => Api::namespaced_with(client, namespace, &resource),
    };
    let (sender, seen) = watch::channel(Seen::default());
    let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
    let mut keeper = Keeper::new(kind, namespace, sender);
    let (writes, place) = (Arc::clone(writes), (kind.collection(""), namespace.to_owned()));
    let ours = move || {
        let writes = lock(&writes);
        let here = writes.iter().filter(|((kind, key), _)| (kind, &key.namespace) == (&place.0, &place.1));
        here.map(|((_, key), written)| (key.name.clone(), written.version)).collect()
    };
    let task = tokio::spawn(async move {
        // An error is followed by another attempt after a pause; patience ends the wait, not one lost connection.
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => keeper.take(event, &ours),
                Err(error) => keeper.failed(&error),
            }
        }
    });
    Shared { seen, task }
}
