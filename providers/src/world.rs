//! The handles to the world, made once; a function that isn't given them can't reach anything.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fmt};

use cfrt_engine::change::Action;
use cfrt_engine::driver::{DriverError, Fault};
use cfrt_engine::facts::{Cluster, Facts};
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::planfile::digest;
use cfrt_engine::resource::{Address, Resource};
use kube::config::Config;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cache_folder::CacheFolder;
use crate::drivers::hook::HookRuns;
use crate::drivers::release::charts::Charts;
use crate::drivers::release::heartbeat::Heartbeats;
use crate::drivers::release::history::ReleaseName;
use crate::helm::binary::Search;
use crate::journal::Journal;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};
use crate::kube::config::{LOGIN, configuration, logged_in};
use crate::kube::discovery::Discovery;
use crate::kube::lists::Lists;
use crate::kube::watch::Watches;
use crate::last_apply::LastApply;
use crate::lease::Lease;
use crate::run::Run;
use crate::shared_key;
use crate::vault::{Vault, hexadecimal};

#[cfg(test)]
mod played;

/// How long the first answer may take: it is a small one, and nobody waits a minute to learn that a cluster is down.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

const NO_API_SERVER: &str =
    "this is no answer of an API server; is the address in the kubeconfig right, or is a proxy before it?";

const TOO_OLD: &str = "cfrt needs the aggregated discovery of Kubernetes 1.27, which says in two answers what a server knows; update the cluster";

/// What may be done with the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads, access reviews and dry runs; the transport refuses everything else.
    ReadOnly,
    /// The same until [`World::begin_writing`], and everything from then on.
    ReadWrite,
}

/// Where to find things that are not in the desired state.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The helm binary that the user named, if any.
    pub helm: Option<PathBuf>,
    /// Where renderings are cached; the user's cache folder where nothing is said.
    pub cache: Option<PathBuf>,
    /// With which key secrets are sealed.
    pub sealing: Sealing,
    /// Whether charts are rendered although that is in the cache, which holds no secret value.
    pub renders_anew: bool,
}

/// With which key secrets are sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sealing {
    /// One that is kept with the renderings and that nobody else has.
    #[default]
    Own,
    /// The one that all have who work on the release, where there is one: a plan file is read elsewhere.
    Shared,
}

/// The cluster that is worked on, as people know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kubeconfig context; `in-cluster` where there is no kubeconfig.
    pub context: String,
    /// The UID of its `kube-system` namespace.
    pub uid: String,
    /// The API server's version, as `v1.34.4`.
    pub version: String,
    /// The digest of the certificates by which it is known to be the one that is meant; empty where the system's own decide.
    pub authority: String,
}

/// The handles to the world.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub target: Target,
    /// The connection to its API server.
    pub kube: Kube,
    /// Its lists: what has been asked of it ahead, and how new it was.
    pub lists: Lists,
    /// What the API server knows.
    pub discovery: Arc<Discovery>,
    /// What the last apply proved, as it stands in the cluster.
    pub last_apply: LastApply,
    /// What is being watched.
    pub watches: Watches,
    /// The secrets, sealed.
    pub vault: Arc<Vault>,
    /// What tells the key that all share from another one, where secrets are sealed with it.
    pub shared_key: Option<String>,
    /// Helm, and what it renders in this run.
    pub charts: Charts,
    /// How the hooks went that ran so far.
    pub hook_runs: HookRuns,
    /// Where renderings are kept; one for this run only goes with it.
    pub cache: CacheFolder,
    /// The signs of life in the records that this run has open.
    pub heartbeats: Heartbeats,
    /// The lease of its release.
    pub lease: Lease,
    /// What this run writes down of itself.
    pub journal: Arc<Journal>,
    /// What it means to do, where it writes.
    pub run: Run,
    /// What may be done.
    pub access: Access,
    /// Whether charts are rendered although that is in the cache. What writes needs each value.
    pub renders_anew: bool,
    /// Whether a kubeconfig names the cluster; helm is told the same.
    pub kube_context: Option<String>,
}

