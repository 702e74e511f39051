//! A plan to findings: what has moved in the world since it was last as wanted, and what of that the file ignores. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::change::{Action, Change, FieldChange, Moved, Origin};
use crate::ignore::{Day, Rule};
use crate::plan::{Plan, Step};
use crate::resource::{ResourceId, Trigger};
use crate::task::TaskId;

/// What has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// What counts, in the order of the plan.
    pub findings: Vec<Finding>,
    /// What a rule of the file ignores.
    pub ignored: Vec<Ignored>,
    /// What is to be said of the rules themselves.
    pub notes: Vec<Note>,
    /// How many resources an apply would write, or refuses to, for another reason than that they moved.
    pub changes: usize,
    /// How many of these it refuses.
    pub refused: usize,
    /// How many resources are as they should be.
    pub kept: usize,
}

/// One thing that has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Of which resource.
    pub resource: ResourceId,
    /// Whose that is.
    pub task: TaskId,
    /// In which way.
    pub sort: Sort,
    /// The field; empty where it is the whole.
    pub path: String,
    /// What was there, or should be.
    pub was: Option<Value>,
    /// What is there.
    pub is: Option<Value>,
    /// What the world says of who moved it.
    pub moved: Moved,
    /// Whether what is wanted has moved as well.
    pub also_changed: bool,
    /// Why nothing sets it right; empty where an apply does.
    pub refused: String,
    /// What tells it from all others, from one run to the next: 8 hexadecimal digits.
    pub fingerprint: String,
}

/// In which way something has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// It says something else.
    Changed,
    /// A field is gone.
    Missing,
    /// Something is there that should not be.
    Extra,
    /// All of it is gone.
    Deleted,
    /// Someone else has taken all that it holds further: a release.
    Moved,
}

/// A finding that doesn't count.
#[derive(Debug, Clone, PartialEq)]
pub struct Ignored {
    /// The finding.
    pub finding: Finding,
    /// Why, in the file's words.
    pub reason: String,
    /// The last day on which it doesn't count.
    pub until: Day,
}

/// What is to be said of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It holds no longer; the findings that it would have ignored count.
    Expired(Rule),
    /// It ignored nothing, though there is such a resource.
    Idle(Rule),
    /// There is no such resource.
    Stranger(Rule),
}

impl Note {
    /// Whether its rule holds no longer.
    pub fn is_expired(&self) -> bool {
        match self {
            Self::Expired(_) => true,
            Self::Idle(_) | Self::Stranger(_) => false,
        }
    }
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Changed, Self::Missing, Self::Extra, Self::Deleted, Self::Moved];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Deleted => "deleted",
            Self::Moved => "moved",
        }
    }
}

impl Drift {
    /// How many resources have moved in a way that counts.
    pub fn moved(&self) -> usize {
        self.findings.iter().map(|finding| &finding.resource).collect::<BTreeSet<_>>().len()
    }
}

/// Finds what has moved, and holds it against the rules of the file as of a day.
pub fn drift(plan: &Plan, rules: &[Rule], today: Day) -> Drift {
    let is_scope = |step: &Step| {
        plan.graph.scopes().iter().any(|scope| plan.graph.resources()[scope.owner].id == step.resource.id)
    };
    let found: Vec<Finding> = plan.in_order().flat_map(|step| findings(step, is_scope(step))).collect();
    let notes = rules.iter().filter_map(|rule| note(plan, &found, rule, today)).collect();
    let (mut findings, mut ignored) = (Vec::new(), Vec::new());
    for finding in found {
        match rules.iter().find(|rule| rule.holds(today) && rule.matches(&finding.resource, &finding.path)) {
            Some(rule) => ignored.push(Ignored { finding, reason: rule.reason.clone(), until: rule.until }),
            None => findings.push(finding),
        }
    }
    let changed = || plan.steps.iter().filter(|step| is_change(step));
    Drift {
        findings,
        ignored,
        notes,
        changes: changed().count(),
        refused: changed().filter(|step| step.change.action == Action::Refuse).count(),
        kept: plan.steps.iter().filter(|step| is_kept(step)).count(),
    }
}

