//! What passes the gate, what is told of a refusal, and what comes of a dead connection.

use crate::kube::call::Apply;
use crate::kube::gvk::{Gvk, Resolved};

use super::*;

fn passes(method: Method, uri: &str) -> bool {
    only_reads(&Request::builder().method(method).uri(uri).body(Body::empty()).expect("it is a request"))
}

#[test]
fn reads_dry_runs_and_reviews_pass_the_gate() {
    assert!(passes(Method::GET, "/api/v1/pods?watch=true"));
    assert!(passes(Method::PATCH, "/api/v1/namespaces/a/configmaps/b?force=true&dryRun=All"));
    assert!(passes(Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"));
}

#[test]
fn what_the_server_refuses_is_told_without_repeating_a_whole_pod() {
    let pod = format!("{{\"env\":[{{\"name\":\"TOKEN: a\",\"value\":\"{}\"}}]}}", "secret".repeat(20));
    let causes = serde_json::json!([
        {"field": "spec.template", "message": format!("Invalid value: {pod}: field is immutable")},
        {"field": "metadata.name", "message": "Invalid value: \"A\": lower case"},
    ]);
    let status = serde_json::json!({
        "reason": "Invalid", "message": format!("Job.batch \"a\" is invalid: {pod}"), "details": {"causes": causes},
    });
    assert_eq!(
        refusal(422, status.to_string().as_bytes()).to_string(),
        "Job.batch \"a\" is invalid: spec.template: field is immutable, metadata.name: Invalid value: \"A\": lower case"
    );
}

/// Where a request goes that is sent, and whether anything arrived.
async fn arrives(made: impl Fn(&Config, Access) -> Result<Kube, kube::Error>, access: Access, call: &Call) -> bool {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = format!("http://{}", listener.local_addr().expect("it has an address"));
    let config = Config::new(address.parse().expect("it is an address"));
    let kube = made(&config, access).expect("it needs nothing");
    tokio::select! {
        biased;
        connection = listener.accept() => connection.is_ok(),
        answer = kube.send(call) => {
            assert!(matches!(answer, Err(ApiError::ReadOnly(_))), "{answer:?}");
            false
        }
    }
}

#[tokio::test]
async fn a_client_that_may_only_read_sends_nothing_that_writes() {
    let kind = Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true };
    let object = serde_json::json!({"metadata": {"name": "a"}});
    let writes = [
        Call::create(&kind, "a", &object),
        Call::replace(&kind, "a", "a", &object),
        Call::apply(&kind, "a", "a", "helm", Apply::New, &object),
        Call::apply(&kind, "a", "a", "helm", Apply::Forced, &object),
        Call::patch(&kind, "a", "a", "helm", &serde_json::json!([])),
        Call::delete(&kind, "a", "a", None),
    ];
    for made in [Kube::new, Kube::plain] {
        for call in &writes {
            assert!(!arrives(made, Access::ReadOnly, call).await, "{call:?}");
            assert!(arrives(made, Access::ReadWrite, call).await, "{call:?}");
        }
        let reads = [Call::get("/version"), Call::apply(&kind, "a", "a", "helm", Apply::DryRun, &object)];
        for call in &reads {
            assert!(arrives(made, Access::ReadOnly, call).await, "{call:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_without_a_word_is_noticed_before_a_request_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = format!("http://{}", listener.local_addr().expect("it has an address"));
    let kube = Kube::new(&Config::new(address.parse().expect("it is an address")), Access::ReadOnly);
    let kube = kube.expect("it needs nothing");
    let get = Call::get("/version");
    let (dead, answer) = tokio::join!(listener.accept(), kube.send(&get));
    assert!(dead.is_ok() && matches!(answer, Err(ApiError::Transport(_))), "{answer:?}");
}

#[tokio::test]
async fn what_writes_is_sent_once_the_gate_is_open() {
    let kind = Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true };
    let delete = Call::delete(&kind, "a", "a", None);
    let opened = |made: fn(&Config, Access) -> Result<Kube, kube::Error>| {
        move |config: &Config, access| made(config, access).inspect(Kube::open)
    };
    for made in [Kube::new, Kube::plain] {
        assert!(arrives(opened(made), Access::ReadOnly, &delete).await);
    }
}

#[test]
fn whatever_else_could_write_does_not() {
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert!(!passes(method, "/api/v1/namespaces/a/configmaps/b"));
    }
    assert!(!passes(Method::PATCH, "/api/v1/namespaces/a/configmaps/b?x=dryRun=All"));
    assert!(!passes(Method::PATCH, "/api/v1/namespaces/a/configmaps/b?dryRun=All&dryRun="));
    assert!(!passes(Method::DELETE, "/api/v1/namespaces/a/configmaps/b?dryRun=All"));
    assert!(!passes(Method::POST, "/api/v1/namespaces/a/selfsubjectaccessreviews"));
}
