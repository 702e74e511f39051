//! Tells how two states of one live object differ, as a dry-run apply's answer differs from the object that it was sent for.
//!
//! The walk calls itself for each level of a document; `serde_json` reads none deeper than 128.

use cfrt_engine::change::FieldChange;
use serde_json::{Map, Value};

use super::align::{Pair, align};
use super::path::{Path, Step};

/// Metadata that the server keeps for itself and that moves without anyone's wish.
const BOOKKEEPING: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// Gives every field in which two states of an object differ; status and the server's bookkeeping are no part of it.
pub fn difference(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut walk = Difference { path: Path::default(), changes: Vec::new() };
    walk.value(before, after);
    walk.changes
}

struct Difference<'a> {
    path: Path<'a>,
    changes: Vec<FieldChange>,
}

impl<'a> Difference<'a> {
    fn value(&mut self, before: &'a Value, after: &'a Value) {
        match (before, after) {
            (Value::Object(was), Value::Object(will)) => self.map(was, will),
            (Value::Array(was), Value::Array(will)) => match align(will, was) {
                Some(pairs) => self.list(was, will, pairs),
                None => self.change(Some(before), Some(after)),
            },
            (_, _) if before == after => {}
            (_, _) => self.change(Some(before), Some(after)),
        }
    }

    fn map(&mut self, before: &'a Map<String, Value>, after: &'a Map<String, Value>) {
        for (key, was) in before.iter().filter(|(key, _)| !self.is_left_out(key)).collect::<Vec<_>>() {
            self.at(Step::Key(key), |walk| match after.get(key) {
                Some(will) => walk.value(was, will),
                None => walk.change(Some(was), None),
            });
        }
        for (key, will) in
            after.iter().filter(|(key, _)| !before.contains_key(*key) && !self.is_left_out(key)).collect::<Vec<_>>()
        {
            self.at(Step::Key(key), |walk| walk.change(None, Some(will)));
        }
    }

    fn list(&mut self, before: &'a [Value], after: &'a [Value], pairs: Vec<Pair>) {
        for pair in pairs {
            match pair {
                Pair::Both(will, was) => {
                    self.at(Step::item(will, &after[will]), |walk| walk.value(&before[was], &after[will]));
                }
                Pair::Wanted(will) => {
                    self.at(Step::item(will, &after[will]), |walk| walk.change(None, Some(&after[will])));
                }
                Pair::Live(was) => {
                    self.at(Step::item(was, &before[was]), |walk| walk.change(Some(&before[was]), None));
                }
            }
        }
    }

    fn is_left_out(&self, key: &str) -> bool {
        if self.path.is_root() {
            return key == "status";
        }
        self.path.is_at("metadata") && BOOKKEEPING.contains(&key)
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn drawn(before: &Value, after: &Value) -> Vec<String> {
        let word = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
        let line =
            |change: &FieldChange| format!("{}: {} to {}", change.path, word(&change.before), word(&change.after));
        difference(before, after).iter().map(line).collect()
    }

    #[test]
    fn each_change_is_told_once_and_as_small_as_it_is() {
        let before = json!({"spec": {"replicas": 1, "old": {}, "containers": [{"name": "a", "image": "x"}, {"name": "b"}], "args": ["1", "2"]}});
        let after = json!({"spec": {"replicas": 2, "new": [], "containers": [{"name": "a", "image": "y"}, {"name": "c"}], "args": ["1", "2", "3"]}});
        let expected = [
            "spec.args[2]: nothing to \"3\"",
            "spec.containers[a].image: \"x\" to \"y\"",
            "spec.containers[c]: nothing to {\"name\":\"c\"}",
            "spec.containers[b]: {\"name\":\"b\"} to nothing",
            "spec.old: {} to nothing",
            "spec.replicas: 1 to 2",
            "spec.new: nothing to []",
        ];
        assert_eq!(drawn(&before, &after), expected);
    }

    #[test]
    fn a_change_of_order_is_one_change_of_the_list() {
        let (before, after) =
            (json!({"env": [{"name": "a"}, {"name": "b"}]}), json!({"env": [{"name": "b"}, {"name": "a"}]}));
        assert_eq!(drawn(&before, &after), [r#"env: [{"name":"a"},{"name":"b"}] to [{"name":"b"},{"name":"a"}]"#]);
    }

    #[test]
    fn bookkeeping_is_left_out_of_the_object_and_nowhere_else() {
        let state = |n: u32| {
            let metadata = json!({"managedFields": n, "resourceVersion": n, "generation": n, "uid": n, "creationTimestamp": n, "selfLink": n, "name": n});
            json!({"metadata": metadata, "status": n, "spec": {"template": {"metadata": {"uid": n}}, "status": n}})
        };
        let expected = ["metadata.name: 1 to 2", "spec.status: 1 to 2", "spec.template.metadata.uid: 1 to 2"];
        assert_eq!(drawn(&state(1), &state(2)), expected);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (0..3u8).prop_map(Value::from),
            "[ab]?".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop_oneof![Just("name".to_owned()), Just("port".to_owned()), "[a-c]"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4).prop_map(|map| map.into_iter().collect())
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_is_no_difference_and_unequal_is_one(before in any_json(), after in any_json()) {
            prop_assert_eq!(difference(&before, &before), vec![]);
            prop_assert_eq!(difference(&before, &after).is_empty(), before == after);
        }
    }
}
