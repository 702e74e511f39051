//! The driver of the map, told for each resource how it is to behave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::change::{Action, Change};
use cfrt_engine::driver::{
    Applied, Depth, Driver, DriverError, Effect, Ending, Evidence, Observation, Predicted, Settled, Stamp, Wanted,
};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::{Part, Resource, Want};
use cfrt_engine::task::{Answer, Question};
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};
use tokio::time::sleep;

use super::rules::Rules;
use super::text;
use super::world::{MapWorld, State};
use super::write::{Lost, finish, merged, moved, opens, requests, sealed, send};

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
    /// How many seconds each of its writes takes.
    pub(crate) takes: u64,
    /// How many seconds after it took effect a write is answered.
    pub(crate) answers_in: u64,
    /// Which of its writes are lost, counted from the first over all runs.
    pub(crate) loses: BTreeMap<u32, Lost>,
    /// Whether it can't be changed, but only deleted and made again.
    pub(crate) replaced: bool,
    /// What its driver says along with everything; nothing where it is empty.
    pub(crate) blurts: &'static str,
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

impl Behaviour {
    /// Words of its driver.
    fn words(&self, words: String) -> String {
        if self.blurts.is_empty() { words } else { format!("{words} {}", self.blurts) }
    }

    /// What a dry run says of a thing.
    fn predicted(&self, live: &Value, resource: &Resource) -> Predicted {
        let after = merged(live, resource);
        if self.replaced && after != *live {
            Predicted::Immutable(vec!["value".to_owned()])
        } else {
            Predicted::Live(Arc::new(after))
        }
    }

    fn error(&self, doing: String, cause: &str) -> DriverError {
        let cause = DriverError::new(self.words(cause.to_owned()), self.words("in the end".to_owned()));
        let causes = if self.blurts.is_empty() {
            DriverError::new(doing, cause.doing)
        } else {
            DriverError::new(self.words(doing), cause)
        };
        causes.hint(self.blurts)
    }
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
        if let Some(behind) = behaviour.behind.as_ref().filter(|behind| !state.things.contains_key(*behind)) {
            return Observation::Hidden { behind: text::id(behind) };
        }
        if behaviour.unmoved {
            return Observation::Unmoved;
        }
        let before = matches!(wanted.before, Some(Observation::Present { .. }));
        assert_eq!(before, wanted.depth == Depth::DryRun, "a closer look is told of the first");
        let Some(thing) = state.things.get(&wanted.resource.id.address.name) else { return Observation::Absent };
        let stamp = Stamp { uid: thing.made.to_string(), revision: thing.revision.to_string() };
        let live = live(state, wanted.resource).expect("it is there");
        let predicted = (wanted.depth == Depth::DryRun)
            .then(|| behaviour.dry_run.clone().unwrap_or_else(|| behaviour.predicted(&live, wanted.resource)));
        Observation::Present { live: Arc::new(live), stamp, predicted }
    }

    /// Writes, and waits for the answers.
    async fn write(&self, world: &MapWorld, step: &Step) -> Result<(), DriverError> {
        let behaviour = self.behaviour(&step.resource);
        for &request in requests(step.change.action) {
            sleep(Duration::from_secs(behaviour.takes)).await;
            if let Some(together) = &behaviour.together {
                together.wait().await;
            }
            world.breathe().await;
            self.failing(step, At::Apply, "writing")?;
            let sent = send(&mut world.state(), step, &behaviour, request);
            sleep(Duration::from_secs(behaviour.answers_in)).await;
            world.breathe().await;
            sent?;
        }
        Ok(())
    }

    fn failing(&self, step: &Step, at: At, doing: &str) -> Result<(), DriverError> {
        let behaviour = self.behaviour(&step.resource);
        if behaviour.fails.contains(&at) {
            return Err(behaviour.error(format!("{doing} {}", text::name(&step.resource.id)), "out of order"));
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
            // What isn't there is nobody's to take over.
            (Observation::Absent | Observation::Hidden { .. }, _) if resource.id.part == Part::Adoption => {
                Change::of(Action::Keep)
            }
            (Observation::Absent | Observation::Hidden { .. }, _) => Change::of(Action::Create),
            (Observation::Present { .. }, None) => Change::of(Action::Delete),
            (Observation::Present { live, predicted, .. }, Some(_)) => match predicted {
                Some(Predicted::Refused(why)) => Change::of(Action::Refuse).because(why.clone()),
                Some(Predicted::Immutable(_)) => {
                    Change { action: Action::Replace, ..Change::of_fields(moved(live, &merged(live, resource))) }
                }
                Some(Predicted::Live(after)) => Change::of_fields(moved(live, after)),
                None | Some(Predicted::NotPermitted) => Change::of_fields(moved(live, &merged(live, resource))),
            },
        }
    }

    fn apply<'a>(&'a self, world: &'a MapWorld, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(async move {
            let name = text::name(&step.resource.id);
            world.breathe().await;
            let too_early = self.rules.too_early(&name, &world.state(), &|name| self.behaviours.get(name).cloned());
            world.state().broken.extend(too_early);
            let write = world.write(&name, format!("apply {name}"));
            let written = self.write(world, step).await;
            write.end();
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
                world.breathe().await;
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
            (None, Want::Present(_) | Want::Existing(_)) if resource.id.part == Part::Adoption => Settled::Yes,
            (None, Want::Present(_) | Want::Existing(_)) => Settled::Waiting("it is not there".to_owned()),
            (Some(_), Want::Absent) => Settled::Waiting("it is still there".to_owned()),
            (Some(live), Want::Present(_) | Want::Existing(_)) => {
                if let Some(lacking) = live.get("lacking").and_then(Value::as_str) {
                    return if lacking.is_empty() { Settled::Yes } else { Settled::Waiting(lacking.to_owned()) };
                }
                let (followed, all) = (live["followed"].as_u64().unwrap_or_default(), behaviour.settles_after);
                match (followed >= all, behaviour.fails.contains(&At::Settle)) {
                    (true, true) => Settled::Failed(behaviour.words("it crashes".to_owned())),
                    (true, false) => Settled::Yes,
                    (false, _) if behaviour.silent => Settled::Waiting("it is not ready".to_owned()),
                    (false, _) => Settled::Waiting(behaviour.words(format!("{followed} of {all}"))),
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
            let (said, state) = match &ending {
                Ending::Settled => ("settled".to_owned(), "closed"),
                Ending::Failed(why) => (format!("failed: {why}"), "failed"),
                Ending::Stopped => ("stopped".to_owned(), "failed"),
            };
            world.breathe().await;
            let write = if opens(&step.resource) {
                world.write(&name, format!("close {name} {said}"))
            } else {
                // What others do at their end is part of their step, and takes no place of its own.
                world.uncounted(&name, format!("end {name} {said}"))
            };
            let behaviour = self.behaviour(&step.resource);
            sleep(Duration::from_secs(behaviour.closes_in)).await;
            world.breathe().await;
            write.end();
            self.failing(step, At::Close, "closing")?;
            finish(&mut world.state(), step, &behaviour, state)
        })
    }
}

/// A thing as drivers see it: its body, and for how long it was followed.
fn live(state: &State, resource: &Resource) -> Option<Value> {
    let thing = state.things.get(&resource.id.address.name)?;
    let mut live = sealed(&thing.body, resource, state.secret);
    live["followed"] = json!(thing.followed);
    Some(live)
}
