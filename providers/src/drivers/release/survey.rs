//! What must be known of a chart before its resources can be drawn: its rendering, and what its last revision holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::resource::{Address, Document, LazyDocument};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::at_work;
use super::dropped::Dropped;
use super::history::{self, History, Left, Records, ReleaseName};
use super::last::Last;
use super::next::{Next, has_all, next, same_texts};
use super::weight::too_large;
use crate::blocking::blocking;
use crate::helm::chart::{Chart, ChartSource};
use crate::helm::hook::{HookEvent, HookFacts};
use crate::helm::record::{Revision, Status};
use crate::helm::render::RenderRequest;
use crate::helm::rendering::{ChartFacts, Identity, Rendered, Rendering};
use crate::helm::values::{self, ValuesError};
use crate::kube::discovery::Discovery;
use crate::kube::gvk::{Gvk, address, scope};
use crate::kube::normalise::{normalised, owned_by_release};
use crate::kube::read::read_ahead;
use crate::kube::state::ask_ahead;
use crate::last_apply::Proof;
use crate::vault::Vault;
use crate::world::World;

/// A chart with its values, and the release that it is to become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChartQuestion {
    /// Where the chart is: a folder, an archive, or an address that helm can pull from.
    pub source: String,
    /// The chart's name in a repository that holds several.
    pub name: Option<String>,
    /// Its exact version.
    pub version: String,
    /// What the file's facts say in the chart's own keys; the weakest layer of values.
    pub facts: Value,
    /// The values files, later ones winning.
    pub values: Vec<PathBuf>,
    /// What the file sets itself; the strongest layer of values.
    pub set: Value,
    /// The release's namespace.
    pub namespace: String,
    /// The release's name.
    pub release: String,
}

/// What became known.
#[derive(Debug)]
pub struct ChartAnswer {
    /// The chart's name.
    pub name: String,
    /// The chart's version.
    pub version: String,
    /// The chart's digest.
    pub digest: String,
    /// All layers of values, merged.
    pub values: Value,
    /// The digest of the rendering.
    pub rendering: String,
    /// The definitions of the charts' `crds/` folders.
    pub crds: Vec<Item>,
    /// The release's objects.
    pub objects: Vec<Item>,
    /// For each of them those that must be settled before it.
    pub needs: Vec<Vec<usize>>,
    /// Those of them that define kinds of others of them, which the server doesn't know yet.
    pub definitions: Vec<Address>,
    /// The hooks that run before the objects and those that run after them, each in its order.
    pub hooks: [Vec<HookItem>; 2],
    /// What an earlier revision made and this one doesn't have.
    pub removed: Vec<Address>,
    /// The fields that an earlier revision named in objects that stay, and this one doesn't name, by object.
    pub dropped: BTreeMap<Address, Vec<String>>,
    /// What was applied last of the release's objects.
    pub last: Last,
    /// Whether we have applied the chart with these very values, and with it all that stands around it.
    pub applied: bool,
    /// The revision that comes next, if one does.
    pub next: Next,
    /// What the user should know besides.
    pub remarks: Vec<String>,
    /// That the release's records say all that is wanted, where they do.
    pub proof: Option<Proof>,
}

impl ChartAnswer {
    /// Whether the release needs no revision, and no earlier one has left anything behind.
    fn says_all(&self) -> bool {
        let Next { because, busy, .. } = &self.next;
        because.is_none() && busy.is_none() && self.removed.is_empty() && self.dropped.is_empty()
    }
}

/// An object and where it is.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it is.
    pub address: Address,
    /// What it should be, without what the server never stores; the release's own objects say that they are.
    pub document: LazyDocument,
}

/// A hook and where it is.
#[derive(Debug, Clone)]
pub struct HookItem {
    /// Where it is and what it should be.
    pub item: Item,
    /// When and how it runs.
    pub facts: HookFacts,
    /// The event that it runs at, as one of its own.
    pub event: &'static str,
}

impl HookItem {
    /// Whether it runs at an installation and not at the upgrade that follows one that failed.
    pub fn runs_once(&self) -> bool {
        let runs_at = |event| self.facts.events.contains(&event);
        match self.event {
            "pre-install" => !runs_at(HookEvent::PreUpgrade),
            "post-install" => !runs_at(HookEvent::PostUpgrade),
            _ => false,
        }
    }
}

