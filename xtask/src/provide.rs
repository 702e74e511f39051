//! Provides what tests need: what the environment names, or else a control plane and helm of our own.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::control_plane::{ControlPlane, Extent};
use crate::needs::Need;
use crate::{assets, process};

/// What is there, for as long as this value lives.
#[derive(Default)]
pub(crate) struct Provided {
    /// The variables by which tests find it.
    pub(crate) environment: BTreeMap<&'static str, OsString>,
    /// What is not there, and why.
    pub(crate) absent: BTreeMap<Need, String>,
    // Declared in this order, since the control plane has to stop before its folder goes.
    plane: Option<ControlPlane>,
    folder: Option<TempDir>,
}

impl Provided {
    /// Provides everything that can be had on this machine.
    ///
    /// # Errors
    ///
    /// When something that the environment names is not there, or something of our own cannot be built or started. That
    /// Go is missing is no error: what depends on it is `absent`.
    pub(crate) fn everything() -> Result<Self> {
        let mut provided = Self::default();
        provided.helm("CFRT_HELM3", "helm3")?;
        provided.helm("CFRT_HELM4", "helm4")?;
        if let Some(kubeconfig) = env::var_os("KUBECONFIG") {
            provided.cluster(kubeconfig)?;
        } else if let Some(assets) = env::var_os("KUBEBUILDER_ASSETS") {
            provided.control_plane_of_assets(Path::new(&assets))?;
        } else if assets::are_within_reach(assets::CONTROL_PLANE) {
            provided.start(&assets::install(assets::CONTROL_PLANE)?, Extent::Full)?;
        } else {
            let reason = "go is not on PATH, and neither KUBECONFIG nor KUBEBUILDER_ASSETS is set";
            provided.lacks(&[Need::ApiServer, Need::ControlPlane, Need::AuditLog], reason);
        }
        Ok(provided)
    }

    /// Provides both major versions of helm and a control plane of our own, whatever cluster the environment names.
    ///
    /// # Errors
    ///
    /// When any of them cannot be had.
    pub(crate) fn apart() -> Result<Self> {
        let mut provided = Self::default();
        provided.helm("CFRT_HELM3", "helm3")?;
        provided.helm("CFRT_HELM4", "helm4")?;
        if let Some((need, reason)) = provided.absent.first_key_value() {
            bail!("this needs {need}, but {reason}");
        }
        provided.start(&assets::install(assets::CONTROL_PLANE)?, Extent::Full)?;
        Ok(provided)
    }

    /// Starts a control plane of our own, whatever the environment names.
    pub(crate) fn start(&mut self, programs: &Path, extent: Extent) -> Result<()> {
        eprintln!("xtask: starting a control plane");
        let folder = tempfile::Builder::new().prefix("cfrt-control-plane-").tempdir()?;
        let plane = ControlPlane::start(programs, folder.path(), extent)?;
        self.environment.insert("KUBECONFIG", plane.kubeconfig().into());
        self.environment.insert("CFRT_AUDIT_LOG", plane.audit_log().into());
        self.environment.insert("CFRT_KUBECTL", programs.join("kubectl").into());
        self.plane = Some(plane);
        self.folder = Some(folder);
        Ok(())
    }

    fn helm(&mut self, variable: &'static str, program: &'static str) -> Result<()> {
        if let Some(path) = env::var_os(variable) {
            existing(variable, &path)?;
            self.environment.insert(variable, path);
        } else if assets::are_within_reach(&[program]) {
            self.environment.insert(variable, assets::install(&[program])?.join(program).into());
        } else {
            self.lacks(&[Need::Helm], &format!("go is not on PATH, and {variable} is not set"));
        }
        Ok(())
    }

    fn cluster(&mut self, kubeconfig: OsString) -> Result<()> {
        eprintln!("xtask: tests write to the cluster of KUBECONFIG ({})", kubeconfig.display());
        self.environment.insert("KUBECONFIG", kubeconfig);
        match env::var_os("CFRT_AUDIT_LOG") {
            Some(log) => {
                existing("CFRT_AUDIT_LOG", &log)?;
                self.environment.insert("CFRT_AUDIT_LOG", log);
            }
            None => self.lacks(&[Need::AuditLog], "the cluster is that of KUBECONFIG, and CFRT_AUDIT_LOG is not set"),
        }
        let kubectl = env::var_os("CFRT_KUBECTL").or_else(|| process::find("kubectl").map(OsString::from));
        self.environment.extend(kubectl.map(|path| ("CFRT_KUBECTL", path)));
        Ok(())
    }

    fn control_plane_of_assets(&mut self, programs: &Path) -> Result<()> {
        if assets::has_all(programs, assets::CONTROL_PLANE) {
            return self.start(programs, Extent::Full);
        }
        if !assets::has_all(programs, assets::BARE) {
            bail!("KUBEBUILDER_ASSETS ({}) does not hold all of {}", programs.display(), assets::BARE.join(", "));
        }
        self.lacks(&[Need::ControlPlane], "KUBEBUILDER_ASSETS holds no controllers, no scheduler and no kwok");
        self.start(programs, Extent::Bare)
    }

    fn lacks(&mut self, needs: &[Need], reason: &str) {
        self.absent.extend(needs.iter().map(|need| (*need, reason.to_owned())));
    }
}

fn existing(variable: &str, path: &OsString) -> Result<PathBuf> {
    PathBuf::from(path).canonicalize().with_context(|| format!("{variable} names {}", path.display()))
}
