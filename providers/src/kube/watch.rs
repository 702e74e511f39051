//! Watching objects while they settle: one shared watch for each kind and namespace, however many wait on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, BoxStream, StreamExt as _};
use kube::api::{Api, DynamicObject, TypeMeta};
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::Kube;
use super::gvk::Resolved;
use super::read::Key;

/// The objects of one kind in one namespace as last seen; `None` until the first list is complete.
type Seen = Option<BTreeMap<String, Arc<Value>>>;

/// All watches of a run. They end with it.
#[derive(Debug, Default)]
pub struct Watches {
    shared: Mutex<HashMap<(String, String), Shared>>,
    /// The resourceVersion that our own last write left: older sights of the object say nothing.
    floors: Mutex<HashMap<(String, Key), u64>>,
}

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
        if let Some(version) = version(object) {
            lock(&self.floors).insert((kind.collection(""), key.clone()), version);
        }
    }

    /// The object each time that it moves, beginning with how it is now; `None` while it isn't there.
    pub fn follow(&self, kube: &Kube, kind: &Resolved, key: Key) -> BoxStream<'static, Option<Arc<Value>>> {
        let seen = self.shared(kube, kind, &key.namespace);
        let floor = lock(&self.floors).get(&(kind.collection(""), key.clone())).copied().unwrap_or(0);
        let first = (seen, key.name, None::<Option<Arc<Value>>>);
        stream::unfold(first, move |(mut seen, name, last)| async move {
            loop {
                let now = seen.borrow_and_update().as_ref().map(|objects| objects.get(&name).cloned());
                let news = now.filter(|now| current(now.as_deref(), floor) && last.as_ref() != Some(now));
                if let Some(now) = news {
                    return Some((now.clone(), (seen, name, Some(now))));
                }
                seen.changed().await.ok()?;
            }
        })
        .boxed()
    }

    fn shared(&self, kube: &Kube, kind: &Resolved, namespace: &str) -> watch::Receiver<Seen> {
        let mut shared = lock(&self.shared);
        let place = (kind.collection(""), namespace.to_owned());
        shared.entry(place).or_insert_with(|| start(kube, kind, namespace)).seen.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The maps are whole after every single insertion, so a panic elsewhere doesn't spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

fn current(object: Option<&Value>, floor: u64) -> bool {
    object.and_then(version).is_none_or(|version| version >= floor)
}

fn start(kube: &Kube, kind: &Resolved, namespace: &str) -> Shared {
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
    let (sender, seen) = watch::channel(None);
    let events = watcher(api, watcher::Config::default()).default_backoff();
    // What comes from a list doesn't say of which kind it is.
    let types = TypeMeta { api_version: kind.gvk.api_version(), kind: kind.gvk.kind.clone() };
    let task = tokio::spawn(async move {
        let mut listing = BTreeMap::new();
        // An error is followed by another attempt after a pause; patience ends the wait, not one lost connection.
        let mut events = Box::pin(events.filter_map(|event| async { event.ok() }));
        while let Some(event) = events.next().await {
            take(event, &types, &mut listing, &sender);
        }
    });
    Shared { seen, task }
}

fn take(
    event: watcher::Event<DynamicObject>,
    types: &TypeMeta,
    listing: &mut BTreeMap<String, Arc<Value>>,
    seen: &watch::Sender<Seen>,
) {
    let named = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
    let value = |object: DynamicObject| {
        let object = DynamicObject { types: Some(types.clone()), ..object };
        Arc::new(serde_json::to_value(object).unwrap_or_default())
    };
    match event {
        watcher::Event::Init => listing.clear(),
        watcher::Event::InitApply(object) => {
            listing.insert(named(&object), value(object));
        }
        watcher::Event::InitDone => {
            seen.send_replace(Some(std::mem::take(listing)));
        }
        watcher::Event::Apply(object) => seen.send_modify(|seen| {
            seen.get_or_insert_default().insert(named(&object), value(object));
        }),
        watcher::Event::Delete(object) => seen.send_modify(|seen| {
            seen.get_or_insert_default().remove(&named(&object));
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn types() -> TypeMeta {
        TypeMeta { api_version: "apps/v1".to_owned(), kind: "Deployment".to_owned() }
    }

    #[test]
    fn what_a_list_brings_says_of_which_kind_it_is() {
        let (sender, seen) = watch::channel(None);
        let listed: DynamicObject =
            serde_json::from_value(json!({"metadata": {"name": "a"}})).expect("it is an object");
        let mut listing = BTreeMap::new();
        for event in [watcher::Event::Init, watcher::Event::InitApply(listed), watcher::Event::InitDone] {
            take(event, &types(), &mut listing, &sender);
        }
        let seen = seen.borrow().clone().expect("the list is complete");
        assert_eq!((&seen["a"]["apiVersion"], &seen["a"]["kind"]), (&json!("apps/v1"), &json!("Deployment")));
    }

    #[test]
    fn sights_older_than_our_own_write_say_nothing() {
        let at = |version: &str| json!({"metadata": {"resourceVersion": version}});
        assert!(!current(Some(&at("9")), 10));
        assert!(current(Some(&at("10")), 10));
        assert!(current(None, 10));
    }
}
