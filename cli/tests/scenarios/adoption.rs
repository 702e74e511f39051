//! Definitions that someone else made: taken over where the file says so, and given back as they were.

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;

/// A scenario whose chart templates a definition that is there already, as its owner left it.
struct Adopted {
    scenario: Scenario,
    desired: String,
    definition: String,
}

impl Adopted {
    fn new(name: &str, labels: &Value, annotations: &Value) -> Self {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        Self::with_schema(name, labels, annotations, &schema)
    }

    fn with_schema(name: &str, labels: &Value, annotations: &Value, schema: &Value) -> Self {
        let scenario = Scenario::small(name);
        scenario
            .values("{deployment: {enabled: false}, crd: {enabled: true, group: NAMESPACE.example.com, objects: 1}}");
        let group = format!("{}.example.com", scenario.namespace);
        let definition = format!("widgets.{group}");
        let object = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": definition, "labels": labels, "annotations": annotations},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
            },
        });
        scenario.write("there.json", &object.to_string());
        scenario.kubectl(&["create", "--filename", "there.json"]).exits(0);
        let desired = scenario.desired();
        Self { scenario, desired, definition }
    }

    fn says(&self, crds: &str) {
        self.scenario.write("desired.toml", &format!("{}\n[crds]\n{crds}\n", self.desired));
    }

    /// What its labels and annotations say.
    fn said(&self) -> [Value; 2] {
        let metadata = self.scenario.get(&format!("crd/{}", self.definition))["metadata"].clone();
        [metadata["labels"].clone(), metadata["annotations"].clone()]
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_that_no_release_has_is_adopted_once_and_given_back_as_it_was() {
    let labels = json!({"app.kubernetes.io/managed-by": "kubectl", "team": "x"});
    let adopted = Adopted::new("adopt", &labels, &json!({"note": "mine"}));
    let (scenario, before) = (&adopted.scenario, adopted.said());
    let refused = scenario.plan_at_all();
    let reason = &refused.step(&format!("CustomResourceDefinition {}", adopted.definition)).reason;
    assert!(reason.contains("`[crds] adopt = \"all\"` takes it over"), "{reason}");

    adopted.says("adopt = \"rollouts\"");
    let plan = scenario.plan_at_all();
    assert!(plan.refused().len() == 1 && plan.refused()[0].contains("`[crds] adopt = \"all\"` takes it over"));
    let shown = scenario.cfrt(&["plan", "desired.toml"]).exits(5).stdout;
    assert!(shown.contains("= nothing: the chart brings no definition that `[crds] adopt` names"), "{shown}");

    adopted.says("adopt = \"all\"");
    let judged = judge::apply(scenario).done();
    let paths: Vec<&str> =
        judged.plan.adoption(&adopted.definition).fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert_eq!(adopted.said()[1]["meta.helm.sh/release-name"], scenario.release);
    assert_eq!(adopted.said()[0]["team"], "x");
    scenario.detailed().exits(0);
    let mark = audit::mark();
    scenario.apply_unjudged().1.exits(0);
    assert!(audit::mutating(&audit::since(mark, scenario)).is_empty(), "a second adoption does nothing");

    let shown = scenario.cfrt(&["unadopt", "desired.toml", "--yes"]).exits(0);
    assert!(shown.stdout.contains("given back as it was"), "{shown}");
    assert!(shown.stdout.ends_with("still has `[crds]`: the next plan takes the definitions again.\n"), "{shown}");
    assert_eq!(adopted.said(), before);
    let mark = audit::mark();
    scenario.cfrt(&["unadopt", "desired.toml", "--yes"]).exits(0);
    assert!(audit::mutating(&audit::since(mark, scenario)).is_empty(), "a second return does nothing");

    judge::apply(scenario).done();
    assert_eq!(adopted.said()[1]["meta.helm.sh/release-name"], scenario.release);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_of_another_owner_is_taken_only_where_the_file_names_it() {
    let release = json!({"meta.helm.sh/release-name": "rollouts", "meta.helm.sh/release-namespace": "argo"});
    let tracked =
        json!({"argocd.argoproj.io/tracking-id": "community:apiextensions.k8s.io/CustomResourceDefinition:x/y"});
    for (name, annotations, owner) in [("owner", release, "argo/rollouts"), ("argocd", tracked, "argocd:community")] {
        let adopted = Adopted::new(name, &json!({"app.kubernetes.io/managed-by": "Helm"}), &annotations);
        let (scenario, before) = (&adopted.scenario, adopted.said());
        adopted.says("adopt = \"all\"");
        let judged = judge::apply(scenario).exits(5);
        let refused = judged.plan.refused();
        assert!(refused.len() == 1 && refused[0].contains(&format!("take_from = [\"{owner}\"]")), "{refused:?}");
        assert_eq!(adopted.said(), before);

        adopted.says(&format!("adopt = \"all\"\ntake_from = [\"{owner}\"]"));
        judge::apply(scenario).done();
        assert_eq!(adopted.said()[1]["meta.helm.sh/release-namespace"], scenario.namespace);
        scenario.detailed().exits(0);
        scenario.cfrt(&["unadopt", "desired.toml", "--yes"]).exits(0);
        assert_eq!(adopted.said(), before);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_adopted_definition_that_equals_the_chart_s_is_applied_once_and_then_no_plan_asks_for_a_dry_run() {
    let spec = json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "size": {"type": "integer", "minimum": 0},
            "note": {"type": "string", "nullable": true},
        },
    });
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let adopted = Adopted::with_schema("equal", &json!({}), &json!({}), &schema);
    let scenario = &adopted.scenario;
    adopted.says("adopt = \"all\"");
    let judged = judge::apply(scenario).done();
    let step = judged.plan.step(&format!("CustomResourceDefinition {}", adopted.definition));
    assert_eq!((step.action.as_str(), step.reason.as_str()), ("migrate", "its fields move to server-side apply"));

    let mark = audit::mark();
    scenario.detailed().exits(0);
    let asked = audit::since(mark, scenario);
    assert!(!asked.is_empty());
    let dry_runs: Vec<String> =
        asked.iter().filter(|event| event.uri().contains("dryRun=")).map(audit::Event::told).collect();
    assert_eq!(dry_runs, [""; 0], "a plan with nothing to do asks for dry runs");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn only_the_definitions_that_the_file_names_are_adopted() {
    let adopted = Adopted::new("rollouts", &json!({}), &json!({}));
    adopted.says("adopt = \"rollouts\"");
    let judged = judge::apply(&adopted.scenario).exits(5);
    assert!(judged.plan.steps.iter().all(|step| step.part.is_none()), "a Widget is none of Argo Rollouts'");
    adopted.says("adopt = \"none\"");
    judge::apply(&adopted.scenario).exits(5);
}
