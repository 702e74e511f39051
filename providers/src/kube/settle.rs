//! Tells from a live object whether it is ready, by what ready means for its kind.

use cfrt_engine::driver::{Lack, Settled, Trouble};
use serde_json::Value;

use super::argo;
use super::gvk::Gvk;
use super::holding::holding;
use super::rejected::{Unanswered, for_good};
use super::said::line;

/// Tells how far an object has come; `None` is one that is not there.
///
/// Kinds without a notion of ready, and those that say nothing about it, are ready once they are there.
pub fn settled(live: Option<&Value>) -> Settled {
    let Some(live) = live else { return waiting("not there yet") };
    let Some(gvk) = Gvk::of(live) else { return Settled::Yes };
    let kind = (gvk.group.as_str(), gvk.kind.as_str());
    let leaving = !live["metadata"]["deletionTimestamp"].is_null();
    match kind {
        ("", "Namespace") => namespace(live, leaving),
        _ if leaving => waiting("being deleted"),
        ("apps", "Deployment") => observed(live, deployment),
        ("apps", "StatefulSet") => observed(live, stateful_set),
        ("apps", "DaemonSet") => observed(live, daemon_set),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => observed(live, replica_set),
        // Nothing runs in a suspended Job until someone resumes it.
        ("batch", "Job") if live["spec"]["suspend"] == true => Settled::Yes,
        ("batch", "Job") => job(live),
        ("", "Pod") => pod(live),
        ("", "Service") => service(live),
        // A claim may stay pending until its first pod comes, and its StorageClass alone knows whether it does.
        ("", "PersistentVolumeClaim") if live["status"]["phase"] == "Lost" => failed("its volume is lost"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(live),
        ("apiregistration.k8s.io", "APIService") => awaited(live, "Available"),
        ("argoproj.io", kind) => argo::settled(kind, live),
        // Custom resources say so in ways of their own, and there may be no controller yet that would say anything.
        _ => Settled::Yes,
    }
}

/// Tells how far a hook has come: a Job or Pod runs to its end, and anything else is done once it is there.
///
/// One that is not there is never waited for: it was created before anyone looks.
pub fn hook_settled(live: Option<&Value>) -> Settled {
    let Some(live) = live else { return failed("it was deleted before it was seen to end") };
    match Gvk::of(live).as_ref().map(|gvk| (gvk.group.as_str(), gvk.kind.as_str())) {
        Some(("batch", "Job")) => job(live),
        Some(("", "Pod")) => match pod(live) {
            Settled::Yes if live["status"]["phase"] != "Succeeded" => waiting("running"),
            settled => settled,
        },
        Some(_) | None => Settled::Yes,
    }
}

/// Looks at a controller's status only once it is about the object as it is now.
fn observed(live: &Value, ready: impl FnOnce(&Value, &Value) -> Settled) -> Settled {
    let (spec, status) = (&live["spec"], &live["status"]);
    if number(&status["observedGeneration"]) < number(&live["metadata"]["generation"]) {
        return waiting("not noticed by its controller yet");
    }
    ready(spec, status)
}

fn deployment(spec: &Value, status: &Value) -> Settled {
    let progressing = condition(status, "Progressing");
    if let Some(stuck) = progressing.filter(|condition| condition["reason"] == "ProgressDeadlineExceeded") {
        return Settled::Failed(reason(stuck).into());
    }
    let (wanted, updated) = (replicas(spec), number(&status["updatedReplicas"]));
    if updated < wanted {
        return replicas_waiting(count(updated, wanted, "updated"), status);
    }
    ready("availableReplicas", updated, status)
}

fn stateful_set(spec: &Value, status: &Value) -> Settled {
    let (wanted, updated) = (replicas(spec), number(&status["updatedReplicas"]));
    let strategy = &spec["updateStrategy"];
    let to_update = match strategy["type"].as_str() {
        // Its pods are updated when someone deletes them.
        Some("OnDelete") => 0,
        // Pods below the partition stay as they are.
        Some(_) | None => wanted.saturating_sub(number(&strategy["rollingUpdate"]["partition"])),
    };
    if updated < to_update {
        return replicas_waiting(count(updated, to_update, "updated"), status);
    }
    ready("readyReplicas", wanted, status)
}

fn daemon_set(spec: &Value, status: &Value) -> Settled {
    let (wanted, updated) = (number(&status["desiredNumberScheduled"]), number(&status["updatedNumberScheduled"]));
    if spec["updateStrategy"]["type"] != "OnDelete" && updated < wanted {
        return replicas_waiting(count(updated, wanted, "updated"), status);
    }
    ready("numberAvailable", wanted, status)
}

fn replica_set(spec: &Value, status: &Value) -> Settled {
    ready("availableReplicas", replicas(spec), status)
}

fn job(live: &Value) -> Settled {
    let status = &live["status"];
    if is_true(status, "Complete") {
        return Settled::Yes;
    }
    // The second comes first: it is said as soon as the end is certain, while pods are still being ended.
    let failed = ["Failed", "FailureTarget"].into_iter().find(|name| is_true(status, name));
    if let Some(failed) = failed.and_then(|name| condition(status, name)) {
        return Settled::Failed(reason(failed).into());
    }
    let wanted = live["spec"]["completions"].as_u64().unwrap_or(1);
    Settled::Waiting(count(number(&status["succeeded"]), wanted, "succeeded").into())
}

fn pod(live: &Value) -> Settled {
    let status = &live["status"];
    match status["phase"].as_str() {
        Some("Succeeded") => Settled::Yes,
        Some("Failed") => Settled::Failed(reason(status).into()),
        Some(_) | None if is_true(status, "Ready") => Settled::Yes,
        Some("Running") => waiting("running, not ready"),
        Some(_) | None => match condition(status, "PodScheduled").filter(|condition| condition["status"] == "False") {
            Some(unscheduled) => Settled::Waiting(lack("pending", reason(unscheduled))),
            None => waiting("pending"),
        },
    }
}

fn namespace(live: &Value, leaving: bool) -> Settled {
    match live["status"]["phase"].as_str() {
        _ if leaving => Settled::Failed(holding(live).into()),
        Some("Terminating") => Settled::Failed(holding(live).into()),
        Some("Active") => Settled::Yes,
        Some(_) | None => waiting("not active yet"),
    }
}

fn definition(live: &Value) -> Settled {
    match condition(&live["status"], "NamesAccepted") {
        Some(refused) if refused["status"] == "False" => Settled::Failed(reason(refused).into()),
        Some(accepted) if accepted["status"] == "True" => awaited(live, "Established"),
        Some(_) | None => waiting("not NamesAccepted yet"),
    }
}

fn awaited(live: &Value, name: &str) -> Settled {
    match condition(&live["status"], name) {
        Some(condition) if condition["status"] == "True" => Settled::Yes,
        Some(condition) if has_reason(condition) => {
            Settled::Waiting(lack(format!("not {name} yet"), reason(condition)))
        }
        Some(_) | None => Settled::Waiting(format!("not {name} yet").into()),
    }
}

/// Compares the count of ready pods under `key` with the wanted one, and waits for pods too many to end.
fn ready(key: &str, wanted: u64, status: &Value) -> Settled {
    let (have, all) = (number(&status[key]), number(&status["replicas"]));
    if all > wanted {
        return Settled::Waiting(format!("{} to end", all - wanted).into());
    }
    if have < wanted {
        return replicas_waiting(count(have, wanted, "ready"), status);
    }
    Settled::Yes
}

/// Adds why no more pods come, where the controller says so: what quota or admission rejects doesn't come right by itself,
/// unless old pods are still there that may make room.
fn replicas_waiting(how_far: String, status: &Value) -> Settled {
    let Some(failure) = condition(status, "ReplicaFailure").filter(|condition| condition["status"] == "True") else {
        return Settled::Waiting(how_far.into());
    };
    let old = number(&status["replicas"]) > number(&status["updatedReplicas"]);
    match failure["message"].as_str() {
        Some(message) if !old && for_good(message) => Settled::Failed(reason(failure).into()),
        Some(_) | None => Settled::Waiting(lack(how_far, reason(failure))),
    }
}

/// Of the Services only those have something to wait for that are to get an address from outside of the cluster.
fn service(live: &Value) -> Settled {
    let (spec, addresses) = (&live["spec"], &live["status"]["loadBalancer"]["ingress"]);
    let has = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    if spec["type"] != "LoadBalancer" || has(&spec["externalIPs"]) || has(addresses) {
        return Settled::Yes;
    }
    waiting("no load balancer has given it an address yet")
}

fn condition<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

fn is_true(status: &Value, name: &str) -> bool {
    condition(status, name).is_some_and(|condition| condition["status"] == "True")
}

fn has_reason(condition: &Value) -> bool {
    condition["reason"].is_string() || condition["message"].is_string()
}

/// Writes a reason and message as `REASON: MESSAGE`, or what there is of them.
fn reason(place: &Value) -> String {
    let webhook = place["message"].as_str().and_then(Unanswered::of).map(|webhook| webhook.told());
    let message = webhook.as_deref().or_else(|| place["message"].as_str());
    let parts = [place["reason"].as_str(), message].into_iter().flatten();
    let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    if text.is_empty() { "no reason given".to_owned() } else { line(&text) }
}

fn replicas(spec: &Value) -> u64 {
    spec["replicas"].as_u64().unwrap_or(1)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn count(have: u64, wanted: u64, what: &str) -> String {
    format!("{have} of {wanted} {what}")
}

fn waiting(how_far: &str) -> Settled {
    Settled::Waiting(how_far.into())
}

fn lack(how_far: impl Into<String>, why: String) -> Lack {
    Lack { how_far: how_far.into(), trouble: Some(Trouble::from(why)) }
}

fn failed(why: &str) -> Settled {
    Settled::Failed(why.into())
}

#[cfg(test)]
mod tests;
