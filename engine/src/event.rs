//! What happens during an apply, as plain data.

use crate::change::{Action, Change};
use crate::driver::Fault;
use crate::resource::ResourceId;
use crate::task::TaskId;

/// One thing that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A step is being carried out, or waited for.
    Started {
        /// Whose step.
        resource: ResourceId,
        /// The task it belongs to.
        task: TaskId,
        /// What is being done.
        action: Action,
    },
    /// What was hidden when the plan was made has been seen, and this is what happens instead.
    Revealed {
        /// Whose step.
        resource: ResourceId,
        /// What happens to it.
        change: Change,
    },
    /// A step is done but what comes after it has to wait.
    Waiting {
        /// Whose step.
        resource: ResourceId,
        /// The task it belongs to.
        task: TaskId,
        /// What is lacking, in a few words.
        lacking: String,
    },
    /// A step has ended.
    Finished {
        /// Whose step.
        resource: ResourceId,
        /// The task it belongs to.
        task: TaskId,
        /// What was done.
        action: Action,
        /// How it ended.
        outcome: Outcome,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was carried out, and what it is about is settled.
    Done,
    /// Nothing was to be done.
    Unchanged,
    /// It failed.
    Failed(Failure),
    /// It was not started.
    Skipped(Because),
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was being done and why it failed, outermost first.
    pub causes: Vec<String>,
    /// What kind of trouble it was.
    pub fault: Fault,
    /// What the user can do about it; empty where nothing is known.
    pub hint: String,
}

/// Why a step was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Something that it needs failed.
    Needs(ResourceId),
    /// The user stopped the run.
    Stopped,
}
