//! What the API server knows: its version, its kinds, and where it keeps them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::Version as Maturity;
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
    learned: Mutex<HashSet<Gvk>>,
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
        let mut discovery = Self { version: version.git_version, ..Self::default() };
        core.items.into_iter().chain(groups.items).for_each(|group| discovery.take(group));
        Ok(discovery)
    }

    /// Everything that helm calls API versions: `v1`, `apps/v1`, `apps/v1/Deployment`.
    pub fn api_versions(&self) -> &BTreeSet<String> {
        &self.api_versions
    }

    /// Where a kind is kept; `None` where the server doesn't know it.
    pub fn resolve(&self, gvk: &Gvk) -> Option<Resolved> {
        lock(&self.kinds).get(gvk).cloned()
    }

    /// Where objects of a kind are to be found: as [`resolve`](Self::resolve), or else under the most mature version of
    /// the kind that the server knows.
    pub fn find(&self, gvk: &Gvk) -> Option<Resolved> {
        let maturity = |kind: &&Resolved| Maturity::parse(&kind.gvk.version).priority();
        let others = || {
            let kinds = lock(&self.kinds);
            kinds.values().filter(|kind| kind.gvk.is_version_of(gvk)).max_by_key(maturity).cloned()
        };
        self.resolve(gvk).or_else(others)
    }

    /// Takes in the kinds that a CustomResourceDefinition of this run brings.
    pub fn learn(&self, crd: &Value) {
        let mut kinds = lock(&self.kinds);
        for resolved in Resolved::of_crd(crd) {
            if !kinds.contains_key(&resolved.gvk) {
                lock(&self.learned).insert(resolved.gvk.clone());
                kinds.insert(resolved.gvk.clone(), resolved);
            }
        }
    }

    /// Whether this run has brought a kind, so that the server may still be about to serve it.
    pub fn has_learned(&self, gvk: &Gvk) -> bool {
        lock(&self.learned).contains(gvk)
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
                lock(&self.kinds).insert(gvk.clone(), Resolved { gvk, plural: resource.resource, namespaced });
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves the maps whole: each insertion is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn groups(kube: &Kube, path: &str) -> Result<Groups, ApiError> {
    let groups: Groups = kube.send(&Call::get(path).accept(AGGREGATED)).await?.json()?;
    if groups.kind != "APIGroupDiscoveryList" {
        return Err(ApiError::Old);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_under_the_most_mature_version_that_is_served() {
        let discovery = Discovery::default();
        let version = |name: &str, served: bool| json!({"name": name, "served": served});
        let versions = [version("v1beta1", true), version("v1", true), version("v2alpha1", true), version("v2", false)];
        let names = json!({"kind": "Widget", "plural": "widgets"});
        discovery
            .learn(&json!({"spec": {"group": "a.io", "names": names, "scope": "Namespaced", "versions": versions}}));
        let found = |kind: &str, version: &str| discovery.find(&Gvk::new(version, kind)).map(|kind| kind.gvk.version);
        assert_eq!(found("Widget", "a.io/v1beta1").as_deref(), Some("v1beta1"));
        assert_eq!(found("Widget", "a.io/v2").as_deref(), Some("v1"));
        assert_eq!(found("Widget", "b.io/v1"), None);
        assert_eq!(found("Gadget", "a.io/v1"), None);
        assert_eq!(discovery.resolve(&Gvk::new("a.io/v2", "Widget")), None);
        assert!(discovery.has_learned(&Gvk::new("a.io/v1", "Widget")));
        assert!(!discovery.has_learned(&Gvk::new("a.io/v2", "Widget")));
    }
}
