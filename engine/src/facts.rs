//! The facts that every task may need: which cluster, which runtime, which platform account.

use serde::Deserialize;
use toml::Spanned;

use crate::desired::DesiredState;
use crate::ignore::{Rule, rules};
use crate::policy::{Consent, consents};
use crate::source::{Mistake, Mistakes, both, nearest};

/// The tables that belong to no single kind of task.
pub const TABLES: [&str; 6] = ["schema", "extends", "cluster", "runtime", "drift", "policy"];

/// What the user stated once and several tasks use.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The cluster to work on.
    pub cluster: Cluster,
    /// The runtime's names.
    pub runtime: Runtime,
    /// What may move without counting as drift.
    pub ignore: Vec<Rule>,
    /// What would be lost for good, and may be.
    pub consents: Vec<Consent>,
}

/// The table `[cluster]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The kubeconfig context; the current one where nothing is said.
    pub context: Option<String>,
    /// The UID that the cluster's `kube-system` namespace must have; any cluster where nothing is said.
    pub uid: Option<String>,
}

/// The table `[runtime]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// The runtime's name, unique in the account.
    pub name: Spanned<Name>,
    /// The namespace that it lives in.
    pub namespace: Spanned<Name>,
    /// The name of its Helm release.
    pub release: Spanned<ReleaseName>,
}

/// A name of lower-case letters, digits and dashes, at most 63 long, as RFC 1123 has it for labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

/// A [`Name`] of at most 53 characters: what Helm takes for a release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ReleaseName(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ReleaseName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        label(&text, 63).map(|()| Self(text))
    }
}

impl TryFrom<String> for ReleaseName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        label(&text, 53).map(|()| Self(text))
    }
}

fn label(text: &str, longest: usize) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some(strange) = text.chars().find(|c| !fits(*c)) {
        let instead =
            if strange.is_ascii_uppercase() { "in lower case" } else { "of lower-case letters, digits and dashes" };
        return Err(format!("it has the character `{strange}`; a name is {instead}"));
    }
    if text.len() > longest {
        return Err(format!("it has {} characters, and at most {longest} fit", text.len()));
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("a dash is neither its first nor its last character".to_owned());
    }
    Ok(())
}

/// Reads the shared tables.
///
/// # Errors
///
/// A table that doesn't fit, or no `[runtime]` at all.
pub fn facts(desired: &DesiredState<'_>) -> Result<Facts, Mistakes> {
    let cluster = desired.table::<Cluster>("cluster");
    let runtime =
        desired.table::<Runtime>("runtime").and_then(|runtime| runtime.ok_or_else(|| without_runtime(desired).into()));
    let rules = both(rules(desired), consents(desired));
    let ((cluster, runtime), (ignore, consents)) = both(both(cluster, runtime), rules)?;
    Ok(Facts { cluster: cluster.unwrap_or_default(), runtime, ignore, consents })
}

fn without_runtime(desired: &DesiredState<'_>) -> Mistake {
    match desired.names().find(|(name, _)| nearest(name, ["runtime"]).is_some()) {
        Some((name, at)) => desired.stranger(name, at, ["runtime"]),
        None => Mistake::new(desired.sources().main(), "the file does not say which runtime it is about")
            .label("add `[runtime]` with `name`, `namespace` and `release`"),
    }
}
