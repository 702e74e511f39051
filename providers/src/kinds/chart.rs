//! `chart`: a Helm release, its objects applied one by one inside the bracket that its record opens and closes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cfrt_engine::desired::DesiredState;
use cfrt_engine::facts::Facts;
use cfrt_engine::keys::{Key, REQUIRED};
use cfrt_engine::resource::{Address, Bracket, Document, Need, Part, Resource, ResourceId, Trigger, Want};
use cfrt_engine::source::{Mistake, Mistakes, Span, both};
use cfrt_engine::task::{Answers, Expansion, Kind, Question, Task, TaskId};
use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;

use super::crd_adoption::{self, Adopt};
use crate::drivers::hook::{self, Earlier};
use crate::drivers::object::origin::{LastApplied, with_last};
use crate::drivers::object::{HELM, OWN, Object};
use crate::drivers::release::Settings;
use crate::drivers::release::survey::{ChartAnswer, ChartQuestion, HookItem, Item};
use crate::platform::{Platform, platform};

mod written;

/// The kind itself.
pub struct Chart;

/// The keys of `[chart]`.
const KEYS: [Key; 5] = [
    Key {
        table: "chart",
        name: "source",
        sort: "string",
        default: REQUIRED,
        meaning: "oci://…, https://… (a repository), or a path",
        example: "\"oci://quay.io/codefresh/gitops-runtime\"",
    },
    Key {
        table: "chart",
        name: "name",
        sort: "string",
        default: "none",
        meaning: "the chart's name in a repository",
        example: "\"gitops-runtime\"",
    },
    Key {
        table: "chart",
        name: "version",
        sort: "string",
        default: REQUIRED,
        meaning: "the exact version, also of a path",
        example: "\"0.14.0\"",
    },
    Key {
        table: "chart",
        name: "values",
        sort: "array",
        default: "none",
        meaning: "values files; later ones win",
        example: "[]",
    },
    Key {
        table: "chart",
        name: "set",
        sort: "table",
        default: "none",
        meaning: "values, as TOML; they win over all files",
        example: "{ app-proxy.replicaCount = 2 }",
    },
];

/// The table `[chart]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    source: Spanned<String>,
    name: Option<String>,
    version: Spanned<String>,
    #[serde(default)]
    values: Vec<Spanned<String>>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
}

/// A fact that the chart knows under a key of its own, and where it is stated.
struct Stated {
    key: &'static [&'static str],
    value: Value,
    at: Span,
    contradicted_at: Option<Span>,
}

struct OneChart {
    question: ChartQuestion,
    stated: Vec<Stated>,
    adopt: Option<Adopt>,
}

impl Kind for Chart {
    fn name(&self) -> &'static str {
        "chart"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["chart"]
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    fn after(&self) -> &'static [&'static str] {
        &["namespace", "secret-copy", "crd-adoption"]
    }

    fn tasks(&self, desired: &DesiredState<'_>, facts: &Facts) -> Result<Vec<Box<dyn Task>>, Mistakes> {
        let Some(chart) = OneChart::read(desired, facts)? else { return Ok(Vec::new()) };
        Ok(vec![Box::new(chart)])
    }
}

/// What is asked about the chart of a file; nothing where the file has none, or says something wrong of it.
///
/// Others ask the same question, and with it get the same answer.
pub(crate) fn question(desired: &DesiredState<'_>, facts: &Facts) -> Option<Question> {
    OneChart::read(desired, facts).ok().flatten().map(|chart| chart.ask())
}

/// A path is meant from the file that names it; anything with a scheme is an address.
fn source(desired: &DesiredState<'_>, source: &Spanned<String>) -> String {
    if source.get_ref().contains("://") {
        return source.get_ref().clone();
    }
    beside(desired, source).to_string_lossy().into_owned()
}

fn beside(desired: &DesiredState<'_>, path: &Spanned<String>) -> PathBuf {
    desired.sources().folder_of(&path.span()).join(path.get_ref())
}

/// The facts of the file in the chart's own keys.
fn stated(desired: &DesiredState<'_>, facts: &Facts) -> Result<Vec<Stated>, Mistakes> {
    let name = &facts.runtime.name;
    let mut stated = vec![(&["global", "runtime", "name"][..], json!(name.get_ref().as_str()), name.span())];
    if let Some(table) = platform(desired)? {
        let place = |key| desired.place(&["platform", key]).unwrap_or_default();
        let Platform { url, account, token: _ } = &table;
        stated.extend(url.iter().map(|url| (&["global", "codefresh", "url"][..], json!(url), place("url"))));
        let account = account.iter().map(|id| (&["global", "codefresh", "accountId"][..], json!(id), place("account")));
        stated.extend(account);
        if let Some(secret) = table.token_secret(desired, facts)? {
            let reference = json!({"name": secret.name, "key": secret.key});
            stated.push((&["global", "codefresh", "userToken", "secretKeyRef"][..], reference, place("token")));
        }
    }
    let stated = stated.into_iter().map(|(key, value, at)| {
        let path: Vec<&str> = ["chart", "set"].into_iter().chain(key.iter().copied()).collect();
        Stated { key, value, at, contradicted_at: desired.place(&path) }
    });
    Ok(stated.collect())
}

