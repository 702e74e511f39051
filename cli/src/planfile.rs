//! Plan files on disk: read whole and only where every byte is as it was written, and written whole.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use cfrt_engine::planfile::PlanFile;
use cfrt_providers::world::World;

use crate::file;
use crate::pipeline::Prepared;
use crate::render::planned::{Fingerprints, plan_file};
use crate::trouble::Trouble;

/// The longest file that is read: room for far more than a release has objects.
const LONGEST: u64 = 64 << 20;

/// By so much of its beginning a plan file is known.
const BEGINNING: u64 = 200;

/// Reads a plan file.
///
/// # Errors
///
/// It can't be read, or is no plan file as it was written.
pub(crate) fn read(path: &Path) -> Result<PlanFile, Trouble> {
    let text = text(path).map_err(|source| Trouble::NoPlanFile { path: path.to_owned(), source })?;
    PlanFile::read(&text).map_err(|source| Trouble::NotGenuine { path: path.to_owned(), source })
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    // What isn't UTF-8 is no plan file either, and is told as such.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Makes sure that a plan file may be written to a path: what is there must be one, too, or nothing. It may be the very file that
/// the plan is made from.
///
/// # Errors
///
/// There is something else.
pub(crate) fn may_be_written(path: &Path) -> Result<(), Trouble> {
    if !path.is_file() {
        return Ok(());
    }
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut begin));
    let begin = String::from_utf8_lossy(&begin);
    let is_one = read.is_ok() && (begin.trim().is_empty() || begin.contains("\"cfrt.plan-file/"));
    if is_one { Ok(()) } else { Err(Trouble::InTheWay { path: path.to_owned() }) }
}

/// Writes the plan file of a plan. Where it says the same already it is left as it is.
///
/// # Errors
///
/// It can't be written; what was there before is still there then.
pub(crate) fn write(path: &Path, desired: &Path, prepared: &Prepared) -> Result<PlanFile, Trouble> {
    let unwritable = |source| Trouble::Unwritable { path: path.to_owned(), source };
    let desired = from_folder_of(path, desired).map_err(unwritable)?;
    let Prepared { world, plan, about, .. } = prepared;
    let made = plan_file(about, plan, desired, fingerprints(world, world.shared_key.as_deref()));
    let text = made.text();
    // What others wait for in a pipe isn't there to be read.
    if path.is_file() && self::text(path).is_ok_and(|there| there == text) {
        return Ok(made);
    }
    file::write(path, &text).map(|()| made)
}

/// The plan file that a plan of now would have, in the terms of one that was made before: with its key, or without one.
pub(crate) fn now(approved: &PlanFile, prepared: &Prepared) -> PlanFile {
    let Prepared { world, plan, about, .. } = prepared;
    let key = approved.key.as_ref().and(world.shared_key.as_deref());
    plan_file(about, plan, approved.desired.clone(), fingerprints(world, key))
}

fn fingerprints<'a>(world: &'a World, key: Option<&'a str>) -> Fingerprints<'a> {
    Fingerprints { key: key.map(|id| (&*world.vault, id)) }
}

/// The path of the file that a plan file was made from.
pub(crate) fn desired(path: &Path, approved: &PlanFile) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(&approved.desired)
}

/// How a file is reached from the folder of another one, wherever both are moved together.
fn from_folder_of(path: &Path, to: &Path) -> io::Result<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (from, to) = (folder.canonicalize()?, to.canonicalize()?);
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let steps: PathBuf =
        from[shared..].iter().map(|_| Component::ParentDir).chain(to[shared..].iter().copied()).collect();
    steps.into_os_string().into_string().map_err(|_| io::Error::other("the path of the file is no text"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_named_as_it_is_reached_from_the_plan_file() {
        let home = tempfile::tempdir().expect("there is room for a folder");
        let at = |path: &str| home.path().join(path);
        fs::create_dir_all(at("plans/approved")).expect("it can be made");
        fs::write(at("plans/prod.toml"), "").expect("it can be written");
        let reached = |plan_file: &str| from_folder_of(&at(plan_file), &at("plans/prod.toml")).expect("both are there");
        assert_eq!(reached("plans/prod.plan.json"), "prod.toml");
        assert_eq!(reached("plans/approved/prod.plan.json"), "../prod.toml");
        assert_eq!(reached("prod.plan.json"), "plans/prod.toml");
        assert!(from_folder_of(&at("nowhere/a"), &at("plans/prod.toml")).is_err());
    }
}
