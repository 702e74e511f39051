//! Compares what we want of an object with the live one, without asking the server.
//!
//! The server stores a document differently from how it is written: zeros are dropped, defaults added, quantities
//! rewritten. The field ownership that it keeps tells these apart from what someone changed. The answer errs on one
//! side only: what it calls equal an apply would leave as it is; what it calls different may turn out not to be.
//!
//! The walk calls itself for each level of a document. Its documents were read by parsers that limit depth
//! (`serde_json` to 128), so the stack is safe.

use std::collections::BTreeMap;

use cfrt_engine::change::FieldChange;
use cfrt_engine::resource::{Document, Hole, Pointer};
use serde_json::{Map, Value};

use super::align::{Pair, align};
use super::autoscale::is_autoscaled;
use super::conventions::{Conventions, is_zero};
use super::fields::{self, FieldSet, Items};
use super::path::{Path, Step};

/// What separates a live object from what we want of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The fields that an apply might move.
    ///
    /// One with `before` equal to `after` is a value that an apply would only take back from another manager.
    pub fields: Vec<FieldChange>,
    /// The places of the document whose live values stay, since others look after them.
    pub kept: Vec<Kept>,
    /// The manager has written the object in other ways than apply: see [`fields::migrate`].
    pub migrate: bool,
    /// An apply removes what is no longer named only once ownership has moved, and so a dry run doesn't show it.
    pub hides_removals: bool,
    /// The manager has written the object in no way. Until it has applied it, whose its values are stays open.
    pub foreign: bool,
}

/// A place whose live value stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Where it is in the document.
    pub place: Pointer,
    /// The value, where the manager owns it: left out it would go, and where others own it, sent it would become the manager's.
    pub value: Option<Value>,
}

/// Compares a document, as [`normalised`](super::normalise::normalised) and with its ownership metadata, with the live object.
///
/// Only what the document names counts, and what `manager` applied earlier and the document no longer names.
pub fn compare(wanted: &Document, live: &Value, manager: &str) -> Compared {
    let applied = fields::owned(live, manager);
    // After ordinary writes defaults are owned too; they say who owns a value, not what the document once named.
    let owned = applied.or_else(|| fields::updated(live, manager)).unwrap_or_default();
    let conventions = Conventions::of(&wanted.body);
    let mut comparison = Comparison {
        conventions,
        holes: &wanted.holes,
        removes: applied.is_some(),
        path: Path::default(),
        texts: fields::owns_texts(live, manager),
        autoscaled: is_autoscaled(live),
        aggregated: conventions.aggregates_roles() && wanted.body["aggregationRule"].is_object(),
        changes: Vec::new(),
        kept: Vec::new(),
    };
    comparison.value(&wanted.body, live, Owned::Fields(owned));
    Compared {
        fields: comparison.changes,
        kept: comparison.kept,
        migrate: fields::needs_migration(live, manager),
        hides_removals: fields::needs_migration(live, manager) || fields::owns_texts(live, manager),
        foreign: !fields::has_written(live, manager),
    }
}

/// What the manager owns at the place where the walk stands.
#[derive(Debug, Clone, Copy)]
enum Owned<'a> {
    /// Fields below this place.
    Fields(FieldSet<'a>),
    /// The value as a whole.
    Whole,
    /// Nothing here, though the value around is ours.
    Lost,
    /// Nothing here, nor in the value around.
    Foreign,
}

impl<'a> Owned<'a> {
    fn field(self, key: &str) -> Self {
        self.below(|set| set.field(key))
    }

    fn items(self) -> Option<Items<'a>> {
        match self {
            Self::Fields(set) => Some(set.items()),
            Self::Whole | Self::Lost | Self::Foreign => None,
        }
    }

    fn below(self, find: impl FnOnce(FieldSet<'a>) -> Option<FieldSet<'a>>) -> Self {
        match self {
            Self::Fields(set) => match find(set) {
                Some(below) if below.is_leaf() => Self::Whole,
                Some(below) => Self::Fields(below),
                None => Self::Lost,
            },
            Self::Whole => Self::Whole,
            Self::Lost | Self::Foreign => Self::Foreign,
        }
    }

    fn is_ours(self) -> bool {
        match self {
            Self::Fields(_) | Self::Whole => true,
            Self::Lost | Self::Foreign => false,
        }
    }
}

