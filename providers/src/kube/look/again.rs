//! Objects that have to be made again: whether the server would take the new one, before anything is deleted for it.

use cfrt_engine::driver::Predicted;
use serde_json::{Value, json};

use super::refused;
use crate::kube::call::{Apply, Call};
use crate::kube::client::{ApiError, Kube};
use crate::kube::gvk::Resolved;
use crate::kube::read::Key;
use crate::kube::state::short_digest;
use crate::vault::hexadecimal;

/// What stands in the refusal of a quota, which counts the object itself for as long as it is there.
const QUOTA: &str = " is forbidden: exceeded quota: ";

/// An object that has to be made again, as it is now.
pub(super) struct MadeAgain<'a> {
    pub(super) kind: &'a Resolved,
    pub(super) key: &'a Key,
    pub(super) manager: &'a str,
    pub(super) live: &'a Value,
}

impl MadeAgain<'_> {
    /// What comes of it, since these of its fields stay as they were made: the server is asked under another name.
    ///
    /// # Errors
    ///
    /// A server that doesn't answer.
    pub(super) async fn predicted(
        &self,
        kube: &Kube,
        body: Value,
        immutable: Vec<String>,
    ) -> Result<Predicted, ApiError> {
        // Their names say what they are, so that they can be asked for under no other.
        if self.kind.gvk.is_crd() || self.kind.gvk.kind == "Namespace" {
            return Ok(Predicted::Immutable(immutable));
        }
        match kube.send(&self.under_another_name(body)).await {
            Ok(_) => Ok(Predicted::Immutable(immutable)),
            // A missing right is told with all others, before anything is written.
            Err(ApiError::Denied(_)) => Ok(Predicted::Immutable(immutable)),
            Err(ApiError::Status { code: 403, message, .. }) if message.contains(QUOTA) => {
                Ok(Predicted::Immutable(immutable))
            }
            Err(error) => refused(error),
        }
    }

    fn under_another_name(&self, mut body: Value) -> Call {
        let name = format!("cfrt-{}", hexadecimal(&short_digest(self.key.name.as_bytes())));
        body["metadata"]["name"] = Value::from(name.as_str());
        if self.kind.gvk.group.is_empty() && self.kind.gvk.kind == "Service" {
            leave_its_own(&mut body, self.live);
        }
        Call::apply(self.kind, &self.key.namespace, &name, self.manager, Apply::DryRun, &body)
    }
}

/// Takes out of a Service the addresses and ports that it has itself: nothing else can have them while it is there, and it
/// can once it is gone. Those of others can't be had then, either.
fn leave_its_own(body: &mut Value, live: &Value) {
    let live = &live["spec"];
    let is_nothing = |address: &Value| address == "None" || *address == json!(["None"]);
    if let Some(Value::Object(spec)) = body.get_mut("spec") {
        for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
            if spec.get(field).is_some_and(|wanted| *wanted == live[field] && !is_nothing(wanted)) {
                spec.remove(field);
            }
        }
    }
    let own: Vec<&Value> = live["ports"].as_array().into_iter().flatten().map(|port| &port["nodePort"]).collect();
    let ports = body.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        if port.get("nodePort").is_some_and(|wanted| own.contains(&wanted)) {
            port.remove("nodePort");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_asked_for_without_the_addresses_and_ports_that_it_has() {
        let live =
            json!({"spec": {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [{"nodePort": 30001}]}});
        let asked = |spec: Value| {
            let mut body = json!({ "spec": spec });
            leave_its_own(&mut body, &live);
            body["spec"].take()
        };
        let own = json!({"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30001}]});
        assert_eq!(asked(own), json!({"ports": [{"port": 80}]}));
        let other = json!({"clusterIP": "10.0.0.2", "ports": [{"port": 80, "nodePort": 30002}, {"port": 81}]});
        assert_eq!(asked(other.clone()), other);
        let mut headless = json!({"spec": {"clusterIP": "None"}});
        leave_its_own(&mut headless, &json!({"spec": {"clusterIP": "None"}}));
        assert_eq!(headless, json!({"spec": {"clusterIP": "None"}}));
        let mut nothing = json!({"data": {}});
        leave_its_own(&mut nothing, &live);
        assert_eq!(nothing, json!({"data": {}}));
    }
}
