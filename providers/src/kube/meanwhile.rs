//! Tells what others do to an object while it is waited for: ready counts only for what its document says.

use std::sync::Arc;

use cfrt_engine::change::FieldChange;
use cfrt_engine::driver::{Depth, DriverError, Evidence, Fault, Observation, Predicted, Settled, Wanted};
use cfrt_engine::resource::{Document, Resource, Want};
use serde_json::Value;

use super::compare::compare;
use super::difference::difference;
use super::fields::{Writer, writer};
use super::look::{predict, seen};
use super::path::lies_in;
use super::settle::settled;
use crate::world::World;

/// What is seen of an object while it is waited for, unless someone else has been at it.
///
/// Compared is only what looks ready, and only with a document that is kept to.
///
/// # Errors
///
/// Nothing where something is wanted, and something ready that the document's manager would have to write again.
pub async fn evidence(
    world: &World,
    resource: &Resource,
    manager: &str,
    live: Option<Arc<Value>>,
) -> Result<Evidence, DriverError> {
    match (&resource.want, &live) {
        (Want::Present(_) | Want::Existing(_), None) => Err(stale(resource, "it was deleted while it was waited for")),
        (Want::Present(document), Some(now)) if settled(Some(now)) == Settled::Yes => {
            match moved(world, resource, document, manager, now).await? {
                Some(moved) => Err(stale(resource, moved)),
                None => Ok(Evidence { live, ..Evidence::default() }),
            }
        }
        (Want::Present(_) | Want::Existing(_) | Want::Absent, _) => Ok(Evidence { live, ..Evidence::default() }),
    }
}

/// What isn't as the document says, in one sentence. A difference that only we see is the server's own doing.
async fn moved(
    world: &World,
    resource: &Resource,
    document: &Document,
    manager: &str,
    now: &Arc<Value>,
) -> Result<Option<String>, DriverError> {
    let seen = seen(world, resource, Value::clone(now)).await?;
    let Observation::Present { live, .. } = &seen else { return Ok(None) };
    let mut moved = suspects(document, live, manager);
    if moved.is_empty() {
        return Ok(None);
    }
    let wanted = Wanted { resource, depth: Depth::DryRun, before: Some(&seen) };
    let foreseen = predict(world, &wanted, manager).await?;
    if let Observation::Present { predicted: Some(Predicted::Live(foreseen)), .. } = foreseen {
        let confirmed = difference(live, &foreseen);
        let is_confirmed = |path: &str| confirmed.iter().any(|at| lies_in(path, &at.path) || lies_in(&at.path, path));
        moved.retain(|field| is_confirmed(&field.path));
    }
    Ok(told(&moved, live))
}

/// The fields that the document says otherwise, but for those that the cluster itself is there to move.
fn suspects(document: &Document, live: &Value, manager: &str) -> Vec<FieldChange> {
    let mut fields = compare(document, live, manager).fields;
    fields.retain(|field| field.before != field.after && !is_the_clusters(&field.path, live));
    fields
}

/// Replicas that an autoscaler set, and the certificates that others inject.
fn is_the_clusters(path: &str, live: &Value) -> bool {
    let is_scaled = |writer: Writer<'_>| writer.subresource == Some("scale") && !writer.manager.starts_with("kubectl");
    path.ends_with(".caBundle") || (path == "spec.replicas" && writer(live, path).is_some_and(is_scaled))
}

fn told(moved: &[FieldChange], live: &Value) -> Option<String> {
    let (first, others) = moved.split_first()?;
    let by = writer(live, &first.path).map(|writer| format!(" by {}", writer.manager)).unwrap_or_default();
    let what = match others.len() {
        0 => format!("{} was changed", first.path),
        1 => format!("{} and another field were changed", first.path),
        many => format!("{} and {many} other fields were changed", first.path),
    };
    Some(format!("{what}{by} while it was waited for"))
}

fn stale(resource: &Resource, cause: impl Into<String>) -> DriverError {
    DriverError::new(format!("waiting for {}", resource.id.address.short()), cause.into())
        .fault(Fault::Stale)
        .hint("plan again and look at what has changed")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(replicas: u64, managers: &[(&str, &str, &str)]) -> Value {
        let entry = |(manager, operation, subresource): &(&str, &str, &str)| {
            json!({"manager": manager, "operation": operation, "subresource": subresource, "apiVersion": "apps/v1",
                "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
        };
        let managers: Vec<Value> = managers.iter().map(entry).collect();
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
            "metadata": {"name": "a", "managedFields": managers}})
    }

    /// What is said where the document wants one replica.
    fn said(live: &Value) -> Option<String> {
        let body =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 1}});
        told(&suspects(&Document { body, ..Document::default() }, live, "helm"), live)
    }

    #[test]
    fn a_field_that_someone_changed_is_told_with_his_name() {
        let sentence = |by: &str| Some(format!("spec.replicas was changed{by} while it was waited for"));
        assert_eq!(said(&live(1, &[("helm", "Apply", "")])), None);
        assert_eq!(said(&live(2, &[("kubectl", "Update", "scale")])), sentence(" by kubectl"));
        assert_eq!(said(&live(2, &[("helm", "Apply", "")])), sentence(" by helm"), "a rollback");
        assert_eq!(said(&live(2, &[])), sentence(""));
    }

    #[test]
    fn taking_a_field_over_without_changing_it_changes_nothing() {
        assert_eq!(said(&live(1, &[("kubectl-edit", "Update", "")])), None);
    }

    #[test]
    fn an_autoscaler_may_scale() {
        let autoscaler = ("kube-controller-manager", "Update", "scale");
        assert_eq!(said(&live(2, &[autoscaler])), None);
        assert!(said(&live(2, &[("someone", "Update", "")])).is_some());
    }

    #[test]
    fn injected_certificates_are_left_to_who_injects_them() {
        let body = json!({"apiVersion": "apiregistration.k8s.io/v1", "spec": {"caBundle": "YQ==", "group": "a"}});
        let document = Document { body: body.clone(), ..Document::default() };
        let mut live = body;
        live["spec"]["caBundle"] = json!("Yg==");
        assert_eq!(suspects(&document, &live, "helm"), []);
        live["spec"]["group"] = json!("b");
        assert_eq!(suspects(&document, &live, "helm").len(), 1);
    }
}
