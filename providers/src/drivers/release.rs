//! The driver of Helm releases: knows what comes next, opens a revision before the first write, closes it after the last.

use std::sync::Arc;

use cfrt_engine::change::{Action, Change, Moved, Origin};
use cfrt_engine::driver::{Applied, Driver, DriverError, Effect, Ending, Fault, Observation, Wanted};
use cfrt_engine::plan::Step;
use cfrt_engine::resource::Resource;
use cfrt_engine::task::{Answer, Question};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::helm::chart::Chart;
use crate::helm::manifest::same_documents;
use crate::helm::record::{self, RecordedHook, Status};
use crate::helm::release::{DryRunRequest, dry_run};
use crate::helm::render::RenderRequest;
use crate::helm::rendering::{Hook, Rendering};
use crate::last_apply::Proof;
use crate::world::World;

mod at_work;
pub mod charts;
mod dropped;
pub mod heartbeat;
pub mod history;
pub mod last;
mod lasting;
pub mod next;
pub mod survey;
mod weight;

use history::{Opened, ReleaseName, Reopening};
use lasting::with_live_values;
use next::Next;
use survey::{ChartQuestion, chart, merged, request, survey};

/// What keeps release records.
pub struct Release;

/// What the driver has to know of a release besides its document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// The chart and its values.
    pub question: ChartQuestion,
    /// The chart's name, as it calls itself.
    pub chart: String,
    /// The chart's version.
    pub version: String,
    /// The chart's digest.
    pub digest: String,
    /// The digest of the rendering that was planned.
    pub rendering: String,
    /// The revision that comes next.
    pub next: Next,
    /// That the release's records say all that is wanted, where they do.
    pub proof: Option<Proof>,
}

impl Settings {
    /// The settings of a release's resource.
    ///
    /// # Errors
    ///
    /// A resource of another sort.
    pub fn of(resource: &Resource) -> Result<Self, DriverError> {
        Self::deserialize(&resource.settings)
            .map_err(|error| DriverError::new(format!("preparing {}", resource.id.address.short()), error))
    }

    /// Makes sure that no one else may still be at work on the release.
    ///
    /// # Errors
    ///
    /// A pending revision that isn't old enough to count as given up, or has a hook that has not ended.
    pub fn check_idle(&self) -> Result<(), DriverError> {
        self.next.busy.as_ref().map_or(Ok(()), |busy| Err(busy.error(&self.release())))
    }

    /// What the record says of the revision once it has ended.
    pub fn conclusion(&self, ending: Ending) -> (Status, String) {
        let verb = if self.next.install { "Install" } else { "Upgrade" };
        match ending {
            Ending::Settled => (Status::Deployed, format!("{verb} complete")),
            Ending::Failed(why) => {
                let verb = if self.next.install { "Release" } else { "Upgrade" };
                (Status::Failed, format!("{verb} \"{}\" failed: {why}", self.question.release))
            }
            Ending::Stopped => (Status::Failed, format!("{verb} stopped before it was complete")),
        }
    }

    fn release(&self) -> ReleaseName {
        ReleaseName { namespace: self.question.namespace.clone(), name: self.question.release.clone() }
    }
}

