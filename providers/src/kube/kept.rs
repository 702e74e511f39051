//! What the cluster itself is there to move: it stays as it is there, as what each rendering makes anew does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use cfrt_engine::resource::{Document, Hole, Pointer};
use serde_json::Value;

use super::fields::{Writer, writers};

/// A document's holes, and with them the places at which the live object knows better than the document.
///
/// These are replicas that an autoscaler has set, certificates that others inject, and the rules of an aggregated role.
pub(crate) fn holes<'a>(document: &'a Document, live: &Value) -> Cow<'a, BTreeMap<Pointer, Hole>> {
    let body = &document.body;
    let mut places = Vec::new();
    if body.pointer("/spec/replicas").is_some() && writers(live, "spec.replicas").iter().any(is_autoscaler) {
        places.push("/spec/replicas".to_owned());
    }
    if body.get("aggregationRule").is_some_and(Value::is_object) && body["kind"] == "ClusterRole" {
        places.push("/rules".to_owned());
    }
    places.extend(
        certificates(body).into_iter().filter(|place| is_injected(body, live, place)).map(|place| place.pointer),
    );
    if places.is_empty() {
        return Cow::Borrowed(&document.holes);
    }
    let mut holes = document.holes.clone();
    for place in places {
        holes.entry(place).or_insert(Hole::Generated);
    }
    Cow::Owned(holes)
}

/// Nobody but the autoscaler scales under that name; a person who does has another one.
fn is_autoscaler(writer: &Writer<'_>) -> bool {
    writer.subresource == Some("scale") && writer.manager == "kube-controller-manager"
}

/// A certificate of an authority: its pointer, as people write it, and what must be the same around it.
struct Certificate {
    pointer: Pointer,
    path: String,
    around: Option<Pointer>,
}

fn certificates(body: &Value) -> Vec<Certificate> {
    let one = |pointer: &str, path: &str| {
        vec![Certificate { pointer: pointer.to_owned(), path: path.to_owned(), around: None }]
    };
    match body["kind"].as_str() {
        Some("APIService") => one("/spec/caBundle", "spec.caBundle"),
        Some("CustomResourceDefinition") => {
            one("/spec/conversion/webhook/clientConfig/caBundle", "spec.conversion.webhook.clientConfig.caBundle")
        }
        Some("MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            let names = body["webhooks"].as_array().into_iter().flatten().enumerate();
            let webhook = |(index, webhook): (usize, &Value)| Certificate {
                pointer: format!("/webhooks/{index}/clientConfig/caBundle"),
                path: format!("webhooks[{}].clientConfig.caBundle", webhook["name"].as_str().unwrap_or_default()),
                around: Some(format!("/webhooks/{index}/name")),
            };
            names.map(webhook).collect()
        }
        Some(_) | None => Vec::new(),
    }
}

/// Whether someone other than us and than a person at a terminal has put a certificate where the document has one.
fn is_injected(body: &Value, live: &Value, place: &Certificate) -> bool {
    let same_around = place.around.as_ref().is_none_or(|around| body.pointer(around) == live.pointer(around));
    // Once we have sent what is there we own it, too.
    let injects = |writer: &Writer<'_>| {
        !writer.manager.starts_with("kubectl") && !["helm", "cfrt"].contains(&writer.manager) && !writer.applied
    };
    let is_there = |object: &Value| object.pointer(&place.pointer).is_some_and(Value::is_string);
    same_around && is_there(body) && is_there(live) && writers(live, &place.path).iter().any(injects)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, subresource: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "subresource": subresource, "fieldsV1": fields})
    }

    fn kept(body: Value, live: Value, entry: Value) -> Vec<Pointer> {
        let mut live = live;
        live["metadata"]["managedFields"] = json!([entry]);
        holes(&Document { body, ..Document::default() }, &live).keys().cloned().collect()
    }

    #[test]
    fn only_an_autoscaler_keeps_its_replicas() {
        let scaled = |manager, subresource| {
            let (body, live) = (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}));
            kept(body, live, entry(manager, subresource, &json!({"f:spec": {"f:replicas": {}}})))
        };
        assert_eq!(scaled("kube-controller-manager", "scale"), ["/spec/replicas"]);
        assert_eq!(scaled("kubectl", "scale"), [""; 0]);
        assert_eq!(scaled("kube-controller-manager", ""), [""; 0]);
    }

    #[test]
    fn a_certificate_stays_that_someone_has_injected_into_the_same_webhook() {
        let webhook = |name: &str, bundle: &str| json!({"kind": "MutatingWebhookConfiguration", "webhooks": [{"name": name, "clientConfig": {"caBundle": bundle}}]});
        let owns = json!({"f:webhooks": {"k:{\"name\":\"a\"}": {"f:clientConfig": {"f:caBundle": {}}}}});
        let by = |manager| entry(manager, "", &owns);
        let place = ["/webhooks/0/clientConfig/caBundle"];
        assert_eq!(kept(webhook("a", ""), webhook("a", "YQ=="), by("cainjector")), place);
        assert_eq!(kept(webhook("a", ""), webhook("a", "YQ=="), by("kubectl-edit")), [""; 0]);
        assert_eq!(kept(webhook("a", ""), webhook("a", "YQ=="), by("helm")), [""; 0]);
        assert_eq!(kept(webhook("a", ""), webhook("b", "YQ=="), by("cainjector")), [""; 0]);
        let service = |bundle: &str| json!({"kind": "APIService", "spec": {"caBundle": bundle}});
        let by = entry("cainjector", "", &json!({"f:spec": {"f:caBundle": {}}}));
        assert_eq!(kept(service(""), service("YQ=="), by), ["/spec/caBundle"]);
    }

    #[test]
    fn the_rules_of_an_aggregated_role_stay() {
        let role = json!({"kind": "ClusterRole", "aggregationRule": {}, "rules": []});
        assert_eq!(kept(role.clone(), role, json!({})), ["/rules"]);
        let plain = json!({"kind": "ClusterRole", "rules": []});
        assert_eq!(kept(plain.clone(), plain, json!({})), [""; 0]);
    }
}
