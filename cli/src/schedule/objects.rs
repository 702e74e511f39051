//! The objects of a scheduled look for drift: an account with the least rights, the files, and the job.

use std::collections::BTreeMap;

use cfrt_providers::kube::rights::{Rights, RightsByPlace};
use serde_json::{Value, json};

use super::files::{Package, Place, Token};

/// The command that is run.
pub(crate) const COMMAND: &str = "drift";

/// Where the files are in the pod.
const FILES: &str = "/etc/cfrt";
/// Where the pod may write, and where helm's renderings are kept while it runs.
const CACHE: &str = "/var/cache/cfrt";
/// What unpacks or pulls a chart needs a folder for temporary files.
const TEMPORARY: &str = "/tmp";
/// The longest name of a CronJob leaves room for what is appended to its Jobs' names.
const LONGEST_NAME: usize = 52;
/// No look takes longer unless it hangs.
const DEADLINE: u32 = 600;
/// A day: long enough to look at what a failed one has said.
const KEPT: u32 = 86_400;

/// What is to be scheduled, and how.
pub(crate) struct Schedule<'a> {
    /// The release that is looked at.
    pub(crate) release: &'a str,
    /// The namespace that the release is in.
    pub(crate) runtime: &'a str,
    /// The namespace that the job is in.
    pub(crate) namespace: &'a str,
    /// The image, with cfrt and helm in it.
    pub(crate) image: &'a str,
    /// When.
    pub(crate) at: &'a str,
    /// The files, and the token.
    pub(crate) package: &'a Package,
    /// What may be read.
    pub(crate) rights: &'a RightsByPlace,
}

impl Schedule<'_> {
    /// All objects, in an order in which they can be applied.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let mut objects = vec![self.object("v1", "ServiceAccount", json!({ "automountServiceAccountToken": false }))];
        for (place, rights) in self.rights {
            objects.extend(self.role(place, rights));
        }
        objects.push(self.object("v1", "ConfigMap", json!({ "data": self.data() })));
        objects.push(self.object("batch/v1", "CronJob", json!({ "spec": self.cron_job() })));
        objects
    }

    /// The name of all that is in the job's own namespace.
    fn name(&self) -> String {
        let end = self.release.floor_char_boundary(LONGEST_NAME - "-drift".len());
        format!("{}-drift", self.release[..end].trim_end_matches(['-', '.']))
    }

    fn labels(&self) -> Value {
        json!({"app.kubernetes.io/name": "cfrt", "app.kubernetes.io/instance": self.release})
    }

    fn object(&self, api_version: &str, kind: &str, body: Value) -> Value {
        let mut object = body;
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        object["metadata"] = json!({"name": self.name(), "namespace": self.namespace, "labels": self.labels()});
        object
    }

    /// A role and its binding in a namespace, or in the whole cluster where no namespace is named.
    fn role(&self, place: &str, rights: &Rights) -> [Value; 2] {
        let (role, binding) =
            if place.is_empty() { ("ClusterRole", "ClusterRoleBinding") } else { ("Role", "RoleBinding") };
        // What has no namespace has the whole cluster's names beside it.
        let name = format!("cfrt:{}:{}:drift", self.runtime, self.release);
        let mut metadata = json!({"name": name, "labels": self.labels()});
        if !place.is_empty() {
            metadata["namespace"] = place.into();
        }
        let api_version = "rbac.authorization.k8s.io/v1";
        let subject = json!({"kind": "ServiceAccount", "name": self.name(), "namespace": self.namespace});
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name});
        [
            json!({"apiVersion": api_version, "kind": role, "metadata": metadata, "rules": rules(rights)}),
            json!({"apiVersion": api_version, "kind": binding, "metadata": metadata, "roleRef": reference, "subjects": [subject]}),
        ]
    }

    /// The files under keys that a ConfigMap may have: a path isn't one.
    fn data(&self) -> BTreeMap<String, &str> {
        self.package.files.values().enumerate().map(|(index, text)| (key(index), text.as_str())).collect()
    }

    fn cron_job(&self) -> Value {
        json!({
            "schedule": self.at,
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {
                "activeDeadlineSeconds": DEADLINE,
                // Drift is an exit code, too, and looking again doesn't mend it.
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": KEPT,
                "template": {"metadata": {"labels": self.labels()}, "spec": self.pod()},
            }},
        })
    }

    fn pod(&self) -> Value {
        json!({
            "serviceAccountName": self.name(),
            "automountServiceAccountToken": true,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65_532, "runAsGroup": 65_532, "fsGroup": 65_532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [self.container()],
            "volumes": [
                {"name": "files", "projected": {"sources": self.sources()}},
                {"name": "cache", "emptyDir": {}},
                {"name": "temporary", "emptyDir": {}},
            ],
        })
    }

    fn container(&self) -> Value {
        let variable = |name: &str, value: &str| json!({"name": name, "value": value});
        let mut variables = vec![variable("CFRT_CACHE", &format!("{CACHE}/cfrt")), variable("HOME", CACHE)];
        if let Some(Token { secret, key, place: Place::Variable(name) }) = &self.package.token {
            variables.push(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}));
        }
        json!({
            "name": "cfrt",
            "image": self.image,
            "args": [COMMAND, format!("{FILES}/{}", self.package.main)],
            "env": variables,
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
            "volumeMounts": [
                {"name": "files", "mountPath": FILES, "readOnly": true},
                {"name": "cache", "mountPath": CACHE},
                {"name": "temporary", "mountPath": TEMPORARY},
            ],
        })
    }

    /// One tree of all files, so that they find each other as they do here.
    fn sources(&self) -> Vec<Value> {
        let items = self.package.files.keys().enumerate().map(|(index, path)| json!({"key": key(index), "path": path}));
        let mut sources = vec![json!({"configMap": {"name": self.name(), "items": items.collect::<Vec<_>>()}})];
        if let Some(Token { secret, key, place: Place::File(path) }) = &self.package.token {
            sources.push(json!({"secret": {"name": secret, "items": [{"key": key, "path": path}]}}));
        }
        sources
    }
}

