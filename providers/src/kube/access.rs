//! What an apply must be allowed to do: derived from its plan, asked for all at once before its first write, and said in four words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cfrt_engine::change::Action;
use cfrt_engine::driver::{DriverError, Fault, Observation, Predicted};
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::resource::Part;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::client::{ApiError, Kube};
use super::discovery::Discovery;
use super::gvk::{Gvk, Resolved};
use crate::drivers::object::{adoption, settles_at_once};
use crate::lease::Place;
use crate::world::World;

/// How many questions are asked at once.
const AT_ONCE: usize = 16;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const WHO_AM_I: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

/// Something that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The namespace; empty for what lies in none.
    pub namespace: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource in the plural.
    pub resource: String,
    /// What is done with it.
    pub verb: String,
    /// Which one; empty where it may be any.
    pub name: String,
}

/// Something that someone is not allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// Who.
    pub subject: String,
    /// What.
    pub right: Right,
    /// Why, where the server says more than that.
    pub why: String,
}

impl Right {
    fn new(kind: &Resolved, namespace: &str, name: &str, verb: &str) -> Self {
        Self {
            namespace: if kind.namespaced { namespace.to_owned() } else { String::new() },
            group: kind.gvk.group.clone(),
            resource: kind.plural.clone(),
            verb: verb.to_owned(),
            name: name.to_owned(),
        }
    }

    fn of_any(&self) -> Self {
        Self { name: String::new(), ..self.clone() }
    }

    /// The question whether it is allowed.
    fn review(&self) -> Value {
        let Self { namespace, group, resource, verb, name } = self;
        let namespace = if self.is_of_namespaces() { name } else { namespace };
        let about = json!({"namespace": namespace, "group": group, "resource": resource, "verb": verb, "name": name});
        json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": about},
        })
    }

    /// Whether it is about a namespace itself, which servers say to lie in itself.
    fn is_of_namespaces(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }

    /// `deployments.apps "app" in namespace n`
    fn place(&self) -> String {
        let Self { namespace, group, resource, name, .. } = self;
        if self.is_of_namespaces() && !name.is_empty() {
            return format!("{resource} \"{name}\"");
        }
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let name = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let place =
            if namespace.is_empty() { "in the cluster".to_owned() } else { format!("in namespace {namespace}") };
        format!("{resource}{group}{name} {place}")
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} may not {} {}", self.subject, self.right.verb, self.right.place())?;
        if self.why.is_empty() { Ok(()) } else { write!(f, " ({})", self.why) }
    }
}

impl Denied {
    /// Understands how API servers say it; `None` for what they say of anything else.
    pub fn parse(message: &str) -> Option<Self> {
        let (about, rest) = message.split_once(" is forbidden: User \"")?;
        let (subject, rest) = rest.split_once("\" cannot ")?;
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, rest) = rest.split_once('"')?;
        let (namespace, why) = match rest.strip_prefix(" in the namespace \"") {
            Some(rest) => rest.split_once('"')?,
            None => ("", rest.strip_prefix(" at the cluster scope")?),
        };
        let name = about.split_once(" \"").and_then(|(_, name)| name.strip_suffix('"')).unwrap_or_default();
        let [namespace, group, resource, verb, name] = [namespace, group, resource, verb, name].map(str::to_owned);
        let right = Right { namespace, group, resource, verb, name };
        Some(Self { subject: subject.to_owned(), right, why: why.trim_start_matches([':', ' ']).to_owned() })
    }

    /// What a server says of missing rights: in four words, or in its own where it is about a path. `None` for what it says of
    /// anything else, as quotas, policies and states do with the same code.
    pub(super) fn told(message: &str) -> Option<String> {
        let of_path = || {
            let (_, said) = message.split_once("forbidden: User \"")?;
            let (_, said) = said.split_once("\" cannot ")?;
            said.contains(" path \"").then(|| message.to_owned())
        };
        Self::parse(message).map(|denied| denied.to_string()).or_else(of_path)
    }
}

