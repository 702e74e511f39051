//! What a watch knows of the objects that it follows, and what that says to someone who wrote one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use cfrt_engine::driver::DriverError;
use kube::api::{DynamicObject, TypeMeta};
use kube::runtime::watcher;
use serde_json::Value;
use tokio::sync::watch;

use super::client::ApiError;
use super::gvk::Resolved;

/// What a write of ours left; the default stands for an object that we haven't written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The resourceVersion.
    pub(crate) version: u64,
    uid: String,
}

impl Written {
    /// `None` where the resourceVersion is no number, so that nothing can be older.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let uid = object["metadata"]["uid"].as_str()?.to_owned();
        Some(Self { version: version(object)?, uid })
    }
}

/// What can be said of one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sight {
    /// It is there.
    Here(Arc<Value>),
    /// It isn't there.
    Gone,
    /// The server doesn't let us look.
    Refused(Refusal),
}

impl Sight {
    /// The same for those who wait.
    pub(crate) fn told(self) -> Result<Option<Arc<Value>>, DriverError> {
        match self {
            Self::Here(object) => Ok(Some(object)),
            Self::Gone => Ok(None),
            Self::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// Why a watch can't be had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    doing: String,
    code: u16,
    reason: String,
    message: String,
}

impl From<Refusal> for DriverError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { doing, code, reason, message } = refusal;
        let error = ApiError::of_status(code, reason, message);
        error.during(doing).hint("waiting until something is ready needs the verbs list and watch")
    }
}

/// The objects of one kind in one namespace as last seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// `None` until the first list is complete.
    objects: Option<BTreeMap<String, Arc<Value>>>,
    /// How those of ours that run to an end were when they went.
    ended: BTreeMap<String, Arc<Value>>,
    /// Nothing that was written up to this resourceVersion is missing.
    as_of: u64,
    refusal: Option<Refusal>,
}

impl Seen {
    /// Whether there is anything to know by now, be it that nobody may.
    pub(crate) fn is_known(&self) -> bool {
        self.objects.is_some() || self.refusal.is_some()
    }

    /// The objects that name another one as an owner, by its uid.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<Value>> {
        let is_owned = |object: &&Arc<Value>| {
            let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            owners.into_iter().any(|owner| owner["uid"] == uid)
        };
        self.objects.iter().flat_map(BTreeMap::values).filter(is_owned).cloned().collect()
    }

    /// What is to be said of an object after our own write of it; `None` where that isn't known yet.
    pub(crate) fn sight(&self, name: &str, written: &Written, before: Option<&Sight>) -> Option<Sight> {
        if let Some(refusal) = &self.refusal {
            return Some(Sight::Refused(refusal.clone()));
        }
        let is_ours = |object: &&Arc<Value>| written.uid.is_empty() || object["metadata"]["uid"] == *written.uid;
        match self.objects.as_ref()?.get(name) {
            Some(object) if version(object).is_some_and(|version| version < written.version) => None,
            Some(object) if is_ours(&object) => Some(Sight::Here(Arc::clone(object))),
            None if self.as_of < written.version => None,
            Some(_) | None => {
                let ended = self.ended.get(name).filter(is_ours).map(|end| Sight::Here(Arc::clone(end)));
                let told = before == Some(&Sight::Gone) || before == ended.as_ref();
                Some(ended.filter(|_| !told).unwrap_or(Sight::Gone))
            }
        }
    }
}

/// Keeps what is seen up to date.
pub(crate) struct Keeper {
    /// What comes from a list doesn't say of which kind it is.
    types: TypeMeta,
    /// `deployments in namespace x`
    place: String,
    /// Whether the objects run to an end.
    runs: bool,
    listing: BTreeMap<String, Arc<Value>>,
    /// The newest of our writes when the list was asked for.
    listed: u64,
    seen: watch::Sender<Seen>,
}

impl Keeper {
    /// Knows nothing yet.
    pub(crate) fn new(kind: &Resolved, namespace: &str, seen: watch::Sender<Seen>) -> Self {
        let types = TypeMeta { api_version: kind.gvk.api_version(), kind: kind.gvk.kind.clone() };
        let place = match namespace {
            "" => kind.plural.clone(),
            namespace => format!("{} in namespace {namespace}", kind.plural),
        };
        let runs = matches!(kind.plural.as_str(), "jobs" | "pods");
        Self { types, place, runs, listing: BTreeMap::new(), listed: 0, seen }
    }

