//! The plan/apply engine: desired state to tasks, tasks to a graph of resources, graph to a plan, plan to events.
//!
//! ```text
//! Sources ─parse▶ DesiredState ─compile▶ Tasks ─survey▶ Answers ─expand▶ ResourceGraph ─observe▶ Observations
//!         ─plan▶ Plan ─execute▶ Event* ─fold▶ Report
//!                Plan ─drift▶ Drift
//!                PlanFile × PlanFile ─compare▶ Comparison
//! ```
//!
//! Only `survey`, `observe` and `execute` touch the world, and only through a [`driver::Driver`] and the key `W` that
//! they are given. The engine does no IO of its own, prints nothing, and doesn't know what Kubernetes is.

pub mod source;

pub mod desired;
mod explain;

pub mod facts;

pub mod keys;

pub mod task;

pub mod compile;

pub mod resource;

pub mod graph;

pub mod driver;

pub mod observe;

pub mod change;

pub mod plan;

pub mod policy;

pub mod planfile;

pub mod ignore;

pub mod drift;

pub mod execute;
mod step;

pub mod event;

pub mod report;