/// Renders the chart and reads the release's records.
///
/// # Errors
///
/// A chart, values or a rendering that can't be had; records that can't be read.
pub async fn survey(world: &World, question: &ChartQuestion) -> Result<ChartAnswer, DriverError> {
    let release = ReleaseName { namespace: question.namespace.clone(), name: question.release.clone() };
    let may_be_proved = world.proofs().is_some();
    let records = async {
        if may_be_proved {
            history::read_metadata(&world.kube, &release).await
        } else {
            history::read(&world.kube, &release).await
        }
    };
    let (records, chart) = futures::try_join!(records, chart(world, question))?;
    let values = merged(question)?;
    let (left, installs) = left(world, &release, &records).await?;
    let request = request(world, question, chart.clone(), values.clone(), records.is_install() || installs);
    let as_upgrade = RenderRequest { is_upgrade: true, ..request.clone() };
    let (marks, proved) = (records.marks(), records.proved());
    let history = async { if may_be_proved { Ok(None) } else { unpacked(world, &release, records).await.map(Some) } };
    let (history, rendering) = futures::try_join!(history, render(world, request))?;
    let proof = proof(&release, &rendering, &values, &marks);
    let history = match history {
        Some(history) => history,
        None if world.proofs().is_some_and(|proofs| proofs.holds(&proof)) => proved,
        None => unpacked(world, &release, history::read(&world.kube, &release).await?).await?,
    };
    let history = History { remembered: !world.last_apply.is_empty(), left, ..history };
    let (history, rendering) = broken_off(world, &release, history, rendering, &values, as_upgrade).await?;
    let history = with_ours(world, &release, history, &rendering).await?;
    let (vault, discovery) = (Arc::clone(&world.vault), Arc::clone(&world.discovery));
    let question = question.clone();
    let answer = blocking(move || {
        let answer = answer(&vault, &discovery, &question, &history, &rendering, values)?;
        weighed(&chart, &rendering, answer)
    });
    let answer = answer.await?;
    Ok(ChartAnswer { proof: answer.says_all().then_some(proof), ..answer })
}

/// The same, with whether the record of its revision would be too large, where there is to be one.
fn weighed(chart: &Chart, rendering: &Rendering, answer: ChartAnswer) -> Result<ChartAnswer, DriverError> {
    if answer.next.because.is_none() {
        return Ok(answer);
    }
    let files = chart.own_files().map_err(|error| DriverError::new(format!("reading chart {}", answer.name), error))?;
    let next = Next { too_large: too_large(rendering, &answer.values, &files), ..answer.next };
    Ok(ChartAnswer { next, ..answer })
}

/// The run of ours that has left the newest revision pending, and whether that is an installation. Only where there is one
/// anything is asked.
async fn left(world: &World, release: &ReleaseName, records: &Records) -> Result<(Option<Left>, bool), DriverError> {
    let Some((run, installs)) = records.left() else { return Ok((None, false)) };
    Ok((Some(Left::read(world, release, run).await?), installs))
}

/// The same where a run of ours was broken off: it is gone on with where its revision has all that is wanted. What is wanted
/// was rendered as that run has, which may have been an installation; anything else is an upgrade.
async fn broken_off(
    world: &World,
    release: &ReleaseName,
    history: History,
    rendering: Arc<Rendering>,
    values: &Value,
    as_upgrade: RenderRequest,
) -> Result<(History, Arc<Rendering>), DriverError> {
    let (Some(left), Some(newest)) = (&history.left, &history.newest) else { return Ok((history, rendering)) };
    let (vault, newest, values) = (Arc::clone(&world.vault), newest.clone(), values.clone());
    let status = newest.status;
    let wanted = Arc::clone(&rendering);
    let same = blocking(move || has_all(&vault, &newest, &wanted, &values)).await;
    let left = Some(Left { same, ..left.clone() });
    let history = History { left, ..history };
    if same {
        return Ok((history, rendering));
    }
    let rendering = match status {
        Status::PendingInstall => world.charts.render(as_upgrade, world.renders_anew).await?,
        Status::Unknown | Status::Deployed | Status::Uninstalled | Status::Superseded | Status::Failed => rendering,
        Status::Uninstalling | Status::PendingUpgrade | Status::PendingRollback => rendering,
    };
    Ok((with_hook(world, release, history).await?, rendering))
}

