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
