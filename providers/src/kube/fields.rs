//! Reads who owns which field of a live object, and turns a manager's older entries into the one that server-side apply keeps.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::path::named_steps;

/// The fields that a manager owns below some place of an object: a view of a `fieldsV1`.
///
/// The default owns nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct FieldSet<'a>(Option<&'a Map<String, Value>>);

impl<'a> FieldSet<'a> {
    /// Gives what is owned at a key of a map; `None` where the key is not owned.
    pub fn field(self, key: &str) -> Option<Self> {
        self.member(&format!("f:{key}"))
    }

    /// Gives the keys of a map that are owned.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.0.into_iter().flatten();
        members.filter_map(|(member, below)| Some((member.strip_prefix("f:")?, Self(Some(below.as_object()?)))))
    }

    /// Makes the items of a list ready for lookup.
    pub fn items(self) -> Items<'a> {
        let keyed = || {
            let members = self.0.into_iter().flatten();
            members.filter_map(|(member, below)| Some((parsed_key(member)?, Self(Some(below.as_object()?)))))
        };
        let names = keyed().next().map(|(key, _)| key.into_iter().map(|(name, _)| name).collect()).unwrap_or_default();
        let by_key = keyed().map(|(key, below)| (Value::Object(key).to_string(), below)).collect();
        Items { set: self, names, by_key }
    }

    /// Tells whether the value as a whole is owned and nothing below it: a scalar, an atomic map or list, or an empty one.
    pub fn is_leaf(self) -> bool {
        self.0.is_some_and(Map::is_empty)
    }

    /// Whether the place at the end of these steps is owned, or a value around it as a whole; `live` is what is there.
    fn reaches(self, steps: &[String], live: Option<&Value>) -> bool {
        let Some((step, rest)) = steps.split_first() else { return true };
        if self.is_leaf() {
            return true;
        }
        if let Some(below) = self.field(step) {
            return below.reaches(rest, live.and_then(|live| live.get(step)));
        }
        let named = |item: &Value| item.get("name").is_some_and(|name| name == step);
        let items = live.and_then(Value::as_array).into_iter().flatten().enumerate();
        match items.into_iter().find(|(_, item)| named(item)) {
            // What people call an item by need not be what tells it from others.
            Some((index, item)) => self.items().get(index, item).is_some_and(|below| below.reaches(rest, Some(item))),
            None => self.item_named(step).is_some_and(|below| below.reaches(rest, None)),
        }
    }

    /// The item of a list that isn't there any more.
    fn item_named(self, name: &str) -> Option<Self> {
        let mut keyed = self.0.into_iter().flatten().filter_map(|(member, below)| Some((parsed_key(member)?, below)));
        let (_, below) = keyed.find(|(key, _)| key.get("name").is_some_and(|known| known == name))?;
        below.as_object().map(|below| Self(Some(below)))
    }

    fn member(self, name: &str) -> Option<Self> {
        self.0?.get(name)?.as_object().map(|below| Self(Some(below)))
    }
}

/// The owned items of one list.
#[derive(Debug)]
pub struct Items<'a> {
    set: FieldSet<'a>,
    /// The keys that tell items apart. A list has one set of them, in its schema.
    names: Vec<String>,
    by_key: HashMap<String, FieldSet<'a>>,
}

impl<'a> Items<'a> {
    /// Gives what is owned of the item that stands at `index` of the live list.
    pub fn get(&self, index: usize, item: &Value) -> Option<FieldSet<'a>> {
        if let Some(key) = self.key(item) {
            return self.by_key.get(&key).copied();
        }
        if !item.is_object() && !item.is_array() {
            return self.set.member(&format!("v:{item}"));
        }
        self.set.member(&format!("i:{index}"))
    }

    /// Tells whether an item of the live list is one that others own, in a list of which some items are owned here.
    ///
    /// Of a list that is owned as a whole no item is.
    pub fn is_others(&self, item: &Value) -> bool {
        if item.is_object() || item.is_array() {
            return self.key(item).is_some_and(|key| !self.by_key.contains_key(&key));
        }
        let mut members = self.set.0.into_iter().flatten();
        members.any(|(member, _)| member.starts_with("v:")) && self.set.member(&format!("v:{item}")).is_none()
    }

    fn key(&self, item: &Value) -> Option<String> {
        if self.names.is_empty() {
            return None;
        }
        let part = |name: &String| Some((name.clone(), item.get(name)?.clone()));
        let key = self.names.iter().map(part).collect::<Option<Map<_, _>>>()?;
        Some(Value::Object(key).to_string())
    }
}

