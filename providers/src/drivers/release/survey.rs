//! What must be known of a chart before its resources can be drawn: its rendering, and what its last revision holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::resource::{Address, Document};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::at_work;
use super::dropped::Dropped;
use super::history::{self, History, ReleaseName};
use super::next::{Next, next, same_texts};
use crate::blocking::blocking;
use crate::helm::chart::{Chart, ChartSource};
use crate::helm::hook::{HookEvent, HookFacts};
use crate::helm::record::Revision;
use crate::helm::render::RenderRequest;
use crate::helm::rendering::{Identity, Rendered, Rendering};
use crate::helm::values::{self, ValuesError};
use crate::kube::discovery::Discovery;
use crate::kube::gvk::{Gvk, Resolved, address};
use crate::kube::normalise::{normalised, owned_by_release};
use crate::kube::read::read_ahead;
use crate::vault::Vault;
use crate::world::{Access, World};

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
    /// Those of them that define kinds of others of them, which the server doesn't know yet.
    pub definitions: Vec<Address>,
    /// The hooks that run before the objects and those that run after them, each in its order.
    pub hooks: [Vec<HookItem>; 2],
    /// What an earlier revision made and this one doesn't have.
    pub removed: Vec<Address>,
    /// The fields that an earlier revision named in objects that stay, and this one doesn't name, by object.
    pub dropped: BTreeMap<Address, Vec<String>>,
    /// The revision that comes next, if one does.
    pub next: Next,
    /// What the user should know besides.
    pub remarks: Vec<String>,
}

/// An object and where it is.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where it is.
    pub address: Address,
    /// What it should be, without what the server never stores; the release's own objects say that they are.
    pub document: Arc<Document>,
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
    let (records, chart) = futures::try_join!(history::read(&world.kube, &release), chart(world, question))?;
    let values = merged(question)?;
    let request = request(world, question, chart, values.clone(), records.is_install());
    let history = async { with_hook(world, &release, blocking(|| records.unpack()).await?).await };
    let (history, rendering) = futures::try_join!(history, render(world, request))?;
    let (vault, discovery) = (Arc::clone(&world.vault), Arc::clone(&world.discovery));
    let question = question.clone();
    blocking(move || answer(&vault, &discovery, &question, &history, &rendering, values)).await
}

/// The same with the hook for which someone may wait; nothing is asked for where no one can.
async fn with_hook(world: &World, release: &ReleaseName, history: History) -> Result<History, DriverError> {
    let Some(pending) = history.begun_long_ago() else { return Ok(history) };
    let hook = at_work::hook(&world.kube, &release.namespace, pending).await?;
    Ok(History { hook, ..history })
}

