//! What a journal says: what is meant to happen, how each hook went, and how it all ended. Nothing in it is secret.

use std::collections::BTreeMap;

use cfrt_engine::change::Action;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::resource::{ResourceId, Trigger};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Beginning, FORMAT};

/// How many steps are named; the others are counted.
pub(super) const NAMED: usize = 200;

/// The longest line about a step.
const LONGEST: usize = 400;

/// What is meant to happen.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// The command, as `apply`.
    pub command: String,
    /// The digest of the plan.
    pub plan: String,
    /// The file that it was made from, without its folder.
    pub file: String,
    /// How many steps there are of each action.
    pub counts: BTreeMap<String, usize>,
    /// The steps that write, each in one line.
    steps: Vec<String>,
    /// How many there are besides.
    more: usize,
}

impl Opening {
    /// What a plan means to do.
    pub fn of(plan: &Plan, command: &str, digest: &str, file: &str) -> Self {
        let mut counts = BTreeMap::new();
        let writing: Vec<&Step> = plan.in_order().filter(|step| step.change.action.writes()).collect();
        for step in &writing {
            *counts.entry(word(step).to_owned()).or_default() += 1;
        }
        let steps =
            writing.iter().take(NAMED).map(|step| bounded(&format!("{} {}", word(step), named(&step.resource.id))));
        Self {
            command: command.to_owned(),
            plan: digest.to_owned(),
            file: bounded(file),
            counts,
            steps: steps.collect(),
            more: writing.len().saturating_sub(NAMED),
        }
    }

    /// As the data of a ConfigMap.
    pub(super) fn data(&self, begin: &Beginning) -> Value {
        let Self { command, plan, file, counts, steps, more } = self;
        let Beginning { run, who, at, .. } = begin;
        let opening = json!({"format": FORMAT, "run": run, "command": command, "by": who, "began": at, "plan": plan,
            "file": file, "counts": counts});
        json!({"run": opening.to_string(), "steps": lines(steps, *more)})
    }
}

/// Lines of text, of which some may be left out.
pub(super) fn lines(lines: &[String], more: usize) -> String {
    let rest = (more > 0).then(|| format!("and {more} more"));
    lines.iter().cloned().chain(rest).map(|line| line + "\n").collect()
}

/// A line that is not too long.
pub(super) fn bounded(line: &str) -> String {
    let line = line.replace(['\n', '\r'], " ");
    if line.chars().count() <= LONGEST { line } else { line.chars().take(LONGEST).chain(['…']).collect() }
}

/// What is done in a step, in the words of a plan's JSON.
fn word(step: &Step) -> &'static str {
    match step.change.action {
        Action::Create if matches!(step.resource.trigger, Trigger::With(_)) => "run",
        action => action_word(action),
    }
}

/// What is done, in the words of a plan's JSON.
pub(super) fn action_word(action: Action) -> &'static str {
    match action {
        Action::Keep => "keep",
        Action::Migrate => "migrate",
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace => "replace",
        Action::Delete => "delete",
        Action::Refuse => "refuse",
    }
}

/// A resource as people say it.
pub(super) fn named(id: &ResourceId) -> String {
    use cfrt_engine::resource::Part;
    match &id.part {
        Part::Whole => id.address.short().to_string(),
        Part::Adoption => format!("{} (adoption)", id.address.short()),
        Part::Fields(name) => format!("{} ({name})", id.address.short()),
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// In a word, as `done`.
    pub outcome: &'static str,
    /// The exit code.
    pub exit: u8,
}

impl End {
    pub(super) fn text(&self, at: &str, seconds: u64) -> String {
        json!({"outcome": self.outcome, "exit": self.exit, "ended": at, "seconds": seconds}).to_string()
    }
}

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookOutcome {
    /// Well.
    Succeeded,
    /// Not well.
    Failed,
}

/// What is known of a hook: it was about to run, it was made, it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookNote {
    /// Its full address.
    pub address: String,
    /// The event that it runs at.
    pub event: String,
    /// The uid of what bore its name before it was made.
    pub before: Option<String>,
    /// The uid that it was made as.
    pub uid: Option<String>,
    /// When it was about to run.
    pub started: String,
    /// When it had ended.
    pub completed: Option<String>,
    /// How it ended.
    pub outcome: Option<HookOutcome>,
}

impl HookNote {
    /// That a hook is about to run, in the place of what has this uid.
    pub fn intent(of: &ResourceId, before: Option<String>, started: String) -> Self {
        let (address, event) = (of.address.to_string(), event(of));
        Self { address, event, before, uid: None, started, completed: None, outcome: None }
    }

    /// Whether it is about a hook at its event.
    pub fn is_about(&self, hook: &ResourceId) -> bool {
        self.address == hook.address.to_string() && self.event == event(hook)
    }

    /// Whether an object with this uid is what the hook was made as. Where that was not written down any more, it is what
    /// has taken the place of what was there before.
    pub fn made(&self, uid: &str) -> bool {
        match &self.uid {
            Some(made) => made == uid,
            None => self.before.as_deref() != Some(uid),
        }
    }

    /// The hook as people say it: `Job codefresh/migrate (pre-install)`.
    pub fn told(&self) -> String {
        let short = self.address.split_once(' ').map_or(self.address.clone(), |(kind, place)| {
            format!("{} {place}", kind.rsplit('/').next().unwrap_or_default())
        });
        format!("{short} ({})", self.event)
    }

    /// Whether it ended well.
    pub fn has_succeeded(&self) -> bool {
        self.outcome == Some(HookOutcome::Succeeded)
    }
}

fn event(hook: &ResourceId) -> String {
    use cfrt_engine::resource::Part;
    match &hook.part {
        Part::Fields(event) => (*event).to_owned(),
        Part::Whole | Part::Adoption => String::new(),
    }
}
