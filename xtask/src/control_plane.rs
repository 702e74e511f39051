//! Starts and stops a Kubernetes control plane on loopback, all of whose state is one folder.
//!
//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler are the real ones. kwok stands in for the kubelets:
//! pods become ready and Jobs complete, and no container runs. The folder holds `kubeconfig` (contexts `admin`, and
//! `viewer` without any rights), `audit.log`, and a `.log` and a `.pid` for each process.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{assets, process, requests};

const AUDIT_POLICY: &str = include_str!("../control-plane/audit-policy.yaml");
const NODE: &str = include_str!("../control-plane/node.json");
const BROKEN_PODS: &str = include_str!("../kwok/broken-pods.yaml");
const LOGS: &str = include_str!("../kwok/logs.yaml");
/// What every container has written last, with what a terminal would obey.
const LAST_WORDS: &str = "stderr F \u{1b}[31mERROR\u{1b}[0m no database: \u{7}connection refused";

/// The last to start is the first to end.
const PROCESSES: [&str; 5] = ["kwok", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"];
const TIME_TO_START: Duration = Duration::from_secs(60);
const TIME_TO_END: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much of a control plane runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// etcd and kube-apiserver: objects are stored and validated, and nothing acts on them.
    Bare,
    /// The controllers, the scheduler and kwok as well.
    Full,
}

/// A running control plane, which stops when it goes out of scope.
pub(crate) struct ControlPlane {
    folder: PathBuf,
    children: Vec<(&'static str, Child)>,
}

impl ControlPlane {
    /// Starts a control plane and waits until it can be worked with.
    ///
    /// # Errors
    ///
    /// When the folder holds one already, or a part does not become ready: with the end of its log. Whatever had been
    /// started is stopped again.
    pub(crate) fn start(programs: &Path, folder: &Path, extent: Extent) -> Result<Self> {
        process::require("openssl", "make the key of service account tokens")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        if PROCESSES.iter().any(|name| pid_file(&folder, name).exists()) {
            bail!(
                "{0} holds a control plane: use it, or end it with `cargo xtask control-plane down {0}`",
                folder.display()
            );
        }
        let mut plane = Self { folder, children: Vec::new() };
        plane.start_api_server(programs)?;
        if extent == Extent::Full {
            plane.start_controllers(programs)?;
        }
        requests::mark(&plane.folder)?;
        Ok(plane)
    }

    /// The path of its kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The path of its audit log.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Lets it run on after us, until `stop`; answers with the path of its kubeconfig.
    pub(crate) fn leave_running(self) -> PathBuf {
        let kubeconfig = self.kubeconfig();
        std::mem::forget(self);
        kubeconfig
    }

