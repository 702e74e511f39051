//! What must be known of a chart before its resources can be drawn: its rendering, and what its last revision holds.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cfrt_engine::change::FieldChange;
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::resource::{Address, Document, Hole};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dropped::Dropped;
use super::history::{self, ABANDONED_AFTER, History, ReleaseName};
use crate::blocking::blocking;
use crate::helm::chart::{Chart, ChartSource};
use crate::helm::hook::{HookEvent, HookFacts};
use crate::helm::manifest::Manifest;
use crate::helm::record::{Revision, Status};
use crate::helm::render::RenderRequest;
use crate::helm::rendering::{Identity, Rendered, Rendering, texts_digest};
use crate::helm::values::{self, ValuesError};
use crate::kube::difference::difference;
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

/// The revision that comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The number that it has, or would have.
    pub revision: u32,
    /// Whether helm would call it an installation; otherwise it is an upgrade.
    pub install: bool,
    /// Why there is one; `None` where the last one says all that this one would.
    pub because: Option<String>,
    /// For how many seconds someone may still be at work on the last one.
    pub busy: Option<i64>,
    /// The revision before it, where that was begun and given up.
    pub abandoned: Option<u32>,
    /// When the release's first revision was made, as its records say it.
    pub first_deployed: Option<String>,
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
    let (history, rendering) = futures::try_join!(blocking(|| records.unpack()), render(world, request))?;
    let (vault, discovery) = (Arc::clone(&world.vault), Arc::clone(&world.discovery));
    let question = question.clone();
    blocking(move || answer(&vault, &discovery, &question, &history, &rendering, values)).await
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
    let (crds, objects) = (places.items(crds), places.items(objects));
    let earlier = other.into_iter().chain(history.earlier.iter().filter(others));
    let dropped = Dropped::of(earlier, |document| places.address(document), question, &objects)?;
    Ok(ChartAnswer {
        name: rendering.chart.name.clone(),
        version: rendering.chart.version.clone(),
        digest: rendering.chart.digest.clone(),
        rendering: rendering.digest.clone(),
        crds,
        hooks: places.hooks(rendering, next.install),
        definitions: places.definitions(&objects),
        objects,
        removed: dropped.objects,
        dropped: dropped.fields,
        remarks: remarks(rendering),
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

/// Whether helm would install: there is nothing, or nothing that counts any more.
fn is_install(history: &History) -> bool {
    history.newest.as_ref().is_none_or(|newest| newest.status == Status::Uninstalled)
}

/// What comes next; `other` is the newest revision where its texts are others than those of the rendering.
fn next(vault: &Vault, history: &History, other: Option<&Revision>, rendering: &Rendering, values: &Value) -> Next {
    let Some(newest) = &history.newest else {
        return Next {
            revision: 1,
            install: true,
            because: Some("first installation".to_owned()),
            busy: None,
            abandoned: None,
            first_deployed: None,
        };
    };
    let left = ABANDONED_AFTER.saturating_sub(history.age);
    let busy = (newest.status.is_pending() && left > 0).then_some(left);
    let abandoned = (newest.status.is_pending() && left <= 0).then_some(newest.revision);
    let first_deployed = newest.first_deployed.map(|at| at.to_string());
    let because = reason(vault, newest, other, rendering, values);
    let revision = if because.is_some() { newest.revision.saturating_add(1) } else { newest.revision };
    Next { revision, install: is_install(history), because, busy, abandoned, first_deployed }
}

/// Why the newest revision isn't enough.
fn reason(
    vault: &Vault,
    newest: &Revision,
    other: Option<&Revision>,
    rendering: &Rendering,
    values: &Value,
) -> Option<String> {
    if newest.status != Status::Deployed {
        return Some(format!("revision {} is {}", newest.revision, newest.status));
    }
    let chart = &rendering.chart;
    if (&newest.chart_name, &newest.chart_version) != (&chart.name, &chart.version) {
        return Some(format!(
            "chart {} {} becomes {} {}",
            newest.chart_name, newest.chart_version, chart.name, chart.version
        ));
    }
    let moved = moved(&newest.config, values);
    if !moved.is_empty() {
        // Only where values moved, not what they say: helm lets secrets stand among them.
        return Some(format!("values changed: {}", moved.join(", ")));
    }
    other.filter(|other| !same_objects(vault, other, rendering)).map(|_| "the chart renders differently".to_owned())
}

fn same_texts(vault: &Vault, newest: &Revision, rendering: &Rendering) -> bool {
    let hooks = newest.hooks.iter().map(|hook| (&hook.facts, hook.manifest.expose_secret()));
    texts_digest(vault, newest.manifest.expose_secret(), hooks) == rendering.texts
}

/// The paths at which two sets of user values differ.
fn moved(recorded: &Value, wanted: &Value) -> Vec<String> {
    // Helm leaves empty values out of the record, and has only one sort of number.
    let recorded = if recorded.is_null() { json!({}) } else { recorded.clone() };
    let wrapped = |values| json!({ "values": as_recorded(values) });
    let fields = difference(&wrapped(recorded), &wrapped(wanted.clone()));
    let path = |field: FieldChange| field.path.trim_start_matches("values").trim_start_matches('.').to_owned();
    fields.into_iter().map(path).collect()
}

fn as_recorded(values: Value) -> Value {
    match values {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_i64() && !number.is_u64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                json!(float as i64)
            }
            Some(_) | None => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(as_recorded).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, as_recorded(value))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => values,
    }
}