/// That the records hold all that is wanted, should it be so.
fn proof(release: &ReleaseName, rendering: &Rendering, values: &Value, marks: &[String]) -> Proof {
    let ChartFacts { name, version, .. } = &rendering.chart;
    Proof::of_release(release, &[name, version, &rendering.digest, &values.to_string()], marks)
}

async fn unpacked(world: &World, release: &ReleaseName, records: Records) -> Result<History, DriverError> {
    with_hook(world, release, blocking(|| records.unpack()).await?).await
}

/// The same with the hook for which someone may wait; nothing is asked for where no one can.
async fn with_hook(world: &World, release: &ReleaseName, history: History) -> Result<History, DriverError> {
    let Some(pending) = history.given_up() else { return Ok(history) };
    let hook = at_work::hook(&world.kube, &release.namespace, pending).await?;
    Ok(History { hook, ..history })
}

/// The same with the last revision that we made, where others have made one since that holds something else.
async fn with_ours(
    world: &World,
    release: &ReleaseName,
    history: History,
    rendering: &Rendering,
) -> Result<History, DriverError> {
    let same = |newest: &Revision| same_texts(&world.vault, newest, rendering);
    if history.is_ours() || history.ours.is_some() || history.newest.as_ref().is_none_or(same) {
        return Ok(history);
    }
    let ours = history::ours(&world.kube, release).await?;
    Ok(History { ours, ..history })
}

/// Renders, and asks at once for the lists of what was rendered: while they come, there is much to unpack.
async fn render(world: &World, request: RenderRequest) -> Result<Arc<Rendering>, DriverError> {
    let own = request.namespace.clone();
    let rendering = world.charts.render(request, world.renders_anew).await?;
    let place = |object: &Rendered| {
        let Identity { api_version, kind, namespace, .. } = &object.identity;
        let kind = world.discovery.resolve(&Gvk::new(api_version, kind))?;
        let namespace = namespace.clone().filter(|namespace| !namespace.is_empty()).unwrap_or_else(|| own.clone());
        Some(if kind.namespaced { (kind, namespace) } else { (kind, String::new()) })
    };
    let (kube, lists, places) = (&world.kube, &world.lists, rendering.objects.iter().filter_map(place));
    match world.proofs() {
        Some(proofs) => ask_ahead(kube, lists, &proofs.revisions, places),
        None => read_ahead(kube, lists, places),
    }
    Ok(rendering)
}

/// Holds a rendering against the release's records. Pure.
///
/// # Errors
///
/// A record whose manifest can't be read.
pub fn answer(
    vault: &Vault,
    discovery: &Discovery,
    question: &ChartQuestion,
    history: &History,
    rendering: &Arc<Rendering>,
    values: Value,
) -> Result<ChartAnswer, DriverError> {
    // What holds the same texts holds nothing that this rendering doesn't.
    let others = |revision: &&Revision| !same_texts(vault, revision, rendering);
    let other = history.newest.as_ref().filter(others);
    let next = next(vault, history, other, rendering, &values);
    let places = Places::of(discovery, question, rendering);
    let crds = places.items(&rendering.crds, |place| {
        let rendering = Arc::clone(rendering);
        LazyDocument::new(rendering.crds[place].digest.clone(), move || stored(rendering.crds[place].to_document()))
    })?;
    let objects = places.items(&rendering.objects, |place| owned(rendering, place, question))?;
    let earlier = other.into_iter().chain(history.earlier.iter().filter(others));
    let place = |document: &Value| places.address(document);
    let dropped = Dropped::of(earlier, place, question, &objects, &crds)?;
    let last = Last::held_against(vault, history, rendering, question, place, &objects);
    Ok(ChartAnswer {
        name: rendering.chart.name.clone(),
        version: rendering.chart.version.clone(),
        digest: rendering.chart.digest.clone(),
        rendering: rendering.digest.clone(),
        crds,
        hooks: places.hooks(rendering, next.install)?,
        definitions: places.definitions(&rendering.objects, &objects),
        objects,
        needs: rendering.needs.clone(),
        removed: dropped.objects,
        dropped: dropped.fields,
        last,
        applied: next.because.is_none() && history.is_ours(),
        remarks: next.remark(history).into_iter().chain(remarks(rendering, &next)).collect(),
        values,
        next,
        proof: None,
    })
}

