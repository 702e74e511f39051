//! What a run of `cfrt` may write, found out just before it begins, and the time in which it may.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, OnceLock};

use cfrt_engine::planfile::{PlanFile, PlannedStep};
use jiff::Timestamp;
use serde_json::Value;

use super::rendered::rendered;
use super::{announces, body, bookkeeping};
use crate::common::audit::Event;
use crate::common::plan::{Field, Plan, Step};
use crate::common::scenario::Scenario;

/// Objects by their address without its version, which is no part of what they are.
pub(crate) type Objects = BTreeMap<String, Value>;

/// What a run may write.
pub(crate) struct Announced {
    /// How it is called.
    line: String,
    /// What it may do: of an apply the plan, or the plan file; of an `unadopt` what the undo record says.
    pub(crate) plan: Plan,
    /// The objects of the plan that are there already.
    pub(crate) before: Objects,
    /// What helm itself makes of the chart, where anything of it is to be created.
    pub(crate) rendered: Vec<Value>,
    /// The release.
    pub(super) release: String,
    /// Its namespace.
    pub(super) namespace: String,
    began: Timestamp,
    ended: OnceLock<Timestamp>,
}

/// A run that may be at work: dropped, it is over.
pub(crate) struct Window(Arc<Announced>);

impl Drop for Window {
    fn drop(&mut self) {
        let _first = self.0.ended.set(Timestamp::now());
    }
}

/// Finds out what a call of `cfrt` may write, if it is one that writes at all. The surroundings are those of the call, but
/// who asks is always the one who may do everything.
pub(crate) fn announce(scenario: &Scenario, arguments: &[String], surroundings: &[(String, String)]) -> Option<Window> {
    let plan = match arguments.first()?.as_str() {
        "apply" => of_an_apply(scenario, arguments, surroundings),
        "unadopt" => of_an_undo_record(scenario),
        _ => return None,
    };
    let announced = Arc::new(Announced {
        line: arguments.join(" "),
        before: objects(scenario, &plan),
        rendered: if plan.brings() { rendered(scenario, &plan) } else { Vec::new() },
        plan,
        release: scenario.release.clone(),
        namespace: scenario.namespace.clone(),
        began: Timestamp::now(),
        ended: OnceLock::new(),
    });
    scenario.announced(Arc::clone(&announced));
    Some(Window(announced))
}

/// The plan of the file that is applied, or the plan file itself; where there is neither, nothing may be written.
fn of_an_apply(scenario: &Scenario, arguments: &[String], surroundings: &[(String, String)]) -> Plan {
    if let Some(file) = arguments.iter().skip_while(|word| *word != "--plan").nth(1) {
        let text = fs::read_to_string(scenario.folder().join(file)).unwrap_or_default();
        return PlanFile::read(&text).map(|file| approved(&file)).unwrap_or_default();
    }
    let file = arguments[1..].iter().find(|word| !word.starts_with("--")).map_or("", String::as_str);
    let program = scenario.program(&["plan", file, "--output", "json"]);
    let asked = surroundings.iter().filter(|(name, _)| name != "KUBECONFIG");
    let ran = asked.fold(program, |program, (name, value)| program.variable(name, value)).run();
    serde_json::from_str(&ran.stdout).unwrap_or_default()
}

fn approved(file: &PlanFile) -> Plan {
    Plan { steps: file.tasks.iter().flat_map(|task| &task.steps).map(step).collect(), ..Plan::default() }
}

fn step(planned: &PlannedStep) -> Step {
    let (address, part) = planned.resource.split_once(" (").unwrap_or((&planned.resource, ""));
    let fields = planned.fields.iter().map(|field| Field {
        path: field.path.clone(),
        before: field.before.clone(),
        after: field.after.clone(),
        secret: field.secret_before.is_some() || field.secret_after.is_some(),
    });
    Step {
        address: address.to_owned(),
        part: part.strip_suffix(')').map(str::to_owned),
        action: planned.action.clone(),
        hidden_behind: planned.hidden_behind.clone(),
        reason: planned.reason.clone(),
        fields: fields.collect(),
        ..Step::default()
    }
}

/// What an `unadopt` may do, as what was written down says it: set back what definitions said of their owner.
fn of_an_undo_record(scenario: &Scenario) -> Plan {
    let record = scenario.find(&format!("configmap/cfrt-{}-undo", scenario.release)).unwrap_or_default();
    let entries = record["data"].as_object().into_iter().flatten();
    let steps = entries.map(|(name, former)| {
        let former: Value = serde_json::from_str(former.as_str().unwrap_or_default()).unwrap_or_default();
        let fields = ["labels", "annotations"].into_iter().flat_map(|place| {
            let said = former[place].as_object().cloned().unwrap_or_default();
            said.into_iter().map(move |(key, text)| Field {
                path: format!("metadata.{place}[{}]", Value::from(key)),
                after: Some(text).filter(|text| !text.is_null()),
                ..Field::default()
            })
        });
        Step {
            address: format!("apiextensions.k8s.io/v1/CustomResourceDefinition {name}"),
            part: Some("adoption".to_owned()),
            action: "update".to_owned(),
            fields: fields.collect(),
            ..Step::default()
        }
    });
    Plan { steps: steps.collect(), ..Plan::default() }
}

