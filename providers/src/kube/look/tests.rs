//! What is foreseen of an object from what the server answers to dry runs.

use cfrt_engine::resource::{Address, Trigger, Want};
use cfrt_engine::task::TaskId;
use http::StatusCode;
use serde_json::json;

use super::*;
use crate::kube::client::Kube;
use crate::world::Access;

const IMMUTABLE: &str = r#"{"message": "Widget \"a\" is invalid: spec.size: Invalid value: 2: field is immutable",
    "details": {"causes": [{"field": "spec.size", "message": "Invalid value: 2: field is immutable"}]}}"#;

fn widget() -> Resource {
    let body = json!({"apiVersion": "a.io/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 2}});
    Resource {
        id: ResourceId::whole(Address::new("a.io/v1/Widget", "n", "a")),
        task: TaskId { kind: "chart", name: String::new() },
        driver: "object",
        want: Want::Present(Document { body, ..Document::default() }.into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Value::Null,
    }
}

/// What is foreseen where the server answers to a dry run of the object, and to one under another name, like this.
async fn foreseen(access: Access, itself: (u16, &str), another: (u16, &str)) -> Result<Predicted, DriverError> {
    let answer = |(code, message): (u16, &str)| {
        let text = if message.starts_with('{') { message.to_owned() } else { json!({"message": message}).to_string() };
        (StatusCode::from_u16(code).expect("it is a code"), text)
    };
    let (itself, another) = (answer(itself), answer(another));
    let kube = Kube::refusing(move |request| match request.uri().path().ends_with("/a") {
        true => itself.clone(),
        false => another.clone(),
    });
    let (mut world, resource) = (World::played(kube), widget());
    world.access = access;
    let live = json!({"apiVersion": "a.io/v1", "kind": "Widget", "spec": {"size": 1},
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7"}});
    let before = present(&world.vault, &resource, live);
    let wanted = Wanted { resource: &resource, depth: Depth::DryRun, before: Some(&before) };
    match predict(&world, &wanted, "helm").await? {
        Observation::Present { predicted: Some(predicted), .. } => Ok(predicted),
        other => panic!("it is there, and predicted: {other:?}"),
    }
}

const DENIED: &str = r#"widgets.a.io "a" is forbidden: User "viewer" cannot patch resource "widgets" in API group "a.io" in the namespace "n""#;
const POLICIES: [(u16, &str); 6] = [
    (403, r#"widgets.a.io "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#),
    (403, r#"admission webhook "gatekeeper" denied the request: no"#),
    (403, r#"widgets.a.io "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#),
    (422, r#"Widget "a" is invalid: spec: Invalid value: 1: no"#),
    (409, "many use the quota"),
    (500, r#"failed calling webhook "w": no endpoints available for service "x""#),
];

#[tokio::test(start_paused = true)]
async fn an_object_is_made_again_only_where_the_server_would_take_the_new_one() {
    let again = |another| foreseen(Access::ReadWrite, (422, IMMUTABLE), another);
    let immutable = Predicted::Immutable(vec!["spec.size".to_owned()]);
    let counted = r#"widgets.a.io "a" is forbidden: exceeded quota: q, requested: x=1, used: x=1, limited: x=1"#;
    for allowed in [(200, "{}"), (403, counted), (403, DENIED)] {
        assert_eq!(again(allowed).await.expect("it is foreseen"), immutable, "{allowed:?}");
    }
    for (code, message) in POLICIES {
        let refused = again((code, message)).await.expect("it is foreseen");
        assert_eq!(refused, Predicted::Refused(message.to_owned()), "{code}");
    }
    let taken = r#"Service "x" is invalid: spec.clusterIPs: Invalid value: failed to allocate IP: provided IP is already allocated"#;
    assert_eq!(again((422, taken)).await.expect("it is foreseen"), Predicted::Refused(taken.to_owned()));
    for trouble in [502, 503, 504] {
        let error = again((trouble, "no answer")).await.expect_err("nothing is known");
        assert_eq!(error.doing, "asking for a dry run of Widget n/a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_a_dry_run_is_no_missing_right() {
    for access in [Access::ReadOnly, Access::ReadWrite] {
        for (code, message) in POLICIES {
            let refused = foreseen(access, (code, message), (200, "{}")).await.expect("it is foreseen");
            assert_eq!(refused, Predicted::Refused(message.to_owned()), "{code}");
        }
    }
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let denied = foreseen(access, (403, DENIED), (200, "{}")).await.expect("it is foreseen");
        assert_eq!(denied, Predicted::NotPermitted);
    }
}
