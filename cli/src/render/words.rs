//! The signs, words and colours for what happens to a resource: the same everywhere.

use std::collections::BTreeSet;

use anstyle::{AnsiColor, Color, Effects, Style};
use cfrt_engine::change::{Action, Moved};
use cfrt_engine::driver::Observation;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::resource::{Part, ResourceId, Trigger};

use crate::render::clean::clean;

/// How an error begins.
pub(crate) const ERROR: Style = bold(AnsiColor::Red);
/// How advice begins.
pub(crate) const HINT: Style = bold(AnsiColor::Cyan);
/// What stands back.
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);
/// What was added.
pub(crate) const ADDED: Style = plain(AnsiColor::Green);
/// What was taken away.
pub(crate) const REMOVED: Style = plain(AnsiColor::Red);
const CHANGED: Style = plain(AnsiColor::Yellow);

const fn plain(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

const fn bold(color: AnsiColor) -> Style {
    plain(color).effects(Effects::BOLD)
}

/// What a plan shows of a step: its action, and whether that is known by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing happens.
    Keep,
    /// Only its ownership moves.
    Migrate,
    /// It is made.
    Create,
    /// It runs because something else happens: a hook.
    Run,
    /// It can't be looked at before something else is there.
    Hidden,
    /// Some of its fields are written.
    Update,
    /// It is deleted and made again.
    Replace,
    /// It is deleted.
    Delete,
    /// It would have to change but may not.
    Refuse,
}

impl Mark {
    /// All of them, in the order in which they are counted.
    pub(crate) const ALL: [Self; 9] = [
        Self::Create,
        Self::Run,
        Self::Update,
        Self::Replace,
        Self::Delete,
        Self::Migrate,
        Self::Hidden,
        Self::Refuse,
        Self::Keep,
    ];

    /// What a step is shown as.
    pub(crate) fn of(step: &Step) -> Self {
        match step.change.action {
            Action::Create if matches!(step.resource.trigger, Trigger::With(_)) => Self::Run,
            Action::Create if hidden_behind(step).is_some() => Self::Hidden,
            Action::Create => Self::Create,
            Action::Keep => Self::Keep,
            Action::Migrate => Self::Migrate,
            Action::Update => Self::Update,
            Action::Replace => Self::Replace,
            Action::Delete => Self::Delete,
            Action::Refuse => Self::Refuse,
        }
    }

    /// Its one sign.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Keep => '=',
            Self::Migrate => '>',
            Self::Create => '+',
            Self::Run => '*',
            Self::Hidden => '?',
            Self::Update => '~',
            Self::Replace => '±',
            Self::Delete => '-',
            Self::Refuse => '!',
        }
    }

    /// The one that a plan's JSON has this word for.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| *mark != Self::Hidden && mark.word() == word)
    }

    /// Its word in a plan's JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Migrate => "migrate",
            Self::Create | Self::Hidden => "create",
            Self::Run => "run",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Refuse => "refuse",
        }
    }

    /// The sign in its colour.
    pub(crate) fn painted(self) -> String {
        paint(self.style(), self.sign())
    }

    /// Some of them, as a plan's last line counts them: `2 to create`.
    pub(crate) fn counted(self, count: usize) -> String {
        let words = match self {
            Self::Keep if count == 1 => "as it should be",
            Self::Keep => "as they should be",
            Self::Migrate => "to migrate",
            Self::Create => "to create",
            Self::Run if count == 1 => "hook to run",
            Self::Run => "hooks to run",
            Self::Hidden => "known later",
            Self::Update => "to update",
            Self::Replace => "to replace",
            Self::Delete => "to delete",
            Self::Refuse => "refused",
        };
        format!("{count} {words}")
    }

    fn style(self) -> Style {
        match self {
            Self::Keep => DIM,
            Self::Create | Self::Run => ADDED,
            Self::Migrate | Self::Update | Self::Hidden => CHANGED,
            Self::Replace | Self::Delete | Self::Refuse => REMOVED,
        }
    }
}

