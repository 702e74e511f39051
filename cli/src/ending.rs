//! What went how to the exit code that scripts see.

use cfrt_engine::change::Action;
use cfrt_engine::drift::Drift;
use cfrt_engine::driver::Fault;
use cfrt_engine::plan::Plan;
use cfrt_engine::report::Report;

use crate::exit::Exit;
use crate::trouble::Trouble;

impl Exit {
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
        // A bracket that had to be closed was open: that much was written, and what failed inside may be, too.
        let written = report.done + report.not_awaited + report.closed_as_failed.len();
        let partly = (!report.complete() && written > 0).then_some(Self::PartlyApplied);
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
            | Trouble::NoPlanFile { .. }
            | Trouble::InTheWay { .. }
            | Trouble::UnknownKey { .. }
            | Trouble::Unconfirmed => Self::Usage,
            Trouble::World(error) => Self::of_fault(error.fault),
            Trouble::NotGenuine { .. } => Self::NotGenuine,
            Trouble::StalePlanFile => Self::Stale,
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