struct Comparison<'a> {
    conventions: Conventions<'a>,
    holes: &'a BTreeMap<Pointer, Hole>,
    /// Whether what is owned was once named by a document of ours.
    removes: bool,
    /// Whether texts of a Secret were applied as such.
    texts: bool,
    /// Whether an autoscaler looks after the replicas.
    autoscaled: bool,
    /// Whether the rules are gathered from other roles.
    aggregated: bool,
    path: Path<'a>,
    changes: Vec<FieldChange>,
    kept: Vec<Kept>,
}

impl<'a> Comparison<'a> {
    fn value(&mut self, wanted: &'a Value, live: &'a Value, owned: Owned<'a>) {
        match (wanted, live) {
            (Value::Object(ours), Value::Object(theirs)) => self.map(ours, theirs, owned),
            (Value::Array(ours), Value::Array(theirs)) => match align(ours, theirs) {
                Some(pairs) => self.list(ours, theirs, pairs, owned),
                None => self.change(Some(live), Some(wanted)),
            },
            (Value::Null, Value::Null) => {}
            (Value::Null, _) if self.conventions.is_always_there(live, self.path.keys_upwards()) => {}
            (Value::Null, _) if !self.keeps_empty() => self.change(Some(live), None),
            (_, _) if self.conventions.same_scalar(wanted, live, self.path.keys_upwards()) => {}
            (_, _) if self.is_identity() => {}
            (_, _) => self.change(Some(live), Some(wanted)),
        }
    }

    fn map(&mut self, wanted: &'a Map<String, Value>, live: &'a Map<String, Value>, owned: Owned<'a>) {
        let texts = self.texts(owned);
        for (key, value) in wanted {
            let below = match owned.field(key) {
                // An object's metadata is never owned as a whole, and not at all where it names nothing but the object.
                Owned::Lost if self.path.is_root() && key == "metadata" => Owned::Fields(FieldSet::default()),
                Owned::Lost if texts.is_some() && key == "data" => Owned::Fields(FieldSet::default()),
                below => below,
            };
            self.at(Step::Key(key), |walk| match live.get(key) {
                Some(there) => walk.present(value, there, below),
                None => walk.absent(value, below),
            });
        }
        match owned {
            Owned::Whole => self.added(wanted, live),
            Owned::Fields(set) if self.removes => self.no_longer_named(wanted, live, set),
            Owned::Fields(_) | Owned::Lost | Owned::Foreign => {}
        }
        if let (Some(texts), Some(Value::Object(there))) = (texts, live.get("data")) {
            let nothing = Map::new();
            let named = wanted.get("data").and_then(Value::as_object).unwrap_or(&nothing);
            self.at(Step::Key("data"), |walk| walk.no_longer_named(named, there, texts));
        }
    }

