//! Kinds of Kubernetes objects: group, version and kind of a document, and the paths under which a server keeps them.

use cfrt_engine::resource::Address;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conventions::Conventions;

/// Group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gvk {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The kind.
    pub kind: String,
}

/// A kind and where the server keeps its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The kind.
    pub gvk: Gvk,
    /// Its name in paths: `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Gvk {
    /// Builds one from an `apiVersion` and a `kind`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// The kind of a document; `None` where it doesn't say.
    pub fn of(document: &Value) -> Option<Self> {
        Some(Self::new(document["apiVersion"].as_str()?, document["kind"].as_str()?))
    }

    /// The kind of an address.
    pub fn of_address(address: &Address) -> Self {
        let (api_version, kind) = address.kind.rsplit_once('/').unwrap_or(("", &address.kind));
        Self::new(api_version, kind)
    }

    /// Group and version as documents write them: `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The kind as addresses write it: `apps/v1/Deployment`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.api_version(), self.kind)
    }

    /// Whether two are versions of one kind.
    pub fn is_version_of(&self, other: &Self) -> bool {
        (&self.group, &self.kind) == (&other.group, &other.kind)
    }

    /// Whether it is the kind that defines other kinds.
    pub fn is_crd(&self) -> bool {
        self.group == "apiextensions.k8s.io" && self.kind == "CustomResourceDefinition"
    }
}

impl Resolved {
    /// The kinds that a CustomResourceDefinition brings, one for each version that it serves.
    pub fn of_crd(crd: &Value) -> Vec<Self> {
        let spec = &crd["spec"];
        let (Some(group), Some(kind), Some(plural)) =
            (spec["group"].as_str(), spec["names"]["kind"].as_str(), spec["names"]["plural"].as_str())
        else {
            return Vec::new();
        };
        let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let resolved = |version: &str| Self {
            gvk: Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() },
            plural: plural.to_owned(),
            namespaced: spec["scope"] == "Namespaced",
        };
        let served = versions.iter().filter(|version| version["served"] != false);
        served.filter_map(|version| version["name"].as_str()).map(resolved).collect()
    }

    /// The kind that holds secrets.
    pub(crate) fn secrets() -> Self {
        Self { gvk: Gvk::new("v1", "Secret"), plural: "secrets".to_owned(), namespaced: true }
    }

    /// Whether it is the kind that holds secrets.
    pub(crate) fn is_secret(&self) -> bool {
        self.gvk.group.is_empty() && self.gvk.kind == "Secret"
    }

    /// Whether a definition brings it.
    pub(crate) fn is_custom(&self) -> bool {
        Conventions::of_group(&self.gvk.group).is_custom()
    }

    /// The name of the definition that brings it.
    pub(crate) fn definition(&self) -> String {
        format!("{}.{}", self.plural, self.gvk.group)
    }

    /// The path of all its objects in a namespace; of all there are where the kind or the call has no namespace.
    pub fn collection(&self, namespace: &str) -> String {
        let root = if self.gvk.group.is_empty() { "/api" } else { "/apis" };
        let api = self.gvk.api_version();
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/{api}/namespaces/{namespace}/{}", self.plural)
        } else {
            format!("{root}/{api}/{}", self.plural)
        }
    }

    /// The path of one object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }
}

/// The address of a document; `namespace` is where it lives if it lives in one and doesn't say which.
pub fn address(document: &Value, namespaced: bool, namespace: &str) -> Option<Address> {
    let name = document["metadata"]["name"].as_str()?;
    let scope = scope(document["metadata"]["namespace"].as_str(), namespaced, namespace);
    Some(Address::new(Gvk::of(document)?.title(), scope, name))
}

/// Where an object lives that may say where: in no namespace if its kind has none, and in `namespace` if it doesn't say.
pub(crate) fn scope<'a>(says: Option<&'a str>, namespaced: bool, namespace: &'a str) -> &'a str {
    match (namespaced, says) {
        (false, _) => "",
        (true, Some(own)) if !own.is_empty() => own,
        (true, _) => namespace,
    }
}
