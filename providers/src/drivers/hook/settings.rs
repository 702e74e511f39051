//! What the driver has to know of a hook, and which hooks go when.

use cfrt_engine::driver::{DriverError, Ending};
use cfrt_engine::resource::{Address, Resource};
use serde::{Deserialize, Serialize};

use crate::helm::hook::DeletePolicy;
use crate::journal::HookNote;
use crate::kube::gvk::Gvk;

/// What the driver has to know of a hook besides its document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// The event that it runs at, in Helm's word: `pre-install`.
    pub event: String,
    /// Its weight.
    pub weight: i64,
    /// When it is deleted.
    pub policies: Vec<DeletePolicy>,
    /// The hooks of the same event that ran before it.
    pub earlier: Vec<Earlier>,
    /// Whether it is the last one of its event.
    pub last: bool,
    /// Whether its release gets a revision, so that it runs; what bears its name matters only then.
    pub due: bool,
    /// Whether it was an object of the release until this revision.
    pub was_object: bool,
    /// The hooks that never run any more where this one fails, itself included.
    pub lost: Vec<String>,
    /// What the run that was broken off wrote down of it, where this one goes on with its revision.
    pub note: Option<HookNote>,
}

/// A hook that ran before another one of the same event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Earlier {
    kind: String,
    namespace: String,
    name: String,
    policies: Vec<DeletePolicy>,
}

impl Earlier {
    /// A hook with the policies that say when it is deleted.
    pub fn new(address: &Address, policies: &[DeletePolicy]) -> Self {
        let Address { kind, scope, name } = address.clone();
        Self { kind, namespace: scope, name, policies: policies.to_vec() }
    }
}

impl Settings {
    /// The settings of a hook's resource.
    ///
    /// # Errors
    ///
    /// A resource of another sort.
    pub fn of(resource: &Resource) -> Result<Self, DriverError> {
        Self::deserialize(&resource.settings)
            .map_err(|error| DriverError::new(format!("preparing {}", resource.id.address.short()), error))
    }

    /// Whether what is left under the hook's address is deleted before the hook runs; otherwise it is written over.
    ///
    /// What has run can't run again: it goes even where the policy doesn't ask for it.
    pub fn makes_room(&self, own: &Address) -> bool {
        self.policies.contains(&DeletePolicy::BeforeHookCreation) || runs_to_an_end(own)
    }

    /// The hooks that are deleted once this one has ended, the latest first.
    ///
    /// A definition that came by a hook would take all its resources along, so it stays; Helm never deletes one either.
    pub fn leaving(&self, own: &Address, ending: &Ending) -> Vec<Address> {
        let mut leaving = self.to_delete(own, ending);
        leaving.retain(|address| !Gvk::of_address(address).is_crd());
        leaving
    }

    /// Which hooks go now, the latest first: after the last one of an event those that succeeded, and after a failure what
    /// failed and those that had succeeded, each as its own policy says. Nothing goes earlier, as later hooks may use it.
    fn to_delete(&self, own: &Address, ending: &Ending) -> Vec<Address> {
        let wants = |policies: &[DeletePolicy], policy| policies.contains(&policy);
        let (over, own_policy) = match ending {
            Ending::Settled => (self.last, DeletePolicy::HookSucceeded),
            Ending::Failed(_) => (true, DeletePolicy::HookFailed),
            Ending::Stopped => (false, DeletePolicy::HookFailed),
        };
        if !over {
            return Vec::new();
        }
        let own = wants(&self.policies, own_policy).then(|| own.clone());
        let earlier = self.earlier.iter().rev().filter(|earlier| wants(&earlier.policies, DeletePolicy::HookSucceeded));
        own.into_iter().chain(earlier.map(|hook| Address::new(&hook.kind, &hook.namespace, &hook.name))).collect()
    }

    /// What is to be known once it has failed; empty where the next apply runs it again.
    pub(super) fn advice(&self) -> String {
        if self.lost.is_empty() {
            return String::new();
        }
        format!(
            "the next apply is an upgrade to helm, and runs no hooks of an installation; these have not succeeded: {};\n\
             do by hand what they do, or remove the failed release and apply again",
            self.lost.join(", ")
        )
    }

    /// Whether it has succeeded in the run that was broken off.
    pub(super) fn has_run(&self) -> bool {
        self.note.as_ref().is_some_and(HookNote::has_succeeded)
    }

    /// What is said of it in a plan.
    pub(super) fn said(&self) -> String {
        format!("hook, weight {}", self.weight)
    }
}

/// Whether a hook is something that runs to an end; anything else is done once it is there.
pub(super) fn runs_to_an_end(hook: &Address) -> bool {
    let gvk = Gvk::of_address(hook);
    matches!((gvk.group.as_str(), gvk.kind.as_str()), ("batch", "Job") | ("", "Pod"))
}

#[cfg(test)]
mod tests {
    use DeletePolicy::{BeforeHookCreation, HookFailed, HookSucceeded};

    use super::*;

    fn job(name: &str) -> Address {
        Address::new("batch/v1/Job", "n", name)
    }

    fn third(policies: &[DeletePolicy], last: bool) -> Settings {
        let earlier = vec![Earlier::new(&job("a"), &[HookSucceeded]), Earlier::new(&job("b"), &[BeforeHookCreation])];
        let (event, policies) = ("pre-install".to_owned(), policies.to_vec());
        Settings {
            event,
            weight: 0,
            policies,
            earlier,
            last,
            due: true,
            was_object: false,
            lost: Vec::new(),
            note: None,
        }
    }

    fn deleted(hook: &Settings, ending: &Ending) -> Vec<String> {
        hook.leaving(&job("c"), ending).into_iter().map(|address| address.name).collect()
    }

    #[test]
    fn hooks_that_succeeded_go_after_the_last_one_of_their_event_the_latest_first() {
        assert_eq!(deleted(&third(&[HookSucceeded], true), &Ending::Settled), ["c", "a"]);
        assert!(deleted(&third(&[HookSucceeded], false), &Ending::Settled).is_empty());
    }

    #[test]
    fn a_hook_that_failed_goes_only_by_its_own_policy_and_earlier_ones_by_theirs() {
        let failed = Ending::Failed("no".to_owned());
        assert_eq!(deleted(&third(&[HookFailed], false), &failed), ["c", "a"]);
        assert_eq!(deleted(&third(&[HookSucceeded], false), &failed), ["a"]);
    }
}