/// Reads `k:{"name":"x"}`. The server writes some signs in another way than we do, so its text can't be compared.
fn parsed_key(member: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(member.strip_prefix("k:")?).ok()
}

/// Gives the fields that a manager owns by server-side apply.
pub fn owned<'a>(live: &'a Value, manager: &str) -> Option<FieldSet<'a>> {
    entries(live).find(|entry| is_of(entry, manager, "Apply")).and_then(fields_of)
}

/// Gives the fields that a manager's newest ordinary writes own, as Helm 3 leaves them.
pub(crate) fn updated<'a>(live: &'a Value, manager: &str) -> Option<FieldSet<'a>> {
    entries(live).filter(|entry| is_of(entry, manager, "Update")).last().and_then(fields_of)
}

/// Who wrote a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writer<'a> {
    /// As it calls itself.
    pub(crate) manager: &'a str,
    /// The subresource by way of which it wrote, if any.
    pub(crate) subresource: Option<&'a str>,
    /// When, if the server says so.
    pub(crate) time: Option<&'a str>,
    /// Whether it applied the field, as against an ordinary write.
    pub(crate) applied: bool,
}

impl<'a> Writer<'a> {
    fn of(entry: &'a Value) -> Option<Self> {
        let text = |key| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (subresource, time) = (text("subresource"), text("time"));
        Some(Self { manager: text("manager")?, subresource, time, applied: text("operation") == Some("Apply") })
    }
}

/// Finds everyone who owns the field at a path that is written as a plan writes it, whoever came last first.
///
/// Below an item of a list that has no name the list counts. Empty where nobody owns the field any more.
pub(crate) fn writers<'a>(live: &'a Value, path: &str) -> Vec<Writer<'a>> {
    let steps = named_steps(path);
    let owns = |entry: &&Value| fields_of(entry).is_some_and(|set| set.reaches(&steps, Some(live)));
    let mut writers: Vec<Writer<'_>> = entries(live).filter(owns).filter_map(Writer::of).collect();
    writers.sort_by_key(|writer| writer.time);
    writers.reverse();
    writers
}

/// Finds who wrote the field at a path last: see [`writers`].
pub(crate) fn writer<'a>(live: &'a Value, path: &str) -> Option<Writer<'a>> {
    writers(live, path).into_iter().next()
}

/// Finds who made an object of a kind with a field that is written at its creation and never after: its `type`, say.
pub(crate) fn maker<'a>(live: &'a Value, field: &str) -> Option<Writer<'a>> {
    let made = |entry: &&Value| fields_of(entry).is_some_and(|set| set.field(field).is_some());
    entries(live).find(made).and_then(Writer::of)
}

/// Finds who has set an object's replicas by way of `scale`; such writes carry no time.
pub(crate) fn scaler(live: &Value) -> Option<&str> {
    let replicas = |set: FieldSet<'_>| set.field("spec").and_then(|spec| spec.field("replicas")).is_some();
    let mut scalers = entries(live).filter(|entry| entry["subresource"] == "scale");
    scalers.find(|entry| fields_of(entry).is_some_and(replicas))?["manager"].as_str()
}

/// Tells whether a manager owns anything of an object itself, however it wrote it.
pub(crate) fn has_written(live: &Value, manager: &str) -> bool {
    entries(live).any(|entry| is_of(entry, manager, "Apply") || is_of(entry, manager, "Update"))
}

