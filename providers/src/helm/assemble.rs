//! What helm wrote, made into documents: secrets sealed, generated values marked.

use std::collections::BTreeSet;

use cfrt_engine::resource::{Document, Pointer};
use serde_json::Value;

use super::chart::Chart;
use super::generated::{self, Second, Turns};
use super::manifest::{Manifest, Parsed, ParsedHook};
use super::rendering::{ChartFacts, Hook, Identity, Rendered, Rendering, texts_digest};
use super::scan::Volatile;
use crate::kube::needs::needs;
use crate::vault::{Mask, Vault, put_string_data_into_data};

/// Makes a rendering of what helm wrote, and of what it wrote a second time where the chart is unsteady.
///
/// Every Secret is sealed before any other document is masked, so that no order of templates lets a value through.
/// `names` are the release's own and its namespace's, which are shown everywhere.
pub fn assemble(
    vault: &Vault,
    chart: &Chart,
    names: &[String; 2],
    first: Manifest,
    second: Option<Manifest>,
) -> Rendering {
    let mut sealing = Sealing { vault, second: second.map(second_of), turns: Turns::default() };
    let objects: Vec<Draft> =
        first.objects.into_iter().map(|Parsed { source, value }| sealing.draft(source, value)).collect();
    let texts = texts_digest(vault, &first.text, first.hooks.iter().map(|hook| (&hook.facts, hook.text.as_str())));
    let mut facts = Vec::new();
    let mut hooks = Vec::new();
    for ParsedHook { facts: hook, value, text } in first.hooks {
        hooks.push(sealing.draft(hook.path.clone(), value));
        facts.push((hook, text));
    }
    let shown = objects.iter().chain(&hooks).flat_map(Draft::names);
    let shown: BTreeSet<String> = shown.chain(names.iter().cloned()).chain([chart.metadata.name.clone()]).collect();
    let mask = vault.mask(&shown);
    let objects: Vec<Rendered> = objects.into_iter().map(|draft| draft.finish(&mask)).collect();
    let bodies: Vec<&Value> = objects.iter().map(|object| &object.document().body).collect();
    let needs = needs(&bodies, &names[1]);
    let finished = facts.into_iter().zip(hooks);
    let hook = |((facts, text), draft): ((_, String), Draft)| Hook {
        facts,
        rendered: draft.finish(&mask),
        manifest: Some(text.into()),
    };
    let hooks: Vec<Hook> = finished.map(hook).collect();
    Rendering {
        chart: chart_facts(chart),
        digest: Rendering::digest_of(&objects, &hooks),
        objects,
        needs,
        hooks,
        crds: first.crds.into_iter().map(definition).collect(),
        manifest: Some(first.text.into()),
        texts,
        volatile: Volatile::default(),
    }
}

fn chart_facts(chart: &Chart) -> ChartFacts {
    ChartFacts {
        name: chart.metadata.name.clone(),
        version: chart.metadata.version.clone(),
        app_version: chart.metadata.app_version.clone(),
        digest: chart.digest.clone(),
    }
}

fn definition(Parsed { source, value }: Parsed) -> Rendered {
    Rendered::new(source, Document { body: value, ..Document::default() })
}

fn second_of(second: Manifest) -> Second {
    let hooks = second.hooks.into_iter().map(|hook| (hook.facts.path, hook.value));
    let objects = second.objects.into_iter().map(|parsed| (parsed.source, parsed.value));
    Second::new(objects.chain(hooks).map(|(source, value)| (source, as_stored(value))))
}

struct Sealing<'a> {
    vault: &'a Vault,
    second: Option<Second>,
    turns: Turns,
}

/// A document on its way: sealed if it is a Secret, not yet masked.
struct Draft {
    source: String,
    document: Document,
    generated: Vec<Pointer>,
}

impl Sealing<'_> {
    fn draft(&mut self, source: String, value: Value) -> Draft {
        let value = as_stored(value);
        let second = self.second.as_ref();
        let generated =
            second.and_then(|second| second.differing(&mut self.turns, &source, &value)).unwrap_or_default();
        let document = if is_secret(&value) {
            self.vault.seal_document(value)
        } else {
            Document { body: value, ..Document::default() }
        };
        Draft { source, document, generated }
    }
}

impl Draft {
    fn names(&self) -> [String; 4] {
        let Identity { api_version, kind, namespace, name } = Identity::of(&self.document.body);
        [api_version, kind, namespace.unwrap_or_default(), name]
    }

    fn finish(mut self, mask: &Mask<'_>) -> Rendered {
        mask.hide(&mut self.document);
        generated::mark(&mut self.document, self.generated);
        Rendered::new(self.source, self.document)
    }
}

fn is_secret(value: &Value) -> bool {
    value["kind"] == "Secret" && value["apiVersion"] == "v1"
}

/// Gives an object as the server stores it, as far as two spellings of one Secret go.
pub(crate) fn as_stored(mut value: Value) -> Value {
    if is_secret(&value) {
        put_string_data_into_data(&mut value);
    }
    value
}
