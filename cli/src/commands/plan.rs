//! `cfrt plan`: what would change, and nothing else.

use cfrt_providers::world::Access;

use crate::args::{Output, PlanArguments};
use crate::exit::Exit;
use crate::pipeline::{Prepared, prepare};
use crate::render::{failure, json, text};
use crate::screen;
use crate::trouble::Trouble;

/// Shows the plan.
///
/// # Errors
///
/// What kept it from being made or printed.
pub(crate) async fn run(arguments: &PlanArguments) -> Result<Exit, Trouble> {
    let prepared = prepare(&arguments.common, Access::ReadOnly).await?;
    let shown = match arguments.common.output {
        Output::Text => text::plan(&prepared.about, &prepared.plan),
        Output::Json => json::plan(&prepared.about, &prepared.plan),
    };
    screen::print(&shown)?;
    screen::tell(&failure::refused(&prepared.plan));
    let exit = Exit::of_plan(&prepared.plan, arguments.detailed_exit_code);
    // The process ends here: taking apart all that was read, value by value, is a twentieth of its work.
    let Prepared { world, plan, .. } = prepared;
    world.leave();
    std::mem::forget(plan);
    Ok(exit)
}