    fn start_api_server(&mut self, programs: &Path) -> Result<()> {
        let [client, peer, secure] = free_ports()?;
        let certificates = self.folder.join("certs");
        fs::create_dir_all(&certificates)?;
        write_key(&certificates.join("sa.key"))?;
        self.write("certs/tokens.csv", "admin-token,admin,admin,system:masters\nviewer-token,viewer,viewer,\n")?;
        self.write("audit.yaml", AUDIT_POLICY)?;
        self.write("kubeconfig", &kubeconfig(secure, &certificates))?;

        let mut etcd = Command::new(programs.join("etcd"));
        etcd.arg("--data-dir").arg(self.folder.join("etcd")).args(["--unsafe-no-fsync", "--log-level=error"]);
        etcd.arg(format!("--listen-client-urls=http://127.0.0.1:{client}"));
        etcd.arg(format!("--advertise-client-urls=http://127.0.0.1:{client}"));
        etcd.arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"));
        etcd.arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"));
        etcd.arg(format!("--initial-cluster=default=http://127.0.0.1:{peer}"));
        self.spawn("etcd", etcd)?;

        let mut server = Command::new(programs.join("kube-apiserver"));
        server.arg(format!("--etcd-servers=http://127.0.0.1:{client}")).arg(format!("--secure-port={secure}"));
        server.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]);
        server.args([
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
        ]);
        server.arg("--token-auth-file").arg(certificates.join("tokens.csv"));
        server.arg("--service-account-issuer=https://kubernetes.default.svc");
        server.arg("--service-account-key-file").arg(certificates.join("sa.key"));
        server.arg("--service-account-signing-key-file").arg(certificates.join("sa.key"));
        server.arg("--audit-policy-file").arg(self.folder.join("audit.yaml"));
        // One file however long the tests run: readers remember how far they have read.
        server.arg("--audit-log-path").arg(self.audit_log()).arg("--audit-log-maxsize=100000");
        server.arg("--cert-dir").arg(&certificates);
        self.spawn("kube-apiserver", server)?;
        self.wait_for("kube-apiserver", programs, &["get", "--raw", "/readyz"], "ok")
    }

    fn start_controllers(&mut self, programs: &Path) -> Result<()> {
        let certificates = self.folder.join("certs");
        let mut manager = self.with_kubeconfig(programs, "kube-controller-manager");
        manager.args(["--leader-elect=false", "--secure-port=0", "--use-service-account-credentials"]);
        manager.arg("--service-account-private-key-file").arg(certificates.join("sa.key"));
        manager.arg("--root-ca-file").arg(certificates.join("apiserver.crt"));
        manager.arg("--cert-dir").arg(self.folder.join("certs/controller-manager"));
        self.spawn("kube-controller-manager", manager)?;

        let mut scheduler = self.with_kubeconfig(programs, "kube-scheduler");
        scheduler.args(["--leader-elect=false", "--secure-port=0"]);
        self.spawn("kube-scheduler", scheduler)?;

        self.start_kwok(programs)?;

        self.create_node(programs)?;
        self.wait_for("kwok", programs, &["get", "--raw", "/api/v1/nodes/kwok-0"], r#""type":"Ready""#)?;
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        self.wait_for("kube-controller-manager", programs, &["get", "--raw", account], r#""name":"default""#)
    }

    /// It also answers where the API server asks a kubelet for the log of a container.
    fn start_kwok(&mut self, programs: &Path) -> Result<()> {
        let line = |number: u8, words: &str| format!("2026-01-01T00:00:{number:02}.000000000Z {words}\n");
        let steps = (1..=30).map(|step| line(step, &format!("stdout F starting, step {step} of 30")));
        self.write("container.log", &steps.chain([line(31, LAST_WORDS)]).collect::<String>())?;
        let logs = LOGS.replace("FILE", &self.folder.join("container.log").to_string_lossy());
        self.write("kwok.yaml", &[assets::kwok_stages()?.as_str(), BROKEN_PODS, "---\n", &logs].concat())?;
        let [port, _, _] = free_ports()?;
        let mut kwok = self.with_kubeconfig(programs, "kwok");
        kwok.args(["--manage-all-nodes", "--node-lease-duration-seconds=40", "--node-ip=127.0.0.1"]);
        kwok.arg(format!("--node-port={port}")).arg(format!("--server-address=127.0.0.1:{port}"));
        for (flag, file) in [("--tls-cert-file", "apiserver.crt"), ("--tls-private-key-file", "apiserver.key")] {
            kwok.arg(flag).arg(self.folder.join("certs").join(file));
        }
        kwok.arg("--config").arg(self.folder.join("kwok.yaml"));
        self.spawn("kwok", kwok)
    }

    fn with_kubeconfig(&self, programs: &Path, name: &str) -> Command {
        let mut command = Command::new(programs.join(name));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    fn create_node(&self, programs: &Path) -> Result<()> {
        let mut command = self.with_kubeconfig(programs, "kubectl");
        command.args(["create", "--raw", "/api/v1/nodes", "-f", "-"]);
        let mut kubectl =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot start kubectl")?;
        let mut input = kubectl.stdin.take().context("kubectl has no input")?;
        input.write_all(NODE.as_bytes()).context("cannot hand the node to kubectl")?;
        drop(input);
        if !kubectl.wait()?.success() {
            bail!("kubectl could not create the node");
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Starts a process outside of our process group, so that Ctrl-C in a terminal does not reach it before our guards.
    fn spawn(&mut self, name: &'static str, mut command: Command) -> Result<()> {
        let log = File::create(log_file(&self.folder, name))?;
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let id = child.id();
        self.children.push((name, child));
        self.write(&format!("{name}.pid"), &format!("{id}\n"))
    }

    /// Waits until what `kubectl` prints contains a text.
    fn wait_for(&mut self, name: &'static str, programs: &Path, question: &[&str], answer: &str) -> Result<()> {
        let deadline = Instant::now() + TIME_TO_START;
        loop {
            let output = self.with_kubeconfig(programs, "kubectl").args(question).output();
            let output = output.context("cannot start kubectl")?;
            if String::from_utf8_lossy(&output.stdout).contains(answer) {
                return Ok(());
            }
            for (name, child) in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    bail!("{name} ended with {status}; {}", assets::tail(&log_file(&self.folder, name)));
                }
            }
            if Instant::now() > deadline {
                let log = assets::tail(&log_file(&self.folder, name));
                bail!("{name} was not ready within {} s; {log}", TIME_TO_START.as_secs());
            }
            process::pause(LOOK_EVERY)?;
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Err(error) = stop(&self.folder) {
            eprintln!("control-plane: {error:#}");
        }
        for (_, child) in &mut self.children {
            // Ignored: it has been ended above, and an error here has nobody to go to.
            let _status = child.wait();
        }
    }
}

/// Ends the processes of a folder, those that its `.pid` files name and no others, and removes what we wrote there.
///
/// # Errors
///
/// When the folder holds no control plane: nothing is removed then.
pub(crate) fn stop(folder: &Path) -> Result<()> {
    let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
    if !PROCESSES.iter().any(|name| pid_file(&folder, name).exists()) && !folder.join("audit.yaml").exists() {
        bail!("{} holds no control plane", folder.display());
    }
    for name in PROCESSES {
        end(&folder, name)?;
    }
    for entry in ["etcd", "certs"] {
        ignore_absence(fs::remove_dir_all(folder.join(entry)))?;
    }
    for entry in ["kubeconfig", "audit.yaml", "audit.log", "audit.mark", "kwok.yaml", "container.log"] {
        ignore_absence(fs::remove_file(folder.join(entry)))?;
    }
    for name in PROCESSES {
        ignore_absence(fs::remove_file(log_file(&folder, name)))?;
        ignore_absence(fs::remove_file(pid_file(&folder, name)))?;
    }
    match fs::remove_dir(&folder) {
        Err(error) if error.kind() != ErrorKind::DirectoryNotEmpty => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Ends one process and waits until it is gone. Its data go as well, so there is nothing that it could have to finish.
fn end(folder: &Path, name: &str) -> Result<()> {
    let Ok(text) = fs::read_to_string(pid_file(folder, name)) else { return Ok(()) };
    let Ok(id) = text.trim().parse() else { return Ok(()) };
    // After a restart of the machine the id may be another program's: ours names our folder in its command line.
    let is_ours = process::command_line(id).is_some_and(|line| line.contains(folder.to_string_lossy().as_ref()));
    if !is_ours {
        return Ok(());
    }
    process::kill(id)?;
    let deadline = Instant::now() + TIME_TO_END;
    while !process::has_ended(id) {
        if Instant::now() > deadline {
            bail!("{name} (process {id}) cannot be ended");
        }
        std::thread::sleep(LOOK_EVERY / 10);
    }
    Ok(())
}

fn ignore_absence(result: std::io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("cannot remove the data"),
        _ => Ok(()),
    }
}

fn pid_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pid"))
}

fn log_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// Ports that were free a moment ago. All are held until the last is known, so that they differ.
fn free_ports() -> Result<[u16; 3]> {
    let listen = || TcpListener::bind(("127.0.0.1", 0));
    let listeners = [listen()?, listen()?, listen()?];
    let [first, second, third] = &listeners;
    Ok([first.local_addr()?.port(), second.local_addr()?.port(), third.local_addr()?.port()])
}

fn write_key(path: &Path) -> Result<()> {
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(path).arg("2048").output()?;
    if !made.status.success() {
        bail!("openssl could not make a key: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}

fn kubeconfig(port: u16, certificates: &Path) -> String {
    let authority = serde_json::Value::from(certificates.join("apiserver.crt").to_string_lossy());
    format!(
        "apiVersion: v1
kind: Config
current-context: admin
clusters:
  - name: loopback
    cluster:
      server: https://127.0.0.1:{port}
      certificate-authority: {authority}
users:
  - name: admin
    user:
      token: admin-token
  - name: viewer
    user:
      token: viewer-token
contexts:
  - name: admin
    context:
      cluster: loopback
      user: admin
  - name: viewer
    context:
      cluster: loopback
      user: viewer
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_control_plane_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("etcd")).expect("writable");
        let error = stop(folder.path()).expect_err("there is none");
        assert!(error.to_string().ends_with("holds no control plane"), "{error}");
        assert!(folder.path().join("etcd").is_dir());
    }

    #[test]
    fn stopping_removes_what_is_ours_and_keeps_the_rest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["etcd.pid", "etcd.log", "audit.log", "notes.txt"] {
            fs::write(folder.path().join(name), "").expect("writable");
        }
        stop(folder.path()).expect("it can be stopped");
        let left: Vec<_> =
            fs::read_dir(folder.path()).expect("kept").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn a_process_of_somebody_else_is_not_ended() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut other = Command::new("sleep").arg("60").spawn().expect("sleep starts");
        fs::write(pid_file(folder.path(), "etcd"), other.id().to_string()).expect("writable");
        stop(folder.path()).expect("it can be stopped");
        let ended = other.try_wait().expect("our own child");
        other.kill().and_then(|()| other.wait()).expect("our own child");
        assert_eq!(ended, None);
    }

    #[test]
    fn free_ports_differ() {
        let [first, second, third] = free_ports().expect("loopback has ports");
        assert!(first != second && second != third && first != third);
    }
}
