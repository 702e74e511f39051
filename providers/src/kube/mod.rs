//! Kubernetes objects: how they compare with what we want, what they need, and when they are ready.

mod align;
pub mod compare;
mod conventions;
pub mod difference;
pub mod fields;
pub mod normalise;
mod path;
pub mod quantity;
