//! A release in a namespace of its own, the file that describes it, and everything that can be done to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::audit::{self, Event, Mark};
use super::clean;
use super::judge::announced::Announced;
use super::judge::lifetime;
use super::plan::Plan;
use super::process::{Program, Ran, end};
use super::secrets;
use super::tools::{self, Helm};

/// The runtime chart names objects that belong to the whole cluster: only one scenario at a time has them.
static CLUSTER: Mutex<()> = Mutex::new(());

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What every namespace of a scenario starts with.
pub(crate) const PREFIX: &str = "scn-";

/// Values that the runtime chart needs besides the facts.
pub(crate) const ACCOUNT: &str = "0123456789abcdef01234567";

/// One release, alone in its namespace.
pub(crate) struct Scenario {
    /// The namespace.
    pub(crate) namespace: String,
    /// The release, and of the small chart also the name of most objects.
    pub(crate) release: String,
    /// The helm that `cfrt` renders with.
    pub(crate) renderer: Helm,
    /// Whether it writes objects of the whole cluster.
    pub(crate) cluster_wide: bool,
    chart: PathBuf,
    folder: tempfile::TempDir,
    began: Mark,
    runs: Mutex<Vec<Arc<Announced>>>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Scenario {
    /// The small chart with its own values.
    pub(crate) fn small(name: &str) -> Self {
        let scenario = Self::new(name, "small", "0.1.0", None);
        scenario.values("");
        scenario
    }

    /// The runtime chart with the tunnel, alone in the cluster.
    pub(crate) fn runtime(name: &str) -> Self {
        let alone = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        let scenario = Self::new(name, "runtime", "0.14.0", Some(alone));
        clean::runtime(&scenario);
        scenario.values("");
        scenario
    }

    fn new(name: &str, chart: &str, version: &str, alone: Option<MutexGuard<'static, ()>>) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{PREFIX}{name}-{}-{number}", std::process::id());
        let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/charts");
        let chart = charts.join(chart).canonicalize().expect("the charts are beside the crates");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let release = if alone.is_some() { "runtime".to_owned() } else { namespace.clone() };
        let cluster_wide = alone.is_some();
        let (began, runs, renderer) = (audit::mark(), Mutex::default(), Helm::Four);
        let scenario = Self { namespace, release, renderer, cluster_wide, chart, folder, began, runs, _alone: alone };
        scenario.describe(version);
        scenario.write_facts();
        scenario
    }

    fn describe(&self, version: &str) {
        let platform = if self.cluster_wide {
            format!("[platform]\naccount = \"{ACCOUNT}\"\ntoken = {{ env = \"SCENARIO_TOKEN\" }}\n\n")
        } else {
            String::new()
        };
        let Self { namespace, release, chart, .. } = self;
        // TOML's basic strings and JSON's are written alike.
        let source = Value::from(chart.to_string_lossy());
        let text = format!(
            "schema = 1\n\n[runtime]\nname = \"runtime\"\nnamespace = \"{namespace}\"\nrelease = \"{release}\"\n\n\
             {platform}[chart]\nsource = {source}\nversion = \"{version}\"\nvalues = [\"facts.yaml\", \"values.yaml\"]\n"
        );
        self.write("desired.toml", &text);
    }

    /// Its folder, in which `cfrt` runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its chart.
    pub(crate) fn chart(&self) -> &Path {
        &self.chart
    }

    /// Writes a file into its folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("the folder is writable");
    }

    /// The text of `desired.toml`.
    pub(crate) fn desired(&self) -> String {
        fs::read_to_string(self.folder().join("desired.toml")).expect("it was written")
    }

    /// Itself, with charts rendered by this helm.
    #[must_use]
    pub(crate) fn rendered_by(mut self, helm: Helm) -> Self {
        self.renderer = helm;
        self
    }

    /// Sets the values of the chart, as YAML, beside the facts; the scenario's own namespace stands for `NAMESPACE`.
    pub(crate) fn values(&self, yaml: &str) {
        self.write("values.yaml", &format!("{}\n", yaml.replace("NAMESPACE", &self.namespace)));
    }

    /// The facts in the chart's own keys, so that helm can be given the same values.
    fn write_facts(&self) {
        let platform = if self.cluster_wide {
            format!(
                ", codefresh: {{accountId: \"{ACCOUNT}\", \
                 userToken: {{secretKeyRef: {{name: cfrt-platform-token, key: token}}}}}}"
            )
        } else {
            String::new()
        };
        self.write("facts.yaml", &format!("global: {{runtime: {{name: runtime}}{platform}}}\n"));
    }

    /// Runs `helm upgrade --install` with the same chart and values.
    pub(crate) fn helm_upgrade(&self, helm: Helm, more: &[&str]) -> Ran {
        let chart = self.chart.to_string_lossy();
        let fixed = [
            "upgrade",
            "--install",
            "--create-namespace",
            "--values",
            "facts.yaml",
            "--values",
            "values.yaml",
            &self.release,
            &chart,
        ];
        self.helm(helm, &[&fixed[..], more].concat())
    }

    /// The revisions that there are records of, with their status, oldest first: `["1 superseded", "2 deployed"]`.
    pub(crate) fn revisions(&self) -> Vec<String> {
        let label = |record: &Value, name: &str| record["metadata"]["labels"][name].as_str().unwrap_or("?").to_owned();
        let ours = |record: &Value| label(record, "owner") == "helm" && label(record, "name") == self.release;
        let mut records: Vec<Value> = self.list("secrets").into_iter().filter(ours).collect();
        records.sort_by_key(|record| label(record, "version").parse::<u64>().unwrap_or(0));
        records.iter().map(|record| format!("{} {}", label(record, "version"), label(record, "status"))).collect()
    }