fn note(plan: &Plan, found: &[Finding], rule: &Rule, today: Day) -> Option<Note> {
    let is_known = plan.steps.iter().any(|step| rule.is_about(&step.resource.id));
    let is_used = found.iter().any(|finding| rule.matches(&finding.resource, &finding.path));
    match (rule.holds(today), is_known, is_used) {
        (false, _, _) => Some(Note::Expired(rule.clone())),
        (true, false, _) => Some(Note::Stranger(rule.clone())),
        (true, true, false) => Some(Note::Idle(rule.clone())),
        (true, true, true) => None,
    }
}

/// Whether nothing is to be done about a resource by itself; a hook runs only with something else.
fn is_kept(step: &Step) -> bool {
    match (step.change.action, &step.resource.trigger) {
        (Action::Refuse, _) => false,
        (Action::Keep, _) | (_, Trigger::With(_)) => true,
        (_, Trigger::Differs) => false,
    }
}

/// Whether something else than the world makes a step act. What follows another step is no change of its own.
fn is_change(step: &Step) -> bool {
    let Change { action, fields, origin, .. } = &step.change;
    let acts = action.writes() || *action == Action::Refuse;
    let by_the_world = |origin: &Option<Origin>| matches!(origin, Some(Origin::World(_)));
    let moved =
        if fields.is_empty() { by_the_world(origin) } else { fields.iter().all(|field| by_the_world(&field.origin)) };
    acts && !moved && step.resource.trigger == Trigger::Differs
}

/// What has moved of one resource, each field once.
fn findings(step: &Step, is_scope: bool) -> Vec<Finding> {
    let gone = Origin::World(Moved::default());
    let whole = match step.change.action {
        // Nobody could tell what is no longer there from what never was; a release that the file names is missed either way.
        Action::Create if is_scope => Some((Sort::Deleted, None, &gone)),
        action => step.change.origin.as_ref().map(|origin| (whole_sort(action, is_scope), None, origin)),
    };
    let fields = step
        .change
        .fields
        .iter()
        .filter_map(|field| Some((field_sort(field, is_scope), Some(field), field.origin.as_ref()?)));
    let mut told = BTreeSet::new();
    let finding = |(sort, field, origin): (Sort, Option<&FieldChange>, &Origin)| {
        let finding = finding(step, sort, field, origin)?;
        told.insert(finding.fingerprint.clone()).then_some(finding)
    };
    whole.into_iter().chain(fields).filter_map(finding).collect()
}

fn whole_sort(action: Action, is_scope: bool) -> Sort {
    match action {
        _ if is_scope => Sort::Moved,
        Action::Create => Sort::Deleted,
        Action::Delete => Sort::Extra,
        Action::Keep | Action::Migrate | Action::Update | Action::Replace | Action::Refuse => Sort::Changed,
    }
}

fn field_sort(field: &FieldChange, is_scope: bool) -> Sort {
    match (&field.before, &field.after) {
        _ if is_scope => Sort::Moved,
        (None, _) => Sort::Missing,
        (Some(_), None) => Sort::Extra,
        (Some(_), Some(_)) => Sort::Changed,
    }
}

fn finding(step: &Step, sort: Sort, field: Option<&FieldChange>, origin: &Origin) -> Option<Finding> {
    let moved = origin.moved()?.clone();
    let also_changed = matches!(origin, Origin::Both(_));
    let path = field.map_or_else(String::new, |field| field.path.clone());
    let wanted = field.filter(|_| !also_changed).and_then(|field| field.after.clone());
    let refused = if step.change.action == Action::Refuse { step.change.reason.clone() } else { String::new() };
    Some(Finding {
        resource: step.resource.id.clone(),
        task: step.resource.task.clone(),
        sort,
        fingerprint: fingerprint(&step.resource.id, sort, &path),
        was: moved.was.clone().or(wanted),
        is: field.and_then(|field| field.before.clone()),
        path,
        moved,
        also_changed,
        refused,
    })
}

/// The same from run to run, whatever the values are by then.
fn fingerprint(resource: &ResourceId, sort: Sort, path: &str) -> String {
    let digest = Sha256::digest(format!("{resource}\0{}\0{path}", sort.word()));
    digest.iter().take(4).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests;
