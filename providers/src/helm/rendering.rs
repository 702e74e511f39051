//! What a chart renders to, ready to be planned: documents without secrets, hooks with their facts.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cfrt_engine::resource::{Address, Document, Hole, Pointer};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::hook::HookFacts;
use super::manifest::normalised_digest;
use super::record::RecordedHook;
use super::scan::Volatile;
use crate::kube::gvk::{Gvk, Resolved};
use crate::vault::Vault;
use crate::vault::hexadecimal;

/// A chart as a rendering names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartFacts {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of what it installs.
    pub app_version: Option<String>,
    /// Its digest.
    pub digest: String,
}

/// What an object is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// The namespace that the template writes; `None` leaves it to the release.
    pub namespace: Option<String>,
    /// Name; empty where the server is to make one.
    pub name: String,
}

impl Identity {
    /// The kind that it says it is.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(&self.api_version, &self.kind)
    }

    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    pub(crate) fn of_address(address: &Address) -> Self {
        let gvk = Gvk::of_address(address);
        Self {
            api_version: gvk.api_version(),
            kind: gvk.kind,
            namespace: Some(address.scope.clone()),
            name: address.name.clone(),
        }
    }

    /// What two names of one object have in common: group, kind, namespace and name, but not the version.
    pub(crate) fn key(&self) -> [String; 4] {
        let Gvk { group, kind, .. } = self.gvk();
        [group, kind, self.namespace.clone().unwrap_or_default(), self.name.clone()]
    }
}

/// One rendered object.
///
/// Its document is unpacked when it is first asked for: custom resource definitions are most of a chart's bytes, and what a
/// plan needs of them is their digest.
#[derive(Clone)]
pub struct Rendered {
    /// The template that it comes from.
    pub source: String,
    /// What it is called.
    pub identity: Identity,
    /// `sha256:…` of the document; generated values don't count.
    pub digest: String,
    /// The kinds that it brings, where it is a definition.
    pub brings: Vec<Resolved>,
    document: OnceLock<Document>,
    packed: Option<Packed>,
}

/// What is known of a rendered object without its document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RenderedFacts {
    source: String,
    identity: Identity,
    digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    brings: Vec<Resolved>,
}

/// A document as the cache holds it: a part of a file whose keyed digest was right.
#[derive(Clone)]
pub(crate) struct Packed {
    pub(crate) file: Arc<[u8]>,
    pub(crate) body: Range<usize>,
    pub(crate) holes: BTreeMap<Pointer, Hole>,
}

impl Rendered {
    /// Takes a document that holds no secret any more.
    pub(crate) fn new(source: String, document: Document) -> Self {
        let (identity, digest) = (Identity::of(&document.body), digest(&document));
        let brings = if identity.gvk().is_crd() { Resolved::of_crd(&document.body) } else { Vec::new() };
        Self { source, identity, digest, brings, document: document.into(), packed: None }
    }

    /// Takes a document that this crate has packed before.
    pub(crate) fn packed(facts: RenderedFacts, packed: Packed) -> Self {
        let RenderedFacts { source, identity, digest, brings } = facts;
        Self { source, identity, digest, brings, document: OnceLock::new(), packed: Some(packed) }
    }

    /// What is known of it without its document.
    pub(crate) fn facts(&self) -> RenderedFacts {
        RenderedFacts {
            source: self.source.clone(),
            identity: self.identity.clone(),
            digest: self.digest.clone(),
            brings: self.brings.clone(),
        }
    }

    /// Gives the document.
    pub fn document(&self) -> &Document {
        self.document.get_or_init(|| self.unpacked())
    }

    /// Gives a document of one's own; one that nobody has asked for yet stays packed.
    pub fn to_document(&self) -> Document {
        self.document.get().cloned().unwrap_or_else(|| self.unpacked())
    }

    fn unpacked(&self) -> Document {
        let Packed { file, body, holes } = self.packed.clone().expect("made with a document, or with a packed one");
        let body = serde_json::from_slice(&file[body]).expect("the file's keyed digest was right, so that we wrote it");
        Document { body, holes }
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity: Identity { api_version, kind, name, .. }, source, .. } = self;
        write!(f, "Rendered({api_version} {kind} {name} of {source})")
    }
}

impl PartialEq for Rendered {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.document() == other.document()
    }
}

