//! What an API server does to values while it stores them, by the group of their object.

use serde_json::{Value, json};

use super::quantity;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Groups that the API server itself serves. Other groups may end in `.k8s.io` too and be served from CRDs.
const BUILT_IN: [&str; 24] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    RBAC,
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Maps whose values, at any depth, are quantities.
const QUANTITY_MAPS: [&str; 7] = ["limits", "requests", "capacity", "hard", "allocatable", "podFixed", "used"];

/// Single quantities, by key and the key above.
const QUANTITIES: [(&str, &str); 4] =
    [("emptyDir", "sizeLimit"), ("resourceFieldRef", "divisor"), ("target", "averageValue"), ("target", "value")];

/// Defaults that the server puts into atomic values, by the key above (empty: any), key and value.
const DEFAULTS: [(&str, &str, &str); 9] = [
    ("fieldRef", "apiVersion", "v1"),
    ("resourceFieldRef", "divisor", "0"),
    ("", "protocol", "TCP"),
    ("", "scheme", "HTTP"),
    ("", "scope", "*"),
    ("volumeClaimTemplates", "apiVersion", "v1"),
    ("volumeClaimTemplates", "kind", "PersistentVolumeClaim"),
    ("spec", "volumeMode", "Filesystem"),
    ("status", "phase", "Pending"),
];

/// Maps that the server stores empty where nothing is written, by the key above and the key.
const ALWAYS_THERE: [(&str, &str); 4] = [
    ("containers", "resources"),
    ("initContainers", "resources"),
    ("ephemeralContainers", "resources"),
    ("spec", "securityContext"),
];

/// The habits of the group that an object is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conventions<'a> {
    group: &'a str,
}

impl<'a> Conventions<'a> {
    /// Takes the group from an object's `apiVersion`.
    pub(crate) fn of(object: &'a Value) -> Self {
        let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        Self { group: version.split_once('/').map_or("", |(group, _)| group) }
    }

    /// Those of the objects of a group.
    pub(crate) fn of_group(group: &'a str) -> Self {
        Self { group }
    }

    /// Tells whether the object is a custom resource: stored as written, nulls and empty values included.
    pub(crate) fn is_custom(self) -> bool {
        !BUILT_IN.contains(&self.group)
    }

    /// Tells whether two scalars at a place are the same to the server, one written and the other stored.
    ///
    /// `keys` are those on the way to the place, the nearest first.
    pub(crate) fn same_scalar<'k>(
        self,
        written: &Value,
        stored: &Value,
        mut keys: impl Iterator<Item = &'k str>,
    ) -> bool {
        if written == stored {
            return true;
        }
        if written.is_number() && stored.is_number() {
            // 1.0 is stored as 1.
            return quantity::same(written, stored);
        }
        let (key, above) = (keys.next().unwrap_or_default(), keys.next().unwrap_or_default());
        if key == "apiGroup" && self.group == RBAC {
            return written == "" && stored == RBAC;
        }
        self.has_quantities() && is_quantity(key, above, keys) && quantity::same(written, stored)
    }

    /// Tells whether a value that only the stored object has, inside an atomic value, is what the server itself puts there.
    pub(crate) fn is_default<'k>(self, stored: &Value, mut keys: impl Iterator<Item = &'k str>) -> bool {
        if self.is_custom() {
            return false;
        }
        let (key, above) = (keys.next().unwrap_or_default(), keys.next().unwrap_or_default());
        let listed = |(parent, name, default): &(&str, &str, &str)| {
            (parent.is_empty() || *parent == above) && *name == key && stored == default
        };
        match stored {
            Value::Null => true,
            Value::Number(seconds) => {
                above == "serviceAccountToken" && key == "expirationSeconds" && seconds.as_u64() == Some(3600)
            }
            // A claim template is stored with the status that a claim would begin with.
            Value::Object(_) => {
                above == "volumeClaimTemplates" && key == "status" && *stored == json!({"phase": "Pending"})
            }
            Value::String(text) if key == "apiGroup" => self.group == RBAC && text == RBAC,
            Value::String(_) => DEFAULTS.iter().any(listed),
            Value::Bool(_) | Value::Array(_) => false,
        }
    }

    /// Tells whether a stored value is the empty map that stands there with or without a document that names it.
    pub(crate) fn is_always_there<'k>(self, stored: &Value, mut keys: impl Iterator<Item = &'k str>) -> bool {
        let (key, above) = (keys.next().unwrap_or_default(), keys.next().unwrap_or_default());
        !self.is_custom() && ALWAYS_THERE.contains(&(above, key)) && *stored == json!({})
    }

    /// Tells whether the rules of a role with an aggregation rule are gathered by a controller.
    pub(crate) fn aggregates_roles(self) -> bool {
        self.group == RBAC
    }

    /// Tells whether a `caBundle` below these keys, the nearest first, is one that certificate injectors fill.
    pub(crate) fn is_ca_bundle_of<'k>(self, keys: impl Iterator<Item = &'k str>) -> bool {
        match self.group {
            "admissionregistration.k8s.io" => keys.eq(["clientConfig", "webhooks"]),
            "apiextensions.k8s.io" => keys.eq(["clientConfig", "webhook", "conversion", "spec"]),
            "apiregistration.k8s.io" => keys.eq(["spec"]),
            _ => false,
        }
    }

    /// The schemas in CRDs hold values of any kind under any key, and these stay as written.
    fn has_quantities(self) -> bool {
        !self.is_custom() && self.group != "apiextensions.k8s.io"
    }
}

/// Tells whether a value of a built-in kind is one that the server drops where a field may be absent.
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Free-form maps of strings (a ConfigMap's data) may use the same keys, but nothing lies below these.
fn is_quantity<'k>(key: &str, above: &str, mut further: impl Iterator<Item = &'k str>) -> bool {
    QUANTITIES.contains(&(above, key))
        || QUANTITY_MAPS.contains(&above)
        || further.any(|key| QUANTITY_MAPS.contains(&key))
}
