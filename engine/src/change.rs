//! What will happen to a resource, field by field, and why.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which side of a difference has moved since both were last the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// What is wanted: the file, or what it names.
    File,
    /// What is there.
    World(Moved),
    /// Both of them.
    Both(Moved),
}

impl Origin {
    /// What is known of the move in the world, where there was one.
    pub fn moved(&self) -> Option<&Moved> {
        match self {
            Self::World(moved) | Self::Both(moved) => Some(moved),
            Self::File => None,
        }
    }
}

/// What the world says of who moved something in it. What it doesn't say is left open, never guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Who, as they call themselves.
    pub by: Option<String>,
    /// By which side entrance, where it was one: `scale`.
    pub via: Option<String>,
    /// When, in the world's own words.
    pub at: Option<String>,
    /// What was there before, where that is known and isn't what is wanted now.
    pub was: Option<Value>,
}

/// One field that will move, with what it was and what it will be.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field as people write it: `spec.template.spec.containers[app-proxy].image`.
    pub path: String,
    /// What is there now; `None` where the field is absent.
    pub before: Option<Value>,
    /// What will be there; `None` where the field goes.
    pub after: Option<Value>,
    /// Which side has moved; `None` where nobody knows.
    pub origin: Option<Origin>,
}

impl FieldChange {
    /// A field that moves from one value to another, for whatever reason.
    pub fn new(path: impl Into<String>, before: Option<Value>, after: Option<Value>) -> Self {
        Self { path: path.into(), before, after, origin: None }
    }

    /// The same with the side that has moved.
    #[must_use]
    pub fn origin(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Nothing: it is as it should be.
    Keep,
    /// Only who owns its fields changes, not what they say.
    Migrate,
    /// It is made.
    Create,
    /// Some of its fields are written.
    Update,
    /// It is deleted and made again.
    Replace,
    /// It is deleted.
    Delete,
    /// It would have to change but may not; nothing is applied while a plan has one.
    Refuse,
}

impl Action {
    /// All actions, in the order in which they are counted.
    pub const ALL: [Self; 7] =
        [Self::Create, Self::Update, Self::Replace, Self::Delete, Self::Migrate, Self::Refuse, Self::Keep];

    /// Whether carrying it out writes something.
    pub fn writes(self) -> bool {
        match self {
            Self::Keep | Self::Refuse => false,
            Self::Migrate | Self::Create | Self::Update | Self::Replace | Self::Delete => true,
        }
    }
}

/// What will happen to one resource. The reason is for people: nothing decides by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// The fields that move, in the order of the document; empty for `Keep` and `Create`.
    pub fields: Vec<FieldChange>,
    /// Why, as a lower-case fragment; empty where the action says it all.
    pub reason: String,
    /// Which side has moved, where it is the whole and not some fields; `None` where nobody knows.
    pub origin: Option<Origin>,
    /// What happens instead of a refusal where the file agrees to it; `None` where no one can.
    pub unless_agreed: Option<Box<Self>>,
}

impl Change {
    /// A change without fields or reason.
    pub fn of(action: Action) -> Self {
        Self { action, fields: Vec::new(), reason: String::new(), origin: None, unless_agreed: None }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// A refusal for a reason, but where the file agrees to the change.
    #[must_use]
    pub fn unless_agreed(self, reason: impl Into<String>) -> Self {
        let refused = Self { fields: self.fields.clone(), origin: self.origin.clone(), ..Self::of(Action::Refuse) };
        Self { unless_agreed: Some(Box::new(self)), ..refused }.because(reason)
    }

    /// `Update` with these fields, or `Keep` where there are none.
    pub fn of_fields(fields: Vec<FieldChange>) -> Self {
        let action = if fields.is_empty() { Action::Keep } else { Action::Update };
        Self { fields, ..Self::of(action) }
    }
}
