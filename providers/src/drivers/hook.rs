//! The driver of Helm hooks: run with a revision of their release, followed to their end, removed as their policy says.

use std::collections::BTreeMap;

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
use crate::journal::{HookNote, HookOutcome};
use crate::kube::around::with_surroundings;
use crate::kube::cause::explained;
use crate::kube::gvk::Gvk;
use crate::kube::look::{key, look};
use crate::kube::read::get;
use crate::kube::settle::hook_settled;
use crate::kube::write::Target;
use crate::world::World;

mod broken_off;
mod left;
mod runs;
mod settings;

use broken_off::GoesOn;
pub use runs::HookRuns;
use settings::runs_to_an_end;
pub use settings::{Earlier, Settings};

/// What runs hooks.
pub struct Hook;

/// Whether a step only goes on with what a run that was broken off has made.
pub fn goes_on(step: &Step) -> bool {
    Settings::of(&step.resource).is_ok_and(|hook| GoesOn::of(&step.resource, &hook, &step.seen).is_some())
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
        if let Some(goes_on) = GoesOn::of(resource, &hook, seen) {
            return goes_on.change(&hook);
        }
        match seen {
            Observation::Present { live, stamp, .. } => left::met(resource, &hook, live, stamp),
            Observation::Unmoved => Change::of(Action::Keep),
            Observation::Absent if broken_off::is_gone(&hook) => Change::of(Action::Create).because(format!(
                "{}; it was made in the run that was broken off and is gone: how it ended isn't known, and it runs again",
                hook.said()
            )),
            Observation::Absent | Observation::Hidden { .. } => Change::of(Action::Create).because(hook.said()),
        }
    }

    fn apply<'a>(&'a self, world: &'a World, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(world.in_turn(&step.resource, begin(world, step)))
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

    fn settled(&self, resource: &Resource, seen: &Evidence) -> Settled {
        if Settings::of(resource).is_ok_and(|hook| hook.has_run()) {
            return Settled::Yes;
        }
        explained(hook_settled(seen.live.as_deref()), seen)
    }

    fn close<'a>(&'a self, world: &'a World, step: &'a Step, applied: &'a Applied, ending: Ending) -> Effect<'a, ()> {
        Box::pin(async move {
            let (id, address) = (&step.resource.id, &step.resource.id.address);
            world.hook_runs.note(address, applied, &ending);
            let leaving = Settings::of(&step.resource)?.leaving(address, &ending);
            if leaving.is_empty() {
                world.journal.tell(&world.kube, id, |note| ended(note, &ending)).await;
                return Ok(());
            }
            // A deletion would leave no sign that it has run.
            world.journal.tell_surely(&world.kube, id, |note| ended(note, &ending)).await?;
            for address in leaving {
                delete(world, &step.resource, address).await?;
            }
            Ok(())
        })
    }
}

/// Runs a hook, or goes on with what another run has begun.
async fn begin(world: &World, step: &Step) -> Result<Applied, DriverError> {
    let (resource, started) = (&step.resource, Timestamp::now().to_string());
    let hook = Settings::of(resource)?;
    let target = Target::new(world, resource, HELM)?;
    let there = there(world, step, &target).await?;
    if let (Some(GoesOn::Follow(uid)), Some(note)) = (GoesOn::of(resource, &hook, &step.seen), &hook.note) {
        if there.as_ref().map(|there| there.uid.as_str()) != Some(uid.as_str()) {
            return Err(moved(resource));
        }
        world.hook_runs.made(&resource.id.address, &uid);
        // The run before may have ended before it could write that down.
        world.journal.tell(&world.kube, &resource.id, |note| note.uid = Some(uid)).await;
        return Ok(Applied { wrote: true, memo: json!({ "started": note.started }) });
    }
    let before = there.as_ref().map(|there| there.uid.clone());
    world.journal.intend(&world.kube, HookNote::intent(&resource.id, before, started.clone())).await?;
    let left = make_room(resource, &target, there).await?;
    if let Some(document) = resource.want.document() {
        let made = match left {
            Some(left) => target.write_over(document, &left).await?,
            None => target.create(document).await?,
        };
        world.hook_runs.made(&resource.id.address, uid(&made));
        world.journal.tell(&world.kube, &resource.id, |note| note.uid = Some(uid(&made).to_owned())).await;
    }
    Ok(Applied { wrote: true, memo: json!({ "started": started }) })
}

/// Writes down how a hook ended; one that nobody waited for has not.
fn ended(note: &mut HookNote, ending: &Ending) {
    note.outcome = match ending {
        Ending::Settled => Some(HookOutcome::Succeeded),
        Ending::Failed(_) => Some(HookOutcome::Failed),
        Ending::Stopped => None,
    };
    note.completed = note.outcome.map(|_| Timestamp::now().to_string());
}

/// Whether it has to be known what bears a hook's name. Of a kind that the server doesn't know there is nothing.
fn is_to_be_read(world: &World, wanted: &Wanted<'_>) -> bool {
    let address = &wanted.resource.id.address;
    wanted.depth == Depth::Full
        && Settings::of(wanted.resource).is_ok_and(|hook| hook.due)
        && world.discovery.resolve(&Gvk::of_address(address)).is_some()
}

/// What bears a hook's name just before it runs.
struct There {
    uid: String,
    is_going: bool,
}

/// Looks at what bears the hook's name. That must be what the plan saw, or what this run itself made for another event.
async fn there(world: &World, step: &Step, target: &Target<'_>) -> Result<Option<There>, DriverError> {
    let resource = &step.resource;
    let found = get(&world.kube, target.kind(), &key(resource)).await;
    let Some((_, live)) = found.map_err(|error| error.during(looking_at(resource)))? else { return Ok(None) };
    let uid = uid(&live).to_owned();
    let planned = step.expects().is_some_and(|stamp| stamp.uid == uid);
    if !planned && world.hook_runs.uid(&resource.id.address).as_ref() != Some(&uid) {
        return Err(moved(resource));
    }
    Ok(Some(There { uid, is_going: live.pointer("/metadata/deletionTimestamp").is_some() }))
}

fn looking_at(resource: &Resource) -> String {
    format!("looking at what is left of {}", resource.id.address.short())
}

fn moved(resource: &Resource) -> DriverError {
    let cause = "it is not what was there when the plan was made";
    let error = DriverError::new(looking_at(resource), cause).fault(Fault::Stale);
    error.hint("plan again and look at what has changed")
}

/// Deletes what bears the hook's name, or gives the uid of what is to be written over.
async fn make_room(
    resource: &Resource,
    target: &Target<'_>,
    there: Option<There>,
) -> Result<Option<String>, DriverError> {
    let Some(There { uid, is_going }) = there else { return Ok(None) };
    if !is_going && !Settings::of(resource)?.makes_room(&resource.id.address) {
        return Ok(Some(uid));
    }
    target.delete(Some(&uid)).await?;
    // A creation would otherwise meet what is still going.
    target.gone().await?;
    Ok(None)
}

fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// Deletes a hook that this run made; anything else of its name is not ours.
async fn delete(world: &World, like: &Resource, address: Address) -> Result<(), DriverError> {
    let Some(uid) = world.hook_runs.uid(&address) else { return Ok(()) };
    let mut hook = like.clone();
    hook.id.address = address;
    Target::new(world, &hook, HELM)?.delete(Some(&uid)).await
}
