//! `crd-adoption`: the definitions that the chart templates are taken over from whoever made them.

use std::collections::BTreeSet;

use cfrt_engine::compile::{Entry, Tasks};
use cfrt_engine::desired::DesiredState;
use cfrt_engine::facts::Facts;
use cfrt_engine::keys::{Key, REQUIRED};
use cfrt_engine::resource::{Address, Document, Part, Resource, ResourceId, Trigger, Want};
use cfrt_engine::source::{Mistake, Mistakes};
use cfrt_engine::task::{Answers, Expansion, Kind, Question, Task, TaskId};
use serde::Deserialize;
use serde_json::Value;

use super::chart;
use crate::drivers::object::APART;
use crate::drivers::object::adoption::{Former, Settings, ownership};
use crate::drivers::object::origin::with_last;
use crate::drivers::release::survey::ChartAnswer;
use crate::kube::gvk::Gvk;
use crate::undo::{Undo, UndoQuestion};

/// The kind itself.
pub struct CrdAdoption;

/// The keys of `[crds]`.
const KEYS: [Key; 2] = [
    Key {
        table: "crds",
        name: "adopt",
        sort: "string",
        default: REQUIRED,
        meaning: "which CRDs to take over: all, rollouts, none",
        example: "\"all\"",
    },
    Key {
        table: "crds",
        name: "take_from",
        sort: "array",
        default: "none",
        meaning: "releases to take them from: NAMESPACE/NAME",
        example: "[\"argo/argo-cd\"]",
    },
];

/// The table `[crds]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    adopt: Adopt,
    #[serde(default)]
    take_from: BTreeSet<String>,
}

/// Which definitions are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Adopt {
    /// All of them.
    All,
    /// Those of Argo Rollouts.
    Rollouts,
    /// None.
    None,
}

impl TryFrom<String> for Adopt {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "all" => Ok(Self::All),
            "rollouts" => Ok(Self::Rollouts),
            "none" => Ok(Self::None),
            _ => Err("it is \"all\", \"rollouts\" or \"none\"".to_owned()),
        }
    }
}

/// The definitions of Argo Rollouts, which the vendor's guide tells to adopt where a community Argo Rollouts is there.
const ROLLOUTS: [&str; 5] = [
    "analysisruns.argoproj.io",
    "analysistemplates.argoproj.io",
    "clusteranalysistemplates.argoproj.io",
    "experiments.argoproj.io",
    "rollouts.argoproj.io",
];

/// What would be read and mean nothing.
fn check(desired: &DesiredState<'_>, adopt: Adopt) -> Result<(), Mistakes> {
    let place = |key| desired.place(&["crds", key]);
    if let (None, Some(at)) = (desired.value(&["chart"]), place("adopt")) {
        return Err(Mistake::new(at, "there is nothing to adopt definitions for")
            .label("the file has no [chart]")
            .into());
    }
    if let (Adopt::None, Some(at)) = (adopt, place("take_from")) {
        let mistake = Mistake::new(at, "nothing is taken from these").label("`adopt` is \"none\"");
        return Err(mistake.into());
    }
    Ok(())
}

/// How a definition that others have is taken over: `None` where it can't be.
pub(crate) fn taken(adopt: Option<Adopt>, address: &Address) -> Option<&'static str> {
    if !Gvk::of_address(address).is_crd() {
        return None;
    }
    Some(match adopt {
        Some(adopt) if adopt.takes(&address.name) => APART,
        None | Some(Adopt::None) if Adopt::Rollouts.takes(&address.name) => "\"rollouts\"",
        None | Some(Adopt::None | Adopt::Rollouts | Adopt::All) => "\"all\"",
    })
}

/// Which definitions a file takes over; nothing where it doesn't say, or says something wrong.
pub(crate) fn adopt(desired: &DesiredState<'_>) -> Option<Adopt> {
    desired.table("crds").ok().flatten().map(|table: Table| table.adopt)
}

