//! Takes from a list's bytes, in one go, the objects that are wanted; of the others no more than their names are kept.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Gives name and content of the wanted items of a list, and the revision that the list has.
///
/// # Errors
///
/// What is no list, or has an item without a name.
pub(crate) fn pick(body: &[u8], wanted: &HashSet<String>) -> serde_json::Result<(Vec<Found>, String)> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let found = List { wanted }.deserialize(&mut json)?;
    json.end()?;
    Ok(found)
}

type Found = (String, Map<String, Value>);

/// What a list says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    /// How new it is.
    resource_version: String,
    /// Where it goes on; nothing, since all of it is asked for.
    r#continue: Option<String>,
}

#[derive(Clone, Copy)]
struct List<'w> {
    wanted: &'w HashSet<String>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = (Vec<Found>, String);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = (Vec<Found>, String);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut metadata) = (None, ListMetadata::default());
        while let Some(key) = list.next_key::<Cow<'_, str>>()? {
            match &*key {
                "items" => found = Some(list.next_value_seed(Items(self))?),
                "metadata" => metadata = list.next_value()?,
                _ => drop(list.next_value::<IgnoredAny>()?),
            }
        }
        // What is missing from it would be taken for absent, and made.
        if metadata.r#continue.is_some_and(|rest| !rest.is_empty()) {
            return Err(A::Error::custom("the list goes on elsewhere, though all of it was asked for"));
        }
        let found = found.ok_or_else(|| A::Error::custom("it has no items"))?;
        Ok((found, metadata.resource_version))
    }
}

struct Items<'w>(List<'w>);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<Found>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<Found>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("items")
    }

    /// An empty list of metadata has `null` here.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(Item(self.0))? {
            found.extend(item);
        }
        Ok(found)
    }
}

struct Item<'w>(List<'w>);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = Option<Found>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = Option<Found>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    /// Servers write the metadata before what is long, so that little is read in vain.
    fn visit_map<A: MapAccess<'de>>(self, mut item: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = item.next_key::<String>()? {
            let value: Value = item.next_value()?;
            let is_metadata = key == "metadata";
            object.insert(key, value);
            if is_metadata && !self.0.wanted.contains(name(&object)) {
                while item.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return if name(&object).is_empty() { Err(A::Error::custom("an item has no name")) } else { Ok(None) };
            }
        }
        match name(&object) {
            "" => Err(A::Error::custom("an item has no name")),
            name => Ok(Some((name.to_owned(), object))),
        }
    }
}

fn name(object: &Map<String, Value>) -> &str {
    object.get("metadata").and_then(|metadata| metadata["name"].as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picked(body: &str, wanted: &[&str]) -> serde_json::Result<Value> {
        let (found, _) = pick(body.as_bytes(), &wanted.iter().map(|&name| name.to_owned()).collect())?;
        Ok(found.into_iter().map(|(name, object)| (name, Value::Object(object))).collect())
    }

    #[test]
    fn only_what_is_wanted_is_taken() {
        let body = r#"{"kind":"L","metadata":{"name":"x"},"items":[
            {"metadata":{"name":"a"},"data":{"x":"1"}}, {"metadata":{"name":"b"},"data":[1,{}]},
            {"data":{"y":"\n"},"metadata":{"name":"c","labels":{"d":null}}}]}"#;
        let expected = json!({
            "a": {"metadata": {"name": "a"}, "data": {"x": "1"}},
            "c": {"metadata": {"name": "c", "labels": {"d": null}}, "data": {"y": "\n"}},
        });
        assert_eq!(picked(body, &["a", "c", "x"]).expect("it is a list"), expected);
    }

    #[test]
    fn a_list_without_items_is_empty() {
        for body in [r#"{"items":null}"#, r#"{"items":[],"metadata":{"continue":""}}"#] {
            assert_eq!(picked(body, &["a"]).expect("it is a list"), json!({}), "{body}");
        }
    }

    #[test]
    fn junk_is_an_error() {
        let items = ["3", "{}", r#"{"metadata":3}"#, r#"{"metadata":{}}"#, r#"{"metadata":{"name":"a"},"data"}"#];
        for body in items.map(|item| format!(r#"{{"items":[{item}]}}"#)) {
            assert!(picked(&body, &["a"]).is_err(), "{body}");
        }
        let unfinished = r#"{"metadata":{"continue":"x"},"items":[]}"#;
        for body in ["", "[]", "{}", unfinished, r#"{"items":3}"#, r#"{"items":[]"#, r#"{"items":[]} x"#] {
            assert!(picked(body, &["a"]).is_err(), "{body}");
        }
    }
}
