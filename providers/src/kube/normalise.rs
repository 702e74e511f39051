//! Turns a rendered document into the one that is compared and sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Gives the document without what the server never stores: a Secret's `stringData` becomes `data`, an empty
/// `creationTimestamp` and the status go.
///
/// Places inside a Secret move by this: holes are to be found afterwards.
pub fn normalised(mut document: Value) -> Value {
    let is_secret = document.get("kind").is_some_and(|kind| kind == "Secret")
        && document.get("apiVersion").is_some_and(|version| version == "v1");
    let Some(object) = document.as_object_mut() else { return document };
    object.remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata")
        && metadata.get("creationTimestamp").is_some_and(Value::is_null)
    {
        metadata.remove("creationTimestamp");
    }
    if is_secret {
        encode_string_data(object);
    }
    document
}

/// Gives the document with the label and annotations by which Helm knows the objects of a release.
pub fn owned_by_release(mut document: Value, release: &str, namespace: &str) -> Value {
    if let Some(object) = document.as_object_mut()
        && let Some(metadata) = map_at(object, "metadata")
    {
        if let Some(labels) = map_at(metadata, "labels") {
            labels.insert(MANAGED_BY.into(), json!("Helm"));
        }
        if let Some(annotations) = map_at(metadata, "annotations") {
            annotations.insert(RELEASE_NAME.into(), json!(release));
            annotations.insert(RELEASE_NAMESPACE.into(), json!(namespace));
        }
    }
    document
}

/// Moves what is text over to `data`; what is not is left for the server to refuse.
fn encode_string_data(secret: &mut Map<String, Value>) {
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    let (texts, others): (Map<_, _>, Map<_, _>) = texts.into_iter().partition(|(_, value)| value.is_string());
    if !others.is_empty() {
        secret.insert("stringData".into(), Value::Object(others));
    }
    if texts.is_empty() {
        return;
    }
    let Some(data) = map_at(secret, "data") else { return };
    for (key, value) in texts {
        let text = value.as_str().unwrap_or_default();
        data.insert(key, json!(STANDARD.encode(text)));
    }
}

/// Gives the map at a key, made where there is none or null; `None` where something else stands there.
fn map_at<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_becomes_data_and_wins_over_it() {
        let secret = |extra: Value| {
            let mut secret = json!({"apiVersion": "v1", "kind": "Secret"});
            secret.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            secret
        };
        let table = [
            (
                json!({"stringData": {"a": "x"}, "data": {"a": "b2xk", "b": "Yg=="}}),
                json!({"data": {"a": "eA==", "b": "Yg=="}}),
            ),
            (json!({"stringData": {"a": ""}, "data": null}), json!({"data": {"a": ""}})),
            (json!({"stringData": {}}), json!({})),
            (json!({"stringData": null}), json!({})),
            (json!({"stringData": {"a": 1, "b": "x"}}), json!({"stringData": {"a": 1}, "data": {"b": "eA=="}})),
        ];
        for (rendered, expected) in table {
            assert_eq!(normalised(secret(rendered)), secret(expected));
        }
        let other = json!({"apiVersion": "example.com/v1", "kind": "Secret", "stringData": {"a": "x"}});
        assert_eq!(normalised(other.clone()), other);
    }

    #[test]
    fn only_the_objects_own_status_and_empty_timestamp_go() {
        let template = json!({"metadata": {"creationTimestamp": null}, "status": {}});
        let document = |metadata: Value| json!({"metadata": metadata, "spec": template});
        let mut rendered = document(json!({"name": "a", "creationTimestamp": null}));
        rendered["status"] = json!({});
        assert_eq!(normalised(rendered), document(json!({"name": "a"})));
        let dated = document(json!({"creationTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(normalised(dated.clone()), dated);
        assert_eq!(normalised(json!(3)), json!(3));
    }

    #[test]
    fn ownership_is_added_to_whatever_is_there() {
        let owned =
            |labels: Value, annotations: Value| json!({"metadata": {"labels": labels, "annotations": annotations}});
        let expected = owned(
            json!({"app.kubernetes.io/managed-by": "Helm"}),
            json!({"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"}),
        );
        for rendered in [json!({}), json!({"metadata": null}), owned(json!(null), json!({}))] {
            assert_eq!(owned_by_release(rendered, "r", "n"), expected);
        }
        let more = owned_by_release(
            owned(json!({"a": "b", "app.kubernetes.io/managed-by": "x"}), json!({"c": "d"})),
            "r",
            "n",
        );
        assert_eq!(more["metadata"]["labels"], json!({"a": "b", "app.kubernetes.io/managed-by": "Helm"}));
        assert_eq!(more["metadata"]["annotations"]["c"], "d");
        for nonsense in [json!(null), json!([1]), json!({"metadata": 3})] {
            assert_eq!(owned_by_release(nonsense.clone(), "r", "n"), nonsense);
        }
    }
}
