//! The rows of what storing does to a document, the rules that see through it, and what must hold for any document.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Compares two bodies of one kind, `fields` being what the manager applied; draws the changes.
fn drawn(kind: &str, wanted: &Value, live: &Value, fields: &Value) -> Vec<String> {
    drawn_with(&Document { body: object(kind, wanted), ..Document::default() }, &stored(kind, live, fields))
}

fn drawn_with(wanted: &Document, live: &Value) -> Vec<String> {
    let word = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    let line = |change: &FieldChange| format!("{}: {} to {}", change.path, word(&change.before), word(&change.after));
    compare(wanted, live, "helm").fields.iter().map(line).collect()
}

fn object(kind: &str, body: &Value) -> Value {
    let (version, kind) = kind.rsplit_once('/').unwrap();
    let mut object = json!({"apiVersion": version, "kind": kind});
    object.as_object_mut().unwrap().extend(body.as_object().cloned().unwrap_or_default());
    object
}

fn stored(kind: &str, body: &Value, fields: &Value) -> Value {
    let mut stored = object(kind, body);
    stored["metadata"]["managedFields"] =
        json!([{"manager": "helm", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields}]);
    stored
}

const CUSTOM: &str = "example.com/v1/Widget";

/// Each row a kind, what is wanted of it, what is there, and which fields are owned: no row has a difference.
fn no_difference(table: &[(&str, Value, Value, Value)]) {
    for (kind, wanted, live, fields) in table {
        assert_eq!(drawn(kind, wanted, live, fields), [""; 0], "{kind} {wanted}");
    }
}

#[test]
fn what_storing_drops_is_no_difference() {
    no_difference(&[
        ("v1/ConfigMap", json!({"metadata": {"annotations": null}}), json!({}), json!({})),
        ("v1/ConfigMap", json!({"data": null}), json!({}), json!({})),
        (
            "v1/Service",
            json!({"ports": [{"port": 1, "nodePort": null}]}),
            json!({"ports": [{"port": 1}]}),
            json!({"f:ports": {"k:{\"port\":1}": {"f:port": {}}}}),
        ),
        (
            "v1/Secret",
            json!({"data": {"a": "eA=="}}),
            json!({"data": {"a": "eA=="}}),
            json!({"f:data": {"f:a": {}}, "f:stringData": {"f:a": {}}}),
        ),
        ("v1/Pod", json!({"env": [], "nodeSelector": {}, "volumes": null}), json!({}), json!({})),
        (
            "v1/Pod",
            json!({"probe": {"initialDelaySeconds": 0, "readOnly": false, "value": "", "n": 0.0}}),
            json!({"probe": {"a": 1}}),
            json!({"f:probe": {"f:initialDelaySeconds": {}, "f:readOnly": {}, "f:value": {}, "f:n": {}}}),
        ),
        (
            "apiextensions.k8s.io/v1/CustomResourceDefinition",
            json!({"spec": {"preserveUnknownFields": false}}),
            json!({"spec": {}}),
            json!({"f:spec": {"f:preserveUnknownFields": {}}}),
        ),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding",
            json!({"subjects": [{"apiGroup": "", "kind": "ServiceAccount", "name": "a"}]}),
            json!({"subjects": [{"kind": "ServiceAccount", "name": "a"}]}),
            json!({"f:subjects": {}}),
        ),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding",
            json!({"roleRef": {"apiGroup": ""}}),
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io"}}),
            json!({"f:roleRef": {}}),
        ),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding",
            json!({"roleRef": {"name": "a"}}),
            json!({"roleRef": {"name": "a", "apiGroup": "rbac.authorization.k8s.io"}}),
            json!({"f:roleRef": {}}),
        ),
    ]);
}

