//! Definitions of custom resources: from `crds/` once, from templates beside what they define.

use serde_json::json;

use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_templated_definition_comes_up_beside_its_objects_at_a_first_installation() {
    for renderer in Helm::BOTH {
        let scenario = Scenario::small("beside").rendered_by(renderer);
        scenario
            .values("{deployment: {enabled: false}, crd: {enabled: true, group: NAMESPACE.example.com, objects: 2}}");
        let judged = judge::apply(&scenario).done();
        let name = scenario.release.as_str();
        let widget = judged.plan.step(&format!("Widget {name}/{name}-1"));
        assert!(widget.hidden_behind.as_deref().is_some_and(|behind| behind.contains("widgets.")), "{widget:?}");
        assert_eq!(scenario.get(&format!("widgets.{name}.example.com/{name}-1"))["spec"]["size"], 1);
        scenario.detailed().exits(0);
        let seen = scenario.helm(Helm::Four, &["get", "manifest", name]).exits(0).stdout;
        assert_eq!(seen.matches("kind: Widget").count(), 2 + 1, "{seen}");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_of_the_crds_folder_that_is_there_is_left_as_it_is() {
    let scenario = Scenario::runtime("crds");
    let other = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "eventbus.argoproj.io", "labels": {"from": "elsewhere"}},
        "spec": {
            "group": "argoproj.io",
            "scope": "Namespaced",
            "names": {"kind": "EventBus", "listKind": "EventBusList", "plural": "eventbus", "singular": "eventbus"},
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    scenario.write("other.json", &other.to_string());
    scenario.kubectl(&["create", "--filename", "other.json"]).exits(0);
    let before = scenario.get("crd/eventbus.argoproj.io");
    let judged = judge::apply(&scenario).done();
    assert_eq!(judged.plan.step("CustomResourceDefinition eventbus.argoproj.io").action, "keep");
    assert_eq!(judged.plan.step("CustomResourceDefinition sensors.argoproj.io").action, "create");
    let after = scenario.get("crd/eventbus.argoproj.io");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    let made = scenario.get("crd/sensors.argoproj.io");
    assert_eq!(made["metadata"]["annotations"].get("meta.helm.sh/release-name"), None);
    scenario.detailed().exits(0);
}
