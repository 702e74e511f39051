//! The drivers: one for each sort of thing in the world.

pub mod hook;
pub mod object;
pub mod release;
