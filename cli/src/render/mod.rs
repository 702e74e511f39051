//! Plans, events, reports and mistakes to what people and programs read. Nothing here asks the engine anything.

pub(crate) mod clean;
pub(crate) mod drawing;
pub(crate) mod failure;
mod fields;
pub(crate) mod json;
mod mistakes;
pub(crate) mod progress;
mod secret;
pub(crate) mod text;
mod wire;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod samples;
