//! The connection to the API server: one HTTP/2 connection, a guard before every write, and answers as bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use cfrt_engine::driver::{DriverError, Fault};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, Client, ClientBuilder, ConfigExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower::{BoxError, ServiceBuilder};

use super::call::Call;
use super::immutable::is_immutable;
use crate::world::Access;

/// No answer may be larger: a list of everything that a sane namespace holds is far below.
const LARGEST_ANSWER: usize = 256 << 20;

/// A longer value isn't repeated when the server refuses it.
const LONGEST_VALUE: usize = 60;

/// How often the connection is tried, idle or not: one that died without a word would swallow every request until each has
/// waited its time out, and hold the watches for good.
const PULSE: Duration = Duration::from_secs(15);

/// How long the other side may take to answer such a trial. No server has to work for it.
const PULSE_PATIENCE: Duration = Duration::from_secs(10);

/// A client of one API server.
#[derive(Clone)]
pub struct Kube {
    client: Client,
    gate: Arc<Gate>,
}

/// What every request passes.
#[derive(Debug, Default)]
struct Gate {
    /// Whether requests may write.
    open: AtomicBool,
    /// Whether they no longer may, since the lease under which they did is lost.
    closed: AtomicBool,
    /// How many requests were let through.
    sent: AtomicUsize,
}

impl Gate {
    fn of(access: Access) -> Arc<Self> {
        let open = AtomicBool::new(access == Access::ReadWrite);
        Arc::new(Self { open, ..Self::default() })
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code, of the successful ones.
    pub status: StatusCode,
    /// The server's clock, in seconds since 1970, where it told it.
    pub server_time: Option<i64>,
    body: Vec<u8>,
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server refused, and says why.
    #[error("{message}")]
    Status {
        /// The HTTP status code.
        code: u16,
        /// The machine-readable reason, such as `AlreadyExists`.
        reason: String,
        /// The server's own words.
        message: String,
    },
    /// The server refuses nothing but to change fields that stay as they were made.
    #[error("{message}")]
    Immutable {
        /// The fields, as the server names them: `spec.selector`.
        fields: Vec<String>,
        /// The server's own words.
        message: String,
    },
    /// No answer came.
    #[error("{0}")]
    Transport(String),
    /// No answer came for so many seconds.
    #[error("no answer within {0} s")]
    Slow(u64),
    /// The answer is not what an API server says.
    #[error("the answer is not what was asked for: {0}")]
    Junk(String),
    /// The server doesn't know what it was asked for, because it is too old.
    #[error("the server is older than Kubernetes 1.27")]
    Old,
    /// The request would have written, and this client may only read.
    #[error("refused here: {0} would write, and planning only reads")]
    ReadOnly(String),
    /// The request would have written, and what it was to be written under is lost.
    #[error("refused here: {0} would write, and the lease is lost")]
    Closed(String),
}

impl ApiError {
    /// The HTTP status code, if the server gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Immutable { .. } => Some(422),
            Self::Transport(_) | Self::Slow(_) | Self::Junk(_) | Self::Old | Self::ReadOnly(_) | Self::Closed(_) => {
                None
            }
        }
    }

    /// What kind of trouble it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Status { code: 403, .. } => Fault::Forbidden,
            Self::Closed(_) => Fault::Locked,
            Self::Status { .. }
            | Self::Immutable { .. }
            | Self::Transport(_)
            | Self::Slow(_)
            | Self::Junk(_)
            | Self::Old
            | Self::ReadOnly(_) => Fault::World,
        }
    }

    /// Whether no one knows what the server did.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 500 | 502 | 504),
            Self::Transport(_) | Self::Slow(_) | Self::Junk(_) => true,
            Self::Immutable { .. } | Self::Old | Self::ReadOnly(_) | Self::Closed(_) => false,
        }
    }

    /// The same as an error of whoever asked, with what was being done.
    pub fn during(self, doing: impl Into<String>) -> DriverError {
        let fault = self.fault();
        DriverError::new(doing, self).fault(fault)
    }

    /// Whether the thing isn't there, or its kind isn't.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the thing is not as the request expects it.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

impl Reply {
    /// The answer as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| ApiError::Junk(error.to_string()))
    }

    /// The answer as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }
}

