//! The driver of the map, told for each resource how it is to behave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::change::{Action, Change, FieldChange};
use cfrt_engine::driver::{
    Applied, Depth, Driver, DriverError, Effect, Ending, Evidence, Fault, Observation, Predicted, Settled, Stamp,
    Wanted,
};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Resource, Want};
use cfrt_engine::task::{Answer, Question};
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};
use tokio::time::sleep;

use super::rules::Rules;
use super::text;
use super::world::{MapWorld, State};

/// Where a resource fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    Apply,
    Settle,
    Close,
}

/// How one resource behaves; by default it is written at once, is settled then, and nothing fails.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// How many seconds its write takes.
    pub(crate) takes: u64,
    /// How many seconds its end takes.
    pub(crate) closes_in: u64,
    /// Who must all be writing at the same time before one of them ends.
    pub(crate) together: Option<Arc<Barrier>>,
    /// How many seconds after its write it is settled.
    pub(crate) settles_after: u64,
    /// Whether what it lacks is told in the same words all the time.
    pub(crate) silent: bool,
    /// What it lacks, told by the test; settled where that is empty.
    pub(crate) told: Option<watch::Receiver<&'static str>>,
    /// Whether following it ends before it is settled.
    pub(crate) lost: bool,
    pub(crate) fails: BTreeSet<At>,
    /// Whether it may not be changed.
    pub(crate) refuses: bool,
    /// What a dry run says of it; what it would be where nothing is said.
    pub(crate) dry_run: Option<Predicted>,
    /// What must be there before it can be seen.
    pub(crate) behind: Option<String>,
    /// It is known to be as it was when it was as it should be.
    pub(crate) unmoved: bool,
}

/// The driver.
#[derive(Clone)]
pub(crate) struct MapDriver {
    pub(crate) name: &'static str,
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    pub(crate) rules: Arc<Rules>,
}

impl MapDriver {
    fn behaviour(&self, resource: &Resource) -> Behaviour {
        self.behaviours.get(&text::name(&resource.id)).cloned().unwrap_or_default()
    }

    fn seen(&self, state: &State, wanted: &Wanted<'_>) -> Observation {
        let behaviour = self.behaviour(wanted.resource);
        if let Some(behind) = behaviour.behind.filter(|behind| !state.things.contains_key(behind)) {
            return Observation::Hidden { behind: text::id(&behind) };
        }
        if behaviour.unmoved {
            return Observation::Unmoved;
        }
        let before = matches!(wanted.before, Some(Observation::Present { .. }));
        assert_eq!(before, wanted.depth == Depth::DryRun, "a closer look is told of the first");
        let Some(thing) = state.things.get(&wanted.resource.id.address.name) else { return Observation::Absent };
        let stamp = Stamp { uid: "uid".to_owned(), revision: thing.revision.to_string() };
        let predicted = (wanted.depth == Depth::DryRun).then(|| {
            let merged = || Predicted::Live(Arc::new(merged(&thing.body, wanted.resource)));
            behaviour.dry_run.unwrap_or_else(merged)
        });
        let live = live(state, wanted.resource).expect("it is there");
        Observation::Present { live: Arc::new(live), stamp, predicted }
    }

    fn write(&self, state: &mut State, step: &Step) -> Result<(), DriverError> {
        let name = &step.resource.id.address.name;
        let found = state.things.get(name).map(|thing| thing.revision.to_string());
        // What this very run has made before has no stamp in the plan.
        let expected = step.expects().map(|stamp| stamp.revision.clone()).filter(|stamp| !stamp.is_empty());
        if expected.is_some() && expected != found {
            return Err(DriverError::new(format!("writing {name}"), "it was changed meanwhile").fault(Fault::Stale));
        }
        if step.resource.want == Want::Absent {
            state.things.remove(name);
            return Ok(());
        }
        let before = state.things.get(name).map_or(Value::Null, |thing| thing.body.clone());
        let mut body = merged(&before, &step.resource);
        if body.get("state").is_some() {
            body["state"] = json!("open");
        }
        state.put(name, body, 0);
        Ok(())
    }

