//! A plan as `cfrt plan --output json` prints it.

use serde::Deserialize;
use serde_json::Value;

/// The whole of it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Plan {
    pub(crate) tasks: Vec<Task>,
    pub(crate) steps: Vec<Step>,
    pub(crate) summary: Summary,
}

/// A task.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Task {
    pub(crate) task: String,
    pub(crate) remarks: Vec<String>,
}

/// What happens to one resource; after an apply, what happened.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Step {
    pub(crate) address: String,
    pub(crate) part: Option<String>,
    pub(crate) task: String,
    pub(crate) action: String,
    pub(crate) hidden_behind: Option<String>,
    pub(crate) reason: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) outcome: Option<String>,
    #[serde(default)]
    pub(crate) causes: Vec<String>,
    pub(crate) needs: Option<String>,
}

/// A field that moves.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Field {
    pub(crate) path: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) secret: bool,
}

/// How many resources have each action; after an apply only what was counted then.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Summary {
    pub(crate) create: usize,
    pub(crate) run: usize,
    pub(crate) update: usize,
    pub(crate) replace: usize,
    pub(crate) delete: usize,
    pub(crate) migrate: usize,
    pub(crate) refuse: usize,
    pub(crate) keep: usize,
    pub(crate) hidden: usize,
    pub(crate) applied: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) exit: i32,
}

impl Step {
    /// Whether it is a hook.
    pub(crate) fn is_hook(&self) -> bool {
        self.part.as_ref().is_some_and(|part| part != "adoption")
    }

    /// `Deployment codefresh/app-proxy`, without group and version.
    pub(crate) fn short(&self) -> &str {
        let place = self.address.split_once(' ').map_or(0, |(kind, _)| kind.rfind('/').map_or(0, |slash| slash + 1));
        &self.address[place..]
    }

    /// `~ Deployment ns/name spec.replicas`, as short as it can be told; hooks with their event.
    pub(crate) fn told(&self) -> String {
        let event = self.part.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
        let mut fields: Vec<String> = self.fields.iter().map(|field| format!(" {}", field.path)).collect();
        fields.sort();
        let fields = fields.concat();
        format!("{} {}{event}{fields}", self.action, self.short())
    }
}

impl Plan {
    /// The steps that write.
    pub(crate) fn writing(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action != "keep" && step.action != "refuse")
    }

    /// Whether any step makes an object.
    pub(crate) fn brings(&self) -> bool {
        let brings = |step: &Step| matches!(step.action.as_str(), "create" | "replace" | "run") || step.is_hook();
        self.writing().any(|step| brings(step) && !step.address.starts_with("Release "))
    }

    /// What may not be carried out, and why.
    pub(crate) fn refused(&self) -> Vec<String> {
        let refused = self.steps.iter().filter(|step| step.action == "refuse");
        refused.map(|step| format!("{}: {}", step.address, step.reason)).collect()
    }

    /// The steps that write, told shortly and without namespace, sorted, without the release's own.
    pub(crate) fn told(&self, namespace: &str) -> Vec<String> {
        let release = |step: &&Step| !step.address.starts_with("Release ");
        let place = format!("{namespace}/");
        let mut told: Vec<String> =
            self.writing().filter(release).map(|step| step.told().replace(&place, "")).collect();
        told.sort();
        told
    }

    /// The step of an address without group and version.
    #[track_caller]
    pub(crate) fn step(&self, short: &str) -> &Step {
        let found = self.steps.iter().find(|step| step.short() == short && step.part.is_none());
        found.unwrap_or_else(|| super::process::end(&format!("no step for {short}")))
    }

    /// The step that takes a definition over.
    #[track_caller]
    pub(crate) fn adoption(&self, definition: &str) -> &Step {
        let adopts = |step: &&Step| step.address.ends_with(definition) && step.part.as_deref() == Some("adoption");
        let found = self.steps.iter().find(adopts);
        found.unwrap_or_else(|| super::process::end(&format!("no adoption of {definition}")))
    }

    /// The step of the release.
    #[track_caller]
    pub(crate) fn release(&self) -> &Step {
        let found = self.steps.iter().find(|step| step.address.starts_with("Release "));
        found.unwrap_or_else(|| super::process::end("no step for the release"))
    }
}
