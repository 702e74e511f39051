//! Objects that Argo CD or Flux keeps, too: changed only where the file agrees.

use crate::common::judge;
use crate::common::scenario::Scenario;

/// Who keeps an object, and how he marks it.
struct Keeper {
    verb: &'static str,
    manager: &'static str,
    marks: &'static [&'static str],
    name: &'static str,
}

const KEEPERS: [Keeper; 3] = [
    Keeper {
        verb: "annotate",
        manager: "argocd-controller",
        marks: &["argocd.argoproj.io/tracking-id=shop:/ConfigMap:n/a"],
        name: "argocd:shop",
    },
    Keeper {
        verb: "label",
        manager: "kustomize-controller",
        marks: &["kustomize.toolkit.fluxcd.io/name=apps", "kustomize.toolkit.fluxcd.io/namespace=flux-system"],
        name: "flux:flux-system/apps",
    },
    Keeper {
        verb: "label",
        manager: "helm-controller",
        marks: &["helm.toolkit.fluxcd.io/name=apps", "helm.toolkit.fluxcd.io/namespace=flux-system"],
        name: "flux:flux-system/apps",
    },
];

impl Keeper {
    fn mark(&self, scenario: &Scenario, object: &str) {
        let manager = format!("--field-manager={}", self.manager);
        scenario.kubectl(&[&[self.verb, &manager, object], self.marks].concat()).exits(0);
    }
}

fn values(greeting: &str) -> String {
    format!("{{deployment: {{enabled: false}}, data: {{greeting: {greeting}}}}}")
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_argo_cd_or_flux_keeps_too_is_changed_only_where_the_file_agrees() {
    for keeper in KEEPERS {
        let scenario = Scenario::small("kept");
        let object = format!("configmap/{}", scenario.release);
        scenario.values(&values("one"));
        judge::apply(&scenario).done();
        keeper.mark(&scenario, &object);
        // Nothing is to be changed: the marks are no difference.
        judge::apply(&scenario).done();

        scenario.values(&values("two"));
        let judged = judge::apply(&scenario).exits(5);
        let refused = judged.plan.refused();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(
            refused[0].contains(&format!(": {} keeps it, too, and would change it back", keeper.name)),
            "{refused:?}"
        );
        assert_eq!(judged.writes().len(), 0);
        assert_eq!(scenario.get(&object)["data"]["greeting"], "one");

        // The consent is the one that the plan names, with a reason.
        let (_, consent) = refused[0].split_once("or agree: ").expect("it says how");
        let consent = consent.replace(", ", "\n").replace('…', "it is handed over");
        scenario.write("desired.toml", &format!("{}\n{}\n", scenario.desired(), consent.replace("]] ", "]]\n")));
        let judged = judge::apply(&scenario).done();
        let step = judged.plan.step(&format!("ConfigMap {0}/{0}", scenario.release));
        assert_eq!(step.reason, format!("{} keeps it, too; the file agrees: it is handed over", keeper.name));
        assert_eq!(scenario.get(&object)["data"]["greeting"], "two");
        let metadata = scenario.get(&object)["metadata"].to_string();
        assert!(keeper.marks.iter().all(|mark| metadata.contains(mark.split('=').next().unwrap_or_default())));
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_another_tool_made_is_refused_with_its_keeper_and_one_that_is_to_go_stays() {
    let [argo_cd, _, _] = KEEPERS;
    let scenario = Scenario::small("theirs");
    let extra = |name: &str| {
        format!(
            "{{deployment: {{enabled: false}}, extraObjects: [{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}]}}"
        )
    };
    scenario.kubectl_anywhere(&["create", "namespace", &scenario.namespace]).exits(0);
    scenario.kubectl(&["create", "configmap", "theirs"]).exits(0);
    argo_cd.mark(&scenario, "configmap/theirs");
    scenario.values(&extra("theirs"));
    let judged = judge::apply(&scenario).exits(5);
    let refused = judged.plan.refused();
    assert!(refused.len() == 1 && refused[0].ends_with("it is there already, and argocd:shop keeps it"), "{refused:?}");

    scenario.values(&extra("ours"));
    judge::apply(&scenario).done();
    argo_cd.mark(&scenario, "configmap/ours");
    scenario.values("{deployment: {enabled: false}}");
    let judged = judge::apply(&scenario).done();
    let step = judged.plan.step(&format!("ConfigMap {}/ours", scenario.namespace));
    assert_eq!(step.reason, "no longer in the chart, and by now argocd:shop keeps it");
    let _still = scenario.get("configmap/ours");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_chart_may_bring_the_marks_of_argo_cd_itself_and_drop_them_again() {
    let scenario = Scenario::small("own-marks");
    let mark = "argocd.argoproj.io/tracking-id: 'shop:/ConfigMap:n/a'";
    let values = |greeting: &str, mark: &str| {
        format!("{{deployment: {{enabled: false}}, data: {{greeting: {greeting}}}, annotations: {{{mark}}}}}")
    };
    for (greeting, mark) in [("one", mark), ("two", mark), ("three", ""), ("four", "")] {
        scenario.values(&values(greeting, mark));
        judge::apply(&scenario).done();
    }
    scenario.detailed().exits(0);
}
