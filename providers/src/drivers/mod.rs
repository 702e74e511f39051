//! The drivers: one for each sort of thing in the world.

pub mod object;
