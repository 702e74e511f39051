//! What scenario tests stand on: the built binary, a real control plane, both helms, and the API server's audit log.
#![allow(dead_code, reason = "no test crate needs all of it")]

pub(crate) mod audit;
pub(crate) mod clean;
pub(crate) mod faults;
pub(crate) mod judge;
pub(crate) mod login;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod scenario;
pub(crate) mod secrets;
pub(crate) mod tools;
pub(crate) mod words;
pub(crate) mod world;
