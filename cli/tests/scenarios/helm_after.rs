//! Helm at work on a release that we made: it goes on from ours, and we go on from its.

use crate::common::judge::{self, Judged};
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// A release of ours with two revisions.
fn ours(name: &str, renderer: Helm) -> Scenario {
    let scenario = Scenario::small(name).rendered_by(renderer);
    scenario.values("data: {greeting: one}");
    judge::apply(&scenario).done();
    scenario.values("data: {greeting: two}");
    judge::apply(&scenario).done();
    scenario
}

fn greeting(scenario: &Scenario) -> String {
    scenario.get(&format!("configmap/{}", scenario.release))["data"]["greeting"].as_str().unwrap_or_default().to_owned()
}

fn told(scenario: &Scenario, judged: &Judged) -> Vec<String> {
    let writing = judged.plan.writing().filter(|step| step.action != "migrate");
    writing.map(|step| step.told().replace(&scenario.namespace, "NAME")).collect()
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_upgrade_by_helm_with_the_same_values_leaves_ownership_to_move_and_nothing_else() {
    for helm in Helm::BOTH {
        let scenario = ours("same", Helm::Four);
        scenario.helm_upgrade(helm, &[]).exits(0);
        assert_eq!(scenario.revisions(), ["1 superseded", "2 superseded", "3 deployed"]);
        let judged = judge::apply(&scenario).done();
        assert_eq!(told(&scenario, &judged), Vec::<String>::new(), "after {helm:?}");
        assert_eq!(judged.plan.release().action, "keep");
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_upgrade_by_helm_with_another_value_is_shown_as_that_and_set_back() {
    for helm in Helm::BOTH {
        let scenario = ours("other", Helm::Four);
        let more = [
            "--set",
            "data.greeting=three,deployment.replicas=2,data.more=text,count=1",
            "--set",
            "deployment.env.A=x",
        ];
        scenario.helm_upgrade(helm, &more).exits(0);
        assert_eq!(greeting(&scenario), "three");
        let judged = judge::apply(&scenario).done();
        let env = "spec.template.spec.containers[small].env";
        let mut seen = told(&scenario, &judged);
        seen.sort();
        assert_eq!(seen.len(), 4, "{seen:#?}");
        assert_eq!(seen[0], "delete ConfigMap NAME/NAME-00000");
        assert_eq!(seen[1], "update ConfigMap NAME/NAME data.greeting data.more");
        assert!(seen[2].starts_with(&format!("update Deployment NAME/NAME spec.replicas {env}")), "{seen:#?}");
        assert_eq!(seen[3], "update Release NAME/NAME revision");
        assert_eq!(greeting(&scenario), "two");
        let name = scenario.release.as_str();
        assert_eq!(scenario.get(&format!("configmap/{name}"))["data"].get("more"), None);
        assert_eq!(scenario.get(&format!("deployment/{name}")).pointer("/spec/template/spec/containers/0/env"), None);
        scenario.detailed().exits(0);
        assert_eq!(scenario.revisions().last().map(String::as_str), Some("4 deployed"));
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_rolls_our_release_back_and_we_bring_it_forward() {
    for helm in Helm::BOTH {
        let scenario = ours("rollback", Helm::Four);
        scenario.helm(helm, &["rollback", &scenario.release, "1"]).exits(0);
        assert_eq!(greeting(&scenario), "one");
        let judged = judge::apply(&scenario).done();
        assert_eq!(told(&scenario, &judged).len(), 2, "{:#?}", told(&scenario, &judged));
        assert_eq!(greeting(&scenario), "two");
        scenario.detailed().exits(0);
        let revisions = ["1 superseded", "2 superseded", "3 superseded", "4 deployed"];
        assert_eq!(scenario.revisions(), revisions);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_uninstalls_our_release_wholly_and_a_plan_is_a_first_installation_again() {
    for (helm, renderer) in [(Helm::Three, Helm::Four), (Helm::Four, Helm::Three)] {
        let scenario = ours("uninstall", renderer);
        scenario.helm(helm, &["uninstall", &scenario.release, "--wait"]).exits(0);
        for kind in ["configmap", "secret", "service", "serviceaccount", "deployment"] {
            assert!(scenario.find(&format!("{kind}/{}", scenario.release)).is_none(), "{kind} is still there");
        }
        assert_eq!(scenario.revisions(), Vec::<String>::new());
        let judged = judge::apply(&scenario).done();
        assert_eq!(judged.plan.release().reason, "revision 1: first installation");
        assert_eq!((judged.plan.summary.create, judged.plan.summary.keep), (6, 1), "{:?}", judged.plan.summary);
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn after_an_uninstall_that_keeps_its_history_revisions_count_on() {
    for helm in Helm::BOTH {
        let scenario = ours("kept", Helm::Four);
        scenario.helm(helm, &["uninstall", &scenario.release, "--keep-history", "--wait"]).exits(0);
        let judged = judge::apply(&scenario).done();
        assert_eq!(judged.plan.summary.delete, 0);
        assert_eq!(scenario.revisions().last().map(String::as_str), Some("3 deployed"));
        scenario.detailed().exits(0);
        scenario.helm_upgrade(helm, &[]).exits(0);
    }
}
