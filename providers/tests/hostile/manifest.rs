//! What helm renders, and what a record keeps of it.

use std::collections::BTreeMap;

use cfrt_providers::helm::manifest::{Manifest, ManifestError, normalised_digest, same_documents, with_values};
use proptest::prelude::*;
use serde_json::json;

use crate::mutation::{cases, damaged_texts, files};
use crate::size::small;

const WORDS: &[&str] = &[
    "---\n",
    "---",
    "\n...\n",
    "# Source: a/templates/b.yaml\n",
    "# Source: a/crds/b.yaml\n",
    "# Source: \n",
    "# Source: charts/charts\n",
    "apiVersion: v1\n",
    "kind: List\n",
    "kind: \n",
    "items:\n- ",
    "items: 5\n",
    "metadata: {}\n",
    "metadata: [\n",
    "  name: x\n",
    "annotations: {helm.sh/hook: pre-install}\n",
    "helm.sh/hook: test\n",
    "helm.sh/hook-weight: 99999999999999999999\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "!!map ",
    "!<x> ",
    "? ",
    ": ",
    "- ",
    "| \n",
    ">-\n",
    "%YAML 1.2\n",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{1b}[2J",
    "\u{0}",
    "ä",
    "𝄞",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "#",
    "~",
    ".inf",
    ".nan",
    "1e999",
    "0o17",
    "-0x1",
    "2001-01-01",
];

fn samples() -> Vec<Vec<u8>> {
    files(&["testdata"], ".yaml")
}

fn objects(manifest: &Manifest) -> Vec<String> {
    manifest.objects.iter().map(|parsed| parsed.value.to_string()).collect()
}

fn check(text: &str) -> Result<(), TestCaseError> {
    drop(normalised_digest(text));
    let (parsed, untouched) = (Manifest::parse(text), with_values(text, &BTreeMap::new()));
    let values =
        BTreeMap::from([(0, vec![("/metadata/name".to_owned(), json!("other")), ("/data/x".to_owned(), json!([1]))])]);
    drop(with_values(text, &values));
    match parsed {
        Ok(manifest) => {
            prop_assert!(same_documents(text, text));
            prop_assert_eq!(untouched.as_deref(), Ok(text));
            prop_assert!(manifest.hooks.iter().all(|hook| !hook.facts.delete_policies.is_empty()));
            let again = Manifest::parse(&manifest.text).expect("a record's text is a manifest");
            prop_assert_eq!(objects(&again), objects(&manifest));
        }
        Err(ManifestError::NotYaml { fault, .. }) => {
            prop_assert!(fault.line >= 1 && fault.line <= 1 + text.lines().count() as u64, "{}", fault);
            prop_assert!(!same_documents(text, text));
        }
        Err(ManifestError::NotAnObject { .. }) => prop_assert!(!same_documents(text, text)),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_damaged_rendering_is_read_or_refused(text in damaged_texts(samples(), WORDS)) {
        check(&text)?;
    }
}

#[test]
fn a_rendering_of_one_word_without_end_is_read_or_refused_soon() {
    let words = [
        "[",
        "{",
        "- ",
        "? ",
        ": ",
        "a: ",
        "&a ",
        "*a ",
        "!a ",
        "\"",
        "'",
        "|\n",
        "#",
        "%",
        "\t",
        "\n",
        "---\n",
        "--- ",
        "<<: ",
        "{a: ",
        "[a, ",
        "a: &a [*a]\n",
        "- - ",
        "# Source: a\n",
        "\u{feff}",
        "ä",
        "\\",
        "...\n",
        "a: b\n",
        "\"\\x",
        "'' ",
        "? a\n: ",
        ",",
    ];
    for word in words {
        let text = format!("apiVersion: v1\nx: {}", word.repeat(100_000 / word.len()));
        small(word, || check(&text)).expect("it is read or refused");
    }
    let deeper: String = (0..700).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    small("deeper and deeper", || check(&deeper)).expect("it is read or refused");
}

#[test]
fn a_rendering_that_unfolds_to_far_more_than_it_is_is_refused_early() {
    let object = |body: &str| format!("apiVersion: v1\nkind: A\nmetadata: {{name: a}}\n{body}\n");
    let large = "x".repeat(1 << 20);
    let repeated = object(&format!("a: &a {large}\nb: [{}]", vec!["*a"; 20_000].join(", ")));
    small("one long word named often", || drop(Manifest::parse(&repeated)));
    let merged = object(&format!("a: &a {{x: {large}}}\nb:\n{}", "- {<<: *a}\n".repeat(20_000)));
    small("one large map merged often", || drop(Manifest::parse(&merged)));
    let wide: String = (0..2_000).map(|number| format!("k{number}: v, ")).collect();
    let merged = object(&format!("a: &a {{{wide}}}\nb:\n{}", "- {<<: [*a, *a, *a]}\n".repeat(3_000)));
    small("one wide map merged often", || drop(Manifest::parse(&merged)));
    let list = "[],".repeat(2_100_000);
    let nodes = object(&format!("a: [{list}]"));
    small("more nodes than any object has", || assert!(Manifest::parse(&nodes).is_err()));
    let pieces = "---\nkind: A\n".repeat(200_000);
    small("very many documents", || assert!(Manifest::parse(&pieces).is_err()));
}
