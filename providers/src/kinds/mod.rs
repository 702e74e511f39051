//! The kinds of tasks: one file each, pure, and a line in the registry.

pub mod chart;
pub mod crd_adoption;
pub mod namespace;
pub mod secret_copy;
