//! `cfrt unadopt`: what an adoption took, shown, agreed to, and given back.

use crate::args::ApplyArguments;
use crate::commands::apply::carry_through;
use crate::exit::Exit;
use crate::pipeline::prepare_return;
use crate::trouble::Trouble;

/// Shows what is given back, asks, and gives it back.
///
/// # Errors
///
/// As `cfrt apply`.
pub(crate) async fn run(arguments: &ApplyArguments) -> Result<Exit, Trouble> {
    let carried = carry_through(arguments, prepare_return(&arguments.common).await?).await?;
    Ok(carried.exit)
}
