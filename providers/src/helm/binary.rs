//! Finding helm, and knowing its version without starting it twice.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fmt, fs};

use serde::{Deserialize, Serialize};

use super::run::{Invocation, RunError};
use crate::private;

/// The variable that names the helm to use.
pub const VARIABLE: &str = "CFRT_HELM";

const NAME: &str = "helm";
const OLDEST: Version = Version { major: 3, minor: 13, patch: 0 };
/// A program that takes longer to tell its version is no helm, or can't work.
const PATIENCE: Duration = Duration::from_secs(20);
const MEMORY_FILE: &str = "helm-versions.json";
const MEMORY_SIZE: u64 = 64 << 10;
const REMEMBERED: usize = 16;

/// Why there is no helm to work with.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is no helm in any place where it could be.
    #[error("helm is not found; looked for {}", looked_for.join(", "))]
    Absent {
        /// The places, in the order in which they were tried.
        looked_for: Vec<String>,
    },
    /// What was named as helm can't be run.
    #[error("{} ({named_by}) is not a program that can be run", path.display())]
    NotExecutable {
        /// What was named.
        path: PathBuf,
        /// Who named it: the option, the variable or the search path.
        named_by: &'static str,
    },
    /// It is older than what cfrt can use.
    #[error("{} is helm {version}; cfrt needs {OLDEST} or newer", path.display())]
    TooOld {
        /// The helm that was found.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
    /// It does not tell its version as helm does.
    #[error("{} does not tell a version as helm does: {answer:?}", path.display())]
    Stranger {
        /// The program that was found.
        path: PathBuf,
        /// The beginning of its answer.
        answer: String,
    },
    /// It could not be asked.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl FindError {
    /// What can be done about it.
    pub fn advice() -> String {
        format!("install helm {OLDEST} or newer (https://helm.sh), or name another with --helm or {VARIABLE}")
    }
}

/// A version of helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// 3 or 4.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch number.
    pub patch: u32,
}

impl Version {
    /// Reads `v3.20.2`, with anything behind the numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let numbers = text.split(['-', '+', '_']).next().unwrap_or_default();
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Self { major, minor, patch: numbers.next().flatten().unwrap_or(0) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Where to look for helm: what the user named first, then the variable, then the search path.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What `--helm` says.
    pub option: Option<PathBuf>,
    /// What the variable says.
    pub variable: Option<OsString>,
    /// The folders of the search path.
    pub folders: Vec<PathBuf>,
}

impl Search {
    /// Takes variable and search path from the environment of this process.
    pub fn from_environment(option: Option<PathBuf>) -> Self {
        let folders = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        Self { option, variable, folders }
    }

    /// Finds the program; a bare name is looked up in the search path, as a shell does.
    ///
    /// # Errors
    /// A named program that can't be run is an error, not a reason to look further.
    pub fn program(&self) -> Result<PathBuf, FindError> {
        if let Some(path) = &self.option {
            return self.named(path, "--helm");
        }
        match &self.variable {
            Some(path) => self.named(Path::new(path), VARIABLE),
            None => self.in_folders(Path::new(NAME)),
        }
    }

    fn named(&self, path: &Path, named_by: &'static str) -> Result<PathBuf, FindError> {
        let is_bare = path.components().count() == 1 && !path.exists();
        if is_bare {
            return self.in_folders(path);
        }
        let absent = || FindError::Absent { looked_for: vec![format!("{} ({named_by})", path.display())] };
        let found = path.canonicalize().map_err(|_| absent())?;
        if is_program(&found) { Ok(found) } else { Err(FindError::NotExecutable { path: path.to_owned(), named_by }) }
    }

    fn in_folders(&self, name: &Path) -> Result<PathBuf, FindError> {
        let candidates = || self.folders.iter().map(|folder| folder.join(name));
        if let Some(found) = candidates().find(|path| is_program(path)) {
            return Ok(found);
        }
        if let Some(path) = candidates().find(|path| path.exists()) {
            return Err(FindError::NotExecutable { path, named_by: "PATH" });
        }
        let mut looked_for: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        looked_for.dedup();
        let places = if looked_for.is_empty() { "an empty PATH".to_owned() } else { looked_for.join(":") };
        Err(FindError::Absent { looked_for: vec![format!("`{}` in {places}", name.display())] })
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o111 != 0)
}

/// A helm that can be used.
#[derive(Debug, Clone)]
pub struct Helm {
    path: PathBuf,
    version: Version,
}

impl Helm {
    /// Finds helm and asks for its version; an answer is remembered in `memory`, so that the same file is not asked twice.
    ///
    /// # Errors
    /// See [`FindError`]; each says what to do. A memory that can't be read or written only costs the question.
    pub async fn find(search: &Search, memory: &Path) -> Result<Self, FindError> {
        let path = search.program()?;
        let memory = memory.join(MEMORY_FILE);
        let seen = Seen::of(&path);
        let mut known = recall(&memory);
        let remembered = known.get(&path).filter(|(file, _)| Some(*file) == seen).map(|(_, version)| *version);
        let version = match remembered {
            Some(version) => version,
            None => ask(&path).await?,
        };
        if version < OLDEST {
            return Err(FindError::TooOld { path, version });
        }
        if let (Some(seen), None) = (seen, remembered) {
            known.insert(path.clone(), (seen, version));
            remember(&memory, known);
        }
        Ok(Self { path, version })
    }

    /// Tells where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Runs it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(&self, invocation: Invocation) -> Result<String, RunError> {
        invocation.run(&self.path).await
    }
}