    /// `cfrt` with its surroundings, which can be added to. What it writes must be what it announces.
    pub(crate) fn program(&self, arguments: &[&str]) -> Program<'_> {
        Program::new(env!("CARGO_BIN_EXE_cfrt"), self.folder())
            .arguments(arguments)
            .variable("KUBECONFIG", tools::kubeconfig())
            .variable("CFRT_HELM", self.renderer.path())
            .variable("CFRT_CACHE", self.folder().join("cache"))
            .variable("HOME", self.folder())
            .variable("SCENARIO_TOKEN", secrets::TOKEN)
            .judged(self)
    }

    /// Notes what a run may write.
    pub(crate) fn announced(&self, run: Arc<Announced>) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }

    /// What the runs up to now might write.
    pub(crate) fn runs(&self) -> Vec<Arc<Announced>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When it began.
    pub(crate) fn began(&self) -> Mark {
        self.began
    }

    /// Runs `cfrt`.
    pub(crate) fn cfrt(&self, arguments: &[&str]) -> Ran {
        self.program(arguments).run()
    }

    /// The plan, which may be carried out.
    #[track_caller]
    pub(crate) fn plan(&self) -> Plan {
        let plan = self.plan_at_all();
        assert!(plan.refused().is_empty(), "{:#?}", plan.refused());
        plan
    }

    /// The plan, which may refuse some of what is wanted.
    #[track_caller]
    pub(crate) fn plan_at_all(&self) -> Plan {
        let ran = self.cfrt(&["plan", "desired.toml", "--output", "json"]);
        assert!([0, 5].contains(&ran.code), "{ran}");
        parsed(&ran)
    }

    /// What an apply says of each step, and how it ended. [`super::judge::apply`] also looks whether it is complete.
    #[track_caller]
    pub(crate) fn apply(&self) -> (Plan, Ran) {
        let ran = self.cfrt(&["apply", "desired.toml", "--yes", "--output", "json"]);
        (parsed(&ran), ran)
    }

    /// The exit code of `cfrt plan --detailed-exitcode`: 0 where nothing is to do, 2 where something is.
    pub(crate) fn detailed(&self) -> Ran {
        self.cfrt(&["plan", "desired.toml", "--detailed-exitcode"])
    }

    /// Runs kubectl in the scenario's namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Ran {
        self.kubectl_anywhere(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// Runs kubectl where the arguments say.
    pub(crate) fn kubectl_anywhere(&self, arguments: &[&str]) -> Ran {
        Program::new(tools::kubectl(), self.folder())
            .variable("KUBECONFIG", tools::kubeconfig())
            .variable("HOME", self.folder())
            .arguments(arguments)
            .run()
    }

    /// Runs a helm in the scenario's namespace.
    pub(crate) fn helm(&self, helm: Helm, arguments: &[&str]) -> Ran {
        let kept = self.folder().join("helm");
        Program::new(helm.path(), self.folder())
            .variable("KUBECONFIG", tools::kubeconfig())
            .variable("HOME", self.folder())
            .variable("HELM_CACHE_HOME", &kept)
            .variable("HELM_CONFIG_HOME", &kept)
            .variable("HELM_DATA_HOME", &kept)
            .arguments(["--namespace", &self.namespace])
            .arguments(arguments)
            .run()
    }

    /// An object of the scenario, if it is there: `deployment/small`.
    pub(crate) fn find(&self, object: &str) -> Option<Value> {
        let ran = self.kubectl(&["get", object, "-o", "json", "--show-managed-fields", "--ignore-not-found"]);
        if ran.code != 0 && !ran.stderr.contains("doesn't have a resource type") {
            end(&ran.to_string());
        }
        (!ran.stdout.trim().is_empty()).then(|| ran.json())
    }

    /// An object of the scenario that is there.
    #[track_caller]
    pub(crate) fn get(&self, object: &str) -> Value {
        self.find(object).unwrap_or_else(|| end(&format!("{object} is not there")))
    }

    /// All objects of a kind in the scenario's namespace.
    #[track_caller]
    pub(crate) fn list(&self, kind: &str) -> Vec<Value> {
        let found = self.kubectl(&["get", kind, "-o", "json"]).exits(0).json();
        found["items"].as_array().cloned().unwrap_or_default()
    }

    /// A name that no one else has.
    pub(crate) fn unique(&self, word: &str) -> String {
        format!("{word}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether a request is about an object of this scenario, or of no one's while it has the cluster to itself.
    pub(crate) fn owns(&self, event: &Event) -> bool {
        let (namespace, name) = (event.namespace(), event.name());
        // The next numbers begin with this one.
        let named = |(start, _): (usize, &str)| {
            !name[start + self.namespace.len()..].starts_with(|next: char| next.is_ascii_digit())
        };
        if namespace == self.namespace || name.match_indices(&self.namespace).any(named) {
            return true;
        }
        self.cluster_wide && !namespace.starts_with(PREFIX) && !name.contains(PREFIX)
    }

    /// The uid of an object that is there.
    #[track_caller]
    pub(crate) fn uid(&self, object: &str) -> Value {
        self.get(object)["metadata"]["uid"].clone()
    }
}

#[track_caller]
fn parsed(ran: &Ran) -> Plan {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| end(&format!("{error}: {ran}")))
}

impl Scenario {
    /// No file of its folder has the token in it, whoever wrote it.
    fn keeps_no_secret(&self) {
        for file in secrets::files(self.folder()) {
            let bytes = fs::read(&file).unwrap_or_default();
            secrets::absent(secrets::TOKEN, &bytes, &file.to_string_lossy());
        }
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        clean::up(self);
        if !std::thread::panicking() {
            self.keeps_no_secret();
            lifetime::judge(self);
        }
    }
}
