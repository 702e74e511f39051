//! What each fault does to a request, before a server that only counts.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

use super::*;

/// A server that answers everything with the path and counts what it got; its kubeconfig lies in a folder.
async fn counting() -> (Arc<AtomicUsize>, tempfile::TempDir) {
    let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let count: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            let service = service_fn(move |request: Request<Incoming>| {
                counted.fetch_add(1, Ordering::Relaxed);
                async move { Ok::<_, Infallible>(Response::new(full(request.uri().path().to_owned()))) }
            });
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ended = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let named = |what: &str, value| json!([{"name": "a", what: value}]);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "clusters": named("cluster", json!({"server": server})),
        "contexts": named("context", json!({"cluster": "a", "user": "a"})), "users": named("user", json!({})),
    });
    fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
    (count, folder)
}

/// What a client sees of some requests of one path under a rule, and how many of them the server got.
async fn seen(rule: &str, requests: usize) -> (Vec<String>, usize, Vec<String>) {
    let (count, folder) = counting().await;
    let proxy = Proxy::start(&folder.path().join("kubeconfig"), None, rule.parse().unwrap()).await.unwrap();
    let client = client(&proxy, None).await;
    let mut seen = Vec::new();
    for number in 0..requests {
        let mut answer = asked_for(&client, "/a?watch=true").await;
        // A proxy that was down is back in a moment.
        while number > 0 && answer == "nothing" {
            answer = asked_for(&client, "/a?watch=true").await;
        }
        seen.push(answer);
    }
    (seen, count.load(Ordering::Relaxed), proxy.injected())
}

/// A client that comes through the proxy, with its own credentials or others.
async fn client(proxy: &Proxy, token: Option<&str>) -> Client {
    let text = token
        .map_or_else(|| fs::read_to_string(proxy.kubeconfig()).unwrap(), |token| proxy.login(&json!({"token": token})));
    let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// The answer's code and text, or that there was none.
async fn asked_for(client: &Client, path: &str) -> String {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let Ok(answer) = client.send(request).await else { return "nothing".to_owned() };
    let code = answer.status().as_u16();
    match answer.into_body().collect().await {
        Ok(body) => format!("{code} {}", String::from_utf8_lossy(&body.to_bytes())),
        // Whether its head arrived before it broke is chance.
        Err(_) => "nothing".to_owned(),
    }
}

#[tokio::test]
async fn a_request_meets_its_fault_and_the_next_one_does_not() {
    for (fault, first, arrived) in [
        ("cut", "nothing", 1),
        ("lose", "nothing", 2),
        ("truncate", "nothing", 2),
        ("twice", "200 /a", 3),
        ("delay=1", "200 /a", 2),
        ("goaway", "200 /a", 2),
        ("drop", "200 ", 2),
        ("down=1", "nothing", 1),
        ("late=502", "502 <html>bad gateway</html>", 2),
        ("answer=502", "502 <html>bad gateway</html>", 1),
    ] {
        let (seen, count, injected) = seen(&format!("watch /a 1 {fault}"), 2).await;
        assert_eq!((seen, count), (vec![first.to_owned(), "200 /a".to_owned()], arrived), "{fault}");
        assert_eq!(injected, [format!("{fault} watch /a")]);
    }
}

#[tokio::test]
async fn refusals_are_those_of_an_api_server() {
    let (seen, count, _) = seen("watch /a 1 answer=429/7\nwatch /a 2 gone", 2).await;
    assert!(seen[0].starts_with("429 ") && seen[0].contains("TooManyRequests"), "{seen:?}");
    assert!(
        seen[1].starts_with("200 ") && seen[1].contains(r#""type":"ERROR""#) && seen[1].contains("410"),
        "{seen:?}"
    );
    assert_eq!(count, 0);
}

#[tokio::test]
async fn no_one_gets_in_without_the_token_nor_with_one_that_has_expired() {
    let (_, folder) = counting().await;
    let schedule = "get /b 1 expire".parse().unwrap();
    let proxy = Proxy::start(&folder.path().join("kubeconfig"), None, schedule).await.unwrap();
    assert!(proxy.address.ip().is_loopback());
    let (own, next) = (client(&proxy, None).await, client(&proxy, Some(&format!("{}.2", proxy.token()))).await);
    for wrong in ["", "x", &proxy.token()[1..], &format!("{}2", proxy.token())] {
        assert!(asked_for(&client(&proxy, Some(wrong)).await, "/a").await.starts_with("401 "), "{wrong}");
    }
    assert_eq!(asked_for(&own, "/a").await, "200 /a");
    assert!(asked_for(&own, "/b").await.starts_with("401 "));
    assert!(asked_for(&own, "/a").await.starts_with("401 "));
    assert_eq!(asked_for(&next, "/a").await, "200 /a");
}

#[tokio::test]
async fn it_ends_when_it_is_dropped() {
    let (_, folder) = counting().await;
    let proxy = Proxy::start(&folder.path().join("kubeconfig"), None, Schedule::quiet()).await.unwrap();
    let (client, address) = (client(&proxy, None).await, proxy.address);
    assert_eq!(asked_for(&client, "/a").await, "200 /a");
    drop(proxy);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(asked_for(&client, "/a").await, "nothing");
}