/// Tells whether [`migrate`] has anything to do.
pub fn needs_migration(live: &Value, manager: &str) -> bool {
    let all: Vec<_> = entries(live).collect();
    base(&all, manager).is_some_and(|base| {
        is_of(all[base], manager, "Update") || all.iter().any(|entry| can_join(entry, all[base], manager))
    })
}

/// Tells whether a manager owns texts of a Secret under the name by which it applied them, and not where they are stored.
///
/// An apply that no longer names such a text leaves it standing.
pub(crate) fn owns_texts(live: &Value, manager: &str) -> bool {
    let is_secret = live["kind"] == "Secret" && live["apiVersion"] == "v1";
    let texts = || owned(live, manager)?.field("stringData");
    is_secret && texts().is_some_and(|texts| !texts.is_leaf())
}

/// Gives the object's `managedFields` with the manager's ordinary writes turned into fields that it applied, and texts of a
/// Secret turned into what they are stored as.
///
/// Until that is done an apply that no longer names a field leaves it standing. `None` where there is nothing to do.
/// Field sets of different API versions can't be united: an entry of another version than the applied one's stays.
pub fn migrate(live: &Value, manager: &str) -> Option<Value> {
    if !needs_migration(live, manager) && !owns_texts(live, manager) {
        return None;
    }
    let all: Vec<_> = entries(live).collect();
    let base = base(&all, manager)?;
    let mut applied = all[base].clone();
    applied["operation"] = json!("Apply");
    let mut migrated = Vec::with_capacity(all.len());
    let mut place = 0;
    for (index, entry) in all.iter().enumerate() {
        if index == base {
            place = migrated.len();
            migrated.push(Value::Null);
        } else if can_join(entry, all[base], manager) {
            unite(&mut applied["fieldsV1"], &entry["fieldsV1"]);
        } else {
            migrated.push((*entry).clone());
        }
    }
    if owns_texts(live, manager)
        && let Some(texts) = applied["fieldsV1"].as_object_mut().and_then(|fields| fields.remove("f:stringData"))
    {
        unite(&mut applied["fieldsV1"]["f:data"], &texts);
    }
    migrated[place] = applied;
    Some(Value::Array(migrated))
}

/// Gives the JSON patch that puts [`migrate`]'s answer in place, valid for this very state of the object only.
///
/// `None` where there is nothing to do, and for an object that no server gave us: one without uid or resourceVersion.
pub fn migration_patch(live: &Value, manager: &str) -> Option<Value> {
    let metadata = live.get("metadata")?;
    let (uid, version) = (metadata.get("uid")?, metadata.get("resourceVersion")?);
    Some(json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "replace", "path": "/metadata/managedFields", "value": migrate(live, manager)?},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]))
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn is_of(entry: &Value, manager: &str, operation: &str) -> bool {
    let text = |key| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    text("manager") == manager && text("operation") == operation && text("subresource").is_empty()
}

fn fields_of(entry: &Value) -> Option<FieldSet<'_>> {
    entry.get("fieldsV1")?.as_object().map(|fields| FieldSet(Some(fields)))
}

/// Finds the entry that the others join: the applied one, or else the newest (the server sorts them by time).
fn base(entries: &[&Value], manager: &str) -> Option<usize> {
    let last = |operation| entries.iter().rposition(|entry| is_of(entry, manager, operation));
    last("Apply").or_else(|| last("Update"))
}

fn can_join(entry: &Value, base: &Value, manager: &str) -> bool {
    !std::ptr::eq(entry, base) && is_of(entry, manager, "Update") && entry.get("apiVersion") == base.get("apiVersion")
}

