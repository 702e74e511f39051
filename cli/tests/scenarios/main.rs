//! The life of a release, from an empty cluster to an uninstall, through the built binary on a real control plane.

#[path = "../common/mod.rs"]
mod common;

mod adoption;
mod autoscaled;
mod broken_hooks;
mod causes;
mod causes_of_kinds;
mod damaged_records;
mod definitions;
mod drift;
mod drift_rights;
mod edits;
mod failing;
mod faults;
mod generated;
mod helm_after;
mod helm_before;
mod history;
mod history_of_runs;
mod hooks;
mod hooks_without_end;
mod install;
mod judge_of_all;
mod kept_by_others;
mod killed;
mod lease;
mod left_hooks;
mod meanwhile;
mod order;
mod pending;
mod permission;
mod plan_file;
mod policies;
mod record;
mod replace;
mod runtime;
mod schedule;
mod values;
mod writers;
