//! The revision of a release that comes next, and why the newest one isn't enough.

use std::collections::BTreeMap;

use cfrt_engine::change::{FieldChange, Moved, Origin};
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::resource::{Document, Hole};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::history::{ABANDONED_AFTER, History, Left, ReleaseName, Seen};
use crate::helm::hook::HookEvent;
use crate::helm::manifest::{Manifest, ManifestError};
use crate::helm::record::{RecordedHook, Revision, Status};
use crate::helm::rendering::{Hook, Identity, Rendering, texts_digest};
use crate::journal::HookNote;
use crate::kube::difference::difference;
use crate::vault::Vault;

/// The revision that comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The number that it has, or would have.
    pub revision: u32,
    /// Whether helm would call it an installation; otherwise it is an upgrade.
    pub install: bool,
    /// Why there is one; `None` where the last one says all that this one would.
    pub because: Option<String>,
    /// Why someone may still be at work on the last one.
    pub busy: Option<Busy>,
    /// The revision before it, where that was begun and given up.
    pub abandoned: Option<u32>,
    /// The run of ours that has left the revision before it, or this very one.
    pub left_by: Option<String>,
    /// What that run has written down of its hooks, where this is its revision and goes on.
    pub goes_on: Option<Vec<HookNote>>,
    /// When the release's first revision was made, as its records say it.
    pub first_deployed: Option<String>,
    /// The records from which that follows.
    pub seen: Vec<Seen>,
    /// What others have made of the release since our last revision, where that is something else.
    pub overtaken: Option<Overtaken>,
    /// Whether there is none although it was applied once, as our own record says.
    pub missed: bool,
    /// Why its record can't be stored.
    pub too_large: Option<String>,
}

/// A revision that others made after ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overtaken {
    /// Its number.
    pub revision: u32,
    /// The number of ours.
    pub ours: u32,
    /// Who made it, and when.
    pub by: Moved,
    /// Whether ours isn't what is wanted any more either.
    pub changed: bool,
}

impl Overtaken {
    /// The field of a plan that says so; `next` is the revision that sets it right.
    pub fn field(self, next: u32) -> FieldChange {
        let moved = Moved { was: Some(json!(self.ours)), ..self.by };
        let origin = if self.changed { Origin::Both(moved) } else { Origin::World(moved) };
        FieldChange::new("revision", Some(json!(self.revision)), Some(json!(next))).origin(Some(origin))
    }
}

fn overtaken(vault: &Vault, history: &History, rendering: &Rendering, values: &Value) -> Option<Overtaken> {
    let (newest, ours) = (history.overtaking()?, history.ours.as_ref()?);
    let chart = |revision: &Revision| (revision.chart_name.clone(), revision.chart_version.clone());
    let same_texts = texts(vault, newest) == texts(vault, ours);
    let is_the_same = chart(newest) == chart(ours) && newest.config == ours.config && same_texts;
    let changed = chart(ours) != (rendering.chart.name.clone(), rendering.chart.version.clone())
        || !moved(&ours.config, values).is_empty()
        || !same_objects(vault, ours, rendering);
    let (revision, by) = (newest.revision, history.maker.clone());
    (!is_the_same).then_some(Overtaken { revision, ours: ours.revision, by, changed })
}

/// Why someone may still be at work on a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Busy {
    /// It was written lately; it counts as given up in so many seconds.
    For(i64),
    /// This hook of it has not ended.
    Hook(String),
    /// A run of ours, as told.
    Run(String),
}

impl Busy {
    /// What speaks for someone being at work.
    fn sign(&self) -> String {
        match self {
            Self::For(_) => {
                "another installation, upgrade or rollback of it is in progress, or was broken off".to_owned()
            }
            Self::Hook(hook) => {
                format!("someone may wait for the end of {hook}, a hook of the revision that is in progress")
            }
            Self::Run(who) => format!("{who} is at work on it"),
        }
    }

    /// What can be done about it.
    fn way_out(&self) -> String {
        match self {
            Self::For(seconds) => format!(
                "wait until it is done; if no one is at work, it counts as given up in {seconds} s, and an apply goes on from \
                 there;\n`helm rollback` ends it at once where an earlier revision was deployed, and so does `helm uninstall`, but \
                 that one's hooks delete a runtime from the platform"
            ),
            Self::Hook(hook) => format!("wait until {hook} has ended; if no one is at work, delete it and plan again"),
            Self::Run(_) => "wait until that run is through, then plan again".to_owned(),
        }
    }

    /// Why no revision of a release may be opened now.
    pub(super) fn error(&self, release: &ReleaseName) -> DriverError {
        let doing = format!("opening a revision of release {}/{}", release.namespace, release.name);
        DriverError::new(doing, self.sign()).fault(Fault::Locked).hint(self.way_out())
    }
}

