//! Tells which workloads an autoscaler looks after: how many replicas those have is no longer for their documents to say.
//!
//! What is found out is noted in the status of the object as it was seen, which is never compared and never sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cfrt_engine::driver::{DriverError, Observation, Wanted};
use cfrt_engine::resource::{Address, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::client::Kube;
use super::discovery::Discovery;
use super::fields::scaler;
use super::gvk::Gvk;
use crate::world::World;

const NOTE: &str = "cfrt.dev/autoscaled";

/// Group, kind and name of what is scaled.
type Target = [String; 3];

/// An object as it was read, without what only we may note in it.
pub(crate) fn without_note(mut live: Value) -> Value {
    if let Some(Value::Object(status)) = live.get_mut("status") {
        status.remove(NOTE);
    }
    live
}

/// Tells whether it was noted that the object's replicas are an autoscaler's.
pub(crate) fn is_autoscaled(live: &Value) -> bool {
    live["status"][NOTE] == true
}

/// Notes in the objects of a batch where their replicas are an autoscaler's, whoever made that.
///
/// Asks for autoscalers only where replicas are not as the document has them and came by way of `scale`. One that this
/// batch removes counts for nothing.
///
/// # Errors
///
/// A list of autoscalers that failed. Those that we may not see count for nothing: what is scaled is told then.
pub(crate) async fn note(world: &World, wanted: &[Wanted<'_>], seen: &mut [Observation]) -> Result<(), DriverError> {
    let mut known: BTreeMap<&str, BTreeSet<Target>> = BTreeMap::new();
    for (one, seen) in wanted.iter().zip(seen) {
        let (resource, namespace) = (one.resource, one.resource.id.address.scope.as_str());
        let Observation::Present { live, .. } = seen else { continue };
        if !is_scaled(resource, live) {
            continue;
        }
        if !known.contains_key(namespace) {
            known.insert(
                namespace,
                targets(&world.kube, &world.discovery, namespace, &removed(wanted, namespace)).await?,
            );
        }
        let Address { name, .. } = &resource.id.address;
        if known[namespace].contains(&target(&Gvk::of_address(&resource.id.address), name)) {
            let live = Arc::make_mut(live);
            if !live["status"].is_object() {
                live["status"] = json!({});
            }
            live["status"][NOTE] = json!(true);
        }
    }
    Ok(())
}

/// Whether someone has scaled an object away from what its document says, but for someone who has ended it by hand:
/// autoscalers leave that alone.
fn is_scaled(resource: &Resource, live: &Value) -> bool {
    let (Some(by), there) = (scaler(live), &live["spec"]["replicas"]) else { return false };
    if !there.is_number() || (*there == 0 && by.starts_with("kubectl")) {
        return false;
    }
    let wanted = resource.want.document().map(|document| &document.body["spec"]["replicas"]);
    wanted.is_some_and(|wanted| wanted.is_number() && wanted != there)
}

/// The autoscalers of a namespace that a batch removes.
fn removed<'a>(wanted: &[Wanted<'a>], namespace: &str) -> BTreeSet<&'a str> {
    let removed = wanted.iter().map(|one| one.resource).filter(|resource| !resource.want.is_something());
    let address = removed.map(|resource| &resource.id.address).filter(|address| {
        address.scope == namespace && Gvk::of_address(address).is_version_of(&Gvk::new("autoscaling/v2", KIND))
    });
    address.map(|address| address.name.as_str()).collect()
}

const KIND: &str = "HorizontalPodAutoscaler";

#[derive(Deserialize)]
struct Autoscaler {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    scale_target_ref: Reference,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    #[serde(default)]
    api_version: String,
    kind: String,
    name: String,
}

/// What the autoscalers of a namespace scale, but for those that are about to go; none where we may not see them.
async fn targets(
    kube: &Kube,
    discovery: &Discovery,
    namespace: &str,
    removed: &BTreeSet<&str>,
) -> Result<BTreeSet<Target>, DriverError> {
    let Some(kind) = discovery.find(&Gvk::new("autoscaling/v2", KIND)) else { return Ok(BTreeSet::new()) };
    let doing = || format!("reading {} in namespace {namespace}", kind.plural);
    let autoscalers: Vec<Autoscaler> = match kube.send(&Call::get(kind.collection(namespace))).await {
        Ok(reply) => reply.items().map_err(|error| error.during(doing()))?,
        Err(error) if error.code() == Some(403) => return Ok(BTreeSet::new()),
        Err(error) => return Err(error.during(doing())),
    };
    let lasting = autoscalers.into_iter().filter(|item| !removed.contains(item.metadata.name.as_str()));
    let target_of = |Reference { api_version, kind, name }| target(&Gvk::new(&api_version, &kind), &name);
    Ok(lasting.map(|item| target_of(item.spec.scale_target_ref)).collect())
}