impl Announced {
    /// Whether it was at work when a request came in.
    pub(crate) fn was_at_work(&self, event: &Event) -> bool {
        let at: Timestamp = event.span().0.parse().expect("the audit log has times");
        self.began <= at && self.ended.get().is_none_or(|ended| at <= *ended)
    }

    /// Whether it may send this request.
    ///
    /// Our own books are held against what they may have in them, everything else against the steps.
    ///
    /// # Errors
    ///
    /// What speaks against it, in words.
    pub(crate) fn allows(&self, event: &Event) -> Result<(), String> {
        let about = |why: &str| Err(format!("`{}`: {why}", self.line));
        if event.is_last_apply() || event.is_key() {
            return Ok(());
        }
        if !self.plan.refused().is_empty() {
            return about("the plan is refused");
        }
        if self.plan.writing().next().is_none() {
            return about("the plan has nothing to do");
        }
        if event.is_book(&self.release) || event.is_undo_record() {
            return bookkeeping::body(&self.plan, event).or_else(|why| about(&why));
        }
        if event.is_record() && self.plan.writing().any(|step| step.address.starts_with("Release ")) {
            return Ok(());
        }
        let mut against = "no step says so".to_owned();
        for step in self.plan.steps.iter().filter(|step| announces(step, event)) {
            match body::judge(self, step, event) {
                Ok(()) => return Ok(()),
                Err(why) => against = format!("{}: {why}", step.told()),
            }
        }
        about(&against)
    }
}

/// Those objects of a plan that are there already.
pub(super) fn objects(scenario: &Scenario, plan: &Plan) -> Objects {
    let mut kinds: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| !step.is_hook() && matches!(step.action.as_str(), "update" | "migrate" | "keep"))
        .filter_map(|step| Some(step.address.split_once(' ')?.0))
        .filter(|kind| kind.contains('/'))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return Objects::new();
    }
    let get = |asked: Vec<String>| {
        let asked = ["get", &asked.join(","), "--output", "json"];
        // The runtime chart has objects in a namespace of others.
        let everywhere = || scenario.kubectl_anywhere(&[&asked[..], &["--all-namespaces"]].concat());
        if scenario.cluster_wide { everywhere() } else { scenario.kubectl(&asked) }
    };
    let mut found = get(kinds.iter().map(|kind| asked(kind)).collect());
    if found.stderr.contains("doesn't have a resource type") {
        // A version that only this plan brings.
        let served = scenario.kubectl(&["api-versions"]).exits(0).stdout;
        let is_served =
            |kind: &str| served.lines().any(|version| kind.rsplit_once('/').is_some_and(|of| of.0 == version));
        let any = |kind: &str| asked(&unversioned(kind));
        found = get(kinds.iter().map(|kind| if is_served(kind) { asked(kind) } else { any(kind) }).collect());
    }
    // A kind that kubectl doesn't know would leave all objects out, and every check of fields would pass.
    let found: Value = found.exits(0).json();
    let items = found["items"].as_array().into_iter().flatten();
    items.map(|item| (unversioned(&address(item)), item.clone())).collect()
}

/// An address, or its kind alone, without its version: `apps/Deployment codefresh/app-proxy`.
pub(super) fn unversioned(address: &str) -> String {
    let (kind, place) = address.split_at(address.find(' ').unwrap_or(address.len()));
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
    let group = version.split_once('/').map(|(group, _)| format!("{group}/")).unwrap_or_default();
    format!("{group}{kind}{place}")
}

/// `apps/v1/Deployment` as kubectl takes it: `deployment.v1.apps`; without a version `deployment.apps`.
fn asked(kind: &str) -> String {
    let (version, kind) = kind.rsplit_once('/').unwrap_or(("", kind));
    let kind = kind.to_lowercase();
    match version.split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}"),
        None if version.contains('.') => format!("{kind}.{version}"),
        None => kind,
    }
}

/// The address of an object, as a plan writes it.
pub(super) fn address(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = format!("{}/{}", text("/apiVersion"), text("/kind"));
    match text("/metadata/namespace") {
        "" => format!("{kind} {}", text("/metadata/name")),
        namespace => format!("{kind} {namespace}/{}", text("/metadata/name")),
    }
}

/// The words and the surroundings of a call.
pub(crate) fn call(program: &std::process::Command) -> (Vec<String>, Vec<(String, String)>) {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let surroundings = program.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
    (program.get_args().map(text).collect(), surroundings.collect())
}