impl Next {
    /// No revision, after these records.
    fn none_but(history: &History) -> Self {
        let seen = history.seen.clone();
        Self {
            revision: 0,
            install: false,
            because: None,
            busy: None,
            abandoned: None,
            left_by: None,
            goes_on: None,
            first_deployed: None,
            seen,
            overtaken: None,
            missed: false,
            too_large: None,
        }
    }

    /// What a plan says of it beforehand; `None` where no one can be at work, and nothing was broken off.
    pub(super) fn remark(&self, history: &History) -> Option<String> {
        let newest = history.newest.as_ref()?;
        let Some(busy) = &self.busy else { return history.left.as_ref().map(|left| self.resumption(left, newest)) };
        let Revision { revision, status, .. } = newest;
        let sign = match busy {
            Busy::For(_) => "someone may be at work on the release".to_owned(),
            Busy::Hook(hook) => format!("and its hook {hook} has not ended"),
            Busy::Run(who) => format!("and {who} is at work"),
        };
        let way_out = busy.way_out();
        Some(format!("an apply would be refused now: revision {revision} is {status}, {sign};\n{way_out}"))
    }

    /// What a plan says of a run that was broken off.
    fn resumption(&self, left: &Left, newest: &Revision) -> String {
        let Revision { revision, status, .. } = newest;
        let who = &left.by;
        let what = match &self.goes_on {
            Some(hooks) => {
                let ran: Vec<String> = hooks.iter().filter(|hook| hook.has_succeeded()).map(HookNote::told).collect();
                let ran = match ran.as_slice() {
                    [] => String::new(),
                    [one] => format!(", and {one} doesn't run again"),
                    [several @ .., last] => format!(", and {} and {last} don't run again", several.join(", ")),
                };
                format!("this apply goes on with it{ran}")
            }
            None => "it is recorded as failed first, as this apply has something else to do".to_owned(),
        };
        let doubt = if left.may_live {
            ";\nit may be at work still: an apply waits until its lease is renewed or ends"
        } else {
            ""
        };
        format!("revision {revision} is {status}: the run of {who} was broken off; {what}{doubt}")
    }
}

/// Whether helm would install: there is nothing, or nothing that counts any more.
fn is_install(history: &History) -> bool {
    history.newest.as_ref().is_none_or(|newest| newest.status == Status::Uninstalled)
}

/// What comes next; `other` is the newest revision where its texts are others than those of the rendering.
pub(super) fn next(
    vault: &Vault,
    history: &History,
    other: Option<&Revision>,
    rendering: &Rendering,
    values: &Value,
) -> Next {
    if let Some(revision) = history.proved {
        return Next { revision, ..Next::none_but(history) };
    }
    let Some(newest) = &history.newest else {
        return Next {
            revision: 1,
            install: true,
            because: Some("first installation".to_owned()),
            missed: history.remembered,
            ..Next::none_but(history)
        };
    };
    let busy = busy(history, newest);
    let abandoned = (newest.status.is_pending() && busy.is_none()).then_some(newest.revision);
    let first_deployed = newest.first_deployed.map(|at| at.to_string());
    if let Some(left) = history.to_go_on() {
        return Next {
            revision: newest.revision,
            install: newest.status == Status::PendingInstall,
            because: Some(format!("goes on where the run of {} was broken off", left.by)),
            left_by: Some(left.run.clone()),
            goes_on: Some(left.hooks.clone()),
            first_deployed,
            ..Next::none_but(history)
        };
    }
    let left_by = history.left.as_ref().map(|left| left.run.clone());
    let because = reason(vault, history, newest, other, rendering, values);
    let revision = if because.is_some() { newest.revision.saturating_add(1) } else { newest.revision };
    let install = is_install(history);
    let overtaken = because.as_ref().and_then(|_| overtaken(vault, history, rendering, values));
    let missed = install && history.remembered;
    let none = Next::none_but(history);
    Next { revision, install, because, busy, abandoned, left_by, first_deployed, overtaken, missed, ..none }
}

/// Why someone may still be at work on the newest revision.
fn busy(history: &History, newest: &Revision) -> Option<Busy> {
    let left = ABANDONED_AFTER.saturating_sub(history.age);
    match &history.hook {
        _ if !newest.status.is_pending() => None,
        hook if let Some(left) = &history.left => match left.lives {
            true => Some(Busy::Run(left.by.clone())),
            false => hook.clone().map(Busy::Hook),
        },
        _ if left > 0 => Some(Busy::For(left)),
        hook => hook.clone().map(Busy::Hook),
    }
}

