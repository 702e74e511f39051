//! `[policy]`: what is refused for good reason, and the file agrees to all the same.

use serde::Deserialize;
use toml::Spanned;

use crate::change::{Action, Change};
use crate::desired::DesiredState;
use crate::ignore::{is_about, not_a_resource};
use crate::plan::Plan;
use crate::source::{Mistake, Mistakes, gather};

/// What the file agrees to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What may be done: a replacement, a deletion, or an update.
    pub action: Action,
    /// To which resource, as it is printed, with or without group and version.
    pub resource: String,
    /// Why.
    pub reason: String,
}

/// The table `[policy]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    allow: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    action: Verb,
    resource: Spanned<String>,
    reason: Spanned<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    Replace,
    Delete,
    Update,
}

/// Reads `[policy]`.
///
/// # Errors
///
/// Everything in it that is no consent.
pub(crate) fn consents(desired: &DesiredState<'_>) -> Result<Vec<Consent>, Mistakes> {
    let table: Table = desired.table("policy")?.unwrap_or_default();
    gather(table.allow.into_iter().map(consent))
}

fn consent(Entry { action, resource, reason }: Entry) -> Result<Consent, Mistakes> {
    let mistakes: Vec<Mistake> = [not_a_resource(&resource), without_a_reason(&reason)].into_iter().flatten().collect();
    if !mistakes.is_empty() {
        return Err(Mistakes(mistakes));
    }
    let action = match action {
        Verb::Replace => Action::Replace,
        Verb::Delete => Action::Delete,
        Verb::Update => Action::Update,
    };
    Ok(Consent { action, resource: resource.into_inner(), reason: reason.into_inner() })
}

fn without_a_reason(reason: &Spanned<String>) -> Option<Mistake> {
    let mistake =
        || Mistake::new(reason.span(), "the reason is empty").label("say why this may be lost: it is printed");
    reason.get_ref().trim().is_empty().then(mistake)
}

/// The plan with what is refused only for want of a consent that the file gives.
pub fn agreed(mut plan: Plan, consents: &[Consent]) -> Plan {
    for step in &mut plan.steps {
        let Some(instead) = step.change.unless_agreed.take() else { continue };
        // A migration is the update by which an object comes to be ours.
        let action = if instead.action == Action::Migrate { Action::Update } else { instead.action };
        let fits = |consent: &&Consent| consent.action == action && is_about(&consent.resource, &step.resource.id);
        if let Some(consent) = consents.iter().find(fits) {
            let reason = format!("{}; the file agrees: {}", instead.reason, consent.reason);
            step.change = Change { reason, ..*instead };
            step.settled = false;
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::compile::Expanded;
    use crate::driver::Observation;
    use crate::graph::ResourceGraph;
    use crate::plan::Step;
    use crate::resource::{Address, Resource, ResourceId, Trigger, Want};
    use crate::task::{Expansion, TaskId};

    fn plan_of(change: Change) -> Plan {
        let task = TaskId { kind: "chart", name: String::new() };
        let resource = Resource {
            id: ResourceId::whole(Address::new("apps/v1/StatefulSet", "n", "a")),
            task: task.clone(),
            driver: "object",
            want: Want::Absent,
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: serde_json::Value::Null,
        };
        let expansion = Expansion { resources: vec![resource.clone()], ..Expansion::default() };
        let graph = ResourceGraph::new(vec![Expanded { id: task, after: Vec::new(), expansion }]).expect("it is sound");
        let step = Step { resource: Arc::new(resource), change, seen: Observation::Absent, settled: true };
        Plan { graph, steps: vec![step] }
    }

    fn decided(action: Action, resource: &str) -> (Action, String) {
        let replaced = Change::of(Action::Replace).because("spec can't change").unless_agreed("its data would go");
        let consent = Consent { action, resource: resource.to_owned(), reason: "there is a backup".to_owned() };
        let Change { action, reason, unless_agreed, .. } = agreed(plan_of(replaced), &[consent]).steps.remove(0).change;
        assert_eq!(unless_agreed, None);
        (action, reason)
    }

    #[test]
    fn only_the_very_consent_that_is_needed_turns_a_refusal_into_what_it_is_about() {
        let refused = (Action::Refuse, "its data would go".to_owned());
        assert_eq!(decided(Action::Replace, "StatefulSet n/b"), refused);
        assert_eq!(decided(Action::Delete, "StatefulSet n/a"), refused);
        let agreed = (Action::Replace, "spec can't change; the file agrees: there is a backup".to_owned());
        assert_eq!(decided(Action::Replace, "StatefulSet n/a"), agreed);
        assert_eq!(decided(Action::Replace, "apps/v1/StatefulSet n/a"), agreed);
    }

    #[test]
    fn a_consent_to_an_update_is_one_to_the_migration_that_comes_before_all_updates() {
        for action in [Action::Update, Action::Migrate] {
            let refused = Change::of(action).because("x").unless_agreed("argocd:a keeps it");
            let (resource, reason) = ("StatefulSet n/a".to_owned(), "they know".to_owned());
            let consent = Consent { action: Action::Update, resource, reason };
            assert_eq!(agreed(plan_of(refused), &[consent]).steps.remove(0).change.action, action);
        }
    }
}
