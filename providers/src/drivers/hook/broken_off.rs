//! A hook of a revision that a run was broken off in: whether it has run, is still to be followed, or runs anew. Pure.

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{Ending, Observation, Settled, Stamp};
use cfrt_engine::resource::Resource;

use super::Settings;
use crate::kube::settle::hook_settled;

/// How a hook goes on that another run has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GoesOn {
    /// It has succeeded, and nothing is left to do.
    HasRun,
    /// What has this uid is followed to its end, and removed as its policy says.
    Follow(String),
}

impl GoesOn {
    /// How a hook goes on; nothing where it runs anew.
    pub(super) fn of(resource: &Resource, hook: &Settings, seen: &Observation) -> Option<Self> {
        let note = hook.note.as_ref()?;
        let there = match seen {
            // What is only foreseen has no identity, and was made by nobody yet.
            Observation::Present { live, stamp, .. } if *stamp != Stamp::default() => Some((live, stamp.uid.as_str())),
            Observation::Present { .. } | Observation::Absent | Observation::Unmoved | Observation::Hidden { .. } => {
                None
            }
        };
        let is_hook = |live: &serde_json::Value| live.pointer("/metadata/annotations/helm.sh~1hook").is_some();
        let made = there.filter(|(live, uid)| note.made(uid) && is_hook(live));
        let follow = |uid: &str| Some(Self::Follow(uid.to_owned()));
        match (note.outcome.map(|_| note.has_succeeded()), made) {
            (Some(true), Some((_, uid))) if !hook.leaving(&resource.id.address, &Ending::Settled).is_empty() => {
                follow(uid)
            }
            (Some(true), _) => Some(Self::HasRun),
            // As after any apply in which a hook failed.
            (Some(false), _) | (None, None) => None,
            (None, Some((live, uid))) => match hook_settled(Some(live)) {
                Settled::Yes | Settled::Waiting(_) => follow(uid),
                Settled::Failed(_) => None,
            },
        }
    }

    /// What it means for the plan.
    pub(super) fn change(&self, hook: &Settings) -> Change {
        let said = hook.said();
        match self {
            Self::HasRun => Change::of(Action::Keep).because(format!("{said}; ran in the run that was broken off")),
            Self::Follow(_) if hook.has_run() => Change::of(Action::Create)
                .because(format!("{said}; ran in the run that was broken off, and is only removed as its policy says")),
            Self::Follow(_) => Change::of(Action::Create)
                .because(format!("{said}; was begun in the run that was broken off, and is followed to its end")),
        }
    }
}

