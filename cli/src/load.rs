//! A path to sources: the file and what it extends, read in the order in which they apply.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::Utf8Error;

use cfrt_engine::source::{Mistake, Sources, Span, extends};

use crate::render::clean::without_numbers;
use crate::trouble::Trouble;

/// The longest file that is read: far beyond what people write, far below what hurts.
const LONGEST: u64 = 4 << 20;

/// Reads a file and everything it extends; each file once, and what is extended before what extends it.
///
/// # Errors
///
/// The file itself can't be read; or a mistake at the `extends` that names a missing file, or closes a circle.
pub(crate) fn load(path: &Path) -> Result<Sources, Trouble> {
    let text = read(path).map_err(|source| Trouble::Unreadable { path: path.to_owned(), source })?;
    let mut loader = Loader { sources: Sources::default(), seen: Vec::new(), open: Vec::new() };
    loader.add(path, &identity(path), text)?;
    Ok(loader.sources)
}

struct Loader {
    sources: Sources,
    /// Every file that was begun, by what it really is.
    seen: Vec<PathBuf>,
    /// The files that extend the present one, outermost first, and the present one.
    open: Vec<Opened>,
}

struct Opened {
    path: PathBuf,
    identity: PathBuf,
}

impl Loader {
    fn add(&mut self, path: &Path, identity: &Path, text: String) -> Result<(), Trouble> {
        self.seen.push(identity.to_owned());
        self.open.push(Opened { path: path.to_owned(), identity: identity.to_owned() });
        for name in extends(&text).map_err(|mistake| mistaken(path, &text, *mistake))? {
            self.extend(path, &text, &name.span(), name.get_ref())?;
        }
        self.open.pop();
        self.sources.push(path, text);
        Ok(())
    }

    fn extend(&mut self, path: &Path, text: &str, at: &Span, name: &str) -> Result<(), Trouble> {
        let base = beside(path, name);
        let identity = identity(&base);
        if let Some(start) = self.open.iter().position(|file| file.identity == identity) {
            return Err(mistaken(path, text, self.circle(start, at)));
        }
        if self.seen.contains(&identity) {
            return Ok(());
        }
        let unreadable = |error: io::Error| {
            mistaken(
                path,
                text,
                Mistake::new(
                    at.clone(),
                    format!("cannot read {}: {}", base.display(), without_numbers(&error.to_string())),
                ),
            )
        };
        let base_text = read(&base).map_err(unreadable)?;
        self.add(&base, &identity, base_text)
    }

    fn circle(&self, start: usize, at: &Span) -> Mistake {
        let names = self.open[start..].iter().chain(&self.open[start..=start]);
        let names: Vec<String> = names.map(|file| file.path.display().to_string()).collect();
        Mistake::new(at.clone(), "the files extend each other in a circle").label(names.join(" → "))
    }
}

fn mistaken(path: &Path, text: &str, mistake: Mistake) -> Trouble {
    let mut sources = Sources::default();
    sources.push(path, text);
    Trouble::Mistaken { sources, mistakes: mistake.into() }
}

/// Where a name written in a file leads: relative paths start from the folder of that file.
fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

/// The same for all paths that lead to one file; a file that isn't there is found missing when it is read.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", LONGEST >> 20)));
    }
    String::from_utf8(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, foreign(error.as_bytes(), error.utf8_error())))
}

/// Why bytes are no text that we read.
fn foreign(bytes: &[u8], error: Utf8Error) -> String {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return "it is UTF-16; save it as UTF-8".to_owned();
    }
    let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("it is not UTF-8, first in line {line}; save it as UTF-8")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("the folder can be written");
            fs::write(path, text).expect("the folder can be written");
        }
        folder
    }

    fn names(folder: &TempDir, sources: &Sources) -> Vec<String> {
        let short =
            |path: &Path| path.strip_prefix(folder.path()).expect("it lies in the folder").display().to_string();
        sources.iter().map(|(_, source)| short(&source.path)).collect()
    }

    fn mistake(folder: &TempDir, file: &str) -> (Mistake, String) {
        match load(&folder.path().join(file)) {
            Err(Trouble::Mistaken { sources, mut mistakes }) => {
                let mistake = mistakes.0.remove(0);
                let (source, range) = sources.locate(&mistake.at).expect("it lies in a text");
                let shown = source.text[range].to_owned();
                (mistake, shown)
            }
            other => unreachable!("a mistake was expected, not {other:?}"),
        }
    }

    #[test]
    fn what_is_extended_stands_before_what_extends_it_and_once() {
        let folder = folder(&[
            ("plans/top.toml", "extends = ['left.toml', '../shared/right.toml']"),
            ("plans/left.toml", "extends = ['../shared/base.toml']"),
            ("shared/right.toml", "extends = ['base.toml']"),
            ("shared/base.toml", ""),
        ]);
        let sources = load(&folder.path().join("plans/top.toml")).expect("all files are there");
        let expected = ["plans/../shared/base.toml", "plans/left.toml", "plans/../shared/right.toml", "plans/top.toml"];
        assert_eq!(names(&folder, &sources), expected);
    }

    #[test]
    fn a_missing_file_is_a_mistake_where_it_is_named() {
        let folder = folder(&[("top.toml", "schema = 1\nextends = ['base.toml']")]);
        let (mistake, shown) = mistake(&folder, "top.toml");
        assert_eq!(shown, "'base.toml'");
        assert!(mistake.what.ends_with("base.toml: No such file or directory"), "{}", mistake.what);
    }

    #[test]
    fn a_circle_is_a_mistake_that_names_all_of_it() {
        let folder = folder(&[
            ("a.toml", "extends = ['b.toml']"),
            ("b.toml", "extends = ['c.toml']"),
            ("c.toml", "extends = ['./b.toml']"),
        ]);
        let (mistake, shown) = mistake(&folder, "a.toml");
        assert_eq!(shown, "'./b.toml'");
        let steps: Vec<_> = mistake.label.split(" → ").filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(steps, ["b.toml", "c.toml", "b.toml"]);
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        let error = read(Path::new("/dev/zero")).expect_err("it never ends");
        assert_eq!(error.to_string(), "it is larger than 4 MiB");
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let folder = folder(&[]);
        let path = folder.path().join("top.toml");
        fs::write(&path, [0xff, 0xfe]).expect("the folder can be written");
        assert!(matches!(load(&path), Err(Trouble::Unreadable { .. })));
    }
}
