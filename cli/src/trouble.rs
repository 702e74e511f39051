//! Everything that can end a run before it is through.

use std::io;
use std::path::PathBuf;

use cfrt_engine::driver::DriverError;
use cfrt_engine::graph::GraphError;
use cfrt_engine::planfile::NotGenuine;
use cfrt_engine::source::{Mistakes, Sources};

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The desired state is wrong.
    #[error("{mistakes}")]
    Mistaken {
        /// The texts.
        sources: Sources,
        /// What is wrong in them.
        mistakes: Mistakes,
    },
    /// The file that the user named can't be read.
    #[error("reading {}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that the user wants can't be written.
    #[error("writing {}", path.display())]
    Unwritable {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The plan file that the user named can't be read.
    #[error("reading the plan file {}", path.display())]
    NoPlanFile {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Where a plan file is to be written there is something else.
    #[error("writing the plan file {}: what is there is no plan file", path.display())]
    InTheWay {
        /// Its path.
        path: PathBuf,
    },
    /// A plan file isn't as it was written, or is none.
    #[error("reading the plan file {}", path.display())]
    NotGenuine {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: NotGenuine,
    },
    /// What was approved isn't what would be done now.
    #[error("the plan file is stale: nothing was written")]
    StalePlanFile,
    /// The user asked about a key that the file doesn't have.
    #[error("there is no key `{name}`")]
    UnknownKey {
        /// What was asked about.
        name: String,
        /// The key that was probably meant.
        near: Option<String>,
    },
    /// The resources don't make a graph.
    #[error("putting the resources in order")]
    Graph(#[source] GraphError),
    /// Something could not be done in the world.
    #[error(transparent)]
    World(#[from] DriverError),
    /// There is something to apply, and no one who could be asked.
    #[error("asking whether to apply this takes a terminal, and text as output")]
    Unconfirmed,
    /// The user stopped it before anything was written.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// The event loop or its signals can't be set up.
    #[error("starting up")]
    Runtime(#[source] io::Error),
    /// The result can't be printed, or the answer can't be read.
    #[error("talking to the terminal")]
    Screen(#[source] io::Error),
}
