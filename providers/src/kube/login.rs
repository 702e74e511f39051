//! Who we are to the API server: put into every request, and found out anew, once, where the server takes it no longer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, request};
use http_body_util::BodyExt as _;
use kube::Config;
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ConfigExt as _};
use kube::config::AuthInfo;
use tower::{BoxError, Layer, Service, ServiceExt as _};

use crate::blocking::blocking;

/// A layer that logs in.
#[derive(Clone)]
pub(super) struct Login(Arc<State>);

struct State {
    config: Config,
    now: Mutex<Now>,
    /// One at a time finds out anew; the others wait for what it finds.
    renewing: tokio::sync::Mutex<()>,
    /// Whether the present credentials have been taken once, so that new ones are worth asking for.
    taken: AtomicBool,
}

/// The present credentials, and how many there were before.
#[derive(Clone)]
struct Now {
    layer: Arc<AuthLayer>,
    number: usize,
}

impl Login {
    /// Logs in as a configuration says, which may run a program, and gives what is left to do of the configuration: it may
    /// hold certificates besides. `None` where nothing is to be put into requests.
    pub(super) fn of(config: &Config) -> Result<(Option<Self>, Config), kube::Error> {
        let mut rest = config.clone();
        let Some(layer) = config.auth_layer()? else { return Ok((None, rest)) };
        // It gave a token, and so no certificate; asked for one, a program would run once more, which takes a second or two.
        rest.auth_info = AuthInfo {
            exec: None,
            auth_provider: None,
            token: None,
            token_file: None,
            username: None,
            password: None,
            ..rest.auth_info
        };
        let state = State {
            config: config.clone(),
            now: Mutex::new(Now { layer: Arc::new(layer), number: 0 }),
            renewing: tokio::sync::Mutex::default(),
            // The first ones may come from a program that keeps them too long.
            taken: AtomicBool::new(true),
        };
        Ok((Some(Self(Arc::new(state))), rest))
    }
}

impl State {
    fn now(&self) -> Now {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds out anew who we are, and whether there is something new to try; `refused` is what the server no longer takes.
    async fn renew(&self, refused: usize) -> bool {
        let AuthInfo { exec, auth_provider, token_file, .. } = &self.config.auth_info;
        if exec.is_none() && auth_provider.is_none() && token_file.is_none() {
            return false;
        }
        let _alone = self.renewing.lock().await;
        if self.now().number > refused {
            return true;
        }
        if !self.taken.swap(false, Ordering::Relaxed) {
            return false;
        }
        let config = self.config.clone();
        match blocking(move || config.auth_layer()).await {
            Ok(Some(layer)) => {
                let now = Now { layer: Arc::new(layer), number: refused + 1 };
                *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
                true
            }
            // What the server said counts: what the program wrote may hold a token.
            Ok(None) | Err(_) => false,
        }
    }
}

impl<S> Layer<S> for Login {
    type Service = LoggedIn<S>;

    fn layer(&self, inner: S) -> LoggedIn<S> {
        LoggedIn { inner, state: Arc::clone(&self.0) }
    }
}

/// A service whose requests say who we are.
#[derive(Clone)]
pub(super) struct LoggedIn<S> {
    inner: S,
    state: Arc<State>,
}

impl<S, B> Service<Request<Body>> for LoggedIn<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), BoxError>> {
        // Each request has a clone of what is below, and waits for that.
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { inner, state } = self.clone();
        Box::pin(answered(inner, state, request))
    }
}

async fn answered<S, B>(inner: S, state: Arc<State>, request: Request<Body>) -> Result<Response<B>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    let (head, body) = request.into_parts();
    // All our bodies are in memory already.
    let body = body.collect().await.map_err(BoxError::from)?.to_bytes().to_vec();
    let now = state.now();
    let mut answer = sent(&now, inner.clone(), &head, body.clone()).await?;
    // 401 is said before anything is done, so that whatever it was can be sent again.
    if answer.status() == StatusCode::UNAUTHORIZED && state.renew(now.number).await {
        answer = sent(&state.now(), inner, &head, body).await?;
    }
    if answer.status() != StatusCode::UNAUTHORIZED {
        state.taken.store(true, Ordering::Relaxed);
    }
    Ok(answer)
}

async fn sent<S, B>(now: &Now, inner: S, head: &request::Parts, body: Vec<u8>) -> Result<Response<B>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    now.layer.layer(inner).oneshot(Request::from_parts(head.clone(), Body::from(body))).await
}
