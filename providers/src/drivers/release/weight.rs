//! Whether the record of a revision would fit into a Secret, from what it is going to hold, and what makes it large.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::helm::record::{RecordError, fits};
use crate::helm::rendering::{Rendered, Rendering};
use crate::kube::said::line;

/// What is below this can't be too large, however badly it packs: base64 alone takes a third of a Secret.
const SURELY_FITS: usize = 700 << 10;

/// A part of a record: what it is, and the sizes of what it consists of.
struct Part {
    what: &'static str,
    sizes: BTreeMap<String, usize>,
}

impl Part {
    fn size(&self) -> usize {
        self.sizes.values().sum()
    }

    /// `objects 1.2 MiB (most in ConfigMap a)`
    fn told(&self) -> String {
        let largest = self.sizes.iter().max_by_key(|(_, size)| **size);
        let most = largest.map(|(name, _)| format!(" (most in {})", line(name))).unwrap_or_default();
        format!("{} {}{most}", self.what, mebibytes(self.size()))
    }
}

/// Why a revision's record can't be stored; `None` where it can. The record's notes and metadata are left out, so that what is
/// refused here would be refused in the end.
pub(super) fn too_large(rendering: &Rendering, values: &Value, files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let mut parts = [objects(rendering), of_values(values), of_files(files)];
    if parts.iter().map(Part::size).sum::<usize>() < SURELY_FITS {
        return None;
    }
    match fits(&record(rendering, values, files)) {
        Ok(()) => None,
        Err(RecordError::DoesNotFit { size, limit }) => {
            parts.sort_by_key(|part| std::cmp::Reverse(part.size()));
            let parts: Vec<String> = parts.iter().map(Part::told).collect();
            let (size, limit) = (mebibytes(size), mebibytes(limit));
            Some(format!(
                "its record would take {size}, and a Secret holds {limit}: helm keeps chart, values and objects of a revision in \
                 one;\nbefore it is packed it has {}",
                parts.join(", ")
            ))
        }
        Err(other) => Some(other.to_string()),
    }
}

fn objects(rendering: &Rendering) -> Part {
    let named = |rendered: &Rendered| {
        let identity = &rendered.identity;
        (format!("{} {}", identity.kind, identity.name), rendered.document().body.to_string().len())
    };
    let all = rendering.objects.iter().chain(rendering.hooks.iter().map(|hook| &hook.rendered));
    Part { what: "objects", sizes: all.map(named).collect() }
}

fn of_values(values: &Value) -> Part {
    let keys = values.as_object().into_iter().flatten();
    Part { what: "values", sizes: keys.map(|(key, value)| (key.clone(), value.to_string().len())).collect() }
}

fn of_files(files: &BTreeMap<String, Vec<u8>>) -> Part {
    let sizes = files.iter().map(|(path, bytes)| (path.clone(), bytes.len())).collect();
    Part { what: "files of the chart", sizes }
}

/// What of a record is known before helm is asked; the texts of a rendering from the cache are as long as its documents.
fn record(rendering: &Rendering, values: &Value, files: &BTreeMap<String, Vec<u8>>) -> Value {
    let files = files.iter().map(|(name, bytes)| json!({"name": name, "data": BASE64_STANDARD.encode(bytes)}));
    let body = |rendered: &Rendered| rendered.document().body.clone();
    let manifest = match &rendering.manifest {
        Some(text) => json!(text.expose_secret()),
        None => rendering.objects.iter().map(body).collect(),
    };
    let hooks: Value = rendering.hooks.iter().map(|hook| body(&hook.rendered)).collect();
    json!({"chart": {"files": files.collect::<Value>()}, "config": values, "manifest": manifest, "hooks": hooks})
}

fn mebibytes(bytes: usize) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use cfrt_engine::resource::Document;

    use super::*;
    use crate::helm::rendering::ChartFacts;
    use crate::helm::scan::Volatile;

    /// A text that can't be packed to less than half its size.
    fn noise(length: usize) -> String {
        let mut state: u64 = 7;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from(state >> 58).expect("six bits are left"))
        };
        (0..length).map(|_| next()).collect()
    }

    fn rendering(text: &str) -> Rendering {
        let body =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"text": text}});
        Rendering {
            chart: ChartFacts {
                name: "a".to_owned(),
                version: "1.0.0".to_owned(),
                app_version: None,
                digest: String::new(),
            },
            objects: vec![Rendered::new("a/templates/b.yaml".to_owned(), Document { body, ..Document::default() })],
            hooks: Vec::new(),
            needs: vec![Vec::new()],
            crds: Vec::new(),
            manifest: None,
            digest: String::new(),
            texts: String::new(),
            volatile: Volatile::default(),
        }
    }

    #[test]
    fn what_makes_a_record_too_large_is_told_and_what_packs_well_is_not_too_large() {
        let told = |objects: &str, value: &str, file: &str| {
            let files = BTreeMap::from([("files/model.bin".to_owned(), file.as_bytes().to_vec())]);
            too_large(&rendering(objects), &json!({"small": 1, "large": value}), &files)
        };
        let (noise, text) = (noise(1 << 20), "many words ".repeat(1 << 18));
        assert_eq!(told("", "", ""), None);
        assert_eq!(told(&text, &text, &text), None);
        for (objects, value, file, first) in [
            (noise.as_str(), "", "", "objects 1.1 MiB (most in ConfigMap big), "),
            ("", noise.as_str(), "", "values 1.1 MiB (most in large), "),
            ("", "", noise.as_str(), "files of the chart 1.0 MiB (most in files/model.bin), "),
        ] {
            let told = told(objects, value, file).unwrap_or_default();
            assert!(told.starts_with("its record would take 1."), "{told}");
            assert!(told.contains("a Secret holds 1.0 MiB"), "{told}");
            assert!(told.contains(&format!("before it is packed it has {first}")), "{told}");
        }
    }
}
