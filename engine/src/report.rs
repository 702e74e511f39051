//! Events to the report: what was applied, what failed and why, what was not started.

use crate::change::Action;
use crate::event::{Because, Event, Failure, Outcome};
use crate::resource::ResourceId;

/// How an apply went; a fold over its events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// How many steps were carried out.
    pub done: usize,
    /// How many needed nothing.
    pub unchanged: usize,
    /// The steps that failed, in the order in which they did.
    pub failed: Vec<(ResourceId, Failure)>,
    /// The steps that were not started.
    pub skipped: Vec<(ResourceId, Because)>,
    /// Whether the user stopped the run before all was started.
    pub stopped: bool,
}

impl Report {
    /// Takes one event into account.
    pub fn take(&mut self, event: &Event) {
        let Event::Finished { resource, action, outcome, .. } = event else { return };
        match outcome {
            Outcome::Done if *action == Action::Keep => self.unchanged += 1,
            Outcome::Done => self.done += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Failed(failure) => self.failed.push((resource.clone(), failure.clone())),
            Outcome::Skipped(because) => {
                self.stopped |= *because == Because::Stopped;
                self.skipped.push((resource.clone(), because.clone()));
            }
        }
    }

    /// Whether everything is as the plan wanted it.
    pub fn complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}
