//! Things in the world: their addresses, what we want of them, and what they need.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::task::TaskId;

/// One thing in the world, as `KIND [SCOPE/]NAME`: `apps/v1/Deployment codefresh/app-proxy`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// What sort of thing it is; for a Kubernetes object `[GROUP/]VERSION/KIND`.
    pub kind: String,
    /// What it lives in, a namespace or a zone; empty where it lives in nothing.
    pub scope: String,
    /// Its name within kind and scope.
    pub name: String,
}

impl Address {
    /// Builds an address; an empty scope means that the thing lives in nothing.
    pub fn new(kind: impl Into<String>, scope: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), scope: scope.into(), name: name.into() }
    }

    /// The address as people say it, without group and version: `Deployment codefresh/app-proxy`.
    pub fn short(&self) -> Self {
        let kind = self.kind.rsplit('/').next().unwrap_or_default();
        Self { kind: kind.to_owned(), scope: self.scope.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scope.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.scope, self.name)
        }
    }
}

/// Which part of a thing a resource is: several tasks may own parts of one thing, never the same part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All of it.
    Whole,
    /// Who owns it, and nothing else.
    Adoption,
    /// Some fields, under a name of their own.
    Fields(&'static str),
}

/// One node of the graph: a thing, and which part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The thing.
    pub address: Address,
    /// Which part of it.
    pub part: Part,
}

impl ResourceId {
    /// The whole of a thing.
    pub fn whole(address: Address) -> Self {
        Self { address, part: Part::Whole }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Whole => self.address.fmt(f),
            Part::Adoption => write!(f, "{} (adoption)", self.address),
            Part::Fields(name) => write!(f, "{} ({name})", self.address),
        }
    }
}

/// A place inside a document, as a JSON pointer (RFC 6901).
pub type Pointer = String;

/// What a document's plain JSON can't hold; it stands at a pointer of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// A value that may not be shown or stored; the document holds its seal, the driver puts the value in while sending.
    Secret,
    /// A value that each rendering makes anew: used as rendered at creation, later the live value stays.
    Generated,
}

/// The JSON that a resource should be, and the holes in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// The body, with a placeholder at each hole.
    pub body: Value,
    /// What the body can't hold, by place.
    pub holes: BTreeMap<Pointer, Hole>,
}

/// A document that is made when it is first looked at, and known by its digest before that.
///
/// Documents are most of what a plan holds, and of one in which nothing moved hardly any is ever looked at. Clones share one.
#[derive(Clone)]
pub struct LazyDocument(Arc<Lazy>);

struct Lazy {
    digest: Option<String>,
    document: LazyLock<Document, Box<dyn FnOnce() -> Document + Send + Sync>>,
}

impl LazyDocument {
    /// A document that `make` will make. Two that have the same digest must be the same.
    pub fn new(digest: String, make: impl FnOnce() -> Document + Send + Sync + 'static) -> Self {
        Self(Arc::new(Lazy { digest: Some(digest), document: LazyLock::new(Box::new(make)) }))
    }

    /// What tells it from any other document.
    pub fn digest(&self) -> String {
        self.0.digest.clone().unwrap_or_else(|| {
            let Document { body, holes } = &**self;
            let digest = Sha256::digest(format!("{body}\n{holes:?}"));
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }
}

impl From<Document> for LazyDocument {
    fn from(document: Document) -> Self {
        Self(Arc::new(Lazy { digest: None, document: LazyLock::new(Box::new(move || document)) }))
    }
}

impl Deref for LazyDocument {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.0.document
    }
}

impl PartialEq for LazyDocument {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl Eq for LazyDocument {}

impl fmt::Debug for LazyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What a resource should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// It is there, and has at least what the document says.
    Present(LazyDocument),
    /// It is there; once it is, it isn't changed any more.
    Existing(LazyDocument),
    /// It is gone.
    Absent,
}

impl Want {
    /// Whether it is to be there.
    pub fn is_something(&self) -> bool {
        match self {
            Self::Present(_) | Self::Existing(_) => true,
            Self::Absent => false,
        }
    }

    /// The document, where something is wanted.
    pub fn document(&self) -> Option<&LazyDocument> {
        match self {
            Self::Present(document) | Self::Existing(document) => Some(document),
            Self::Absent => None,
        }
    }
}

/// What makes a resource act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Its own difference from what is wanted.
    Differs,
    /// Another resource acts: a hook runs because its release gets a revision.
    With(ResourceId),
}

/// What must be settled before a resource starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// One resource; if it opens a bracket, the whole bracket.
    Resource(ResourceId),
    /// Every resource of a task.
    Task(TaskId),
}

/// One node of the graph: a thing in the world, what we want of it, and what it needs.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Which thing, and which part of it.
    pub id: ResourceId,
    /// The task that it belongs to.
    pub task: TaskId,
    /// The driver that reads and writes it.
    pub driver: &'static str,
    /// What it should be.
    pub want: Want,
    /// What must be settled before it starts.
    pub needs: Vec<Need>,
    /// What makes it act.
    pub trigger: Trigger,
    /// What its driver has to know besides, in the driver's own shape.
    pub settings: Value,
}

/// A scope in the graph: its owner opens it before the first phase starts, and closes it after the last one ended,
/// whatever happened between. A phase starts when all of the one before is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bracket {
    /// The resource that opens and closes it.
    pub owner: ResourceId,
    /// The members, phase by phase.
    pub phases: Vec<Vec<ResourceId>>,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_made_when_it_is_looked_at_and_only_once() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let document = LazyDocument::new("d".to_owned(), move || {
            count.fetch_add(1, Ordering::Relaxed);
            Document { body: json!(1), ..Document::default() }
        });
        let copy = document.clone();
        assert_eq!((document.digest(), made.load(Ordering::Relaxed)), ("d".to_owned(), 0));
        assert_eq!((&document.body, &copy.body, made.load(Ordering::Relaxed)), (&json!(1), &json!(1), 1));
    }

    #[test]
    fn a_digest_sees_the_body_and_its_holes() {
        let digest = |body: Value, holes: &[(&str, Hole)]| {
            let holes = holes.iter().map(|(place, hole)| ((*place).to_owned(), *hole)).collect();
            LazyDocument::from(Document { body, holes }).digest()
        };
        let plain = digest(json!({"a": "b"}), &[]);
        assert_eq!(plain, digest(json!({"a": "b"}), &[]));
        assert_ne!(plain, digest(json!({"a": "c"}), &[]));
        assert_ne!(plain, digest(json!({"a": "b"}), &[("/a", Hole::Secret)]));
    }
}
