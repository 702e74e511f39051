//! Release records beyond the limit.

use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn of_twelve_revisions_ten_are_kept_and_helm_agrees() {
    let scenario = Scenario::small("history");
    for revision in 1..=12 {
        scenario.values(&format!("{{deployment: {{enabled: false}}, data: {{greeting: number {revision}}}}}"));
        judge::apply(&scenario).done();
    }
    let mut expected: Vec<String> = (3..=11).map(|revision| format!("{revision} superseded")).collect();
    expected.push("12 deployed".to_owned());
    assert_eq!(scenario.revisions(), expected);
    for helm in Helm::BOTH {
        let history = scenario.helm(helm, &["history", &scenario.release, "--output", "json"]).exits(0).json();
        let history = history.as_array().cloned().unwrap_or_default();
        let seen: Vec<String> = history
            .iter()
            .map(|revision| format!("{} {}", revision["revision"], revision["status"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(history[0]["description"], "Upgrade complete");
    }
    scenario.helm(Helm::Three, &["rollback", &scenario.release, "5"]).exits(0);
    let live = scenario.get(&format!("configmap/{}", scenario.release));
    assert_eq!(live["data"]["greeting"], "number 5");
}