fn nested(stated: &[Stated]) -> Value {
    let mut root = json!({});
    for fact in stated {
        let mut place = &mut root;
        for key in fact.key {
            place = &mut place[*key];
        }
        *place = fact.value.clone();
    }
    root
}

impl Task for OneChart {
    fn questions(&self) -> Vec<Question> {
        vec![self.ask()]
    }

    fn expand(&self, id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes> {
        let answer: &ChartAnswer = answers.get(0);
        self.check_facts(&answer.values)?;
        let release = self.release(id, answer);
        let owner = release.id.clone();
        let crds: Vec<Resource> = answer.crds.iter().map(|item| definition(id, item, answer.applied)).collect();
        let [before, after] = answer.hooks.each_ref().map(|hooks| hooks_of(id, &owner, answer, hooks));
        let objects = self.objects(id, answer);
        // What becomes a hook that runs first is replaced by it.
        let replaced = |address: &&Address| before.iter().any(|hook| hook.id.address == **address);
        let removed = answer.removed.iter().filter(|address| !replaced(address));
        let removed: Vec<Resource> =
            removed.map(|address| self.removal(id, address, &answer.last.of(address))).collect();
        // Helm can't say what it would release before it knows the kinds, so their definitions come before the release.
        let early = |object: &&Resource| answer.definitions.contains(&object.id.address);
        let (early, inside): (Vec<_>, Vec<_>) = objects.iter().partition(early);
        let alone = |hooks: &[Resource]| hooks.iter().map(|hook| vec![hook.id.clone()]).collect::<Vec<_>>();
        let phases = [alone(&before), vec![ids(inside)], vec![ids(&removed)], alone(&after)].concat();
        let bracket = Bracket { owner, phases: phases.into_iter().filter(|phase| !phase.is_empty()).collect() };
        let needs = ids(crds.iter().chain(early)).into_iter().map(Need::Resource).collect();
        let release = Resource { needs, ..release };
        let resources = [crds, vec![release], before, objects, removed, after].concat();
        Ok(Expansion { resources, brackets: vec![bracket], remarks: answer.remarks.clone(), nothing: "" })
    }
}

impl OneChart {
    fn read(desired: &DesiredState<'_>, facts: &Facts) -> Result<Option<Self>, Mistakes> {
        // First: what values don't have can't be read into them.
        written::set(desired)?;
        let Some(table) = desired.table::<Table>("chart")? else { return Ok(None) };
        let written = both(written::exact(&table.version), written::source(&table.source, table.name.as_deref()));
        let ((version, ()), stated) = both(written, stated(desired, facts))?;
        let question = ChartQuestion {
            source: source(desired, &table.source),
            name: table.name.clone(),
            version,
            facts: nested(&stated),
            values: table.values.iter().map(|file| beside(desired, file)).collect(),
            set: Value::Object(table.set.into_iter().collect()),
            namespace: facts.runtime.namespace.get_ref().as_str().to_owned(),
            release: facts.runtime.release.get_ref().as_str().to_owned(),
        };
        let chart = Self { question, stated, adopt: crd_adoption::adopt(desired) };
        chart.check_facts(&chart.question.set)?;
        Ok(Some(chart))
    }

    fn ask(&self) -> Question {
        Question { driver: "release", about: serde_json::to_value(&self.question).unwrap_or(Value::Null) }
    }

    /// A fact is stated once: values that say otherwise are a mistake, wherever they come from.
    fn check_facts(&self, values: &Value) -> Result<(), Mistakes> {
        let says_otherwise = self.stated.iter().filter_map(|fact| {
            let found = fact.key.iter().try_fold(values, |value, key| value.get(key))?;
            (*found != fact.value).then(|| {
                let what = format!("the chart's values contradict this: they set `{}` otherwise", fact.key.join("."));
                let mistake = Mistake::new(fact.at.clone(), what).label("stated here");
                match &fact.contradicted_at {
                    Some(at) => mistake.beside(at.clone(), "and otherwise here"),
                    None => mistake.label("stated here, and otherwise in a values file"),
                }
            })
        });
        let mistakes: Vec<Mistake> = says_otherwise.collect();
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }

