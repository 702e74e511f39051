//! An approved plan and the one that would be carried out now: whether they do the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanFile, PlannedStep};

/// What the key of the fingerprints is called beside what else a plan is made for.
const KEY: &str = "key of secrets";

/// How a plan that was approved stands to the one that would be carried out now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What is another one than it was: name, then, now. Nothing where one of the two doesn't have it.
    pub target: Vec<(String, Option<String>, Option<String>)>,
    /// What would be done otherwise than it was approved, by resource.
    pub differences: Vec<Difference>,
    /// How many of the approved steps are still to do.
    pub to_do: usize,
    /// How many of them need nothing any more.
    pub already_so: usize,
}

/// A resource to which something else would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The resource.
    pub resource: String,
    /// What was approved; `None` where nothing was to be done.
    pub approved: Option<PlannedStep>,
    /// What would be done now; `None` where nothing would, though it isn't as it was to be.
    pub now: Option<PlannedStep>,
    /// Whether the plan of now leaves it as it is; otherwise it has no place in it.
    pub stays: bool,
}

impl Comparison {
    /// Whether nothing would be done that was not approved.
    pub fn is_same(&self) -> bool {
        self.target.is_empty() && self.differences.is_empty()
    }
}

/// Compares an approved plan with one that was made now. What was approved and is so by now needs nothing; everything else
/// must be as it was approved.
pub fn compare(approved: &PlanFile, now: &PlanFile) -> Comparison {
    let mut target = targets(&approved.target, &now.target);
    if approved.key != now.key {
        target.push((KEY.to_owned(), approved.key.clone(), now.key.clone()));
    }
    let mut comparison = Comparison { target, ..Comparison::default() };
    let (then, today) = (by_resource(approved), by_resource(now));
    let kept: BTreeMap<&str, &str> =
        now.tasks.iter().flat_map(|task| &task.kept).map(|(resource, wanted)| (&**resource, &**wanted)).collect();
    let resources: BTreeSet<&str> = then.keys().chain(today.keys()).copied().collect();
    for resource in resources {
        match (then.get(resource), today.get(resource)) {
            (Some(approved), Some(now)) if approved.effects() == now.effects() || is_rest(approved, now) => {
                comparison.to_do += 1;
            }
            (Some(approved), None) if is_over(approved, kept.get(resource).copied(), &today) => {
                comparison.already_so += 1;
            }
            (approved, now) => comparison.differences.push(Difference {
                resource: resource.to_owned(),
                approved: approved.map(|step| PlannedStep::clone(step)),
                now: now.map(|step| PlannedStep::clone(step)),
                stays: kept.contains_key(resource),
            }),
        }
    }
    comparison
}

/// Whether a step is what is left of an approved one: a replacement that was cut off after its deletion.
fn is_rest(approved: &PlannedStep, now: &PlannedStep) -> bool {
    (approved.action.as_str(), now.action.as_str()) == ("replace", "create")
        && approved.configuration == now.configuration
}

/// Whether an approved step is through, of which no plan has anything any more. What is kept must be as it was wanted; what
/// was to be deleted is gone where no plan knows it; and a hook runs with its revision only, so that it has nothing to do
/// where nothing else has.
fn is_over(approved: &PlannedStep, kept: Option<&str>, today: &BTreeMap<&str, &PlannedStep>) -> bool {
    match (approved.action.as_str(), kept) {
        ("delete", kept) => kept.is_none(),
        (_, Some(wanted)) => wanted == approved.configuration,
        (action, None) => action == "run" && today.is_empty(),
    }
}

fn by_resource(file: &PlanFile) -> BTreeMap<&str, &PlannedStep> {
    file.steps().map(|step| (step.resource.as_str(), step)).collect()
}

fn targets(
    approved: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<(String, Option<String>, Option<String>)> {
    let names: BTreeSet<&String> = approved.keys().chain(now.keys()).collect();
    let differs = names.into_iter().filter(|name| approved.get(*name) != now.get(*name));
    differs.map(|name| (name.clone(), approved.get(name).cloned(), now.get(name).cloned())).collect()
}