impl Driver<World> for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn answer<'a>(&'a self, world: &'a World, question: &'a Question) -> Effect<'a, Answer> {
        Box::pin(async move {
            let question = ChartQuestion::deserialize(&question.about)
                .map_err(|error| DriverError::new("asking about a chart", error))?;
            Ok(Arc::new(survey(world, &question).await?) as Answer)
        })
    }

    /// Nothing is read: the records were, before the graph could be drawn.
    fn observe<'a>(&'a self, _world: &'a World, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        Box::pin(async move { Ok(vec![Observation::Absent; wanted.len()]) })
    }

    fn diff(&self, resource: &Resource, _seen: &Observation) -> Change {
        let next = match Settings::of(resource) {
            Ok(settings) => settings.next,
            Err(error) => return Change::of(Action::Refuse).because(error.chain().join(": ")),
        };
        if let Some(why) = next.too_large {
            return Change::of(Action::Refuse).because(why);
        }
        match next.because {
            None => Change::of(Action::Keep).because(format!("revision {}", next.revision)),
            Some(why) => {
                let action = if next.install { Action::Create } else { Action::Update };
                let fields = next.overtaken.map(|overtaken| overtaken.field(next.revision)).into_iter().collect();
                let origin = next.missed.then(|| Origin::World(Moved::default()));
                Change { fields, origin, ..Change::of(action).because(format!("revision {}: {why}", next.revision)) }
            }
        }
    }

    fn obstacle(&self, step: &Step) -> Option<DriverError> {
        Settings::of(&step.resource).and_then(|settings| settings.check_idle()).err()
    }

    /// Opens the revision: from here on helm sees it as pending, and no one else can open it too. One that a run of ours has
    /// left open is gone on with.
    fn apply<'a>(&'a self, world: &'a World, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(world.in_turn(&step.resource, open(world, step)))
    }

    fn close<'a>(&'a self, world: &'a World, step: &'a Step, applied: &'a Applied, ending: Ending) -> Effect<'a, ()> {
        Box::pin(async move {
            let settings = Settings::of(&step.resource)?;
            let (status, description) = settings.conclusion(ending);
            let opened = Opened::deserialize(&applied.memo)
                .map_err(|error| DriverError::new(format!("closing {}", step.resource.id.address.short()), error))?;
            world.heartbeats.stop(&opened.secret).await;
            let end = |record| record::ran(record::finished(record, status, &description), &world.hook_runs.noted());
            history::close(&world.kube, &settings.release(), &opened, status, end).await
        })
    }
}

async fn open(world: &World, step: &Step) -> Result<Applied, DriverError> {
    let settings = Settings::of(&step.resource)?;
    settings.check_idle()?;
    let (next, release, run) = (&settings.next, settings.release(), world.lease.holder().run.as_str());
    let opened = if let (Some(left_by), Some(hooks)) = (&next.left_by, &next.goes_on) {
        world.journal.carry_on(&world.kube, hooks).await?;
        world.hook_runs.recall(hooks);
        let reopening = Reopening { revision: next.revision, planned: &next.seen, left_by, run };
        go_on(world, &settings, reopening).await?
    } else {
        if let Some(revision) = next.abandoned {
            history::abandon(&world.kube, &release, revision, next.left_by.as_ref()).await?;
        }
        let record = opening(world, &settings).await?;
        history::open(&world.kube, &release, &record, &next.seen, run).await?
    };
    let memo = json!(opened);
    keep_alive(world, release, opened);
    Ok(Applied { wrote: true, memo })
}

/// Goes on with a revision that has chart, values and notes already; its texts are those that are about to be applied.
async fn go_on(world: &World, settings: &Settings, reopening: Reopening<'_>) -> Result<Opened, DriverError> {
    let question = &settings.question;
    let (chart, values) = (chart(world, question).await?, merged(question)?);
    let planned = planned(world, settings, &chart, &values).await?;
    let hooks: Option<Vec<RecordedHook>> = planned.hooks.iter().map(Hook::recorded).collect();
    let (Some(manifest), Some(hooks)) = (&planned.manifest, hooks) else { return Err(no_texts(question)) };
    if planned.digest != settings.rendering {
        return Err(no_longer_planned(question));
    }
    let manifest = with_live_values(world, &question.namespace, &planned, manifest.expose_secret()).await?;
    let texts = |record: &mut Value| record::put_texts(record, manifest.expose_secret(), &hooks);
    history::reopen(&world.kube, &settings.release(), reopening, texts).await
}

fn no_texts(question: &ChartQuestion) -> DriverError {
    DriverError::new(format!("rendering chart {} again", question.source), "its texts are missing")
}

fn no_longer_planned(question: &ChartQuestion) -> DriverError {
    let doing = format!("rendering chart {} again", question.source);
    let error = DriverError::new(doing, "it is no longer what was planned").fault(Fault::Stale);
    error.hint("the chart or its values have changed meanwhile; plan again")
}

