//! The engine, stage by stage, over a world that is a map.

mod common;
mod graph;