    fn release(&self, id: &TaskId, answer: &ChartAnswer) -> Resource {
        let settings = Settings {
            question: self.question.clone(),
            chart: answer.name.clone(),
            version: answer.version.clone(),
            digest: answer.digest.clone(),
            rendering: answer.rendering.clone(),
            next: answer.next.clone(),
            proof: answer.proof.clone(),
        };
        let body = json!({"chart": answer.name, "version": answer.version, "rendering": answer.rendering});
        Resource {
            id: ResourceId::whole(Address::new("Release", &self.question.namespace, &self.question.release)),
            task: id.clone(),
            driver: "release",
            want: Want::Present(Document { body, ..Document::default() }.into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: serde_json::to_value(settings).unwrap_or(Value::Null),
        }
    }

    fn removal(&self, id: &TaskId, address: &Address, last: &LastApplied) -> Resource {
        let settings = Object::settings_of_removed(&self.question.release, &self.question.namespace, last);
        Resource { settings, ..object(id, address, Want::Absent, HELM) }
    }

    fn objects(&self, id: &TaskId, answer: &ChartAnswer) -> Vec<Resource> {
        let whole = |index: &usize| Need::Resource(ResourceId::whole(answer.objects[*index].address.clone()));
        let objects = answer.objects.iter().zip(&answer.needs).map(|(item, needs)| {
            let want = Want::Present(item.document.clone());
            let dropped = answer.dropped.get(&item.address).map_or(&[][..], Vec::as_slice);
            let settings = Object::settings_of_chart(&answer.last.of(&item.address), dropped);
            let settings = Object::settings_taken(settings, crd_adoption::taken(self.adopt, &item.address));
            Resource { needs: needs.iter().map(whole).collect(), settings, ..object(id, &item.address, want, HELM) }
        });
        objects.collect()
    }
}

/// The hooks of one event, each with what it must know of the others.
fn hooks_of(id: &TaskId, owner: &ResourceId, answer: &ChartAnswer, hooks: &[HookItem]) -> Vec<Resource> {
    let earlier: Vec<Earlier> =
        hooks.iter().map(|hook| Earlier::new(&hook.item.address, &hook.facts.delete_policies)).collect();
    let resource = |(index, hook): (usize, &HookItem)| {
        let its_id = ResourceId { address: hook.item.address.clone(), part: Part::Fields(hook.event) };
        let settings = hook::Settings {
            event: hook.event.to_owned(),
            weight: hook.facts.weight,
            policies: hook.facts.delete_policies.clone(),
            earlier: earlier[..index].to_vec(),
            last: index + 1 == hooks.len(),
            due: answer.next.because.is_some(),
            was_object: answer.removed.contains(&hook.item.address),
            lost: lost_with(hook, answer),
            note: answer.next.goes_on.iter().flatten().find(|note| note.is_about(&its_id)).cloned(),
        };
        Resource {
            id: its_id,
            task: id.clone(),
            driver: "hook",
            want: Want::Present(hook.item.document.clone()),
            needs: Vec::new(),
            trigger: Trigger::With(owner.clone()),
            settings: serde_json::to_value(settings).unwrap_or(Value::Null),
        }
    };
    hooks.iter().enumerate().map(resource).collect()
}

/// The hooks that never succeed where this one of an installation fails: what follows is an upgrade.
fn lost_with(hook: &HookItem, answer: &ChartAnswer) -> Vec<String> {
    let this = |other: &HookItem| (other.event, &other.item.address) == (hook.event, &hook.item.address);
    let rest = answer.hooks.iter().flatten().skip_while(|other| !this(other));
    rest.filter(|hook| hook.runs_once()).map(|hook| hook.item.address.short().to_string()).collect()
}

/// A definition of a `crds/` folder: Helm makes it where there is none, and never touches it again.
fn definition(id: &TaskId, item: &Item, applied: bool) -> Resource {
    let last = if applied { LastApplied::Something } else { LastApplied::Unknown };
    let resource = object(id, &item.address, Want::Existing(item.document.clone()), OWN);
    Resource { settings: with_last(resource.settings, &last), ..resource }
}

fn object(id: &TaskId, address: &Address, want: Want, manager: &str) -> Resource {
    Resource {
        id: ResourceId::whole(address.clone()),
        task: id.clone(),
        driver: "object",
        want,
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: Object::settings(manager),
    }
}

fn ids<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Vec<ResourceId> {
    resources.into_iter().map(|resource| resource.id.clone()).collect()
}