/// All layers of values, the strongest last.
///
/// # Errors
///
/// A values file that is missing or no YAML, and numbers that helm would change.
pub fn merged(question: &ChartQuestion) -> Result<Value, DriverError> {
    values::merged(&question.facts, &question.values, &question.set, "[chart.set]").map_err(|error| {
        let hint = match &error {
            ValuesError::Unreadable { .. } => "paths in `[chart] values` are seen from the file that names them",
            ValuesError::NotYaml { .. }
            | ValuesError::Several { .. }
            | ValuesError::NotAMap { .. }
            | ValuesError::LargeNumber { .. } => "",
        };
        DriverError::new("reading the chart's values", error).fault(Fault::Input).hint(hint)
    })
}

/// The chart itself.
///
/// # Errors
///
/// A source that is none, a chart that isn't there, or one of another version.
pub async fn chart(world: &World, question: &ChartQuestion) -> Result<Chart, DriverError> {
    let source = ChartSource::parse(&question.source, question.name.as_deref(), Path::new(""))
        .map_err(|error| DriverError::new(format!("getting chart {}", question.source), error))?;
    world.charts.chart(&source, &question.version).await
}

/// What helm is to render, and for which cluster.
pub fn request(world: &World, question: &ChartQuestion, chart: Chart, values: Value, install: bool) -> RenderRequest {
    RenderRequest {
        chart,
        values,
        release: question.release.clone(),
        namespace: question.namespace.clone(),
        is_upgrade: !install,
        kube_version: world.discovery.version.clone(),
        api_versions: world.discovery.api_versions().iter().cloned().collect(),
        fresh: false,
    }
}

/// A document without what the server never stores.
fn stored(document: Document) -> Document {
    Document { body: normalised(document.body), ..document }
}

/// An object of a rendering, with the metadata by which helm knows whose it is.
fn owned(rendering: &Arc<Rendering>, place: usize, question: &ChartQuestion) -> LazyDocument {
    let (rendering, release, namespace) = (Arc::clone(rendering), question.release.clone(), question.namespace.clone());
    let digest = format!("{} of {namespace}/{release}", rendering.objects[place].digest);
    LazyDocument::new(digest, move || {
        let document = stored(rendering.objects[place].to_document());
        Document { body: owned_by_release(document.body, &release, &namespace), ..document }
    })
}

/// Where objects of a chart are: in their own namespace, in the release's, or in none.
struct Places<'a> {
    discovery: &'a Discovery,
    namespace: &'a str,
    brought: BTreeMap<Gvk, bool>,
}

impl<'a> Places<'a> {
    fn of(discovery: &'a Discovery, question: &'a ChartQuestion, rendering: &Rendering) -> Self {
        let brought = rendering.crds.iter().chain(&rendering.objects).flat_map(|definition| &definition.brings);
        let brought = brought.map(|kind| (kind.gvk.clone(), kind.namespaced)).collect();
        Self { discovery, namespace: &question.namespace, brought }
    }

    fn address(&self, document: &Value) -> Option<Address> {
        let namespaced = self.is_namespaced(&Gvk::of(document)?, document["metadata"]["namespace"].is_string());
        address(document, namespaced, self.namespace)
    }

    /// Whether objects of a kind live in namespaces; of an unknown kind, whether one `says` that it does.
    fn is_namespaced(&self, gvk: &Gvk, says: bool) -> bool {
        let known = self.discovery.find(gvk).map(|kind| kind.namespaced);
        known.or_else(|| self.brought.get(gvk).copied()).unwrap_or(says)
    }

    /// The definitions among objects that others of these objects can't do without.
    fn definitions(&self, rendered: &[Rendered], objects: &[Item]) -> Vec<Address> {
        let kinds = objects.iter().map(|object| Gvk::of_address(&object.address));
        let used: HashSet<Gvk> = kinds.filter(|gvk| self.discovery.resolve(gvk).is_none()).collect();
        let brings = |rendered: &Rendered| rendered.brings.iter().any(|kind| used.contains(&kind.gvk));
        let needed = rendered.iter().zip(objects).filter(|(rendered, _)| brings(rendered));
        needed.map(|(_, object)| object.address.clone()).collect()
    }