impl World {
    /// Connects to the cluster that the desired state names, and makes sure that it is the one it pins.
    ///
    /// # Errors
    ///
    /// No such context, no answer, or another cluster than the pinned one.
    pub async fn connect(facts: &Facts, access: Access, around: Surroundings) -> Result<Self, DriverError> {
        let cluster = &facts.cluster;
        let cache = CacheFolder::find(around.cache, |name| env::var_os(name))?;
        let own = Vault::at(cache.path()).map_err(|error| DriverError::new("opening the cache", error))?;
        let (config, context) = configuration(cluster).await?;
        let release = ReleaseName::of(&facts.runtime);
        let question = Questions { release: release.clone(), sealing: around.sealing };
        let (kube, Known { uid, discovery, last_apply, shared_key }) = reach(&config, &question).await?;
        check_pin(cluster, &uid)?;
        let vault = shared_key.map_or(own, Vault::new);
        let shared_key = shared_key.map(|_| shared_key::id(&vault));
        let target = Target {
            context: context.clone().unwrap_or_else(|| "in-cluster".to_owned()),
            uid,
            version: discovery.version.clone(),
            authority: authority(&config),
        };
        let vault = Arc::new(vault);
        let charts = Charts::new(Search::from_environment(around.helm), cache.path().to_owned(), Arc::clone(&vault));
        let watches = Watches::default();
        Ok(Self {
            target,
            kube,
            lists: Lists::default(),
            discovery: Arc::new(discovery),
            last_apply,
            watches,
            vault,
            shared_key,
            charts,
            hook_runs: HookRuns::default(),
            cache,
            heartbeats: Heartbeats::default(),
            lease: Lease::of(&release)?,
            journal: Arc::default(),
            run: Run::on(release),
            access,
            renders_anew: around.renders_anew || access == Access::ReadWrite,
            kube_context: context,
        })
    }

    /// What may stand in for a look at something: nothing where this run may write, since that looks at everything itself.
    pub fn proofs(&self) -> Option<&LastApply> {
        Some(&self.last_apply).filter(|record| self.access == Access::ReadOnly && !record.is_empty())
    }

    /// Lets requests through that write, where that was asked for: what comes before the user has agreed only reads.
    pub fn begin_writing(&self) {
        match self.access {
            Access::ReadOnly => {}
            Access::ReadWrite => self.kube.open(),
        }
    }

    /// Whether something is to be written of which only the seals of its secret values are known, so that the server could not
    /// be asked about it.
    pub fn lacks_values(&self, plan: &Plan) -> bool {
        // What is to be created is not asked about, nor are hooks and releases.
        let is_asked_about = |step: &&Step| {
            step.resource.driver == "object" && !matches!(step.change.action, Action::Keep | Action::Create)
        };
        let documents = plan.steps.iter().filter(is_asked_about).filter_map(|step| step.resource.want.document());
        documents.into_iter().any(|document| self.vault.fill(document).is_err())
    }

    /// Takes away what must not outlive the run. All else is left to the end of the process, which is quicker.
    pub fn leave(self) {
        let mut world = ManuallyDrop::new(self);
        drop(std::mem::replace(&mut world.cache, CacheFolder::Lasting(PathBuf::new())));
    }

    /// Seals every secret value that this run has seen, wherever it turned up in what a plan shows: fields that are about to
    /// go hold values that the documents we want no longer have, and servers repeat what they refuse.
    pub fn conceal(&self, plan: &mut Plan) {
        let addresses = plan.steps.iter().map(|step| &step.resource.id.address);
        let names = addresses.flat_map(|address| [address.scope.clone(), address.name.clone()]).collect();
        let mask = self.vault.mask(&names);
        for change in plan.steps.iter_mut().map(|step| &mut step.change) {
            change.reason = mask.redacted(&change.reason);
            let values = change.fields.iter_mut().flat_map(|field| [&mut field.before, &mut field.after]);
            values.flatten().for_each(|value| mask.seal_within(value));
        }
    }

    /// A value of a resource as a plan shows it, with every secret value that this run has seen sealed.
    pub fn concealed(&self, resource: &Resource, value: &Value) -> Value {
        let mut value = value.clone();
        let Address { scope, name, .. } = resource.id.address.clone();
        self.vault.mask(&BTreeSet::from([scope, name])).seal_within(&mut value);
        value
    }

    /// A text about a resource without any secret value that this run has seen.
    pub fn redacted(&self, resource: &Resource, text: &str) -> String {
        let Address { scope, name, .. } = resource.id.address.clone();
        self.vault.mask(&BTreeSet::from([scope, name])).redacted(text)
    }

