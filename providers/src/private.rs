//! Files and folders for their owner's eyes only: made, read back and counted.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

const OTHERS: u32 = 0o077;

/// Makes a folder, and those above it, that only its owner can enter; takes one that is there if it is ours alone.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    make(path)?;
    check(path)
}

/// Makes a folder, and those above it, that only its owner can enter; one that is there is not looked at.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes sure that a folder belongs to us, and that nobody else can enter it.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    is_alone(&fs::metadata(path)?, user()?)
}

fn is_alone(folder: &Metadata, user: u32) -> io::Result<()> {
    let refused = |message| Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    let (owner, mode) = (folder.uid(), folder.mode());
    if owner != user {
        return refused(format!("it belongs to another user (uid {owner})"));
    }
    if mode & OTHERS != 0 {
        return refused(format!("it is open to others (mode {:04o}); close it with `chmod 700`", mode & 0o7777));
    }
    Ok(())
}

/// Reads a file of ours that nobody else can read.
///
/// Anything else by that name (a link, a pipe, a file that is larger than `limit`, open to others, or of somebody else) is
/// `None`.
pub(crate) fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    // Before it is opened: a pipe would wait for a writer.
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    if !is_ours(&file.metadata().ok()?, user().ok()?, limit) {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn is_ours(found: &Metadata, user: u32, limit: u64) -> bool {
    found.is_file() && found.mode() & OTHERS == 0 && found.len() <= limit && found.uid() == user
}

/// Who we are to the file system. A pipe belongs to whom makes it, and std tells it in no other way.
fn user() -> io::Result<u32> {
    let (pipe, _) = io::pipe()?;
    Ok(File::from(OwnedFd::from(pipe)).metadata()?.uid())
}

/// Writes a file as a whole: a reader sees the old one, or all of the new one. Its mode is 0600.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    filled(path, bytes)?.persist(path).map_err(|refused| refused.error)?;
    Ok(())
}

/// Writes a file as [`write`] does, and leaves one that is there already as it is.
pub(crate) fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match filled(path, bytes)?.persist_noclobber(path) {
        Err(refused) if refused.error.kind() != io::ErrorKind::AlreadyExists => Err(refused.error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn filled(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let folder = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Removes the oldest entries of a folder until `count` are left; what can't be removed stays.
pub(crate) fn keep_newest(folder: &Path, count: usize) {
    let mut entries: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    entries.sort();
    let surplus = entries.len().saturating_sub(count);
    for (_, path) in entries.into_iter().take(surplus) {
        // Another process may have removed it first; a leftover is tried again next time.
        drop(if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) });
    }
}

/// Marks an entry as used now, so that [`keep_newest`] keeps it; tells whether it is there.
pub(crate) fn touch(path: &Path) -> bool {
    File::open(path).is_ok_and(|entry| entry.set_modified(std::time::SystemTime::now()).is_ok())
}

/// Draws bytes from the system's random source.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn home() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    #[test]
    fn what_is_written_is_for_the_owner_only_and_reads_back() {
        let home = home();
        let path = home.path().join("a/b");
        folder(path.parent().unwrap()).unwrap();
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_open_to_others_is_refused_and_left_as_it_is() {
        let home = home();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let refused = folder(home.path()).unwrap_err();
        assert!(refused.to_string().contains("mode 0755"), "{refused}");
        assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_belongs_to_another_user_is_neither_entered_nor_read() {
        let home = home();
        let path = home.path().join("file");
        write(&path, b"content").unwrap();
        let (we, [folder, file]) = (user().unwrap(), [home.path(), &path].map(|path| fs::metadata(path).unwrap()));
        assert!(is_alone(&folder, we).is_ok() && is_ours(&file, we, 100));
        let refused = is_alone(&folder, we + 1).unwrap_err().to_string();
        assert_eq!(refused, format!("it belongs to another user (uid {we})"));
        assert!(!is_ours(&file, we + 1, 100));
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_opened() {
        let home = home();
        let pipe = home.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
        assert_eq!(read(&pipe, 100), None);
    }

    #[test]
    fn links_large_files_and_files_open_to_others_are_not_read() {
        let home = home();
        let (real, link) = (home.path().join("real"), home.path().join("link"));
        write(&real, b"content").unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(read(&link, 100), None);
        assert_eq!(read(&real, 6), None);
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&real, 100), None);
        assert_eq!(read(&home.path().join("absent"), 100), None);
    }

    #[test]
    fn a_file_that_is_there_is_not_written_twice() {
        let home = home();
        let path = home.path().join("key");
        write_once(&path, b"first").unwrap();
        write_once(&path, b"second").unwrap();
        assert_eq!(read(&path, 100).unwrap(), b"first");
    }

    #[test]
    fn only_the_newest_entries_stay() {
        let home = home();
        for (age, name) in ["new", "middle", "old"].into_iter().enumerate() {
            let path = home.path().join(name);
            write(&path, b"").unwrap();
            let modified = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 - age as u64);
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
        fs::create_dir(home.path().join("folder")).unwrap();
        keep_newest(home.path(), 2);
        let mut left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["folder", "new"]);
    }
}