    /// The texts of a Secret that were applied as such: nobody owns them where they are stored.
    fn texts(&self, owned: Owned<'a>) -> Option<FieldSet<'a>> {
        match owned {
            Owned::Fields(set) if self.texts && self.removes && self.path.is_root() => set.field("stringData"),
            Owned::Fields(_) | Owned::Whole | Owned::Lost | Owned::Foreign => None,
        }
    }

    fn list(&mut self, wanted: &'a [Value], live: &'a [Value], pairs: Vec<Pair>, owned: Owned<'a>) {
        let items = owned.items();
        for pair in pairs {
            match pair {
                Pair::Both(ours, theirs) => {
                    let below = owned.below(|_| items.as_ref()?.get(theirs, &live[theirs]));
                    let step = Step::item(ours, &wanted[ours]);
                    self.at(step, |walk| walk.present(&wanted[ours], &live[theirs], below));
                }
                Pair::Wanted(ours) => {
                    self.at(Step::item(ours, &wanted[ours]), |walk| walk.change(None, Some(&wanted[ours])));
                }
                // Where a list is merged item by item, what others put into it stays.
                Pair::Live(theirs) if items.as_ref().is_some_and(|items| items.is_others(&live[theirs])) => {}
                Pair::Live(theirs) => {
                    self.at(Step::item(theirs, &live[theirs]), |walk| walk.change(Some(&live[theirs]), None));
                }
            }
        }
    }

    fn present(&mut self, wanted: &'a Value, live: &'a Value, owned: Owned<'a>) {
        if self.is_generated() && !live.is_null() {
            return;
        }
        if self.is_others(owned) && !live.is_null() {
            let value = owned.is_ours().then(|| live.clone());
            self.kept.push(Kept { place: self.path.pointer(), value });
            return;
        }
        let before = (self.changes.len(), self.kept.len());
        self.value(wanted, live, owned);
        let filled = (live.is_object() || live.is_array()) && !is_zero(live);
        if matches!(owned, Owned::Lost) && filled && (self.changes.len(), self.kept.len()) == before {
            // Whoever took an atomic value may have put more into it than the document names.
            self.change(Some(live), Some(wanted));
        }
    }

    fn absent(&mut self, wanted: &'a Value, owned: Owned<'a>) {
        let empty = wanted.is_null() || wanted.is_object() || wanted.is_array();
        // A zero that was dropped on storing is still owned; a field that someone removed is not.
        let dropped = is_zero(wanted) && !self.keeps_empty() && (empty || owned.is_ours());
        if !dropped && !self.is_identity() {
            self.change(None, Some(wanted));
        }
    }

    /// Finds what only the live side of a value has that is ours as a whole.
    fn added(&mut self, wanted: &'a Map<String, Value>, live: &'a Map<String, Value>) {
        for (key, there) in live.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            self.at(Step::Key(key), |walk| {
                if !walk.conventions.is_default(there, walk.path.keys_upwards()) {
                    walk.change(Some(there), None);
                }
            });
        }
    }

    fn no_longer_named(&mut self, wanted: &Map<String, Value>, live: &'a Map<String, Value>, owned: FieldSet<'a>) {
        for (key, below) in owned.fields().filter(|(key, _)| !wanted.contains_key(*key)) {
            let Some(there) = live.get(key) else { continue };
            self.at(Step::Key(key), |walk| match there {
                Value::Object(map) if !map.is_empty() && !below.is_leaf() => {
                    walk.no_longer_named(&Map::new(), map, below);
                }
                _ if walk.conventions.is_always_there(there, walk.path.keys_upwards()) => {}
                _ => walk.change(Some(there), None),
            });
        }
    }

    fn at(&mut self, step: Step<'a>, walk: impl FnOnce(&mut Self)) {
        self.path.push(step);
        walk(self);
        self.path.pop();
    }

    fn change(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let path = self.path.to_string();
        self.changes.push(FieldChange::new(path, before.cloned(), after.cloned()));
    }

    fn is_generated(&self) -> bool {
        !self.holes.is_empty() && self.holes.get(&self.path.pointer()) == Some(&Hole::Generated)
    }

    /// Tells whether the place is one that others are there to write: replicas under an autoscaler, rules that are gathered
    /// from other roles, certificates that were injected.
    fn is_others(&self, owned: Owned<'_>) -> bool {
        let mut keys = self.path.keys_upwards();
        match keys.next() {
            Some("replicas") => self.autoscaled && keys.eq(["spec"]),
            Some("rules") => self.aggregated && keys.next().is_none(),
            Some("caBundle") => !owned.is_ours() && self.conventions.is_ca_bundle_of(keys),
            Some(_) | None => false,
        }
    }

    /// Tells whether nulls and empty values stay as written; metadata is the same in every kind and drops them.
    fn keeps_empty(&self) -> bool {
        self.conventions.is_custom() && self.path.top() != Some("metadata")
    }

    /// Tells whether the place is part of the object's address: items of lists come without kind, objects that live in
    /// no namespace may be written with one, and one whose version is yet to come was read under another.
    fn is_identity(&self) -> bool {
        matches!(self.path.pointer().as_str(), "/apiVersion" | "/kind" | "/metadata/namespace")
    }
}

#[cfg(test)]
mod others;
#[cfg(test)]
mod tests;
