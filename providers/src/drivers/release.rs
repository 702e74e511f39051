//! The driver of Helm releases: knows what comes next, opens a revision before the first write, closes it after the last.

use std::sync::Arc;

use cfrt_engine::change::{Action, Change};
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
use crate::world::World;

pub mod charts;
mod dropped;
pub mod history;
pub mod survey;

use history::ReleaseName;
use survey::{ChartQuestion, Next, chart, merged, request, survey};

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
    /// A pending revision that isn't old enough to count as given up.
    pub fn check_idle(&self) -> Result<(), DriverError> {
        let Some(seconds) = self.next.busy else { return Ok(()) };
        let ReleaseName { namespace, name } = self.release();
        let doing = format!("opening a revision of release {namespace}/{name}");
        let cause = "another installation, upgrade or rollback of it is in progress, or was broken off";
        let hint = format!(
            "wait until it is done; if no one is at work, it counts as given up in {seconds} s, or at once by `helm rollback` \
             (by `helm uninstall` where there is no revision to go back to)"
        );
        Err(DriverError::new(doing, cause).fault(Fault::Locked).hint(hint))
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
        let Ok(Settings { next, .. }) = Settings::of(resource) else { return Change::of(Action::Keep) };
        match next.because {
            None => Change::of(Action::Keep).because(format!("revision {}", next.revision)),
            Some(why) => {
                let action = if next.revision == 1 { Action::Create } else { Action::Update };
                Change::of(action).because(format!("revision {}: {why}", next.revision))
            }
        }
    }

    /// Opens the revision: from here on helm sees it as pending, and no one else can open it too.
    fn apply<'a>(&'a self, world: &'a World, step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(async move {
            let settings = Settings::of(&step.resource)?;
            settings.check_idle()?;
            if let Some(revision) = settings.next.abandoned {
                history::abandon(&world.kube, &settings.release(), revision).await?;
            }
            let record = opening(world, &settings).await?;
            let secret = history::open(&world.kube, &settings.release(), &record).await?;
            Ok(Applied { wrote: true, memo: json!({ "secret": secret }) })
        })
    }

    fn close<'a>(&'a self, world: &'a World, step: &'a Step, applied: &'a Applied, ending: Ending) -> Effect<'a, ()> {
        Box::pin(async move {
            let settings = Settings::of(&step.resource)?;
            let (status, description) = settings.conclusion(ending);
            let secret = applied.memo["secret"].as_str().unwrap_or_default();
            let end = |record| record::ran(record::finished(record, status, &description), &world.hook_runs.noted());
            history::close(&world.kube, &settings.release(), secret, status, end).await
        })
    }
}

/// The pending record. The chart, its values and notes come from helm's own dry run of the untouched chart; manifest and
/// hooks are the very texts that were planned and are about to be applied.
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
    let manifest = planned.manifest.as_ref().map(|text| text.expose_secret()).unwrap_or_default();
    // Helm itself never renders a chart twice the same that draws lots, reads the clock or looks things up.
    let steady = !planned.volatile.any();
    if planned.digest != settings.rendering || (steady && !same_documents(manifest, helms.manifest.expose_secret())) {
        let doing = format!("rendering chart {} again", question.source);
        let error = DriverError::new(doing, "it is no longer what was planned").fault(Fault::Stale);
        return Err(error.hint("the chart or its values have changed meanwhile; plan again"));
    }
    let recorded = |hook: &Hook| Some(RecordedHook { facts: hook.facts.clone(), manifest: hook.manifest.clone()? });
    let hooks: Vec<RecordedHook> = planned.hooks.iter().filter_map(recorded).collect();
    let opening = record::Opening {
        revision: settings.next.revision,
        manifest,
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
