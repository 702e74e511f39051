//! Replicas under an autoscaler are its own, whoever made it, and the document's again once it is gone.

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;
use crate::writers::objects::{Release, named, scaled};

/// An autoscaler for the scenario's Deployment that no chart has.
fn foreign_autoscaler(scenario: &Scenario) {
    let deployment = named(scenario, "deployment");
    scenario.kubectl(&["autoscale", &deployment, "--min=2", "--max=4", "--cpu=80%"]).exits(0);
}

/// How many lists of autoscalers a plan with this exit code asks for.
fn lists_of_autoscalers(scenario: &Scenario, code: i32) -> usize {
    let mark = audit::mark();
    scenario.detailed().exits(code);
    let asked = audit::since(mark, scenario);
    asked.iter().filter(|event| event.resource() == "horizontalpodautoscalers").count()
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn replicas_under_an_autoscaler_that_no_chart_has_are_its_own_until_it_goes() {
    let scenario = Scenario::small("foreign-hpa");
    judge::apply(&scenario).done();
    assert_eq!(lists_of_autoscalers(&scenario, 0), 0);
    foreign_autoscaler(&scenario);
    scaled(&scenario, 2);
    assert_eq!(lists_of_autoscalers(&scenario, 0), 1);
    let deployment = named(&scenario, "deployment");
    scenario.kubectl(&["scale", &deployment, "--replicas=3"]).exits(0);
    scenario.detailed().exits(0);

    scenario.values("deployment: {env: {MORE: x}}");
    let judged = judge::apply(&scenario).done();
    let env = "spec.template.spec.containers[small].env";
    assert_eq!(judged.plan.told(&scenario.namespace), [format!("update Deployment {} {env}", scenario.namespace)]);
    assert_eq!(scenario.get(&deployment)["spec"]["replicas"], 3);
    scenario.detailed().exits(0);

    scenario.kubectl(&["delete", "horizontalpodautoscaler", &scenario.namespace]).exits(0);
    let judged = judge::apply(&scenario).done();
    let told = [format!("update Deployment {} spec.replicas", scenario.namespace)];
    assert_eq!(judged.plan.told(&scenario.namespace), told);
    assert_eq!(scenario.get(&deployment)["spec"]["replicas"], 1);
    assert_eq!(lists_of_autoscalers(&scenario, 0), 0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_autoscaler_leaves_what_was_scaled_to_nothing_and_so_that_is_drift() {
    let scenario = Scenario::small("ended");
    foreign_autoscaler_at(&scenario);
    scenario.kubectl(&["scale", &named(&scenario, "deployment"), "--replicas=0"]).exits(0);
    let judged = judge::apply(&scenario).done();
    let told = [format!("update Deployment {} spec.replicas", scenario.namespace)];
    assert_eq!(judged.plan.told(&scenario.namespace), told);
}

/// The same, once there is a release.
fn foreign_autoscaler_at(scenario: &Scenario) {
    judge::apply(scenario).done();
    foreign_autoscaler(scenario);
    scaled(scenario, 2);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_of_helm_is_taken_over_with_the_replicas_that_an_autoscaler_gave_it() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("helm-hpa");
        scenario.helm_upgrade(helm, &[]).exits(0);
        foreign_autoscaler(&scenario);
        scaled(&scenario, 2);
        let judged = judge::apply(&scenario).done();
        let told = judged.plan.told(&scenario.namespace);
        assert!(told.iter().all(|step| step.starts_with("migrate ") && !step.contains("replicas")), "{told:#?}");
        assert_eq!(scenario.get(&named(&scenario, "deployment"))["spec"]["replicas"], 2, "after {helm:?}");
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_autoscaler_that_goes_from_the_chart_takes_its_replicas_with_it() {
    let release = Release::new("own-hpa", "");
    let scenario = &release.0;
    judge::apply(scenario).done();
    scaled(scenario, 2);
    scenario.values("deployment: {env: {OURS: x}}");
    let told = scenario.plan_at_all().told(&scenario.namespace);
    let deployment = format!("update Deployment {} spec.replicas", scenario.namespace);
    assert!(told.contains(&deployment), "{told:#?}");
    assert!(told.contains(&format!("delete HorizontalPodAutoscaler {}", scenario.namespace)), "{told:#?}");
}