fn unite(into: &mut Value, from: &Value) {
    let Value::Object(from) = from else { return };
    if !into.is_object() {
        *into = json!({});
    }
    for (member, below) in from {
        unite(&mut into[member], below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, version: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn live(entries: &[Value]) -> Value {
        json!({"metadata": {"uid": "u", "resourceVersion": "7", "managedFields": entries}})
    }

    #[test]
    fn items_are_found_by_their_keys_whatever_way_these_are_written() {
        let fields = json!({
            "k:{\"protocol\":\"TCP\",\"containerPort\":80}": {".": {}, "f:name": {}},
            "k:{\"containerPort\":81,\"protocol\":\"a\\u003cb\"}": {"f:hostPort": {}},
            "v:\"x\"": {},
            "i:1": {},
        });
        let items = FieldSet(fields.as_object()).items();
        let first = items.get(0, &json!({"containerPort": 80, "protocol": "TCP", "name": "http"})).unwrap();
        assert!(first.field("name").unwrap().is_leaf());
        assert!(first.field("hostPort").is_none());
        let second = items.get(0, &json!({"containerPort": 81, "protocol": "a<b"})).unwrap();
        assert!(second.field("hostPort").is_some());
        assert!(items.get(0, &json!({"containerPort": 82, "protocol": "TCP"})).is_none());
        assert!(items.get(0, &json!("x")).unwrap().is_leaf());
        assert!(items.get(1, &json!("y")).is_none());
        assert!(items.get(1, &json!({})).is_some());
        assert!(items.get(0, &json!({})).is_none());
    }

    #[test]
    fn only_the_applied_entry_of_the_object_itself_is_owned() {
        let fields = json!({"f:data": {"f:a": {}}});
        let mut status = entry("helm", "Apply", "v1", &json!({"f:status": {}}));
        status["subresource"] = json!("status");
        let others = [status, entry("helm", "Update", "v1", &json!({})), entry("Helm", "Apply", "v1", &json!({}))];
        assert!(owned(&live(&others), "helm").is_none());
        let object = live(&[others.to_vec(), vec![entry("helm", "Apply", "v1", &fields)]].concat());
        let data = owned(&object, "helm").unwrap().field("data").unwrap();
        assert_eq!(data.fields().map(|(key, _)| key).collect::<Vec<_>>(), ["a"]);
        assert!(!data.is_leaf());
        assert!(FieldSet::default().field("data").is_none() && !FieldSet::default().is_leaf());
    }

    #[test]
    fn the_writer_of_a_field_is_whoever_owns_it_and_came_last() {
        let at = |time: &str, entry: Value| {
            let mut entry = entry;
            entry["time"] = json!(time);
            entry
        };
        let image = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}});
        let mut scale = entry("kubectl", "Update", "v1", &json!({"f:spec": {"f:replicas": {}}}));
        scale["subresource"] = json!("scale");
        let object = live(&[
            at("2026-01-02T00:00:00Z", entry("late", "Update", "v1", &image)),
            at("2026-01-01T00:00:00Z", entry("early", "Apply", "v1", &image)),
            scale,
        ]);
        let found =
            |path: &str| writer(&object, path).map(|writer| (writer.manager, writer.subresource == Some("scale")));
        assert_eq!(found("spec.containers[a].image"), Some(("late", false)));
        assert_eq!(found("spec.containers[b].image"), None);
        assert_eq!(found("spec.replicas"), Some(("kubectl", true)));
        assert_eq!(found("spec.paused"), None);
        let port = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}}});
        let service = live(&[entry("helm", "Apply", "v1", &port)]);
        assert_eq!(writer(&service, "spec.ports[http].name"), None, "items that are told apart by another key");
    }

    #[test]
    fn an_item_is_found_by_its_name_whatever_tells_it_from_others() {
        let port = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:targetPort": {}}}}});
        let mut object = live(&[entry("kubectl-edit", "Update", "v1", &port)]);
        let found = |object: &Value, path: &str| writer(object, path).map(|writer| writer.manager.to_owned());
        assert_eq!(found(&object, "spec.ports[http].targetPort"), None);
        object["spec"] = json!({"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "http", "port": 80, "protocol": "TCP"}]});
        assert_eq!(found(&object, "spec.ports[http].targetPort").as_deref(), Some("kubectl-edit"));
        assert_eq!(found(&object, "spec.ports[dns].targetPort"), None);
    }

    #[test]
    fn ordinary_writes_join_what_was_applied() {
        let other = entry("kubectl-patch", "Update", "v1", &json!({"f:data": {"f:c": {}}}));
        let mut scale = entry("helm", "Update", "v1", &json!({"f:spec": {"f:replicas": {}}}));
        scale["subresource"] = json!("scale");
        let object = live(&[
            entry("helm", "Apply", "v1", &json!({"f:data": {"f:a": {}}})),
            other.clone(),
            entry("helm", "Update", "v1", &json!({"f:data": {"f:b": {}}, "f:immutable": {}})),
            scale.clone(),
        ]);
        let applied = entry("helm", "Apply", "v1", &json!({"f:data": {"f:a": {}, "f:b": {}}, "f:immutable": {}}));
        assert!(needs_migration(&object, "helm"));
        assert_eq!(migrate(&object, "helm"), Some(json!([applied, other, scale])));
        assert!(!needs_migration(&live(&[applied.clone(), scale.clone()]), "helm"));
        assert_eq!(migrate(&live(&[applied, scale]), "helm"), None);
        assert_eq!(migrate(&object, "nobody"), None);
    }

    #[test]
    fn texts_that_were_applied_are_owned_where_they_are_stored() {
        let fields = json!({"f:data": {"f:a": {}}, "f:stringData": {".": {}, "f:b": {}}, "f:type": {}});
        let mut object = live(&[entry("helm", "Apply", "v1", &fields)]);
        assert_eq!(migrate(&object, "helm"), None, "only Secrets have texts");
        (object["apiVersion"], object["kind"]) = (json!("v1"), json!("Secret"));
        assert!(owns_texts(&object, "helm") && !needs_migration(&object, "helm"));
        let stored = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}, "f:type": {}});
        assert_eq!(migrate(&object, "helm"), Some(json!([entry("helm", "Apply", "v1", &stored)])));
        object["metadata"]["managedFields"][0]["fieldsV1"]["f:stringData"] = json!({});
        assert_eq!(migrate(&object, "helm"), None, "there are none");
    }

    #[test]
    fn without_an_applied_entry_the_newest_write_becomes_it() {
        let (old, new) = (json!({"f:data": {}}), json!({"f:spec": {}}));
        let object = live(&[entry("helm", "Update", "v1beta1", &old), entry("helm", "Update", "v1", &new)]);
        let migrated = json!([entry("helm", "Update", "v1beta1", &old), entry("helm", "Apply", "v1", &new)]);
        assert_eq!(migrate(&object, "helm"), Some(migrated.clone()));
        let again = live(migrated.as_array().unwrap());
        assert!(
            !needs_migration(&again, "helm"),
            "an entry of another version can't be united and must not be asked for again"
        );
    }

    #[test]
    fn the_patch_holds_for_one_state_only() {
        let object = live(&[entry("helm", "Update", "v1", &json!({"f:data": {}}))]);
        let migrated = json!([entry("helm", "Apply", "v1", &json!({"f:data": {}}))]);
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "replace", "path": "/metadata/managedFields", "value": migrated},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        ]);
        assert_eq!(migration_patch(&object, "helm"), Some(patch));
        assert_eq!(migration_patch(&live(&[]), "helm"), None);
        assert_eq!(migration_patch(&json!({}), "helm"), None);
    }

    #[test]
    fn nonsense_owns_nothing() {
        for object in [
            json!(null),
            json!({"metadata": []}),
            json!({"metadata": {"managedFields": [1, null, {"manager": "helm", "operation": "Apply", "fieldsV1": 3}]}}),
        ] {
            assert!(owned(&object, "helm").is_none());
            assert_eq!(migrate(&object, "helm"), None);
        }
    }
}
