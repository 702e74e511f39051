//! Plans, events, reports and mistakes to what people and programs read. Nothing here asks the engine anything.

pub(crate) mod approved;
pub(crate) mod clean;
pub(crate) mod drawing;
pub(crate) mod drift;
pub(crate) mod failure;
mod fields;
pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod keys;
pub(crate) mod markdown;
pub(crate) mod metrics;
mod mistakes;
mod plain;
pub(crate) mod planned;
pub(crate) mod progress;
mod secret;
mod terminal;
pub(crate) mod text;
mod under_way;
mod wire;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod samples;
