//! Kubernetes: building requests, sending them, reading many objects at once, comparing one, watching until it is settled.

pub mod access;
mod align;
pub(crate) mod autoscale;
pub mod call;
pub mod client;
pub mod compare;
pub(crate) mod config;
mod conventions;
pub mod difference;
pub mod discovery;
pub mod fields;
pub mod gvk;
#[cfg(test)]
mod hostile;
mod immutable;
pub mod lists;
mod login;
pub mod look;
pub mod meanwhile;
pub mod needs;
pub mod normalise;
pub(crate) mod path;
pub(crate) mod pick;
pub mod podspec;
pub mod quantity;
pub mod read;
mod refusal;
pub mod retry;
pub mod rights;
pub mod settle;
mod sight;
pub mod state;
pub mod watch;
pub mod write;
