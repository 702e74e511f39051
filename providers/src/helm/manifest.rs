//! Rendered text to documents: objects, hooks and custom resource definitions, each with the template that it comes from.

use std::collections::BTreeMap;

use cfrt_engine::resource::Pointer;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::assemble::as_stored;
use super::hook::HookFacts;
use super::yaml::{self, Twice, YamlFault};
use crate::vault::hexadecimal;

const SEPARATOR: &str = "---";
const SOURCE: &str = "# Source: ";

/// Why a rendering can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A template rendered to something that is no YAML.
    #[error("what {template} renders to is no YAML")]
    NotYaml {
        /// The template.
        template: String,
        /// What is wrong, by line of the rendered document.
        #[source]
        fault: YamlFault,
    },
    /// A template rendered to YAML that is no Kubernetes object.
    #[error("what {template} renders to is no Kubernetes object: it has no {missing}")]
    NotAnObject {
        /// The template.
        template: String,
        /// The member that an object needs.
        missing: &'static str,
    },
}

/// One document and the template that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The template, as helm names it: `chart/templates/service.yaml`.
    pub source: String,
    /// The object.
    pub value: Value,
}

/// A hook as it was rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedHook {
    /// When and how it runs.
    pub facts: HookFacts,
    /// The object.
    pub value: Value,
    /// Its text, as the release record keeps it.
    pub text: String,
}

/// What a chart renders to, in helm's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    /// Objects of the charts' `crds/` folders.
    pub crds: Vec<Parsed>,
    /// Objects that belong to the release; lists are unfolded.
    pub objects: Vec<Parsed>,
    /// Hooks, tests included.
    pub hooks: Vec<ParsedHook>,
    /// The text of the objects, as the release record keeps it.
    pub text: String,
}

impl Manifest {
    /// Reads what `helm template` wrote, or the manifest of a release record.
    ///
    /// # Errors
    /// Names the template whose rendering is no YAML or no object.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut manifest = Self::default();
        for piece in pieces(text) {
            let mut is_of_release = false;
            for value in piece.values()? {
                is_of_release |= manifest.take(&piece, value)?;
            }
            if is_of_release {
                manifest.text.push_str(piece.whole);
            }
        }
        Ok(manifest)
    }

    fn take(&mut self, piece: &Piece<'_>, value: Value) -> Result<bool, ManifestError> {
        let source = piece.source;
        if is_crd_file(source) {
            self.crds.extend(unfold(source, value)?);
            return Ok(false);
        }
        if let Some(facts) = HookFacts::of(source, &value) {
            let text = piece.text.strip_suffix('\n').unwrap_or(piece.text).to_owned();
            self.hooks.push(ParsedHook { facts, value, text });
            return Ok(false);
        }
        self.objects.extend(unfold(source, value)?);
        Ok(true)
    }
}

/// Gives a digest of a manifest that does not see white space around documents, in which the two majors of helm differ.
pub fn normalised_digest(text: &str) -> String {
    let mut digest = Sha256::new();
    for piece in
        pieces(text).map(|piece| piece.whole.trim_start_matches(SEPARATOR).trim()).filter(|piece| !piece.is_empty())
    {
        digest.update((piece.len() as u64).to_be_bytes());
        digest.update(piece);
    }
    format!("sha256:{}", hexadecimal(&digest.finalize()))
}

/// Tells whether two manifests hold the same objects, in whatever order and spelling.
///
/// A manifest that can't be read is the same as none.
pub fn same_documents(one: &str, other: &str) -> bool {
    let objects = |text: &str| {
        let manifest = Manifest::parse(text).ok()?;
        let mut texts: Vec<String> = manifest.objects.iter().map(|parsed| parsed.value.to_string()).collect();
        texts.sort();
        Some(texts)
    };
    objects(one).is_some_and(|one| Some(one) == objects(other))
}

/// Puts values into objects of a manifest, by the place of an object among [`Manifest::objects`].
///
/// The text of every document that this doesn't change stays as it is, byte for byte. One that it changes is written as
/// JSON, which all readers of YAML take alike, and a Secret in it as the server stores it.
///
/// # Errors
/// A text that is no manifest.
pub fn with_values(text: &str, values: &BTreeMap<usize, Vec<(Pointer, Value)>>) -> Result<String, ManifestError> {
    let (mut changed, mut place) = (String::with_capacity(text.len()), 0);
    for piece in pieces(text) {
        let documents = piece.values()?;
        let mut rewritten = Vec::with_capacity(documents.len());
        let mut differs = false;
        for document in documents {
            let mut objects = piece.objects(&document)?;
            for object in &mut objects {
                differs |= values.get(&place).is_some_and(|values| put(&mut object.value, values));
                place += 1;
            }
            rewritten.push(refolded(document, objects));
        }
        if differs {
            changed.push_str(piece.head().trim_end());
            let texts = rewritten.iter().map(|document| format!("\n{document:#}\n"));
            changed.push_str(&texts.collect::<Vec<_>>().join(SEPARATOR));
        } else {
            changed.push_str(piece.whole);
        }
    }
    Ok(changed)
}

