//! `cfrt plan`: what would change, and nothing else.

use cfrt_engine::change::Action;
use cfrt_providers::world::{Access, Sealing, Surroundings};

use crate::args::{CommonArguments, Output, PlanArguments};
use crate::exit::Exit;
use crate::pipeline::{Prepared, around, look};
use crate::planfile;
use crate::render::clean::clean;
use crate::render::{failure, json, text};
use crate::screen;
use crate::trouble::Trouble;

/// Shows the plan.
///
/// # Errors
///
/// What kept it from being made or printed.
pub(crate) async fn run(arguments: &PlanArguments) -> Result<Exit, Trouble> {
    arguments.out.as_deref().map_or(Ok(()), planfile::may_be_written)?;
    let prepared = prepared(arguments).await?;
    let shown = match arguments.common.output {
        Output::Text => text::plan(&prepared.about, &prepared.plan),
        Output::Json => json::plan(&prepared.about, &prepared.plan),
    };
    screen::print(&shown)?;
    screen::tell(&failure::refused(&prepared.plan));
    if let Some(path) = &arguments.out
        && prepared.plan.count(Action::Refuse) > 0
    {
        screen::tell(&format!(
            "{} is not written: a plan that is refused can't be approved\n",
            clean(&path.to_string_lossy())
        ));
    } else if let Some(path) = &arguments.out {
        let made = planfile::write(path, &arguments.common.file, &prepared)?;
        screen::tell(&format!("{} is written: approval {}\n", clean(&path.to_string_lossy()), made.approval()));
    }
    let exit = Exit::of_plan(&prepared.plan, arguments.detailed_exit_code);
    // The process ends here: taking apart all that was read, value by value, is a twentieth of its work.
    let Prepared { world, plan, .. } = prepared;
    world.leave();
    std::mem::forget(plan);
    Ok(exit)
}

/// A plan that others are to carry out has its secrets sealed with the key that they have, too.
async fn prepared(arguments: &PlanArguments) -> Result<Prepared, Trouble> {
    let CommonArguments { file, helm, .. } = &arguments.common;
    let sealing = if arguments.out.is_some() { Sealing::Shared } else { Sealing::Own };
    look(file, Surroundings { sealing, ..around(helm.as_ref()) }, Access::ReadOnly).await
}
