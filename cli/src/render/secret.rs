//! Which values are never shown: a second wall behind the drivers, which already seal what is secret.

use cfrt_engine::change::FieldChange;
use cfrt_engine::drift::Finding;
use cfrt_engine::resource::Address;
use serde_json::Value;

/// How a secret's stand-in begins.
const SEAL: &str = "sealed:";

/// Whether neither value of a field may be shown.
pub(crate) fn is_secret(address: &Address, field: &FieldChange) -> bool {
    hides(address, &field.path, [&field.before, &field.after])
}

/// The same of what has moved in the cluster.
pub(crate) fn is_hidden(finding: &Finding) -> bool {
    hides(&finding.resource.address, &finding.path, [&finding.was, &finding.is])
}

fn hides(address: &Address, path: &str, values: [&Option<Value>; 2]) -> bool {
    in_a_secret(address, path) || values.into_iter().flatten().any(holds_a_seal)
}

fn in_a_secret(address: &Address, path: &str) -> bool {
    // Both keys of a Secret that hold values begin like this, and so does `stringData` in spirit.
    let holds_values =
        |top: &str| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    address.kind == "v1/Secret" && (path.is_empty() || holds_values("data") || holds_values("stringData"))
}

fn holds_a_seal(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(SEAL),
        Value::Array(items) => items.iter().any(holds_a_seal),
        Value::Object(entries) => entries.values().any(holds_a_seal),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hides_it(kind: &str, path: &str, before: Value, after: Value) -> bool {
        let field = FieldChange::new(path, Some(before), Some(after));
        is_secret(&Address::new(kind, "codefresh", "token"), &field)
    }

    #[test]
    fn a_seal_hides_the_field_wherever_it_is() {
        assert!(hides_it("apps/v1/Deployment", "spec", json!("clear"), json!("sealed:1")));
        assert!(hides_it("apps/v1/Deployment", "spec", json!({"env": [{"value": "sealed:1"}]}), json!(null)));
        assert!(!hides_it("apps/v1/Deployment", "spec", json!("not sealed:"), json!("clear")));
    }

    #[test]
    fn what_a_secret_holds_is_hidden_even_without_a_seal() {
        assert!(hides_it("v1/Secret", "data.token", json!("YQ=="), json!("Yg==")));
        assert!(hides_it("v1/Secret", "data[tls.crt]", json!("YQ=="), json!("Yg==")));
        assert!(hides_it("v1/Secret", "stringData", json!({}), json!({})));
        assert!(!hides_it("v1/Secret", "metadata.labels.data", json!("a"), json!("b")));
        assert!(!hides_it("v1/ConfigMap", "data.token", json!("a"), json!("b")));
    }
}
