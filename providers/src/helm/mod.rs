//! Helm: finding and running it, what its charts render to, and the records it keeps.

mod archive;
pub mod assemble;
pub mod binary;
mod cache;
pub mod chart;
mod generated;
pub mod hook;
pub mod manifest;
pub mod record;
pub mod release;
pub mod render;
pub mod rendering;
pub mod run;
pub mod scan;
pub mod values;
mod yaml;

pub use yaml::YamlFault;

/// Why helm, a chart or a release can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// There is no helm, or none that can be used.
    #[error(transparent)]
    Find(#[from] binary::FindError),
    /// Helm failed.
    #[error(transparent)]
    Run(#[from] run::RunError),
    /// The chart can't be used.
    #[error(transparent)]
    Chart(#[from] chart::ChartError),
    /// The values can't be used.
    #[error(transparent)]
    Values(#[from] values::ValuesError),
    /// What the chart renders to can't be used.
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestError),
    /// A release record can't be read or written.
    #[error(transparent)]
    Record(#[from] record::RecordError),
    /// A secret value is needed that only a fresh rendering brings.
    #[error(transparent)]
    Missing(#[from] crate::vault::Missing),
    /// The cluster serves more APIs than can be told to helm.
    #[error("the cluster serves so many APIs ({count}) that they can't be handed to helm")]
    TooManyApis {
        /// How many.
        count: usize,
    },
}
