//! A release in a cluster that has nothing of it.

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_small_chart_is_installed_and_then_in_step() {
    let scenario = Scenario::small("install");
    let judged = judge::apply(&scenario).done();
    assert_eq!(judged.plan.summary.refuse, 0);
    scenario.detailed().exits(0);
    let mark = audit::mark();
    let (_, ran) = scenario.apply_unjudged();
    ran.exits(0);
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_for_an_empty_cluster_names_every_object_and_writes_nothing() {
    let scenario = Scenario::runtime("empty");
    let mark = audit::mark();
    let plan = scenario.plan();
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());
    assert_eq!((plan.summary.refuse, plan.summary.keep, plan.summary.update), (0, 0, 0));
    for short in ["Namespace NAMESPACE", "EventBus NAMESPACE/codefresh-eventbus", "Deployment NAMESPACE/cap-app-proxy"]
    {
        assert_eq!(plan.step(&short.replace("NAMESPACE", &scenario.namespace)).action, "create");
    }
    assert!(scenario.find(&format!("namespace/{}", scenario.namespace)).is_none());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn one_changed_value_moves_one_field_of_one_object() {
    let scenario = Scenario::small("value");
    judge::apply(&scenario).done();
    scenario.values("deployment: {replicas: 2}");
    let judged = judge::apply(&scenario).done();
    assert_eq!(
        judged.plan.told(&scenario.namespace),
        [format!("update Deployment {} spec.replicas", scenario.release)]
    );
    assert_eq!(judged.writes_of_objects().len(), 1);
}
