//! What all tests of the engine stand on: graphs from one line of text, and a world that is a map.

pub(crate) mod drawing;
pub(crate) mod driver;
pub(crate) mod rules;
pub(crate) mod scene;
pub(crate) mod text;
pub(crate) mod world;
