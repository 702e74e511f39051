//! Values that each rendering makes anew, and values that are looked up.

use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

fn kept(name: &str, switch: &str) {
    let scenario = Scenario::small(name);
    let values = |replicas: u8| format!("{{{switch}: {{enabled: true}}, deployment: {{replicas: {replicas}}}}}");
    scenario.values(&values(1));
    judge::apply(&scenario).done();
    let secret = format!("secret/{}-{switch}", scenario.release);
    let password = scenario.get(&secret)["data"]["password"].clone();
    assert!(password.as_str().is_some_and(|text| text.len() == 32), "{password}");
    scenario.detailed().exits(0);
    // Without what an earlier run has kept, everything is rendered anew.
    std::fs::remove_dir_all(scenario.folder().join("cache")).expect("it can be removed");
    scenario.detailed().exits(0);
    scenario.values(&values(2));
    let judged = judge::apply(&scenario).done();
    assert_eq!(
        judged.plan.told(&scenario.namespace),
        [format!("update Deployment {} spec.replicas", scenario.release)]
    );
    assert_eq!(scenario.get(&secret)["data"]["password"], password);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_random_password_stays_as_it_was_made() {
    kept("random", "random");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_password_that_the_chart_looks_up_stays_as_it_was_made() {
    kept("lookup", "lookup");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_rollback_brings_back_the_password_that_was_there_and_not_one_that_no_one_ever_had() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("rolled-back");
        let values = |greeting: &str| format!("{{random: {{enabled: true}}, data: {{greeting: {greeting}}}}}");
        let secret = format!("secret/{}-random", scenario.release);
        for greeting in ["one", "two", "three"] {
            scenario.values(&values(greeting));
            judge::apply(&scenario).done();
        }
        let password = scenario.get(&secret)["data"]["password"].clone();
        scenario.helm(helm, &["rollback", &scenario.release, "2"]).exits(0);
        assert_eq!(scenario.get(&format!("configmap/{}", scenario.release))["data"]["greeting"], "two");
        assert_eq!(scenario.get(&secret)["data"]["password"], password);
        let manifest = scenario.helm(helm, &["get", "manifest", &scenario.release]).exits(0).stdout;
        assert!(manifest.contains(password.as_str().expect("it is a text")), "{manifest}");
        scenario.values(&values("two"));
        judge::apply(&scenario).done();
        assert_eq!(scenario.get(&secret)["data"]["password"], password);
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_says_that_a_chart_looks_things_up() {
    let scenario = Scenario::small("remark");
    scenario.values("lookup: {enabled: true}");
    let remarks: Vec<String> = scenario.plan().tasks.into_iter().flat_map(|task| task.remarks).collect();
    assert!(remarks.iter().any(|remark| remark.contains("look things up")), "{remarks:?}");
}
