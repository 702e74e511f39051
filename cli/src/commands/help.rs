//! `cfrt help`: a command's own help, the keys of the file, or the exit codes.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::args::{Arguments, Topic};
use crate::exit::Exit;
use crate::render::keys;
use crate::screen;
use crate::trouble::Trouble;

/// Explains a topic.
///
/// # Errors
///
/// It can't be printed.
pub(crate) fn run(topic: Option<Topic>) -> Result<Exit, Trouble> {
    let text = match topic {
        None => command_help(None),
        Some(Topic::Plan) => command_help(Some("plan")),
        Some(Topic::Drift) => command_help(Some("drift")),
        Some(Topic::Apply) => command_help(Some("apply")),
        Some(Topic::Show) => command_help(Some("show")),
        Some(Topic::Verify) => command_help(Some("verify")),
        Some(Topic::Unadopt) => command_help(Some("unadopt")),
        Some(Topic::History) => command_help(Some("history")),
        Some(Topic::Explain) => command_help(Some("explain")),
        Some(Topic::Schedule) => command_help(Some("schedule")),
        Some(Topic::Graph) => command_help(Some("graph")),
        Some(Topic::Completions) => command_help(Some("completions")),
        Some(Topic::Schema) => command_help(Some("schema")),
        Some(Topic::File) => keys::page(),
        Some(Topic::ExitCodes) => exit_codes(),
    };
    screen::print(&text)?;
    Ok(Exit::Done)
}

/// Tells what is wrong with the command line, or prints the help or version that it asked for.
pub(crate) fn about_usage(usage: &clap::Error) -> Exit {
    let text = usage.render().ansi().to_string();
    if usage.use_stderr() {
        screen::tell(&text);
        return Exit::Usage;
    }
    screen::print(&text).map_or(Exit::Failed, |()| Exit::Done)
}

fn command_help(name: Option<&str>) -> String {
    let mut command = Arguments::command();
    // Only a built command knows the full name of its subcommands.
    command.build();
    let command = match name {
        Some(name) => command.find_subcommand_mut(name),
        None => Some(&mut command),
    };
    command.map(|command| command.render_long_help().ansi().to_string()).unwrap_or_default()
}

fn exit_codes() -> String {
    let mut text = String::from("How cfrt ends:\n\n");
    for exit in Exit::ALL {
        writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning()).unwrap_or_default();
    }
    text
}