/// Compares the documents themselves: the texts may differ in spelling, and in what each rendering makes anew.
fn same_objects(vault: &Vault, newest: &Revision, rendering: &Rendering) -> bool {
    let Ok(recorded) = Manifest::parse(newest.manifest.expose_secret()) else { return false };
    let texts = newest.hooks.iter().map(|hook| hook.manifest.expose_secret().to_owned()).collect::<Vec<_>>();
    let hooks =
        texts.iter().filter_map(|text| Manifest::parse(&format!("---\n{text}\n")).ok()).flat_map(|text| text.hooks);
    let recorded = recorded.objects.into_iter().map(|parsed| parsed.value).chain(hooks.map(|hook| hook.value));
    let mut recorded: BTreeMap<String, Value> = recorded.map(|value| (identity(&value), value)).collect();
    let rendered = rendering
        .objects
        .iter()
        .map(|object| object.document())
        .chain(rendering.hooks.iter().map(|hook| hook.rendered.document()));
    for document in rendered {
        let Some(there) = recorded.remove(&identity(&document.body)) else { return false };
        if !same_document(vault, document, there) {
            return false;
        }
    }
    recorded.is_empty()
}

fn same_document(vault: &Vault, wanted: &Document, recorded: Value) -> bool {
    let is_secret = recorded["kind"] == "Secret" && recorded["apiVersion"] == "v1";
    let mut recorded = if is_secret { vault.seal_document(recorded).body } else { recorded };
    for (pointer, hole) in &wanted.holes {
        let (Some(place), Some(rendered)) = (recorded.pointer_mut(pointer), wanted.body.pointer(pointer)) else {
            continue;
        };
        match (hole, &place) {
            (Hole::Generated, _) => *place = rendered.clone(),
            (Hole::Secret, Value::String(text)) if !is_secret => *place = Value::String(vault.seal(text)),
            (Hole::Secret, _) => {}
        }
    }
    recorded == wanted.body
}

fn identity(document: &Value) -> String {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let group = Gvk::of(document).map(|gvk| gvk.group).unwrap_or_default();
    [group, text("/kind"), text("/metadata/namespace"), text("/metadata/name")].join("/")
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
        let known = self.discovery.resolve(&gvk).map(|kind| kind.namespaced);
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

    fn items(&self, documents: Vec<Document>) -> Vec<Item> {
        documents.into_iter().filter_map(|document| self.item(document)).collect()
    }

    fn item(&self, document: Document) -> Option<Item> {
        Some(Item { address: self.address(&document.body)?, document: document.into() })
    }

    /// The hooks before and after the objects, by weight, then name; hooks of one name stay as the chart has them.
    fn hooks(&self, rendering: &Rendering, install: bool) -> [Vec<HookItem>; 2] {
        let events = if install {
            [(HookEvent::PreInstall, "pre-install"), (HookEvent::PostInstall, "post-install")]
        } else {
            [(HookEvent::PreUpgrade, "pre-upgrade"), (HookEvent::PostUpgrade, "post-upgrade")]
        };
        events.map(|(event, word)| {
            let hooks = rendering.hooks.iter().filter(|hook| hook.facts.events.contains(&event));
            let mut hooks: Vec<HookItem> = hooks
                .filter_map(|hook| {
                    Some(HookItem {
                        item: self.item(stored(hook.rendered.to_document()))?,
                        facts: hook.facts.clone(),
                        event: word,
                    })
                })
                .collect();
            hooks.sort_by(|a, b| (a.facts.weight, &a.facts.name).cmp(&(b.facts.weight, &b.facts.name)));
            hooks
        })
    }
}

fn remarks(rendering: &Rendering) -> Vec<String> {
    let mut remarks = Vec::new();
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
