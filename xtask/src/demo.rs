//! Shows what cfrt does: an installation, a plan with nothing to do, and a changed value, on a control plane of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::control_plane::Extent;
use crate::provide::Provided;
use crate::{assets, process, source};

const PROGRAMS: &[&str] =
    &["etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok", "helm4"];
const CHART: &str = "testdata/charts/runtime";
const FILE: &str = "demo.toml";

/// A folder, a control plane and a way to call cfrt there.
struct Stage {
    folder: tempfile::TempDir,
    chart: PathBuf,
    cfrt: PathBuf,
    helm: PathBuf,
    provided: Provided,
}

/// Runs the demonstration. Whatever clusters the environment names are not touched, and nothing is left behind.
///
/// # Errors
///
/// When something cannot be built or started, or a step of cfrt's fails.
pub(crate) fn run() -> Result<()> {
    let stage = Stage::set()?;
    say("The desired state is one file: which runtime, where, and from which chart.");
    stage.write_desired_state(1)?;
    println!("{}", fs::read_to_string(stage.folder.path().join(FILE))?);
    say("The cluster is empty, so the plan lists every object that will be written. It only reads.");
    stage.cfrt(&["plan", FILE])?;
    say(
        "Apply runs the hooks of an installation, writes the objects, each as soon as what it needs is settled, and waits \
         until all of them are ready.",
    );
    stage.cfrt(&["apply", FILE, "--yes"])?;
    say("The same file again: everything is as it should be, and the plan has nothing to do.");
    stage.cfrt(&["plan", FILE])?;
    say(
        "Now one value of the chart changes: app-proxy gets a second replica. The plan shows that field, the new revision \
         of the release, and the hooks that the chart runs with each upgrade.",
    );
    stage.write_desired_state(2)?;
    stage.cfrt(&["plan", FILE])?;
    say("Apply runs these hooks, and writes that one object and Helm's record of the release.");
    stage.cfrt(&["apply", FILE, "--yes"])?;
    say("That was all. The control plane stops, and its data are removed.");
    Ok(())
}

fn say(sentence: &str) {
    println!("\n## {sentence}\n");
}

impl Stage {
    fn set() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        process::run_successfully(Command::new(cargo).args(["build", "--package", "cfrt"]).stdin(Stdio::null()))?;
        let programs = assets::install(PROGRAMS)?;
        let mut provided = Provided::default();
        provided.start(&programs, Extent::Full)?;
        Ok(Self {
            folder: tempfile::tempdir().context("cannot create a temporary folder")?,
            chart: source::root()?.join(CHART),
            // Cargo puts all binaries of the workspace into one folder.
            cfrt: env::current_exe()?.with_file_name("cfrt"),
            helm: programs.join("helm4"),
            provided,
        })
    }

    fn write_desired_state(&self, replicas: usize) -> Result<()> {
        let text = desired_state(&self.chart, "demo", &format!("app-proxy.replicaCount = {replicas}"))?;
        fs::write(self.folder.path().join(FILE), text).context("cannot write the desired state")
    }

    fn cfrt(&self, arguments: &[&str]) -> Result<()> {
        println!("$ cfrt {}", arguments.join(" "));
        let mut command = Command::new(&self.cfrt);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.envs(&self.provided.environment).env("CFRT_HELM", &self.helm);
        command.env("DEMO_TOKEN", "not-a-secret");
        // What cfrt and helm keep between runs goes away with the folder.
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env(variable, self.folder.path().join("home"));
        }
        process::run_successfully(&mut command)
    }
}

/// A desired state whose token is `DEMO_TOKEN`, with a runtime and a namespace of one name, and one value set.
pub(crate) fn desired_state(chart: &Path, name: &str, setting: &str) -> Result<String> {
    let version = chart_version(chart)?;
    // TOML's basic strings and JSON's are written alike.
    let source = serde_json::Value::from(chart.to_string_lossy());
    Ok(format!(
        r#"schema = 1

[runtime]
name = "{name}"
namespace = "{name}"
release = "runtime"

[platform]
account = "0123456789abcdef01234567"
token = {{ env = "DEMO_TOKEN" }}

[chart]
source = {source}
version = "{version}"

[chart.set]
{setting}
"#
    ))
}

fn chart_version(chart: &Path) -> Result<String> {
    let path = chart.join("Chart.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("version:"));
    let version = version.with_context(|| format!("{} has no version", path.display()))?;
    Ok(version.trim().trim_matches(['"', '\'']).to_owned())
}