async fn ask(path: &Path) -> Result<Version, FindError> {
    let mut question = Invocation::new("asking for helm's version", &["version", "--template", "{{.Version}}"]);
    question.limit = PATIENCE;
    let answer = question.run(path).await?;
    let stranger = || FindError::Stranger { path: path.to_owned(), answer: answer.chars().take(80).collect() };
    Version::parse(&answer).ok_or_else(stranger)
}

/// What tells one file from another of the same path without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    size: u64,
    changed: i64,
    changed_nanoseconds: i64,
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { size: found.size(), changed: found.mtime(), changed_nanoseconds: found.mtime_nsec() })
    }
}

type Memory = BTreeMap<PathBuf, (Seen, Version)>;

fn recall(file: &Path) -> Memory {
    private::read(file, MEMORY_SIZE).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn remember(file: &Path, mut known: Memory) {
    known.retain(|path, _| path.exists());
    while known.len() > REMEMBERED {
        known.pop_first();
    }
    // What is not remembered is asked again.
    if let (Some(folder), Ok(bytes)) = (file.parent(), serde_json::to_vec(&known)) {
        drop(private::folder(folder).and_then(|()| private::write(file, &bytes)));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;

    /// Writes a script that plays helm. The shell writes it: were this process to have it open, a fork of another test
    /// could keep it busy.
    pub(crate) fn play(path: &Path, script: &str) {
        let write = "mkdir -p \"${0%/*}\"; printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\"; chmod 755 \"$0\"";
        let written = Command::new("/bin/sh").args(["-c", write]).arg(path).arg(script).status().unwrap();
        assert!(written.success());
    }

    fn option(path: &Path) -> Search {
        Search { option: Some(path.to_owned()), ..Search::default() }
    }

    #[test]
    fn versions_are_read_with_whatever_follows_the_numbers() {
        for (text, version) in [
            ("v3.20.2", Some("3.20.2")),
            ("v4.0.0-rc.1\n", Some("4.0.0")),
            ("v3.13+unreleased", Some("3.13.0")),
            ("4.3.1+g1234", Some("4.3.1")),
            ("helm", None),
            ("", None),
            ("v3", None),
            ("v99999999999999999999.1.1", None),
        ] {
            assert_eq!(Version::parse(text).map(|version| version.to_string()).as_deref(), version, "{text}");
        }
    }

    #[test]
    fn the_option_counts_before_the_variable_and_that_before_the_search_path() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let [a, b, c] = ["a/one", "b/two", "c/helm"].map(|name| home.join(name));
        for path in [&a, &b, &c] {
            play(path, "");
        }
        let mut search =
            Search { option: Some(a.clone()), variable: Some(b.clone().into()), folders: vec![home.join("c")] };
        assert_eq!(search.program().unwrap(), a);
        search.option = None;
        assert_eq!(search.program().unwrap(), b);
        search.variable = None;
        assert_eq!(search.program().unwrap(), c);
        search.option = Some("one".into());
        search.folders = vec![home.join("b"), home.join("a")];
        assert_eq!(search.program().unwrap(), a);
    }

    #[test]
    fn an_absent_helm_is_reported_with_the_places_and_what_to_do() {
        let folders = vec!["/nowhere/bin".into(), "/nowhere/sbin".into()];
        let error = Search { folders, ..Search::default() }.program().unwrap_err().to_string();
        assert_eq!(error, "helm is not found; looked for `helm` in /nowhere/bin:/nowhere/sbin");
        let named = option(Path::new("/nowhere/helm")).program().unwrap_err().to_string();
        assert!(named.ends_with("looked for /nowhere/helm (--helm)"), "{named}");
    }

    #[test]
    fn what_is_no_program_is_reported_as_such() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("helm");
        fs::write(&path, "text").unwrap();
        let named = option(&path).program().unwrap_err();
        assert!(matches!(named, FindError::NotExecutable { named_by: "--helm", .. }), "{named}");
        let searched = Search { folders: vec![home.path().into()], ..Search::default() }.program().unwrap_err();
        assert!(matches!(searched, FindError::NotExecutable { named_by: "PATH", .. }), "{searched}");
        assert!(matches!(option(home.path()).program(), Err(FindError::NotExecutable { .. })));
    }

    #[tokio::test]
    async fn a_version_is_asked_once_for_each_file() {
        let home = tempfile::tempdir().unwrap();
        let (path, memory) = (home.path().join("bin/helm"), home.path().join("cache"));
        play(&path, "echo x >> \"$0.asked\"; echo v3.20.2");
        for _ in 0..2 {
            let helm = Helm::find(&option(&path), &memory).await.unwrap();
            assert_eq!(helm.version(), Version { major: 3, minor: 20, patch: 2 });
        }
        assert_eq!(fs::read_to_string(home.path().join("bin/helm.asked")).unwrap(), "x\n");
        play(&path, "echo v4.3.1");
        assert_eq!(Helm::find(&option(&path), &memory).await.unwrap().version().major, 4);
        private::write(&memory.join(MEMORY_FILE), b"{broken").unwrap();
        assert_eq!(Helm::find(&option(&path), &memory).await.unwrap().version().major, 4);
    }

    #[tokio::test]
    async fn an_old_helm_and_a_stranger_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("helm");
        play(&path, "echo v3.12.3+g0");
        let old = Helm::find(&option(&path), home.path()).await.unwrap_err().to_string();
        assert!(old.ends_with("is helm 3.12.3; cfrt needs 3.13.0 or newer"), "{old}");
        play(&path, "echo hello");
        let stranger = Helm::find(&option(&path), home.path()).await.unwrap_err();
        assert!(matches!(stranger, FindError::Stranger { .. }), "{stranger}");
    }
}
