//! A plan file to the text that people read: what it says, and in what the world has moved away from it.

use cfrt_engine::change::FieldChange;
use cfrt_engine::planfile::{Comparison, Difference, PlanFile, PlannedField, PlannedStep, PlannedTask};
use cfrt_engine::resource::Address;
use serde_json::Value;

use crate::render::clean::{clean, clean_lines};
use crate::render::fields;
use crate::render::secret::SEAL;
use crate::render::text::{Counts, conclusion, counted};
use crate::render::words::{DIM, Mark, paint, plural};

/// What a plan file says: what it is for, task by task what happens, and the conclusion last.
pub(crate) fn plan_file(file: &PlanFile) -> String {
    let widest = file.target.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("a plan of {}", clean(&file.desired))];
    lines.extend(file.target.iter().map(|(name, value)| format!("  {:<widest$}  {}", clean(name), clean(value))));
    lines.push(String::new());
    for task in &file.tasks {
        lines.push(format!("  {}  {}", clean(&task.task), summary(task)));
        lines.extend(task.steps.iter().flat_map(|step| entry(step, "    ")));
    }
    lines.push(String::new());
    if file.key.is_none() {
        lines.push(
            "note: secrets are not fingerprinted in it, as the cluster had no key yet: any value fits".to_owned(),
        );
    }
    lines.push(conclusion(&counts(file), 0));
    lines.push(format!("approval {}", file.approval()));
    lines.join("\n") + "\n"
}

/// In what the plan that would be carried out now differs from the one that was approved.
pub(crate) fn differences(comparison: &Comparison) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (name, then, now) in &comparison.target {
        lines.push(format!("  ! {}", clean(name)));
        lines.push(format!("      approved: {}", then.as_deref().map_or("nothing".into(), clean)));
        lines.push(format!("      now:      {}", now.as_deref().map_or("nothing".into(), clean)));
    }
    lines.extend(comparison.differences.iter().flat_map(difference));
    let (to_do, so) = (plural(comparison.to_do, "step"), plural(comparison.already_so, "step"));
    lines.push(format!("{to_do} as approved, {so} so already."));
    lines.join("\n") + "\n"
}

fn difference(difference: &Difference) -> Vec<String> {
    let side = |head: &str, step: Option<&PlannedStep>, nothing: &str| match step {
        Some(step) => {
            let mut lines = entry(step, "      ");
            lines[0] = format!("      {head}{}", lines[0].trim_start());
            lines
        }
        None => vec![format!("      {head}{nothing}")],
    };
    let mut lines = vec![format!("  ! {}", clean(&short(&difference.resource)))];
    lines.extend(side("approved: ", difference.approved.as_ref(), "nothing"));
    let nothing = if difference.stays { "it stays as it is" } else { "it is not part of the plan any more" };
    lines.extend(side("now:      ", difference.now.as_ref(), nothing));
    if let (Some(then), Some(now)) = (&difference.approved, &difference.now)
        && let Some(why) = unseen(then, now)
    {
        lines.push(format!("      {why}"));
    }
    lines
}

/// In what two steps differ that look the same.
fn unseen(then: &PlannedStep, now: &PlannedStep) -> Option<&'static str> {
    let secrets = |of: fn(&PlannedField) -> &Option<String>| {
        then.fields.iter().map(of).ne(now.fields.iter().map(of)) && then.fields.len() == now.fields.len()
    };
    if then.action != now.action {
        None
    } else if then.fields == now.fields && then.configuration == now.configuration {
        Some("it is another object of its name by now")
    } else if then.fields == now.fields {
        Some("what is wanted of it is something else: the chart, the values or the file have changed")
    } else if secrets(|field| &field.secret_before) {
        Some("a secret value of it in the cluster is another one by now")
    } else if secrets(|field| &field.secret_after) {
        Some("a secret value that is wanted of it is another one by now")
    } else {
        None
    }
}

fn summary(task: &PlannedTask) -> String {
    let count = |mark| task.steps.iter().filter(|step| mark_of(step) == mark).count();
    counted(count, task.kept.len(), task.steps.len() + task.kept.len())
}

fn counts(file: &PlanFile) -> Counts {
    let kept = file.tasks.iter().map(|task| task.kept.len()).sum();
    let marks = file.steps().map(mark_of).chain(std::iter::repeat_n(Mark::Keep, kept));
    marks.collect()
}

fn mark_of(step: &PlannedStep) -> Mark {
    if step.hidden_behind.is_some() {
        return Mark::Hidden;
    }
    // A genuine file has no other words; one that is new to us is shown as what needs a look.
    Mark::of_word(&step.action).unwrap_or(Mark::Refuse)
}

