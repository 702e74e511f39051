//! Asking helm what a release would be, chart and notes included, without writing anything.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::HelmError;
use super::binary::Helm;
use super::chart::Chart;
use super::record::RecordError;
use super::run::{Invocation, RunError};

/// One read for each object, from a cluster that may be far away.
const LIMIT: Duration = Duration::from_secs(600);

/// A release to be asked about.
#[derive(Debug, Clone)]
pub struct DryRunRequest<'a> {
    /// The chart, untouched: the record keeps its files.
    pub chart: &'a Chart,
    /// The merged values.
    pub values: &'a Value,
    /// The release's name.
    pub release: &'a str,
    /// The release's namespace.
    pub namespace: &'a str,
    /// The kubeconfig; `None` takes the one that the environment names.
    pub kubeconfig: Option<&'a Path>,
    /// The kubeconfig's context; `None` takes the current one.
    pub context: Option<&'a str>,
}

/// What helm would make.
#[derive(Clone)]
pub struct DryRun {
    /// The release as helm's JSON, for [`record::pending`](super::record::pending); it holds secrets.
    pub release: Value,
    /// The text of its objects; it holds secrets.
    pub manifest: SecretString,
}

impl fmt::Debug for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DryRun").finish_non_exhaustive()
    }
}

/// Asks helm for the release that an installation or upgrade would make; earlier values don't count.
///
/// The CRDs that the chart's objects need must be there already.
///
/// # Errors
/// Helm's own words, and an answer that is no release.
pub async fn dry_run(helm: &Helm, request: &DryRunRequest<'_>) -> Result<DryRun, HelmError> {
    let doing = format!("asking helm for release {}/{}", request.namespace, request.release);
    let answer = match ask(helm, request, &doing, &["upgrade", "--install", "--reset-values"]).await {
        // An upgrade looks every object of the last revision up, though a dry run makes nothing of it; an installation
        // doesn't. A chart that tells them apart is noticed by its manifest.
        Err(error) if is_about_the_last_revision(&error) => ask(helm, request, &doing, &["install"]).await?,
        answer => answer?,
    };
    let release: Value =
        serde_json::from_str(&answer).map_err(|_| RunError::Unintelligible { doing, expected: "a release as JSON" })?;
    let manifest = release["manifest"].as_str().ok_or(RecordError::Incomplete { missing: "manifest" })?.into();
    Ok(DryRun { release, manifest })
}

async fn ask(helm: &Helm, request: &DryRunRequest<'_>, doing: &str, verb: &[&str]) -> Result<String, RunError> {
    let DryRunRequest { chart, values, release, namespace, kubeconfig, context } = request;
    let flags = [verb, &["--dry-run=server", "--output", "json"]].concat();
    let mut question = Invocation::new(doing.to_owned(), &flags).flag("--namespace", namespace).values(values);
    question.limit = LIMIT;
    if let Some(kubeconfig) = kubeconfig {
        question = question.flag("--kubeconfig", kubeconfig);
    }
    if let Some(context) = context {
        question = question.flag("--kube-context", context);
    }
    helm.run(question.with("--").with(release).with(&chart.path)).await
}

/// Whether the last revision names a kind, or a version of one, that the server no longer knows.
fn is_about_the_last_revision(error: &RunError) -> bool {
    let RunError::Failed { message, .. } = error else { return false };
    message.contains("current release manifest")
}
