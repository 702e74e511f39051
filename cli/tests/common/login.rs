//! `cfrt` as someone who may not do everything.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::process::Ran;
use super::scenario::Scenario;

/// A ServiceAccount of a scenario's namespace; its roles go with it.
pub(crate) struct Account<'a> {
    scenario: &'a Scenario,
    name: &'static str,
    login: PathBuf,
}

impl<'a> Account<'a> {
    /// Makes one that may do in the whole cluster what these rules say.
    #[track_caller]
    pub(crate) fn new(scenario: &'a Scenario, name: &'static str, rules: &Value) -> Self {
        scenario.kubectl(&["create", "serviceaccount", name]).exits(0);
        let login = log_in(scenario, name);
        let account = Self { scenario, name, login };
        account.may("ClusterRole", &Value::Null, rules);
        account
    }

    /// Lets it do what these rules say in the scenario's namespace.
    #[track_caller]
    pub(crate) fn may_here(&self, rules: &Value) {
        self.may("Role", &json!(self.scenario.namespace), rules);
    }

    #[track_caller]
    fn may(&self, kind: &str, namespace: &Value, rules: &Value) {
        let Self { scenario, name: account, login: _ } = self;
        let (name, group) = (&scenario.namespace, "rbac.authorization.k8s.io");
        let version = format!("{group}/v1");
        let metadata = json!({"name": name, "namespace": namespace});
        let subject = json!({"kind": "ServiceAccount", "name": account, "namespace": name});
        let roles = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules},
            {"apiVersion": version, "kind": format!("{kind}Binding"), "metadata": metadata, "subjects": [subject],
                "roleRef": {"apiGroup": group, "kind": kind, "name": name}},
        ]});
        scenario.write("roles.json", &roles.to_string());
        scenario.kubectl_anywhere(&["create", "--filename", "roles.json"]).exits(0);
    }

    /// Runs `cfrt` as this account.
    pub(crate) fn cfrt(&self, arguments: &[&str]) -> Ran {
        self.scenario.program(arguments).variable("KUBECONFIG", &self.login).run()
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            let _gone = self.scenario.kubectl_anywhere(&["delete", kind, &self.scenario.namespace]);
        }
    }
}

/// Makes a kubeconfig of a ServiceAccount that is there already.
#[track_caller]
pub(crate) fn log_in(scenario: &Scenario, account: &str) -> PathBuf {
    let token = scenario.kubectl(&["create", "token", account]).exits(0).stdout;
    let config = ["config", "view", "--raw", "--minify", "--flatten", "--output", "json"];
    let mut config: Value = scenario.kubectl_anywhere(&config).exits(0).json();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = format!("{account}.json");
    scenario.write(&file, &config.to_string());
    scenario.folder().join(file)
}
