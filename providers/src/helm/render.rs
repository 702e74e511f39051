//! Rendering a chart with helm: once, or not at all where the cache knows the answer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::HelmError;
use super::assemble::assemble;
use super::binary::Helm;
use super::cache::{self, Cache};
use super::chart::{self, Chart, Prepared};
use super::manifest::Manifest;
use super::rendering::Rendering;
use super::run::Invocation;
use super::scan::{self, FilesRead, Volatile};
use crate::blocking::blocking;
use crate::vault::Vault;

/// One argument holds at most 128 KiB on Linux, and all of them 2 MiB.
const LONGEST_ARGUMENT: usize = 60 << 10;
const LONGEST_API_LIST: usize = 1 << 20;

/// What to render, and for which cluster.
#[derive(Debug, Clone)]
pub struct RenderRequest {
    /// The chart.
    pub chart: Chart,
    /// The merged values.
    pub values: Value,
    /// The release's name.
    pub release: String,
    /// The release's namespace.
    pub namespace: String,
    /// Whether templates are told that the release is there already.
    pub is_upgrade: bool,
    /// The cluster's version, as it says it: `v1.34.4`.
    pub kube_version: String,
    /// The APIs that the cluster serves: `apps/v1`, `apps/v1/Deployment`. Those of the chart's own `crds/` are added.
    pub api_versions: Vec<String>,
    /// Render even if the cache knows the answer: only then the exact texts and the secret values are there.
    pub fresh: bool,
}

/// Renders charts, and keeps what they render to.
#[derive(Debug, Clone)]
pub struct Renderer {
    helm: Helm,
    folder: PathBuf,
    vault: Arc<Vault>,
}

impl Renderer {
    /// Makes a renderer that keeps copies and renderings in a folder.
    pub fn new(helm: Helm, folder: PathBuf, vault: Arc<Vault>) -> Self {
        Self { helm, folder, vault }
    }

    /// Renders, or gives what the cache holds for this very request.
    ///
    /// Nothing is asked of the cluster. A chart that makes random values or reads the clock is rendered twice at the same
    /// time, and what differs is a [`Hole::Generated`](cfrt_engine::resource::Hole::Generated).
    ///
    /// # Errors
    /// See [`HelmError`]; an error of a template names its file and line.
    pub async fn render(&self, request: RenderRequest) -> Result<Rendering, HelmError> {
        let key = self.key(&request);
        if !request.fresh
            && let Some(known) = self.load(key.clone()).await
        {
            return Ok(known);
        }
        let (chart, folder) = (request.chart.clone(), self.folder.clone());
        let prepared = blocking(move || chart::prepare(&chart, &folder)).await?;
        let job = Job::new(&self.helm, request, prepared);
        let (manifest, second) = job.run().await?;
        let (vault, cache) = (self.vault.clone(), Cache::at(&self.folder));
        let (request, volatile) = (job.request, job.volatile);
        Ok(blocking(move || {
            let names = [request.release, request.namespace];
            let rendering = Rendering { volatile, ..assemble(&vault, &request.chart, &names, manifest, second) };
            cache.store(&vault, &key, &rendering);
            rendering
        })
        .await)
    }

    async fn load(&self, key: String) -> Option<Rendering> {
        let (cache, vault) = (Cache::at(&self.folder), self.vault.clone());
        blocking(move || cache.load(&vault, &key)).await
    }

    /// Digests all that a rendering depends on. The digest is keyed, since values can be guessed from a plain one.
    fn key(&self, request: &RenderRequest) -> String {
        let RenderRequest { chart, values, release, namespace, is_upgrade, kube_version, api_versions, fresh: _ } =
            request;
        let apis: BTreeSet<&String> = api_versions.iter().collect();
        let helm = self.helm.version().to_string();
        let all =
            json!([cache::FORMAT, chart.digest, values, helm, kube_version, apis, release, namespace, is_upgrade]);
        self.vault.digest(all.to_string().as_bytes())
    }
}

/// A rendering that helm has to do.
struct Job<'a> {
    helm: &'a Helm,
    request: RenderRequest,
    prepared: Prepared,
    volatile: Volatile,
    values_later: Option<Value>,
}

