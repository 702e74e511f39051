//! The command line to typed arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// What the user typed.
#[derive(Debug, Parser)]
#[command(
    name = "cfrt",
    version,
    about = "Plan and apply a Codefresh Hybrid GitOps Runtime from one file",
    after_help = "`cfrt help plan` explains a command, `cfrt help file` what stands in the file, \
                  `cfrt help exit-codes` how a command ends.",
    disable_help_subcommand = true,
    max_term_width = 80
)]
pub(crate) struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the signs of a plan mean.
pub(crate) const SIGNS: &str = "\
The signs of a plan:
  =  it is as it should be
  +  it is created
  *  a hook runs
  ~  some of its fields are updated
  ±  it is deleted and made again
  -  it is deleted
  >  only the ownership of its fields moves, as when helm wrote it
  ?  it can't be looked at before something else is there
  !  it is refused; nothing is applied while a plan has one
";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what would change; reads only
    #[command(after_help = format!("{SIGNS}\nExample:\n  cfrt plan plans/prod.toml --detailed-exitcode"))]
    Plan(PlanArguments),
    /// Tell what has moved in the cluster since it was last applied, and who
    /// moved it; reads only
    #[command(after_help = "Example:\n  cfrt drift plans/prod.toml --output markdown")]
    Drift(DriftArguments),
    /// Show what would change, ask, and make it so
    #[command(after_help = "Example:\n  cfrt apply plans/prod.toml\n  cfrt apply --plan plans/prod.plan.json")]
    Apply(ApplyArguments),
    /// Show what a plan file would do; asks nobody
    #[command(after_help = "Example:\n  cfrt show plans/prod.plan.json")]
    Show {
        /// The plan file
        #[arg(value_name = "PLANFILE")]
        plan_file: PathBuf,
    },
    /// Make sure that a plan file is as it was written, and tell what an
    /// approval of it is about; asks nobody
    #[command(after_help = "Example:\n  cfrt verify plans/prod.plan.json")]
    Verify {
        /// The plan file
        #[arg(value_name = "PLANFILE")]
        plan_file: PathBuf,
    },
    /// Give the definitions back that `[crds] adopt` took: ask, and restore
    /// what they said of their owner
    #[command(after_help = "Example:\n  cfrt unadopt plans/prod.toml")]
    Unadopt(WriteArguments),
    /// Tell who has applied what, when, and how it ended; reads only
    #[command(after_help = "Example:\n  cfrt history plans/prod.toml")]
    History(HistoryArguments),
    /// Print the objects with which the cluster looks for drift by itself:
    /// an account that may read what it must, the files, and a CronJob; the
    /// values files stand in a ConfigMap as they are
    #[command(
        after_help = "Example:\n  cfrt schedule plans/prod.toml --image registry.example.com/cfrt:1.0.0 | kubectl apply --filename -"
    )]
    Schedule(ScheduleArguments),
    /// Show which tasks there are and what comes after what; reads only
    #[command(after_help = "Example:\n  cfrt graph plans/prod.toml --output mermaid")]
    Graph(GraphArguments),
    /// Explain a key of the file, and say where a file sets it
    #[command(after_help = "Example:\n  cfrt explain chart.version plans/prod.toml")]
    Explain {
        /// The key with its table, or a table
        key: String,
        /// The desired state, a TOML file
        file: Option<PathBuf>,
    },
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  cfrt completions zsh > _cfrt")]
    Completions {
        /// Whose
        shell: Shell,
    },
    /// Print the JSON Schema of what `--output json` prints
    #[command(after_help = "Example:\n  cfrt schema plan > plan.schema.json")]
    Schema {
        /// Whose output
        #[arg(value_name = "COMMAND")]
        format: Format,
    },
    /// Explain a command, the file, or the exit codes
    #[command(after_help = "Example:\n  cfrt help file")]
    Help {
        /// What to explain; everything in short where nothing is named
        topic: Option<Topic>,
    },
}

/// The arguments of `cfrt plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Where everything comes from.
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// Exit with 2 instead of 0 when something would change
    #[arg(long = "detailed-exitcode")]
    pub(crate) detailed_exit_code: bool,
    /// Write the plan into a file, too, that can be reviewed, committed and
    /// applied: `cfrt apply --plan PLANFILE`
    #[arg(short = 'o', long = "out", value_name = "PLANFILE")]
    pub(crate) out: Option<PathBuf>,
}

