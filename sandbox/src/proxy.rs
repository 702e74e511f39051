//! The proxy: takes requests on loopback, lets the schedule have its way with each, and passes on what is left of it.

use std::collections::HashSet;
use std::future::pending;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request, response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use kube::client::{Body, Client};
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig, crypto, pki_types};

use crate::connection::{Order, Orders, serve};
use crate::fault::Fault;
use crate::schedule::{Asked, Count, Schedule, Verb};

/// What goes wrong with a body.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub(crate) type Answer = UnsyncBoxBody<Bytes, Broken>;

/// How many connections may wait to be taken.
const BACKLOG: u32 = 64;

/// A proxy before an API server. It takes connections from this machine only, and ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// The certificate that it shows, as PEM.
    certificate: String,
    folder: tempfile::TempDir,
    listening: JoinHandle<()>,
}

/// Why there is no proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The API server's kubeconfig is of no use.
    #[error("reading the kubeconfig of the API server")]
    Kubeconfig(#[from] KubeconfigError),
    /// No client can be made from it.
    #[error("preparing the connection to the API server")]
    Client(#[from] kube::Error),
    /// No certificate can be made.
    #[error("making a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The certificate can't be shown.
    #[error("preparing TLS")]
    Tls(#[from] rustls::Error),
    /// There is no port, or no room for a kubeconfig.
    #[error("listening on loopback")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Shared {
    client: Upstream,
    schedule: Schedule,
    count: Mutex<Count>,
    /// What clients must bring, so that no one else on the machine gets in.
    token: String,
    expired: Mutex<HashSet<String>>,
    injected: Mutex<Vec<String>>,
    down: mpsc::UnboundedSender<Duration>,
}

/// A client that says nothing of itself.
struct Upstream(Client);

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}

impl Proxy {
    /// Starts a proxy before the server of a context, as its user; the current one where none is named.
    ///
    /// # Errors
    ///
    /// A kubeconfig that nothing can be made from, and a machine without a free port.
    pub async fn start(kubeconfig: &Path, context: Option<&str>, schedule: Schedule) -> Result<Self, ProxyError> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &options).await?;
        // A fault of the server itself is none of ours to hide.
        config.default_retry = false;
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (down, downs) = mpsc::unbounded_channel();
        let (certificate, tls) = identity()?;
        let shared = Arc::new(Shared {
            client: Upstream(Client::try_from(config)?),
            schedule,
            count: Mutex::default(),
            token: token(),
            expired: Mutex::default(),
            injected: Mutex::default(),
            down,
        });
        let folder = tempfile::tempdir()?;
        let listening = tokio::spawn(accept(listener, address, tls, Arc::clone(&shared), downs));
        let proxy = Self { shared, address, certificate, folder, listening };
        fs::write(proxy.kubeconfig(), proxy.login(&json!({ "token": proxy.token() })))?;
        Ok(proxy)
    }

    /// A kubeconfig by which clients come through the proxy. It goes with it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The text of a kubeconfig whose user is this, for those who want to log in otherwise.
    pub fn login(&self, user: &serde_json::Value) -> String {
        let certificate = STANDARD.encode(&self.certificate);
        let cluster = json!({"server": format!("https://{}", self.address), "certificate-authority-data": certificate});
        let context = json!({"cluster": "proxy", "user": "proxy"});
        let named = |what: &str, value| json!([{"name": "proxy", what: value}]);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": named("cluster", cluster), "contexts": named("context", context), "users": named("user", user.clone()),
        })
        .to_string()
    }

    /// What clients must bring; followed by a point and anything, it is taken as well, so that there can be a next one.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// What has happened so far: `FAULT VERB PATH`, in its order.
    pub fn injected(&self) -> Vec<String> {
        lock(&self.shared.injected).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections lie in its task and go with it.
        self.listening.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one step, so that a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A word that no one can guess: the keys of a hash map come from the system's own chance.
fn token() -> String {
    let chance = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", chance(), chance())
}

/// A certificate of this proxy's own, and what shows it. Credentials go over nothing less, whoever the client is.
fn identity() -> Result<(String, TlsAcceptor), ProxyError> {
    let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let key = pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let builder = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(vec![made.cert.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((made.cert.pem(), TlsAcceptor::from(Arc::new(config))))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // The same port is wanted again after the proxy was down.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    mut downs: mpsc::UnboundedReceiver<Duration>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let Some(listening) = &listener else { return };
        tokio::select! {
            accepted = listening.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Small answers wait for each other otherwise, 40 ms each.
                let _slower = stream.set_nodelay(true);
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    // Who speaks no TLS has no business here.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    serve(stream, move |request, orders| answer(Arc::clone(&shared), request, orders)).await;
                });
            }
            Some(pause) = downs.recv() => {
                drop(listener.take());
                connections.shutdown().await;
                tokio::time::sleep(pause).await;
                listener = listen(address).ok();
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>, orders: Orders) -> Response<Answer> {
    let bearer = bearer(request.headers());
    if !shared.takes(&bearer) {
        return status(401, None);
    }
    let asked = asked(request.method(), request.uri());
    let fault = shared.schedule.fault(&asked, &mut lock(&shared.count));
    if let Some(fault) = fault {
        lock(&shared.injected).push(format!("{fault} {asked}"));
    }
    match fault {
        Some(Fault::Cut) => last(&orders, Order::Cut).await,
        Some(Fault::Mute) => last(&orders, Order::Mute).await,
        Some(Fault::Down(pause)) => {
            let _proxy_ends = shared.down.send(Duration::from_millis(pause));
            pending().await
        }
        Some(Fault::Answer(code, after)) => status(code, after),
        Some(Fault::Expire) => {
            lock(&shared.expired).insert(bearer);
            status(401, None)
        }
        Some(Fault::Gone) => too_old(),
        Some(Fault::Delay(pause)) => {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            shared.passed(request, None, &orders).await
        }
        Some(Fault::Late(_) | Fault::Lose | Fault::Truncate | Fault::Twice | Fault::GoAway | Fault::Drop) | None => {
            shared.passed(request, fault, &orders).await
        }
    }
}

/// Gives an order after which there is no answer.
async fn last(orders: &Orders, order: Order) -> Response<Answer> {
    let _connection_ends = orders.send(order);
    pending().await
}

impl Shared {
    fn takes(&self, bearer: &str) -> bool {
        let ours = bearer.strip_prefix(&self.token).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        ours && !lock(&self.expired).contains(bearer)
    }

    /// Has the server do it, with what may go wrong after that.
    async fn passed(&self, request: Request<Incoming>, fault: Option<Fault>, orders: &Orders) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return status(400, None) };
        let body = body.to_bytes();
        if fault == Some(Fault::GoAway) {
            let _connection_ends = orders.send(Order::GoAway);
        }
        if fault == Some(Fault::Twice) {
            let _first = whole(self.sent(&head, &body).await).await;
        }
        let answer = self.sent(&head, &body).await;
        match fault {
            Some(Fault::Late(code)) => {
                let _lost = whole(answer).await;
                status(code, None)
            }
            Some(Fault::Lose) => {
                let _lost = whole(answer).await;
                last(orders, Order::Cut).await
            }
            Some(Fault::Truncate) => truncated(answer).await,
            Some(Fault::Drop) => dropped(answer),
            Some(_) | None => answer,
        }
    }

    async fn sent(&self, head: &request::Parts, body: &Bytes) -> Response<Answer> {
        let mut request = Request::builder()
            .method(head.method.clone())
            .uri(head.uri.path_and_query().map_or("/", |path| path.as_str()));
        for (name, value) in head.headers.iter().filter(|(name, _)| !is_ours(name)) {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Body::from(body.to_vec())) else { return status(400, None) };
        match self.client.0.send(request).await {
            Ok(answer) => {
                let (mut head, body) = answer.into_parts();
                head.headers = head
                    .headers
                    .iter()
                    .filter(|(name, _)| !is_ours(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                head.version = http::Version::default();
                Response::from_parts(head, body.map_err(Broken::from).boxed_unsync())
            }
            Err(_) => status(502, None),
        }
    }
}

/// What is about one connection only, or about who is logged in.
fn is_ours(name: &header::HeaderName) -> bool {
    [header::HOST, header::AUTHORIZATION, header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE]
        .contains(name)
}

fn bearer(headers: &HeaderMap) -> String {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.strip_prefix("Bearer ").unwrap_or_default().to_owned()
}

fn asked(method: &Method, uri: &http::Uri) -> Asked {
    let has = |pair: &str| uri.query().unwrap_or_default().split('&').any(|other| other == pair);
    let verb = match *method {
        Method::GET | Method::HEAD if has("watch=true") || has("watch=1") => Verb::Watch,
        Method::GET | Method::HEAD => Verb::Get,
        _ if has("dryRun=All") => Verb::DryRun,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Replace,
        Method::PATCH => Verb::Patch,
        _ => Verb::Delete,
    };
    Asked { verb, path: uri.path().to_owned() }
}

/// An answer with all of its body.
async fn whole(answer: Response<Answer>) -> (response::Parts, Bytes) {
    let (head, body) = answer.into_parts();
    (head, body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default())
}

/// The first half of an answer, and then an end that isn't one.
async fn truncated(answer: Response<Answer>) -> Response<Answer> {
    let (head, body) = whole(answer).await;
    let half = body.slice(..body.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(Broken::from("the proxy breaks off here"))];
    Response::from_parts(head, StreamBody::new(stream::iter(frames)).boxed_unsync())
}

/// An answer that ends where it was about to say something.
fn dropped(answer: Response<Answer>) -> Response<Answer> {
    let (mut head, mut body) = answer.into_parts();
    // It ends as a watch does, and not as an answer that breaks off.
    head.headers.remove(header::CONTENT_LENGTH);
    let frames = stream::once(async move {
        let _unsaid = body.frame().await;
        Ok(Frame::data(Bytes::new()))
    });
    Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
}

/// An answer as API servers, and in one case proxies, refuse.
fn status(code: u16, after: Option<u64>) -> Response<Answer> {
    let text = if code == 502 { "<html>bad gateway</html>".to_owned() } else { refusal(code).to_string() };
    let mut answer = Response::new(full(text));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(after) = after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
    }
    answer
}

fn refusal(code: u16) -> serde_json::Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let message = format!("the fault proxy answers with {code}");
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
}

/// How a watch is told that it asks for what the server has forgotten.
fn too_old() -> Response<Answer> {
    let event = json!({"type": "ERROR", "object": refusal(410)});
    let mut answer = Response::new(full(format!("{event}\n")));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn full(text: String) -> Answer {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests;