#[test]
fn what_storing_spells_otherwise_or_defaults_is_no_difference() {
    no_difference(&[
        (
            "v1/Pod",
            json!({"requests": {"cpu": "0.2"}, "limits": {"cpu": 0.1}}),
            json!({"requests": {"cpu": "200m"}, "limits": {"cpu": "100m"}}),
            json!({"f:requests": {"f:cpu": {}}, "f:limits": {"f:cpu": {}}}),
        ),
        (
            "v1/Pod",
            json!({"emptyDir": {"sizeLimit": "1024Mi"}}),
            json!({"emptyDir": {"sizeLimit": "1Gi"}}),
            json!({"f:emptyDir": {"f:sizeLimit": {}}}),
        ),
        (
            "v1/Pod",
            json!({"fieldRef": {"fieldPath": "a"}}),
            json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "a"}}),
            json!({"f:fieldRef": {}}),
        ),
        (
            "v1/Pod",
            json!({"resourceFieldRef": {"resource": "a"}}),
            json!({"resourceFieldRef": {"resource": "a", "divisor": "0"}}),
            json!({"f:resourceFieldRef": {}}),
        ),
        (
            "networking.k8s.io/v1/NetworkPolicy",
            json!({"ingress": [{"ports": [{"port": 1}]}]}),
            json!({"ingress": [{"ports": [{"port": 1, "protocol": "TCP"}]}]}),
            json!({"f:ingress": {}}),
        ),
        (
            "apps/v1/StatefulSet",
            json!({"volumeClaimTemplates": [{"spec": {"a": 1}}]}),
            json!({"volumeClaimTemplates": [{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": null, "spec": {"a": 1, "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}}]}),
            json!({"f:volumeClaimTemplates": {}}),
        ),
        (
            "apps/v1/Deployment",
            json!({"spec": {"replicas": 0, "securityContext": {}}}),
            json!({"spec": {"replicas": 0, "securityContext": {}, "strategy": {"type": "a"}}, "status": {}}),
            json!({"f:spec": {"f:replicas": {}, "f:securityContext": {}}}),
        ),
    ]);
}

#[test]
fn what_custom_resources_keep_and_others_leave_empty_is_no_difference() {
    no_difference(&[
        (
            CUSTOM,
            json!({"spec": {"a": null, "b": [], "n": 1.0}}),
            json!({"spec": {"a": null, "b": [], "n": 1}}),
            json!({"f:spec": {"f:a": {}, "f:b": {}, "f:n": {}}}),
        ),
        (CUSTOM, json!({"metadata": {"labels": {}, "finalizers": null}}), json!({}), json!({})),
        (
            "v1/Pod",
            json!({"spec": {"securityContext": null, "containers": [{"name": "a", "resources": null}, {"name": "b"}]}}),
            json!({"spec": {"securityContext": {}, "containers": [{"name": "a", "resources": {}}, {"name": "b", "resources": {}}]}}),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}}, "k:{\"name\":\"b\"}": {".": {}, "f:resources": {}}}}}),
        ),
        (
            "rbac.authorization.k8s.io/v1/ClusterRole",
            json!({"metadata": {"name": "a", "namespace": "b"}}),
            json!({"metadata": {"name": "a"}}),
            json!({}),
        ),
    ]);
}

#[test]
fn rule_1_a_named_key_must_be_there() {
    let table = [
        ("v1/Pod", json!({"a": {"b": 0}}), json!({"a": {"c": 1}}), json!({"f:a": {".": {}}}), "a.b: nothing to 0"),
        (
            "v1/Pod",
            json!({"a": {"b": false}}),
            json!({"a": {"c": 1}}),
            json!({"f:a": {".": {}}}),
            "a.b: nothing to false",
        ),
        ("v1/Pod", json!({"a": ""}), json!({}), json!({}), "a: nothing to \"\""),
        ("v1/Pod", json!({"a": 1}), json!({}), json!({"f:a": {}}), "a: nothing to 1"),
        ("v1/Pod", json!({"a": {"b": null}}), json!({}), json!({"f:a": {"f:b": {}}}), "a: nothing to {\"b\":null}"),
        ("v1/Pod", json!({"a": null}), json!({"a": 1}), json!({}), "a: 1 to nothing"),
        ("v1/Pod", json!({"a": null}), json!({"a": {}}), json!({}), "a: {} to nothing"),
        (CUSTOM, json!({"a": null}), json!({}), json!({"f:a": {}}), "a: nothing to null"),
        (CUSTOM, json!({"a": []}), json!({}), json!({"f:a": {}}), "a: nothing to []"),
        (CUSTOM, json!({"a": {}}), json!({}), json!({"f:a": {}}), "a: nothing to {}"),
        (CUSTOM, json!({"a": 0}), json!({}), json!({"f:a": {}}), "a: nothing to 0"),
        (CUSTOM, json!({"a": null}), json!({"a": 1}), json!({"f:a": {}}), "a: 1 to null"),
        (
            "gateway.networking.k8s.io/v1/Gateway",
            json!({"a": null}),
            json!({}),
            json!({"f:a": {}}),
            "a: nothing to null",
        ),
    ];
    for (kind, wanted, live, fields, expected) in table {
        assert_eq!(drawn(kind, &wanted, &live, &fields), [expected], "{kind} {wanted}");
    }
}

