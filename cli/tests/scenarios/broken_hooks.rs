//! A hook that fails: what is recorded, what is skipped, and who can go on from there.

use crate::common::judge::{self, Judged};
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// Values with one hook, and a text in the ConfigMap.
fn values(event: &str, tag: &str, greeting: &str) -> String {
    let hook = format!("{{name: broken, event: '{event}', image: 'quay.io/example/hook:{tag}'}}");
    format!("{{deployment: {{enabled: false}}, data: {{greeting: {greeting}}}, hooks: [{hook}]}}")
}

fn greeting(scenario: &Scenario) -> Option<String> {
    let found = scenario.find(&format!("configmap/{}", scenario.release))?;
    found["data"]["greeting"].as_str().map(str::to_owned)
}

/// A first installation whose hook fails.
fn never_installed(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    scenario.values(&values("pre-install,pre-upgrade", "fails", "one"));
    judge::apply(&scenario).exits(10);
    scenario
}

/// A revision that is deployed, and one on top of it whose hook fails.
fn half_upgraded(name: &str, event: &str) -> (Scenario, Judged) {
    let scenario = Scenario::small(name);
    scenario.values(&values(event, "1.0.0", "one"));
    judge::apply(&scenario).done();
    scenario.values(&values(event, "fails", "two"));
    let judged = judge::apply(&scenario);
    (scenario, judged)
}