/// The arguments of `cfrt drift`.
#[derive(Debug, Args)]
pub(crate) struct DriftArguments {
    /// The desired state, a TOML file
    pub(crate) file: PathBuf,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Report::Text)]
    pub(crate) output: Report,
    /// The helm binary to render charts with; where nothing is said, the one
    /// that CFRT_HELM names, or else the first in PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) helm: Option<PathBuf>,
    /// Exit with 2 instead of 0 when nothing has moved, but the file has changed
    #[arg(long = "detailed-exitcode")]
    pub(crate) detailed_exit_code: bool,
    /// Write what was found as metrics, too: a text file of OpenMetrics
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    /// Write what was found as test results, too: a JUnit file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// For people
    Text,
    /// For programs; `cfrt schema drift` prints the schema
    Json,
    /// For a comment or a ticket
    Markdown,
}

/// The arguments of `cfrt apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    /// The desired state, a TOML file; with `--plan` only where it isn't where
    /// the plan file says
    #[arg(required_unless_present = "plan")]
    pub(crate) file: Option<PathBuf>,
    /// Carry out this plan file as it was approved, or nothing; nobody is asked
    #[arg(long, value_name = "PLANFILE", conflicts_with = "yes")]
    pub(crate) plan: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// The helm binary to render charts with; where nothing is said, the one
    /// that CFRT_HELM names, or else the first in PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) helm: Option<PathBuf>,
    /// Apply without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// What is to be carried out, and whether that was agreed to already.
#[derive(Debug, Args)]
pub(crate) struct WriteArguments {
    /// Where everything comes from.
    #[command(flatten)]
    pub(crate) common: CommonArguments,
    /// Apply without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The arguments of `cfrt history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The desired state, a TOML file
    pub(crate) file: PathBuf,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// The arguments of `cfrt schedule`.
#[derive(Debug, Args)]
pub(crate) struct ScheduleArguments {
    /// The desired state, a TOML file
    pub(crate) file: PathBuf,
    /// The image that is run: its entry point is cfrt, and it has helm in its PATH
    #[arg(long)]
    pub(crate) image: String,
    /// When, in the words of cron
    #[arg(long, value_name = "CRON", default_value = "17 * * * *")]
    pub(crate) at: String,
    /// The namespace of the job, where it isn't the runtime's own
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// The helm binary to render charts with; where nothing is said, the one
    /// that CFRT_HELM names, or else the first in PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) helm: Option<PathBuf>,
}

/// The arguments of `cfrt graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// The desired state, a TOML file
    pub(crate) file: PathBuf,
    /// Draw the resources of all tasks, which asks the cluster and helm; without it neither is needed
    #[arg(long)]
    pub(crate) resources: bool,
    /// How to draw it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Picture::Text)]
    pub(crate) output: Picture,
    /// The helm binary to render charts with; where nothing is said, the one
    /// that CFRT_HELM names, or else the first in PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) helm: Option<PathBuf>,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Picture {
    /// For people
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown
    Mermaid,
}

/// What all commands that read the desired state take.
#[derive(Debug, Args)]
pub(crate) struct CommonArguments {
    /// The desired state, a TOML file
    pub(crate) file: PathBuf,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// The helm binary to render charts with; where nothing is said, the one
    /// that CFRT_HELM names, or else the first in PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) helm: Option<PathBuf>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs; `cfrt schema` prints the schema
    Json,
}

/// Whose JSON a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// What `cfrt plan --output json` prints
    Plan,
    /// What `cfrt apply --output json` prints
    Apply,
    /// What `cfrt drift --output json` prints
    Drift,
    /// What `cfrt history --output json` prints
    History,
}

/// What `cfrt help` can explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topic {
    /// The command `plan`
    Plan,
    /// The command `drift`
    Drift,
    /// The command `apply`
    Apply,
    /// The command `show`
    Show,
    /// The command `verify`
    Verify,
    /// The command `unadopt`
    Unadopt,
    /// The command `history`
    History,
    /// The command `schedule`
    Schedule,
    /// The command `graph`
    Graph,
    /// The command `explain`
    Explain,
    /// The command `completions`
    Completions,
    /// The command `schema`
    Schema,
    /// The desired state: every table and key of the file
    File,
    /// What each exit code means
    ExitCodes,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
