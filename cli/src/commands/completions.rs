//! `cfrt completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::args::Arguments;
use crate::exit::Exit;
use crate::screen;
use crate::trouble::Trouble;

/// Prints the completions of a shell.
///
/// # Errors
///
/// They can't be printed.
pub(crate) fn run(shell: Shell) -> Result<Exit, Trouble> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "cfrt", &mut script);
    screen::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