    /// How many requests were sent to the API server so far.
    pub fn requests(&self) -> usize {
        self.kube.sent()
    }
}

/// Sends the first requests, and falls back to HTTP/1.1 where the server, or a proxy before it, knows nothing newer.
async fn reach(config: &Config, questions: &Questions) -> Result<(Kube, Known), DriverError> {
    let kube = logged_in(config, LOGIN, move |config| Kube::new(config, Access::ReadOnly)).await?;
    match ask(&kube, questions).await {
        Ok(known) => Ok((kube, known)),
        Err(ApiError::Transport(_)) => {
            let kube = logged_in(config, LOGIN, move |config| Kube::plain(config, Access::ReadOnly)).await?;
            let known = ask(&kube, questions).await.map_err(|error| unreachable(config, error))?;
            Ok((kube, known))
        }
        Err(error) => Err(unreachable(config, error)),
    }
}

/// What has to be known of a cluster before anything else.
struct Questions {
    release: ReleaseName,
    sealing: Sealing,
}

/// Which cluster it is, what it knows, and what was proved about the release in it.
struct Known {
    uid: String,
    discovery: Discovery,
    last_apply: LastApply,
    shared_key: Option<[u8; 32]>,
}

async fn ask(kube: &Kube, Questions { release, sealing }: &Questions) -> Result<Known, ApiError> {
    let last_apply = async { Ok(LastApply::read(kube, release).await) };
    let shared_key = async {
        match sealing {
            Sealing::Own => Ok(None),
            Sealing::Shared => shared_key::read(kube, release).await,
        }
    };
    let asked = futures::try_join!(uid(kube), Discovery::ask(kube), last_apply, shared_key)?;
    let (uid, discovery, last_apply, shared_key) = asked;
    Ok(Known { uid, discovery, last_apply, shared_key })
}

/// One digest for the certificates that the kubeconfig trusts, in whatever order they stand there.
fn authority(config: &Config) -> String {
    let mut certificates: Vec<String> =
        config.root_cert.iter().flatten().map(|der| hexadecimal(&Sha256::digest(der))).collect();
    certificates.sort();
    if certificates.is_empty() { String::new() } else { digest(&certificates.join(" ")) }
}

/// The UID of `kube-system`, which tells one cluster from another; empty where we may not see it.
async fn uid(kube: &Kube) -> Result<String, ApiError> {
    match kube.send(&Call::get("/api/v1/namespaces/kube-system").within(FIRST_ANSWER)).await {
        Ok(reply) => Ok(reply.json::<serde_json::Value>()?["metadata"]["uid"].as_str().unwrap_or_default().to_owned()),
        Err(error) if error.code() == Some(403) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn unreachable(config: &Config, error: ApiError) -> DriverError {
    let hint = match &error {
        ApiError::Status { code: 401, .. } => {
            "the server doesn't take the credentials of this context; log in again, and try `kubectl version`"
        }
        ApiError::Junk(_) => NO_API_SERVER,
        ApiError::Old => TOO_OLD,
        ApiError::Status { reason, .. } if reason.is_empty() => NO_API_SERVER,
        ApiError::Status { .. } | ApiError::Immutable { .. } | ApiError::Denied(_) => "",
        ApiError::ReadOnly(_) | ApiError::Closed(_) => "",
        ApiError::Transport(_) | ApiError::Slow(_) => {
            "is the cluster up, and is this the right context? `kubectl version` asks the same server"
        }
    };
    let fault = error.fault();
    DriverError::new(format!("reaching the API server at {}", config.cluster_url), error).fault(fault).hint(hint)
}

fn check_pin(cluster: &Cluster, uid: &str) -> Result<(), DriverError> {
    match &cluster.uid {
        Some(pinned) if pinned != uid => {
            let found = if uid.is_empty() { "not to be seen with these rights" } else { uid };
            let cause = format!("the file pins uid {pinned}, this cluster's is {found}");
            let hint = "choose the right context, or change `[cluster] uid`";
            Err(DriverError::new("checking that this is the right cluster", cause).fault(Fault::Stale).hint(hint))
        }
        Some(_) | None => Ok(()),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}
