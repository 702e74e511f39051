//! The plan/apply engine: desired state to tasks, tasks to a graph of resources, graph to a plan, plan to events.

pub mod change;
pub mod resource;
