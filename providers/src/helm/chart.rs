//! Charts: where they come from, what they say of themselves, and the digest that names exactly this one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::YamlFault;
use super::binary::Helm;
use super::run::{Invocation, RunError};
use crate::blocking::blocking;
use crate::private;
use crate::vault::hexadecimal;

mod copy;
mod files;
mod metadata;

pub(crate) use copy::{Prepared, prepare};
pub(crate) use files::apis_of;
pub use metadata::Metadata;

const PULLED: &str = "pulled";
const KNOWN: &str = "a path, or an address that begins with oci:// or https://";
const KEPT_PULLED: usize = 16;

/// Why a chart can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// The source is of no form that is known.
    #[error("chart source {given} is no chart: {problem}")]
    Source {
        /// What was given.
        given: String,
        /// What is wrong with it.
        problem: &'static str,
        /// Whether it must not be shown.
        has_password: bool,
    },
    /// The chart can't be read.
    #[error("reading chart {}", path.display())]
    Unreadable {
        /// The chart.
        path: PathBuf,
        /// What the system said, or what is wrong with the archive.
        source: io::Error,
    },
    /// There is no `Chart.yaml` where a chart should be.
    #[error("{} is no chart: it has no Chart.yaml", path.display())]
    NoChart {
        /// What was named as a chart.
        path: PathBuf,
    },
    /// `Chart.yaml` is no YAML.
    #[error("Chart.yaml of {}, line {}: {}", path.display(), fault.line, fault.what)]
    NotYaml {
        /// The chart.
        path: PathBuf,
        /// What is wrong, and where.
        fault: YamlFault,
    },
    /// `Chart.yaml` lacks what it must have.
    #[error("Chart.yaml of {}: {problem}", path.display())]
    Metadata {
        /// The chart.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Another version was asked for.
    #[error("chart {name} from {source_text} has version {found}; version {asked} was asked for")]
    Version {
        /// The chart's name.
        name: String,
        /// Where it comes from.
        source_text: String,
        /// The version that it has.
        found: String,
        /// The version that it should have.
        asked: String,
    },
    /// Subcharts that `Chart.yaml` names are not there.
    #[error("chart {name} lacks its dependencies {}; run `helm dependency build {}`", missing.join(", "), path.display())]
    Dependencies {
        /// The chart's name.
        name: String,
        /// The chart.
        path: PathBuf,
        /// The subcharts that are missing.
        missing: Vec<String>,
    },
    /// The chart was changed between two looks at it.
    #[error("chart {} changes while it is read", path.display())]
    Changing {
        /// The chart.
        path: PathBuf,
    },
    /// The chart can't be fetched.
    #[error(transparent)]
    Fetch(#[from] RunError),
    /// The fetched chart, or the copy for rendering, can't be kept.
    #[error("keeping a chart in {}", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where a chart comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSource {
    /// A folder or a `.tgz` on this machine.
    Local(PathBuf),
    /// A registry: `oci://quay.io/codefresh/gitops-runtime`.
    Registry(String),
    /// A repository with an index, and the chart's name in it.
    Repository {
        /// `https://charts.example.com`.
        url: String,
        /// The chart's name.
        name: String,
    },
}

impl ChartSource {
    /// Reads what the desired state says; a path is taken against `base`, a repository needs the chart's name.
    ///
    /// # Errors
    /// A form that is not known, or a repository without a name.
    pub fn parse(source: &str, name: Option<&str>, base: &Path) -> Result<Self, ChartError> {
        let authority = source.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        let has_password = authority.contains('@');
        let wrong = |problem| {
            let given = if has_password { "with a password in it".to_owned() } else { source.to_owned() };
            ChartError::Source { given, problem, has_password }
        };
        if source.is_empty() {
            return Err(wrong("it is empty"));
        }
        let Some((scheme, _)) = source.split_once("://") else {
            let is_address =
                source.split_once(":/").is_some_and(|(scheme, _)| scheme.len() > 1 && !scheme.contains('/'));
            return if is_address { Err(wrong(KNOWN)) } else { Ok(Self::Local(base.join(source))) };
        };
        match (scheme, name) {
            ("oci" | "https" | "http", _) if authority.is_empty() => Err(wrong("it names no host")),
            ("oci" | "https" | "http", _) if has_password => {
                Err(wrong("a password doesn't belong into an address; `helm registry login` keeps it"))
            }
            ("oci", _) if source.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) => {
                Err(wrong("the version stands in `version`, and not in the address"))
            }
            ("oci", _) => Ok(Self::Registry(source.trim_end_matches('/').to_owned())),
            ("https" | "http", Some(name)) => Ok(Self::Repository { url: source.to_owned(), name: name.to_owned() }),
            ("https" | "http", None) => Err(wrong("a repository holds many charts; add `name = \"…\"`")),
            (_, _) => Err(wrong(KNOWN)),
        }
    }

    fn pull(&self) -> Invocation {
        let doing = format!("fetching chart {self}");
        match self {
            Self::Local(path) => Invocation::new(doing, &["pull"]).with(path),
            Self::Registry(reference) => {
                let pull = Invocation::new(doing, &["pull", reference]);
                if is_loopback(reference) { pull.with("--plain-http") } else { pull }
            }
            Self::Repository { url, name } => Invocation::new(doing, &["pull", name, "--repo", url]),
        }
    }
}