/// Whether nobody knows how a hook ended of which nothing is left, as where its Job has a time to live: it was made, and
/// that run could not write down more.
pub(super) fn is_gone(hook: &Settings) -> bool {
    hook.note.as_ref().is_some_and(|note| note.uid.is_some() && note.outcome.is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cfrt_engine::resource::{Address, Document, Part, ResourceId, Trigger, Want};
    use cfrt_engine::task::TaskId;
    use serde_json::{Value, json};

    use super::*;
    use crate::helm::hook::DeletePolicy;
    use crate::journal::{HookNote, HookOutcome};

    fn job() -> ResourceId {
        ResourceId { address: Address::new("batch/v1/Job", "n", "a"), part: Part::Fields("pre-install") }
    }

    fn intent() -> HookNote {
        HookNote::intent(&job(), Some("old".to_owned()), String::new())
    }

    fn with(uid: &str, outcome: Option<HookOutcome>) -> HookNote {
        HookNote { uid: Some(uid.to_owned()), outcome, ..intent() }
    }

    fn seen(uid: &str, status: Value) -> Observation {
        let live = json!({"apiVersion": "batch/v1", "kind": "Job", "status": status,
            "metadata": {"name": "a", "annotations": {"helm.sh/hook": "pre-install"}}});
        let stamp = Stamp { uid: uid.to_owned(), revision: "7".to_owned() };
        Observation::Present { live: Arc::new(live), stamp, predicted: None }
    }

    fn settings(note: Option<HookNote>, policies: &[DeletePolicy]) -> Settings {
        Settings {
            event: "pre-install".to_owned(),
            weight: 0,
            policies: policies.to_vec(),
            earlier: Vec::new(),
            last: true,
            due: true,
            was_object: false,
            lost: Vec::new(),
            note,
        }
    }

    fn goes_on(note: HookNote, policies: &[DeletePolicy], seen: &Observation) -> Option<GoesOn> {
        let settings = settings(Some(note), policies);
        let resource = Resource {
            id: job(),
            task: TaskId { kind: "chart", name: String::new() },
            driver: "hook",
            want: Want::Present(Document::default().into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: Value::Null,
        };
        GoesOn::of(&resource, &settings, seen)
    }

    fn followed(uid: &str) -> Option<GoesOn> {
        Some(GoesOn::Follow(uid.to_owned()))
    }

    fn ended(how: &str) -> Value {
        json!({"conditions": [{"type": how, "status": "True"}]})
    }

    #[test]
    fn a_hook_that_has_succeeded_does_not_run_again_whatever_is_left_of_it() {
        let ran = || with("made", Some(HookOutcome::Succeeded));
        assert_eq!(goes_on(ran(), &[], &Observation::Absent), Some(GoesOn::HasRun));
        assert_eq!(goes_on(ran(), &[], &seen("made", ended("Complete"))), Some(GoesOn::HasRun));
        let tidy = [DeletePolicy::HookSucceeded];
        assert_eq!(goes_on(ran(), &tidy, &seen("made", ended("Complete"))), followed("made"));
        assert_eq!(goes_on(ran(), &tidy, &seen("someone's", ended("Complete"))), Some(GoesOn::HasRun));
    }

    #[test]
    fn a_hook_that_was_begun_is_followed_where_it_still_runs_or_has_succeeded() {
        assert_eq!(goes_on(with("made", None), &[], &seen("made", json!({"active": 1}))), followed("made"));
        assert_eq!(goes_on(with("made", None), &[], &seen("made", ended("Complete"))), followed("made"));
        assert_eq!(goes_on(intent(), &[], &seen("made", json!({}))), followed("made"), "killed before that was noted");
    }

    #[test]
    fn a_hook_that_failed_or_left_nothing_runs_again() {
        assert_eq!(goes_on(with("made", None), &[], &seen("made", ended("Failed"))), None);
        assert_eq!(goes_on(with("made", Some(HookOutcome::Failed)), &[], &seen("made", json!({}))), None);
        assert_eq!(goes_on(with("made", None), &[], &Observation::Absent), None);
        assert_eq!(goes_on(with("made", None), &[], &seen("another", json!({}))), None);
        assert_eq!(goes_on(intent(), &[], &seen("old", json!({}))), None, "what was there before");
    }

    #[test]
    fn a_plan_says_of_what_is_gone_that_nobody_knows_how_it_ended() {
        for (note, is_unknown) in
            [(with("made", None), true), (with("made", Some(HookOutcome::Failed)), false), (intent(), false)]
        {
            let settings = settings(Some(note), &[]);
            assert_eq!(is_gone(&settings), is_unknown, "{settings:?}");
        }
        assert!(!is_gone(&settings(None, &[])));
    }

    #[test]
    fn a_plan_says_what_comes_of_it() {
        let reason = |goes_on: &GoesOn, note: HookNote| {
            let mut settings: Settings = serde_json::from_value(json!({"event": "e", "weight": 1, "policies": [],
                "earlier": [], "last": true, "due": true, "was_object": false, "lost": []}))
            .expect("they are settings");
            settings.note = Some(note);
            let change = goes_on.change(&settings);
            (change.action, change.reason)
        };
        let ran = with("made", Some(HookOutcome::Succeeded));
        let said = "hook, weight 1; ran in the run that was broken off".to_owned();
        assert_eq!(reason(&GoesOn::HasRun, ran), (Action::Keep, said));
        let (action, said) = reason(&GoesOn::Follow(String::new()), with("made", None));
        assert!(action == Action::Create && said.ends_with("is followed to its end"), "{said}");
    }
}
