//! The only place that writes files for others: whole or not at all, so that whoever reads them meanwhile sees no half.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::trouble::Trouble;

/// Puts a text in the place of a file.
///
/// # Errors
///
/// It can't be written; what was there before is still there then.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let written = match fs::metadata(path) {
        // A pipe or a device can't be replaced.
        Ok(there) if !there.is_file() && !there.is_dir() => fs::write(path, text),
        // Of a link it is what it leads to that is replaced.
        Ok(_) => path.canonicalize().and_then(|path| replace(&path, text)),
        Err(_) => replace(path, text),
    };
    written.map_err(|source| Trouble::Unwritable { path: path.to_owned(), source })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = beside(path)?;
    let written = fill(&beside, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left is ours; that it can't be removed either tells nobody more.
        fs::remove_file(&beside).unwrap_or_default();
    }
    written
}

fn fill(path: &Path, text: &str) -> io::Result<()> {
    // What a run left that was killed goes, and so does a link that someone put there: only a file of our own is written.
    fs::remove_file(path).unwrap_or_default();
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name that no one else uses, and that no collector of such files reads.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    Ok(path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("drift.prom");
        for text in ["a longer text", "short"] {
            write(&path, text).expect("the folder can be written");
            assert_eq!(fs::read_to_string(&path).expect("it was written"), text);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_the_part_is_not_followed() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let (path, theirs) = (folder.path().join("drift.prom"), folder.path().join("theirs"));
        fs::write(&theirs, "theirs").expect("the folder can be written");
        let part = beside(&path).expect("it names a file");
        std::os::unix::fs::symlink(&theirs, part).expect("the folder can be written");
        write(&path, "ours").expect("the folder can be written");
        assert_eq!(fs::read_to_string(&theirs).expect("it is there"), "theirs");
        assert_eq!(fs::read_to_string(&path).expect("it was written"), "ours");
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "before").expect("the folder can be written");
        std::os::unix::fs::symlink("target", &link).expect("the folder can be written");
        write(&link, "after").expect("the folder can be written");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(fs::read_to_string(&target).expect("it is there"), "after");
    }

    #[test]
    fn what_can_not_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        fs::create_dir(folder.path().join("taken")).expect("the folder can be written");
        for path in ["taken", "missing/drift.prom"] {
            assert!(write(&folder.path().join(path), "text").is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1);
    }
}