impl Kube {
    /// Connects lazily: nothing is sent before the first request.
    ///
    /// # Errors
    ///
    /// A configuration that no client can be made from.
    pub fn new(config: &Config, access: Access) -> Result<Self, kube::Error> {
        if config.proxy_url.is_some() {
            return Self::plain(config, access);
        }
        let gate = Gate::of(access);
        Ok(Self { client: direct(config, Arc::clone(&gate))?, gate })
    }

    /// The same by kube's own stack: slower, and HTTP/1.1 only, but it knows proxies and servers without HTTP/2.
    ///
    /// # Errors
    ///
    /// A configuration that no client can be made from.
    pub fn plain(config: &Config, access: Access) -> Result<Self, kube::Error> {
        let gate = Gate::of(access);
        // Our own retries are bounded and can be told apart; kube's would hide beneath them.
        let mut config = config.clone();
        config.default_retry = false;
        let client = ClientBuilder::try_from(config)?.with_layer(&guard(Arc::clone(&gate))).build();
        Ok(Self { client, gate })
    }

    /// The client below, for what the kube crate does itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many requests were sent so far.
    pub fn sent(&self) -> usize {
        self.gate.sent.load(Ordering::Relaxed)
    }

    /// Lets requests through that write, from now on.
    pub fn open(&self) {
        self.gate.open.store(true, Ordering::Relaxed);
    }

    /// Lets no request through that writes, from now on and whatever else is said.
    pub fn close(&self) {
        self.gate.closed.store(true, Ordering::Relaxed);
    }

    /// Sends a request. Sent again for half a minute where the server says that it did nothing and may soon.
    ///
    /// # Errors
    ///
    /// Any answer but a success, or none.
    pub async fn send(&self, call: &Call) -> Result<Reply, ApiError> {
        let again = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(3))
            .with_total_delay(Some(Duration::from_secs(30)))
            .without_max_times();
        // 429 also stands for custom resources whose definition has just changed, "storage is (re)initializing".
        let may_soon = |error: &ApiError| match error.code() {
            _ if call.is_sent_once() => false,
            Some(429 | 503) => true,
            Some(502 | 504) => call.reads(),
            _ => false,
        };
        (|| self.send_once(call)).retry(again).when(may_soon).await
    }

    async fn send_once(&self, call: &Call) -> Result<Reply, ApiError> {
        let request = call.request().map_err(|error| ApiError::Transport(error.to_string()))?;
        let answer = tokio::time::timeout(call.limit(), self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(ApiError::Slow(call.limit().as_secs())))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Reply, ApiError> {
        let response = self.client.send(request).await.map_err(transport)?;
        let (head, body) = response.into_parts();
        let body =
            Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| ApiError::Junk(error.to_string()))?;
        let server_time = head.headers.get(header::DATE).and_then(|date| parse_date(date.to_str().ok()?));
        let reply = Reply { status: head.status, server_time, body: body.to_bytes().into() };
        if head.status.is_success() { Ok(reply) } else { Err(refusal(&reply)) }
    }
}

impl std::fmt::Debug for Kube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kube").field("sent", &self.sent()).finish_non_exhaustive()
    }
}

/// One connection for everything. Without `set_nodelay` each new connection costs 40 ms, and kube's own connector
/// speaks HTTP/1.1 only, so that twenty reads at once are twenty connections (measured; see ARCHITECTURE.md).
fn direct(config: &Config, gate: Arc<Gate>) -> Result<Client, kube::Error> {
    let login = config.auth_layer()?;
    let mut rest = config.clone();
    if login.is_some() {
        // It gave a token, and so no certificate; asked for one, it would run once more, which takes it a second or two.
        rest.auth_info.exec = None;
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(Duration::from_secs(10)));
    let builder = HttpsConnectorBuilder::new().with_tls_config(rest.rustls_client_config()?).https_or_http();
    let builder = match &config.tls_server_name {
        Some(name) => {
            let name = hyper_rustls::FixedServerNameResolver::new(
                name.clone().try_into().map_err(|error| kube::Error::Service(Box::new(error)))?,
            );
            builder.with_server_name_resolver(name)
        }
        None => builder,
    };
    let connector = builder.enable_all_versions().wrap_connector(http);
    let hyper = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PULSE)
        .http2_keep_alive_timeout(PULSE_PATIENCE)
        .http2_keep_alive_while_idle(true)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(guard(gate))
        .layer(config.base_uri_layer())
        .option_layer(login)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// The gate that every request passes: counts it, names us to the server, and lets through what writes only when it is open.
