//! Measures cfrt beside bare reads, helm and kubectl, with nothing to change, on a control plane of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::demo::desired_state;
use crate::measure::{Asked, Contestant, median, race};
use crate::provide::Provided;
use crate::{process, requests, source};

const RUNTIME: &str = "bench";
const COUNTS: [usize; 2] = [1_000, 10_000];
const HELMS: [(&str, &str); 2] = [("helm 3", "CFRT_HELM3"), ("helm 4", "CFRT_HELM4")];

/// What a client reads who wants to know all that a plan of the runtime has to know: its kinds, whole, and the server's.
const READS: [&str; 20] = [
    "/api",
    "/apis",
    "/api/v1/namespaces/bench",
    "/api/v1/namespaces/bench/configmaps",
    "/api/v1/namespaces/bench/secrets",
    "/api/v1/namespaces/bench/serviceaccounts",
    "/api/v1/namespaces/bench/services",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/apps/v1/namespaces/bench/deployments",
    "/apis/apps/v1/namespaces/bench/statefulsets",
    "/apis/argoproj.io/v1alpha1/namespaces/bench/eventbus",
    "/apis/argoproj.io/v1alpha1/namespaces/bench/eventsources",
    "/apis/argoproj.io/v1alpha1/namespaces/bench/sensors",
    "/apis/batch/v1/namespaces/bench/jobs",
    "/apis/networking.k8s.io/v1/namespaces/bench/ingresses",
    "/apis/policy/v1/namespaces/bench/poddisruptionbudgets",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/bench/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/bench/roles",
];

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) enum Effort {
    /// Everything.
    Whole,
    /// Fewer rounds, and no `helm upgrade`.
    Quick,
}

impl Effort {
    fn rounds(self) -> usize {
        match self {
            Self::Whole => 15,
            Self::Quick => 5,
        }
    }
}

/// Installs, measures and prints. Whatever clusters the environment names are not touched, and nothing is left behind.
///
/// # Errors
///
/// When something cannot be built or started, or one of the commands fails. No figure is an error.
pub(crate) fn run(effort: Effort) -> Result<()> {
    process::require("curl", "read without more ado")?;
    process::require("diff", "let kubectl compare")?;
    let bench = Bench::set()?;
    let size = fs::metadata(&bench.cfrt)?.len() as f64 / 1e6;
    println!("\ncfrt's binary: {size:.1} MB (aim: 20); ratios are to the first line of each table, times are medians");
    let [helm3, helm4] = HELMS.map(|(name, variable)| Contestant::new(name, bench.helm(variable, &["version"])));
    let help = Contestant::new("cfrt --help", || bench.cfrt(&["--help"])).aim("10 ms");
    bench.print(
        "cold start",
        &[Contestant::new("true", || Command::new("true")), help, helm3, helm4],
        effort.rounds(),
    )?;
    bench.install("runtime", RUNTIME, "app-proxy.replicaCount = 1")?;
    bench.print("the runtime, nothing to change", &bench.plans()?, effort.rounds())?;
    bench.print("helm's rendering alone", &bench.templates()?, effort.rounds())?;
    for count in COUNTS {
        let name = format!("many-{count}");
        bench.install("small", &name, &format!("count = {count}"))?;
        let plans = [bench.config_maps(&name)?, bench.plan(&name, "cfrt plan").aim("64 MB")];
        bench.print(&format!("{count} ConfigMaps, nothing to change"), &plans, effort.rounds())?;
    }
    bench.fail_fast(effort.rounds())?;
    match effort {
        Effort::Quick => Ok(()),
        // Last, since each of them makes a revision.
        Effort::Whole => bench.print("helm upgrade, nothing to change", &bench.upgrades()?, 3),
    }
}

/// A folder, a control plane, and everything by which it is reached.
struct Bench {
    folder: TempDir,
    cfrt: PathBuf,
    kubectl: PathBuf,
    audit: PathBuf,
    provided: Provided,
}

