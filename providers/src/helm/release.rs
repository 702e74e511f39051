//! Asking helm what a release would be, chart and notes included, without writing anything.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use cfrt_engine::resource::Hole;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::HelmError;
use super::assemble::as_stored;
use super::binary::Helm;
use super::chart::Chart;
use super::generated::{Second, Turns};
use super::manifest::Manifest;
use super::record::RecordError;
use super::rendering::Rendering;
use super::run::{Invocation, RunError};
use crate::vault::Vault;

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

impl DryRun {
    /// Names the objects that the cluster's own rendering gives otherwise than ours, and those that only one of them gives.
    ///
    /// Generated values may differ. The rendering must be a fresh one, since secrets are compared too.
    ///
    /// # Errors
    /// The text is no manifest, or a value of the rendering is not known to the vault.
    pub fn differing(&self, rendering: &Rendering, vault: &Vault) -> Result<Vec<String>, HelmError> {
        let manifest = Manifest::parse(self.manifest.expose_secret())?;
        let theirs = Second::new(manifest.objects.into_iter().map(|object| (object.source, as_stored(object.value))));
        let mut turns = Turns::default();
        let mut differing = Vec::new();
        for ours in &rendering.objects {
            let document = ours.document();
            let value = vault.fill(document)?;
            match theirs.differing(&mut turns, &ours.source, &value) {
                Some(places) if places.iter().all(|place| document.holes.get(place) == Some(&Hole::Generated)) => {}
                Some(_) | None => differing.push(format!("{} {}", ours.identity.kind, ours.identity.name)),
            }
        }
        if theirs.count() > rendering.objects.len() {
            differing.push(format!("{} more objects", theirs.count() - rendering.objects.len()));
        }
        Ok(differing)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::helm::assemble::assemble;
    use crate::helm::chart::Metadata;

    const OURS: &str = "---
# Source: a/templates/a.yaml
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {time: '1', x: y}}
---
# Source: a/templates/s.yaml
{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: correct-horse}}
";

    fn differing(theirs: &str) -> Vec<String> {
        let metadata = Metadata {
            name: "a".into(),
            version: "1".into(),
            app_version: None,
            kube_version: None,
            dependencies: vec![],
        };
        let chart = Chart { path: std::path::PathBuf::new(), metadata, digest: String::new() };
        let vault = Vault::new([0; 32]);
        let second = Manifest::parse(&OURS.replace("'1'", "'2'")).unwrap();
        let ours = assemble(&vault, &chart, &[], Manifest::parse(OURS).unwrap(), Some(second));
        DryRun { release: json!({}), manifest: theirs.into() }.differing(&ours, &vault).unwrap()
    }

    #[test]
    fn only_generated_values_may_differ_from_the_clusters_own_rendering() {
        let other = OURS.replace("'1'", "'3'");
        assert_eq!(differing(&other), Vec::<String>::new());
        assert_eq!(differing(&other.replace("x: y", "x: z")), ["ConfigMap a"]);
        assert_eq!(
            differing(
                &other.replace("stringData: {password: correct-horse}", "data: {password: Y29ycmVjdC1ob3JzZQ==}")
            ),
            Vec::<String>::new()
        );
        assert_eq!(differing(&other.replace("horse", "mouse")), ["Secret s"]);
        let (first, _) = other.split_once("---\n# Source: a/templates/s.yaml").unwrap();
        assert_eq!(differing(first), ["Secret s"]);
        assert_eq!(differing(&format!("{other}---\n{}", other.replace(": a}", ": b}"))), ["2 more objects"]);
    }
}