/// The words for what is done to the resources of a plan: a hook runs, everything else is written.
#[derive(Debug, Clone)]
pub(crate) struct Verbs {
    hooks: BTreeSet<ResourceId>,
}

impl Verbs {
    /// The words for a plan.
    pub(crate) fn new(plan: &Plan) -> Self {
        let hooks = plan.steps.iter().filter(|step| matches!(step.resource.trigger, Trigger::With(_)));
        Self { hooks: hooks.map(|step| step.resource.id.clone()).collect() }
    }

    /// What is being done: `creating Deployment codefresh/app-proxy`.
    pub(crate) fn acting(&self, id: &ResourceId, action: Action) -> String {
        format!("{} {}", self.doing(id, action), self.object(id))
    }

    /// What was done: `ran hook Job codefresh/migrate (pre-install)`.
    pub(crate) fn acted(&self, id: &ResourceId, action: Action) -> String {
        let done = if self.hooks.contains(id) { "ran" } else { under_way_and_after(action).1 };
        format!("{done} {}", self.object(id))
    }

    /// What was written, whether it has come to anything or not: `started hook Job codefresh/migrate (pre-install)`.
    pub(crate) fn written(&self, id: &ResourceId, action: Action) -> String {
        let begun = if self.hooks.contains(id) { "started" } else { under_way_and_after(action).1 };
        format!("{begun} {}", self.object(id))
    }

    /// The bare word for what is being done.
    pub(crate) fn doing(&self, id: &ResourceId, action: Action) -> &'static str {
        if self.hooks.contains(id) { "running" } else { under_way_and_after(action).0 }
    }

    /// What it is done to.
    pub(crate) fn object(&self, id: &ResourceId) -> String {
        if self.hooks.contains(id) { format!("hook {}", name(id)) } else { name(id) }
    }
}

fn under_way_and_after(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Keep => ("waiting for", "unchanged"),
        Action::Migrate => ("migrating", "migrated"),
        Action::Create => ("creating", "created"),
        Action::Update => ("updating", "updated"),
        Action::Replace => ("replacing", "replaced"),
        Action::Delete => ("deleting", "deleted"),
        Action::Refuse => ("refusing", "refused"),
    }
}

/// A resource as people say it: `Deployment codefresh/app-proxy`.
pub(crate) fn name(id: &ResourceId) -> String {
    let short = id.address.short().to_string();
    let name = match &id.part {
        Part::Whole => short,
        Part::Adoption => format!("{short} (adoption)"),
        Part::Fields(name) => format!("{short} ({name})"),
    };
    clean(&name).into_owned()
}

/// Who moved something in the cluster, and when: `kubectl (scale), time unknown`.
pub(crate) fn who(moved: &Moved) -> String {
    let Moved { by, via, at, was: _ } = moved;
    let via = via.as_ref().map(|via| format!(" ({via})")).unwrap_or_default();
    let words = match (by, at) {
        (Some(by), Some(at)) => format!("{by}{via} at {at}"),
        (Some(by), None) => format!("{by}{via}, time unknown"),
        (None, _) => "who and when unknown".to_owned(),
    };
    clean(&words).into_owned()
}

/// What must be there before a step can be looked at.
pub(crate) fn hidden_behind(step: &Step) -> Option<&ResourceId> {
    match &step.seen {
        Observation::Hidden { behind } => Some(behind),
        Observation::Absent | Observation::Unmoved | Observation::Present { .. } => None,
    }
}

/// Something in a colour; where colour isn't wanted, it is taken out again on the way to the terminal.
pub(crate) fn paint(style: Style, what: impl std::fmt::Display) -> String {
    format!("{style}{what}{style:#}")
}

/// A count with the right form of its noun.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("{count} {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::SIGNS;

    #[test]
    fn every_sign_of_a_plan_is_explained_in_the_help_of_plan() {
        for mark in Mark::ALL {
            assert!(SIGNS.contains(&format!("\n  {}  ", mark.sign())), "{mark:?}");
        }
        assert_eq!(SIGNS.lines().count(), 1 + Mark::ALL.len());
    }
}