fn key(index: usize) -> String {
    format!("file-{index}")
}

fn rules(rights: &Rights) -> Vec<Value> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, plural) in &rights.kinds {
        groups.entry(group).or_default().push(plural);
    }
    let all = groups
        .into_iter()
        .map(|(group, plurals)| json!({"apiGroups": [group], "resources": plurals, "verbs": ["get", "list"]}));
    let single = rights.objects.iter().map(|((group, plural), names)| {
        json!({"apiGroups": [group], "resources": [plural], "resourceNames": names, "verbs": ["get"]})
    });
    all.chain(single).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(release: &str) -> Vec<Value> {
        let token =
            Token { secret: "cfrt-platform-token".into(), key: "token".into(), place: Place::Variable("KEY".into()) };
        let files =
            BTreeMap::from([("base.toml".to_owned(), "a".to_owned()), ("plans/prod.toml".to_owned(), "b".to_owned())]);
        let package = Package { main: "plans/prod.toml".into(), files, token: Some(token), copied: None };
        let mut rights = RightsByPlace::new();
        rights.entry(String::new()).or_default().get("", "namespaces", "kube-system");
        rights.entry("ns".to_owned()).or_default().list("", "secrets");
        let schedule = Schedule {
            release,
            runtime: "ns",
            namespace: "ns",
            image: "cfrt:1",
            at: "@hourly",
            package: &package,
            rights: &rights,
        };
        schedule.objects()
    }

    #[test]
    fn an_account_with_its_rights_the_files_and_the_job_are_printed_in_this_order() {
        let objects = objects("rt");
        let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(
            kinds,
            ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ConfigMap", "CronJob"]
        );
        let rules = json!([{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}]);
        assert_eq!(objects[1]["rules"], rules);
        assert_eq!(
            objects[3]["rules"],
            json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}])
        );
        let pod = &objects[6]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["args"], json!(["drift", "/etc/cfrt/plans/prod.toml"]));
        assert_eq!(pod["containers"][0]["env"][2]["valueFrom"]["secretKeyRef"]["name"], "cfrt-platform-token");
        assert_eq!(
            pod["volumes"][0]["projected"]["sources"][0]["configMap"]["items"][1],
            json!({"key": "file-1", "path": "plans/prod.toml"})
        );
    }

    #[test]
    fn the_name_of_a_job_is_as_long_as_it_may_be() {
        let name = |release: &str| objects(release)[6]["metadata"]["name"].as_str().map(str::len);
        assert_eq!(
            (name("rt"), name(&"a".repeat(53)), name(&format!("{}-b", "a".repeat(45)))),
            (Some(8), Some(52), Some(51))
        );
    }
}
