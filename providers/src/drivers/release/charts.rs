//! The charts of a run: found, rendered, and kept in memory with their secrets for as long as the run needs them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cfrt_engine::driver::{DriverError, Fault};
use tokio::sync::OnceCell;

use crate::helm::binary::{FindError, Helm, Search};
use crate::helm::chart::{Chart, ChartError, ChartSource, resolve};
use crate::helm::render::{RenderRequest, Renderer};
use crate::helm::rendering::Rendering;
use crate::vault::Vault;

/// Helm, and what it has rendered in this run.
#[derive(Debug)]
pub struct Charts {
    search: Search,
    folder: PathBuf,
    vault: Arc<Vault>,
    helm: OnceCell<Helm>,
    /// Renderings that helm has just made, with the texts that a release record keeps, by their digests.
    kept: Mutex<BTreeMap<String, Arc<Rendering>>>,
    /// What came from the cache, and so without secret values.
    recalled: Mutex<Vec<RenderRequest>>,
    revealed: OnceCell<()>,
}

impl Charts {
    /// Looks for helm only when a chart asks for it.
    pub fn new(search: Search, folder: PathBuf, vault: Arc<Vault>) -> Self {
        let (kept, recalled) = (Mutex::default(), Mutex::default());
        Self { search, folder, vault, helm: OnceCell::new(), kept, recalled, revealed: OnceCell::new() }
    }

    /// The helm of this run.
    ///
    /// # Errors
    ///
    /// None found, or one that is too old.
    pub async fn helm(&self) -> Result<&Helm, DriverError> {
        let found = self.helm.get_or_try_init(|| Helm::find(&self.search, &self.folder)).await;
        found.map_err(|error| DriverError::new("looking for helm", error).hint(FindError::advice()))
    }

    /// The chart of a source, in an exact version.
    ///
    /// # Errors
    ///
    /// No helm to fetch it, no such chart, or one of another version.
    pub async fn chart(&self, source: &ChartSource, version: &str) -> Result<Chart, DriverError> {
        let chart = resolve(self.helm().await?, source, Some(version), &self.folder).await;
        chart.map_err(|error| {
            let (hint, fault) = (advice(source, &error), fault(source, &error));
            DriverError::new(format!("getting chart {source}"), error).fault(fault).hint(hint)
        })
    }

    /// Renders a chart, or recalls an earlier rendering. One that can't be repeated is recalled only where `fresh_if_unsteady`
    /// doesn't forbid it: what is going to be applied must be what was planned.
    ///
    /// # Errors
    ///
    /// Templates that fail.
    pub async fn render(&self, request: RenderRequest, fresh_if_unsteady: bool) -> Result<Arc<Rendering>, DriverError> {
        let renderer = Renderer::new(self.helm().await?.clone(), self.folder.clone(), Arc::clone(&self.vault));
        let doing = format!("rendering chart {} {}", request.chart.metadata.name, request.chart.metadata.version);
        let failed = |error| DriverError::new(doing.clone(), error);
        let mut rendering = renderer.render(request.clone()).await.map_err(failed)?;
        if rendering.manifest.is_none() && fresh_if_unsteady && rendering.volatile.is_unsteady() {
            rendering = renderer.render(RenderRequest { fresh: true, ..request.clone() }).await.map_err(failed)?;
        }
        let rendering = Arc::new(rendering);
        if rendering.manifest.is_some() {
            lock(&self.kept).entry(rendering.digest.clone()).or_insert_with(|| Arc::clone(&rendering));
        } else {
            lock(&self.recalled).push(request);
        }
        Ok(rendering)
    }

    /// A rendering of this run by its digest, with its texts; `None` where it came from the cache.
    pub fn kept(&self, digest: &str) -> Option<Arc<Rendering>> {
        lock(&self.kept).get(digest).cloned()
    }

    /// Renders afresh what came from the cache, so that the vault knows the secret values in it.
    ///
    /// # Errors
    ///
    /// Templates that fail now.
    pub async fn reveal(&self) -> Result<(), DriverError> {
        let render = || async {
            let recalled = std::mem::take(&mut *lock(&self.recalled));
            for request in recalled {
                self.render(RenderRequest { fresh: true, ..request }, false).await?;
            }
            Ok(())
        };
        self.revealed.get_or_try_init(render).await.copied()
    }
}

/// A path that no chart as it is asked for lies behind is a mistake of whoever wrote the file or the chart; what can't be
/// fetched may be there tomorrow.
fn fault(source: &ChartSource, error: &ChartError) -> Fault {
    match (source, error) {
        (_, ChartError::Source { .. }) => Fault::Input,
        (
            ChartSource::Local(_),
            ChartError::NoChart { .. }
            | ChartError::NotYaml { .. }
            | ChartError::Metadata { .. }
            | ChartError::Version { .. }
            | ChartError::Dependencies { .. }
            | ChartError::Unreadable { .. },
        ) => Fault::Input,
        (ChartSource::Local(_) | ChartSource::Registry(_) | ChartSource::Repository { .. }, _) => Fault::World,
    }
}

/// What can be done where a chart isn't there.
fn advice(source: &ChartSource, error: &ChartError) -> &'static str {
    match (source, error) {
        (ChartSource::Local(_), ChartError::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
            "a source without `://` is a path, seen from the file that names it; \
             a repository is named as `source = \"https://…\"` and `name = \"…\"`"
        }
        (ChartSource::Registry(_) | ChartSource::Repository { .. }, ChartError::Fetch(_)) => {
            "`helm pull` fetches it in the same way; a private registry needs `helm registry login` first"
        }
        (ChartSource::Local(_) | ChartSource::Registry(_) | ChartSource::Repository { .. }, _) => "",
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one step, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