/// Versions of a kind are one kind.
fn target(gvk: &Gvk, name: &str) -> Target {
    [gvk.group.clone(), gvk.kind.clone(), name.to_owned()]
}

#[cfg(test)]
mod tests {
    use cfrt_engine::driver::Depth;
    use cfrt_engine::resource::{Address, Document, ResourceId, Trigger, Want};
    use cfrt_engine::task::TaskId;
    use http::StatusCode;

    use super::*;

    fn resource(kind: &str, name: &str, body: Option<Value>) -> Resource {
        Resource {
            id: ResourceId::whole(Address::new(kind, "n", name)),
            task: TaskId { kind: "chart", name: String::new() },
            driver: "object",
            want: body.map_or(Want::Absent, |body| Want::Present(Document { body, ..Document::default() }.into())),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: Value::Null,
        }
    }

    fn live(replicas: u64, managers: &[(&str, &str)]) -> Value {
        let entry = |(manager, subresource): &(&str, &str)| json!({"manager": manager, "operation": "Update", "subresource": subresource, "fieldsV1": {"f:spec": {"f:replicas": {}}}});
        let managers: Vec<Value> = managers.iter().map(entry).collect();
        json!({"metadata": {"managedFields": managers}, "spec": {"replicas": replicas}})
    }

    #[test]
    fn only_what_was_scaled_away_from_its_document_is_asked_for() {
        let workload = resource("apps/v1/Deployment", "a", Some(json!({"spec": {"replicas": 1}})));
        let by = |replicas, managers| is_scaled(&workload, &live(replicas, managers));
        assert!(by(3, &[("helm", ""), ("hpa", "scale")]));
        assert!(by(3, &[("kubectl", "scale")]));
        assert!(by(0, &[("keda-operator", "scale")]));
        assert!(!by(0, &[("kubectl", "scale")]), "an autoscaler leaves what was ended as it is");
        assert!(!by(1, &[("hpa", "scale")]));
        assert!(!by(3, &[("kubectl-edit", ""), ("x", "status")]));
        let silent = resource("apps/v1/Deployment", "a", Some(json!({"spec": {}})));
        assert!(!is_scaled(&silent, &live(3, &[("hpa", "scale")])));
    }

    fn known() -> Discovery {
        let discovery = Discovery::default();
        let names = json!({"kind": KIND, "plural": "horizontalpodautoscalers"});
        let spec = json!({"group": "autoscaling", "names": names, "scope": "Namespaced", "versions": [{"name": "v2"}]});
        discovery.learn(&json!({ "spec": spec }));
        discovery
    }

    #[test]
    fn what_only_we_may_note_is_not_taken_from_the_cluster() {
        assert!(!is_autoscaled(&without_note(json!({"status": {NOTE: true}}))));
        assert_eq!(without_note(json!({"status": "odd"})), json!({"status": "odd"}));
    }

    #[tokio::test]
    async fn an_autoscaler_counts_for_what_it_names_unless_it_goes() {
        let kube = Kube::played(|path| {
            assert_eq!(path, "/apis/autoscaling/v2/namespaces/n/horizontalpodautoscalers");
            let item = |name: &str, of: &str| json!({"metadata": {"name": name}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1beta9", "kind": "Deployment", "name": of}}});
            json!({"items": [item("one", "a"), item("two", "b")]}).to_string()
        });
        let goes = resource("autoscaling/v2beta2/HorizontalPodAutoscaler", "two", None);
        let other = resource("v1/ConfigMap", "one", None);
        let wanted = [&goes, &other].map(|resource| Wanted { resource, depth: Depth::Full, before: None });
        let found = targets(&kube, &known(), "n", &removed(&wanted, "n")).await.expect("it is answered");
        let of = |name: &str| target(&Gvk::new("apps/v1", "Deployment"), name);
        assert_eq!(found, BTreeSet::from([of("a")]));
        assert!(removed(&wanted, "elsewhere").is_empty());
    }

    #[tokio::test]
    async fn autoscalers_that_may_not_be_read_count_for_nothing_and_a_list_that_fails_is_an_error() {
        let refusing = |code| Kube::refusing(move |_| (code, r#"{"message": "no"}"#.to_owned()));
        let found = |kube: Kube| async move { targets(&kube, &known(), "n", &BTreeSet::new()).await };
        assert_eq!(found(refusing(StatusCode::FORBIDDEN)).await.expect("it does without"), BTreeSet::new());
        assert!(found(refusing(StatusCode::BAD_REQUEST)).await.is_err());
        let none = targets(&refusing(StatusCode::FORBIDDEN), &Discovery::default(), "n", &BTreeSet::new()).await;
        assert_eq!(none.expect("nothing is asked"), BTreeSet::new());
    }
}
