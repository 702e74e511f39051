//! The commands: one file each, and what they take.

mod apply;
mod completions;
mod drift;
mod explain;
mod graph;
pub(crate) mod help;
mod history;
mod plan;
mod schedule;
mod schema;
mod show;
mod unadopt;
mod verify;

use crate::args::Command;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// Runs a command.
///
/// # Errors
///
/// What kept it from being carried out.
pub(crate) async fn run(command: Command) -> Result<Exit, Trouble> {
    match command {
        Command::Plan(arguments) => plan::run(&arguments).await,
        Command::Drift(arguments) => drift::run(&arguments).await,
        Command::Apply(arguments) => apply::run(&arguments).await,
        Command::Show { plan_file } => show::run(&plan_file),
        Command::Verify { plan_file } => verify::run(&plan_file),
        Command::Unadopt(arguments) => unadopt::run(&arguments).await,
        Command::History(arguments) => history::run(&arguments).await,
        Command::Schedule(arguments) => schedule::run(&arguments).await,
        Command::Graph(arguments) => graph::run(&arguments).await,
        Command::Explain { key, file } => explain::run(&key, file.as_deref()),
        Command::Completions { shell } => completions::run(shell),
        Command::Schema { format } => schema::run(format),
        Command::Help { topic } => help::run(topic),
    }
}
