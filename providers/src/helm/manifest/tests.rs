//! Splitting and sorting of rendered text.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const RENDERED: &str = "---
# Source: app/crds/b.yaml
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
---
# Source: app/charts/sub/crds/b.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: others.example.com}
---
# Source: app/templates/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  text: |
    ---
    hello
---
# Source: app/templates/empty.yaml
# nothing here
---
# Source: app/templates/list.yaml
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Service, metadata: {name: s}}
---
# Source: app/charts/sub/templates/crds/t.yaml
apiVersion: v1
kind: ConfigMapList
items:
- {metadata: {name: c}}
---
# Source: app/templates/hook.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: h, annotations: {helm.sh/hook: pre-install}}
";

fn names(parsed: &[Parsed]) -> Vec<String> {
    let name = |parsed: &Parsed| {
        let [version, kind, name] =
            ["/apiVersion", "/kind", "/metadata/name"].map(|place| text_at(&parsed.value, place).unwrap());
        format!("{version} {kind} {name} of {}", parsed.source)
    };
    parsed.iter().map(name).collect()
}

#[test]
fn definitions_objects_and_hooks_are_told_apart_in_order() {
    let manifest = Manifest::parse(RENDERED).unwrap();
    assert_eq!(
        names(&manifest.crds),
        [
            "apiextensions.k8s.io/v1 CustomResourceDefinition things.example.com of app/crds/b.yaml",
            "apiextensions.k8s.io/v1 CustomResourceDefinition others.example.com of app/charts/sub/crds/b.yaml",
        ]
    );
    assert_eq!(
        names(&manifest.objects),
        [
            "v1 ConfigMap a of app/templates/a.yaml",
            "v1 Service s of app/templates/list.yaml",
            "v1 ConfigMap c of app/charts/sub/templates/crds/t.yaml",
        ]
    );
    assert_eq!(manifest.objects[0].value["data"]["text"], "---\nhello\n");
    let [hook] = manifest.hooks.as_slice() else { panic!("{:?}", manifest.hooks) };
    assert_eq!((hook.facts.name.as_str(), hook.facts.path.as_str()), ("h", "app/templates/hook.yaml"));
    assert_eq!(
        hook.text,
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}"
    );
}

#[test]
fn the_text_for_the_record_is_that_of_the_objects() {
    let text = Manifest::parse(RENDERED).unwrap().text;
    assert!(text.starts_with("---\n# Source: app/templates/a.yaml\n"), "{text}");
    assert!(text.ends_with("- {metadata: {name: c}}\n"), "{text}");
    assert!(!text.contains("crds/b.yaml") && !text.contains("hook.yaml"), "{text}");
}

#[test]
fn what_is_no_yaml_is_reported_with_its_template_and_line() {
    let text = "---\n# Source: app/templates/bad.yaml\na: 1\nb: [1\n";
    let Err(ManifestError::NotYaml { template, fault }) = Manifest::parse(text) else { panic!("parsed") };
    assert_eq!(template, "app/templates/bad.yaml");
    assert!(fault.line >= 2, "{fault}");
}

#[test]
fn what_is_no_object_is_reported_with_what_it_lacks() {
    for (body, lacks) in [
        ("kind: A", "apiVersion"),
        ("apiVersion: v1", "kind"),
        ("{apiVersion: v1, kind: A, metadata: {}}", "metadata.name"),
        ("just text", "apiVersion"),
        ("{apiVersion: v1, kind: List, items: [{apiVersion: v1, metadata: {name: x}}]}", "kind"),
    ] {
        let error = Manifest::parse(&format!("---\n# Source: app/templates/x.yaml\n{body}\n")).unwrap_err();
        assert_eq!(
            error,
            ManifestError::NotAnObject { template: "app/templates/x.yaml".into(), missing: lacks },
            "{body}"
        );
    }
}

#[test]
fn a_list_that_is_no_list_of_objects_stays_whole() {
    let text = "{apiVersion: example.com/v1, kind: AllowList, metadata: {name: a}, spec: {}}";
    assert_eq!(names(&Manifest::parse(text).unwrap().objects), ["example.com/v1 AllowList a of the manifest"]);
}

