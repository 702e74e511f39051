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
        Self::of(Scenario::small(name), labels, annotations, schema)
    }

    fn of(scenario: Scenario, labels: &Value, annotations: &Value, schema: &Value) -> Self {
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
        // Its status moves until then.
        scenario.kubectl(&["wait", "--for=condition=Established", "--filename", "there.json"]).exits(0);
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
    scenario.apply().1.exits(0);
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

/// Who has a definition, as its metadata say, and in which words a plan asks for his consent.
struct Owned {
    name: &'static str,
    labels: Value,
    annotations: Value,
    owner: Option<&'static str>,
}

fn released(name: &str, namespace: &str) -> Value {
    json!({"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace, "note": "an \"old\" one"})
}

/// Every kind of owner but this release.
fn owners() -> Vec<Owned> {
    let helm = json!({"app.kubernetes.io/managed-by": "Helm", "team": "x"});
    let flux = |controller: &str| json!({format!("{controller}.fluxcd.io/name"): "apps", format!("{controller}.fluxcd.io/namespace"): "flux-system"});
    let tracked =
        json!({"argocd.argoproj.io/tracking-id": "community:apiextensions.k8s.io/CustomResourceDefinition:x/y"});
    let owned = |name, labels, annotations, owner| Owned { name, labels, annotations, owner };
    vec![
        owned("bare", Value::Null, Value::Null, None),
        owned("unowned", json!({"app.kubernetes.io/managed-by": "kubectl"}), json!({"note": ""}), None),
        owned("half-owned", helm.clone(), json!({"meta.helm.sh/release-name": "gone"}), None),
        owned("release", helm.clone(), released("rollouts", "argo"), Some("argo/rollouts")),
        owned("namesake", helm, released("NAMESPACE", "elsewhere"), Some("elsewhere/NAMESPACE")),
        owned("argocd", json!({"app.kubernetes.io/instance": "community"}), tracked, Some("argocd:community")),
        owned("kustomize", flux("kustomize.toolkit"), Value::Null, Some("flux:flux-system/apps")),
        owned("flux-helm", flux("helm.toolkit"), Value::Null, Some("flux:flux-system/apps")),
    ]
}

/// The schema that the chart's own definition has, so that taking it changes nothing but whose it is.
fn schema_of_the_chart() -> Value {
    let spec = json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "size": {"type": "integer", "minimum": 0},
            "note": {"type": "string", "nullable": true},
        },
    });
    json!({"type": "object", "properties": {"spec": spec}})
}

impl Adopted {
    /// All of it but what counts how often it was written, and by whom.
    fn whole(&self) -> Value {
        let mut definition = self.scenario.get(&format!("crd/{}", self.definition));
        let metadata = definition["metadata"].as_object_mut().expect("it has metadata");
        metadata.retain(|key, _| !["resourceVersion", "managedFields", "generation"].contains(&key.as_str()));
        definition
    }

    /// The requests by which a command changes anything, but for its books.
    fn writes(&self, arguments: &[&str]) -> Vec<String> {
        let mark = audit::mark();
        self.scenario.cfrt(arguments).exits(0);
        let asked = audit::since(mark, &self.scenario);
        let written = audit::mutating(&asked).into_iter().filter(|event| !event.is_book(&self.scenario.release));
        written.map(audit::Event::told).collect()
    }

    /// Nothing is taken where its owner hasn't agreed, and nothing else is done either.
    fn is_refused_without(&self, owner: &str, before: &Value) {
        self.says("adopt = \"all\"\ntake_from = [\"someone/else\"]");
        let judged = judge::apply(&self.scenario).exits(5);
        let refused = judged.plan.refused();
        assert!(refused.len() == 1 && refused[0].contains(&format!("take_from = [\"{owner}\"]")), "{refused:?}");
        assert_eq!(judged.writes().len(), 0);
        assert_eq!(self.whole(), *before);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn whoever_has_a_definition_it_is_taken_once_with_his_consent_and_given_back_byte_for_byte() {
    const NOTHING: [String; 0] = [];
    for Owned { name, labels, annotations, owner } in owners() {
        let (scenario, named) = (Scenario::small(name), |value: &Value, scenario: &Scenario| {
            serde_json::from_str(&value.to_string().replace("NAMESPACE", &scenario.namespace)).unwrap_or(Value::Null)
        });
        let annotations = named(&annotations, &scenario);
        let owner = owner.map(|owner| owner.replace("NAMESPACE", &scenario.namespace));
        let adopted = Adopted::of(scenario, &labels, &annotations, &schema_of_the_chart());
        let (scenario, before) = (&adopted.scenario, adopted.whole());
        if let Some(owner) = &owner {
            adopted.is_refused_without(owner, &before);
        }
        let consent = owner.map(|owner| format!("\ntake_from = [\"{owner}\"]")).unwrap_or_default();
        adopted.says(&format!("adopt = \"all\"{consent}"));
        let judged = judge::apply(scenario).done();
        assert_eq!(judged.plan.adoption(&adopted.definition).action, "update", "{name}");
        assert_eq!(adopted.said()[1]["meta.helm.sh/release-name"], scenario.release, "{name}");
        assert_eq!(adopted.said()[1]["meta.helm.sh/release-namespace"], scenario.namespace, "{name}");
        scenario.detailed().exits(0);
        assert_eq!(adopted.writes(&["apply", "desired.toml", "--yes"]), NOTHING, "a second adoption, {name}");
        assert_eq!(adopted.writes(&["unadopt", "desired.toml", "--yes"]).len(), 1, "{name}");
        assert_eq!(adopted.whole(), before, "{name}");
        assert_eq!(adopted.writes(&["unadopt", "desired.toml", "--yes"]), NOTHING, "a second return, {name}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_that_is_not_there_or_that_the_release_has_already_is_not_adopted() {
    let scenario = Scenario::small("own");
    let desired = scenario.desired();
    scenario.values("{deployment: {enabled: false}, crd: {enabled: true, group: NAMESPACE.example.com, objects: 1}}");
    scenario.write("desired.toml", &format!("{desired}\n[crds]\nadopt = \"all\"\n"));
    for (action, reason) in [("keep", "not there yet"), ("keep", "")] {
        let judged = judge::apply(&scenario).done();
        let step = judged.plan.adoption(&format!("widgets.{}.example.com", scenario.namespace));
        assert_eq!((step.action.as_str(), step.reason.as_str()), (action, reason));
    }
    let record = format!("configmap/cfrt-{}-undo", scenario.release);
    assert!(scenario.find(&record).is_none(), "nothing was taken, and so nothing is written down");
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_adopted_definition_that_equals_the_chart_s_is_applied_once_and_then_no_plan_asks_for_a_dry_run() {
    let adopted = Adopted::with_schema("equal", &json!({}), &json!({}), &schema_of_the_chart());
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
