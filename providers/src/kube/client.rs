//! The connection to the API server: one HTTP/2 connection, a guard before every write, and answers as bytes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cfrt_engine::driver::{DriverError, Fault};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{AuthError, Body, Client, ClientBuilder, ConfigExt as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower::{BoxError, ServiceBuilder};

use super::access::Denied;
use super::call::Call;
use super::config::{LOG_IN, login_words};
use super::login::Login;
use super::refusal::refusal;
use super::retry::{Budget, Failure};
use crate::world::Access;

pub(crate) use gate::Moment;
use gate::{Gate, Shut, WouldWrite, guard};

/// No answer may be larger: a list of everything that a sane namespace holds is far below.
const LARGEST_ANSWER: usize = 256 << 20;

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
    /// The server doesn't permit it: who may not do what, with which resource, where.
    #[error("{0}")]
    Denied(String),
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
    /// What a server's answer of this code, in these words, stands for: missing rights are what it says in the words for missing
    /// rights, since quotas, policies and states refuse with the same code.
    pub(super) fn of_status(code: u16, reason: String, message: String) -> Self {
        match Denied::told(&message).filter(|_| code == 403) {
            Some(denied) => Self::Denied(denied),
            None => Self::Status { code, reason, message },
        }
    }

    /// The HTTP status code, if the server gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Immutable { .. } => Some(422),
            Self::Denied(_) => Some(403),
            Self::Transport(_) | Self::Slow(_) | Self::Junk(_) | Self::Old | Self::ReadOnly(_) | Self::Closed(_) => {
                None
            }
        }
    }

    /// What kind of trouble it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Denied(_) => Fault::Forbidden,
            Self::Closed(_) => Fault::Locked,
            Self::Status { .. } | Self::Transport(_) | Self::Slow(_) => Fault::World,
            Self::Immutable { .. } | Self::Junk(_) | Self::Old | Self::ReadOnly(_) => Fault::World,
        }
    }

    /// What the user can do about it; empty where nothing is known.
    pub(crate) fn hint(&self) -> &'static str {
        if self.code() == Some(401) { LOG_IN } else { "" }
    }

    /// The same as an error of whoever asked, with what was being done.
    pub fn during(self, doing: impl Into<String>) -> DriverError {
        let (fault, hint) = (self.fault(), self.hint());
        DriverError::new(doing, self).fault(fault).hint(hint)
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

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMetadata,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(default)]
    r#continue: Option<String>,
}