    /// The objects, each of which comes once.
    fn items(&self, rendered: &[Rendered], document: impl Fn(usize) -> LazyDocument) -> Result<Vec<Item>, DriverError> {
        let mut templates: HashMap<Address, &str> = HashMap::new();
        let mut items = Vec::with_capacity(rendered.len());
        for (place, rendered) in rendered.iter().enumerate() {
            let item = self.item(rendered, document(place))?;
            if let Some(other) = templates.insert(item.address.clone(), &rendered.source) {
                return Err(twice(&item.address, other, &rendered.source));
            }
            items.push(item);
        }
        Ok(items)
    }

    fn item(&self, rendered: &Rendered, document: LazyDocument) -> Result<Item, DriverError> {
        let Identity { api_version, kind, namespace, name } = &rendered.identity;
        if [api_version, kind, name].into_iter().any(String::is_empty) {
            let cause = format!("what {} renders to has no name by which it could be found again", rendered.source);
            return Err(DriverError::new("finding out where the chart's objects are", cause)
                .hint("give it a `metadata.name`; a name that the server makes is another one each time"));
        }
        let gvk = rendered.identity.gvk();
        let namespaced = self.is_namespaced(&gvk, namespace.is_some());
        let scope = scope(namespace.as_deref(), namespaced, self.namespace);
        Ok(Item { address: Address::new(gvk.title(), scope, name), document })
    }

    /// The hooks before and after the objects, by weight, then name; hooks of one name stay as the chart has them.
    fn hooks(&self, rendering: &Arc<Rendering>, install: bool) -> Result<[Vec<HookItem>; 2], DriverError> {
        let [before, after] = if install {
            [(HookEvent::PreInstall, "pre-install"), (HookEvent::PostInstall, "post-install")]
        } else {
            [(HookEvent::PreUpgrade, "pre-upgrade"), (HookEvent::PostUpgrade, "post-upgrade")]
        };
        Ok([self.hooks_at(rendering, before)?, self.hooks_at(rendering, after)?])
    }

    fn hooks_at(
        &self,
        rendering: &Arc<Rendering>,
        (at, event): (HookEvent, &'static str),
    ) -> Result<Vec<HookItem>, DriverError> {
        let hooks = rendering.hooks.iter().enumerate().filter(|(_, hook)| hook.facts.events.contains(&at));
        let hooks = hooks.map(|(place, hook)| {
            let (rendering, digest) = (Arc::clone(rendering), hook.rendered.digest.clone());
            let make = move || stored(rendering.hooks[place].rendered.to_document());
            let item = self.item(&hook.rendered, LazyDocument::new(digest, make))?;
            Ok(HookItem { item, facts: hook.facts.clone(), event })
        });
        let mut hooks: Vec<HookItem> = hooks.collect::<Result<_, DriverError>>()?;
        hooks.sort_by(|a, b| (a.facts.weight, &a.facts.name).cmp(&(b.facts.weight, &b.facts.name)));
        Ok(hooks)
    }
}

fn twice(address: &Address, one: &str, other: &str) -> DriverError {
    let address = address.short();
    let cause = if one == other {
        format!("{one} renders {address} twice")
    } else {
        format!("{one} and {other} both render {address}")
    };
    DriverError::new("finding out where the chart's objects are", cause).hint("take one of the two away")
}

/// What is to be known of a rendering that is about to become a revision.
fn remarks(rendering: &Rendering, next: &Next) -> Vec<String> {
    let mut remarks = Vec::new();
    if next.because.is_none() {
        return remarks;
    }
    if rendering.volatile.lookup {
        remarks.push(
            "templates of the chart can look things up in the cluster; a plan renders them as if nothing were there"
                .to_owned(),
        );
    }
    if rendering.volatile.revision {
        remarks.push(
            "templates of the chart can use the number of the revision; a plan renders them as revision 1".to_owned(),
        );
    }
    remarks
}