/// Touches the record of an open revision from now on, so that no one takes a run that waits for one that has died.
fn keep_alive(world: &World, release: ReleaseName, opened: Opened) {
    let (kube, name) = (world.kube.clone(), opened.secret.clone());
    let open = Arc::new((release, opened));
    world.heartbeats.start(&name, move || {
        let (kube, open) = (kube.clone(), Arc::clone(&open));
        async move { history::touch(&kube, &open.0, &open.1).await }
    });
}

/// The pending record. The chart, its values and notes come from helm's own dry run of the untouched chart; manifest and
/// hooks are the very texts that were planned and are about to be applied, with the generated values that stay.
async fn opening(world: &World, settings: &Settings) -> Result<Value, DriverError> {
    let question = &settings.question;
    let (chart, values) = (chart(world, question).await?, merged(question)?);
    let dry_run_of = DryRunRequest {
        chart: &chart,
        values: &values,
        release: &question.release,
        namespace: &question.namespace,
        kubeconfig: None,
        context: world.kube_context.as_deref(),
    };
    let helm = world.charts.helm().await?;
    let planned = planned(world, settings, &chart, &values);
    let (planned, helms) = futures::join!(planned, dry_run(helm, &dry_run_of));
    let planned = planned?;
    let helms =
        helms.map_err(|error| DriverError::new(format!("asking helm about chart {}", question.source), error))?;
    let hooks: Option<Vec<RecordedHook>> = planned.hooks.iter().map(Hook::recorded).collect();
    let (Some(manifest), Some(hooks)) = (&planned.manifest, hooks) else { return Err(no_texts(question)) };
    let manifest = manifest.expose_secret();
    // Helm itself never renders a chart twice the same that draws lots, reads the clock or looks things up.
    let steady = !planned.volatile.any();
    if planned.digest != settings.rendering || (steady && !same_documents(manifest, helms.manifest.expose_secret())) {
        return Err(no_longer_planned(question));
    }
    let manifest = with_live_values(world, &question.namespace, &planned, manifest).await?;
    let opening = record::Opening {
        revision: settings.next.revision,
        install: settings.next.install,
        manifest: manifest.expose_secret(),
        hooks: &hooks,
        first_deployed: settings.next.first_deployed.as_deref().and_then(|at| at.parse().ok()),
        now: Timestamp::now(),
    };
    record::pending(helms.release, &opening).map_err(|error| DriverError::new("making the release record", error))
}

/// The rendering that was planned, with its texts: this run's own, or made again where it came from the cache.
async fn planned(
    world: &World,
    settings: &Settings,
    chart: &Chart,
    values: &Value,
) -> Result<Arc<Rendering>, DriverError> {
    if let Some(kept) = world.charts.kept(&settings.rendering) {
        return Ok(kept);
    }
    let request = request(world, &settings.question, chart.clone(), values.clone(), settings.next.install);
    world.charts.render(RenderRequest { fresh: true, ..request }, false).await
}

#[cfg(test)]
mod tests {
    use cfrt_engine::resource::{Address, Document, ResourceId, Trigger, Want};
    use cfrt_engine::task::TaskId;

    use super::*;

    fn change(settings: Value) -> Change {
        let resource = Resource {
            id: ResourceId::whole(Address::new("Release", "n", "r")),
            task: TaskId { kind: "chart", name: String::new() },
            driver: "release",
            want: Want::Present(Document::default().into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings,
        };
        Driver::<World>::diff(&Release, &resource, &Observation::Absent)
    }

    #[test]
    fn a_release_of_which_nothing_is_known_is_refused_and_not_taken_for_one_that_is_as_it_should_be() {
        let Change { action, reason, .. } = change(Value::Null);
        assert_eq!(action, Action::Refuse);
        assert!(reason.starts_with("preparing Release n/r: "), "{reason}");
    }
}
