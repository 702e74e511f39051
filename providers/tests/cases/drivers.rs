//! The drivers of the map, under the names of the real ones, whose decisions they ask for.

use std::sync::Arc;

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{
    Applied, Depth, Driver, DriverError, Drivers, Effect, Ending, Evidence, Observation, Predicted, Settled, Wanted,
};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::Resource;
use cfrt_engine::task::{Answer, Question};
use cfrt_providers::drivers::hook::{self, Hook};
use cfrt_providers::drivers::object::{HELM, OWN, Object};
use cfrt_providers::drivers::release::history::{ABANDONED, History};
use cfrt_providers::drivers::release::survey::{ChartAnswer, ChartQuestion, answer, merged};
use cfrt_providers::drivers::release::{Release, Settings};
use cfrt_providers::helm::assemble::assemble;
use cfrt_providers::helm::chart::{Chart, Metadata};
use cfrt_providers::helm::record::{Revision, Status};
use cfrt_providers::kube::fields::needs_migration;
use cfrt_providers::kube::gvk::Gvk;
use cfrt_providers::kube::look::{Whereabouts, definitions, missing, present, whereabouts};
use cfrt_providers::secrets::{Found, SecretQuestion, Source, encode, keep, keep_of};
use cfrt_providers::world::World;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::world::{MapWorld, recorded_hooks};

pub(crate) fn drivers() -> Drivers<MapWorld> {
    Drivers::new(vec![Box::new(MapObject), Box::new(MapHook), Box::new(MapRelease)])
}

fn ready<'a, T: Send + 'a>(result: Result<T, DriverError>) -> Effect<'a, T> {
    Box::pin(async { result })
}

/// An object as it is after the write, and as its controllers leave it.
fn followed<'a>(world: &'a MapWorld, resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
    let seen = |finished| if finished { world.finish(&resource.id.address) } else { world.live(&resource.id.address) };
    stream::iter([false, true])
        .map(move |finished| Ok(Evidence { live: seen(finished).map(Arc::new), ..Evidence::default() }))
        .boxed()
}

struct MapObject;

impl MapObject {
    fn manager(resource: &Resource) -> &str {
        resource.settings["manager"].as_str().unwrap_or(OWN)
    }

    fn observe(world: &MapWorld, wanted: &Wanted<'_>, batch: &[Wanted<'_>]) -> Observation {
        let Wanted { resource, depth, before } = wanted;
        let brought = definitions(&world.discovery, batch.iter().map(|wanted| wanted.resource));
        match whereabouts(&world.discovery, &brought, resource) {
            Whereabouts::Behind(definition) => return Observation::Hidden { behind: definition.clone() },
            Whereabouts::Unknown => unreachable!("this world doesn't know the kind of {}", resource.id),
            Whereabouts::Kept(_) | Whereabouts::Nowhere => {}
        }
        match (before, world.live(&resource.id.address)) {
            (Some(before), Some(live)) if *depth == Depth::DryRun => Self::predict(world, resource, before, &live),
            (_, Some(live)) => present(&world.vault, resource, live),
            (_, None) => missing(&brought, resource),
        }
    }

    /// As the real driver: what would be deleted, whose ownership is to be migrated, or whose version is yet to come isn't
    /// asked for.
    fn predict(world: &MapWorld, resource: &Resource, before: &Observation, live: &Value) -> Observation {
        let manager = Self::manager(resource);
        let Observation::Present { live: shown, stamp, .. } = before else { return before.clone() };
        let is_known = world.discovery.resolve(&Gvk::of_address(&resource.id.address)).is_some();
        if resource.want.document().is_none() || needs_migration(live, manager) || !is_known {
            return before.clone();
        }
        let predicted = match world.foreseen(resource, manager).map(|object| present(&world.vault, resource, object)) {
            Ok(Observation::Present { live, .. }) => Predicted::Live(live),
            Ok(Observation::Absent | Observation::Unmoved | Observation::Hidden { .. }) => {
                unreachable!("what is applied is present")
            }
            Err(error) => Predicted::Refused(error.chain().pop().unwrap_or_default()),
        };
        Observation::Present { live: Arc::clone(shown), stamp: stamp.clone(), predicted: Some(predicted) }
    }

    fn secret(world: &MapWorld, about: &Value) -> Result<Found, DriverError> {
        let question = SecretQuestion::deserialize(about).expect("a kind asks for a source");
        let encoded = match &question.source {
            Source::Env(name) => encode(&world.environment[name].as_str().into()),
            Source::File(path) => {
                let text = std::fs::read_to_string(world.folder.join(path)).expect("the case has the file");
                encode(&text.into())
            }
            Source::Secret { namespace, name, key } => {
                let address = cfrt_engine::resource::Address::new("v1/Secret", namespace, name);
                return keep_of(&world.vault, &question, world.live(&address).as_ref(), key);
            }
        };
        keep(&world.vault, &question.source, &encoded)
    }
}

