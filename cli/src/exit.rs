//! The exit codes: a contract. What went how to the one number that scripts see.

use cfrt_engine::change::Action;
use cfrt_engine::drift::Drift;
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
    /// The user stopped it, or said no: nothing for a script to take for done, and no error of ours either.
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
    const PRECEDENCE: [Self; 10] = [
        Self::Interrupted,
        Self::NotGenuine,
        Self::Stale,
        Self::Locked,
        Self::NotPermitted,
        Self::Refused,
        Self::Usage,
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
            Self::Usage => "usage: the command line, the file, or a file that it names is wrong",
            Self::Interrupted => "interrupted, or not confirmed",
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

    /// How a look for drift ends, whatever an apply would say of the rest.
    pub(crate) fn of_drift(drift: &Drift, detailed: bool) -> Self {
        match (drift.findings.is_empty(), drift.changes > 0) {
            (true, false) => Self::Done,
            (true, true) => {
                if detailed {
                    Self::Changes
                } else {
                    Self::Done
                }
            }
            (false, false) => Self::Drift,
            (false, true) => Self::DriftAndChanges,
        }
    }

    /// How an apply ends, by its report and by whether the user asked it to stop.
    pub(crate) fn of_report(report: &Report, interrupted: bool) -> Self {
        let faults = report.failed.iter().map(|(_, failure)| Self::of_fault(failure.fault));
        let partly = (!report.complete() && report.done + report.not_awaited > 0).then_some(Self::PartlyApplied);
        let stopped = (interrupted || report.stopped).then_some(Self::Interrupted);
        let unfinished = (!report.complete()).then_some(Self::Failed);
        let fitting: Vec<Self> = faults.chain(partly).chain(stopped).chain(unfinished).collect();
        Self::PRECEDENCE.into_iter().find(|exit| fitting.contains(exit)).unwrap_or(Self::Done)
    }

    /// How a run ends that could not go on.
    pub(crate) fn of_trouble(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Mistaken { .. }
            | Trouble::Unreadable { .. }
            | Trouble::UnknownKey { .. }
            | Trouble::Unconfirmed => Self::Usage,
            Trouble::World(error) => Self::of_fault(error.fault),
            Trouble::Interrupted => Self::Interrupted,
            Trouble::Unwritable { .. } | Trouble::Graph(_) | Trouble::Runtime(_) | Trouble::Screen(_) => Self::Failed,
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
            Fault::Input => Self::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use cfrt_engine::change::Change;
    use cfrt_engine::drift::Finding;
    use cfrt_engine::driver::DriverError;
    use cfrt_engine::event::{Because, Failure};
    use cfrt_engine::graph::GraphError;
    use cfrt_engine::resource::ResourceId;
    use cfrt_engine::source::{Mistakes, Sources};

    use super::*;
    use crate::render::samples::{core, drifted, plan, sample};

    #[test]
    fn the_numbers_are_the_contract() {
        let numbers = Exit::ALL.map(Exit::code);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 64, 130]);
    }

    #[test]
    fn every_fault_has_its_code() {
        let faults = [
            Fault::World,
            Fault::Forbidden,
            Fault::Locked,
            Fault::Stale,
            Fault::TimedOut,
            Fault::Refused,
            Fault::Input,
        ];
        let codes = faults.map(|fault| Exit::of_trouble(&Trouble::World(DriverError::new("", "").fault(fault))).code());
        assert_eq!(codes, [1, 11, 8, 6, 9, 5, 64]);
    }

    #[test]
    fn a_wrong_file_or_command_line_is_usage_and_anything_unforeseen_is_failure() {
        let io = || io::Error::other("");
        let mistaken = Trouble::Mistaken { sources: Sources::default(), mistakes: Mistakes(Vec::new()) };
        let unreadable = Trouble::Unreadable { path: "a.toml".into(), source: io() };
        let usage = [mistaken, unreadable, Trouble::Unconfirmed].map(|trouble| Exit::of_trouble(&trouble));
        assert_eq!(usage, [Exit::Usage; 3]);
        let graph = Trouble::Graph(GraphError::Circle(Vec::new()));
        let unwritable = Trouble::Unwritable { path: "a.prom".into(), source: io() };
        let failed = [graph, Trouble::Runtime(io()), Trouble::Screen(io()), unwritable];
        assert_eq!(failed.map(|trouble| Exit::of_trouble(&trouble)), [Exit::Failed; 4]);
    }

    #[test]
    fn a_plan_ends_by_what_is_in_it() {
        let of = |action, detailed| {
            Exit::of_plan(&plan(vec![sample("chart", core("ConfigMap", "a"), Change::of(action))]), detailed)
        };
        assert_eq!((of(Action::Update, false), of(Action::Update, true)), (Exit::Done, Exit::Changes));
        assert_eq!((of(Action::Keep, true), of(Action::Refuse, false)), (Exit::Done, Exit::Refused));
    }

    #[test]
    fn a_look_for_drift_ends_by_what_moved_on_which_side() {
        let drift = drifted();
        let of = |findings: &[Finding], changes, detailed| {
            Exit::of_drift(&Drift { findings: findings.to_vec(), changes, ..drift.clone() }, detailed).code()
        };
        let some = &drift.findings[..1];
        assert_eq!([of(&[], 0, true), of(&[], 1, false), of(&[], 1, true)], [0, 0, 2]);
        assert_eq!([of(some, 0, false), of(some, 1, false), of(some, 0, true), of(some, 1, true)], [3, 4, 3, 4]);
    }

    fn report(done: usize, faults: &[Fault]) -> Report {
        let id = ResourceId::whole(core("ConfigMap", "a"));
        let failure = |fault: &Fault| Failure { causes: Vec::new(), fault: *fault, hint: String::new() };
        Report { done, failed: faults.iter().map(|fault| (id.clone(), failure(fault))).collect(), ..Report::default() }
    }

    #[test]
    fn of_several_codes_the_first_by_precedence_is_taken() {
        let table: [(usize, &[Fault], Exit); 10] = [
            (0, &[], Exit::Done),
            (5, &[], Exit::Done),
            (0, &[Fault::World], Exit::Failed),
            (5, &[Fault::World], Exit::PartlyApplied),
            (0, &[Fault::World, Fault::TimedOut], Exit::TimedOut),
            (5, &[Fault::World, Fault::TimedOut], Exit::PartlyApplied),
            (5, &[Fault::TimedOut, Fault::Refused], Exit::Refused),
            (5, &[Fault::TimedOut, Fault::Input], Exit::Usage),
            (5, &[Fault::Refused, Fault::Forbidden], Exit::NotPermitted),
            (5, &[Fault::Forbidden, Fault::Locked, Fault::Stale], Exit::Stale),
        ];
        for (done, faults, exit) in table {
            assert_eq!(Exit::of_report(&report(done, faults), false), exit, "{done} done, then {faults:?}");
        }
    }

    #[test]
    fn an_interrupt_comes_before_everything() {
        assert_eq!(Exit::of_report(&report(5, &[Fault::Stale]), true), Exit::Interrupted);
        let id = ResourceId::whole(core("ConfigMap", "a"));
        let stopped = Report { stopped: true, skipped: vec![(id, Because::Stopped)], ..report(5, &[]) };
        assert_eq!(Exit::of_report(&stopped, false), Exit::Interrupted);
    }
}
