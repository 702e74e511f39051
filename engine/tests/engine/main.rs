//! The engine, stage by stage, over a world that is a map.

#![expect(clippy::disallowed_methods, reason = "tokio's clock is paused here: sleeping takes no time")]

mod brackets;
mod common;
mod compile;
mod desired;
mod execute;
mod graph;
mod hidden;
mod laws;
mod observe;
mod overhead;
mod plan;
mod properties;
mod stop;
mod waiting;