#[test]
fn digests_do_not_see_white_space_around_documents_and_see_all_else() {
    let three = "---\n# Source: a\nx: |\n  hello\n---\n# Source: b\ny: 1\n";
    let four = "---\n# Source: a\nx: |\n  hello \n  \n\n---\n# Source: b\ny: 1\n\n\n";
    assert_eq!(normalised_digest(three), normalised_digest(&four.replace("hello ", "hello")));
    for other in [three.replace("y: 1", "y: 2"), three.replace(": b", ": c"), three.replace("---\n# Source: b\n", "")] {
        assert_ne!(normalised_digest(three), normalised_digest(&other), "{other}");
    }
}

#[test]
fn the_same_documents_are_the_same_in_any_spelling_and_order() {
    let one = "---\n# Source: a\n{apiVersion: v1, kind: A, metadata: {name: a}}\n---\n{apiVersion: v1, kind: B, metadata: {name: b}}\n";
    let other = "---\napiVersion: v1\nmetadata:\n  name: b\nkind: B\n---\n# Source: a\napiVersion: \"v1\"\nkind: A\nmetadata: {name: a}\n";
    assert!(same_documents(one, other));
    assert!(!same_documents(one, &other.replace("kind: B", "kind: C")));
    assert!(!same_documents(one, &format!("{other}---\n{{apiVersion: v1, kind: B, metadata: {{name: b}}}}\n")));
    assert!(!same_documents("[", "["));
}

#[test]
fn values_of_parsed_documents_are_those_of_the_text() {
    let manifest = Manifest::parse("{apiVersion: v1, kind: A, metadata: {name: a}, mode: 0644, mode: 0640}").unwrap();
    assert_eq!(manifest.objects[0].value["mode"], json!(0o640));
}

proptest! {
    #[test]
    fn any_text_is_split_without_loss(text in "(---|# Source: a|a: 1|\n| |\r|ä){0,40}") {
        prop_assert_eq!(wholes(&text).concat(), text);
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,200}") {
        drop(Manifest::parse(&text));
        prop_assert!(normalised_digest(&text).starts_with("sha256:"));
    }
}

const GENERATED: &str = "---
# Source: a/templates/one.yaml
apiVersion: v1
kind: ConfigMap   # as it is
metadata: {name: one}
data: {at: \"1\"}
---
# Source: a/templates/two.yaml
apiVersion: v1
kind: Secret
metadata: {name: two}
stringData: {password: fresh, user: me}
---
apiVersion: v1
kind: ConfigMapList
items:
- {metadata: {name: three}, data: {at: \"1\"}}
- {metadata: {name: four}, data: {at: 0o7}}
---
# Source: a/templates/five.yaml
apiVersion: v1
kind:   ConfigMap
metadata: {name: five}
";

#[test]
fn values_are_put_into_objects_and_every_other_text_stays_as_it_is() {
    let value = |pointer: &str, value: &str| vec![(pointer.to_owned(), json!(value))];
    let values = BTreeMap::from([
        (0, value("/data/at", "1")),
        (1, value("/data/password", "bGl2ZQ==")),
        (2, value("/data/at", "2")),
        (4, value("/data/not-there", "x")),
    ]);
    let changed = with_values(GENERATED, &values).unwrap();
    let mut expected = Manifest::parse(GENERATED).unwrap().objects;
    expected[1].value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two"},
        "data": {"password": "bGl2ZQ==", "user": "bWU="}});
    expected[2].value["data"]["at"] = json!("2");
    assert_eq!(Manifest::parse(&changed).unwrap().objects, expected, "{changed}");
    let (before, after) = (GENERATED.find("# Source: a/templates/two").unwrap(), GENERATED.rfind("---").unwrap());
    assert!(changed.starts_with(&GENERATED[..before]) && changed.ends_with(&GENERATED[after..]), "{changed}");
    assert!(changed.contains("---\n# Source: a/templates/two.yaml\n{\n"), "{changed}");
    assert!(changed.contains("}\n---\n{\n"), "{changed}");
    assert_eq!(with_values(GENERATED, &BTreeMap::new()).unwrap(), GENERATED);
}
