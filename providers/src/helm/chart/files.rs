//! A chart's files in memory, whether they come from a folder or an archive.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::ChartError;
use crate::helm::archive::{Entries, Entry};
use crate::helm::yaml::{self, Twice};
use crate::vault::hexadecimal;

const LARGEST_CHART: u64 = 100 << 20;
const MOST_FILES: usize = 20_000;
const DEEPEST: usize = 32;
/// Lines of a `.helmignore` that `helm create` writes; none of them touches a subchart.
const HARMLESS: [&str; 18] = [
    ".DS_Store",
    ".git/",
    ".gitignore",
    ".bzr/",
    ".bzrignore",
    ".hg/",
    ".hgignore",
    ".svn/",
    "*.swp",
    "*.bak",
    "*.tmp",
    "*.orig",
    "*~",
    ".project",
    ".idea/",
    "*.tmproj",
    ".vscode/",
    "OWNERS",
];

/// Gives the text of `Chart.yaml` and the chart's digest.
pub(super) fn identity(path: &Path) -> Result<(String, String), ChartError> {
    let unreadable = |source| ChartError::Unreadable { path: path.to_owned(), source };
    let no_chart = || ChartError::NoChart { path: path.to_owned() };
    let found = fs::metadata(path).map_err(unreadable)?;
    let (yaml, digest) = if found.is_dir() {
        let paths = walk(path).map_err(unreadable)?;
        if !paths.contains_key("Chart.yaml") {
            return Err(no_chart());
        }
        let yaml = fs::read(path.join("Chart.yaml")).map_err(unreadable)?;
        (yaml, folder_digest(&paths).map_err(unreadable)?)
    } else {
        let packed = bounded(path).map_err(unreadable)?;
        let is_yaml = |entry: &io::Result<Entry>| entry.as_ref().map_or(true, |entry| entry.path == "Chart.yaml");
        let yaml = Entries::new(packed.as_slice()).find(is_yaml).ok_or_else(no_chart)?.map_err(unreadable)?;
        (yaml.bytes, hexadecimal(&Sha256::digest(&packed)))
    };
    Ok((String::from_utf8_lossy(&yaml).into_owned(), format!("sha256:{digest}")))
}

fn folder_digest(paths: &BTreeMap<String, PathBuf>) -> io::Result<String> {
    let mut digest = Sha256::new();
    for (name, path) in paths {
        let bytes = bounded(path)?;
        for part in [name.as_bytes(), &bytes] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_CHART + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_CHART { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "it has more files or content than a chart may have")
}

/// Finds a folder's files, following links as helm does; what is neither file nor folder is an error, since reading it could
/// wait for ever.
fn walk(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut size = 0;
    let mut waiting = vec![(String::new(), folder.to_owned(), 0)];
    while let Some((prefix, folder, depth)) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
            let name = format!("{prefix}{name}");
            let found = fs::metadata(&path)?;
            size += found.len();
            if size > LARGEST_CHART || files.len() + waiting.len() > MOST_FILES || depth > DEEPEST {
                return Err(too_large());
            }
            if found.is_file() {
                files.insert(name, path);
            } else if !found.is_dir() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is no file")));
            } else if name != ".git" {
                waiting.push((format!("{name}/"), path, depth + 1));
            }
        }
    }
    Ok(files)
}

/// All files of a chart and its subcharts, by path; subcharts that were packed are unpacked.
pub(super) struct ChartFiles(pub(super) BTreeMap<String, Vec<u8>>);

impl ChartFiles {
    /// Reads the chart whose digest is known; a chart that was changed since is refused.
    pub(super) fn read(path: &Path, digest: &str) -> Result<Self, ChartError> {
        let unreadable = |source| ChartError::Unreadable { path: path.to_owned(), source };
        let is_folder = path.is_dir();
        let files = if is_folder { of_folder(path) } else { of_archive(&bounded(path).map_err(unreadable)?) };
        let mut files = Self(files.map_err(unreadable)?);
        if identity(path)?.1 != digest {
            return Err(ChartError::Changing { path: path.to_owned() });
        }
        if !is_folder {
            // Helm obeys it in folders only; the archive was packed by it.
            files.0.remove(".helmignore");
        }
        if files.ignores_nothing_special() {
            files.unpack().map_err(unreadable)?;
        }
        Ok(files)
    }

