//! Kubernetes: building requests, sending them, reading many objects at once, writing one, watching until it is settled.

pub mod call;
pub mod client;
pub mod discovery;
pub mod gvk;
pub mod read;
pub mod watch;