/// Puts values into an object, and tells whether that changes it.
fn put(object: &mut Value, values: &[(Pointer, Value)]) -> bool {
    let mut changed = as_stored(object.clone());
    let mut differs = false;
    for (pointer, value) in values {
        if let Some(place) = changed.pointer_mut(pointer).filter(|place| *place != value) {
            *place = value.clone();
            differs = true;
        }
    }
    if differs {
        *object = changed;
    }
    differs
}

/// A document again, from what [`unfold`] made of it.
fn refolded(mut document: Value, mut objects: Vec<Parsed>) -> Value {
    if document["items"].is_array() && document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) {
        document["items"] = objects.into_iter().map(|object| object.value).collect();
        return document;
    }
    objects.pop().map_or(document, |object| object.value)
}

struct Piece<'a> {
    source: &'a str,
    /// With its separator and source line.
    whole: &'a str,
    /// Without them.
    text: &'a str,
}

impl Piece<'_> {
    /// What stands before the text.
    fn head(&self) -> &str {
        self.whole.strip_suffix(self.text).unwrap_or_default()
    }

    /// What a document of it has among the objects of the release.
    fn objects(&self, document: &Value) -> Result<Vec<Parsed>, ManifestError> {
        if is_crd_file(self.source) || HookFacts::of(self.source, document).is_some() {
            return Ok(Vec::new());
        }
        unfold(self.source, document.clone())
    }

    fn values(&self) -> Result<Vec<Value>, ManifestError> {
        yaml::documents(self.text, Twice::LastCounts)
            .map_err(|fault| ManifestError::NotYaml { template: self.source.to_owned(), fault })
    }
}

/// Splits a text at its separators. A piece without a source line comes from the file that the piece before came from.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut source = "the manifest";
    wholes(text).into_iter().map(move |whole| {
        let body = whole.strip_prefix(SEPARATOR).unwrap_or(whole);
        let trimmed = body.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(named) = trimmed.strip_prefix(SOURCE) else { return Piece { source, whole, text: body } };
        let (name, text) = named.split_once('\n').unwrap_or((named, ""));
        source = name.trim_end();
        Piece { source, whole, text }
    })
}

fn wholes(text: &str) -> Vec<&str> {
    let mut starts = vec![];
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.strip_prefix(SEPARATOR).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            starts.push(offset);
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let first = &text[..starts.first().copied().unwrap_or(text.len())];
    [first].into_iter().chain(starts.iter().zip(ends).map(|(&start, end)| &text[start..end])).collect()
}

/// Tells whether a source lies in the `crds/` folder of the chart or of one of its subcharts.
fn is_crd_file(source: &str) -> bool {
    let mut parts = source.split('/').skip(1);
    loop {
        match parts.next() {
            Some("charts") => drop(parts.next()),
            part => return part == Some("crds"),
        }
    }
}

fn unfold(source: &str, value: Value) -> Result<Vec<Parsed>, ManifestError> {
    let kind = text_at(&value, "/kind").unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").filter(|_| value["items"].is_array()).map(str::to_owned) else {
        return Ok(vec![object(source, value)?]);
    };
    let version = value["apiVersion"].clone();
    let Value::Array(items) = value["items"].clone() else { return Ok(Vec::new()) };
    let complete = |mut item: Value| {
        if let Some(members) = item.as_object_mut().filter(|_| !item_kind.is_empty()) {
            members.entry("apiVersion").or_insert_with(|| version.clone());
            members.entry("kind").or_insert_with(|| item_kind.as_str().into());
        }
        object(source, item)
    };
    items.into_iter().map(complete).collect()
}

fn object(source: &str, value: Value) -> Result<Parsed, ManifestError> {
    const NEEDED: [(&str, &str); 3] =
        [("apiVersion", "/apiVersion"), ("kind", "/kind"), ("metadata.name", "/metadata/name")];
    let missing = NEEDED.into_iter().find(|(_, pointer)| text_at(&value, pointer).is_none_or(str::is_empty));
    match missing {
        Some((missing, _)) => Err(ManifestError::NotAnObject { template: source.to_owned(), missing }),
        None => Ok(Parsed { source: source.to_owned(), value }),
    }
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests;
