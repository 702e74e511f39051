//! Builds the programs of a control plane, and both major versions of helm, from Go modules into a cache.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, io};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process;

const KUBERNETES: &str = "1.34.4";
const KWOK_MODULE: &str = "sigs.k8s.io/kwok@v0.7.0";
const KWOK_STAGES: &str = "kwok-v0.7.0-stages.yaml";

/// A program and how it is built.
struct Program {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    /// What `-ldflags` sets, so that the program knows its own version.
    variables: &'static [(&'static str, &'static str)],
}

const KUBERNETES_VARIABLES: &[(&str, &str)] = &[
    ("k8s.io/component-base/version.gitVersion", "v1.34.4"),
    ("k8s.io/component-base/version.gitMajor", "1"),
    ("k8s.io/component-base/version.gitMinor", "34"),
];

const fn of_kubernetes(name: &'static str, package: &'static str) -> Program {
    Program { name, package, version: "v1.34.4", variables: KUBERNETES_VARIABLES }
}

const PROGRAMS: &[Program] = &[
    of_kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    of_kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    of_kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    of_kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Program { name: "etcd", package: "go.etcd.io/etcd/server/v3", version: "v3.6.16", variables: &[] },
    Program { name: "kwok", package: "sigs.k8s.io/kwok/cmd/kwok", version: "v0.7.0", variables: &[] },
    Program {
        name: "helm3",
        package: "helm.sh/helm/v3/cmd/helm",
        version: "v3.20.2",
        variables: &[("helm.sh/helm/v3/internal/version.version", "v3.20.2")],
    },
    Program {
        name: "helm4",
        package: "helm.sh/helm/v4/cmd/helm",
        version: "v4.3.1",
        variables: &[("helm.sh/helm/v4/internal/version.version", "v4.3.1")],
    },
];

/// What etcd and an API server alone need.
pub(crate) const BARE: &[&str] = &["etcd", "kube-apiserver", "kubectl"];
/// What a control plane needs in which Deployments become available.
pub(crate) const CONTROL_PLANE: &[&str] =
    &["etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok"];
/// Everything.
pub(crate) const ALL: &[&str] =
    &["etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok", "helm3", "helm4"];

/// Builds those of the programs that are missing, and answers with the folder that holds them.
///
/// A second caller waits for the first and then finds everything built.
pub(crate) fn install(names: &[&str]) -> Result<PathBuf> {
    let folder = folder()?;
    if is_complete(&folder, names) {
        return Ok(folder);
    }
    process::require("go", "build the control plane and helm (https://go.dev/doc/install)")?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = lock(&cache()?.join(".lock"))?;
    for program in missing(&folder, names) {
        build(program, &folder)?;
    }
    if names.contains(&"kwok") {
        kwok_stages()?;
    }
    Ok(folder)
}

/// Whether these programs can be had without an error that is known beforehand: built already, or Go is there.
pub(crate) fn are_within_reach(names: &[&str]) -> bool {
    process::find("go").is_some() || folder().is_ok_and(|folder| is_complete(&folder, names))
}

/// Shell exports of what `install` provides.
pub(crate) fn exports() -> Result<String> {
    let folder = folder()?.display().to_string().replace('\'', r"'\''");
    Ok(format!(
        "export KUBEBUILDER_ASSETS='{folder}' CFRT_HELM3='{folder}/helm3' CFRT_HELM4='{folder}/helm4' \
         CFRT_KUBECTL='{folder}/kubectl'\n"
    ))
}

/// The stages by which kwok plays the kubelets: those of kwok's own module, as one document stream.
pub(crate) fn kwok_stages() -> Result<String> {
    let cached = cache()?.join(KWOK_STAGES);
    if let Ok(stages) = fs::read_to_string(&cached) {
        return Ok(stages);
    }
    process::require("go", "read kwok's stages (https://go.dev/doc/install)")?;
    let module = download(KWOK_MODULE, "Dir")?;
    let mut stages = String::new();
    for file in ["pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete", "node/fast/node-initialize"] {
        let path = module.join("kustomize/stage").join(file).with_extension("yaml");
        stages += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        stages += "\n---\n";
    }
    write_whole(&cached, &stages)?;
    Ok(stages)
}

/// Whether a folder of programs, ours or another's, has all of these.
pub(crate) fn has_all(folder: &Path, names: &[&str]) -> bool {
    names.iter().all(|name| folder.join(name).is_file())
}

fn cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("CONTROL_PLANE_CACHE") {
        return Ok(folder.into());
    }
    let home = env::home_dir().context("HOME is not set: set it, or CONTROL_PLANE_CACHE")?;
    Ok(home.join(".cache/cfrt-control-plane"))
}

fn folder() -> Result<PathBuf> {
    Ok(cache()?.join(format!("k8s-{KUBERNETES}")))
}

fn is_complete(folder: &Path, names: &[&str]) -> bool {
    let stages = cache().is_ok_and(|cache| cache.join(KWOK_STAGES).is_file());
    missing(folder, names).is_empty() && (stages || !names.contains(&"kwok"))
}

fn missing(folder: &Path, names: &[&str]) -> Vec<&'static Program> {
    PROGRAMS.iter().filter(|program| names.contains(&program.name) && !is_built(program, folder)).collect()
}

/// A program without a note of its version was built by something else and is taken as it is.
fn is_built(program: &Program, folder: &Path) -> bool {
    let version = fs::read_to_string(version_note(program, folder)).ok();
    folder.join(program.name).is_file() && version.is_none_or(|version| version == program.version)
}

