//! Dispatches `cargo xtask COMMAND`, the project's own commands.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people at a terminal")]

mod assets;
mod bench;
mod control_plane;
mod demo;
mod man;
mod measure;
mod needs;
mod process;
mod provide;
mod requests;
mod shape;
mod soak;
mod source;
mod test;
mod tidy;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use bench::Effort;
use control_plane::{ControlPlane, Extent};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install the runtime on a control plane of its own, change a value, and say what happens.
    Demo,
    /// Run every test, with a control plane and both major versions of helm provided where there are none.
    ///
    /// KUBECONFIG (a cluster that tests may write to), KUBEBUILDER_ASSETS (a folder with etcd, kube-apiserver and
    /// kubectl), CFRT_HELM3 and CFRT_HELM4 are used where they are set.
    Test {
        /// Test only these packages of the workspace.
        #[arg(short, long)]
        package: Vec<String>,
        /// Given to the test programs: a part of a test's name, `--nocapture`, and so on.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Measure plan and apply beside bare reads, helm and kubectl, on a control plane of their own; assert nothing.
    Bench {
        /// Run fewer rounds, and leave out `helm upgrade`.
        #[arg(long)]
        quick: bool,
    },
    /// Kill applies at seeded moments, each followed by the same command, on a control plane of their own.
    Soak {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many seeds; each is three kills.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
    },
    /// Write the man pages of cfrt and its commands.
    Man {
        /// Where to.
        #[arg(default_value = "target/man")]
        folder: PathBuf,
    },
    /// Check what the compiler does not: size, first lines, reasons, registration, the README's commands.
    Tidy,
    /// Print the sizes and shares that CONTRIBUTING.md sets bounds for.
    Shape,
    /// Provide a Kubernetes control plane on loopback.
    #[command(subcommand)]
    ControlPlane(ControlPlaneCommand),
}

#[derive(Subcommand)]
enum ControlPlaneCommand {
    /// Build what is missing in the cache from Go modules; the first time takes some ten minutes.
    Install,
    /// Print exports of KUBEBUILDER_ASSETS, CFRT_HELM3, CFRT_HELM4 and CFRT_KUBECTL for a shell.
    Env,
    /// Start a control plane in a folder, wait until it is ready, and print the path of its kubeconfig.
    Up {
        folder: PathBuf,
        /// Start etcd and kube-apiserver only: no controllers, no scheduler, no pods that become ready.
        #[arg(long)]
        bare: bool,
    },
    /// Stop the control plane of a folder and remove its data.
    Down { folder: PathBuf },
    /// Print what clients asked since the last call, by verb, without the control plane's own requests.
    Requests { folder: PathBuf },
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match process::watch_signals().and_then(|()| run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            if process::interrupted() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo => demo::run(),
        Command::Test { package, arguments } => test::run(&package, &arguments),
        Command::Bench { quick } => bench::run(if quick { Effort::Quick } else { Effort::Whole }),
        Command::Soak { seed, seeds } => soak::run(seed, seeds),
        Command::Man { folder } => man::run(&folder),
        Command::Tidy => tidy::run(),
        Command::Shape => shape::run(),
        Command::ControlPlane(command) => run_control_plane(command),
    }
}

fn run_control_plane(command: ControlPlaneCommand) -> Result<()> {
    match command {
        ControlPlaneCommand::Install => println!("ready in {}", assets::install(assets::ALL)?.display()),
        ControlPlaneCommand::Env => print!("{}", assets::exports()?),
        ControlPlaneCommand::Up { folder, bare } => {
            let (extent, programs) =
                if bare { (Extent::Bare, assets::BARE) } else { (Extent::Full, assets::CONTROL_PLANE) };
            let plane = ControlPlane::start(&assets::install(programs)?, &folder, extent)?;
            println!("{}", plane.leave_running().display());
        }
        ControlPlaneCommand::Down { folder } => control_plane::stop(&folder)?,
        ControlPlaneCommand::Requests { folder } => print!("{}", requests::since_last_call(&folder)?),
    }
    Ok(())
}