impl Driver<MapWorld> for MapObject {
    fn name(&self) -> &'static str {
        Driver::<World>::name(&Object)
    }

    fn answer<'a>(&'a self, world: &'a MapWorld, question: &'a Question) -> Effect<'a, Answer> {
        ready(Self::secret(world, &question.about).map(|seal| Arc::new(seal) as Answer))
    }

    fn observe<'a>(&'a self, world: &'a MapWorld, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        ready(Ok(wanted.iter().map(|one| Self::observe(world, one, wanted)).collect()))
    }

    fn diff(&self, resource: &Resource, seen: &Observation) -> Change {
        Driver::<World>::diff(&Object, resource, seen)
    }

    fn apply<'a>(&'a self, world: &'a MapWorld, step: &'a Step) -> Effect<'a, Applied> {
        let resource = &step.resource;
        ready(match step.change.action {
            Action::Delete => {
                world.remove(&resource.id.address);
                Ok(Applied { wrote: true, memo: Value::Null })
            }
            Action::Create | Action::Update | Action::Migrate => {
                let written = world.apply(resource, Self::manager(resource), step.expects());
                written.map(|()| Applied { wrote: true, memo: Value::Null })
            }
            Action::Keep | Action::Replace | Action::Refuse => unreachable!("{:?} writes nothing", step.change.action),
        })
    }

    fn follow<'a>(
        &'a self,
        world: &'a MapWorld,
        resource: &'a Resource,
    ) -> BoxStream<'a, Result<Evidence, DriverError>> {
        followed(world, resource)
    }

    fn settled(&self, resource: &Resource, seen: &Evidence) -> Settled {
        Driver::<World>::settled(&Object, resource, seen)
    }
}

struct MapHook;

fn hook(resource: &Resource) -> hook::Settings {
    hook::Settings::of(resource).expect("a hook's settings are those of hooks")
}

impl Driver<MapWorld> for MapHook {
    fn name(&self) -> &'static str {
        Driver::<World>::name(&Hook)
    }

    fn answer<'a>(&'a self, _world: &'a MapWorld, question: &'a Question) -> Effect<'a, Answer> {
        unreachable!("hooks are asked nothing: {question:?}")
    }

    fn observe<'a>(&'a self, world: &'a MapWorld, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        let look = |wanted: &Wanted<'_>| match world.live(&wanted.resource.id.address) {
            Some(live) if hook(wanted.resource).due => present(&world.vault, wanted.resource, live),
            Some(_) | None => Observation::Absent,
        };
        ready(Ok(wanted.iter().map(look).collect()))
    }

    fn diff(&self, resource: &Resource, seen: &Observation) -> Change {
        Driver::<World>::diff(&Hook, resource, seen)
    }

    fn apply<'a>(&'a self, world: &'a MapWorld, step: &'a Step) -> Effect<'a, Applied> {
        let address = &step.resource.id.address;
        if hook(&step.resource).makes_room(address) {
            world.remove(address);
        }
        let there = present(&world.vault, &step.resource, world.live(address).unwrap_or_default());
        let Observation::Present { stamp, .. } = there else { unreachable!("what is given is present") };
        let stamp = world.live(address).is_some().then_some(stamp);
        let written = world.apply(&step.resource, HELM, stamp.as_ref());
        ready(written.map(|()| Applied { wrote: true, memo: Value::Null }))
    }

    fn follow<'a>(
        &'a self,
        world: &'a MapWorld,
        resource: &'a Resource,
    ) -> BoxStream<'a, Result<Evidence, DriverError>> {
        followed(world, resource)
    }

    fn settled(&self, resource: &Resource, seen: &Evidence) -> Settled {
        Driver::<World>::settled(&Hook, resource, seen)
    }

    fn close<'a>(&'a self, world: &'a MapWorld, step: &'a Step, _: &'a Applied, ending: Ending) -> Effect<'a, ()> {
        let leaving = hook(&step.resource).leaving(&step.resource.id.address, &ending);
        leaving.iter().for_each(|address| world.remove(address));
        ready(Ok(()))
    }
}