/// A rendered hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// When and how it runs.
    pub facts: HookFacts,
    /// Its object.
    pub rendered: Rendered,
    /// Its exact text, for the release record; absent in a rendering from the cache.
    pub manifest: Option<SecretString>,
}

impl Hook {
    /// Gives the hook as the release record keeps it; `None` in a rendering from the cache.
    pub fn recorded(&self) -> Option<RecordedHook> {
        Some(RecordedHook { facts: self.facts.clone(), manifest: self.manifest.clone()? })
    }
}

/// What a chart renders to with certain values for a certain cluster.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The chart.
    pub chart: ChartFacts,
    /// Objects that belong to the release, in helm's order; nothing is defaulted or added.
    pub objects: Vec<Rendered>,
    /// Hooks, tests included.
    pub hooks: Vec<Hook>,
    /// For each of these objects those that must be settled before it, as [`needs`](crate::kube::needs::needs) finds them.
    pub needs: Vec<Vec<usize>>,
    /// Objects of the charts' `crds/` folders.
    pub crds: Vec<Rendered>,
    /// The exact text of the objects, for the release record; absent in a rendering from the cache.
    pub manifest: Option<SecretString>,
    /// `sha256:…` of objects and hooks; generated values don't count.
    pub digest: String,
    /// What [`texts_digest`] says of the very texts that helm wrote; one that draws lots has another each time.
    pub texts: String,
    /// What makes two renderings differ.
    pub volatile: Volatile,
}

/// Digests the text of a release's objects and the texts of its hooks, whichever major of helm wrote them.
///
/// It tells at once that a release record holds what is rendered now; where it differs, the documents may still be the same.
pub fn texts_digest<'a>(
    vault: &Vault,
    manifest: &str,
    hooks: impl Iterator<Item = (&'a HookFacts, &'a str)>,
) -> String {
    let of_hook = |(facts, text): (&HookFacts, &str)| {
        [&facts.path, &facts.kind, &facts.name, &normalised_digest(text)].map(String::as_str).join(" ")
    };
    let mut hooks: Vec<String> = hooks.map(of_hook).collect();
    hooks.sort();
    let all = [vec![normalised_digest(manifest)], hooks].concat().join("\n");
    // Keyed, since the texts hold secrets that could be guessed from a plain digest.
    vault.digest(all.as_bytes())
}

impl Rendering {
    /// Gives the digest of objects and hooks in their order.
    pub(crate) fn digest_of(objects: &[Rendered], hooks: &[Hook]) -> String {
        let mut all = Sha256::new();
        for rendered in objects.iter().chain(hooks.iter().map(|hook| &hook.rendered)) {
            all.update(rendered.digest.as_bytes());
        }
        format!("sha256:{}", hexadecimal(&all.finalize()))
    }
}

/// Digests a document as sorted JSON, its generated values left out.
fn digest(document: &Document) -> String {
    let mut steady = document.body.clone();
    for (pointer, hole) in &document.holes {
        match (hole, steady.pointer_mut(pointer)) {
            (Hole::Generated, Some(value)) => *value = Value::Null,
            (Hole::Generated, None) | (Hole::Secret, _) => {}
        }
    }
    format!("sha256:{}", hexadecimal(&Sha256::digest(steady.to_string())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(body: Value, generated: &[&str]) -> Rendered {
        let holes = generated.iter().map(|&pointer| (pointer.to_owned(), Hole::Generated)).collect();
        Rendered::new("a/templates/b.yaml".into(), Document { body, holes })
    }

    #[test]
    fn a_digest_sees_every_value_but_generated_ones() {
        let body = |time: &str, name: &str| json!({"metadata": {"name": name, "annotations": {"at": time}}});
        let at = ["/metadata/annotations/at"];
        assert_eq!(rendered(body("1", "a"), &at).digest, rendered(body("2", "a"), &at).digest);
        assert_ne!(rendered(body("1", "a"), &at).digest, rendered(body("1", "b"), &at).digest);
        assert_ne!(rendered(body("1", "a"), &[]).digest, rendered(body("2", "a"), &[]).digest);
    }

    #[test]
    fn a_packed_document_is_the_same_when_it_is_asked_for() {
        let whole = rendered(json!({"kind": "A", "x": [1, "b"]}), &["/x/1"]);
        let document = whole.document().clone();
        let text = format!("before{}", document.body);
        let packed = Packed { body: 6..text.len(), file: text.into_bytes().into(), holes: document.holes };
        assert_eq!(Rendered::packed(whole.facts(), packed), whole);
    }
}
