//! A plan only reads, whatever it finds.

use crate::common::audit;
use crate::common::scenario::Scenario;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_with_changes_of_every_sort_sends_nothing_that_writes() {
    let scenario = Scenario::small("readonly");
    scenario.values(
        "count: 2\ncrd: {enabled: true, group: NAMESPACE.example.com}\nhooks: [{name: before, event: pre-upgrade}]",
    );
    let _installed = scenario.apply().1.exits(0);
    let _scaled = scenario.kubectl(&["scale", "deployment", &scenario.release, "--replicas", "3"]).exits(0);
    scenario.values("count: 1\ncrd: {enabled: true, group: NAMESPACE.example.com, spec: {size: 2}}\ntext: other\nhooks: [{name: before, event: pre-upgrade}]");
    let mark = audit::mark();
    let plan = scenario.plan();
    let asked = audit::since(mark, &scenario);
    assert!(plan.summary.update > 2 && plan.summary.delete > 0, "{:?}", plan.summary);
    assert!(audit::mutating(&asked).is_empty(), "{:?}", audit::mutating(&asked));
    let dry_runs = asked.iter().filter(|event| event.verb() == "patch" && event.uri().contains("dryRun=All")).count();
    assert!(dry_runs > 0, "nothing was predicted, so that nothing was shown here");
}