struct MapRelease;

impl MapRelease {
    fn survey(world: &MapWorld, about: &Value) -> Result<ChartAnswer, DriverError> {
        let mut question = ChartQuestion::deserialize(about).expect("a kind asks about a chart");
        let values = question.values.iter_mut();
        values.for_each(|file| *file = world.folder.join(&*file));
        let values = merged(&question)?;
        let metadata = Metadata {
            name: "shop".to_owned(),
            version: question.version.clone(),
            app_version: None,
            kube_version: None,
            dependencies: Vec::new(),
        };
        let chart = Chart { path: world.folder.clone(), metadata, digest: "sha256:0".to_owned() };
        let names = [question.release.clone(), question.namespace.clone()];
        let first = world.rendered("rendering.yaml").expect("a case with a chart has its rendering");
        let rendering = assemble(&world.vault, &chart, &names, first, world.rendered("rendering-again.yaml"));
        answer(&world.vault, &world.discovery, &question, &Self::history(world), &rendering.into(), values)
    }

    fn history(world: &MapWorld) -> History {
        let state = world.state();
        let mut counting = state.records.iter().rev().filter(|record| record.status != Status::Superseded);
        let newest = counting.next().cloned();
        let mut over = newest.as_ref().is_none_or(|newest| newest.status == Status::Deployed);
        let down_to_deployed = |record: &&Revision| !std::mem::replace(&mut over, record.status == Status::Deployed);
        let earlier = counting.take_while(down_to_deployed).cloned().collect();
        History { newest, earlier, age: state.age, ..History::default() }
    }

    fn open(world: &MapWorld, step: &Step) -> Result<Applied, DriverError> {
        let settings = Settings::of(&step.resource)?;
        settings.check_idle()?;
        if let Some(abandoned) = settings.next.abandoned {
            let mut state = world.state();
            let record = state.records.iter_mut().find(|record| record.revision == abandoned);
            let record = record.expect("what is abandoned is on record");
            (record.status, record.description) = (Status::Failed, ABANDONED.to_owned());
        }
        let rendered = world.rendered("rendering.yaml").expect("a case with a chart has its rendering");
        let record = Revision {
            name: settings.question.release.clone(),
            namespace: settings.question.namespace.clone(),
            revision: settings.next.revision,
            status: if settings.next.install { Status::PendingInstall } else { Status::PendingUpgrade },
            first_deployed: None,
            last_deployed: None,
            description: String::new(),
            chart_name: settings.chart,
            chart_version: settings.version,
            config: merged(&settings.question)?,
            hooks: recorded_hooks(&rendered),
            manifest: rendered.text.into(),
            apply_method: Some("ssa".to_owned()),
        };
        world.state().records.push(record);
        Ok(Applied { wrote: true, memo: json!(settings.next.revision) })
    }

    fn conclude(world: &MapWorld, step: &Step, revision: &Value, ending: Ending) -> Result<(), DriverError> {
        let (status, description) = Settings::of(&step.resource)?.conclusion(ending);
        for record in &mut world.state().records {
            if *revision == record.revision {
                (record.status, record.description) = (status, description.clone());
            } else if status == Status::Deployed && record.status == Status::Deployed {
                record.status = Status::Superseded;
            }
        }
        Ok(())
    }
}

impl Driver<MapWorld> for MapRelease {
    fn name(&self) -> &'static str {
        Driver::<World>::name(&Release)
    }

    fn answer<'a>(&'a self, world: &'a MapWorld, question: &'a Question) -> Effect<'a, Answer> {
        ready(Self::survey(world, &question.about).map(|answer| Arc::new(answer) as Answer))
    }

    fn observe<'a>(&'a self, _world: &'a MapWorld, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        ready(Ok(vec![Observation::Absent; wanted.len()]))
    }

    fn diff(&self, resource: &Resource, seen: &Observation) -> Change {
        Driver::<World>::diff(&Release, resource, seen)
    }

    fn apply<'a>(&'a self, world: &'a MapWorld, step: &'a Step) -> Effect<'a, Applied> {
        ready(Self::open(world, step))
    }

    fn close<'a>(
        &'a self,
        world: &'a MapWorld,
        step: &'a Step,
        applied: &'a Applied,
        ending: Ending,
    ) -> Effect<'a, ()> {
        ready(Self::conclude(world, step, &applied.memo, ending))
    }
}