    fn ignores_nothing_special(&self) -> bool {
        let rules = self.0.get(".helmignore").map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
        rules.lines().map(str::trim).all(|rule| rule.is_empty() || rule.starts_with('#') || HARMLESS.contains(&rule))
    }

    /// Unpacks subcharts, and theirs; one that can't be unpacked is left for helm to complain about.
    ///
    /// All together may be as large as one: a chart could hold thousands of which each unpacks to what a chart may be.
    fn unpack(&mut self) -> io::Result<()> {
        let mut unpacking = Unpacking::default();
        for _ in 0..DEEPEST {
            let packed: Vec<String> = self.0.keys().filter(|path| is_packed_subchart(path)).cloned().collect();
            let mut unpacked = false;
            for path in &packed {
                if self.is_taken(folder_of(path)) {
                    continue;
                }
                let Some(files) = unpacking.files(&self.0[path])? else { continue };
                let below = |entry: Entry| (format!("{}/{}", folder_of(path), entry.path), entry.bytes);
                self.0.extend(files.into_iter().map(below));
                self.0.remove(path);
                unpacked = true;
            }
            if !unpacked {
                break;
            }
        }
        Ok(())
    }

    /// Whether there is something in a folder already.
    fn is_taken(&self, folder: &str) -> bool {
        let below = format!("{folder}/");
        self.0.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
    }

    /// Gives the texts that helm runs as templates, or may be told to run: those of `templates/`, and default values.
    pub(super) fn templates(&self) -> impl Iterator<Item = &str> {
        let runs = |path: &str| path.starts_with("templates/") || path == "values.yaml";
        self.0
            .iter()
            .filter(move |(path, _)| runs(in_chart(path)))
            .filter_map(|(_, bytes)| std::str::from_utf8(bytes).ok())
    }

    /// Gives the names of the subcharts that are there.
    pub(super) fn subcharts(&self) -> Vec<String> {
        let is_first_level = |path: &str| {
            path.strip_prefix("charts/")
                .and_then(|rest| rest.strip_suffix("/Chart.yaml"))
                .is_some_and(|name| !name.contains('/'))
        };
        let unpacked = self.0.iter().filter(|(path, _)| is_first_level(path));
        let mut names: Vec<String> = unpacked.filter_map(|(_, bytes)| chart_name(bytes)).collect();
        let packed = self.0.iter().filter(|(path, _)| is_packed_subchart(path) && path.matches('/').count() == 1);
        let mut unpacking = Unpacking::default();
        names.extend(packed.filter_map(|(_, bytes)| unpacking.name(bytes)));
        names
    }

    /// Gives the APIs that the definitions in `crds/` folders bring: `GROUP/VERSION` and `GROUP/VERSION/KIND`.
    pub(super) fn apis(&self) -> Vec<String> {
        let in_crds = self.0.iter().filter(|(path, _)| in_chart(path).starts_with("crds/"));
        let mut apis: Vec<String> = in_crds.flat_map(|(_, bytes)| apis_of_text(bytes)).collect();
        apis.sort();
        apis.dedup();
        apis
    }
}

/// The packed subcharts of one chart, which all together are unpacked within the bounds of one.
struct Unpacking {
    left: u64,
}

impl Default for Unpacking {
    fn default() -> Self {
        Self { left: LARGEST_CHART }
    }
}

impl Unpacking {
    /// The files of one; `None` where it can't be unpacked.
    ///
    /// # Errors
    /// They are too large together.
    fn files(&mut self, packed: &[u8]) -> io::Result<Option<Vec<Entry>>> {
        let mut entries = Entries::within(packed, self.left);
        let files: io::Result<Vec<Entry>> = entries.by_ref().collect();
        self.left = entries.left();
        match files {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(too_large()),
            _ if self.left == 0 => Err(too_large()),
            Ok(files) => Ok(Some(files)),
            Err(_) => Ok(None),
        }
    }

    /// What one is called, as far as that can be told.
    fn name(&mut self, packed: &[u8]) -> Option<String> {
        let mut entries = Entries::within(packed, self.left);
        let chart = entries.find(|entry| entry.as_ref().map_or(true, |entry| entry.path == "Chart.yaml"));
        self.left = entries.left();
        chart_name(&chart?.ok()?.bytes)
    }
}