    fn failing(&self, step: &Step, at: At, doing: &str) -> Result<(), DriverError> {
        if self.behaviour(&step.resource).fails.contains(&at) {
            return Err(DriverError::new(format!("{doing} {}", text::name(&step.resource.id)), "out of order"));
        }
        Ok(())
    }
}

impl Driver<MapWorld> for MapDriver {
    fn name(&self) -> &'static str {
        self.name
    }

    fn answer<'a>(&'a self, world: &'a MapWorld, question: &'a Question) -> Effect<'a, Answer> {
        world.log(format!("answer {}", question.about));
        Box::pin(async { Ok(Arc::new(question.about.clone()) as Answer) })
    }

    fn observe<'a>(&'a self, world: &'a MapWorld, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        let names: Vec<String> = wanted.iter().map(|wanted| text::name(&wanted.resource.id)).collect();
        let depth = wanted.first().map_or("nothing", |wanted| match wanted.depth {
            Depth::Full => "full",
            Depth::DryRun => "dry-run",
        });
        world.log(format!("look {} {depth} {}", self.name, names.join(" ")));
        let state = world.state();
        let seen = wanted.iter().map(|wanted| self.seen(&state, wanted)).collect();
        Box::pin(async { Ok(seen) })
    }

    fn diff(&self, resource: &Resource, seen: &Observation) -> Change {
        if self.behaviour(resource).refuses {
            return Change::of(Action::Refuse).because("it is protected");
        }
        match (seen, resource.want.document()) {
            (Observation::Unmoved, _) => Change::of(Action::Keep),
            (Observation::Absent | Observation::Hidden { .. }, _) => Change::of(Action::Create),
            (Observation::Present { .. }, None) => Change::of(Action::Delete),
            (Observation::Present { live, predicted, .. }, Some(_)) => match predicted {
                Some(Predicted::Refused(why)) => Change::of(Action::Refuse).because(why.clone()),
                Some(Predicted::Immutable(_)) => Change::of(Action::Replace),
                Some(Predicted::Live(after)) => Change::of_fields(moved(live, after)),
                None | Some(Predicted::NotPermitted) => Change::of_fields(moved(live, &merged(live, resource))),
            },
        }
    }

    fn apply<'a>(&'a self, world: &'a MapWorld, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(async move {
            let (name, behaviour) = (text::name(&step.resource.id), self.behaviour(&step.resource));
            let too_early = self.rules.too_early(&name, &world.state(), &|name| self.behaviours.get(name).cloned());
            world.state().broken.extend(too_early);
            let write = world.write(format!("apply {name}"));
            sleep(Duration::from_secs(behaviour.takes)).await;
            if let Some(together) = &behaviour.together {
                together.wait().await;
            }
            write.end();
            let written = self.failing(step, At::Apply, "writing").and_then(|()| self.write(&mut world.state(), step));
            if written.is_err() {
                world.log(format!("broke {name}"));
            }
            written.map(|()| Applied { wrote: true, memo: json!(name) })
        })
    }

    fn follow<'a>(
        &'a self,
        world: &'a MapWorld,
        resource: &'a Resource,
    ) -> BoxStream<'a, Result<Evidence, DriverError>> {
        let behaviour = self.behaviour(resource);
        if let Some(told) = behaviour.told {
            let next = move |(mut told, first): (watch::Receiver<&'static str>, bool)| async move {
                if !first && told.changed().await.is_err() {
                    return None;
                }
                let lacking = *told.borrow_and_update();
                let live = Some(Arc::new(json!({ "lacking": lacking })));
                Some((Ok(Evidence { live }), (told, false)))
            };
            return stream::unfold((told, true), next).boxed();
        }
        let next = move |first: bool| async move {
            if !first {
                sleep(Duration::from_secs(1)).await;
                let mut state = world.state();
                if let Some(thing) = state.things.get_mut(&resource.id.address.name) {
                    thing.followed += 1;
                }
            }
            let live = live(&world.state(), resource).map(Arc::new);
            Some((Ok(Evidence { live }), false))
        };
        let all = stream::unfold(true, next);
        if behaviour.lost { all.take(1).boxed() } else { all.boxed() }
    }

    fn settled(&self, resource: &Resource, seen: &Evidence) -> Settled {
        let behaviour = self.behaviour(resource);
        match (&seen.live, &resource.want) {
            (None, Want::Absent) => Settled::Yes,
            (None, Want::Present(_) | Want::Existing(_)) => Settled::Waiting("it is not there".to_owned()),
            (Some(_), Want::Absent) => Settled::Waiting("it is still there".to_owned()),
            (Some(live), Want::Present(_) | Want::Existing(_)) => {
                if let Some(lacking) = live.get("lacking").and_then(Value::as_str) {
                    return if lacking.is_empty() { Settled::Yes } else { Settled::Waiting(lacking.to_owned()) };
                }
                let (followed, all) = (live["followed"].as_u64().unwrap_or_default(), behaviour.settles_after);
                match (followed >= all, behaviour.fails.contains(&At::Settle)) {
                    (true, true) => Settled::Failed("it crashes".to_owned()),
                    (true, false) => Settled::Yes,
                    (false, _) if behaviour.silent => Settled::Waiting("it is not ready".to_owned()),
                    (false, _) => Settled::Waiting(format!("{followed} of {all}")),
                }
            }
        }
    }

    fn close<'a>(
        &'a self,
        world: &'a MapWorld,
        step: &'a Step,
        applied: &'a Applied,
        ending: Ending,
    ) -> Effect<'a, ()> {
        Box::pin(async move {
            let name = text::name(&step.resource.id);
            assert_eq!(applied.memo, json!(name), "closing is told what applying left behind");
            let owner = step.resource.want.document().is_some_and(|document| document.body.get("state").is_some());
            let (said, state) = match &ending {
                Ending::Settled => ("settled".to_owned(), "closed"),
                Ending::Failed(why) => (format!("failed: {why}"), "failed"),
                Ending::Stopped => ("stopped".to_owned(), "failed"),
            };
            let write = if owner {
                world.write(format!("close {name} {said}"))
            } else {
                // What others do at their end is part of their step, and takes no place of its own.
                world.uncounted(format!("end {name} {said}"))
            };
            sleep(Duration::from_secs(self.behaviour(&step.resource).closes_in)).await;
            write.end();
            self.failing(step, At::Close, "closing")?;
            if owner && let Some(thing) = world.state().things.get_mut(&name) {
                thing.body["state"] = json!(state);
            }
            Ok(())
        })
    }
}

/// A thing as drivers see it: its body, and for how long it was followed.
fn live(state: &State, resource: &Resource) -> Option<Value> {
    let thing = state.things.get(&resource.id.address.name)?;
    let mut live = thing.body.clone();
    live["followed"] = json!(thing.followed);
    Some(live)
}

/// What a body is once a resource's fields are written into it.
fn merged(before: &Value, resource: &Resource) -> Value {
    let mut after = if before.is_object() { before.clone() } else { json!({}) };
    let wanted = resource.want.document().and_then(|document| document.body.as_object()).into_iter().flatten();
    wanted.for_each(|(key, value)| after[key] = value.clone());
    after
}

fn moved(before: &Value, after: &Value) -> Vec<FieldChange> {
    let keys = after.as_object().into_iter().flatten().filter(|(key, value)| before.get(key) != Some(value));
    let change = |(key, value): (&String, &Value)| FieldChange::new(key, before.get(key).cloned(), Some(value.clone()));
    keys.map(change).collect()
}
