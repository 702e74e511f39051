//! A revision that is open: whose it may be, what a plan says of it, and that nothing is written beside it.

use std::time::{SystemTime, UNIX_EPOCH};

use cfrt_providers::helm::record::{self, Status};
use serde_json::{Value, json};

use crate::common::audit;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// A release with a revision that is deployed, and things to do before and inside the next one.
fn with_changes(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    let platform = "[platform]\ntoken = { env = \"SCENARIO_TOKEN\" }\n\n[chart]";
    scenario.values("{deployment: {enabled: false}, data: {greeting: one}}");
    let _applied = scenario.apply().1.exits(0);
    scenario.write("desired.toml", &scenario.desired().replace("[chart]", platform));
    scenario.values("{deployment: {enabled: false}, data: {greeting: two}}");
    scenario
}

fn seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(now.as_secs()).expect("and not that late")
}

/// Opens revision 2 as someone else: the record of revision 1, made so many seconds ago.
fn opened_by_someone(scenario: &Scenario, ago: i64) {
    let deployed = scenario.get(&format!("secret/sh.helm.release.v1.{}.v1", scenario.release));
    let mut record = record::raw(deployed["data"]["release"].as_str().unwrap_or_default()).expect("it is a record");
    record["version"] = json!(2);
    let record = record::finished(record, Status::PendingUpgrade, "Preparing upgrade");
    let now = "2026-11-22T10:00:00Z".parse().expect("it is a time");
    let mut secret = record::secret(&record, now).expect("it is a whole record");
    secret["metadata"]["labels"]["createdAt"] = Value::from((seconds() - ago).to_string());
    scenario.write("pending.json", &secret.to_string());
    scenario.kubectl(&["create", "--filename", "pending.json"]).exits(0);
}

/// The same with a hook that someone waits for.
fn hook_of_someone(scenario: &Scenario) {
    let hook = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "migrate", "annotations": {"helm.sh/hook": "pre-upgrade"}},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": "quay.io/example/hook:1.0.0"}],
        }}},
    });
    scenario.write("hook.json", &hook.to_string());
    scenario.kubectl(&["create", "--filename", "hook.json"]).exits(0);
}

fn label(scenario: &Scenario, ago: i64) {
    let label = format!("modifiedAt={}", seconds() - ago);
    let secret = format!("secret/sh.helm.release.v1.{}.v2", scenario.release);
    scenario.kubectl(&["label", "--overwrite", &secret, &label]).exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_says_that_someone_may_be_at_work_and_an_apply_ends_before_it_asks_or_writes() {
    let scenario = with_changes("open");
    opened_by_someone(&scenario, 30);
    let before = scenario.revisions();
    assert_eq!(before, ["1 deployed", "2 pending-upgrade"]);
    let mark = audit::mark();
    let plan = scenario.cfrt(&["plan", "desired.toml"]).exits(0);
    let said = "note: an apply would be refused now: revision 2 is pending-upgrade";
    assert!(plan.stdout.contains(said) && plan.stdout.contains("it counts as given up in 5"), "{plan}");
    let plan = scenario.plan();
    let remarks: Vec<&String> = plan.tasks.iter().flat_map(|task| &task.remarks).collect();
    assert!(remarks.iter().any(|remark| remark.starts_with("an apply would be refused now: ")), "{remarks:?}");
    assert!(plan.told(&scenario.namespace).len() > 1, "there is something to do outside of the release");
    // Without a terminal a question would end it as wrong usage.
    let asked = scenario.cfrt(&["apply", "desired.toml"]).exits(8);
    assert!(asked.stderr.contains("is in progress, or was broken off"), "{asked}");
    let (applied, ran) = scenario.apply();
    assert!(ran.exits(8).stderr.contains("hint: wait until it is done"));
    assert_eq!((applied.summary.exit, applied.summary.failed, applied.summary.applied), (8, 1, 0));
    assert_eq!(applied.release().outcome.as_deref(), Some("failed"));
    let asked = audit::since(mark, &scenario);
    assert!(audit::mutating(&asked).is_empty(), "{:#?}", audit::mutating(&asked));
    assert_eq!(scenario.revisions(), before);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_old_revision_that_is_still_touched_belongs_to_someone_and_one_that_is_not_was_given_up() {
    let scenario = with_changes("touched");
    opened_by_someone(&scenario, 3600);
    label(&scenario, 60);
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(8);
    label(&scenario, 660);
    for helm in Helm::BOTH {
        let status = scenario.helm(helm, &["status", &scenario.release, "--output", "json"]).exits(0).json();
        assert_eq!(status["info"]["status"], "pending-upgrade", "a touched record is one that helm reads");
    }
    let plan = scenario.plan();
    assert!(plan.tasks.iter().all(|task| task.remarks.iter().all(|remark| !remark.contains("refused now"))));
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    assert_eq!(scenario.revisions(), ["1 superseded", "2 failed", "3 deployed"]);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn an_old_revision_whose_hook_has_not_ended_is_not_taken_over() {
    let scenario = Scenario::small("long-hook");
    let hooks = "hooks: [{name: migrate, event: pre-upgrade}], deployment: {enabled: false}";
    scenario.values(&format!("{{{hooks}, data: {{greeting: one}}}}"));
    let _applied = scenario.apply().1.exits(0);
    scenario.values(&format!("{{{hooks}, data: {{greeting: two}}}}"));
    opened_by_someone(&scenario, 3600);
    hook_of_someone(&scenario);
    let uid = |scenario: &Scenario| scenario.get("job/migrate")["metadata"]["uid"].clone();
    let there = uid(&scenario);
    let plan = scenario.cfrt(&["plan", "desired.toml"]).exits(0);
    let job = format!("Job {}/migrate", scenario.namespace);
    assert!(plan.stdout.contains("an apply would be refused now: revision 2 is pending-upgrade"), "{plan}");
    assert!(plan.stdout.contains("which is still running"), "{plan}");
    let refused = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(8);
    assert!(refused.stderr.contains(&format!("wait until {job} has ended")), "{refused}");
    assert_eq!((scenario.revisions(), uid(&scenario)), (vec!["1 deployed".into(), "2 pending-upgrade".into()], there));
    scenario.kubectl(&["delete", "job", "migrate"]).exits(0);
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    assert_eq!(scenario.revisions(), ["1 superseded", "2 failed", "3 deployed"]);
}