fn guard(
    gate: Arc<Gate>,
) -> tower::filter::FilterLayer<impl Fn(Request<Body>) -> Result<Request<Body>, BoxError> + Clone + Send + Sync> {
    tower::filter::FilterLayer::new(move |mut request: Request<Body>| {
        let (open, closed) = (gate.open.load(Ordering::Relaxed), gate.closed.load(Ordering::Relaxed));
        if (!open || closed) && !only_reads(&request) {
            let title = format!("{} {}", request.method(), request.uri().path());
            return Err(BoxError::from(WouldWrite { title, closed }));
        }
        gate.sent.fetch_add(1, Ordering::Relaxed);
        let agent = HeaderValue::from_static(concat!("cfrt/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(header::USER_AGENT, agent);
        Ok(request)
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{title}")]
struct WouldWrite {
    title: String,
    closed: bool,
}

/// Reads, dry runs and access reviews. A dry run counts only where the query says so: the body isn't looked at.
fn only_reads(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let dry_run = query.split('&').filter(|pair| pair.starts_with("dryRun=")).eq(["dryRun=All"]);
    let review = request.uri().path().starts_with("/apis/authorization.k8s.io/")
        && request.uri().path().ends_with("accessreviews");
    match *request.method() {
        Method::GET | Method::HEAD => true,
        Method::PATCH => dry_run,
        Method::POST => review,
        _ => false,
    }
}

fn transport(error: kube::Error) -> ApiError {
    let mut words = Vec::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(WouldWrite { title, closed }) = error.downcast_ref() {
            let title = title.clone();
            return if *closed { ApiError::Closed(title) } else { ApiError::ReadOnly(title) };
        }
        words.push(error.to_string());
        cause = error.source();
    }
    words.dedup();
    ApiError::Transport(words.last().cloned().unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Option<Vec<Cause>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    message: String,
    field: String,
}

/// The server's own words where it has some; proxies answer with pages of HTML.
fn refusal(reply: &Reply) -> ApiError {
    let code = reply.status.as_u16();
    match serde_json::from_slice::<Status>(&reply.body) {
        Ok(status) if !status.message.is_empty() => {
            let message = without_large_values(&status);
            match immutable(&status) {
                Some(fields) if code == 422 => ApiError::Immutable { fields, message },
                Some(_) | None => ApiError::Status { code, message, reason: status.reason },
            }
        }
        Ok(_) | Err(_) => {
            let text: String = String::from_utf8_lossy(&reply.body).chars().take(200).collect();
            ApiError::Status { code, reason: String::new(), message: format!("HTTP {code}: {}", text.trim()) }
        }
    }
}

/// The fields of a refusal, where it is about nothing but fields that stay as they were made.
fn immutable(status: &Status) -> Option<Vec<String>> {
    let causes = status.details.as_ref()?.causes.as_deref().filter(|causes| !causes.is_empty())?;
    let is_about_it = causes.iter().all(|cause| is_immutable(&cause.message));
    is_about_it.then(|| causes.iter().map(|cause| cause.field.clone()).collect())
}

/// A server repeats what it refuses, which can be a whole pod with the secrets in it; the field and the reason are enough.
fn without_large_values(status: &Status) -> String {
    let causes = status.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
    let Some((about, _)) = status.message.split_once(" is invalid: ").filter(|_| !causes.is_empty()) else {
        return status.message.clone();
    };
    let short = |cause: &Cause| {
        let value = cause.message.strip_prefix("Invalid value: ").and_then(|rest| rest.rsplit_once(": "));
        let reason =
            value.filter(|(value, _)| value.len() > LONGEST_VALUE).map_or(cause.message.as_str(), |(_, why)| why);
        format!("{}: {reason}", cause.field)
    };
    format!("{about} is invalid: {}", causes.iter().map(short).collect::<Vec<_>>().join(", "))
}

/// The seconds since 1970 of an HTTP date.
fn parse_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp().as_second())
}

#[cfg(test)]
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

    /// The same, where the answer needs the whole request; what writes passes the gate.
    pub(crate) fn answering<F>(answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = (StatusCode, String)> + Send + 'static,
    {
        let service = tower::service_fn(move |request: Request<Body>| {
            let answered = answer(request);
            async move {
                let (status, text) = answered.await;
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

#[cfg(test)]
mod tests;
