//! `cfrt schema`: the JSON Schema of what a command prints.

use crate::args::Format;
use crate::exit::Exit;
use crate::render::json;
use crate::screen;
use crate::trouble::Trouble;

/// Prints a schema.
///
/// # Errors
///
/// It can't be printed.
pub(crate) fn run(format: Format) -> Result<Exit, Trouble> {
    screen::print(&json::schema(format))?;
    Ok(Exit::Done)
}
