//! Requests to the API server, built without sending anything.

use std::time::Duration;

use http::{HeaderValue, Method, Request, header};
use kube::client::Body;
use serde_json::Value;

use super::gvk::Resolved;

/// A request that can be sent, and sent again.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    accept: &'static str,
    body: Option<(&'static str, Vec<u8>)>,
    limit: Duration,
    once: bool,
}

/// How an apply patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// Only where nothing is there yet: a creation.
    New,
    /// Fields of other managers are taken over: an update of what the plan showed.
    Forced,
    /// As `Forced`, but nothing is stored.
    DryRun,
}

/// A revision that no object has: an apply that asks for it is refused wherever one is, and creates where none is.
/// (A store's first write is its second revision. A creation by POST would leave its fields owned as by an ordinary write.)
const NO_REVISION: &str = "1";

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(60);

const JSON: &str = "application/json";

/// The metadata of one object, instead of all of it.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// The metadata of the objects of a list.
const METADATA_OF_ALL: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

impl Call {
    /// A read of any path.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), accept: JSON, body: None, limit: PATIENCE, once: false }
    }

    /// The same, asking for another form of the answer.
    #[must_use]
    pub fn accept(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    /// The same, to be answered within this time.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The same, asking for the metadata of an object alone.
    #[must_use]
    pub fn metadata(self) -> Self {
        self.accept(METADATA)
    }

    /// The same, asking for the metadata of a list's objects alone.
    #[must_use]
    pub fn metadata_of_all(self) -> Self {
        self.accept(METADATA_OF_ALL)
    }

    /// A list that may be as old as one that was read before, so that the server needn't make sure that it has the newest;
    /// sent once, since a server that isn't there yet would keep us waiting.
    #[must_use]
    pub fn not_older_than(self, revision: &str) -> Self {
        let sign = if self.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{sign}resourceVersion={revision}&resourceVersionMatch=NotOlderThan", self.path);
        Self { path, once: true, ..self }
    }

    /// Whether it is sent once only, whatever the answer.
    pub(super) fn is_sent_once(&self) -> bool {
        self.once
    }

    /// What tells its answer from that of another read.
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.accept, self.path)
    }

    /// How long the answer may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// A server-side apply of a whole document.
    pub fn apply(kind: &Resolved, namespace: &str, name: &str, manager: &str, how: Apply, document: &Value) -> Self {
        let unless_there = (how == Apply::New).then(|| {
            let mut document = document.clone();
            document["metadata"]["resourceVersion"] = Value::from(NO_REVISION);
            document
        });
        let flags = match how {
            Apply::New => "force=false",
            Apply::Forced => "force=true",
            Apply::DryRun => "force=true&dryRun=All",
        };
        let path = format!("{}?fieldManager={manager}&{flags}", kind.path(namespace, name));
        Self::with_body(Method::PATCH, path, "application/apply-patch+yaml", unless_there.as_ref().unwrap_or(document))
    }

    /// A JSON patch (RFC 6902).
    pub fn patch(kind: &Resolved, namespace: &str, name: &str, manager: &str, operations: &Value) -> Self {
        let path = format!("{}?fieldManager={manager}", kind.path(namespace, name));
        Self::with_body(Method::PATCH, path, "application/json-patch+json", operations)
    }

    /// A JSON merge patch (RFC 7386).
    pub fn merge(kind: &Resolved, namespace: &str, name: &str, manager: &str, document: &Value) -> Self {
        let path = format!("{}?fieldManager={manager}", kind.path(namespace, name));
        Self::with_body(Method::PATCH, path, "application/merge-patch+json", document)
    }

    /// A creation that fails where something is there already.
    pub fn create(kind: &Resolved, namespace: &str, document: &Value) -> Self {
        Self::with_body(Method::POST, kind.collection(namespace), JSON, document)
    }

    /// A replacement; the document says which revision it replaces.
    pub fn replace(kind: &Resolved, namespace: &str, name: &str, document: &Value) -> Self {
        Self::with_body(Method::PUT, kind.path(namespace, name), JSON, document)
    }

    /// A deletion in the background, of exactly the object with this uid where one is given.
    pub fn delete(kind: &Resolved, namespace: &str, name: &str, uid: Option<&str>) -> Self {
        let mut options =
            serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(uid) = uid {
            options["preconditions"] = serde_json::json!({ "uid": uid });
        }
        Self::with_body(Method::DELETE, kind.path(namespace, name), JSON, &options)
    }

    /// The same deletion, of exactly this revision of the object.
    #[must_use]
    pub fn of_revision(mut self, revision: &str) -> Self {
        let options = self.body.as_ref().and_then(|(_, bytes)| serde_json::from_slice::<Value>(bytes).ok());
        if let Some(mut options) = options {
            options["preconditions"]["resourceVersion"] = revision.into();
            self.body = Some((JSON, options.to_string().into_bytes()));
        }
        self
    }

    /// The request itself.
    pub fn request(&self) -> Result<Request<Body>, http::Error> {
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        request = request.header(header::ACCEPT, self.accept);
        let body = match &self.body {
            Some((content, bytes)) => {
                request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(content));
                Body::from(bytes.clone())
            }
            None => Body::empty(),
        };
        request.body(body)
    }

    /// Whether it is sent to learn something and not to change anything.
    pub fn reads(&self) -> bool {
        self.method == Method::GET
    }

    /// What it does, for messages: `GET /api/v1/namespaces/x`.
    pub fn title(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }

    fn with_body(method: Method, path: String, content: &'static str, body: &Value) -> Self {
        Self {
            method,
            path,
            accept: JSON,
            body: Some((content, body.to_string().into_bytes())),
            limit: PATIENCE,
            once: false,
        }
    }
}
