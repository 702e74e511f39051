//! The cache folder: the user's own, or one that goes with the run.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cfrt_engine::driver::DriverError;
use tempfile::TempDir;

use crate::private;

/// The variable that names the folder.
const VARIABLE: &str = "CFRT_CACHE";

/// A folder that nobody but us can enter.
#[derive(Debug)]
pub enum CacheFolder {
    /// One that stays for the next run.
    Lasting(PathBuf),
    /// One for this run only: there is no place of our own where another could stay.
    Passing(TempDir),
}

impl CacheFolder {
    /// Takes the folder that is named, or the usual one; where that can't be made, a fresh one for this run.
    ///
    /// A folder at a name that others can guess, and in a place where others can make it first, is never taken.
    ///
    /// # Errors
    ///
    /// A folder that belongs to someone else or is open to others: what it holds is believed, so that it isn't used, and
    /// not passed over in silence either. A named folder that can't be made.
    pub(crate) fn find(
        named: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, DriverError> {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(folder) = named.or_else(|| set(VARIABLE)) {
            private::folder(&folder).map_err(|error| refused(&folder, error))?;
            return Ok(Self::Lasting(folder));
        }
        let home = |name| set(name).filter(|folder| folder.is_absolute());
        let usual = home("XDG_CACHE_HOME").or_else(|| Some(home("HOME")?.join(".cache"))).map(|home| home.join("cfrt"));
        // Nothing to protect, and nothing to keep: a container whose user has no home.
        let Some(folder) = usual.filter(|folder| private::make(folder).is_ok()) else { return Self::passing() };
        private::check(&folder).map_err(|error| refused(&folder, error))?;
        Ok(Self::Lasting(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Lasting(folder) => folder,
            Self::Passing(folder) => folder.path(),
        }
    }

    fn passing() -> Result<Self, DriverError> {
        let alone = Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix("cfrt-").permissions(alone).tempdir();
        made.map(Self::Passing).map_err(|error| refused(&std::env::temp_dir(), error))
    }
}

fn refused(folder: &Path, error: std::io::Error) -> DriverError {
    DriverError::new(format!("using {} for the cache", folder.display()), error)
        .hint(format!("name a folder of your own with {VARIABLE}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn find(variables: &[(&str, &Path)]) -> Result<CacheFolder, DriverError> {
        let variables = variables.to_vec();
        CacheFolder::find(None, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_os_str().to_owned())
        })
    }

    fn home() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn the_variable_counts_before_the_cache_home_and_that_before_the_home() {
        let home = home();
        let [a, b, c] = ["a", "b", "c"].map(|name| home.path().join(name));
        let all = [("CFRT_CACHE", a.as_path()), ("XDG_CACHE_HOME", b.as_path()), ("HOME", c.as_path())];
        let expected = [a.clone(), b.join("cfrt"), c.join(".cache/cfrt")];
        for (first, expected) in expected.iter().enumerate() {
            assert_eq!(find(&all[first..]).unwrap().path(), expected);
        }
        let relative = [("XDG_CACHE_HOME", Path::new("relative")), ("HOME", c.as_path())];
        assert_eq!(find(&relative).unwrap().path(), expected[2]);
    }

    #[test]
    fn without_a_place_of_ones_own_each_run_has_a_folder_that_goes_with_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = Path::new("");
        for variables in [&[][..], &[("HOME", empty)], &[("HOME", file.path())], &[("XDG_CACHE_HOME", file.path())]] {
            let [one, two] = [find(variables).unwrap(), find(variables).unwrap()];
            assert_ne!(one.path(), two.path());
            let path = one.path().to_owned();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
            drop(one);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_folder_that_is_open_to_others_is_refused_and_not_passed_over() {
        let home = home();
        let folder = home.path().join("cfrt");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        for variables in [[("CFRT_CACHE", folder.as_path())], [("XDG_CACHE_HOME", home.path())]] {
            let refused = find(&variables).unwrap_err();
            assert_eq!(refused.doing, format!("using {} for the cache", folder.display()));
            assert!(refused.chain()[1].contains("mode 0777"), "{:?}", refused.chain());
            assert!(refused.hint.contains(VARIABLE));
        }
    }

    #[test]
    fn a_named_folder_that_cannot_be_made_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(find(&[("CFRT_CACHE", &file.path().join("below"))]).is_err());
    }
}
