//! A plan to its plan file: what of it is kept, and what stands there for secrets.

use std::collections::BTreeMap;

use cfrt_engine::change::FieldChange;
use cfrt_engine::driver::Stamp;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::planfile::{PlanFile, PlannedField, PlannedStep, PlannedTask, digest};
use cfrt_engine::resource::{Address, Hole, LazyDocument, Want};
use cfrt_providers::drivers::release::Settings;
use cfrt_providers::vault::Vault;
use serde_json::{Value, json};

use crate::pipeline::About;
use crate::render::secret::{SEAL, masked, shown};
use crate::render::words::{Mark, hidden_behind};

/// What stands for a secret that nobody has a key for yet.
const SET: &str = "set, not fingerprinted";

/// By what secrets are told apart in a plan file.
#[derive(Clone, Copy)]
pub(crate) struct Fingerprints<'a> {
    /// The vault that seals with the key that all share, and what tells that key from another one; `None` where secrets are
    /// only said to be set.
    pub(crate) key: Option<(&'a Vault, &'a str)>,
}

impl Fingerprints<'_> {
    /// The digest of a document. What each rendering makes anew is left out, and without a key all that is secret.
    fn document(self, address: &Address, want: &Want) -> String {
        let (sort, document) = match want {
            Want::Present(document) => ("present", Some(document)),
            Want::Existing(document) => ("existing", Some(document)),
            Want::Absent => ("absent", None),
        };
        let body = document.map(without_generated);
        match (self.key, body) {
            (Some((vault, _)), Some(body)) => {
                format!("hmac-sha256:{}", vault.digest(format!("{sort} {body}").as_bytes()))
            }
            (None, Some(body)) => digest(&format!("{sort} {}", public(address, body))),
            (_, None) => digest(sort),
        }
    }

    /// What stands for a value of which some is secret.
    fn value(self, value: &Value) -> String {
        match self.key {
            Some((vault, _)) => format!("hmac-sha256:{}", vault.digest(value.to_string().as_bytes())),
            None => SET.to_owned(),
        }
    }
}

/// The plan file of a plan; `desired` is the path of its file from the folder that the plan file is in.
pub(crate) fn plan_file(about: &About, plan: &Plan, desired: String, by: Fingerprints<'_>) -> PlanFile {
    let tasks = about.tasks.iter().map(|task| {
        let steps = || plan.steps.iter().filter(|step| step.resource.task == task.id);
        PlannedTask {
            task: task.id.to_string(),
            steps: steps().filter(|step| step.change.action.writes()).map(|step| planned(step, by)).collect(),
            kept: steps()
                .filter(|step| Mark::of(step) == Mark::Keep)
                .map(|step| (step.resource.id.to_string(), configuration(step, by)))
                .collect(),
        }
    });
    PlanFile::new(desired, target(about, plan), by.key.map(|(_, id)| id.to_owned()), tasks.collect())
}