fn version_note(program: &Program, folder: &Path) -> PathBuf {
    folder.join(format!(".{}.version", program.name))
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut told, true) {
                    eprintln!("control-plane: waiting for another build to finish ({})", path.display());
                }
                process::pause(Duration::from_millis(200))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// Builds one program in a module of its own: `go install` refuses modules that replace others.
fn build(program: &Program, folder: &Path) -> Result<()> {
    let Program { name, package, version, variables } = program;
    eprintln!("control-plane: building {name} {version} from {package}");
    let work = tempfile::tempdir().context("cannot create a temporary folder")?;
    let log = File::create(work.path().join("log"))?;
    let go = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new("go");
        command.args(arguments).current_dir(work.path()).stdin(Stdio::null());
        command.env("GOFLAGS", "-mod=mod -buildvcs=false").stdout(log.try_clone()?).stderr(log.try_clone()?);
        process::run_successfully(&mut command).with_context(|| tail(&work.path().join("log")))
    };
    if package.starts_with("k8s.io/kubernetes/") {
        let upstream = download(&format!("k8s.io/kubernetes@{version}"), "GoMod")?;
        fs::write(work.path().join("go.mod"), kubernetes_module(&fs::read_to_string(upstream)?))?;
    } else {
        go(&["mod", "init", "control-plane"])?;
        go(&["get", &format!("{package}@{version}")])?;
    }
    let mut linker = "-s -w".to_owned();
    for (variable, value) in *variables {
        linker += &format!(" -X {variable}={value}");
    }
    let part = folder.join(format!("{name}.part"));
    go(&["build", "-o", &part.to_string_lossy(), "-ldflags", &linker, package])?;
    // 1. The old note goes, 2. the program comes, 3. the new note comes: whoever stops us in between leaves a
    // program that is built again, or one that is right.
    write_whole(&version_note(program, folder), "")?;
    fs::rename(&part, folder.join(name))?;
    write_whole(&version_note(program, folder), version)
}

/// A module that builds Kubernetes' programs: its own `go.mod`, with the parts that it keeps in its tree taken from
/// where they are published.
fn kubernetes_module(upstream: &str) -> String {
    let staging = KUBERNETES.replacen("1.", " v0.", 1);
    let mut module = String::new();
    for line in upstream.lines() {
        module += &match line.split_once("=> ./staging/src/") {
            Some((replaced, path)) => format!("{replaced}=> {path}{staging}"),
            None => line.replace("module k8s.io/kubernetes", "module control-plane"),
        };
        module.push('\n');
    }
    module + &format!("\nrequire k8s.io/kubernetes v{KUBERNETES}\n")
}

/// Downloads a module and answers with one of the paths that Go tells of it.
fn download(module: &str, field: &str) -> Result<PathBuf> {
    let output = Command::new("go").args(["mod", "download", "-json", module]).stdin(Stdio::null()).output()?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("go mod download {module}: {}", String::from_utf8_lossy(&output.stderr)))?;
    match answer.get(field).and_then(Value::as_str) {
        Some(path) => Ok(path.into()),
        None => bail!("go mod download {module}: {}", answer["Error"].as_str().unwrap_or("no path in its answer")),
    }
}

/// Writes a file that others see whole or not at all.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    let written: io::Result<()> = fs::write(&part, text).and_then(|()| fs::rename(&part, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The last lines of a log, for an error's text.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    format!("{} ends with:\n  {}\n", path.display(), last.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubernetes_module_takes_its_staging_parts_from_where_they_are_published() {
        let upstream = "module k8s.io/kubernetes\n\ngo 1.24.0\n\nrequire (\n\tk8s.io/api v0.0.0\n)\n\nreplace (\n\
                        \tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let expected = "module control-plane\n\ngo 1.24.0\n\nrequire (\n\tk8s.io/api v0.0.0\n)\n\nreplace (\n\
                        \tk8s.io/api => k8s.io/api v0.34.4\n)\n\nrequire k8s.io/kubernetes v1.34.4\n";
        assert_eq!(kubernetes_module(upstream), expected);
    }

    #[test]
    fn a_program_of_another_version_counts_as_missing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let etcd = &missing(folder.path(), &["etcd"])[0];
        fs::write(folder.path().join("etcd"), "").expect("writable");
        assert!(missing(folder.path(), &["etcd"]).is_empty(), "built by something else: taken as it is");
        fs::write(version_note(etcd, folder.path()), "v3.5.0").expect("writable");
        assert_eq!(missing(folder.path(), &["etcd"]).len(), 1);
        fs::write(version_note(etcd, folder.path()), etcd.version).expect("writable");
        assert!(missing(folder.path(), &["etcd"]).is_empty());
    }

    #[test]
    fn every_name_that_can_be_asked_for_is_a_program() {
        let known: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        assert_eq!(known.len(), ALL.len());
        for name in [ALL, CONTROL_PLANE, BARE].concat() {
            assert!(known.contains(&name), "{name} has no way to be built");
        }
    }

    #[test]
    fn a_log_is_quoted_by_its_last_lines() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let lines: Vec<String> = (0..30).map(|number| format!("line {number}")).collect();
        fs::write(&path, lines.join("\n")).expect("writable");
        assert!(tail(&path).contains("line 18\n") && tail(&path).contains("line 29\n"));
        assert!(!tail(&path).contains("line 17\n"));
    }
}