impl std::fmt::Display for ChartSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Registry(reference) => f.write_str(reference),
            Self::Repository { url, name } => write!(f, "{name} of {url}"),
        }
    }
}

/// Registries on this machine speak plain HTTP, as container tools take it too.
fn is_loopback(reference: &str) -> bool {
    let authority = reference.trim_start_matches("oci://").split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

/// A chart on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// The folder or archive, untouched.
    pub path: PathBuf,
    /// What it says of itself.
    pub metadata: Metadata,
    /// `sha256:…` of the archive, or of the folder's paths and contents.
    pub digest: String,
}

impl Chart {
    /// Opens a folder or an archive.
    ///
    /// # Errors
    /// What is no chart, or larger than any chart may be.
    pub fn open(path: &Path) -> Result<Self, ChartError> {
        let (yaml, digest) = files::identity(path)?;
        let metadata = Metadata::parse(path, &yaml)?;
        Ok(Self { path: path.to_owned(), metadata, digest })
    }

    /// The files that helm puts into a release record: the chart's own, and none of its subcharts'.
    ///
    /// # Errors
    /// A chart that can't be read, or was changed since it was opened.
    pub(crate) fn own_files(&self) -> Result<BTreeMap<String, Vec<u8>>, ChartError> {
        let mut files = files::ChartFiles::read(&self.path, &self.digest)?.0;
        files.retain(|path, _| !path.starts_with("charts/"));
        Ok(files)
    }
}

/// Brings a chart to this machine, if it isn't there yet, and opens it.
///
/// What was fetched once by source and version is not fetched again.
///
/// # Errors
/// See [`ChartError`]; a chart of another version than the one that was asked for is refused.
pub async fn resolve(
    helm: &Helm,
    source: &ChartSource,
    version: Option<&str>,
    cache: &Path,
) -> Result<Chart, ChartError> {
    let path = match source {
        ChartSource::Local(path) => path.clone(),
        ChartSource::Registry(_) | ChartSource::Repository { .. } => fetched(helm, source, version, cache).await?,
    };
    let chart = blocking(move || Chart::open(&path)).await?;
    let bare = |version: &str| version.trim_start_matches('v').to_owned();
    match version.filter(|asked| bare(asked) != bare(&chart.metadata.version)) {
        Some(asked) => Err(ChartError::Version {
            name: chart.metadata.name,
            source_text: source.to_string(),
            found: chart.metadata.version,
            asked: asked.to_owned(),
        }),
        None => Ok(chart),
    }
}

async fn fetched(
    helm: &Helm,
    source: &ChartSource,
    version: Option<&str>,
    cache: &Path,
) -> Result<PathBuf, ChartError> {
    let folder = cache.join(PULLED);
    let failed = |source| ChartError::Cache { folder: folder.clone(), source };
    private::folder(&folder).map_err(failed)?;
    let wanted = format!("{source}\n{}", version.unwrap_or_default());
    let kept = folder.join(format!("{}.tgz", hexadecimal(&Sha256::digest(wanted))));
    if kept.symlink_metadata().is_ok_and(|found| found.is_file()) {
        return Ok(kept);
    }
    let arriving = tempfile::tempdir_in(&folder).map_err(failed)?;
    let mut pull = source.pull().flag("--destination", arriving.path());
    if let Some(version) = version {
        pull = pull.flag("--version", version);
    }
    helm.run(pull).await?;
    let archive = archive_in(arriving.path()).map_err(failed)?;
    std::fs::rename(archive, &kept).map_err(failed)?;
    drop(arriving);
    private::keep_newest(&folder, KEPT_PULLED);
    Ok(kept)
}

fn archive_in(folder: &Path) -> io::Result<PathBuf> {
    let is_archive = |path: &PathBuf| path.extension() == Some(OsStr::new("tgz"));
    let mut paths = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(is_archive).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "helm fetched no archive"))
}

#[cfg(test)]
mod tests;