/// The folder that a packed subchart is unpacked into.
fn folder_of(packed: &str) -> &str {
    packed.trim_end_matches(".tgz")
}

fn is_packed_subchart(path: &str) -> bool {
    let path = path.rsplit_once("charts/").filter(|(before, _)| before.is_empty() || before.ends_with('/'));
    path.is_some_and(|(_, name)| name.ends_with(".tgz") && !name.contains('/') && !name.starts_with(['.', '_']))
}

/// Takes a path as the chart or subchart sees it that it lies in: `charts/a/charts/b/README.md` is `README.md`.
pub(super) fn in_chart(path: &str) -> &str {
    let mut path = path;
    while let Some((_, rest)) = path.strip_prefix("charts/").and_then(|below| below.split_once('/')) {
        path = rest;
    }
    path
}

fn of_folder(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    walk(folder)?.into_iter().map(|(name, path)| Ok((name, bounded(&path)?))).collect()
}

fn of_archive(packed: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    Entries::new(packed).map(|entry| entry.map(|entry| (entry.path, entry.bytes))).collect()
}

fn chart_name(yaml: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let documents: Vec<Named> = yaml::documents(std::str::from_utf8(yaml).ok()?, Twice::LastCounts).ok()?;
    documents.into_iter().next().map(|chart| chart.name)
}

#[derive(Deserialize)]
struct Definition {
    spec: Option<DefinitionSpec>,
}

impl Definition {
    fn apis(self) -> Vec<String> {
        let Some(DefinitionSpec { group, names, versions }) = self.spec else { return Vec::new() };
        let served = versions.iter().filter(|version| version.served);
        let both = |name: &str| [format!("{group}/{name}"), format!("{group}/{name}/{}", names.kind)];
        served.flat_map(|version| both(&version.name)).collect()
    }
}

#[derive(Deserialize)]
struct DefinitionSpec {
    group: String,
    names: DefinitionNames,
    versions: Vec<DefinitionVersion>,
}

#[derive(Deserialize)]
struct DefinitionNames {
    kind: String,
}

#[derive(Deserialize)]
struct DefinitionVersion {
    name: String,
    served: bool,
}

fn apis_of_text(yaml: &[u8]) -> Vec<String> {
    // What is no definition brings no API; what is no YAML is for helm to complain about.
    let text = String::from_utf8_lossy(yaml);
    let definitions: Vec<Definition> = yaml::documents(&text, Twice::LastCounts).unwrap_or_default();
    definitions.into_iter().flat_map(Definition::apis).collect()
}

/// Gives the APIs that a definition brings: `GROUP/VERSION` and `GROUP/VERSION/KIND`.
pub(crate) fn apis_of(definition: &Value) -> Vec<String> {
    Definition::deserialize(definition).map_or_else(|_| Vec::new(), Definition::apis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_chart_that_they_lie_in() {
        for (path, seen) in [
            ("README.md", "README.md"),
            ("charts/a/README.md", "README.md"),
            ("charts/a/charts/b/crds/c.yaml", "crds/c.yaml"),
            ("charts/README.md", "charts/README.md"),
            ("templates/charts/a/b", "templates/charts/a/b"),
        ] {
            assert_eq!(in_chart(path), seen);
        }
    }

    #[test]
    fn packed_subcharts_are_known_by_their_place() {
        for (path, is) in [
            ("charts/a-1.0.tgz", true),
            ("charts/a/charts/b.tgz", true),
            ("files/a.tgz", false),
            ("charts/_a.tgz", false),
            ("mycharts/a.tgz", false),
            ("charts/a/files/b.tgz", false),
        ] {
            assert_eq!(is_packed_subchart(path), is, "{path}");
        }
    }

    #[test]
    fn definitions_bring_the_apis_of_their_served_versions() {
        let yaml = "---\nkind: CustomResourceDefinition\nspec:\n  group: g.io\n  names: {kind: Thing}\n  versions: [{name: v1, served: true}, {name: v0, served: false}]\n---\n# nothing\n";
        assert_eq!(apis_of_text(yaml.as_bytes()), ["g.io/v1", "g.io/v1/Thing"]);
        assert_eq!(apis_of_text(b"[broken"), Vec::<String>::new());
    }
}
