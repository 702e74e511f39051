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
    /// It was carried out, but before it was settled the run was stopped, or something else failed.
    NotAwaited,
    /// It failed.
    Failed(Failure),
    /// It was opened, and closed as failed because of what happened inside.
    ClosedAsFailed(Because),
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

impl Failure {
    /// All causes in one line that names what it is about. What only announces the lines below it is left out with them.
    pub fn sentence(&self, about: &str) -> String {
        let first_line = |cause: &str| match cause.split_once('\n') {
            Some((first, _)) if first.ends_with(':') => None,
            Some((first, _)) => Some(first.to_owned()),
            None => Some(cause.to_owned()),
        };
        let causes = without_repetition(&self.causes).into_iter().filter_map(first_line).collect::<Vec<_>>().join(": ");
        if causes.contains(about) { causes } else { format!("{about}: {causes}") }
    }
}

/// Causes without what the ones before them have said already, with which some begin.
pub fn without_repetition(causes: &[String]) -> Vec<&str> {
    let mut said = "";
    let mut news = Vec::new();
    for cause in causes {
        if !said.ends_with(cause.as_str()) {
            news.push(cause.strip_prefix(said).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(cause));
        }
        said = cause;
    }
    news
}

/// Why a step was not started, or not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Something that it needs failed.
    Needs(ResourceId),
    /// The user stopped the run.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(causes: &[&str]) -> String {
        let causes = causes.iter().map(|cause| (*cause).to_owned()).collect();
        Failure { causes, fault: Fault::World, hint: String::new() }.sentence("Job a")
    }

    #[test]
    fn a_sentence_names_what_it_is_about_once() {
        assert_eq!(sentence(&["waiting for Job a", "it failed"]), "waiting for Job a: it failed");
        assert_eq!(sentence(&["sending a patch", "denied"]), "Job a: sending a patch: denied");
    }

    #[test]
    fn a_sentence_is_one_line_and_holds_no_log() {
        assert_eq!(
            sentence(&["waiting for Job a", "exit code 1", "its log ends:\none\ntwo"]),
            "waiting for Job a: exit code 1"
        );
        assert_eq!(sentence(&["rendering for Job a", "no\n  such value"]), "rendering for Job a: no");
    }

    #[test]
    fn a_sentence_says_nothing_twice() {
        assert_eq!(sentence(&["creating Job a", "creating Job a: denied", "denied"]), "creating Job a: denied");
        assert_eq!(sentence(&[]), "Job a: ");
    }
}
