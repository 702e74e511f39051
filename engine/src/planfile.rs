//! The plan file: what a plan would do, in a form that is reviewed, committed, and held against a later plan.
//!
//! This is the format itself: only here are its wire types, and nothing but its text is ever read or written. The same
//! plan gives the same bytes, on whichever machine; there is no time in it, and no secret but as a keyed digest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

mod compare;

pub use compare::{Comparison, Difference, compare};

/// The format and its version. Another one is refused: a field that isn't understood may be one that matters.
pub const FORMAT: &str = "cfrt.plan-file/1";

/// A plan, as its file has it. What is public is what the file says; the digests are made when it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    format: String,
    /// The digest over the target and all effects: what an approval is about.
    approval: String,
    /// The file with the desired state, from the folder of the plan file.
    pub desired: String,
    /// What the plan was made for, by name: the cluster, the account, the release, the chart and its digest.
    pub target: BTreeMap<String, String>,
    /// Which key the digests of secrets were made with; `None` where there was none, and secrets are only said to be set.
    pub key: Option<String>,
    /// The tasks in their order.
    pub tasks: Vec<PlannedTask>,
    /// The digest over all of the file but itself.
    digest: String,
}

/// What happens to the resources of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedTask {
    /// The task.
    pub task: String,
    /// What happens to its resources, by resource.
    pub steps: Vec<PlannedStep>,
    /// The resources of which nothing is written, each with the digest of what is wanted of it.
    pub kept: BTreeMap<String, String>,
}

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedStep {
    /// The resource and which part of it: `apps/v1/Deployment codefresh/app-proxy`.
    pub resource: String,
    /// What is done, in the word of a plan's JSON: `update`.
    pub action: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What must be there before it can be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_behind: Option<String>,
    /// The fields that move, in the order of the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<PlannedField>,
    /// The digest of what is wanted of the resource.
    pub configuration: String,
    /// What tells the thing that was seen from another one of its address; nothing where none was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Its revision when it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The digest of what was seen of it: its identity, its revision, and the fields that move.
    #[serde(default)]
    state: String,
    /// The digest of what is done to it.
    #[serde(default)]
    effects: String,
}

/// A field that moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedField {
    /// Where it is.
    pub path: String,
    /// What is there; nothing where the field is absent, or its value is secret.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub before: Option<Value>,
    /// What will be there; nothing where the field goes, or its value is secret.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub after: Option<Value>,
    /// What stands for what is there, where some of it is secret: a keyed digest, or that it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_before: Option<String>,
    /// What stands for what will be there, where some of it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_after: Option<String>,
}

/// A field that is there has a value, and be it `null`.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// Why a text is no plan file that was left as it was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGenuine {
    /// It is no JSON, or not of this form.
    #[error("it is no plan file, or was cut off: {0}")]
    Malformed(String),
    /// It has another format.
    #[error("its format is {found}, and this cfrt knows {FORMAT}")]
    Format {
        /// What it says of itself.
        found: String,
    },
    /// Its line ends were changed.
    #[error("its lines end in another way than they were written")]
    LineEnds,
    /// What it says of a resource was changed.
    #[error("what it says of {0} was changed after it was made")]
    Step(String),
    /// Something else of it was changed.
    #[error("it was changed after it was made")]
    Altered,
}

impl PlanFile {
    /// The plan file of these facts, with all its digests.
    pub fn new(
        desired: String,
        target: BTreeMap<String, String>,
        key: Option<String>,
        mut tasks: Vec<PlannedTask>,
    ) -> Self {
        for task in &mut tasks {
            task.steps.sort_by(|one, other| one.resource.cmp(&other.resource));
            task.steps.iter_mut().for_each(PlannedStep::digest);
        }
        let mut file = Self {
            format: FORMAT.to_owned(),
            approval: String::new(),
            desired,
            target,
            key,
            tasks,
            digest: String::new(),
        };
        file.approval = file.approval_of_effects();
        file.digest = digest(&file.json());
        file
    }

    /// Reads a plan file, and makes sure that every byte of it is as it was written.
    ///
    /// # Errors
    ///
    /// [`NotGenuine`], for whatever else it is.
    pub fn read(text: &str) -> Result<Self, NotGenuine> {
        let malformed = |error: serde_json::Error| NotGenuine::Malformed(error.to_string());
        if text.contains('\r') {
            return Err(NotGenuine::LineEnds);
        }
        let Format { format } = serde_json::from_str(text).map_err(malformed)?;
        if format != FORMAT {
            let found = format.chars().take(40).collect();
            return Err(NotGenuine::Format { found });
        }
        let read: Self = serde_json::from_str(text).map_err(malformed)?;
        let made = Self::new(read.desired.clone(), read.target.clone(), read.key.clone(), read.tasks.clone());
        let changed = read.steps().zip(made.steps()).find(|(read, made)| read != made);
        if let Some((step, _)) = changed {
            return Err(NotGenuine::Step(step.resource.clone()));
        }
        if made.text() == text { Ok(made) } else { Err(NotGenuine::Altered) }
    }

    /// The text of the file: one fact a line, and nothing but ASCII, so that what is read is what stands there.
    pub fn text(&self) -> String {
        let json = self.json();
        let mut text = String::with_capacity(json.len() + 1);
        for character in json.chars() {
            // What isn't ASCII stands inside a string, where an escape means the same.
            if character.is_ascii() && character != '\u{7f}' {
                text.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").unwrap_or_default();
                }
            }
        }
        text.push('\n');
        text
    }

    /// The digest that an approval of this plan is about: its target and its effects.
    pub fn approval(&self) -> &str {
        &self.approval
    }

    /// All that happens, task by task.
    pub fn steps(&self) -> impl Iterator<Item = &PlannedStep> {
        self.tasks.iter().flat_map(|task| &task.steps)
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("all map keys are strings, and nothing else can fail")
    }

    fn approval_of_effects(&self) -> String {
        let effects: BTreeMap<&str, &str> =
            self.steps().map(|step| (step.resource.as_str(), step.effects.as_str())).collect();
        digest(&serde_json::json!([self.target, effects]).to_string())
    }
}

impl PlannedStep {
    /// A step without its digests, which come with the file.
    pub fn new(resource: String, action: String, configuration: String) -> Self {
        Self {
            resource,
            action,
            reason: String::new(),
            hidden_behind: None,
            fields: Vec::new(),
            configuration,
            uid: None,
            revision: None,
            state: String::new(),
            effects: String::new(),
        }
    }

    /// The digest of what is done: the action, what is wanted, and each field with what it was and will be; of what is deleted
    /// also which object that is.
    pub fn effects(&self) -> &str {
        &self.effects
    }

    fn digest(&mut self) {
        let before = |field: &PlannedField| (field.path.clone(), field.before.clone(), field.secret_before.clone());
        let before: Vec<_> = self.fields.iter().map(before).collect();
        self.state = digest(&serde_json::json!([self.uid, self.revision, before]).to_string());
        // Another object of its name may hold what nobody has agreed to lose.
        let goes = matches!(self.action.as_str(), "delete" | "replace").then_some(&self.uid);
        let effects = serde_json::json!([self.resource, self.action, self.configuration, self.fields, goes]);
        self.effects = digest(&effects.to_string());
    }
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Format {
    format: String,
}

/// The SHA-256 digest of a text, as `sha256:HEX`.
pub fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests;