    /// Takes what a watch tells; `ours` gives the versions that we have written so far, by name.
    pub(crate) fn take(&mut self, event: watcher::Event<DynamicObject>, ours: impl Fn() -> BTreeMap<String, u64>) {
        match event {
            watcher::Event::Init => {
                self.listing.clear();
                self.listed = ours().into_values().max().unwrap_or(0);
            }
            watcher::Event::InitApply(object) => {
                let (name, object) = self.named(object);
                self.listing.insert(name, object);
            }
            watcher::Event::InitDone => self.list_is_complete(),
            watcher::Event::Apply(object) => {
                let (name, object) = self.named(object);
                self.seen.send_modify(|seen| {
                    seen.refusal = None;
                    seen.as_of = seen.as_of.max(version(&object).unwrap_or(0));
                    seen.ended.remove(&name);
                    seen.objects.get_or_insert_default().insert(name, object);
                });
            }
            watcher::Event::Delete(object) => {
                let (name, object) = self.named(object);
                let keeps = self.runs && ours().contains_key(&name);
                self.seen.send_modify(|seen| {
                    seen.refusal = None;
                    seen.as_of = seen.as_of.max(version(&object).unwrap_or(0));
                    seen.objects.get_or_insert_default().remove(&name);
                    if keeps {
                        seen.ended.insert(name, object);
                    }
                });
            }
        }
    }

    /// Takes why a watch broke off: those who wait learn of it where trying again can't help.
    pub(crate) fn failed(&mut self, error: &watcher::Error) {
        let (verb, status) = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => ("listing", status),
            watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => ("watching", status),
            _ => return,
        };
        match status.code {
            401 | 403 => {
                let (reason, message) = (status.reason.clone(), status.message.clone());
                let doing = format!("{verb} {}", self.place);
                let refusal = Refusal { doing, code: status.code, reason, message };
                self.seen.send_modify(|seen| seen.refusal = Some(refusal));
            }
            // Where the kind is gone, so is everything of it.
            404 => {
                self.listing.clear();
                self.list_is_complete();
            }
            _ => {}
        }
    }

    fn list_is_complete(&mut self) {
        let objects = std::mem::take(&mut self.listing);
        let newest = objects.values().filter_map(|object| version(object)).max().unwrap_or(0);
        self.seen.send_modify(|seen| {
            seen.refusal = None;
            seen.as_of = seen.as_of.max(newest).max(self.listed);
            seen.objects = Some(objects);
        });
    }

    fn named(&self, object: DynamicObject) -> (String, Arc<Value>) {
        let name = object.metadata.name.clone().unwrap_or_default();
        let object = DynamicObject { types: Some(self.types.clone()), ..object };
        (name, Arc::new(serde_json::to_value(object).unwrap_or_default()))
    }
}

