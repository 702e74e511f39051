//! `cfrt verify`: whether a plan file is as it was written, without asking anyone.

use std::path::Path;

use crate::exit::Exit;
use crate::planfile;
use crate::render::words::plural;
use crate::screen;
use crate::trouble::Trouble;

/// Makes sure that a plan file is genuine, and prints what an approval of it is about.
///
/// # Errors
///
/// It can't be read, isn't as it was written, or nothing can be printed.
pub(crate) fn run(plan_file: &Path) -> Result<Exit, Trouble> {
    let file = planfile::read(plan_file)?;
    let steps = plural(file.steps().count(), "step");
    screen::print(&format!("genuine: {steps}, approval {}\n", file.approval()))?;
    Ok(Exit::Done)
}
