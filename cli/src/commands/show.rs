//! `cfrt show`: what a plan file would do, for people.

use std::path::Path;

use crate::exit::Exit;
use crate::planfile;
use crate::render::approved;
use crate::screen;
use crate::trouble::Trouble;

/// Shows a plan file.
///
/// # Errors
///
/// It can't be read, isn't as it was written, or can't be printed.
pub(crate) fn run(plan_file: &Path) -> Result<Exit, Trouble> {
    screen::print(&approved::plan_file(&planfile::read(plan_file)?))?;
    Ok(Exit::Done)
}
