//! What a rendered object says about being a hook: when it runs, in which place, and what becomes of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEvent {
    /// Before the objects of a first revision.
    PreInstall,
    /// After them.
    PostInstall,
    /// Before the objects of a later revision.
    PreUpgrade,
    /// After them.
    PostUpgrade,
    /// Before the release is deleted.
    PreDelete,
    /// After that.
    PostDelete,
    /// Before a rollback.
    PreRollback,
    /// After it.
    PostRollback,
    /// When somebody asks for the release's tests.
    Test,
}

impl HookEvent {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "pre-install" => Self::PreInstall,
            "post-install" => Self::PostInstall,
            "pre-upgrade" => Self::PreUpgrade,
            "post-upgrade" => Self::PostUpgrade,
            "pre-delete" => Self::PreDelete,
            "post-delete" => Self::PostDelete,
            "pre-rollback" => Self::PreRollback,
            "post-rollback" => Self::PostRollback,
            "test" | "test-success" => Self::Test,
            _ => return None,
        })
    }
}

/// When a hook's object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletePolicy {
    /// Before the hook runs again.
    BeforeHookCreation,
    /// After all hooks of its event were successful.
    HookSucceeded,
    /// After it failed.
    HookFailed,
}

impl DeletePolicy {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "before-hook-creation" => Self::BeforeHookCreation,
            "hook-succeeded" => Self::HookSucceeded,
            "hook-failed" => Self::HookFailed,
            _ => return None,
        })
    }
}

/// When a hook's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogPolicy {
    /// After it was successful.
    HookSucceeded,
    /// After it failed.
    HookFailed,
}

impl LogPolicy {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "hook-succeeded" => Self::HookSucceeded,
            "hook-failed" => Self::HookFailed,
            _ => return None,
        })
    }
}

/// A hook's name, and when and how it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFacts {
    /// The object's name; empty where the server is to make one.
    pub name: String,
    /// The object's kind.
    pub kind: String,
    /// The template that it comes from.
    pub path: String,
    /// When it runs.
    pub events: Vec<HookEvent>,
    /// Its place among the hooks of an event: lower first, then by name.
    pub weight: i64,
    /// When its object is deleted; never empty, since a hook that says nothing is deleted before it runs again.
    pub delete_policies: Vec<DeletePolicy>,
    /// When its output is shown.
    pub log_policies: Vec<LogPolicy>,
}

impl HookFacts {
    /// Reads an object's annotations; `None` for one that is no hook.
    pub fn of(path: &str, object: &Value) -> Option<Self> {
        let annotation = |name: &str| object.pointer("/metadata/annotations")?.get(name)?.as_str();
        let listed = annotation("helm.sh/hook")?;
        let delete_policies = words(annotation("helm.sh/hook-delete-policy"), DeletePolicy::parse);
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            name: text("/metadata/name"),
            kind: text("/kind"),
            path: path.to_owned(),
            events: words(Some(listed), HookEvent::parse),
            weight: annotation("helm.sh/hook-weight").and_then(|weight| weight.trim().parse().ok()).unwrap_or(0),
            delete_policies: if delete_policies.is_empty() {
                vec![DeletePolicy::BeforeHookCreation]
            } else {
                delete_policies
            },
            log_policies: words(annotation("helm.sh/hook-output-log-policy"), LogPolicy::parse),
        })
    }
}

fn words<T>(annotation: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    annotation.unwrap_or_default().split(',').filter_map(|word| parse(&word.trim().to_lowercase())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hook(annotations: Value) -> Option<HookFacts> {
        HookFacts::of("p", &json!({"kind": "Job", "metadata": {"name": "j", "annotations": annotations}}))
    }

    #[test]
    fn an_object_without_the_annotation_is_no_hook() {
        assert_eq!(hook(json!({"helm.sh/hook-weight": "1"})), None);
        assert_eq!(hook(Value::Null), None);
        assert_eq!(HookFacts::of("p", &json!([])), None);
    }

    #[test]
    fn a_hook_that_says_nothing_is_deleted_before_it_runs_again() {
        let facts = hook(json!({"helm.sh/hook": "pre-install"})).unwrap();
        assert_eq!(facts.delete_policies, [DeletePolicy::BeforeHookCreation]);
        assert_eq!((facts.weight, facts.log_policies.len()), (0, 0));
    }

    #[test]
    fn all_that_a_hook_says_is_read() {
        let facts = hook(json!({
            "helm.sh/hook": "post-install, Test-Success,crd-install",
            "helm.sh/hook-weight": "-5",
            "helm.sh/hook-delete-policy": "hook-succeeded,hook-failed",
            "helm.sh/hook-output-log-policy": "hook-failed",
        }))
        .unwrap();
        assert_eq!(facts.events, [HookEvent::PostInstall, HookEvent::Test]);
        assert_eq!(facts.weight, -5);
        assert_eq!(facts.delete_policies, [DeletePolicy::HookSucceeded, DeletePolicy::HookFailed]);
        assert_eq!(facts.log_policies, [LogPolicy::HookFailed]);
    }

    #[test]
    fn a_weight_that_is_no_number_is_zero() {
        assert_eq!(hook(json!({"helm.sh/hook": "test", "helm.sh/hook-weight": "heavy"})).unwrap().weight, 0);
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for event in [
            "pre-install",
            "post-install",
            "pre-upgrade",
            "post-upgrade",
            "pre-delete",
            "post-delete",
            "pre-rollback",
            "post-rollback",
            "test",
        ] {
            assert_eq!(serde_json::to_value(HookEvent::parse(event).unwrap()).unwrap(), event);
        }
    }
}
