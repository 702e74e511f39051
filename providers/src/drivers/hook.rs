//! The driver of Helm hooks: run with a revision of their release, followed to their end, removed as their policy says.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{
    Applied, Driver, DriverError, Effect, Ending, Evidence, Fault, Observation, Settled, Wanted,
};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Address, Resource};
use cfrt_engine::task::{Answer, Question};
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::object::HELM;
use crate::helm::hook::DeletePolicy;
use crate::helm::record::HookRun;
use crate::kube::gvk::Gvk;
use crate::kube::look::key;
use crate::kube::settle::hook_settled;
use crate::kube::write::Target;
use crate::world::World;

/// What runs hooks.
pub struct Hook;

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

impl Hook {
    /// Whether what is left of an earlier run is deleted before the hook runs.
    ///
    /// What has run can't run again: it goes even where the policy doesn't ask for it.
    pub fn makes_room(resource: &Resource) -> bool {
        let asks = settings(resource).is_some_and(|hook| hook.policies.contains(&DeletePolicy::BeforeHookCreation));
        asks || runs(resource)
    }

    /// The hooks that are deleted once one has ended, the latest first.
    ///
    /// A definition that came by a hook would take all its resources along, so it stays; Helm never deletes one either.
    pub fn leaving(resource: &Resource, ending: &Ending) -> Vec<Address> {
        let Some(hook) = settings(resource) else { return Vec::new() };
        let mut leaving = to_delete(&resource.id.address, &hook, ending);
        leaving.retain(|address| !Gvk::of_address(address).is_crd());
        leaving
    }
}

/// How the hooks of this run of cfrt went, for the record of their release.
#[derive(Debug, Default)]
pub struct HookRuns(Mutex<Vec<HookRun>>);

impl HookRuns {
    fn note(&self, hook: &Address, applied: &Applied, ending: &Ending) {
        let Some(started) = applied.memo["started"].as_str().and_then(|at| at.parse().ok()) else { return };
        let Address { kind, name, .. } = hook.short();
        let run = HookRun { kind, name, started, completed: Timestamp::now(), succeeded: *ending == Ending::Settled };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }

    /// What was noted so far, in the order in which the hooks ended.
    pub fn noted(&self) -> Vec<HookRun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn settings(resource: &Resource) -> Option<Settings> {
    Settings::deserialize(&resource.settings).ok()
}

impl Driver<World> for Hook {
    fn name(&self) -> &'static str {
        "hook"
    }

    fn answer<'a>(&'a self, _world: &'a World, question: &'a Question) -> Effect<'a, Answer> {
        Box::pin(
            async move { Err(DriverError::new("asking a hook", format!("hooks answer nothing: {}", question.about))) },
        )
    }

    /// Nothing is read: a hook acts because its release does, whatever is there.
    fn observe<'a>(&'a self, _world: &'a World, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        Box::pin(async move { Ok(vec![Observation::Absent; wanted.len()]) })
    }

    fn diff(&self, resource: &Resource, _seen: &Observation) -> Change {
        let when = settings(resource).map(|hook| format!("hook, weight {}", hook.weight));
        Change::of(Action::Create).because(when.unwrap_or_default())
    }

    fn apply<'a>(&'a self, world: &'a World, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(async move {
            let (resource, started) = (&step.resource, Timestamp::now());
            let target = Target::new(world, resource, HELM)?;
            if Self::makes_room(resource) {
                target.delete(None).await?;
                gone(world, resource, &target).await?;
            }
            if let Some(document) = resource.want.document() {
                drop(target.create(document).await?);
            }
            Ok(Applied { wrote: true, memo: json!({ "started": started.to_string() }) })
        })
    }

    fn follow<'a>(&'a self, world: &'a World, resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
        match Target::new(world, resource, HELM) {
            Ok(target) if runs(resource) => {
                let seen = world.watches.follow(&world.kube, target.kind(), key(resource));
                seen.map(|live| Ok(Evidence { live: live? })).boxed()
            }
            Ok(_) | Err(_) => stream::empty().boxed(),
        }
    }

    fn settled(&self, _resource: &Resource, seen: &Evidence) -> Settled {
        hook_settled(seen.live.as_deref())
    }

    fn close<'a>(&'a self, world: &'a World, step: &'a Step, applied: &'a Applied, ending: Ending) -> Effect<'a, ()> {
        Box::pin(async move {
            world.hook_runs.note(&step.resource.id.address, applied, &ending);
            for address in Self::leaving(&step.resource, &ending) {
                delete(world, &step.resource, address).await?;
            }
            Ok(())
        })
    }
}

/// Which hooks go now, the latest first: after the last one of an event those that succeeded, and after a failure what
/// failed and those that had succeeded, each as its own policy says. Nothing goes earlier, as later hooks may use it.
fn to_delete(own: &Address, hook: &Settings, ending: &Ending) -> Vec<Address> {
    let wants = |policies: &[DeletePolicy], policy| policies.contains(&policy);
    let (over, own_policy) = match ending {
        Ending::Settled => (hook.last, DeletePolicy::HookSucceeded),
        Ending::Failed(_) => (true, DeletePolicy::HookFailed),
        Ending::Stopped => (false, DeletePolicy::HookFailed),
    };
    if !over {
        return Vec::new();
    }
    let own = wants(&hook.policies, own_policy).then(|| own.clone());
    let earlier = hook.earlier.iter().rev().filter(|earlier| wants(&earlier.policies, DeletePolicy::HookSucceeded));
    own.into_iter().chain(earlier.map(|hook| Address::new(&hook.kind, &hook.namespace, &hook.name))).collect()
}

/// Whether a hook is something that runs to an end; anything else is done once it is there.
fn runs(resource: &Resource) -> bool {
    let gvk = Gvk::of_address(&resource.id.address);
    matches!((gvk.group.as_str(), gvk.kind.as_str()), ("batch", "Job") | ("", "Pod"))
}

/// How long what is left of an earlier run may take to go; something holds it then, as a finalizer does.
const LEAVING: Duration = Duration::from_secs(120);

/// Waits until nothing is left: a creation would otherwise meet what is still going.
async fn gone(world: &World, resource: &Resource, target: &Target<'_>) -> Result<(), DriverError> {
    let mut seen = world.watches.follow(&world.kube, target.kind(), key(resource));
    let left = async {
        let mut left = None;
        while let Some(live) = seen.next().await {
            left = live?;
            if left.is_none() {
                break;
            }
        }
        Ok(left)
    };
    let held = match tokio::time::timeout(LEAVING, left).await {
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(refused)) => return Err(refused),
        Ok(Ok(Some(_))) => "it is still there".to_owned(),
        Err(_) => format!("it is still there after {} s; does a finalizer hold it?", LEAVING.as_secs()),
    };
    Err(DriverError::new(format!("removing what is left of {}", resource.id.address.short()), held)
        .fault(Fault::TimedOut))
}

async fn delete(world: &World, like: &Resource, address: Address) -> Result<(), DriverError> {
    let mut hook = like.clone();
    hook.id.address = address;
    Target::new(world, &hook, HELM)?.delete(None).await
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
        Settings { event: "pre-install".to_owned(), weight: 0, policies: policies.to_vec(), earlier, last }
    }

    fn deleted(hook: &Settings, ending: &Ending) -> Vec<String> {
        to_delete(&job("c"), hook, ending).into_iter().map(|address| address.name).collect()
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