impl<'a> Job<'a> {
    fn new(helm: &'a Helm, request: RenderRequest, mut prepared: Prepared) -> Self {
        let mut volatile = prepared.volatile;
        let mut files = FilesRead::none();
        let mut values_later = request.values.clone();
        templates_in(&mut values_later, &mut |text| {
            volatile = volatile.and(scan::volatile(text));
            files = std::mem::replace(&mut files, FilesRead::none()).and(text);
            prepared.asks_for_apis |= scan::asks_for_apis(text);
            *text = scan::run_later(text);
        });
        if files != FilesRead::none() {
            // A template inside the values reads files, of which the copy may lack some.
            prepared.folder.clone_from(&request.chart.path);
        }
        let values_later = volatile.is_unsteady().then_some(values_later);
        Self { helm, values_later, request, prepared, volatile }
    }

    /// Gives the rendering, and a second one where two can differ.
    async fn run(&self) -> Result<(Manifest, Option<Manifest>), HelmError> {
        let mut more = if self.prepared.asks_for_apis { self.prepared.apis.clone() } else { Vec::new() };
        let (mut first, mut second) = self.both(&more).await?;
        // Definitions of subcharts that are switched off bring no API after all.
        let brought = first.crds.iter().flat_map(|crd| chart::apis_of(&crd.value)).collect::<BTreeSet<_>>();
        let count = more.len();
        more.retain(|api| brought.contains(api) || self.request.api_versions.contains(api));
        if more.len() < count {
            (first, second) = self.both(&more).await?;
        }
        Ok((first, second))
    }

    async fn both(&self, more_apis: &[String]) -> Result<(Manifest, Option<Manifest>), HelmError> {
        let first = self.once(&self.prepared.folder, &self.request.values, more_apis);
        let Some(values_later) = &self.values_later else { return Ok((first.await?, None)) };
        let later = self.prepared.later.as_ref().unwrap_or(&self.prepared.folder);
        let (first, second) = tokio::join!(first, self.once(later, values_later, more_apis));
        let first = first?;
        // A template that can't run at another time is run again as it is: random values show all the same.
        let second = match second {
            Ok(second) => second,
            Err(_) => self.once(&self.prepared.folder, &self.request.values, more_apis).await?,
        };
        Ok((first, Some(second)))
    }

    async fn once(&self, chart: &Path, values: &Value, more_apis: &[String]) -> Result<Manifest, HelmError> {
        let RenderRequest { chart: wanted, release, namespace, is_upgrade, kube_version, api_versions, .. } =
            &self.request;
        let doing = format!("rendering chart {} {}", wanted.metadata.name, wanted.metadata.version);
        let mut template = Invocation::new(doing, &["template", "--include-crds", "--kubeconfig", "/dev/null"])
            .flag("--namespace", namespace)
            .flag("--kube-version", kube_version)
            .values(values);
        for apis in api_arguments(api_versions.iter().chain(more_apis))? {
            template = template.flag("--api-versions", apis);
        }
        if *is_upgrade {
            template = template.with("--is-upgrade");
        }
        let text = self.helm.run(template.with("--").with(release).with(chart)).await?;
        Ok(blocking(move || Manifest::parse(&text)).await?)
    }
}

/// Visits the texts in values that a chart may run as templates.
fn templates_in(values: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match values {
        Value::String(text) if text.contains("{{") => visit(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter_mut().for_each(|item| templates_in(item, visit)),
        Value::Object(members) => members.values_mut().for_each(|item| templates_in(item, visit)),
    }
}

/// Joins the list into arguments that the system takes; what is no API's name is left out.
fn api_arguments<'a>(apis: impl Iterator<Item = &'a String>) -> Result<Vec<String>, HelmError> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'/');
    let apis: BTreeSet<&String> = apis.filter(|api| !api.is_empty() && api.bytes().all(is_of_name)).collect();
    if apis.iter().map(|api| api.len() + 1).sum::<usize>() > LONGEST_API_LIST {
        return Err(HelmError::TooManyApis { count: apis.len() });
    }
    let mut arguments: Vec<String> = Vec::new();
    for api in apis {
        match arguments.last_mut().filter(|last| last.len() + api.len() < LONGEST_ARGUMENT) {
            Some(last) => {
                last.push(',');
                last.push_str(api);
            }
            None => arguments.push(api.clone()),
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests;