/// Renders, and asks at once for the lists of what was rendered: while they come, there is much to unpack.
async fn render(world: &World, request: RenderRequest) -> Result<Arc<Rendering>, DriverError> {
    let own = request.namespace.clone();
    let rendering = world.charts.render(request, world.access == Access::ReadWrite).await?;
    let place = |object: &Rendered| {
        let Identity { api_version, kind, namespace, .. } = &object.identity;
        let kind = world.discovery.resolve(&Gvk::new(api_version, kind))?;
        let namespace = namespace.clone().filter(|namespace| !namespace.is_empty()).unwrap_or_else(|| own.clone());
        Some(if kind.namespaced { (kind, namespace) } else { (kind, String::new()) })
    };
    read_ahead(&world.kube, &world.ahead, rendering.objects.iter().filter_map(place));
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
    rendering: &Rendering,
    values: Value,
) -> Result<ChartAnswer, DriverError> {
    // What holds the same texts holds nothing that this rendering doesn't.
    let others = |revision: &&Revision| !same_texts(vault, revision, rendering);
    let other = history.newest.as_ref().filter(others);
    let next = next(vault, history, other, rendering, &values);
    let crds: Vec<Document> = rendering.crds.iter().map(|crd| stored(crd.to_document())).collect();
    let objects = rendering.objects.iter().map(|object| owned(object.to_document(), question));
    let objects: Vec<Document> = objects.collect();
    let places = Places::of(discovery, question, crds.iter().chain(&objects));
    let (crds, objects) = (places.items(&rendering.crds, crds)?, places.items(&rendering.objects, objects)?);
    let earlier = other.into_iter().chain(history.earlier.iter().filter(others));
    let dropped = Dropped::of(earlier, |document| places.address(document), question, &objects, &crds)?;
    Ok(ChartAnswer {
        name: rendering.chart.name.clone(),
        version: rendering.chart.version.clone(),
        digest: rendering.chart.digest.clone(),
        rendering: rendering.digest.clone(),
        crds,
        hooks: places.hooks(rendering, next.install)?,
        definitions: places.definitions(&objects),
        objects,
        removed: dropped.objects,
        dropped: dropped.fields,
        remarks: next.remark(history).into_iter().chain(remarks(rendering, &next)).collect(),
        values,
        next,
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

/// The same, with the metadata by which helm knows whose it is.
fn owned(document: Document, question: &ChartQuestion) -> Document {
    let document = stored(document);
    Document { body: owned_by_release(document.body, &question.release, &question.namespace), ..document }
}

/// Where objects of a chart are: in their own namespace, in the release's, or in none.
struct Places<'a> {
    discovery: &'a Discovery,
    namespace: &'a str,
    brought: BTreeMap<Gvk, bool>,
}

impl<'a> Places<'a> {
    fn of<'d>(
        discovery: &'a Discovery,
        question: &'a ChartQuestion,
        documents: impl Iterator<Item = &'d Document>,
    ) -> Self {
        let bodies = documents.map(|document| &document.body);
        let definitions = bodies.filter(|body| Gvk::of(body).is_some_and(|gvk| gvk.is_crd()));
        let brought = definitions.flat_map(Resolved::of_crd).map(|kind| (kind.gvk, kind.namespaced)).collect();
        Self { discovery, namespace: &question.namespace, brought }
    }

    fn address(&self, document: &Value) -> Option<Address> {
        let gvk = Gvk::of(document)?;
        let known = self.discovery.find(&gvk).map(|kind| kind.namespaced);
        let namespaced = known.or_else(|| self.brought.get(&gvk).copied());
        let says = document["metadata"]["namespace"].is_string();
        address(document, namespaced.unwrap_or(says), self.namespace)
    }

    /// The definitions among objects that others of these objects can't do without.
    fn definitions(&self, objects: &[Item]) -> Vec<Address> {
        let kind = |object: &Item| Gvk::of_address(&object.address);
        let unknown = |gvk: &Gvk| self.discovery.resolve(gvk).is_none();
        let used: HashSet<Gvk> = objects.iter().map(kind).filter(unknown).collect();
        let definitions = objects.iter().filter(|object| kind(object).is_crd());
        let brings =
            |object: &&Item| Resolved::of_crd(&object.document.body).iter().any(|kind| used.contains(&kind.gvk));
        let needed = if used.is_empty() { Vec::new() } else { definitions.filter(brings).collect() };
        needed.into_iter().map(|object| object.address.clone()).collect()
    }

    /// The objects, each of which comes once.
    fn items(&self, rendered: &[Rendered], documents: Vec<Document>) -> Result<Vec<Item>, DriverError> {
        let mut templates: HashMap<Address, &str> = HashMap::new();
        let mut items = Vec::with_capacity(documents.len());
        for (rendered, document) in rendered.iter().zip(documents) {
            let item = self.item(&rendered.source, document)?;
            if let Some(other) = templates.insert(item.address.clone(), &rendered.source) {
                return Err(twice(&item.address, other, &rendered.source));
            }
            items.push(item);
        }
        Ok(items)
    }

    fn item(&self, template: &str, document: Document) -> Result<Item, DriverError> {
        let address = self.address(&document.body).ok_or_else(|| {
            let cause = format!("what {template} renders to has no name by which it could be found again");
            DriverError::new("finding out where the chart's objects are", cause)
                .hint("give it a `metadata.name`; a name that the server makes is another one each time")
        })?;
        Ok(Item { address, document: document.into() })
    }

    /// The hooks before and after the objects, by weight, then name; hooks of one name stay as the chart has them.
    fn hooks(&self, rendering: &Rendering, install: bool) -> Result<[Vec<HookItem>; 2], DriverError> {
        let [before, after] = if install {
            [(HookEvent::PreInstall, "pre-install"), (HookEvent::PostInstall, "post-install")]
        } else {
            [(HookEvent::PreUpgrade, "pre-upgrade"), (HookEvent::PostUpgrade, "post-upgrade")]
        };
        Ok([self.hooks_at(rendering, before)?, self.hooks_at(rendering, after)?])
    }

    fn hooks_at(
        &self,
        rendering: &Rendering,
        (at, event): (HookEvent, &'static str),
    ) -> Result<Vec<HookItem>, DriverError> {
        let hooks = rendering.hooks.iter().filter(|hook| hook.facts.events.contains(&at));
        let hooks = hooks.map(|hook| {
            let item = self.item(&hook.facts.path, stored(hook.rendered.to_document()))?;
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
