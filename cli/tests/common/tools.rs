//! The tools beside the binary, as the environment names them.

use std::env;
use std::path::PathBuf;

/// A major version of helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helm {
    /// Helm 3.
    Three,
    /// Helm 4.
    Four,
}

impl Helm {
    /// Both of them.
    pub(crate) const BOTH: [Self; 2] = [Self::Three, Self::Four];

    /// Its binary.
    pub(crate) fn path(self) -> PathBuf {
        named(match self {
            Self::Three => "CFRT_HELM3",
            Self::Four => "CFRT_HELM4",
        })
    }
}

/// The kubeconfig of the control plane.
pub(crate) fn kubeconfig() -> PathBuf {
    named("KUBECONFIG")
}

/// The API server's audit log.
pub(crate) fn audit_log() -> PathBuf {
    named("CFRT_AUDIT_LOG")
}

/// The kubectl to look and to meddle with.
pub(crate) fn kubectl() -> PathBuf {
    let beside = || env::var_os("KUBEBUILDER_ASSETS").map(|folder| PathBuf::from(folder).join("kubectl"));
    env::var_os("CFRT_KUBECTL").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "kubectl".into())
}

fn named(variable: &str) -> PathBuf {
    env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
        super::process::end(&format!("{variable} is not set; `cargo xtask test` sets what scenario tests need"))
    })
}
