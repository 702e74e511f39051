//! The life of a release, from an empty cluster to an uninstall, through the built binary on a real control plane.

#[path = "../common/mod.rs"]
mod common;

mod install;
