//! What is told of an object by what was seen around it, a row for each thing that goes wrong.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::kube::earlier::notes;

/// A live object of a kind, with a uid of its kind's name.
fn live(kind: &str) -> Value {
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "app", "namespace": "n", "uid": kind}, "spec": {}})
}

/// A pod with a container `main` of this status, and more in its own status.
fn pod(name: &str, container: &Value, more: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("main");
    let spec = json!({"containers": [{"name": "main", "image": "a.io/b:c"}]});
    let mut status = json!({"phase": "Pending", "containerStatuses": [container]});
    more.as_object().into_iter().flatten().for_each(|(key, value)| status[key] = value.clone());
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": "n", "uid": name}, "spec": spec, "status": status})
}

fn waits(reason: &str, message: &str) -> Value {
    json!({"state": {"waiting": {"reason": reason, "message": message}}})
}

fn crashed(restarts: u64) -> Value {
    let ended = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": restarts})
}

fn event(uid: &str, reason: &str, message: &str, age: i64) -> Value {
    json!({"kind": "Event", "type": "Warning", "reason": reason, "message": message, "said": -age, "new": age <= 60, "involvedObject": {"uid": uid}})
}

fn log(pod: &str, text: &str) -> Value {
    json!({"kind": LOG, "pod": pod, "container": "main", "text": text})
}

fn seen(live: &Value, around: &[Value]) -> Evidence {
    Evidence { live: Some(Arc::new(live.clone())), around: around.iter().cloned().map(Arc::new).collect() }
}

fn drawn(settled: &Settled) -> String {
    let with_log =
        |trouble: &Trouble| if trouble.log.is_empty() { String::new() } else { format!(" | {}", trouble.log) };
    match settled {
        Settled::Yes => "ready".to_owned(),
        Settled::Waiting(lack) => format!("waiting: {lack}{}", lack.trouble.as_ref().map(with_log).unwrap_or_default()),
        Settled::Failed(trouble) => format!("failed: {trouble}{}", with_log(trouble)),
    }
}

/// What is told of a kind that is waited for.
fn waited(kind: &str, around: &[Value]) -> String {
    drawn(&explained(Settled::Waiting("0 of 1".into()), &seen(&live(kind), around)))
}

/// What is told of a kind that has failed by its status.
fn failed(kind: &str, around: &[Value]) -> String {
    drawn(&explained(Settled::Failed("too often".into()), &seen(&live(kind), around)))
}

const DEPLOYMENT: &str = "apps/v1/Deployment";
const JOB: &str = "batch/v1/Job";

#[test]
fn what_cannot_heal_ends_the_wait_with_its_place() {
    let gone = pod("p", &waits("ErrImagePull", "manifest unknown"), &json!({}));
    let told = r#"failed: Pod n/p → container main: image "a.io/b:c" can't be pulled: manifest unknown"#;
    for kind in [DEPLOYMENT, "apps/v1/DaemonSet", JOB] {
        assert_eq!(waited(kind, std::slice::from_ref(&gone)), told);
    }
    let looping = pod("p", &crashed(3), &json!({}));
    let told = "Pod n/p → container main: crash loop, 3 restarts: exit code 1 (Error)";
    assert_eq!(
        waited(DEPLOYMENT, &[looping.clone(), log("p", "no database")]),
        format!("failed: {told} | no database")
    );
    assert_eq!(
        waited(JOB, &[looping]),
        format!("waiting: 0 of 1: {told}"),
        "a Job says itself how often it may be tried"
    );
}

#[test]
fn the_worst_of_all_pods_is_told() {
    let slow = pod("a", &waits("ContainerCreating", ""), &json!({}));
    let ready = pod("b", &json!({}), &json!({"conditions": [{"type": "Ready", "status": "True"}]}));
    let restarted = pod("c", &crashed(1), &json!({}));
    let same = pod("d", &crashed(1), &json!({}));
    let told = "waiting: 0 of 1: Pod n/c → container main: crash loop, 1 restart: exit code 1 (Error)";
    assert_eq!(waited(DEPLOYMENT, &[slow, ready.clone(), same, restarted]), told);
    assert_eq!(waited(DEPLOYMENT, &[ready]), "waiting: 0 of 1");
}

#[test]
fn an_init_container_is_told_before_what_waits_for_it() {
    let mut init = pod("p", &waits("PodInitializing", ""), &json!({}));
    init["spec"]["initContainers"] = json!([{"name": "prepare", "image": "x"}]);
    init["status"]["initContainerStatuses"] = json!([{"name": "prepare", "state": {"running": {}}}]);
    assert_eq!(waited(DEPLOYMENT, &[init]), "waiting: 0 of 1: Pod n/p → init container prepare: running, not ready");
}

