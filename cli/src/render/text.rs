//! A plan to the text that people read.

use std::fmt::Write as _;

use cfrt_engine::change::{Action, Origin};
use cfrt_engine::driver::Stamp;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::report::Report;
use cfrt_engine::resource::ResourceId;
use cfrt_providers::drivers::hook;

use crate::exit::Exit;
use crate::pipeline::{About, TaskNote};
use crate::render::clean::{clean, clean_lines};
use crate::render::fields;
use crate::render::words::{DIM, Mark, hidden_behind, name, paint, plural, who};

/// How wide a line should be.
const WIDTH: usize = 80;

/// The whole plan: what it is about, task by task what happens, and the conclusion last.
pub(crate) fn plan(about: &About, plan: &Plan) -> String {
    let mut lines = header(about, plan);
    lines.push(String::new());
    let widest = about.tasks.iter().map(|task| task.id.to_string().chars().count()).max().unwrap_or(0);
    for task in &about.tasks {
        lines.extend(block(task, plan, widest));
    }
    lines.push(String::new());
    lines.extend(about.tasks.iter().flat_map(|task| &task.remarks).flat_map(|remark| note(remark)));
    let marks: Counts = plan.steps.iter().map(Mark::of).collect();
    lines.push(conclusion(&marks, plan.steps.iter().filter(|step| replaces_earlier(step)).count()));
    lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{}", line.trim_end()).unwrap_or_default();
        text
    })
}