/// What carrying a plan out takes: what its steps do, and the lease and the journal of every run that writes.
pub fn rights(discovery: &Discovery, plan: &Plan, lease: &Place) -> BTreeSet<Right> {
    let brought = brought(plan);
    let writing = plan.steps.iter().filter(|step| step.change.action.writes());
    writing.flat_map(|step| of_step(discovery, &brought, step)).chain(of_books(lease)).collect()
}

/// The names of journals are drawn by chance, so that no role can name them. Without `list` and `delete` old ones stay, which
/// keeps nobody from anything.
fn of_books(lease: &Place) -> impl Iterator<Item = Right> {
    let (namespace, name) = (lease.namespace(), lease.name());
    let held = ["get", "update", "patch", "delete"].map(|verb| Right::new(&Place::kind(), namespace, name, verb));
    let made = Right::new(&Place::kind(), namespace, "", "create");
    let journal = ["create", "patch"].map(|verb| Right::new(&core("ConfigMap", "configmaps"), namespace, "", verb));
    held.into_iter().chain([made]).chain(journal)
}

fn of_step(discovery: &Discovery, brought: &BTreeMap<Gvk, Resolved>, step: &Step) -> Vec<Right> {
    let (resource, address) = (&step.resource, &step.resource.id.address);
    if resource.driver == "release" {
        let verbs = ["get", "list", "create", "update", "patch", "delete"];
        return verbs.map(|verb| Right::new(&Resolved::secrets(), &address.scope, "", verb)).into();
    }
    let gvk = Gvk::of_address(address);
    // Of a kind that no one knows nothing is written; the step itself says so.
    let Some(kind) = discovery.find(&gvk).or_else(|| brought.get(&gvk).cloned()) else { return Vec::new() };
    let right = |verb: &&str| Right::new(&kind, &address.scope, &address.name, verb);
    let mut rights: Vec<Right> = verbs(step).iter().map(right).collect();
    let leaves = matches!(step.change.action, Action::Replace | Action::Delete);
    if resource.driver == "hook" || leaves || !settles_at_once(resource) {
        // Whoever waits watches all of a kind, be it until something is gone.
        rights.extend(["list", "watch"].iter().map(|verb| right(verb).of_any()));
    }
    if let (Part::Adoption, Ok(settings)) = (&resource.id.part, adoption::Settings::deserialize(&resource.settings)) {
        let (record, kind) = (format!("cfrt-{}-undo", settings.release), core("ConfigMap", "configmaps"));
        rights.extend(["create", "patch"].map(|verb| Right::new(&kind, &settings.namespace, &record, verb)));
    }
    rights
}

/// What is done to a step's own object. Server-side apply is a patch, and where nothing is there a creation as well. What bears
/// a hook's name is read just before it runs.
fn verbs(step: &Step) -> &'static [&'static str] {
    match step.change.action {
        _ if step.resource.driver == "hook" => &["get", "create", "patch", "delete"],
        Action::Create => &["create", "patch"],
        Action::Update | Action::Migrate => &["patch"],
        Action::Replace => &["create", "patch", "delete"],
        Action::Delete => &["delete"],
        Action::Keep | Action::Refuse => &[],
    }
}

fn core(kind: &str, plural: &str) -> Resolved {
    Resolved { gvk: Gvk::new("v1", kind), plural: plural.to_owned(), namespaced: true }
}

/// The kinds that the plan's own definitions bring.
fn brought(plan: &Plan) -> BTreeMap<Gvk, Resolved> {
    let definitions = plan.steps.iter().filter(|step| Gvk::of_address(&step.resource.id.address).is_crd());
    let kinds = definitions.filter_map(|step| Some(Resolved::of_crd(&step.resource.want.document()?.body)));
    kinds.flatten().map(|kind| (kind.gvk.clone(), kind)).collect()
}

/// What a plan takes and this login may not do. All is asked at once; names only where not everything of a kind is allowed.
///
/// # Errors
///
/// A server that doesn't answer.
pub async fn missing_rights(world: &World, plan: &Plan) -> Result<Vec<Denied>, DriverError> {
    let missing = missing(&world.kube, rights(&world.discovery, plan, world.lease.place())).await;
    let failed = |error: ApiError| error.during("asking what this apply may do");
    let missing = missing.map_err(failed)?;
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let subject = subject(&world.kube).await;
    Ok(missing.into_iter().map(|right| Denied { subject: subject.clone(), right, why: String::new() }).collect())
}

