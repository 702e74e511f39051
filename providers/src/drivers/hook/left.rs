//! What bears a hook's name already, and what a run of the hook does about it. Pure.

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{Settled, Stamp};
use cfrt_engine::resource::{Resource, Trigger};
use serde_json::Value;

use super::Settings;
use crate::drivers::object::owner;
use crate::kube::settle::hook_settled;

/// What an object under a hook's name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What an earlier run of the hook left.
    ByAnEarlierRun,
    /// What the hook itself will have left at an earlier event of the same revision.
    ByAnEarlierEvent,
    /// What was an object of the release until this revision made a hook of it.
    ByAnEarlierRevision,
    /// Nobody's that a hook may touch.
    Foreign,
}

/// What a hook does that meets an object of its name.
///
/// What is no hook's is never touched, whatever the hook's policy: helm would delete it, write over it or fail.
pub(super) fn met(resource: &Resource, hook: &Settings, live: &Value, stamp: &Stamp) -> Change {
    let makes_room = hook.makes_room(&resource.id.address);
    let does = if makes_room { "replaces" } else { "is written over" };
    let run = |what: &str| Change::of(Action::Create).because(format!("{}; {does} {what}", hook.said()));
    match Left::of(resource, hook, live, stamp) {
        Left::ByAnEarlierRun if is_running(live) => run("what an earlier run left, which is still running"),
        Left::ByAnEarlierRun => run("what an earlier run left"),
        Left::ByAnEarlierEvent => run("what an earlier event leaves"),
        Left::ByAnEarlierRevision => run("the object that it was until now"),
        Left::Foreign => {
            let kind = resource.id.address.short().kind;
            let would = if makes_room { "delete it" } else { "write over it" };
            Change::of(Action::Refuse).because(format!(
                "a {kind} of this name is there that is no hook; the hook would {would}, so rename one of them, or \
                 delete it by hand"
            ))
        }
    }
}

/// Whether someone may still wait for it.
fn is_running(live: &Value) -> bool {
    matches!(hook_settled(Some(live)), Settled::Waiting(_))
}

impl Left {
    fn of(resource: &Resource, hook: &Settings, live: &Value, stamp: &Stamp) -> Self {
        if live.pointer("/metadata/annotations/helm.sh~1hook").is_some() {
            // What is foreseen has no identity yet.
            return if *stamp == Stamp::default() { Self::ByAnEarlierEvent } else { Self::ByAnEarlierRun };
        }
        let Trigger::With(release) = &resource.trigger else { return Self::Foreign };
        let ours = (release.address.name.clone(), release.address.scope.clone());
        if hook.was_object && owner(live) == Some(ours) { Self::ByAnEarlierRevision } else { Self::Foreign }
    }
}

#[cfg(test)]
mod tests {
    use cfrt_engine::driver::{Driver as _, Observation};
    use cfrt_engine::resource::{Address, Part, ResourceId, Want};
    use cfrt_engine::task::TaskId;
    use serde_json::json;

    use super::*;
    use crate::drivers::hook::Hook;
    use crate::helm::hook::DeletePolicy;

    fn settings(policy: DeletePolicy, was_object: bool) -> Settings {
        Settings {
            event: "pre-upgrade".to_owned(),
            weight: 3,
            policies: vec![policy],
            earlier: Vec::new(),
            last: true,
            due: true,
            was_object,
            lost: Vec::new(),
            note: None,
        }
    }

    fn hook(kind: &str, settings: Value) -> Resource {
        Resource {
            id: ResourceId { address: Address::new(kind, "n", "a"), part: Part::Fields("pre-upgrade") },
            task: TaskId { kind: "chart", name: String::new() },
            driver: "hook",
            want: Want::Present(cfrt_engine::resource::Document::default().into()),
            needs: Vec::new(),
            trigger: Trigger::With(ResourceId::whole(Address::new("Release", "n", "shop"))),
            settings,
        }
    }

    fn diff(kind: &str, policy: DeletePolicy, was_object: bool, annotations: Value) -> (Action, String) {
        let resource = hook(kind, serde_json::to_value(settings(policy, was_object)).unwrap());
        let live = json!({"metadata": {"name": "a", "annotations": annotations}}).into();
        let stamp = Stamp { uid: "1".to_owned(), revision: "1".to_owned() };
        let seen = Observation::Present { live, stamp, predicted: None };
        let change = Hook.diff(&resource, &seen);
        (change.action, change.reason)
    }

    #[test]
    fn what_an_earlier_run_left_is_replaced_and_told() {
        let theirs = json!({"helm.sh/hook": "pre-install"});
        let replaced = (Action::Create, "hook, weight 3; replaces what an earlier run left".to_owned());
        assert_eq!(diff("batch/v1/Job", DeletePolicy::HookSucceeded, false, theirs.clone()), replaced);
        assert_eq!(diff("v1/ConfigMap", DeletePolicy::BeforeHookCreation, false, theirs.clone()), replaced);
        let (action, reason) = diff("v1/ConfigMap", DeletePolicy::HookFailed, false, theirs);
        assert_eq!(
            (action, reason.as_str()),
            (Action::Create, "hook, weight 3; is written over what an earlier run left")
        );
    }

    #[test]
    fn a_job_of_an_earlier_run_that_has_not_ended_is_told() {
        let resource = hook("batch/v1/Job", serde_json::to_value(settings(DeletePolicy::HookFailed, false)).unwrap());
        let reason = |status: Value| {
            let live = json!({"apiVersion": "batch/v1", "kind": "Job", "status": status,
                "metadata": {"name": "a", "annotations": {"helm.sh/hook": "pre-install"}}});
            let stamp = Stamp { uid: "1".to_owned(), revision: "1".to_owned() };
            Hook.diff(&resource, &Observation::Present { live: live.into(), stamp, predicted: None }).reason
        };
        let over = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(reason(over), "hook, weight 3; replaces what an earlier run left");
        let running = reason(json!({"active": 1}));
        assert_eq!(running, "hook, weight 3; replaces what an earlier run left, which is still running");
    }

    #[test]
    fn what_is_no_hook_is_refused_whatever_the_policy() {
        for (kind, policy, would) in [
            (
                "batch/v1/Job",
                DeletePolicy::HookFailed,
                "a Job of this name is there that is no hook; the hook would delete it",
            ),
            (
                "v1/ConfigMap",
                DeletePolicy::HookFailed,
                "a ConfigMap of this name is there that is no hook; the hook would write over it",
            ),
        ] {
            let (action, reason) = diff(kind, policy, false, Value::Null);
            assert!(action == Action::Refuse && reason.starts_with(would), "{reason}");
        }
    }

    #[test]
    fn an_object_that_became_a_hook_is_replaced_where_it_is_this_release_s() {
        let of = |name: &str| json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "n"});
        let action = |was_object, name| diff("batch/v1/Job", DeletePolicy::HookFailed, was_object, of(name)).0;
        assert_eq!(action(true, "shop"), Action::Create);
        assert_eq!(action(true, "other"), Action::Refuse);
        assert_eq!(action(false, "shop"), Action::Refuse, "it is an object still");
    }

    #[test]
    fn a_hook_whose_settings_can_not_be_read_is_refused() {
        let change = Hook.diff(&hook("batch/v1/Job", json!({"event": 1})), &Observation::Absent);
        assert_eq!(change.action, Action::Refuse);
        assert!(change.reason.starts_with("preparing Job n/a: "), "{}", change.reason);
    }
}
