//! The engine, stage by stage, over a world that is a map.

mod brackets;
mod common;
mod execute;
mod graph;
mod hidden;
mod stop;
mod waiting;