/// Makes sure that a plan may be carried out.
///
/// # Errors
///
/// Everything that it takes and this login may not do; a server that doesn't answer.
pub async fn permitted(world: &World, plan: &Plan) -> Result<(), DriverError> {
    let missing = missing_rights(world, plan).await?;
    let cause = match (missing.is_empty(), unconfirmed(plan)) {
        (true, None) => return Ok(()),
        (true, Some(step)) => {
            format!("the server doesn't take a dry run of {} from this login", step.resource.id.address.short())
        }
        (false, _) => told(&missing),
    };
    let error = DriverError::new("making sure that this plan may be carried out", cause).fault(Fault::Forbidden);
    Err(error.hint("nothing was written; have these rights granted, then run the same command again"))
}

/// A step that writes what no dry run has confirmed: nobody knows what it would do.
fn unconfirmed(plan: &Plan) -> Option<&Step> {
    let is_so = |step: &&Step| {
        let denied = matches!(&step.seen, Observation::Present { predicted: Some(Predicted::NotPermitted), .. });
        denied && step.change.action.writes()
    };
    plan.steps.iter().find(is_so)
}

/// One line for each thing, with all that may not be done with it.
fn told(missing: &[Denied]) -> String {
    let mut verbs: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for Denied { subject, right, .. } in missing {
        verbs.entry((subject, right.place())).or_default().push(&right.verb);
    }
    let line = |((subject, place), verbs): ((&str, String), Vec<&str>)| {
        format!("{subject} may not {} {place}", verbs.join(", "))
    };
    verbs.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Those of some rights that this login doesn't have.
async fn missing(kube: &Kube, rights: BTreeSet<Right>) -> Result<Vec<Right>, ApiError> {
    let mut named: BTreeMap<Right, Vec<Right>> = BTreeMap::new();
    for right in rights {
        named.entry(right.of_any()).or_default().push(right);
    }
    let denied = denied(kube, named.keys().cloned().collect()).await?;
    let asked = denied.iter().flat_map(|right| &named[right]).filter(|right| !right.name.is_empty());
    let by_name: BTreeSet<Right> = self::denied(kube, asked.cloned().collect()).await?.into_iter().collect();
    let of = |right: Right| {
        let all = &named[&right];
        // Where no role names any of them, or one has no name yet, it is the kind that is missing.
        if all.iter().all(|one| by_name.contains(one)) || all.iter().any(|one| one.name.is_empty()) {
            return vec![right];
        }
        all.iter().filter(|one| by_name.contains(*one)).cloned().collect()
    };
    Ok(denied.into_iter().flat_map(of).collect())
}

async fn denied(kube: &Kube, rights: Vec<Right>) -> Result<Vec<Right>, ApiError> {
    let asked = rights.into_iter().map(|right| async move { Ok((!allows(kube, &right).await?).then_some(right)) });
    let mut denied: Vec<Right> = stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .try_filter_map(|denied| async { Ok(denied) })
        .try_collect()
        .await?;
    denied.sort();
    Ok(denied)
}

async fn allows(kube: &Kube, right: &Right) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Review {
        status: Status,
    }
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        allowed: bool,
    }
    match kube.send(&Call::ask(REVIEWS, &right.review())).await {
        Ok(reply) => Ok(reply.json::<Review>()?.status.allowed),
        // Who may not even ask has to try.
        Err(error) if error.code() == Some(403) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Who we are, in the server's own words where it has some.
async fn subject(kube: &Kube) -> String {
    let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = kube.send(&Call::ask(WHO_AM_I, &question)).await.and_then(|reply| reply.json::<Value>());
    let name = answer.ok().and_then(|answer| Some(answer.pointer("/status/userInfo/username")?.as_str()?.to_owned()));
    name.unwrap_or_else(|| "this login".to_owned())
}

#[cfg(test)]
mod tests;
