//! The runtime chart, some 160 objects of it, from its installation to its end.

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;
use crate::common::words::{same, words};

const HOOKS: [&str; 8] = [
    "run ClusterRole validate-values-cr (pre-upgrade)",
    "run ClusterRoleBinding validate-values-crb (pre-upgrade)",
    "run Job argo-cd-redis-secret-init (pre-upgrade)",
    "run Job validate-values (pre-upgrade)",
    "run Role argo-cd-redis-secret-init (pre-upgrade)",
    "run RoleBinding argo-cd-redis-secret-init (pre-upgrade)",
    "run ServiceAccount argo-cd-redis-secret-init (pre-upgrade)",
    "run ServiceAccount validate-values-sa (pre-upgrade)",
];

/// What an upgrade does besides its hooks.
fn told(scenario: &Scenario, judged: &judge::Judged) -> Vec<String> {
    let told = judged.plan.told(&scenario.namespace);
    let (hooks, rest): (Vec<String>, Vec<String>) = told.into_iter().partition(|step| HOOKS.contains(&step.as_str()));
    assert_eq!(hooks, HOOKS, "{rest:#?}, {}", judged.plan.release().reason);
    rest
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn the_runtime_comes_up_in_an_empty_cluster_and_stays() {
    let scenario = Scenario::runtime("up");
    let judged = judge::apply(&scenario).done();
    let summary = &judged.plan.summary;
    assert_eq!((summary.refuse, summary.update, summary.delete, summary.keep), (0, 0, 0, 0), "{summary:?}");
    for kind in ["deployments", "statefulsets"] {
        let items = scenario.list(kind);
        assert!(!items.is_empty());
        for item in items {
            let ready = item["status"]["readyReplicas"].as_u64().unwrap_or(0);
            assert_eq!(Some(ready), item["spec"]["replicas"].as_u64(), "{}", item["metadata"]["name"]);
        }
    }
    let mark = audit::mark();
    scenario.detailed().exits(0);
    let asked: Vec<_> = audit::everything_since(mark, &scenario).into_iter().filter(audit::Event::is_ours).collect();
    assert!((15..=25).contains(&asked.len()), "{} requests", asked.len());
    assert!(asked.iter().all(|event| event.verb() != "patch"), "a plan with nothing to do asks for no dry run");
    let mark = audit::mark();
    scenario.apply().1.exits(0);
    let asked = audit::since(mark, &scenario);
    assert!(audit::mutating(&asked).is_empty(), "{asked:#?}");
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn helm_says_of_our_runtime_what_it_says_of_its_own() {
    let scenario = Scenario::runtime("words");
    let mut own = Vec::new();
    for helm in Helm::BOTH {
        scenario.helm_upgrade(helm, &["--skip-crds"][..0]).exits(0);
        own.push(words(&scenario, helm));
        scenario.helm(helm, &["uninstall", &scenario.release, "--no-hooks", "--wait"]).exits(0);
        // What outlives a release by its own wish would be a difference.
        crate::common::clean::runtime(&scenario);
        scenario.kubectl(&["delete", "namespace", &scenario.namespace]).exits(0);
    }
    judge::apply(&scenario).done();
    for (helm, own) in Helm::BOTH.into_iter().zip(own) {
        same(&words(&scenario, helm), &own, &format!("{helm:?}"));
    }
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_changed_value_reaches_exactly_its_fields_in_the_runtime() {
    let scenario = Scenario::runtime("fields");
    judge::apply(&scenario).done();

    scenario.values("app-proxy: {replicaCount: 2, image: {tag: 1.0.1}}");
    let judged = judge::apply(&scenario).done();
    let image = "spec.template.spec.containers[app-proxy].image";
    assert_eq!(told(&scenario, &judged), [format!("update Deployment cap-app-proxy spec.replicas {image}")]);
    assert_eq!(scenario.get("deployment/cap-app-proxy")["status"]["readyReplicas"], 2);

    scenario.values("app-proxy: {replicaCount: 2, image: {tag: 1.0.1}, env: {LOG_FORMAT: null}}");
    let judged = judge::apply(&scenario).done();
    let variable = "spec.template.spec.containers[app-proxy].env[LOG_FORMAT]";
    assert_eq!(told(&scenario, &judged), [format!("update Deployment cap-app-proxy {variable}")]);
    let proxy = scenario.get("deployment/cap-app-proxy");
    assert!(!proxy.pointer("/spec/template/spec/containers/0/env").expect("a list").to_string().contains("LOG_FORMAT"));
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_the_runtime_no_longer_has_is_foreseen_and_goes() {
    let scenario = Scenario::runtime("gone");
    scenario.values("app-proxy: {extraConfig: {MORE: there}}");
    judge::apply(&scenario).done();
    let _there = scenario.get("configmap/cap-app-proxy-extra");

    scenario.values("{app-proxy: {extraPorts: [{name: metrics, port: 9100}]}, events-webhook: {enabled: false}}");
    let judged = judge::apply(&scenario).done();
    let told = told(&scenario, &judged);
    let deleted: Vec<&str> = told.iter().filter_map(|step| step.strip_prefix("delete ")).collect();
    assert_eq!(
        deleted,
        [
            "ClusterRole argo-events-webhook",
            "ClusterRoleBinding argo-events-events-webhook",
            "ConfigMap cap-app-proxy-extra",
            "Deployment events-webhook",
            "Service events-webhook",
            "ServiceAccount argo-events-events-webhook",
        ]
    );
    let updated: Vec<&str> = told.iter().filter_map(|step| step.strip_prefix("update ")).collect();
    let container = "spec.template.spec.containers[app-proxy]";
    assert_eq!(
        updated,
        [
            "ConfigMap cap-app-proxy-cm data.ports",
            "ConfigMap codefresh-cm data.components",
            &format!("Deployment cap-app-proxy {container}.envFrom[2] {container}.ports[debug]"),
            "Service cap-app-proxy spec.ports[debug]",
        ]
    );
    for object in ["configmap/cap-app-proxy-extra", "deployment/events-webhook", "clusterrole/argo-events-webhook"] {
        assert!(scenario.find(object).is_none(), "{object} is still there");
    }
    let ports = scenario.get("service/cap-app-proxy")["spec"]["ports"].to_string();
    assert!(ports.contains("metrics") && !ports.contains("debug"), "{ports}");
    scenario.detailed().exits(0);
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn both_helms_go_on_from_our_runtime_and_we_from_theirs() {
    let scenario = Scenario::runtime("onward");
    judge::apply(&scenario).done();
    scenario.helm_upgrade(Helm::Four, &[]).exits(0);
    scenario.detailed().exits(0);
    scenario.helm_upgrade(Helm::Three, &[]).exits(0);
    let judged = judge::apply(&scenario).done();
    // The one document that ends in a blank: helm 3 trims it, helm 4 does not.
    let trimmed = r#"update ConfigMap codefresh-tunnel-client-config data["frpc.ini"]"#;
    let told = judged.plan.told(&scenario.namespace).into_iter().filter(|step| !step.starts_with("migrate "));
    assert_eq!(told.collect::<Vec<_>>(), [trimmed]);
    assert_eq!(judged.plan.release().action, "keep");
    scenario.detailed().exits(0);
    scenario.helm(Helm::Three, &["rollback", &scenario.release, "1"]).exits(0);
    scenario.helm(Helm::Four, &["uninstall", &scenario.release]).exits(0);
    let plan = scenario.plan();
    assert!(plan.release().reason.contains("first installation"), "{}", plan.release().reason);
    assert_eq!((plan.summary.refuse, plan.summary.delete), (0, 0));
    judge::apply(&scenario).done();
    scenario.detailed().exits(0);
}
