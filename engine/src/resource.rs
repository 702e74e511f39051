//! Things in the world: their addresses, what we want of them, and what they need.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

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

/// What a resource should be. Documents are shared: those of a chart are most of what a plan holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// It is there, and has at least what the document says.
    Present(Arc<Document>),
    /// It is there; once it is, it isn't changed any more.
    Existing(Arc<Document>),
    /// It is gone.
    Absent,
}

impl Want {
    /// The document, where something is wanted.
    pub fn document(&self) -> Option<&Document> {
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
