//! What the hooks of one run of cfrt made, and how they went.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cfrt_engine::driver::{Applied, Ending};
use cfrt_engine::resource::Address;
use jiff::Timestamp;

use crate::helm::record::HookRun;
use crate::journal::HookNote;

/// How the hooks of this run of cfrt went, for the record of their release, and which objects are theirs.
#[derive(Debug, Default)]
pub struct HookRuns(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    runs: Vec<HookRun>,
    made: BTreeMap<Address, String>,
}

impl HookRuns {
    /// Keeps the uid of an object that a hook was made as.
    pub(super) fn made(&self, hook: &Address, uid: &str) {
        self.known().made.insert(hook.clone(), uid.to_owned());
    }

    /// The uid of the object that a hook was last made as in this run.
    pub(super) fn uid(&self, hook: &Address) -> Option<String> {
        self.known().made.get(hook).cloned()
    }

    /// Keeps how a hook ended.
    pub(super) fn note(&self, hook: &Address, applied: &Applied, ending: &Ending) {
        let Some(started) = applied.memo["started"].as_str().and_then(|at| at.parse().ok()) else { return };
        let Address { kind, name, .. } = hook.short();
        let run = HookRun { kind, name, started, completed: Timestamp::now(), succeeded: *ending == Ending::Settled };
        self.known().runs.push(run);
    }

    /// Takes over what another run has written down of hooks that have succeeded.
    pub fn recall(&self, notes: &[HookNote]) {
        for note in notes.iter().filter(|note| note.has_succeeded()) {
            let Some((full, name)) = note.address.split_once(' ') else { continue };
            let (scope, name) = name.split_once('/').unwrap_or(("", name));
            let hook = Address::new(full, scope, name);
            if let Some(uid) = &note.uid {
                self.made(&hook, uid);
            }
            let time = |text: Option<&str>| text.and_then(|at| at.parse().ok());
            let times = time(Some(&note.started)).zip(time(note.completed.as_deref()));
            let Address { kind, name, .. } = hook.short();
            let run = times.map(|(started, completed)| HookRun { kind, name, started, completed, succeeded: true });
            self.known().runs.extend(run);
        }
    }

    /// What was noted so far, in the order in which the hooks ended.
    pub fn noted(&self) -> Vec<HookRun> {
        self.known().runs.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere leaves it whole: each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
