//! The exit codes: a contract. What went how to the one number that scripts see.

use cfrt_engine::change::Action;
use cfrt_engine::driver::Fault;
use cfrt_engine::plan::Plan;
use cfrt_engine::report::Report;

use crate::trouble::Trouble;

/// How a run of `cfrt` ended. The numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything is in step, or done.
    Done,
    /// Something went wrong that has no code of its own.
    Failed,
    /// Something would change; only when asked for.
    Changes,
    /// Something has moved in the world.
    Drift,
    /// Something has moved in the world, and something would change.
    DriftAndChanges,
    /// A rule or a check forbids it.
    Refused,
    /// The world is not what the plan was made for, or not the cluster that was meant.
    Stale,
    /// The plan file is not genuine.
    NotGenuine,
    /// Someone else is at work there.
    Locked,
    /// Something took longer than we wait.
    TimedOut,
    /// Some of it was applied, and some of it was not.
    PartlyApplied,
    /// The cluster does not permit it.
    NotPermitted,
    /// The command line or the file is wrong.
    Usage,
    /// The user stopped it.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 14] = [
        Self::Done,
        Self::Failed,
        Self::Changes,
        Self::Drift,
        Self::DriftAndChanges,
        Self::Refused,
        Self::Stale,
        Self::NotGenuine,
        Self::Locked,
        Self::TimedOut,
        Self::PartlyApplied,
        Self::NotPermitted,
        Self::Usage,
        Self::Interrupted,
    ];

    /// Where several fit, the first of these is the one; all others are never in doubt.
    ///
    /// What the user did comes first, then what tells that the plan was made for something else, then who is in the
    /// way, then how far we came.
    const PRECEDENCE: [Self; 9] = [
        Self::Interrupted,
        Self::NotGenuine,
        Self::Stale,
        Self::Locked,
        Self::NotPermitted,
        Self::Refused,
        Self::PartlyApplied,
        Self::TimedOut,
        Self::Failed,
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Drift => 3,
            Self::DriftAndChanges => 4,
            Self::Refused => 5,
            Self::Stale => 6,
            Self::NotGenuine => 7,
            Self::Locked => 8,
            Self::TimedOut => 9,
            Self::PartlyApplied => 10,
            Self::NotPermitted => 11,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }

    /// What it means, in the words of `cfrt help exit-codes`.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "in step, or done",
            Self::Failed => "an error without a code of its own: no cluster, no helm, a failed step",
            Self::Changes => "there are changes (only with --detailed-exitcode)",
            Self::Drift => "drift: something moved in the cluster",
            Self::DriftAndChanges => "drift and changes",
            Self::Refused => "refused by policy, or by a failed check",
            Self::Stale => "stale plan, or not the cluster that was meant",
            Self::NotGenuine => "the plan file is not genuine",
            Self::Locked => "locked: someone else is at work there",
            Self::TimedOut => "timed out",
            Self::PartlyApplied => "partly applied: some steps failed after others had been carried out",
            Self::NotPermitted => "the cluster does not permit it",
            Self::Usage => "usage: the command line or the file is wrong",
            Self::Interrupted => "interrupted",
        }
    }

    /// How a plan ends that is only shown.
    pub(crate) fn of_plan(plan: &Plan, detailed: bool) -> Self {
        if plan.count(Action::Refuse) > 0 {
            Self::Refused
        } else if detailed && plan.writes() {
            Self::Changes
        } else {
            Self::Done
        }
    }

    /// How an apply ends, by its report and by whether the user asked it to stop.
    pub(crate) fn of_report(report: &Report, interrupted: bool) -> Self {
        let faults = report.failed.iter().map(|(_, failure)| Self::of_fault(failure.fault));
        let partly = (!report.complete() && report.done > 0).then_some(Self::PartlyApplied);
        let stopped = (interrupted || report.stopped).then_some(Self::Interrupted);
        let unfinished = (!report.complete()).then_some(Self::Failed);
        let fitting: Vec<Self> = faults.chain(partly).chain(stopped).chain(unfinished).collect();
        Self::PRECEDENCE.into_iter().find(|exit| fitting.contains(exit)).unwrap_or(Self::Done)
    }

    /// How a run ends that could not go on.
    pub(crate) fn of_trouble(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Mistaken { .. } | Trouble::Unreadable { .. } | Trouble::Unconfirmed => Self::Usage,
            Trouble::World(error) => Self::of_fault(error.fault),
            Trouble::Graph(_) | Trouble::Runtime(_) | Trouble::Screen(_) => Self::Failed,
        }
    }

    fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::World => Self::Failed,
            Fault::Forbidden => Self::NotPermitted,
            Fault::Locked => Self::Locked,
            Fault::Stale => Self::Stale,
            Fault::TimedOut => Self::TimedOut,
            Fault::Refused => Self::Refused,
        }
    }
}