impl Reply {
    /// The answer as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| ApiError::Junk(error.to_string()))
    }

    /// The items of a list, which must be all there are: what is missing would be taken for absent.
    ///
    /// # Errors
    ///
    /// What is no list, or goes on elsewhere.
    pub fn items<T: DeserializeOwned>(&self) -> Result<Vec<T>, ApiError> {
        let List { metadata, items } = self.json::<List<T>>()?;
        if metadata.r#continue.is_some_and(|rest| !rest.is_empty()) {
            return Err(ApiError::Junk("the list goes on elsewhere, though all of it was asked for".to_owned()));
        }
        Ok(items.unwrap_or_default())
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
        let (login, mut rest) = Login::of(config)?;
        rest.default_retry = false;
        let below = ClientBuilder::try_from(rest)?.build();
        let below = tower::service_fn(move |request| {
            let below = below.clone();
            async move { below.send(request).await.map_err(BoxError::from) }
        });
        let service = ServiceBuilder::new().layer(guard(Arc::clone(&gate))).option_layer(login).service(below);
        let client = Client::new(service, config.default_namespace.clone());
        Ok(Self { client, gate })
    }

    /// The client below, for what the kube crate does itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many requests were sent so far.
    pub fn sent(&self) -> usize {
        self.gate.sent()
    }

    /// Lets requests through that write, from now on.
    pub fn open(&self) {
        self.gate.open();
    }

    /// Says when the lease at a path was last known to be ours. Once that is longer ago than it lasts, what writes waits
    /// until it is said anew.
    pub(crate) fn renewed(&self, path: String, renewed: Moment, lasts: Duration) {
        self.gate.renewed(path, renewed, lasts);
    }

    /// Lets no request through that writes, from now on and whatever else is said.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Sends a request, and sends it again as `retry` has it: while the server puts it off or can't be had, and where doing it
    /// twice is doing it once, also where it is unclear what was done.
    ///
    /// # Errors
    ///
    /// Any answer but a success, or none.
    pub async fn send(&self, call: &Call) -> Result<Reply, ApiError> {
        let mut budget = Budget::new(call.is_harmless());
        loop {
            let failure = match self.send_once(call).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            self.gate.lanes.note(&failure);
            // A server that never answered isn't there: nobody waits a minute to learn that.
            let is_there = failure.error.code().is_some() || self.gate.reached.load(Ordering::Relaxed);
            match budget.pause(&failure).filter(|_| is_there && !call.is_sent_once()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failure.error),
            }
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Reply, Failure> {
        let request = call.request().map_err(|error| ApiError::Transport(error.to_string()))?;
        self.gate.wait(&request).await;
        let _lane = self.gate.lanes.enter().await;
        let answer = tokio::time::timeout(call.limit(), self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(ApiError::Slow(call.limit().as_secs()).into()))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Reply, Failure> {
        let response = self.client.send(request).await.map_err(transport)?;
        self.gate.reached.store(true, Ordering::Relaxed);
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| broken(&error))?;
        let server_time = head.headers.get(header::DATE).and_then(|date| parse_date(date.to_str().ok()?));
        let after =
            head.headers.get(header::RETRY_AFTER).and_then(|after| parse_pause(after.to_str().ok()?, server_time));
        let reply = Reply { status: head.status, server_time, body: body.to_bytes().into() };
        if head.status.is_success() {
            return Ok(reply);
        }
        Err(Failure { error: refusal(reply.status.as_u16(), &reply.body), after, unsent: false })
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
    let (login, rest) = Login::of(config)?;
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

fn transport(error: kube::Error) -> Failure {
    let (mut words, mut unsent) = (Vec::new(), false);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(WouldWrite { title, shut }) = error.downcast_ref() {
            return kept_here(title.clone(), *shut);
        }
        if let Some(error) = error.downcast_ref::<AuthError>() {
            return ApiError::Transport(login_words(error)).into();
        }
        unsent |= error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
        words.push(error.to_string());
        cause = error.source();
    }
    words.dedup();
    Failure { error: ApiError::Transport(words.last().cloned().unwrap_or_default()), after: None, unsent }
}

/// What is told of a request that did not pass the gate. One that is held back is sent again, and waits before that.
fn kept_here(title: String, shut: Shut) -> Failure {
    match shut {
        Shut::ReadsOnly => ApiError::ReadOnly(title).into(),
        Shut::Lost => ApiError::Closed(title).into(),
        Shut::NotRenewed => {
            let error = ApiError::Transport(format!("{title} was held back: the lease is not renewed"));
            Failure { error, after: None, unsent: true }
        }
    }
}

/// What is told of an answer that began and did not end.
fn broken(error: &BoxError) -> ApiError {
    if error.is::<LengthLimitError>() {
        return ApiError::Junk(format!("it is larger than {} MiB", LARGEST_ANSWER >> 20));
    }
    ApiError::Transport(format!("the answer broke off: {error}"))
}

/// The seconds since 1970 of an HTTP date.
fn parse_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp().as_second())
}

/// How long a server wants to be left alone: some seconds, or until a time by its own clock.
fn parse_pause(text: &str, server_time: Option<i64>) -> Option<Duration> {
    let seconds = text.trim().parse().ok();
    let until = || Some(parse_date(text)?.saturating_sub(server_time?).max(0).unsigned_abs());
    seconds.or_else(until).map(Duration::from_secs)
}

mod gate;
#[cfg(test)]
mod played;
#[cfg(test)]
mod tests;