/// What came of carrying a plan out, in one line.
pub(crate) fn outcome(plan: &Plan, report: &Report, interrupted: bool, exit: Exit) -> String {
    let writing = plan.steps.iter().filter(|step| step.change.action.writes()).count();
    let mut line = format!("Applied {} of {writing}", report.done);
    let counts = [
        (report.not_awaited, "written but not awaited"),
        (report.failed.len(), "failed"),
        (report.skipped.len(), "skipped"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if !counts.is_empty() {
        line.push_str(&format!("; {}", counts.join(", ")));
    }
    line.push('.');
    line.extend(report.closed_as_failed.iter().map(|(id, _)| closed_as_failed(plan, id)));
    if interrupted {
        line.push_str(" It was stopped before its end.");
    }
    if exit != Exit::Done {
        line.push_str(&format!(" Exit {}.", exit.code()));
    }
    line.push('\n');
    line
}

/// What is recorded of a bracket in which something failed.
fn closed_as_failed(plan: &Plan, id: &ResourceId) -> String {
    let step = plan.steps.iter().find(|step| step.resource.id == *id);
    let revision = step.and_then(|step| step.resource.settings.pointer("/next/revision"));
    let revision = revision.map_or_else(String::new, |number| format!(" (revision {number})"));
    format!(" {} is recorded as failed{revision}.", name(id))
}

fn header(about: &About, plan: &Plan) -> Vec<String> {
    let (runtime, context) = (about.facts.runtime.name.get_ref().as_str(), clean(&about.target.context));
    let mut parts = vec![format!("{runtime} on {context}{}", identity(&about.target.uid))];
    parts.extend(plan.steps.iter().filter_map(chart));
    let (objects, requests) = (plural(plan.steps.len(), "object"), plural(about.requests, "request"));
    parts.push(format!("{objects}, {requests}, {} ms", about.took.as_millis()));
    wrapped(parts)
}

/// The parts side by side as long as they fit, below each other where they don't.
fn wrapped(parts: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 3 + part.chars().count() <= WIDTH => {
                line.push_str("   ");
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

/// The beginning of a cluster's UID, where we may see it.
fn identity(uid: &str) -> String {
    let short: String = uid.chars().take(8).collect();
    let more = if short.len() < uid.len() { "…" } else { "" };
    if uid.is_empty() { String::new() } else { format!(" (uid {}{more})", clean(&short)) }
}

/// The chart that a release step is about, as its driver's settings name it.
fn chart(step: &Step) -> Option<String> {
    let setting = |key| step.resource.settings.get(key)?.as_str();
    let (name, version) = (setting("chart")?, setting("version")?);
    Some(format!("chart {} {}", clean(name), clean(version)))
}

fn block(task: &TaskNote, plan: &Plan, widest: usize) -> Vec<String> {
    let steps: Vec<&Step> = plan.in_order().filter(|step| step.resource.task == task.id).collect();
    let mut lines = vec![format!("  {:<widest$}  {}", clean(&task.id.to_string()), summary(&steps, task.nothing))];
    let acting = steps.into_iter().filter(|step| Mark::of(step) != Mark::Keep);
    lines.extend(acting.flat_map(entry));
    lines
}

fn summary(steps: &[&Step], nothing: &str) -> String {
    if steps.is_empty() {
        return format!("{} nothing: {nothing}", Mark::Keep.painted());
    }
    if let [only] = steps
        && Mark::of(only) == Mark::Keep
    {
        return format!("{} {}", Mark::Keep.painted(), name(&only.resource.id));
    }
    let count = |mark| steps.iter().filter(|step| Mark::of(step) == mark).count();
    counted(count, count(Mark::Keep), steps.len())
}

/// How much of what happens to the resources of a task: `+ 3, ~ 2 of 155`.
pub(crate) fn counted(count: impl Fn(Mark) -> usize, kept: usize, all: usize) -> String {
    if kept == all {
        return format!("{} {kept}", Mark::Keep.painted());
    }
    let acting = Mark::ALL.into_iter().filter(|mark| *mark != Mark::Keep && count(*mark) > 0);
    let acting: Vec<String> = acting.map(|mark| format!("{} {}", mark.painted(), count(mark))).collect();
    let of_all = if kept > 0 { format!(" of {all}") } else { String::new() };
    format!("{}{of_all}", acting.join(", "))
}

/// A step that acts: its line, and below it every field that moves.
fn entry(step: &Step) -> Vec<String> {
    let (mark, name) = (Mark::of(step), name(&step.resource.id));
    let reason = reason(step);
    let mut lines = vec![format!("    {} {name}", mark.painted())];
    let mut reason = clean_lines(&reason).map(std::borrow::Cow::into_owned).collect::<Vec<_>>();
    let fits = reason.first().is_some_and(|first| 6 + name.chars().count() + 3 + first.chars().count() <= WIDTH);
    if fits && reason.len() == 1 {
        lines[0].push_str(&format!("   {}", paint(DIM, reason.remove(0))));
    }
    lines.extend(reason.into_iter().map(|line| format!("        {}", paint(DIM, line))));
    let fields = step.change.fields.iter().flat_map(|field| fields::lines(&step.resource.id.address, field));
    lines.extend(fields.map(|line| format!("        {line}")));
    lines
}

fn reason(step: &Step) -> String {
    match (Mark::of(step), hidden_behind(step)) {
        (Mark::Hidden, Some(behind)) => format!("hidden behind {}", name(behind)),
        (Mark::Migrate, _) if step.change.reason.is_empty() => {
            "only the ownership of its fields moves, none of its values".to_owned()
        }
        _ => with_drift(step),
    }
}

/// The reason, and who moved the whole in the cluster, where someone did.
fn with_drift(step: &Step) -> String {
    let Some(moved) = step.change.origin.as_ref().and_then(Origin::moved) else { return step.change.reason.clone() };
    let deleted = if step.change.action == Action::Create { "deleted, " } else { "" };
    let drift = format!("drift: {deleted}{}", who(moved));
    if step.change.reason.is_empty() { drift } else { format!("{}; {drift}", step.change.reason) }
}

/// A remark, its further lines below its first.
pub(crate) fn note(remark: &str) -> Vec<String> {
    let line = |(number, line): (usize, std::borrow::Cow<'_, str>)| {
        if number == 0 { format!("note: {line}") } else { format!("      {line}") }
    };
    clean_lines(remark).enumerate().map(line).collect()
}

/// Whether a hook takes the place of something that is there before the plan is begun.
fn replaces_earlier(step: &Step) -> bool {
    Mark::of(step) == Mark::Run
        && step.expects().is_some_and(|stamp| *stamp != Stamp::default())
        && !hook::goes_on(step)
}

/// What happens to each resource of a plan.
pub(crate) type Counts = Vec<Mark>;

/// What a plan comes to, in one line; `replacing` counts the hooks that take the place of what an earlier run left.
pub(crate) fn conclusion(marks: &[Mark], replacing: usize) -> String {
    let count = |mark| marks.iter().filter(|found| **found == mark).count();
    if count(Mark::Keep) == marks.len() {
        return format!("Nothing to do: {}.", Mark::Keep.counted(marks.len()));
    }
    let counted = Mark::ALL.into_iter().filter(|mark| count(*mark) > 0).map(|mark| mark.counted(count(mark)));
    let harmless = count(Mark::Delete) + count(Mark::Replace) == 0;
    let replacing = match replacing {
        0 => String::new(),
        1 => " 1 hook replaces what an earlier run left.".to_owned(),
        many => format!(" {many} hooks replace what an earlier run left."),
    };
    let comfort = match (harmless, replacing.is_empty()) {
        (true, true) => " Nothing is deleted or replaced.",
        (true, false) => " Nothing else is deleted or replaced.",
        (false, _) => "",
    };
    format!("Plan: {}.{replacing}{comfort}", counted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use cfrt_engine::change::{Change, FieldChange};
    use cfrt_engine::driver::Fault;
    use cfrt_engine::event::{Because, Failure};
    use cfrt_engine::resource::{Address, Part};
    use serde_json::json;

    use super::*;
    use crate::render::samples::{
        Sample, about, because, colourless, core, deployment, moved, plan as planned, same_as_file, sample,
    };

    fn shown(tasks: &[(&'static str, &[&str])], samples: Vec<Sample>) -> String {
        colourless(&plan(&about(tasks), &planned(samples)))
    }

    fn everything() -> Vec<Sample> {
        let crd = Address::new("apiextensions.k8s.io/v1/CustomResourceDefinition", "", "rollouts.argoproj.io");
        let release = Address::new("helm/Release", "codefresh", "cf-gitops-runtime");
        let image = moved("spec.containers[app].image", json!("quay.io/app:1.0"), json!("quay.io/app:1.1"));
        let hidden = sample(
            "chart",
            Address::new("argoproj.io/v1alpha1/AppProject", "codefresh", "default"),
            Change::of(Action::Create),
        );
        vec![
            Sample {
                id: ResourceId { address: crd.clone(), part: Part::Adoption },
                ..sample("crd-adoption", crd.clone(), because(Action::Migrate, ""))
            },
            sample("namespace", Address::new("v1/Namespace", "", "codefresh"), Change::of(Action::Keep)),
            Sample {
                settings: json!({"chart": "gitops-runtime", "version": "0.14.0"}),
                ..sample("chart", release, because(Action::Update, "values changed"))
            },
            sample(
                "chart",
                deployment("app"),
                Change::of_fields(vec![image, FieldChange::new("spec.paused", None, Some(json!(true)))]),
            ),
            sample(
                "chart",
                core("Secret", "token"),
                Change::of_fields(vec![moved("data.token", json!("sealed:1"), json!("sealed:2"))]),
            ),
            sample("chart", core("Service", "app"), because(Action::Replace, "spec.clusterIP cannot be changed")),
            sample("chart", core("ConfigMap", "old"), because(Action::Delete, "no longer in the chart")),
            Sample { behind: Some(ResourceId::whole(crd)), ..hidden },
            sample("chart", core("ConfigMap", "new"), Change::of(Action::Create)),
            sample("chart", core("ConfigMap", "kept"), Change::of(Action::Keep)),
            sample(
                "chart",
                core("PersistentVolumeClaim", "data"),
                because(Action::Refuse, "replacing it deletes its data, and no rule of [policy] allows that"),
            ),
        ]
    }

    #[test]
    fn every_action_has_its_sign_its_reason_and_its_place_in_the_conclusion() {
        let tasks: [(_, &[&str]); 3] = [
            ("crd-adoption", &[]),
            ("namespace", &[]),
            ("chart", &["the chart looks up Secrets while it renders;\nthat is not evaluated in a plan"]),
        ];
        same_as_file("testdata/plan.txt", &shown(&tasks, everything()));
    }

    #[test]
    fn a_plan_in_step_says_so_and_nothing_else() {
        let kept = |name| sample("chart", core("ConfigMap", name), Change::of(Action::Keep));
        let text = shown(&[("chart", &[])], vec![kept("a"), kept("b")]);
        let expected = "\
codefresh on prod-us-east (uid 1f0c5d2a…)   2 objects, 19 requests, 71 ms

  chart  = 2

Nothing to do: 2 as they should be.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_others_wrote_cannot_play_with_the_terminal() {
        let name = "evil\u{1b}[2J\u{202e}";
        let field = moved("data[\u{1b}]", json!("\u{9b}31m"), json!("b\u{7}"));
        let text = plan(
            &about(&[("chart", &["remark\u{1b}[1m"])]),
            &planned(vec![sample(
                "chart",
                core("ConfigMap", name),
                Change::of_fields(vec![field]).because("why\u{1b}c"),
            )]),
        );
        let text = colourless(&text);
        assert!(
            !text.contains(|character: char| character != '\n' && crate::render::clean::is_hostile(character)),
            "{text:?}"
        );
        assert!(text.contains("ConfigMap codefresh/evil␛[2J\\u{202e}"), "{text}");
    }

    fn outcome_of(report: &Report, interrupted: bool, exit: Exit) -> String {
        let created = |name| sample("chart", core("ConfigMap", name), Change::of(Action::Create));
        outcome(&planned(vec![created("a"), created("b"), created("c")]), report, interrupted, exit)
    }

    #[test]
    fn the_outcome_counts_what_was_applied_and_what_was_not() {
        let done = Report { done: 3, ..Report::default() };
        assert_eq!(outcome_of(&done, false, Exit::Done), "Applied 3 of 3.\n");
        let id = |name| ResourceId::whole(core("ConfigMap", name));
        let failure = Failure { causes: Vec::new(), fault: Fault::World, hint: String::new() };
        let failed = vec![(id("a"), failure)];
        let partly = Report { done: 1, failed, skipped: vec![(id("b"), Because::Needs(id("a")))], ..Report::default() };
        assert_eq!(outcome_of(&partly, false, Exit::PartlyApplied), "Applied 1 of 3; 1 failed, 1 skipped. Exit 10.\n");
        let stopped = Report { skipped: vec![(id("b"), Because::Stopped)], ..done };
        let text = "Applied 3 of 3; 1 skipped. It was stopped before its end. Exit 130.\n";
        assert_eq!(outcome_of(&stopped, true, Exit::Interrupted), text);
        let left = Report { done: 1, not_awaited: 2, ..Report::default() };
        let text = "Applied 1 of 3; 2 written but not awaited. It was stopped before its end. Exit 130.\n";
        assert_eq!(outcome_of(&left, true, Exit::Interrupted), text);
    }

    #[test]
    fn a_release_that_is_recorded_as_failed_is_named_with_its_revision_and_counted_as_nothing_else() {
        let release = Address::new("helm/Release", "codefresh", "cf");
        let settings = json!({"next": {"revision": 4}});
        let steps = vec![
            Sample { settings, ..sample("chart", release.clone(), Change::of(Action::Update)) },
            sample("chart", core("ConfigMap", "a"), Change::of(Action::Create)),
        ];
        let id = ResourceId::whole(core("ConfigMap", "a"));
        let failure = Failure { causes: Vec::new(), fault: Fault::World, hint: String::new() };
        let closed = vec![(ResourceId::whole(release), Because::Needs(id.clone()))];
        let report = Report { failed: vec![(id, failure)], closed_as_failed: closed, ..Report::default() };
        let text = outcome(&planned(steps), &report, false, Exit::Failed);
        assert_eq!(
            text,
            "Applied 0 of 2; 1 failed. Release codefresh/cf is recorded as failed (revision 4). Exit 1.\n"
        );
    }
}
