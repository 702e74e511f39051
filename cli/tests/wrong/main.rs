//! What people see when the file or the world is wrong, each case with its exact text.

mod cases;
mod transcript;
mod world;
