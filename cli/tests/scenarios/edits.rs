//! What people do to a release by hand is shown where they did it, healed, and nothing else is written.

use serde_json::{Value, json};

use crate::common::judge;
use crate::common::scenario::Scenario;

/// What someone does, and what a plan has to say of it; the scenario's own namespace stands for `NAME`.
type Edit = (&'static str, fn(&Scenario), &'static [&'static str]);

const VALUES: &str = "
annotations: {owner: us}
data: {greeting: hello, second: ours}
deployment: {env: {ONE: '1', TWO: '2'}, resources: {limits: {cpu: 100m}}}
service: {ports: [{name: http, port: 80}, {name: debug, port: 81}]}
ingress: {enabled: true}
crd: {enabled: true, group: NAMESPACE.example.com, objects: 1, spec: {size: 1, tags: [a, b], nested: {deep: [{x: 1}, {x: 2}]}}}
hooks: [{name: before, event: pre-upgrade}, {name: after, event: post-upgrade}]
";

/// Runs kubectl; `NAME` in its arguments stands for the scenario's own namespace.
#[track_caller]
fn kubectl(scenario: &Scenario, arguments: &[&str]) {
    let arguments: Vec<String> =
        arguments.iter().map(|argument| argument.replace("NAME", &scenario.namespace)).collect();
    scenario.kubectl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
}

/// As `kubectl edit` writes it: a patch under that name.
#[track_caller]
fn edit(scenario: &Scenario, object: &str, patch: &Value) {
    let patch = patch.to_string();
    kubectl(scenario, &["patch", object, "--field-manager=kubectl-edit", "--type=json", "--patch", &patch]);
}

fn removes(path: &str) -> Value {
    json!([{"op": "remove", "path": path}])
}

fn replaces(path: &str, value: &Value) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

/// Does one thing after another to a release, and heals each by itself.
#[track_caller]
fn each_is_healed(scenario: &Scenario, edits: &[Edit]) {
    judge::apply(scenario).done();
    for (what, meddle, told) in edits {
        meddle(scenario);
        scenario.detailed().exits(2);
        let judged = judge::apply(scenario).done();
        let seen = judged.plan.told(&scenario.namespace);
        let seen: Vec<String> = seen.iter().map(|step| step.replace(&scenario.namespace, "NAME")).collect();
        assert_eq!(seen, *told, "{what}");
        assert_eq!(judged.writes().len(), told.len(), "{what}");
        assert_eq!(judged.plan.release().action, "keep", "{what}");
        scenario.detailed().exits(0);
    }
    assert_eq!(scenario.revisions(), ["1 deployed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_kubectl_has_commands_for_is_healed_where_it_was_done() {
    let scenario = Scenario::small("commands");
    scenario.values(VALUES);
    let edits: [Edit; 8] = [
        (
            "annotate",
            |scenario| kubectl(scenario, &["annotate", "service/NAME", "--overwrite", "owner=them", "more=theirs"]),
            &["update Service NAME metadata.annotations.owner"],
        ),
        (
            "annotate away",
            |scenario| kubectl(scenario, &["annotate", "deployment/NAME", "owner-", "meta.helm.sh/release-name-"]),
            &[r#"update Deployment NAME metadata.annotations.owner metadata.annotations["meta.helm.sh/release-name"]"#],
        ),
        (
            "label",
            |scenario| kubectl(scenario, &["label", "ingress/NAME", "--overwrite", "app.kubernetes.io/name=them"]),
            &[r#"update Ingress NAME metadata.labels["app.kubernetes.io/name"]"#],
        ),
        (
            "set env",
            |scenario| kubectl(scenario, &["set", "env", "deployment/NAME", "ONE=other", "TWO-", "THREE=theirs"]),
            &["update Deployment NAME spec.template.spec.containers[small].env[ONE].value \
               spec.template.spec.containers[small].env[TWO]"],
        ),
        (
            "set image",
            |scenario| kubectl(scenario, &["set", "image", "deployment/NAME", "small=quay.io/example/small:2.0.0"]),
            &["update Deployment NAME spec.template.spec.containers[small].image"],
        ),
        (
            "set resources",
            |scenario| kubectl(scenario, &["set", "resources", "deployment/NAME", "--limits=cpu=200m,memory=1Gi"]),
            &["update Deployment NAME spec.template.spec.containers[small].resources.limits.cpu"],
        ),
        (
            "scale and set serviceaccount",
            |scenario| {
                kubectl(scenario, &["scale", "deployment/NAME", "--replicas=2"]);
                kubectl(scenario, &["set", "serviceaccount", "deployment/NAME", "default"]);
            },
            &[
                "update Deployment NAME spec.replicas spec.template.spec.serviceAccount spec.template.spec.serviceAccountName",
            ],
        ),
        (
            "delete",
            |scenario| kubectl(scenario, &["delete", "configmap/NAME", "ingress/NAME", "serviceaccount/NAME"]),
            &["create ConfigMap NAME", "create Ingress NAME", "create ServiceAccount NAME"],
        ),
    ];
    each_is_healed(&scenario, &edits);
    let service = scenario.get(&format!("service/{}", scenario.release));
    assert_eq!(service["metadata"]["annotations"]["more"], "theirs");
    let deployment = scenario.get(&format!("deployment/{}", scenario.release));
    let container = deployment.pointer("/spec/template/spec/containers/0").expect("it has one");
    assert!(container["env"].to_string().contains("theirs"), "{container}");
    assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
}

/// Where the schema of the small chart's definition says how small a widget may be.
const MINIMUM: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/minimum";

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_is_edited_in_maps_and_lists_is_healed_and_what_is_added_stays() {
    let scenario = Scenario::small("edited");
    scenario.values(VALUES);
    let edits: [Edit; 8] = [
        (
            "a key of ours removed, one of theirs added",
            |scenario| {
                edit(scenario, "configmap/NAME", &removes("/data/second"));
                edit(scenario, "configmap/NAME", &json!([{"op": "add", "path": "/data/theirs", "value": "stays"}]));
            },
            &["update ConfigMap NAME data.second"],
        ),
        (
            "all data removed",
            |scenario| edit(scenario, "configmap/NAME", &removes("/data")),
            &["update ConfigMap NAME data"],
        ),
        (
            "an item of a list with keys removed",
            |scenario| edit(scenario, "service/NAME", &removes("/spec/ports/1")),
            &["update Service NAME spec.ports[debug]"],
        ),
        (
            "a whole selector exchanged",
            |scenario| edit(scenario, "service/NAME", &replaces("/spec/selector", &json!({"app": "other"}))),
            &[
                r#"update Service NAME spec.selector.app spec.selector["app.kubernetes.io/instance"] spec.selector["app.kubernetes.io/name"]"#,
            ],
        ),
        (
            "an item of a list without keys changed",
            |scenario| edit(scenario, "ingress/NAME", &replaces("/spec/rules/0/host", &json!("other.example.com"))),
            &["update Ingress NAME spec.rules[0].host"],
        ),
        (
            "a list and a field deep in a custom resource",
            |scenario| {
                edit(scenario, "widgets.NAME.example.com/NAME-0", &removes("/spec/tags/0"));
                edit(scenario, "widgets.NAME.example.com/NAME-0", &replaces("/spec/nested/deep/1/x", &json!(3)));
            },
            &["update Widget NAME-0 spec.nested.deep[1].x spec.tags[0]"],
        ),
        (
            "all labels of a definition and its ownership removed",
            |scenario| edit(scenario, "crd/widgets.NAME.example.com", &removes("/metadata/labels")),
            &["update CustomResourceDefinition widgets.NAME.example.com metadata.labels"],
        ),
        (
            "a schema loosened",
            |scenario| edit(scenario, "crd/widgets.NAME.example.com", &replaces(MINIMUM, &json!(-5))),
            &["update CustomResourceDefinition widgets.NAME.example.com \
               spec.versions[v1].schema.openAPIV3Schema.properties.spec.properties.size.minimum"],
        ),
    ];
    each_is_healed(&scenario, &edits);
}