fn version(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use cfrt_engine::driver::Fault;
    use serde_json::json;
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    use super::*;
    use crate::kube::gvk::Gvk;

    fn object(version: &str, uid: &str) -> Value {
        json!({"metadata": {"name": "a", "resourceVersion": version, "uid": uid}})
    }

    fn dynamic(version: &str, uid: &str) -> DynamicObject {
        serde_json::from_value(object(version, uid)).expect("it is an object")
    }

    fn written(version: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("a".to_owned(), version)])
    }

    fn watching(plural: &str) -> (Keeper, watch::Receiver<Seen>) {
        let (sender, seen) = watch::channel(Seen::default());
        let kind = Resolved { gvk: Gvk::new("batch/v1", "Job"), plural: plural.to_owned(), namespaced: true };
        (Keeper::new(&kind, "n", sender), seen)
    }

    /// What is told of `a` after events and our own write of version 10: `here 12`, `gone`, and `` where nothing is known.
    fn told(events: Vec<watcher::Event<DynamicObject>>, newest: u64) -> String {
        let (mut keeper, seen) = watching("deployments");
        events.into_iter().for_each(|event| keeper.take(event, || written(newest)));
        let sight = seen.borrow().sight("a", &Written::of(&object("10", "u")).expect("it has all"), None);
        drawn(sight.as_ref())
    }

    fn drawn(sight: Option<&Sight>) -> String {
        match sight {
            Some(Sight::Here(object)) => format!("here {}", object["metadata"]["resourceVersion"]),
            Some(Sight::Gone) => "gone".to_owned(),
            Some(Sight::Refused(refusal)) => format!("refused {}", refusal.doing),
            None => String::new(),
        }
    }

    #[test]
    fn what_another_object_owns_is_found_by_its_uid() {
        let (mut keeper, seen) = watching("pods");
        assert!(!seen.borrow().is_known());
        let mut owned = object("1", "u");
        owned["metadata"]["ownerReferences"] = serde_json::json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "other"}, {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "owner"}]);
        let owned = serde_json::from_value(owned).expect("it is an object");
        for event in [Init, InitApply(owned), InitDone] {
            keeper.take(event, BTreeMap::new);
        }
        let of = |uid: &str| seen.borrow().owned_by(uid).len();
        assert_eq!((seen.borrow().is_known(), of("owner"), of("u"), of("")), (true, 1, 0, 0));
    }

    #[test]
    fn what_a_list_brings_says_of_which_kind_it_is() {
        let (mut keeper, seen) = watching("jobs");
        for event in [Init, InitApply(dynamic("1", "u")), InitDone] {
            keeper.take(event, || written(10));
        }
        let Some(Sight::Here(job)) = seen.borrow().sight("a", &Written::default(), None) else { panic!("it is there") };
        assert_eq!((&job["apiVersion"], &job["kind"]), (&json!("batch/v1"), &json!("Job")));
    }

    #[test]
    fn sights_older_than_our_own_write_say_nothing() {
        assert_eq!(told(vec![Init], 0), "");
        assert_eq!(told(vec![Init, InitApply(dynamic("9", "u")), InitDone], 0), "");
        assert_eq!(told(vec![Init, InitApply(dynamic("10", "u")), InitDone], 0), "here \"10\"");
        assert_eq!(told(vec![Init, InitDone], 9), "", "the list was asked for before the write");
        assert_eq!(told(vec![Init, InitDone], 10), "gone");
        assert_eq!(told(vec![Init, InitApply(dynamic("8", "old")), InitDone, Delete(dynamic("9", "old"))], 0), "");
    }

    #[test]
    fn what_was_deleted_after_our_write_is_gone_and_so_is_what_another_one_took_the_place_of() {
        assert_eq!(told(vec![Init, InitDone, Apply(dynamic("10", "u")), Delete(dynamic("11", "u"))], 0), "gone");
        assert_eq!(told(vec![Init, InitDone, Apply(dynamic("12", "other"))], 0), "gone");
        assert_eq!(told(vec![Init, InitDone, Apply(dynamic("12", "u"))], 0), "here \"12\"");
    }

    #[test]
    fn a_job_that_ended_and_went_between_two_looks_is_seen_as_it_ended() {
        let (mut keeper, seen) = watching("jobs");
        let ours = Written::of(&object("10", "u")).expect("it has all");
        for event in [Init, InitDone, Apply(dynamic("10", "u")), Delete(dynamic("12", "u"))] {
            keeper.take(event, || written(10));
        }
        let end = seen.borrow().sight("a", &ours, None);
        assert_eq!(drawn(end.as_ref()), "here \"12\"");
        let then = seen.borrow().sight("a", &ours, end.as_ref());
        assert_eq!(drawn(then.as_ref()), "gone");
        assert_eq!(seen.borrow().sight("a", &ours, then.as_ref()), then);
    }

    #[test]
    fn a_refused_watch_is_told_at_once_and_other_errors_are_not() {
        let (mut keeper, seen) = watching("jobs");
        let said = |code| match code {
            403 => {
                r#"jobs is forbidden: User "a" cannot list resource "jobs" in API group "batch" in the namespace "n""#
            }
            _ => "no",
        };
        let failure = |code| {
            let status = kube::core::Status { code, message: said(code).to_owned(), ..Default::default() };
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        keeper.failed(&failure(500));
        assert_eq!(seen.borrow().sight("a", &Written::default(), None), None);
        let denied = "a may not list jobs.batch in namespace n";
        for (code, fault, why) in [(403, Fault::Forbidden, denied), (401, Fault::World, "no")] {
            keeper.failed(&failure(code));
            let sight = seen.borrow().sight("a", &Written::default(), None).expect("it is told");
            let error = sight.told().expect_err("it is refused");
            assert_eq!((error.fault, error.chain().join(": ")), (fault, format!("listing jobs in namespace n: {why}")));
        }
        keeper.take(Init, BTreeMap::new);
        keeper.take(InitDone, BTreeMap::new);
        assert_eq!(seen.borrow().sight("a", &Written::default(), None), Some(Sight::Gone), "the rights were given");
        keeper.failed(&failure(403));
        keeper.failed(&failure(404));
        assert_eq!(seen.borrow().sight("a", &Written::default(), None), Some(Sight::Gone), "the kind is gone");
    }
}
