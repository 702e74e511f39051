//! The driver of Helm hooks: run with a revision of their release, followed to their end, removed as their policy says.

use std::collections::BTreeMap;
use std::time::Duration;

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{
    Applied, Depth, Driver, DriverError, Effect, Ending, Evidence, Fault, Observation, Settled, Wanted,
};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Address, Resource};
use cfrt_engine::task::{Answer, Question};
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::HELM;
use crate::kube::around::with_surroundings;
use crate::kube::cause::explained;
use crate::kube::gvk::Gvk;
use crate::kube::look::{key, look};
use crate::kube::read::get;
use crate::kube::settle::hook_settled;
use crate::kube::write::Target;
use crate::world::World;

mod left;
mod runs;
mod settings;

pub use runs::HookRuns;
use settings::runs_to_an_end;
pub use settings::{Earlier, Settings};

/// What runs hooks.
pub struct Hook;

impl Driver<World> for Hook {
    fn name(&self) -> &'static str {
        "hook"
    }

    fn answer<'a>(&'a self, _world: &'a World, question: &'a Question) -> Effect<'a, Answer> {
        Box::pin(
            async move { Err(DriverError::new("asking a hook", format!("hooks answer nothing: {}", question.about))) },
        )
    }

    /// Reads what bears the names of the hooks that will run. How it would change is not asked for: it doesn't.
    fn observe<'a>(&'a self, world: &'a World, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        Box::pin(async move {
            let mut seen: Vec<Observation> =
                wanted.iter().map(|wanted| wanted.before.cloned().unwrap_or(Observation::Absent)).collect();
            // A hook of two events is in the batch twice, and read once.
            let mut places: BTreeMap<&Address, (Wanted<'_>, Vec<usize>)> = BTreeMap::new();
            for (index, wanted) in wanted.iter().enumerate().filter(|(_, wanted)| is_to_be_read(world, wanted)) {
                places.entry(&wanted.resource.id.address).or_insert((*wanted, Vec::new())).1.push(index);
            }
            let (read, places): (Vec<_>, Vec<_>) = places.into_values().unzip();
            for (indices, found) in places.into_iter().zip(look(world, &read, |_| HELM).await?) {
                indices.into_iter().for_each(|index| seen[index] = found.clone());
            }
            Ok(seen)
        })
    }

    fn diff(&self, resource: &Resource, seen: &Observation) -> Change {
        let hook = match Settings::of(resource) {
            Ok(hook) => hook,
            Err(error) => return Change::of(Action::Refuse).because(error.chain().join(": ")),
        };
        match seen {
            Observation::Present { live, stamp, .. } => left::met(resource, &hook, live, stamp),
            Observation::Unmoved => Change::of(Action::Keep),
            Observation::Absent | Observation::Hidden { .. } => Change::of(Action::Create).because(hook.said()),
        }
    }

    fn apply<'a>(&'a self, world: &'a World, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(async move {
            let (resource, started) = (&step.resource, Timestamp::now());
            let target = Target::new(world, resource, HELM)?;
            let left = make_room(world, step, &target).await?;
            if let Some(document) = resource.want.document() {
                let made = match left {
                    Some(left) => target.write_over(document, &left).await?,
                    None => target.create(document).await?,
                };
                world.hook_runs.made(&resource.id.address, uid(&made));
            }
            Ok(Applied { wrote: true, memo: json!({ "started": started.to_string() }) })
        })
    }

    fn advice(&self, step: &Step) -> String {
        Settings::of(&step.resource).map(|hook| hook.advice()).unwrap_or_default()
    }

    fn follow<'a>(&'a self, world: &'a World, resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
        match Target::new(world, resource, HELM) {
            Ok(target) if runs_to_an_end(&resource.id.address) => {
                let seen = world.watches.follow(&world.kube, target.kind(), key(resource));
                let seen = seen.map(|live| Ok(Evidence { live: live?, ..Evidence::default() }));
                with_surroundings(world, resource, hook_settled, seen.boxed())
            }
            Ok(_) | Err(_) => stream::empty().boxed(),
        }
    }

    fn settled(&self, _resource: &Resource, seen: &Evidence) -> Settled {
        explained(hook_settled(seen.live.as_deref()), seen)
    }

    fn close<'a>(&'a self, world: &'a World, step: &'a Step, applied: &'a Applied, ending: Ending) -> Effect<'a, ()> {
        Box::pin(async move {
            let address = &step.resource.id.address;
            world.hook_runs.note(address, applied, &ending);
            for address in Settings::of(&step.resource)?.leaving(address, &ending) {
                delete(world, &step.resource, address).await?;
            }
            Ok(())
        })
    }
}

/// Whether it has to be known what bears a hook's name. Of a kind that the server doesn't know there is nothing.
fn is_to_be_read(world: &World, wanted: &Wanted<'_>) -> bool {
    let address = &wanted.resource.id.address;
    wanted.depth == Depth::Full
        && Settings::of(wanted.resource).is_ok_and(|hook| hook.due)
        && world.discovery.resolve(&Gvk::of_address(address)).is_some()
}

/// Deletes what bears the hook's name, or gives the uid of what is to be written over.
///
/// That must be what the plan saw, or what this run itself made for another event.
async fn make_room(world: &World, step: &Step, target: &Target<'_>) -> Result<Option<String>, DriverError> {
    let resource = &step.resource;
    let address = &resource.id.address;
    let doing = || format!("looking at what is left of {}", address.short());
    let found = get(&world.kube, target.kind(), &key(resource)).await.map_err(|error| error.during(doing()))?;
    let Some((_, live)) = found else { return Ok(None) };
    let there = uid(&live);
    let planned = step.expects().is_some_and(|stamp| stamp.uid == there);
    if !planned && world.hook_runs.uid(address).as_deref() != Some(there) {
        let error = DriverError::new(doing(), "it is not what was there when the plan was made").fault(Fault::Stale);
        return Err(error.hint("plan again and look at what has changed"));
    }
    let is_going = live.pointer("/metadata/deletionTimestamp").is_some();
    if !is_going && !Settings::of(resource)?.makes_room(address) {
        return Ok(Some(there.to_owned()));
    }
    target.delete(Some(there)).await?;
    gone(world, resource, target).await?;
    Ok(None)
}

fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
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

/// Deletes a hook that this run made; anything else of its name is not ours.
async fn delete(world: &World, like: &Resource, address: Address) -> Result<(), DriverError> {
    let Some(uid) = world.hook_runs.uid(&address) else { return Ok(()) };
    let mut hook = like.clone();
    hook.id.address = address;
    Target::new(world, &hook, HELM)?.delete(Some(&uid)).await
}