/// What helm says of the newest revision.
fn described(scenario: &Scenario, helm: Helm) -> String {
    let history = scenario.helm(helm, &["history", &scenario.release, "--output", "json"]).exits(0).json();
    let newest = history.as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    format!("{} {}", newest["status"].as_str().unwrap_or_default(), newest["description"].as_str().unwrap_or_default())
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_failed_pre_install_hook_fails_the_release_and_skips_what_comes_after_it() {
    let scenario = Scenario::small("pre-install");
    scenario.values(&values("pre-install,pre-upgrade", "fails", "one"));
    let judged = judge::apply(&scenario).exits(10);
    assert!(judged.ran.stderr.contains("Job ") && judged.ran.stderr.contains("broken"), "{}", judged.ran);
    let objects = judged.applied.steps.iter().filter(|step| step.task == "chart" && !step.is_hook());
    for step in objects.filter(|step| !step.address.starts_with("Release ")) {
        assert_eq!(step.outcome.as_deref(), Some("skipped"), "{}", step.address);
        assert!(step.needs.as_deref().is_some_and(|needs| needs.contains("broken")), "{step:?}");
    }
    assert_eq!(greeting(&scenario), None);
    assert_eq!(scenario.revisions(), ["1 failed"]);
    for helm in Helm::BOTH {
        let described = described(&scenario, helm);
        assert!(described.starts_with(&format!("failed Release \"{}\" failed: ", scenario.release)), "{described}");
        assert!(described.contains("broken"), "{described}");
        let list = scenario.helm(helm, &["list", "--output", "json"]).exits(0).json();
        assert_eq!(list[0]["status"], "failed");
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn after_a_failed_installation_the_next_apply_works_and_revisions_count_on() {
    let scenario = never_installed("mended");
    judge::apply(&scenario).exits(10);
    assert_eq!(scenario.revisions(), ["1 failed", "2 failed"]);
    scenario.values(&values("pre-install,pre-upgrade", "1.0.0", "one"));
    judge::apply(&scenario).done();
    assert_eq!(scenario.revisions(), ["1 failed", "2 failed", "3 deployed"]);
    assert_eq!(greeting(&scenario).as_deref(), Some("one"));
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn after_a_failed_installation_a_plan_says_whose_hooks_run_where_that_makes_a_difference() {
    let scenario = never_installed("whose-hooks");
    assert_eq!(scenario.plan().release().reason, "revision 2: revision 1 is failed");
    scenario.values(&values("pre-install", "1.0.0", "one"));
    let plan = scenario.plan();
    let reason = "revision 2: revision 1 is failed; hooks of an upgrade run, not those of an installation; values changed: \
                  hooks[broken].event, hooks[broken].image";
    assert_eq!((plan.release().reason.as_str(), plan.steps.iter().any(|step| step.is_hook())), (reason, false));
    judge::apply(&scenario).done();
    assert!(scenario.find("job/broken").is_none_or(|job| job["spec"]["template"].to_string().contains(":fails")));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_hook_that_will_not_run_again_says_so_when_it_fails_with_all_that_have_not_succeeded() {
    let scenario = Scenario::small("not-again");
    let hook = |name: &str, event: &str, tag: &str| {
        format!("{{name: {name}, event: '{event}', image: 'quay.io/example/hook:{tag}'}}")
    };
    let hooks = [
        hook("a", "pre-install", "1.0.0"),
        hook("b", "pre-install", "fails"),
        hook("c", "post-install,post-upgrade", "1.0.0"),
        hook("d", "post-install", "1.0.0"),
    ];
    scenario.values(&format!("{{deployment: {{enabled: false}}, hooks: [{}]}}", hooks.join(", ")));
    let told = scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(10);
    let name = scenario.namespace.as_str();
    let expected = format!(
        "hint: the next apply is an upgrade to helm, and runs no hooks of an installation; these have not succeeded: \
         Job {name}/b, Job {name}/d;"
    );
    assert!(told.stderr.contains(&expected), "{told}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_goes_on_from_an_installation_that_failed() {
    for helm in Helm::BOTH {
        let scenario = never_installed("helm-mends");
        scenario.values(&values("pre-install,pre-upgrade", "1.0.0", "one"));
        scenario.helm_upgrade(helm, &[]).exits(0);
        assert_eq!(scenario.revisions(), ["1 superseded", "2 deployed"]);
        let judged = judge::apply(&scenario).done();
        assert!(judged.plan.writing().all(|step| step.action == "migrate"));
        scenario.detailed().exits(0);
        scenario.helm(helm, &["uninstall", &scenario.release]).exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_failed_pre_upgrade_hook_leaves_every_object_as_it_was() {
    let (scenario, judged) = half_upgraded("pre-upgrade", "pre-upgrade");
    let judged = judged.exits(10);
    assert_eq!(greeting(&scenario).as_deref(), Some("one"));
    assert!(
        judged.writes_of_objects().iter().all(|write| write.ends_with("/broken")),
        "{:?}",
        judged.writes_of_objects()
    );
    assert_eq!(scenario.revisions(), ["1 deployed", "2 failed"]);
    let described = described(&scenario, Helm::Four);
    assert!(described.starts_with(&format!("failed Upgrade \"{}\" failed: ", scenario.release)), "{described}");
    scenario.values(&values("pre-upgrade", "1.0.0", "two"));
    judge::apply(&scenario).done();
    assert_eq!(greeting(&scenario).as_deref(), Some("two"));
    assert_eq!(scenario.revisions(), ["1 superseded", "2 failed", "3 deployed"]);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_failed_post_upgrade_hook_fails_the_revision_and_the_next_one_works() {
    let (scenario, judged) = half_upgraded("post-upgrade", "post-upgrade");
    judged.exits(10);
    assert_eq!(greeting(&scenario).as_deref(), Some("two"));
    assert_eq!(scenario.revisions(), ["1 deployed", "2 failed"]);
    scenario.values(&values("post-upgrade", "1.0.0", "two"));
    let judged = judge::apply(&scenario).done();
    let told = judged.plan.told(&scenario.namespace);
    assert_eq!(told, ["run Job broken (post-upgrade)"], "the objects are there by now");
    assert_eq!(scenario.revisions(), ["1 superseded", "2 failed", "3 deployed"]);
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_goes_on_from_an_upgrade_that_failed() {
    for helm in Helm::BOTH {
        let (scenario, judged) = half_upgraded("upgrade-mends", "post-upgrade");
        judged.exits(10);
        scenario.helm(helm, &["rollback", &scenario.release, "1"]).exits(0);
        assert_eq!(greeting(&scenario).as_deref(), Some("one"));
        scenario.values(&values("post-upgrade", "1.0.0", "three"));
        scenario.helm_upgrade(helm, &[]).exits(0);
        assert_eq!(greeting(&scenario).as_deref(), Some("three"));
        judge::apply(&scenario).done();
        scenario.detailed().exits(0);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn we_go_on_from_what_helm_could_not_finish() {
    for helm in Helm::BOTH {
        let scenario = Scenario::small("ours-mends");
        scenario.values(&values("pre-install,post-upgrade", "1.0.0", "one"));
        scenario.helm_upgrade(helm, &[]).exits(0);
        scenario.values(&values("pre-install,post-upgrade", "fails", "two"));
        scenario.helm_upgrade(helm, &[]).exits(1);
        assert_eq!(scenario.revisions(), ["1 deployed", "2 failed"]);
        scenario.values(&values("pre-install,post-upgrade", "1.0.0", "three"));
        judge::apply(&scenario).done();
        assert_eq!(greeting(&scenario).as_deref(), Some("three"));
        assert_eq!(scenario.revisions(), ["1 superseded", "2 failed", "3 deployed"]);
        scenario.detailed().exits(0);
    }
}
