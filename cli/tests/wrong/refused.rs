//! What stands in the way of a plan: it is shown, the exit code is 5, and nothing at all is written.

use crate::common::audit;
use crate::common::process::Ran;
use crate::common::scenario::Scenario;

/// Plans and applies, of which neither may write; gives the plan's text with `NAMESPACE` for the scenario's own.
#[track_caller]
fn refused(scenario: &Scenario) -> String {
    let mark = audit::mark();
    let planned = scenario.cfrt(&["plan", "desired.toml"]).exits(5);
    let applied = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(5);
    assert!(audit::mutating(&audit::since(mark, scenario)).is_empty(), "a refused plan writes");
    for Ran { stderr, .. } in [&planned, &applied] {
        assert!(stderr.starts_with("error: ") && stderr.contains("of this plan may not be carried out"), "{stderr}");
    }
    planned.stdout.replace(&scenario.namespace, "NAMESPACE")
}

/// That a step is refused, and why.
#[track_caller]
fn says(text: &str, step: &str, why: &str) {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != format!("! {step}")).skip(1);
    assert_eq!(lines.next(), Some(why), "{text}");
}

fn made(scenario: &Scenario) {
    let _made = scenario.kubectl(&["create", "namespace", &scenario.namespace]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_no_release_made_is_not_taken() {
    let scenario = Scenario::small("foreign");
    made(&scenario);
    let _foreign = scenario.kubectl(&["create", "configmap", &scenario.release]).exits(0);
    says(&refused(&scenario), "ConfigMap NAMESPACE/NAMESPACE", "it is there already, and no release made it");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_that_helm_made_for_no_release_is_not_taken() {
    let scenario = Scenario::small("helms");
    made(&scenario);
    // As it makes hooks, and the definitions of `crds/`.
    let _foreign = scenario.kubectl(&["create", "configmap", &scenario.release, "--field-manager=helm"]).exits(0);
    says(&refused(&scenario), "ConfigMap NAMESPACE/NAMESPACE", "it is there already, and no release made it");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_object_of_another_release_is_not_taken() {
    let scenario = Scenario::small("other");
    made(&scenario);
    let _foreign = scenario.kubectl(&["create", "configmap", &scenario.release]).exits(0);
    let annotations = ["meta.helm.sh/release-name=blue", "meta.helm.sh/release-namespace=green"];
    let annotate = [&["annotate", "configmap", &scenario.release], &annotations[..]].concat();
    let _annotated = scenario.kubectl(&annotate).exits(0);
    says(&refused(&scenario), "ConfigMap NAMESPACE/NAMESPACE", "it belongs to release green/blue");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_namespace_that_is_being_deleted_is_shown_with_what_holds_it() {
    let scenario = Scenario::small("terminating");
    made(&scenario);
    let _held = scenario.kubectl(&["create", "configmap", "held"]).exits(0);
    let finalizer = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    let _held = scenario.kubectl(&["patch", "configmap", "held", "--type", "merge", "--patch", finalizer]).exits(0);
    let _going = scenario.kubectl(&["delete", "namespace", &scenario.namespace, "--wait=false"]).exits(0);
    let text = crate::common::process::until("the namespace says what holds it", || {
        let text = scenario.cfrt(&["plan", "desired.toml"]).exits(5).stdout;
        text.contains("example.com/hold").then_some(text)
    });
    let _free = scenario.kubectl(&[
        "patch",
        "configmap",
        "held",
        "--type",
        "json",
        "--patch",
        r#"[{"op":"remove","path":"/metadata/finalizers"}]"#,
    ]);
    says(
        &text.replace(&scenario.namespace, "NAMESPACE"),
        "Namespace NAMESPACE",
        "it is being deleted: Some resources are remaining: configmaps. has 1 resource instances; \
         Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances; \
         drift: who and when unknown",
    );
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_definition_is_not_deleted() {
    let scenario = Scenario::small("definition");
    scenario.values("crd: {enabled: true, group: NAMESPACE.example.com}");
    let _installed = scenario.apply().1.exits(0);
    scenario.values("");
    let text = refused(&scenario);
    says(
        &text,
        "CustomResourceDefinition widgets.NAMESPACE.example.com",
        "no longer in the chart, but a CustomResourceDefinition is not deleted: what it holds would go with it; \
         delete it by hand, annotate it with helm.sh/resource-policy: keep,",
    );
    let resource = "resource = \"CustomResourceDefinition widgets.NAMESPACE.example.com\"";
    assert!(text.contains(&format!("or agree: [[policy.allow]] action = \"delete\", {resource}")), "{text}");
    assert!(scenario.find(&format!("crd/widgets.{}.example.com", scenario.namespace)).is_some());
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_token_that_someone_else_put_there_is_left_alone_unless_it_is_the_same() {
    let scenario = Scenario::small("their-token");
    scenario.write("desired.toml", &format!("{}\n[platform]\ntoken = {{ file = \"token\" }}\n", scenario.desired()));
    scenario.write("token", "ours");
    let _made = scenario.kubectl(&["create", "namespace", &scenario.namespace]).exits(0);
    let create = ["create", "secret", "generic", "cfrt-platform-token", "--from-literal=token=theirs"];
    let _theirs = scenario.kubectl(&create).exits(0);
    let there = scenario.get("secret/cfrt-platform-token");
    let plan = scenario.plan_at_all();
    let refused = plan.refused();
    assert!(refused.len() == 1 && refused[0].contains("Secret") && refused[0].contains("someone else made it"));
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(5);
    assert_eq!(scenario.get("secret/cfrt-platform-token"), there);
    scenario.write("token", "theirs");
    assert_eq!(scenario.plan_at_all().refused(), [""; 0]);
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    assert_eq!(scenario.get("secret/cfrt-platform-token")["data"], there["data"]);
    scenario.detailed().exits(0);
}