#[test]
fn rule_1_a_filled_value_that_someone_took_is_a_difference() {
    let (wanted, taken) = (json!({"spec": {"selector": {"a": "b"}}}), json!({"f:spec": {"f:replicas": {}}}));
    let with_more = json!({"spec": {"selector": {"a": "b", "c": "d"}}});
    let expected = [r#"spec.selector: {"a":"b","c":"d"} to {"a":"b"}"#];
    assert_eq!(drawn("v1/Service", &wanted, &with_more, &taken), expected);
    let changed = json!({"spec": {"selector": {"a": "c", "c": "d"}}});
    assert_eq!(drawn("v1/Service", &wanted, &changed, &taken), [r#"spec.selector.a: "c" to "b""#]);
    let item = json!({"f:list": {"k:{\"name\":\"x\"}": {}}});
    let list = json!({"list": [{"name": "a", "deep": {"b": 1}}]});
    let whole = [r#"list[a]: {"deep":{"b":1},"name":"a"} to {"deep":{"b":1},"name":"a"}"#];
    assert_eq!(drawn("v1/Pod", &list, &list, &item), whole, "told once, and not for what is below");
    let emptied = json!({"spec": {"selector": {}}});
    assert_eq!(drawn("v1/Service", &emptied, &with_more, &taken).len(), 1);
}

#[test]
fn rule_1_metadata_that_only_names_the_object_is_nobodys() {
    let named = json!({"metadata": {"name": "a", "namespace": "n"}});
    assert_eq!(drawn("v1/ServiceAccount", &named, &named, &json!({})), [""; 0]);
    let labelled = json!({"metadata": {"name": "a", "labels": {"b": "c"}}});
    assert_eq!(drawn("v1/ServiceAccount", &labelled, &labelled, &json!({})).len(), 1);
}

#[test]
fn rule_2_lists_are_compared_item_by_item() {
    let named = |names: &[&str]| json!({"env": names.iter().map(|name| json!({"name": name, "value": {"a": 1}})).collect::<Value>()});
    let own = |names: &[&str]| {
        let item = |name: &&str| {
            (format!("k:{{\"name\":\"{name}\"}}"), json!({".": {}, "f:name": {}, "f:value": {"f:a": {}}}))
        };
        json!({"f:env": names.iter().map(item).collect::<Value>()})
    };
    let item = |name: &str| json!({"name": name, "value": {"a": 1}});
    let table = [
        (named(&["a", "b"]), named(&["a", "b"]), vec![]),
        (named(&["a", "b"]), named(&["a"]), vec![format!("env[b]: nothing to {}", item("b"))]),
        (named(&["b"]), named(&["a", "b"]), vec![format!("env[a]: {} to nothing", item("a"))]),
        (
            named(&["a", "c"]),
            named(&["a", "b"]),
            vec![format!("env[c]: nothing to {}", item("c")), format!("env[b]: {} to nothing", item("b"))],
        ),
        (
            named(&["b", "a"]),
            named(&["a", "b"]),
            vec![format!("env: {} to {}", named(&["a", "b"])["env"], named(&["b", "a"])["env"])],
        ),
        (json!({"env": ["x", "z"]}), json!({"env": ["x", "y", "z"]}), vec!["env[1]: \"y\" to nothing".to_owned()]),
        (json!({"env": ["x", "y"]}), json!({"env": ["x", "z"]}), vec!["env[1]: \"z\" to \"y\"".to_owned()]),
        (json!({"env": []}), json!({"env": ["z"]}), vec!["env[0]: \"z\" to nothing".to_owned()]),
    ];
    for (wanted, live, expected) in table {
        assert_eq!(drawn("v1/Pod", &wanted, &live, &own(&["a", "b", "c"])), expected, "{wanted}");
    }
    let defaults = json!({"env": [{"name": "a", "value": {"a": 1}, "default": true}]});
    assert_eq!(drawn("v1/Pod", &named(&["a"]), &defaults, &own(&["a"])), [""; 0]);
}

#[test]
fn rule_3_scalars_are_equal_or_the_same_quantity_in_its_place() {
    let same_amount = |above: &str| (json!({above: {"cpu": "0.2"}}), json!({above: {"cpu": "200m"}}));
    let own =
        json!({"f:limits": {"f:cpu": {}}, "f:other": {"f:cpu": {}}, "f:data": {"f:divisor": {}}, "f:apiGroup": {}});
    let (wanted, live) = same_amount("other");
    assert_eq!(drawn("v1/Pod", &wanted, &live, &own).len(), 1);
    let (wanted, live) = same_amount("limits");
    assert_eq!(drawn("v1/Pod", &wanted, &live, &own).len(), 0);
    assert_eq!(drawn(CUSTOM, &wanted, &live, &own).len(), 1, "custom resources keep what is written");
    assert_eq!(drawn("apiextensions.k8s.io/v1/CustomResourceDefinition", &wanted, &live, &own).len(), 1);
    let table = [
        (
            "v1/ConfigMap",
            json!({"data": {"divisor": "1"}}),
            json!({"data": {"divisor": "1000m"}}),
            r#"data.divisor: "1000m" to "1""#,
        ),
        (
            "v1/Pod",
            json!({"limits": {"cpu": "0.3"}}),
            json!({"limits": {"cpu": "200m"}}),
            r#"limits.cpu: "200m" to "0.3""#,
        ),
        ("v1/Pod", json!({"a": "1"}), json!({"a": 1}), r#"a: 1 to "1""#),
        ("v1/Pod", json!({"a": 1}), json!({"a": true}), "a: true to 1"),
        ("v1/Pod", json!({"a": {"b": 1}}), json!({"a": "x"}), r#"a: "x" to {"b":1}"#),
        (
            "v1/Pod",
            json!({"apiGroup": ""}),
            json!({"apiGroup": "rbac.authorization.k8s.io"}),
            r#"apiGroup: "rbac.authorization.k8s.io" to """#,
        ),
        (
            "rbac.authorization.k8s.io/v1/Role",
            json!({"apiGroup": ""}),
            json!({"apiGroup": "x"}),
            r#"apiGroup: "x" to """#,
        ),
    ];
    for (kind, wanted, live, expected) in table {
        assert_eq!(drawn(kind, &wanted, &live, &own), [expected], "{kind} {wanted}");
    }
}

#[test]
fn rule_4_atomic_values_are_compared_both_ways() {
    let table = [
        (
            json!({"selector": {"a": "b"}}),
            json!({"selector": {"a": "b", "c": "d"}}),
            vec![r#"selector.c: "d" to nothing"#],
        ),
        (json!({"selector": {}}), json!({"selector": {"a": "b"}}), vec![r#"selector.a: "b" to nothing"#]),
        (
            json!({"selector": {"a": {"b": 1}}}),
            json!({"selector": {"a": {"b": 1, "protocol": "UDP"}}}),
            vec![r#"selector.a.protocol: "UDP" to nothing"#],
        ),
        (json!({"selector": {"a": 0, "b": {}}}), json!({"selector": {"protocol": "TCP"}}), vec![]),
        (
            json!({"selector": [{"a": 1}]}),
            json!({"selector": [{"a": 1, "apiVersion": "v1"}]}),
            vec![r#"selector[0].apiVersion: "v1" to nothing"#],
        ),
        (
            json!({"selector": {"a": 1}}),
            json!({"selector": {"a": 1, "apiGroup": "rbac.authorization.k8s.io"}}),
            vec![r#"selector.apiGroup: "rbac.authorization.k8s.io" to nothing"#],
        ),
    ];
    for (wanted, live, expected) in table {
        assert_eq!(drawn("v1/Service", &wanted, &live, &json!({"f:selector": {}})), expected, "{wanted}");
    }
    let (wanted, live) = (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 1, "protocol": "TCP"}]}));
    assert_eq!(
        drawn(CUSTOM, &wanted, &live, &json!({"f:a": {}})).len(),
        1,
        "no one defaults custom resources but their CRD"
    );
}

#[test]
fn rule_5_what_was_applied_and_is_no_longer_named_goes() {
    let own = json!({"f:data": {"f:a": {}, "f:gone": {}, "f:long-gone": {}}, "f:list": {"k:{\"name\":\"x\"}": {}}, "f:zero": {}, "f:atomic": {}, "f:empty": {".": {}}});
    let live =
        json!({"data": {"a": 1, "gone": 2, "others": 3}, "list": [{"name": "x"}], "atomic": {"b": 1}, "empty": {}});
    let expected = [
        "data.gone: 2 to nothing",
        "atomic: {\"b\":1} to nothing",
        "empty: {} to nothing",
        "list: [{\"name\":\"x\"}] to nothing",
    ];
    assert_eq!(drawn("v1/ConfigMap", &json!({"data": {"a": 1}}), &live, &own), expected);
    let without = drawn("v1/ConfigMap", &json!({}), &live, &own);
    assert!(without.contains(&"data.a: 1 to nothing".to_owned()), "only what is ours goes: {without:?}");
    assert!(!without.iter().any(|line| line.contains("others")), "{without:?}");
}

#[test]
fn rule_6_ordinary_writes_are_to_migrate_and_remove_nothing() {
    let document = Document { body: object("v1/ConfigMap", &json!({"data": {"a": "b"}})), ..Document::default() };
    let mut live = stored(
        "v1/ConfigMap",
        &json!({"data": {"a": "b", "default": "c"}}),
        &json!({"f:data": {"f:a": {}, "f:default": {}}}),
    );
    assert_eq!(drawn_with(&document, &live), [r#"data.default: "c" to nothing"#]);
    assert!(!compare(&document, &live, "helm").migrate);
    live["metadata"]["managedFields"][0]["operation"] = json!("Update");
    let compared = Compared { fields: vec![], kept: vec![], migrate: true, hides_removals: true, foreign: false };
    assert_eq!(compare(&document, &live, "helm"), compared);
    live["metadata"]["managedFields"][0]["subresource"] = json!("status");
    assert!(!compare(&document, &live, "helm").migrate);
}

#[test]
fn the_version_under_which_an_object_was_read_is_no_difference() {
    let (wanted, live) = (object("a.io/v2/Widget", &json!({"spec": {"size": 1}})), json!({"spec": {"size": 1}}));
    let live = stored("a.io/v1/Widget", &live, &json!({"f:spec": {"f:size": {}}}));
    assert_eq!(drawn_with(&Document { body: wanted, ..Document::default() }, &live), [""; 0]);
}

#[test]
fn a_generated_value_is_whatever_is_live() {
    let holes = BTreeMap::from([("/data/a~1b".to_owned(), Hole::Generated), ("/data/seal".to_owned(), Hole::Secret)]);
    let document = |value: Value| Document { body: object("v1/Secret", &value), holes: holes.clone() };
    let wanted = document(json!({"data": {"a/b": "new", "seal": "s1"}}));
    let own = json!({"f:data": {"f:a/b": {}, "f:seal": {}}});
    let live = |data: Value| stored("v1/Secret", &json!({"data": data}), &own);
    assert_eq!(drawn_with(&wanted, &live(json!({"a/b": "old", "seal": "s1"}))), [""; 0]);
    assert_eq!(
        drawn_with(&wanted, &live(json!({"seal": "s2"}))),
        [r#"data["a/b"]: nothing to "new""#, r#"data.seal: "s2" to "s1""#]
    );
}

/// Gives the field set that applying a value leaves behind, every list being atomic.
fn own_fields(value: &Value) -> Value {
    let Value::Object(map) = value else { return json!({}) };
    map.iter().map(|(key, below)| (format!("f:{key}"), own_fields(below))).collect()
}

/// Gives a value as a built-in kind stores it: without zeros that may be absent, with a default added to each map.
fn as_stored(value: &Value, inside_list: bool) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, below)| !is_zero(below));
            let mut stored: Map<_, _> = kept.map(|(key, below)| (key.clone(), as_stored(below, inside_list))).collect();
            if !inside_list && !stored.is_empty() {
                stored.insert("added".into(), json!("default"));
            }
            Value::Object(stored)
        }
        Value::Array(items) => items.iter().map(|item| as_stored(item, true)).collect(),
        other => other.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[ab]?", Just("1Gi".to_owned()), Just("0.5".to_owned())];
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-1..3i8).prop_map(Value::from),
        text.prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let known = prop::sample::select(vec![
            "name",
            "limits",
            "cpu",
            "metadata",
            "managedFields",
            "manager",
            "operation",
            "fieldsV1",
            "f:name",
            "apiVersion",
        ]);
        let key = prop_oneof![known.prop_map(str::to_owned), "[a-c]", "k:\\{\"name\":\"[ab]\"\\}"];
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![list, prop::collection::btree_map(key, inner, 0..5).prop_map(|map| map.into_iter().collect())]
    })
}

/// Maps that hold nothing but zeros are dropped or kept by their schema, which only the server knows.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().all(is_plain) && (map.is_empty() || !map.values().all(is_zero)),
        Value::Array(items) => items.iter().all(is_plain),
        _ => true,
    }
}

proptest! {
    #[test]
    fn a_document_does_not_differ_from_itself_as_stored(spec in any_json().prop_filter("plain", is_plain)) {
        let body = json!({"spec": spec});
        let fields = own_fields(&body);
        prop_assert_eq!(drawn("apps/v1/Deployment", &body, &as_stored(&body, false), &fields), [""; 0]);
        prop_assert_eq!(drawn(CUSTOM, &body, &body, &fields), [""; 0]);
    }

    #[test]
    fn any_change_inside_an_atomic_value_is_seen(before in any_json(), after in any_json()) {
        let body = |value: &Value| json!({"spec": {"a": value}});
        let found = !drawn(CUSTOM, &body(&after), &body(&before), &json!({"f:spec": {"f:a": {}}})).is_empty();
        prop_assert_eq!(found, before != after);
    }

    #[test]
    fn nothing_makes_it_panic(body in any_json(), live in any_json(), entries in any_json()) {
        let mut live = live;
        if let Some(Value::Object(metadata)) = live.get_mut("metadata") {
            metadata.insert("managedFields".into(), json!([{"manager": "helm", "operation": "Apply", "fieldsV1": entries}]));
        }
        let document = Document { body, ..Document::default() };
        let compared = compare(&document, &live, "helm");
        prop_assert_eq!(compared.migrate, fields::migrate(&live, "helm").is_some());
        fields::migration_patch(&live, "helm");
    }
}

#[test]
fn a_document_as_deep_as_parsers_read_is_compared() {
    let text = format!("{}1{}", r#"{"a":"#.repeat(126), "}".repeat(126));
    let deep: Value = serde_json::from_str(&text).unwrap();
    assert!(serde_json::from_str::<Value>(&format!("[[{text}]]")).is_err(), "parsers read no deeper");
    let body = json!({"spec": deep});
    assert_eq!(drawn(CUSTOM, &body, &body, &own_fields(&body)), [""; 0]);
    let changed: Value = serde_json::from_str(&text.replace('1', "2")).unwrap();
    assert_eq!(drawn(CUSTOM, &json!({"spec": changed}), &body, &json!({"f:spec": {}})).len(), 1);
    assert_eq!(crate::kube::difference::difference(&changed, &deep).len(), 1);
}