impl Bench {
    fn set() -> Result<Self> {
        build()?;
        let provided = Provided::apart()?;
        let named = |variable: &str| provided.environment.get(variable).map(PathBuf::from);
        let log = named("CFRT_AUDIT_LOG").context("the control plane has no audit log")?;
        let profiles = env::current_exe()?.parent().and_then(Path::parent).map(Path::to_owned);
        Ok(Self {
            folder: tempfile::tempdir().context("cannot create a temporary folder")?,
            cfrt: profiles.context("cargo has put us into no folder")?.join("release/cfrt"),
            kubectl: named("CFRT_KUBECTL").context("the control plane has no kubectl")?,
            audit: log.parent().context("the audit log is in no folder")?.to_owned(),
            provided,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn print(&self, title: &str, contestants: &[Contestant<'_>], rounds: usize) -> Result<()> {
        let count = || {
            let requests = requests::since_last_call(&self.audit)?;
            Ok(Asked { requests: requests.total(), writes: requests.writes() })
        };
        println!("\n## {title} ({rounds} rounds)\n\n{}", race(contestants, rounds, count)?);
        Ok(())
    }

    /// A command in our folder, with our control plane and without what others keep between runs.
    fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).envs(&self.provided.environment);
        command.env("CFRT_HELM", &self.provided.environment["CFRT_HELM4"]).env("CFRT_CACHE", self.path("cache"));
        command.env("DEMO_TOKEN", "not-a-secret");
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env(variable, self.path("home"));
        }
        command
    }

    fn cfrt(&self, arguments: &[&str]) -> Command {
        self.command(&self.cfrt, arguments)
    }

    fn helm<'a>(&'a self, variable: &'static str, arguments: &[&str]) -> impl Fn() -> Command + 'a {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        move || {
            let mut helm = self.command(&self.provided.environment[variable], &[]);
            helm.args(&arguments);
            helm
        }
    }

    fn install(&self, chart: &str, name: &str, setting: &str) -> Result<()> {
        eprintln!("xtask: installing {name}");
        let chart = source::root()?.join("testdata/charts").join(chart);
        fs::write(self.path(&format!("{name}.toml")), desired_state(&chart, name, setting)?)?;
        self.output(self.cfrt(&["apply", &format!("{name}.toml"), "--yes"])).map(drop)
    }

    /// Prints how long an apply goes on after what cannot heal has happened.
    fn fail_fast(&self, rounds: usize) -> Result<()> {
        let times =
            (0..rounds).map(|round| self.goes_on_for(&format!("broken-{round}"))).collect::<Result<Vec<_>>>()?;
        let longest = times.iter().max().copied().unwrap_or_default().as_secs_f64();
        let middle = median(times).as_secs_f64();
        println!(
            "\n## An image that is not there ({rounds} rounds)\n\nfrom the pod's status to the end of cfrt apply: \
             median {middle:.2} s, longest {longest:.2} s (aim: 3 s)"
        );
        Ok(())
    }

    /// The time from when someone else who watches sees that an image can't be pulled to the end of the apply.
    fn goes_on_for(&self, name: &str) -> Result<Duration> {
        let chart = source::root()?.join("testdata/charts/small");
        let setting = "deployment.image = \"quay.io/example/small:does-not-exist\"";
        fs::write(self.path(&format!("{name}.toml")), desired_state(&chart, name, setting)?)?;
        let path = format!("/api/v1/namespaces/{name}/pods?watch=true");
        let mut watch = self.command(&self.kubectl, &["get", "--raw", &path]);
        let mut watch = watch.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start kubectl")?;
        let pods = BufReader::new(watch.stdout.take().context("kubectl has no output")?);
        let seen = thread::spawn(move || {
            let mut moves = pods.lines().map_while(Result::ok);
            moves.find(|pod| pod.contains("ImagePullBackOff")).map(|_| Instant::now())
        });
        let mut apply = self.cfrt(&["apply", &format!("{name}.toml"), "--yes"]);
        let status = apply.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        let ended = Instant::now();
        watch.kill()?;
        watch.wait()?;
        if status.code() != Some(10) {
            bail!("{} ended with {status}", process::describe(&apply));
        }
        let seen = seen.join().ok().flatten().context("no pod was seen whose image is not there")?;
        Ok(ended.saturating_duration_since(seen))
    }

    fn output(&self, mut command: Command) -> Result<Vec<u8>> {
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{} ended with {}: {}", process::describe(&command), output.status, complaint.trim());
        }
        Ok(output.stdout)
    }

