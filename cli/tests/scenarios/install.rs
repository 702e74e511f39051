//! A release in a cluster that has nothing of it.

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;
use crate::common::words::{same, words};

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_second_plan_keeps_everything_and_a_second_apply_sends_no_write() {
    for renderer in Helm::BOTH {
        let scenario = Scenario::small("twice").rendered_by(renderer);
        scenario.values("{ingress: {enabled: true}, count: 3, hooks: [{name: NAMESPACE-after, event: post-install}]}");
        judge::apply(&scenario).done();
        scenario.detailed().exits(0);
        let mark = audit::mark();
        let (again, ran) = scenario.apply();
        assert_eq!(ran.exits(0).stderr, "");
        assert!(again.writing().next().is_none());
        let asked = audit::since(mark, &scenario);
        assert!(audit::mutating(&asked).is_empty(), "{asked:#?}");
        assert_eq!(scenario.revisions(), ["1 deployed"]);
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_says_of_our_release_what_it_says_of_its_own() {
    let hooks = "{hooks: [{name: a, event: 'pre-install,post-upgrade', weight: -5, kind: ConfigMap, policy: hook-failed}, \
                 {name: b, event: post-install}], crd: {enabled: false}, count: 2}";
    for helm in Helm::BOTH {
        for renderer in Helm::BOTH {
            let scenario = Scenario::small("words").rendered_by(renderer);
            scenario.values(hooks);
            scenario
                .helm_upgrade(helm, &["--server-side=true", "--wait"][..if helm == Helm::Four { 2 } else { 0 }])
                .exits(0);
            let own = words(&scenario, helm);
            scenario.helm(helm, &["uninstall", &scenario.release, "--wait"]).exits(0);
            scenario.kubectl(&["delete", "configmap/a", "job/b"]).exits(0);
            judge::apply(&scenario).done();
            same(&words(&scenario, helm), &own, &format!("{helm:?}, rendered by {renderer:?}"));
        }
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_plan_writes_nothing_into_an_empty_cluster() {
    let scenario = Scenario::small("plan");
    scenario.values("crd: {enabled: true, group: NAMESPACE.example.com}");
    let mark = audit::mark();
    let plan = scenario.plan();
    scenario.detailed().exits(2);
    let drawn = scenario.cfrt(&["graph", "desired.toml", "--resources"]).exits(0).stdout;
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());
    assert!(drawn.contains(&format!("Release {0}/{0}   after ", scenario.namespace)), "{drawn}");
    let told = plan.told(&scenario.namespace).join("\n").replace(&scenario.namespace, "NAME");
    let all = [
        "create ConfigMap NAME",
        "create CustomResourceDefinition widgets.NAME.example.com",
        "create Deployment NAME",
        "create Namespace NAME",
        "create Secret NAME",
        "create Service NAME",
        "create ServiceAccount NAME",
        "create Widget NAME-0",
    ];
    assert_eq!(told, all.join("\n"));
    assert!(scenario.find(&format!("namespace/{}", scenario.namespace)).is_none());
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_sees_how_our_hooks_went() {
    let scenario = Scenario::small("phases");
    scenario.values(
        "hooks: [{name: a, event: pre-install}, {name: b, event: post-install}, {name: c, event: pre-upgrade}]",
    );
    judge::apply(&scenario).done();
    for helm in Helm::BOTH {
        let status = scenario.helm(helm, &["status", &scenario.release, "--output", "json"]).exits(0).json();
        let hooks = status["hooks"].as_array().cloned().unwrap_or_default();
        let phases: Vec<_> = hooks.iter().map(|hook| (&hook["name"], &hook["last_run"]["phase"])).collect();
        assert_eq!(
            format!("{phases:?}").replace("String", ""),
            r#"[(("a"), ("Succeeded")), (("b"), ("Succeeded")), (("c"), (""))]"#
        );
    }
}
