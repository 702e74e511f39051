//! Hooks that someone may still be waiting for, in a revision whose record no one has written for long.

use cfrt_engine::driver::{DriverError, Settled};
use cfrt_engine::resource::Address;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::helm::hook::HookEvent;
use crate::helm::manifest::Manifest;
use crate::helm::record::Revision;
use crate::kube::client::Kube;
use crate::kube::gvk::{Gvk, Resolved, address};
use crate::kube::read::{Key, get};
use crate::kube::settle::hook_settled;

/// The first Job or Pod of a revision's hooks that is there and has not ended.
///
/// # Errors
///
/// One that can't be read.
pub(super) async fn hook(kube: &Kube, namespace: &str, revision: &Revision) -> Result<Option<String>, DriverError> {
    for (kind, address) in runs(namespace, revision) {
        let key = Key { namespace: address.scope.clone(), name: address.name.clone() };
        let doing = || format!("looking whether {} has ended", address.short());
        let found = get(kube, &kind, &key).await.map_err(|error| error.during(doing()))?;
        if found.is_some_and(|(_, live)| is_at_work(&live)) {
            return Ok(Some(address.short().to_string()));
        }
    }
    Ok(None)
}

/// The Jobs and Pods among a revision's hooks. What can't be read is none: helm couldn't have run it.
fn runs(namespace: &str, revision: &Revision) -> Vec<(Resolved, Address)> {
    let ran = revision.hooks.iter().filter(|hook| hook.facts.events.iter().any(|event| *event != HookEvent::Test));
    let texts = ran.map(|hook| format!("---\n{}\n", hook.manifest.expose_secret()));
    let hooks = texts.filter_map(|text| Manifest::parse(&text).ok()).flat_map(|manifest| manifest.hooks);
    hooks.filter_map(|hook| Some((kind(&hook.value)?, address(&hook.value, true, namespace)?))).collect()
}

/// Where a hook's kind is kept, if it is one that runs to an end.
fn kind(hook: &Value) -> Option<Resolved> {
    let gvk = Gvk::of(hook)?;
    let plural = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("batch", "Job") => "jobs",
        ("", "Pod") => "pods",
        _ => return None,
    };
    Some(Resolved { gvk, plural: plural.to_owned(), namespaced: true })
}

/// Whether it is a hook that has not ended. One that is being deleted has been given up by whoever deletes it.
fn is_at_work(live: &Value) -> bool {
    live.pointer("/metadata/annotations/helm.sh~1hook").is_some()
        && live.pointer("/metadata/deletionTimestamp").is_none()
        && matches!(hook_settled(Some(live)), Settled::Waiting(_))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::helm::record;

    fn job(name: &str, event: &str) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "annotations": {"helm.sh/hook": event}}})
    }

    fn revision(hooks: &[Value]) -> Revision {
        let hook = |hook: &Value| {
            let event = &hook["metadata"]["annotations"]["helm.sh/hook"];
            json!({"name": "h", "kind": "Job", "events": [event], "manifest": hook.to_string()})
        };
        let record = json!({"name": "r", "namespace": "n", "version": 2, "manifest": "",
            "info": {"status": "pending-upgrade"}, "hooks": hooks.iter().map(hook).collect::<Value>()});
        let secret = record::secret(&record, jiff::Timestamp::UNIX_EPOCH).unwrap();
        record::decode(secret["data"]["release"].as_str().unwrap()).unwrap()
    }

    async fn at_work(hooks: &[Value], live: Option<Value>) -> (Option<String>, usize) {
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&asked);
        let kube = Kube::refusing(move |request| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            match &live {
                Some(live) if request.uri().path() == "/apis/batch/v1/namespaces/n/jobs/migrate" => {
                    (StatusCode::OK, live.to_string())
                }
                _ => (StatusCode::NOT_FOUND, r#"{"message": "not found"}"#.to_owned()),
            }
        });
        let found = hook(&kube, "n", &revision(hooks)).await.unwrap();
        (found, asked.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn with(mut live: Value, pointer: &str, value: Value) -> Value {
        let (at, key) = pointer.rsplit_once('/').unwrap();
        live.pointer_mut(at).unwrap()[key] = value;
        live
    }

    #[tokio::test]
    async fn a_job_of_a_hook_that_has_not_ended_is_found_and_no_other() {
        let hooks = [job("other", "pre-upgrade"), job("migrate", "pre-upgrade")];
        let live = job("migrate", "pre-upgrade");
        assert_eq!(at_work(&hooks, Some(live.clone())).await.0.as_deref(), Some("Job n/migrate"));
        for over in [
            with(live.clone(), "/status", json!({"conditions": [{"type": "Complete", "status": "True"}]})),
            with(live.clone(), "/status", json!({"conditions": [{"type": "Failed", "status": "True"}]})),
            with(live.clone(), "/metadata/deletionTimestamp", json!("2026-11-22T10:00:00Z")),
            with(live.clone(), "/metadata/annotations", json!({})),
        ] {
            assert_eq!(at_work(&hooks, Some(over)).await, (None, 2));
        }
        assert_eq!(at_work(&hooks, None).await, (None, 2));
    }

    #[tokio::test]
    async fn tests_and_what_does_not_run_to_an_end_are_not_asked_for() {
        let mut text = job("text", "pre-upgrade");
        (text["apiVersion"], text["kind"]) = (json!("v1"), json!("ConfigMap"));
        let live = job("migrate", "test");
        assert_eq!(at_work(&[text, live.clone()], Some(live)).await, (None, 0));
    }
}
