//! Helm: finding and running it, what its charts render to, and the records it keeps.

mod archive;
pub mod binary;
pub mod hook;
pub mod manifest;
pub mod record;
pub mod run;
pub mod scan;
pub mod values;
mod yaml;

pub use yaml::YamlFault;
