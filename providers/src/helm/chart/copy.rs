//! A private copy of a chart that renders to the same in a quarter of the time: without what no template reads.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::files::{ChartFiles, in_chart};
use super::{Chart, ChartError};
use crate::helm::scan::{self, FilesRead, Volatile};
use crate::private;

const COPIES: &str = "charts";
const KEPT_COPIES: usize = 8;
/// Changes with what a copy holds.
const FORMAT: &str = "1";

/// A chart made ready for rendering.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The copy.
    pub(crate) folder: PathBuf,
    /// The same, for another time, where templates read the clock.
    pub(crate) later: Option<PathBuf>,
    /// What its templates call.
    pub(crate) volatile: Volatile,
    /// The APIs that its `crds/` folders bring.
    pub(crate) apis: Vec<String>,
    /// Whether a template asks for APIs.
    pub(crate) asks_for_apis: bool,
}

/// Copies a chart for rendering into the cache; a copy that is there already is taken.
///
/// Two processes that copy at once don't meet: each makes its own copy and one of them is kept.
///
/// # Errors
/// A chart whose subcharts are missing, and one that can't be read or copied.
pub(crate) fn prepare(chart: &Chart, cache: &Path) -> Result<Prepared, ChartError> {
    let folder = cache.join(COPIES);
    let failed = |source| ChartError::Cache { folder: folder.clone(), source };
    let files = ChartFiles::read(&chart.path, &chart.digest)?;
    check_dependencies(chart, &files)?;
    let texts = || files.templates();
    let volatile = texts().map(scan::volatile).fold(Volatile::default(), Volatile::and);
    let digest = chart.digest.trim_start_matches("sha256:");
    let copy = folder.join(format!("{digest}.{FORMAT}"));
    private::folder(&folder).map_err(failed)?;
    if !private::touch(&copy) {
        make(&files, volatile.clock, &folder, &copy).map_err(failed)?;
        private::keep_newest(&folder, KEPT_COPIES);
    }
    Ok(Prepared {
        folder: copy.join("now"),
        later: volatile.clock.then(|| copy.join("later")),
        volatile,
        apis: files.apis(),
        asks_for_apis: texts().any(scan::asks_for_apis),
    })
}

fn check_dependencies(chart: &Chart, files: &ChartFiles) -> Result<(), ChartError> {
    let present = files.subcharts();
    let dependencies = chart.metadata.dependencies.iter();
    let missing: Vec<String> = dependencies.filter(|name| !present.contains(name)).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ChartError::Dependencies { name: chart.metadata.name.clone(), path: chart.path.clone(), missing })
}

fn make(files: &ChartFiles, reads_clock: bool, folder: &Path, copy: &Path) -> io::Result<()> {
    let read = files.templates().fold(FilesRead::none(), FilesRead::and);
    let private = fs::Permissions::from_mode(0o700);
    let new = tempfile::Builder::new().permissions(private).tempdir_in(folder)?;
    for (path, bytes) in files.0.iter().filter(|(path, _)| is_needed(in_chart(path), &read)) {
        write(&new.path().join("now").join(path), bytes)?;
        if reads_clock {
            write(&new.path().join("later").join(path), &later(in_chart(path), bytes))?;
        }
    }
    match fs::rename(new.path(), copy) {
        // Somebody else was faster.
        Err(_) if copy.is_dir() => Ok(()),
        renamed => renamed,
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}

fn later(path: &str, bytes: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if path.starts_with("templates/") || path == "values.yaml" => scan::run_later(text).into_bytes(),
        Ok(_) | Err(_) => bytes.to_owned(),
    }
}

/// Tells whether a file can matter for the rendering. Templates that copy their whole context copy each of these files too.
fn is_needed(path: &str, read: &FilesRead) -> bool {
    if path.starts_with("templates/") || path.starts_with("crds/") {
        return true;
    }
    let is_idle = path.ends_with(".md")
        || path.ends_with(".gotmpl")
        || path == "LICENSE"
        || path.starts_with("tests/")
        || path.starts_with("ci/");
    !is_idle || read.may_include(path)
}
