//! Values that change: what they reach is shown and written, and nothing else.

use serde_json::json;

use crate::common::judge;
use crate::common::scenario::Scenario;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn one_changed_value_moves_one_field_of_one_object() {
    let scenario = Scenario::small("field");
    judge::apply(&scenario).done();
    scenario.values("deployment: {replicas: 2}");
    let judged = judge::apply(&scenario).done();
    assert_eq!(
        judged.plan.told(&scenario.namespace),
        [format!("update Deployment {} spec.replicas", scenario.release)]
    );
    assert_eq!(judged.plan.release().reason, "revision 2: values changed: deployment");
    assert_eq!(judged.writes_of_objects().len(), 1);
    assert_eq!(scenario.revisions(), ["1 superseded", "2 deployed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn values_of_the_file_itself_win_over_a_values_file() {
    let scenario = Scenario::small("set");
    scenario.values("deployment: {replicas: 2}");
    scenario.write("desired.toml", &format!("{}\n[chart.set]\ndeployment.replicas = 3\n", scenario.desired()));
    judge::apply(&scenario).done();
    assert_eq!(scenario.get(&format!("deployment/{}", scenario.release))["spec"]["replicas"], 3);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_key_that_goes_from_the_values_goes_from_the_objects() {
    let scenario = Scenario::small("key");
    scenario.values(
        "{data: {more: text}, secret: {more: text}, labels: {more: text}, annotations: {more: text}, \
         deployment: {env: {A: one, B: two}, resources: {limits: {cpu: 100m}, requests: {cpu: 10m}}}}",
    );
    judge::apply(&scenario).done();
    scenario.values("deployment: {env: {B: two}, resources: {requests: {cpu: 10m}}}");
    let judged = judge::apply(&scenario).done();
    let gone = ["metadata.annotations.more", "metadata.labels.more"];
    let name = scenario.release.as_str();
    for kind in ["ConfigMap", "Secret", "Service", "ServiceAccount", "Deployment"] {
        let step = judged.plan.step(&format!("{kind} {name}/{name}"));
        assert_eq!(step.action, "update");
        for path in gone {
            let field = step.fields.iter().find(|field| field.path == path);
            assert_eq!(field.map(|field| field.after.is_none()), Some(true), "{path} of {kind}: {:?}", step.fields);
        }
        let live = scenario.get(&format!("{kind}/{name}"));
        assert_eq!(live["metadata"]["labels"].get("more"), None);
        assert_eq!(live["metadata"]["annotations"].get("more"), None);
    }
    assert_eq!(scenario.get(&format!("configmap/{name}"))["data"], json!({"greeting": "hello"}));
    assert_eq!(scenario.get(&format!("secret/{name}"))["data"].as_object().map(serde_json::Map::len), Some(1));
    let deployment = scenario.get(&format!("deployment/{name}"));
    let container = deployment.pointer("/spec/template/spec/containers/0").expect("a container");
    assert_eq!(container["env"], json!([{"name": "B", "value": "two"}]));
    assert_eq!(container["resources"], json!({"requests": {"cpu": "10m"}}));
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_item_that_goes_from_a_list_goes_from_the_object() {
    let scenario = Scenario::small("item");
    scenario.values("service: {ports: [{name: http, port: 80}, {name: debug, port: 81}, {name: last, port: 82}]}");
    judge::apply(&scenario).done();
    scenario.values("service: {ports: [{name: http, port: 80}, {name: last, port: 82}]}");
    let judged = judge::apply(&scenario).done();
    let name = scenario.release.as_str();
    assert_eq!(judged.plan.told(&scenario.namespace), [format!("update Service {name} spec.ports[debug]")]);
    let live = scenario.get(&format!("service/{name}"));
    let ports: Vec<_> = live["spec"]["ports"].as_array().into_iter().flatten().map(|port| &port["name"]).collect();
    assert_eq!(ports, ["http", "last"]);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_goes_from_the_chart_goes_from_the_cluster_unless_it_says_keep() {
    let scenario = Scenario::small("object");
    let kept = "metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}";
    scenario.values(&format!(
        "{{count: 2, ingress: {{enabled: true}}, deployment: {{enabled: false}}, \
         extraObjects: [{{apiVersion: v1, kind: ConfigMap, {kept}}}]}}"
    ));
    judge::apply(&scenario).done();
    scenario.values("{count: 1, deployment: {enabled: false}}");
    let judged = judge::apply(&scenario).done();
    let name = scenario.release.as_str();
    let told = judged.plan.told(&scenario.namespace);
    assert_eq!(told, [format!("delete ConfigMap {name}-00001"), format!("delete Ingress {name}")]);
    let keep = judged.plan.step(&format!("ConfigMap {name}/kept"));
    assert_eq!(
        (keep.action.as_str(), keep.reason.as_str()),
        ("keep", "no longer in the chart, kept by its resource policy")
    );
    assert!(scenario.find(&format!("configmap/{name}-00001")).is_none());
    assert!(scenario.find(&format!("ingress/{name}")).is_none());
    let _still = scenario.get("configmap/kept");
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_that_goes_from_the_chart_is_not_deleted_with_what_it_holds() {
    let scenario = Scenario::small("protected");
    let crd = |enabled| {
        format!("{{deployment: {{enabled: false}}, crd: {{enabled: {enabled}, group: NAMESPACE.example.com}}}}")
    };
    scenario.values(&crd(true));
    judge::apply(&scenario).done();
    scenario.values(&crd(false));
    let judged = judge::apply(&scenario).exits(5);
    assert_eq!(judged.plan.summary.refuse, 1);
    assert!(judged.writes().is_empty());
}