#[test]
fn a_pod_without_a_node_is_told_with_the_schedulers_reason() {
    let scheduled = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu."}]);
    let pending = pod("p", &json!({}), &json!({"conditions": scheduled}));
    let told = "waiting: 0 of 1: Pod n/p: pending: 0/1 nodes are available: 1 Insufficient cpu.";
    assert_eq!(waited(DEPLOYMENT, &[pending]), told);
}

#[test]
fn events_tell_what_statuses_do_not_and_only_of_their_own_object() {
    let creating = pod("p", &waits("ContainerCreating", ""), &json!({}));
    let mount = event("p", "FailedMount", "secret \"s\" not found", 3);
    let others = [event("q", "FailedMount", "other", 0), event("p", "FailedMount", "older", 9)];
    let told = "waiting: 0 of 1: Pod n/p → container main: being created: FailedMount: secret \"s\" not found";
    assert_eq!(waited(DEPLOYMENT, &[&[creating, mount][..], &others].concat()), told);
    let backing_off = pod("p", &waits("ImagePullBackOff", "Back-off pulling image"), &json!({}));
    let gone = event("p", "Failed", "Failed to pull image: manifest unknown", 0);
    assert!(waited(DEPLOYMENT, std::slice::from_ref(&backing_off)).starts_with("waiting: "));
    assert!(waited(DEPLOYMENT, &[backing_off, gone]).starts_with("failed: Pod n/p → container main: image"));
}

#[test]
fn pods_that_are_rejected_end_the_wait_where_that_was_said_just_now() {
    let quota = |age| {
        event("StatefulSet", "FailedCreate", "create Pod app-0 failed: pods is forbidden: exceeded quota: few", age)
    };
    let told = "FailedCreate: create Pod app-0 failed: pods is forbidden: exceeded quota: few";
    assert_eq!(waited("apps/v1/StatefulSet", &[quota(5)]), format!("failed: {told}"));
    assert_eq!(waited("apps/v1/StatefulSet", &[quota(500)]), format!("waiting: 0 of 1: {told}"));
    let webhook =
        r#"failed calling webhook "w.io": failed to call webhook: Post "https://w.n.svc:443/": no endpoints available"#;
    let told = "waiting: 0 of 1: FailedCreate: webhook w.io of Service n/w doesn't answer: no endpoints available";
    assert_eq!(waited(JOB, &[event("Job", "FailedCreate", webhook, 1)]), told);
    let failure = json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: few"}]);
    let set =
        json!({"kind": "ReplicaSet", "metadata": {"name": "r", "namespace": "n"}, "status": {"conditions": failure}});
    let told = "failed: ReplicaSet n/r: FailedCreate: exceeded quota: few";
    assert_eq!(waited("argoproj.io/v1alpha1/Rollout", &[set]), told);
}

#[test]
fn a_run_that_failed_is_told_with_the_container_that_did_and_its_log() {
    let ended = json!({"state": {"terminated": {"exitCode": 3, "reason": "Error"}}});
    let pods = [pod("p", &ended, &json!({"phase": "Failed"})), log("p", "one\ntwo")];
    let told = "failed: Pod n/p → container main: exit code 3 (Error); too often | one\ntwo";
    assert_eq!(failed(JOB, &pods), told);
    assert_eq!(failed(JOB, &[]), "failed: too often");
    let itself = pod("Pod", &ended, &json!({"phase": "Failed"}));
    let told = drawn(&explained(Settled::Failed("x".into()), &seen(&itself, &[log("Pod", "one")])));
    assert_eq!(told, "failed: container main: exit code 3 (Error); x | one");
    let evicted =
        pod("p", &json!({"state": {"terminated": {"exitCode": 0}}}), &json!({"phase": "Failed", "reason": "Evicted"}));
    assert_eq!(failed(JOB, &[evicted]), "failed: Pod n/p: Evicted; too often");
}

#[test]
fn a_pod_of_an_earlier_revision_that_a_stateful_set_does_not_replace_is_told_with_what_to_do() {
    let old = pod("p", &waits("InvalidImageName", ""), &json!({}));
    let told = waited("apps/v1/StatefulSet", &[old]);
    assert!(!told.contains("delete it"), "{told}");
    let mut set = live("apps/v1/StatefulSet");
    set["status"]["updateRevision"] = json!("r2");
    let old = pod("p", &waits("InvalidImageName", ""), &json!({}));
    let told = drawn(&explained(Settled::Waiting("0 of 1".into()), &seen(&set, &[old])));
    assert!(
        told.starts_with("failed: Pod n/p → container main: image")
            && told.ends_with("none that isn't ready: delete it"),
        "{told}"
    );
}

