//! Which values are never shown: what drivers have sealed, and behind that wall what sounds like a secret.

use cfrt_engine::resource::Address;
use serde_json::Value;

/// How a secret's stand-in begins.
pub(crate) const SEAL: &str = "sealed:";

/// What stands for a secret inside a larger value.
const HIDDEN: &str = "(secret)";

/// What a key is called whose value is probably a secret, without the signs between its words.
const TELLING: [&str; 7] = ["token", "password", "passwd", "passphrase", "credential", "apikey", "privatekey"];

/// Whether a key sounds like one whose value is a secret.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let key: String = key.chars().filter(|sign| !matches!(sign, '_' | '-' | '.')).collect();
    let key = key.to_lowercase();
    TELLING.iter().any(|word| key.contains(word))
}

/// What a field was and what it is, or will be, as that may be shown; `None` where only that it moves may be told.
pub(crate) fn shown(address: &Address, path: &str, values: [&Option<Value>; 2]) -> Option<[Option<Value>; 2]> {
    let sounding = in_a_config_map(address, path).is_some_and(|key| holds_a_value(&key))
        || in_a_variable(path).is_some_and(|name| holds_a_value(&name));
    if sounding || is_secret(address, path, values) {
        return None;
    }
    let [was, is] = values.map(|value| value.as_ref().map(|value| masked(address, path, value)));
    // Where the secret is all that moves, what is left would look as if nothing did.
    (was != is || values[0] == values[1]).then_some([was, is])
}

/// The same for a key that isn't a place where a secret lies, as one of the desired state may be.
fn holds_a_value(key: &str) -> bool {
    sounds_secret(key) || key.to_lowercase().contains("secret")
}

/// Whether neither value of a field may be shown.
fn is_secret(address: &Address, path: &str, values: [&Option<Value>; 2]) -> bool {
    in_a_secret(address, path) || values.into_iter().flatten().any(holds_a_seal)
}

/// The key of a ConfigMap that a path names.
fn in_a_config_map(address: &Address, path: &str) -> Option<String> {
    let key = path.strip_prefix("data").or_else(|| path.strip_prefix("binaryData"))?;
    let quoted = || serde_json::from_str(key.strip_prefix('[')?.strip_suffix(']')?).ok();
    let key = key.strip_prefix('.').map(str::to_owned).or_else(quoted)?;
    (address.kind == "v1/ConfigMap").then_some(key)
}

/// The variable of a container whose value a path names.
fn in_a_variable(path: &str) -> Option<String> {
    let (_, entry) = path.strip_suffix(".value")?.rsplit_once(".env[")?;
    Some(entry.strip_suffix(']')?.to_owned())
}

/// A value without the secrets inside it: of variables, and of a ConfigMap as a whole.
pub(crate) fn masked(address: &Address, path: &str, value: &Value) -> Value {
    let is_data = address.kind == "v1/ConfigMap" && matches!(path, "data" | "binaryData");
    match value {
        Value::Array(items) => items.iter().map(|item| masked(address, path, item)).collect(),
        Value::Object(entries) => {
            let is_variable = entries.get("name").and_then(Value::as_str).is_some_and(holds_a_value);
            let hides = |key: &str| if is_data { holds_a_value(key) } else { is_variable && key == "value" };
            let entry = |(key, value): (&String, &Value)| {
                (key.clone(), if hides(key) { HIDDEN.into() } else { masked(address, "", value) })
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
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

    fn hides(kind: &str, path: &str, before: Value, after: Value) -> bool {
        shown(&Address::new(kind, "codefresh", "token"), path, [&Some(before), &Some(after)]).is_none()
    }

    #[test]
    fn a_variable_and_a_key_that_sound_like_a_secret_are_hidden_and_what_only_refers_to_one_is_not() {
        let pod = |path: &str| hides("apps/v1/Deployment", path, json!("a"), json!("b"));
        assert!(pod("spec.template.spec.containers[app].env[DB_PASSWORD].value"));
        assert!(pod("spec.template.spec.containers[app].env[CLIENT_SECRET].value"));
        assert!(!pod("spec.template.spec.containers[app].env[LOG_LEVEL].value"));
        assert!(!pod("spec.template.spec.containers[app].env[DB_PASSWORD].valueFrom.secretKeyRef.name"));
        assert!(hides("v1/ConfigMap", "data.api-key", json!("a"), json!("b")));
        assert!(hides("v1/ConfigMap", r#"data["app.password"]"#, json!("a"), json!("b")));
        assert!(!hides("v1/ConfigMap", "data.greeting", json!("a"), json!("b")));
    }

    #[test]
    fn a_secret_inside_a_larger_value_is_hidden_and_the_rest_is_shown() {
        let container = |image: &str, password: &str| json!({"image": image, "env": [{"name": "PASSWORD", "value": password}, {"name": "A", "value": "b"}]});
        let pod = |before: Value, after: Value| {
            shown(&Address::new("v1/Pod", "codefresh", "app"), "spec.containers[app]", [&Some(before), &Some(after)])
        };
        let [_, after] = pod(container("a", "one"), container("b", "two")).expect("the image moves");
        assert_eq!(after, Some(container("b", HIDDEN)));
        assert_eq!(pod(container("a", "one"), container("a", "two")), None);
        let data = Some(json!({"token": "x", "a": "b"}));
        let [_, after] =
            shown(&Address::new("v1/ConfigMap", "codefresh", "app"), "data", [&None, &data]).expect("another key");
        assert_eq!(after, Some(json!({"token": HIDDEN, "a": "b"})));
        assert_eq!(shown(&Address::new("v1/Pod", "codefresh", "app"), "", [&None, &None]), Some([None, None]));
    }

    #[test]
    fn a_seal_hides_the_field_wherever_it_is() {
        assert!(hides("apps/v1/Deployment", "spec", json!("clear"), json!("sealed:1")));
        assert!(hides("apps/v1/Deployment", "spec", json!({"env": [{"value": "sealed:1"}]}), json!(null)));
        assert!(!hides("apps/v1/Deployment", "spec", json!("not sealed:"), json!("clear")));
    }

    #[test]
    fn what_a_secret_holds_is_hidden_even_without_a_seal() {
        assert!(hides("v1/Secret", "data.token", json!("YQ=="), json!("Yg==")));
        assert!(hides("v1/Secret", "data[tls.crt]", json!("YQ=="), json!("Yg==")));
        assert!(hides("v1/Secret", "stringData", json!({}), json!({})));
        assert!(!hides("v1/Secret", "metadata.labels.data", json!("a"), json!("b")));
        assert!(!hides("v1/ConfigMap", "data.text", json!("a"), json!("b")));
    }
}
