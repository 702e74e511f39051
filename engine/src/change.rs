//! What will happen to a resource, field by field, and why.

use serde_json::Value;

/// One field that will move, with what it was and what it will be.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The field as people write it: `spec.template.spec.containers[app-proxy].image`.
    pub path: String,
    /// What is there now; `None` where the field is absent.
    pub before: Option<Value>,
    /// What will be there; `None` where the field goes.
    pub after: Option<Value>,
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
}

impl Change {
    /// A change without fields or reason.
    pub fn of(action: Action) -> Self {
        Self { action, fields: Vec::new(), reason: String::new() }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// `Update` with these fields, or `Keep` where there are none.
    pub fn of_fields(fields: Vec<FieldChange>) -> Self {
        let action = if fields.is_empty() { Action::Keep } else { Action::Update };
        Self { action, fields, reason: String::new() }
    }
}
