//! A release that helm made becomes ours.

use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_release_that_helm_made_is_taken_over_without_a_revision_and_without_hooks() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("takeover");
        scenario.values("{ingress: {enabled: true}, hooks: [{name: after, event: post-upgrade}]}");
        scenario.helm_upgrade(helm, &[]).exits(0);
        let judged = judge::apply(&scenario).done();
        let other: Vec<_> =
            judged.plan.writing().filter(|step| step.action != "migrate").map(|step| step.told()).collect();
        assert_eq!(other, Vec::<String>::new(), "made by {helm:?}");
        assert_eq!(judged.plan.summary.migrate > 0, helm == Helm::Three);
        assert_eq!(scenario.revisions(), ["1 deployed"]);
        assert!(scenario.find("job/after").is_none());
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn fields_that_helm_3_set_go_when_they_are_no_longer_wanted() {
    let scenario = Scenario::small("orphans");
    scenario.values("{data: {more: text}, deployment: {env: {EXTRA: x, KEPT: y}}, labels: {more: text}}");
    scenario.helm_upgrade(Helm::Three, &[]).exits(0);
    // In one step, without a plan in between at which ownership could move by itself.
    scenario.values("deployment: {env: {KEPT: y}}");
    judge::apply(&scenario).done();
    let name = scenario.release.as_str();
    assert_eq!(scenario.get(&format!("configmap/{name}"))["data"].get("more"), None);
    let deployment = scenario.get(&format!("deployment/{name}"));
    assert_eq!(deployment["metadata"]["labels"].get("more"), None);
    let env = deployment.pointer("/spec/template/spec/containers/0/env").and_then(|env| env.as_array().map(Vec::len));
    assert_eq!(env, Some(1));
    scenario.detailed().exits(0);
}
