//! Writes the man pages of cfrt: from the command line as it is parsed, and from the table of exit codes.

// Two files of the binary that need nothing else of it; a library for them alone would be one more crate to know.
#[path = "../../cli/src/args.rs"]
mod args;
#[path = "../../cli/src/exit.rs"]
mod exit;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use args::Arguments;
use exit::Exit;

/// Writes a page for cfrt and one for each of its commands into a folder, which is made where it isn't there.
///
/// # Errors
///
/// When a page can't be written.
pub(crate) fn run(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut cfrt = Arguments::command();
    // Only a built command knows the full names of its subcommands.
    cfrt.build();
    for command in [&cfrt].into_iter().chain(cfrt.get_subcommands()) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page(command, &name)?).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>> {
    let (mut text, is_whole) = (Vec::new(), command.get_subcommands().next().is_some());
    let man = Man::new(command.clone()).title(name.to_uppercase()).manual("cfrt");
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if is_whole {
        man.render_subcommands_section(&mut text)?;
        exit_status().to_writer(&mut text)?;
    }
    if let Some(more) = command.get_after_help() {
        as_it_stands("NOTES", &more.to_string()).to_writer(&mut text)?;
    }
    if !is_whole {
        see_also().to_writer(&mut text)?;
    }
    Ok(text)
}

fn exit_status() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        section.control("TP", []).text([bold(exit.code().to_string())]).text([roman(exit.meaning())]);
    }
    section
}

/// A text whose lines stay as they are.
fn as_it_stands(title: &str, text: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [title]).control("nf", []);
    for line in text.lines() {
        section.text([roman(line)]);
    }
    section.control("fi", []);
    section
}

fn see_also() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["SEE ALSO"]).text([bold("cfrt"), roman("(1), which lists the exit codes")]);
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command_and_the_first_one_has_all_exit_codes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        run(folder.path()).expect("they can be written");
        let page = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it is there");
        let first = page("cfrt.1");
        for exit in Exit::ALL {
            assert!(first.contains(&format!("\n\\fB{}\\fR\n", exit.code())), "{exit:?}: {first}");
        }
        assert!(page("cfrt-plan.1").contains("detailed\\-exitcode"));
        let commands = Arguments::command().get_subcommands().count();
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1 + commands);
    }
}
