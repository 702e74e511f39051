//! Clients whose server is played, for tests.

use std::sync::{Arc, Mutex};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::{Body, Client};
use tower::{BoxError, ServiceBuilder};

use super::gate::{Gate, guard};
use super::{Kube, LARGEST_ANSWER};
use crate::world::Access;

impl Kube {
    /// A client whose answers are played: each is what the function says of the path.
    pub(crate) fn played(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> Self {
        Self::refusing(move |request| (StatusCode::OK, answer(request.uri().path())))
    }

    /// The same, where not all answers are successes.
    pub(crate) fn refusing(
        answer: impl Fn(&Request<Body>) -> (StatusCode, String) + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::answering(move |request| std::future::ready(answer(&request)))
    }

    /// The same by what a request says.
    pub(crate) fn asking(
        answer: impl Fn(serde_json::Value) -> (StatusCode, String) + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::answering(move |request: Request<Body>| {
            let answer = answer.clone();
            async move {
                let body = request.into_body().collect().await.expect("it is in memory").to_bytes();
                answer(serde_json::from_slice(&body).expect("it is JSON"))
            }
        })
    }

    /// A client of a server that keeps something, and answers by the method and the body of a request.
    pub(crate) fn keeping<S: Send + 'static>(
        server: &Arc<Mutex<S>>,
        answer: fn(&mut S, &Method, &serde_json::Value) -> (StatusCode, String),
    ) -> Self {
        let server = Arc::clone(server);
        Self::answering(move |request: Request<Body>| {
            let (server, (head, body)) = (Arc::clone(&server), request.into_parts());
            async move {
                let bytes = body.collect().await.expect("it is in memory").to_bytes();
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                answer(&mut server.lock().expect("no test panics while it has it"), &head.method, &body)
            }
        })
    }

    /// A client whose answers are larger than any may be.
    pub(crate) fn oversized() -> Self {
        let service = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, BoxError>(http::Response::new(Body::from(vec![0_u8; LARGEST_ANSWER + 1])))
        });
        Self { client: Client::new(service, "default"), gate: Arc::default() }
    }

    /// The same, where the answer needs the whole request; what writes passes the gate.
    pub(crate) fn answering<F: Future<Output = (StatusCode, String)> + Send + 'static>(
        answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = answer(request);
            async move {
                let (status, text) = answer.await;
                let mut response = http::Response::new(Body::from(text.into_bytes()));
                *response.status_mut() = status;
                Ok::<_, BoxError>(response)
            }
        });
        let gate = Gate::of(Access::ReadWrite);
        let service = ServiceBuilder::new().layer(guard(Arc::clone(&gate))).map_err(BoxError::from).service(service);
        Self { client: Client::new(service, "default"), gate }
    }
}
