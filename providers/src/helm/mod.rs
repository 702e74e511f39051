//! Helm: finding and running it, what its charts render to, and the records it keeps.

pub mod binary;
pub mod hook;
pub mod manifest;
pub mod record;
pub mod run;
mod yaml;

pub use yaml::YamlFault;