fn entry(step: &PlannedStep, indent: &str) -> Vec<String> {
    let mut lines = vec![format!("{indent}{} {}", mark_of(step).painted(), clean(&short(&step.resource)))];
    let reason = clean_lines(&step.reason).map(|line| format!("{indent}    {}", paint(DIM, line)));
    lines.extend(reason);
    if let Some(behind) = &step.hidden_behind {
        lines.push(format!("{indent}    {}", paint(DIM, format_args!("hidden behind {}", clean(&short(behind))))));
    }
    let address = address(&step.resource);
    let fields = step.fields.iter().flat_map(|field| fields::lines(&address, &change(field)));
    lines.extend(fields.map(|line| format!("{indent}    {line}")));
    lines
}

/// A field as plans show it; what stands for a secret is shown as one.
fn change(field: &PlannedField) -> FieldChange {
    let value = |shown: &Option<Value>, secret: &Option<String>| {
        shown.clone().or_else(|| secret.as_ref().map(|_| Value::from(SEAL)))
    };
    let before = value(&field.before, &field.secret_before);
    FieldChange::new(&field.path, before, value(&field.after, &field.secret_after))
}

/// A resource as people say it, without group and version.
fn short(resource: &str) -> String {
    let (kind, rest) = resource.split_once(' ').unwrap_or((resource, ""));
    let kind = kind.rsplit('/').next().unwrap_or(kind);
    format!("{kind} {rest}").trim_end().to_owned()
}

fn address(resource: &str) -> Address {
    let mut words = resource.split(' ');
    let (kind, place) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (scope, name) = place.split_once('/').unwrap_or(("", place));
    Address::new(kind, scope, name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cfrt_engine::planfile::{compare, digest};
    use serde_json::json;

    use super::*;
    use crate::render::clean::is_hostile;
    use crate::render::samples::{colourless, same_as_file};

    fn step(resource: &str, action: &str) -> PlannedStep {
        PlannedStep::new(resource.to_owned(), action.to_owned(), digest(""))
    }

    fn with(resource: &str, action: &str, change: impl FnOnce(&mut PlannedStep)) -> PlannedStep {
        let mut step = step(resource, action);
        change(&mut step);
        step
    }

    fn update(path: &str, before: Value, after: Value) -> PlannedStep {
        let field =
            PlannedField { path: path.to_owned(), before: Some(before), after: Some(after), ..PlannedField::default() };
        with("apps/v1/Deployment codefresh/app", "update", |step| step.fields = vec![field])
    }

    fn file(steps: Vec<PlannedStep>, uid: &str) -> PlanFile {
        let kept = [("v1/Service codefresh/app".to_owned(), digest(""))].into();
        let tasks = vec![PlannedTask { task: "chart".to_owned(), steps, kept }];
        let target = [("chart", "gitops-runtime 0.14.0"), ("cluster_uid", uid)];
        let target: BTreeMap<_, _> = target.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        PlanFile::new("prod.toml".to_owned(), target, None, tasks)
    }

    fn sample() -> PlanFile {
        let secret = PlannedField {
            path: "data.token".to_owned(),
            secret_before: Some("set".to_owned()),
            secret_after: Some("set".to_owned()),
            ..PlannedField::default()
        };
        let hidden = Some("a.io/v1/Thing x".to_owned());
        file(
            vec![
                update("spec.replicas", json!(3), json!(1)),
                with("v1/Secret codefresh/token", "update", |step| step.fields = vec![secret]),
                with("a.io/v1/Other codefresh/x", "create", |step| step.hidden_behind = hidden),
                with("batch/v1/Job codefresh/m (pre-install)", "run", |step| {
                    "hook, weight 0\u{1b}".clone_into(&mut step.reason);
                }),
            ],
            "1f0c",
        )
    }

    #[test]
    fn a_plan_file_is_shown_as_a_plan_is() {
        same_as_file("testdata/show.txt", &colourless(&plan_file(&sample())));
    }

    #[test]
    fn what_has_moved_since_is_shown_side_by_side() {
        let now = file(
            vec![update("spec.replicas", json!(5), json!(1)), step("v1/ConfigMap codefresh/new\u{202e}", "create")],
            "2a00",
        );
        let text = differences(&compare(&sample(), &now));
        same_as_file("testdata/stale.txt", &colourless(&text));
        assert!(!colourless(&text).contains(|sign| sign != '\n' && is_hostile(sign)));
    }
}
