//! `cfrt unadopt`: what an adoption took, shown, agreed to, and given back.

use crate::args::{Output, WriteArguments};
use crate::commands::apply::{Meaning, carry_through};
use crate::exit::Exit;
use crate::load::load;
use crate::pipeline::{prepare_return, tasks};
use crate::screen;
use crate::trouble::Trouble;

/// Shows what is given back, asks, and gives it back.
///
/// # Errors
///
/// As `cfrt apply`.
pub(crate) async fn run(arguments: &WriteArguments) -> Result<Exit, Trouble> {
    let sources = load(&arguments.common.file)?;
    let adopts = tasks(&sources)?.entries.iter().any(|entry| entry.id.kind == "crd-adoption");
    let meaning = Meaning { command: "unadopt", approved: None, remembers: false };
    let exit = carry_through(arguments, prepare_return(&arguments.common).await?, &meaning).await?;
    if adopts && exit == Exit::Done && arguments.common.output == Output::Text {
        screen::print("The file still has `[crds]`: the next plan takes the definitions again.\n")?;
    }
    Ok(exit)
}
