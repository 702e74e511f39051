//! The binary `cfrt`: arguments in; text, JSON and an exit code out.

mod args;
mod commands;
mod ending;
mod exit;
mod file;
mod hints;
mod interrupts;
mod load;
mod pipeline;
mod planfile;
mod render;
mod schedule;
mod screen;
mod trouble;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use args::Arguments;
use exit::Exit;
use trouble::Trouble;

/// How long what is being written into the cache may take to its end, or to be taken away, when the user stops us.
const TIDY: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Ok(arguments) => run(arguments).unwrap_or_else(|trouble| tell(&trouble)),
        Err(usage) => commands::help::about_usage(&usage),
    };
    ExitCode::from(exit.code())
}

fn run(arguments: Arguments) -> Result<Exit, Trouble> {
    // One thread is enough: cfrt waits for others nearly all of its time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Trouble::Runtime)?;
    let exit = runtime.block_on(commands::run(arguments.command));
    // What was aborted must not keep the process alive, but none of it may leave half a file behind.
    match &exit {
        Ok(Exit::Interrupted) | Err(Trouble::Interrupted) => runtime.shutdown_timeout(TIDY),
        Ok(_) | Err(_) => runtime.shutdown_background(),
    }
    exit
}

fn tell(trouble: &Trouble) -> Exit {
    screen::tell(&render::failure::trouble(trouble));
    Exit::of_trouble(trouble)
}
