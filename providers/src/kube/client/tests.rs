//! What passes the gate, what is told of a refusal, and what comes of a dead connection.

use std::sync::atomic::AtomicUsize;

use http::Method;

use super::gate::only_reads;
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

#[test]
fn a_pause_is_some_seconds_or_lasts_until_a_time_by_the_servers_clock() {
    let pause = |text| parse_pause(text, Some(784_111_777)).map(|pause| pause.as_secs());
    assert_eq!((pause("7"), pause(" 0 "), pause("Sun, 06 Nov 1994 08:49:47 GMT")), (Some(7), Some(0), Some(10)));
    assert_eq!((pause("Sun, 06 Nov 1994 08:49:27 GMT"), pause("-1"), pause("soon")), (Some(0), None, None));
    assert_eq!(parse_pause("Sun, 06 Nov 1994 08:49:47 GMT", None), None);
}

/// How often a call is sent to a server that fails twice with this code, and whether it goes well in the end.
async fn sent(call: Call, code: StatusCode) -> (usize, bool) {
    let count: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&count);
    let kube = Kube::refusing(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => (code, r#"{"message": "not now"}"#.to_owned()),
        _ => (StatusCode::OK, "{}".to_owned()),
    });
    let answer = kube.send(&call).await;
    (count.load(Ordering::Relaxed), answer.is_ok())
}

#[tokio::test(start_paused = true)]
async fn what_would_be_done_twice_is_sent_again_only_where_nothing_was_done() {
    let kind = Resolved { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".to_owned(), namespaced: true };
    let object = serde_json::json!({"metadata": {"name": "a"}});
    let apply = |how| Call::apply(&kind, "a", "a", "helm", how, &object);
    let harmless = [
        Call::get("/a"),
        Call::ask("/a", &object),
        apply(Apply::DryRun),
        apply(Apply::Forced),
        Call::merge(&kind, "a", "a", "helm", &object),
        Call::delete(&kind, "a", "a", Some("u")),
    ];
    for call in harmless {
        for code in [500, 502, 503, 504, 429] {
            let code = StatusCode::from_u16(code).expect("it is a code");
            assert_eq!(sent(call.clone(), code).await, (3, true), "{call:?} {code}");
        }
    }
    let other = [
        apply(Apply::New),
        Call::create(&kind, "a", &object),
        Call::replace(&kind, "a", "a", &object),
        Call::patch(&kind, "a", "a", "helm", &object),
        Call::delete(&kind, "a", "a", None),
    ];
    for call in other {
        for (code, times) in [(500, 1), (502, 1), (504, 1), (503, 3), (429, 3)] {
            let code = StatusCode::from_u16(code).expect("it is a code");
            assert_eq!(sent(call.clone(), code).await, (times, times == 3), "{call:?} {code}");
        }
    }
    assert_eq!(sent(Call::get("/a"), StatusCode::NOT_FOUND).await, (1, false));
    assert_eq!(sent(Call::get("/a").not_older_than("7"), StatusCode::SERVICE_UNAVAILABLE).await, (1, false));
}

#[test]
fn what_refuses_for_another_reason_than_rights_is_no_matter_of_rights() {
    let refused = |message: &str| {
        let error = ApiError::of_status(403, "Forbidden".to_owned(), message.to_owned());
        assert_eq!(error.code(), Some(403));
        (error.fault(), error.to_string())
    };
    let missing = "secrets is forbidden: User \"viewer\" cannot list resource \"secrets\" in API group \"\" in the namespace \"n\"";
    assert_eq!(refused(missing), (Fault::Forbidden, "viewer may not list secrets in namespace n".to_owned()));
    for path in
        ["forbidden: User \"a\" cannot get path \"/apis\"", "x is forbidden: User \"a\" cannot get path \"/api\": no"]
    {
        assert_eq!(refused(path), (Fault::Forbidden, path.to_owned()));
    }
    for other in [
        "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1",
        "unable to create new content in namespace n because it is being terminated",
        "deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        "admission webhook \"w\" denied the request: no path \"/\"",
        "serviceaccounts \"a\" is forbidden: not here",
    ] {
        assert_eq!(refused(other), (Fault::World, other.to_owned()));
    }
    let elsewhere = ApiError::of_status(409, String::new(), missing.to_owned());
    assert_eq!((elsewhere.code(), elsewhere.fault()), (Some(409), Fault::World));
}
