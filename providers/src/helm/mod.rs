//! Helm: finding and running it, what its charts render to, and the records it keeps.

mod archive;
pub mod binary;
pub mod chart;
pub mod hook;
pub mod manifest;
pub mod record;
pub mod run;
pub mod scan;
pub mod values;
mod yaml;

pub use yaml::YamlFault;

/// Runs what reads files beside what talks to the cluster.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}
