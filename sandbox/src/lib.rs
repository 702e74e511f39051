//! Faults of the world for tests: a loopback proxy before any API server that delays, cuts, repeats and refuses by a schedule.

mod connection;
mod fault;
mod proxy;
mod schedule;

pub use fault::{Fault, NotAFault};
pub use proxy::{Proxy, ProxyError};
pub use schedule::{Asked, NotASchedule, Rule, Schedule, Verb, Which};