/// What a plan is made for: another one of these, and it is another plan.
fn target(about: &About, plan: &Plan) -> BTreeMap<String, String> {
    let runtime = &about.facts.runtime;
    let named = [
        ("cluster_uid", about.target.uid.clone()),
        ("cluster_ca", about.target.authority.clone()),
        ("account", about.account.clone()),
        ("runtime", runtime.name.get_ref().as_str().to_owned()),
        ("namespace", runtime.namespace.get_ref().as_str().to_owned()),
        ("release", runtime.release.get_ref().as_str().to_owned()),
    ];
    let chart = plan.steps.iter().filter(|step| step.resource.driver == "release");
    let chart = chart.filter_map(|step| Settings::of(&step.resource).ok()).flat_map(|settings| {
        let Settings { chart, version, digest, .. } = settings;
        [("chart", format!("{chart} {version}")), ("chart_digest", digest)]
    });
    let known = named.into_iter().chain(chart).filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn planned(step: &Step, by: Fingerprints<'_>) -> PlannedStep {
    let address = &step.resource.id.address;
    let stamp = step.expects().filter(|stamp| **stamp != Stamp::default());
    let (resource, action) = (step.resource.id.to_string(), Mark::of(step).word().to_owned());
    let mut planned = PlannedStep::new(resource, action, configuration(step, by));
    planned.reason.clone_from(&step.change.reason);
    planned.hidden_behind = hidden_behind(step).map(ToString::to_string);
    planned.fields = step.change.fields.iter().map(|change| field(address, change, by)).collect();
    planned.uid = stamp.map(|stamp| stamp.uid.clone());
    planned.revision = stamp.map(|stamp| stamp.revision.clone());
    planned
}

/// The digest of what is wanted of a step's resource.
fn configuration(step: &Step, by: Fingerprints<'_>) -> String {
    by.document(&step.resource.id.address, &wanted(step, by))
}

/// What is wanted, as far as it can be compared with what another run wants: seals in a rendering are those of one key.
fn wanted(step: &Step, by: Fingerprints<'_>) -> Want {
    match (&step.resource.want, by.key) {
        (Want::Present(document), None) if step.resource.driver == "release" => {
            let mut document = cfrt_engine::resource::Document::clone(document);
            if let Some(body) = document.body.as_object_mut() {
                body.remove("rendering");
            }
            Want::Present(document.into())
        }
        (want, _) => want.clone(),
    }
}

fn field(address: &Address, change: &FieldChange, by: Fingerprints<'_>) -> PlannedField {
    let FieldChange { path, before, after, origin: _ } = change;
    let [seen, will] = shown(address, path, [before, after]).unwrap_or_default();
    let secret = |value: &Option<Value>, shown: &Option<Value>| {
        value.as_ref().filter(|_| value != shown).map(|value| by.value(value))
    };
    PlannedField {
        path: path.clone(),
        secret_before: secret(before, &seen),
        secret_after: secret(after, &will),
        before: seen,
        after: will,
    }
}

fn without_generated(document: &LazyDocument) -> Value {
    let mut body = document.body.clone();
    for (pointer, _) in document.holes.iter().filter(|(_, hole)| **hole == Hole::Generated) {
        if let Some(place) = body.pointer_mut(pointer) {
            *place = Value::Null;
        }
    }
    body
}

/// A document without anything in it that is secret, or sounds like it.
fn public(address: &Address, body: Value) -> Value {
    let Value::Object(entries) = body else { return unsealed(body) };
    let entry = |(key, value): (String, Value)| {
        let value = unsealed(masked(address, &key, &value));
        (key, value)
    };
    Value::Object(entries.into_iter().map(entry).collect())
}

fn unsealed(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(SEAL) => json!(SET),
        Value::Array(items) => items.into_iter().map(unsealed).collect(),
        Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, unsealed(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use cfrt_engine::change::{Action, Change};
    use cfrt_engine::resource::Document;

    use super::*;
    use crate::render::samples::{about, because, core, deployment, moved, plan, same_as_file, sample};

    fn sample_plan() -> Plan {
        let fields =
            vec![moved("spec.replicas", json!(3), json!(1)), moved("spec.note", json!("in clear"), json!("sealed:1"))];
        let token = vec![moved("data.token", json!("sealed:1"), json!("sealed:2"))];
        plan(vec![
            sample("namespace", Address::new("v1/Namespace", "", "codefresh"), Change::of(Action::Keep)),
            sample("chart", deployment("app"), Change::of_fields(fields).because("the file has changed")),
            sample("chart", core("Secret", "token"), Change::of_fields(token)),
            sample("chart", core("ConfigMap", "new"), Change::of(Action::Create)),
            sample("chart", core("ConfigMap", "old"), because(Action::Delete, "no longer in the chart")),
        ])
    }

    fn file(key: u8) -> PlanFile {
        let vault = Vault::new([key; 32]);
        let by = Fingerprints { key: (key > 0).then_some((&vault, "0123")) };
        plan_file(&about(&[("namespace", &[]), ("chart", &[])]), &sample_plan(), "prod.toml".to_owned(), by)
    }

    #[test]
    fn a_plan_file_holds_one_fact_a_line_and_no_secret() {
        let text = file(1).text();
        same_as_file("testdata/plan-file.json", &text);
        assert!(!text.contains("sealed:") && !text.contains("in clear"), "{text}");
        assert_eq!(PlanFile::read(&text), Ok(file(1)));
    }

    #[test]
    fn secrets_are_fingerprinted_by_the_key_that_all_share_and_else_only_said_to_be_set() {
        assert_ne!(file(1).approval(), file(2).approval(), "another key");
        let text = file(0).text();
        assert!(text.contains(SET) && !text.contains("hmac"), "{text}");
    }

    #[test]
    fn without_a_key_no_digest_depends_on_a_secret() {
        let digest = |value: &str, key: Option<(&Vault, &str)>| {
            let env = json!([{"name": "DB_PASSWORD", "value": value}, {"name": "A", "value": "b"}]);
            let body = json!({"data": {"x": "sealed:1"}, "spec": {"env": env}});
            let want = Want::Present(Document { body, ..Document::default() }.into());
            Fingerprints { key }.document(&core("Pod", "a"), &want)
        };
        let vault = Vault::new([7; 32]);
        assert_eq!(digest("one", None), digest("two", None));
        assert_ne!(digest("one", Some((&vault, "k"))), digest("two", Some((&vault, "k"))));
    }

    #[test]
    fn what_each_rendering_makes_anew_is_no_part_of_what_is_wanted() {
        let vault = Vault::new([7; 32]);
        let digest = |password: &str| {
            let body = json!({"data": {"password": password}});
            let holes = [("/data/password".to_owned(), Hole::Generated)].into();
            let want = Want::Present(Document { body, holes }.into());
            Fingerprints { key: Some((&vault, "k")) }.document(&core("Secret", "a"), &want)
        };
        assert_eq!(digest("one"), digest("two"));
    }
}
