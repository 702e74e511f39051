//! What people see when the file or the world is wrong, each case with its exact text.

#[path = "../common/mod.rs"]
mod common;

mod cache;
mod cases;
mod dialogue;
mod interrupted;
mod read_only;
mod refused;
mod secrets;
mod transcript;
mod world;