const HOOKS_OF_AN_UPGRADE: &str = "hooks of an upgrade run, not those of an installation";

/// Whether helm takes it for an upgrade although no installation came to its end, and the chart has hooks to which that
/// makes a difference.
fn skips_hooks(history: &History, rendering: &Rendering) -> bool {
    let installed = history.earlier.iter().any(|revision| revision.status == Status::Deployed);
    let runs_at = |hook: &Hook, event| hook.facts.events.contains(&event);
    let differs = |hook: &Hook| {
        runs_at(hook, HookEvent::PreInstall) != runs_at(hook, HookEvent::PreUpgrade)
            || runs_at(hook, HookEvent::PostInstall) != runs_at(hook, HookEvent::PostUpgrade)
    };
    !is_install(history) && !installed && rendering.hooks.iter().any(differs)
}

/// Why the newest revision isn't enough.
fn reason(
    vault: &Vault,
    history: &History,
    newest: &Revision,
    other: Option<&Revision>,
    rendering: &Rendering,
    values: &Value,
) -> Option<String> {
    let mut reasons = Vec::new();
    if newest.status != Status::Deployed {
        reasons.push(format!("revision {} is {}", newest.revision, newest.status));
        reasons.extend(skips_hooks(history, rendering).then(|| HOOKS_OF_AN_UPGRADE.to_owned()));
    }
    let (chart, told) = (&rendering.chart, reasons.len());
    if (&newest.chart_name, &newest.chart_version) != (&chart.name, &chart.version) {
        reasons.push(format!(
            "chart {} {} becomes {} {}",
            newest.chart_name, newest.chart_version, chart.name, chart.version
        ));
    }
    let moved = moved(&newest.config, values);
    if !moved.is_empty() {
        // Only where values moved, not what they say: helm lets secrets stand among them.
        reasons.push(format!("values changed: {}", moved.join(", ")));
    }
    if reasons.len() == told
        && !is_install(history)
        && other.is_some_and(|other| !same_objects(vault, other, rendering))
    {
        reasons.push("the chart renders differently".to_owned());
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Whether a revision has the chart, the values and the documents that the next one would have.
pub(super) fn has_all(vault: &Vault, revision: &Revision, rendering: &Rendering, values: &Value) -> bool {
    (&revision.chart_name, &revision.chart_version) == (&rendering.chart.name, &rendering.chart.version)
        && moved(&revision.config, values).is_empty()
        && (same_texts(vault, revision, rendering) || same_objects(vault, revision, rendering))
}

/// Whether a record holds the very texts of a rendering.
pub(super) fn same_texts(vault: &Vault, newest: &Revision, rendering: &Rendering) -> bool {
    texts(vault, newest) == rendering.texts
}

fn texts(vault: &Vault, revision: &Revision) -> String {
    let hooks = revision.hooks.iter().map(|hook| (&hook.facts, hook.manifest.expose_secret()));
    texts_digest(vault, revision.manifest.expose_secret(), hooks)
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
///
/// A record that can't be read holds nothing that is rendered now.
fn same_objects(vault: &Vault, newest: &Revision, rendering: &Rendering) -> bool {
    let Ok(mut recorded) = recorded(newest) else { return false };
    let objects = rendering.objects.iter().chain(rendering.hooks.iter().map(|hook| &hook.rendered));
    for document in objects.map(|object| object.document()) {
        let Some(there) = recorded.remove(&Identity::of(&document.body).key()) else { return false };
        if !same_document(vault, document, there) {
            return false;
        }
    }
    recorded.is_empty()
}

/// The objects and hooks of a record, by what makes them the same object.
fn recorded(revision: &Revision) -> Result<BTreeMap<[String; 4], Value>, ManifestError> {
    let manifest = Manifest::parse(revision.manifest.expose_secret())?;
    let hook = |hook: &RecordedHook| Manifest::parse(&format!("---\n{}\n", hook.manifest.expose_secret()));
    let hooks = revision.hooks.iter().map(hook).collect::<Result<Vec<_>, _>>()?;
    let hooks = hooks.into_iter().flat_map(|text| text.hooks).map(|hook| hook.value);
    let values = manifest.objects.into_iter().map(|parsed| parsed.value).chain(hooks);
    Ok(values.map(|value| (Identity::of(&value).key(), value)).collect())
}

fn same_document(vault: &Vault, wanted: &Document, recorded: Value) -> bool {
    aligned(vault, wanted, recorded) == wanted.body
}

/// A document of a record with its secrets sealed, and with what each rendering makes anew as it is in another document.
pub(super) fn aligned(vault: &Vault, wanted: &Document, recorded: Value) -> Value {
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
    recorded
}
