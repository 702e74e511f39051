//! What the API server knows: its version, its kinds, and where it keeps them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::Value;

use super::call::Call;
use super::client::{ApiError, Kube};
use super::gvk::{Gvk, Resolved};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The server's version and kinds, as of the start of this run, and the kinds that this run brings.
///
/// The default knows nothing but what it learns.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The server's version, as `v1.34.4`.
    pub version: String,
    kinds: Mutex<HashMap<Gvk, Resolved>>,
    api_versions: BTreeSet<String>,
}

impl Discovery {
    /// Asks the server: three requests, side by side.
    ///
    /// # Errors
    ///
    /// No answer, or one of a server before Kubernetes 1.27, which doesn't list all its kinds at once.
    pub async fn ask(kube: &Kube) -> Result<Self, ApiError> {
        let version = async { kube.send(&Call::get("/version")).await?.json::<Version>() };
        let (version, core, groups) = futures::try_join!(version, groups(kube, "/api"), groups(kube, "/apis"))?;
        let mut discovery =
            Self { version: version.git_version, kinds: Mutex::default(), api_versions: BTreeSet::new() };
        core.items.into_iter().chain(groups.items).for_each(|group| discovery.take(group));
        Ok(discovery)
    }

    /// Everything that helm calls API versions: `v1`, `apps/v1`, `apps/v1/Deployment`.
    pub fn api_versions(&self) -> &BTreeSet<String> {
        &self.api_versions
    }

    /// Where a kind is kept; `None` where the server doesn't know it.
    pub fn resolve(&self, gvk: &Gvk) -> Option<Resolved> {
        self.known().get(gvk).cloned()
    }

    /// Takes in the kinds that a CustomResourceDefinition of this run brings.
    pub fn learn(&self, crd: &Value) {
        let mut known = self.known();
        for resolved in Resolved::of_crd(crd) {
            known.entry(resolved.gvk.clone()).or_insert(resolved);
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Gvk, Resolved>> {
        // A panic elsewhere leaves the map whole: each insertion is one step.
        self.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&mut self, group: Group) {
        for version in group.versions {
            let api_version =
                Gvk { group: group.metadata.name.clone(), version: version.version.clone(), kind: String::new() };
            self.api_versions.insert(api_version.api_version());
            for resource in version.resources {
                let Some(response) = resource.response_kind else { continue };
                let gvk = Gvk { kind: response.kind, ..api_version.clone() };
                self.api_versions.insert(gvk.title());
                let namespaced = resource.scope == "Namespaced";
                self.known().insert(gvk.clone(), Resolved { gvk, plural: resource.resource, namespaced });
            }
        }
    }
}

async fn groups(kube: &Kube, path: &str) -> Result<Groups, ApiError> {
    let groups: Groups = kube.send(&Call::get(path).accept(AGGREGATED)).await?.json()?;
    if groups.kind != "APIGroupDiscoveryList" {
        return Err(ApiError::Junk("the server is older than Kubernetes 1.27, which cfrt needs".to_owned()));
    }
    Ok(groups)
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

#[derive(Deserialize)]
struct Groups {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize, Default)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
    #[serde(default)]
    resources: Vec<GroupResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupResource {
    resource: String,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
}

#[derive(Deserialize)]
struct ResponseKind {
    kind: String,
}
