//! Things in the world: their addresses, what we want of them, and what they need.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

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

/// A place inside a document, as a JSON pointer (RFC 6901).
pub type Pointer = String;

/// What a document's plain JSON can't hold; it stands at a pointer of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
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