struct Adoption {
    question: Question,
    adopt: Adopt,
    settings: Settings,
}

impl Kind for CrdAdoption {
    fn name(&self) -> &'static str {
        "crd-adoption"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["crds"]
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    /// What was there before is written down in the runtime's namespace.
    fn after(&self) -> &'static [&'static str] {
        &["namespace"]
    }

    fn tasks(&self, desired: &DesiredState<'_>, facts: &Facts) -> Result<Vec<Box<dyn Task>>, Mistakes> {
        let Some(Table { adopt, take_from }) = desired.table("crds")? else { return Ok(Vec::new()) };
        check(desired, adopt)?;
        let Some(question) = chart::question(desired, facts).filter(|_| adopt != Adopt::None) else {
            return Ok(Vec::new());
        };
        let settings = Settings {
            release: facts.runtime.release.get_ref().as_str().to_owned(),
            namespace: facts.runtime.namespace.get_ref().as_str().to_owned(),
            take_from,
            restores: None,
        };
        Ok(vec![Box::new(Adoption { question, adopt, settings })])
    }
}

impl Task for Adoption {
    fn questions(&self) -> Vec<Question> {
        vec![self.question.clone()]
    }

    fn expand(&self, id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes> {
        let chart: &ChartAnswer = answers.get(0);
        let definitions = chart.objects.iter().filter(|item| Gvk::of_address(&item.address).is_crd());
        let wanted = definitions.filter(|item| self.adopt.takes(&item.address.name));
        let resources = wanted.map(|item| {
            let body = ownership(&item.address, &self.settings);
            let resource = adoption(id, item.address.clone(), body, &self.settings);
            Resource { settings: with_last(resource.settings, &chart.last.of(&item.address)), ..resource }
        });
        let resources = resources.collect();
        let nothing = "the chart brings no definition that `[crds] adopt` names";
        Ok(Expansion { resources, nothing, ..Expansion::default() })
    }
}

impl Adopt {
    fn takes(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Rollouts => ROLLOUTS.contains(&name),
            Self::None => false,
        }
    }
}

/// Everything that was taken over, given back: the only task of `cfrt unadopt`.
struct Return(UndoQuestion);

/// The tasks that undo what `crd-adoption` did for a runtime.
pub fn unadoption(facts: Facts) -> Tasks {
    let question = UndoQuestion {
        release: facts.runtime.release.get_ref().as_str().to_owned(),
        namespace: facts.runtime.namespace.get_ref().as_str().to_owned(),
    };
    let id = TaskId { kind: CrdAdoption.name(), name: String::new() };
    Tasks { facts, entries: vec![Entry { id, after: Vec::new(), task: Box::new(Return(question)) }] }
}

impl Task for Return {
    fn questions(&self) -> Vec<Question> {
        vec![Question { driver: "object", about: serde_json::to_value(&self.0).unwrap_or(Value::Null) }]
    }

    fn expand(&self, id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes> {
        let undo: &Undo = answers.get(0);
        let resources = undo.iter().map(|(name, former)| self.resource(id, name, former)).collect();
        Ok(Expansion { resources, nothing: "no definition was taken over", ..Expansion::default() })
    }
}

impl Return {
    fn resource(&self, id: &TaskId, name: &str, former: &Former) -> Resource {
        let UndoQuestion { release, namespace } = self.0.clone();
        let settings = Settings { release, namespace, take_from: BTreeSet::new(), restores: Some(former.clone()) };
        let address = Address::new("apiextensions.k8s.io/v1/CustomResourceDefinition", "", name);
        adoption(id, address, former.document(), &settings)
    }
}

fn adoption(id: &TaskId, address: Address, body: Value, settings: &Settings) -> Resource {
    Resource {
        id: ResourceId { address, part: Part::Adoption },
        task: id.clone(),
        driver: "object",
        want: Want::Present(Document { body, ..Document::default() }.into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: settings.to_json(),
    }
}