/// What would be asked: `events of UID after S`, `log of POD`.
fn asked(settled: &Settled, live: &Value, around: &[Value]) -> Vec<String> {
    let told = |(question, after): (Question, Duration)| match question {
        Question::Events(uid) => format!("events of {uid} after {} s", after.as_secs()),
        Question::Log(pod, container) => format!("log of {container} in {pod}"),
    };
    questions(settled, &seen(live, around)).into_iter().map(told).collect()
}

#[test]
fn only_what_statuses_leave_open_is_asked() {
    let (deployment, waiting) = (live(DEPLOYMENT), Settled::Waiting("0 of 1".into()));
    let creating = pod("p", &waits("ContainerCreating", ""), &json!({}));
    let unclear = pod("p", &waits("ImagePullBackOff", "Back-off"), &json!({}));
    let hopeless = pod("p", &waits("ErrImagePull", "not found"), &json!({}));
    let asked = |around: &[Value]| asked(&waiting, &deployment, around);
    assert_eq!(asked(&[]), ["events of Deployment after 2 s"]);
    assert_eq!(asked(&[creating]), ["events of p after 15 s"]);
    assert_eq!(asked(&[unclear]), ["events of p after 0 s"]);
    assert_eq!(asked(&[hopeless]), [""; 0]);
    assert_eq!(self::asked(&Settled::Yes, &deployment, &[]), [""; 0]);
    let told = Settled::Waiting(Lack { how_far: "0 of 1".to_owned(), trouble: Some("quota".into()) });
    assert_eq!(self::asked(&told, &deployment, &[]), [""; 0]);
    assert_eq!(self::asked(&waiting, &live("Service"), &[]), ["events of Service after 15 s"]);
}

#[test]
fn a_log_is_asked_once_and_of_a_run_before_it_is_over() {
    let (deployment, job, waiting) = (live(DEPLOYMENT), live(JOB), Settled::Waiting("0 of 1".into()));
    let (once, looping) = (pod("p", &crashed(1), &json!({})), pod("p", &crashed(5), &json!({})));
    assert_eq!(asked(&waiting, &deployment, std::slice::from_ref(&once)), [""; 0], "it may come right");
    assert_eq!(asked(&waiting, &deployment, std::slice::from_ref(&looping)), ["log of main in p"]);
    assert_eq!(asked(&waiting, &deployment, &[looping, log("p", "")]), [""; 0]);
    assert_eq!(asked(&waiting, &job, &[once]), ["log of main in p"], "the pod may be gone soon");
}

#[test]
fn nothing_of_any_shape_makes_it_panic() {
    let odd = [json!(null), json!(1), json!("x"), json!([1]), json!({"a": [null]}), json!({"kind": "Pod"})];
    for live in &odd {
        for around in &odd {
            let pod = json!({"kind": "Pod", "metadata": around, "spec": around, "status": {"containerStatuses": [around], "conditions": around}});
            let seen = seen(live, &[around.clone(), pod]);
            for settled in [Settled::Waiting("x".into()), Settled::Failed("x".into())] {
                questions(&explained(settled, &seen), &seen);
            }
        }
    }
}

#[test]
fn what_was_the_matter_before_anyone_waited_ends_the_wait_once_it_is_so_again() {
    let now = "2026-11-23T12:00:00Z".parse().expect("it is a time");
    let old = |container: &Value| {
        let mut pod = pod("app-x", container, &json!({}));
        pod["metadata"]["creationTimestamp"] = json!("2026-11-23T11:00:00Z");
        pod["metadata"]["ownerReferences"] = json!([{"uid": "Deployment"}]);
        pod
    };
    let told = |then: &Value, later: &Value, event: Option<Value>| {
        let notes = notes(&live(DEPLOYMENT), &[Arc::new(old(then))], now, false);
        let around: Vec<Value> = notes.iter().map(|note| Value::clone(note)).chain([old(later)]).chain(event).collect();
        let told = waited(DEPLOYMENT, &around);
        told.split(':').next().unwrap_or_default().to_owned()
    };
    assert_eq!(told(&crashed(5), &crashed(5), None), "waiting");
    assert_eq!(told(&crashed(5), &crashed(6), None), "failed");
    let missing = waits("ErrImagePull", "manifest unknown");
    let pulled = |age: i64| Some(event("app-x", "Failed", "Failed to pull image", age));
    assert_eq!(told(&missing, &missing, None), "waiting");
    assert_eq!(told(&missing, &missing, pulled(600)), "waiting");
    assert_eq!(told(&missing, &missing, pulled(1)), "failed");
}
