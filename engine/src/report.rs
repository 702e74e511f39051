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
    /// How many were carried out but not settled when the user stopped the run.
    pub not_awaited: usize,
    /// The steps that failed, in the order in which they did.
    pub failed: Vec<(ResourceId, Failure)>,
    /// The brackets that were closed as failed because of what happened inside.
    pub closed_as_failed: Vec<(ResourceId, Because)>,
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
            Outcome::NotAwaited => {
                self.stopped = true;
                self.not_awaited += 1;
            }
            Outcome::Failed(failure) => self.failed.push((resource.clone(), failure.clone())),
            Outcome::ClosedAsFailed(because) => {
                self.stopped |= *because == Because::Stopped;
                self.closed_as_failed.push((resource.clone(), because.clone()));
            }
            Outcome::Skipped(because) => {
                self.stopped |= *because == Because::Stopped;
                self.skipped.push((resource.clone(), because.clone()));
            }
        }
    }

    /// Whether everything is as the plan wanted it.
    pub fn complete(&self) -> bool {
        let ended = self.failed.is_empty() && self.skipped.is_empty() && self.closed_as_failed.is_empty();
        ended && self.not_awaited == 0
    }
}