    fn plan<'a>(&'a self, name: &str, title: &str) -> Contestant<'a> {
        let file = format!("{name}.toml");
        Contestant::new(title, move || self.cfrt(&["plan", &file]))
    }

    fn plans(&self) -> Result<Vec<Contestant<'_>>> {
        let helm = self.helm("CFRT_HELM4", &["get", "manifest", "runtime", "--namespace", RUNTIME])();
        fs::write(self.path("manifest.yaml"), self.output(helm)?)?;
        let cold = || {
            let mut plan = self.cfrt(&["plan", "bench.toml"]);
            plan.env("CFRT_CACHE", self.path("cold"));
            plan
        };
        let apply = || self.cfrt(&["apply", "bench.toml", "--yes"]);
        // An option would forbid other namespaces; a default does not.
        let mut view = self.kubeconfig()?;
        view["contexts"][0]["context"]["namespace"] = RUNTIME.into();
        fs::write(self.path("kubeconfig"), view.to_string())?;
        let diff = ["diff", "--kubeconfig", "kubeconfig", "--filename", "manifest.yaml"];
        Ok(vec![
            self.bare_reads()?,
            self.plan(RUNTIME, "cfrt plan").aim("ratio 1.5, 25 asked, 64 MB"),
            Contestant::new("cfrt plan, rendering not cached", cold)
                .before(|| self.empty_cold_cache())
                .aim("0.8 s for helm"),
            Contestant::new("cfrt apply", apply).aim("0 writes"),
            Contestant::new("kubectl diff", move || self.command(&self.kubectl, &diff)).may_differ(),
        ])
    }

    /// Leaves nothing of a cache but which version helm has.
    fn empty_cold_cache(&self) -> Result<()> {
        let cold = self.path("cold");
        if cold.exists() {
            fs::remove_dir_all(&cold)?;
        }
        fs::create_dir(&cold)?;
        fs::set_permissions(&cold, fs::metadata(self.path("cache"))?.permissions())?;
        let versions = "helm-versions.json";
        fs::copy(self.path("cache").join(versions), cold.join(versions))
            .context("cfrt remembers no version of helm")?;
        Ok(())
    }

    fn templates(&self) -> Result<Vec<Contestant<'_>>> {
        let untouched = self.chart()?;
        let pruned = pruned(&self.path("cache/charts"))?;
        self.write_values()?;
        let template = |(name, variable): (&str, &'static str), title: &str, folder: &Path| {
            let folder = folder.to_string_lossy();
            let more = ["--namespace", RUNTIME, "--values", "values.json", "--include-crds"];
            let template = [&["template", "runtime", &folder][..], &more].concat();
            Contestant::new(format!("{name} template, {title}"), self.helm(variable, &template))
        };
        let alone = HELMS.map(|helm| {
            let pruned = template(helm, "as cfrt prunes the chart", &pruned).aim("0.8 s");
            [pruned, template(helm, "the untouched chart", &untouched)]
        });
        Ok([self.bare_reads()?].into_iter().chain(alone.into_iter().flatten()).collect())
    }

    fn upgrades(&self) -> Result<Vec<Contestant<'_>>> {
        let chart = self.chart()?;
        let upgrade = |(name, variable): (&str, &'static str), title: &str, more: &[&str]| {
            let chart = chart.to_string_lossy();
            let upgrade = ["upgrade", "runtime", &chart, "--namespace", RUNTIME, "--values", "values.json"];
            Contestant::new(format!("{name} upgrade{title}"), self.helm(variable, &[&upgrade, more].concat()))
        };
        let both = HELMS
            .map(|helm| [upgrade(helm, " --dry-run=server", &["--dry-run=server"]), upgrade(helm, ", for real", &[])]);
        Ok([self.bare_reads()?].into_iter().chain(both.into_iter().flatten()).collect())
    }

    fn chart(&self) -> Result<PathBuf> {
        Ok(source::root()?.join("testdata/charts/runtime"))
    }

    fn write_values(&self) -> Result<()> {
        let values = ["get", "values", "runtime", "--namespace", RUNTIME, "--output", "json"];
        Ok(fs::write(self.path("values.json"), self.output(self.helm("CFRT_HELM4", &values)())?)?)
    }

    fn kubeconfig(&self) -> Result<Value> {
        let view = self.command(&self.kubectl, &["config", "view", "--raw", "--output", "json"]);
        Ok(serde_json::from_slice(&self.output(view)?)?)
    }

    fn bare_reads(&self) -> Result<Contestant<'_>> {
        self.curl("bare reads by curl, 20 at once", RUNTIME, &READS)
    }

    fn config_maps(&self, namespace: &str) -> Result<Contestant<'_>> {
        self.curl("one bare list by curl", namespace, &[&format!("/api/v1/namespaces/{namespace}/configmaps")])
    }

    /// One process and one HTTP/2 connection: curl's own `--parallel-immediate` would open one for each read. The server
    /// indents its answers for what calls itself curl.
    fn curl(&self, title: &str, name: &str, paths: &[&str]) -> Result<Contestant<'_>> {
        let view = self.kubeconfig()?;
        let text = |pointer| view.pointer(pointer).and_then(Value::as_str).context("the kubeconfig is not ours");
        let server = text("/clusters/0/cluster/server")?;
        let mut settings = format!(
            "silent\nshow-error\nfail\nhttp2\nparallel\nuser-agent = \"bare-reads/1\"\ncacert = \"{}\"\n\
             header = \"Authorization: Bearer {}\"\n",
            text("/clusters/0/cluster/certificate-authority")?,
            text("/users/0/user/token")?,
        );
        for path in paths {
            settings += &format!("url = \"{server}{path}\"\noutput = /dev/null\n");
        }
        let file = format!("{name}.curl");
        fs::write(self.path(&file), settings)?;
        Ok(Contestant::new(title, move || self.command("curl", &["--disable", "--config", &file])))
    }
}

fn build() -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", "cfrt"]).stdin(Stdio::null());
    // What `cargo xtask` tells of this crate: a build script that watches these would run again, and all that needs it.
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            cargo.env_remove(name);
        }
    }
    process::run_successfully(&mut cargo)
}

/// The copy of the chart from which cfrt has it rendered.
fn pruned(copies: &Path) -> Result<PathBuf> {
    let copy = fs::read_dir(copies)?.next().context("cfrt has made no copy of the chart")??;
    Ok(copy.path().join("now"))
}
