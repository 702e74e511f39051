//! Comparing two renderings of one chart: what differs is generated.

use std::collections::BTreeMap;

use cfrt_engine::resource::{Document, Hole, Pointer};
use serde_json::Value;

use crate::vault::member;

/// The objects of a second rendering, to be found by those of the first.
pub(crate) struct Second(BTreeMap<(String, String, usize), Value>);

/// Counts objects of one kind and template, since names may be generated too.
#[derive(Default)]
pub(crate) struct Turns(BTreeMap<(String, String), usize>);

impl Turns {
    fn key(&mut self, source: &str, value: &Value) -> (String, String, usize) {
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        let turn = self.0.entry((source.to_owned(), kind.clone())).or_default();
        *turn += 1;
        (source.to_owned(), kind, *turn)
    }
}

impl Second {
    /// Takes the objects in the order of the rendering.
    pub(crate) fn new(values: impl Iterator<Item = (String, Value)>) -> Self {
        let mut turns = Turns::default();
        Self(values.map(|(source, value)| (turns.key(&source, &value), value)).collect())
    }

    /// Gives the places where an object differs from its counterpart; `None` where it has none.
    pub(crate) fn differing(&self, turns: &mut Turns, source: &str, value: &Value) -> Option<Vec<Pointer>> {
        let other = self.0.get(&turns.key(source, value))?;
        let mut places = Vec::new();
        compare(Pointer::new(), value, other, &mut places);
        Some(places)
    }
}

/// Marks places as generated; a secret there stays sealed.
pub(crate) fn mark(document: &mut Document, places: Vec<Pointer>) {
    document.holes.extend(places.into_iter().map(|place| (place, Hole::Generated)));
}

fn compare(place: Pointer, one: &Value, other: &Value, places: &mut Vec<Pointer>) {
    match (one, other) {
        _ if one == other => {}
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            for (key, value) in one {
                compare(member(&place, key), value, &other[key], places);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                compare(format!("{place}/{at}"), one, other, places);
            }
        }
        (_, _) => places.push(place),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn differing(one: Value, other: Value) -> Vec<Pointer> {
        let second = Second::new([("t".to_owned(), other)].into_iter());
        second.differing(&mut Turns::default(), "t", &one).unwrap()
    }

    #[test]
    fn the_smallest_part_that_differs_is_named() {
        let one = json!({"a": {"b/c": [1, 2, {"d": "x"}], "e": 1}, "list": [1], "map": {"k": 1}});
        let other = json!({"a": {"b/c": [1, 3, {"d": "y"}], "e": 1}, "list": [1, 2], "map": {"l": 1}});
        assert_eq!(differing(one, other), ["/a/b~1c/1", "/a/b~1c/2/d", "/list", "/map"]);
        assert_eq!(differing(json!({"a": 1}), json!({"a": 1})), Vec::<Pointer>::new());
    }

    #[test]
    fn objects_with_generated_names_are_found_by_their_turn() {
        let object = |name: &str| json!({"kind": "Job", "metadata": {"name": name}});
        let second = Second::new(["x1", "x2"].map(|name| ("t".to_owned(), object(name))).into_iter());
        let mut turns = Turns::default();
        assert_eq!(second.differing(&mut turns, "t", &object("y1")).unwrap(), ["/metadata/name"]);
        assert_eq!(second.differing(&mut turns, "t", &object("x2")).unwrap(), Vec::<Pointer>::new());
        assert_eq!(second.differing(&mut turns, "t", &object("only here")), None);
    }

    proptest! {
        #[test]
        fn every_place_can_be_found_in_the_document(one in any_json(), other in any_json()) {
            for place in differing(one.clone(), other.clone()) {
                prop_assert_ne!(one.pointer(&place), other.pointer(&place));
                prop_assert!(one.pointer(&place).is_some());
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3_i32).prop_map(Value::from)];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a/~]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
