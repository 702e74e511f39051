//! The handles to the world, made once; a function that isn't given them can't reach anything.

use std::path::PathBuf;

use cfrt_engine::driver::DriverError;
use cfrt_engine::facts::Cluster;

/// What may be done with the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads, access reviews and dry runs; the transport refuses everything else.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// Where to find things that are not in the desired state.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The helm binary that the user named, if any.
    pub helm: Option<PathBuf>,
    /// Where renderings are cached; the user's cache folder where nothing is said.
    pub cache: Option<PathBuf>,
}

/// The cluster that is worked on, as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kubeconfig context; `in-cluster` where there is no kubeconfig.
    pub context: String,
    /// The UID of its `kube-system` namespace.
    pub uid: String,
}

/// The handles to the world.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub target: Target,
}

impl World {
    /// Connects to the cluster that the desired state names, and makes sure that it is the one it pins.
    ///
    /// # Errors
    ///
    /// No such context, no answer, or another cluster than the pinned one.
    pub async fn connect(_cluster: &Cluster, _access: Access, _around: Surroundings) -> Result<Self, DriverError> {
        Err(DriverError::new("connecting to the cluster", "not yet"))
    }

    /// How many requests were sent to the API server so far.
    pub fn requests(&self) -> usize {
        0
    }
}
