//! A plan to the text that people read.

use std::fmt::Write as _;

use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::report::Report;

use crate::exit::Exit;
use crate::pipeline::{About, TaskNote};
use crate::render::clean::{clean, clean_lines};
use crate::render::fields;
use crate::render::words::{DIM, Mark, hidden_behind, name, paint, plural};

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
    lines.push(conclusion(plan));
    lines.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{}", line.trim_end()).unwrap_or_default();
        text
    })
}

/// What came of carrying a plan out, in one line.
pub(crate) fn outcome(plan: &Plan, report: &Report, interrupted: bool, exit: Exit) -> String {
    let writing = plan.steps.iter().filter(|step| step.change.action.writes()).count();
    let mut line = format!("Applied {} of {writing}", report.done);
    let counts = [(report.failed.len(), "failed"), (report.skipped.len(), "skipped")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if !counts.is_empty() {
        line.push_str(&format!("; {}", counts.join(", ")));
    }
    line.push('.');
    if interrupted {
        line.push_str(" It was stopped before its end.");
    }
    if exit != Exit::Done {
        line.push_str(&format!(" Exit {}.", exit.code()));
    }
    line.push('\n');
    line
}

fn header(about: &About, plan: &Plan) -> Vec<String> {
    let (runtime, target) = (about.facts.runtime.name.get_ref().as_str(), &about.target);
    let mut parts = vec![format!("{runtime} on {} (uid {})", clean(&target.context), shortened(&target.uid))];
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

fn shortened(uid: &str) -> String {
    let short: String = uid.chars().take(8).collect();
    let more = if short.len() < uid.len() { "…" } else { "" };
    format!("{}{more}", clean(&short))
}

/// The chart that a release step is about, as its driver's settings name it.
fn chart(step: &Step) -> Option<String> {
    let setting = |key| step.resource.settings.get(key)?.as_str();
    let (name, version) = (setting("chart")?, setting("version")?);
    Some(format!("chart {} {}", clean(name), clean(version)))
}

fn block(task: &TaskNote, plan: &Plan, widest: usize) -> Vec<String> {
    let steps: Vec<&Step> = plan.in_order().filter(|step| step.resource.task == task.id).collect();
    let mut lines = vec![format!("  {:<widest$}  {}", clean(&task.id.to_string()), summary(&steps))];
    let acting = steps.into_iter().filter(|step| Mark::of(step) != Mark::Keep);
    lines.extend(acting.flat_map(entry));
    lines
}

fn summary(steps: &[&Step]) -> String {
    if let [only] = steps
        && Mark::of(only) == Mark::Keep
    {
        return format!("{} {}", Mark::Keep.painted(), name(&only.resource.id));
    }
    let count = |mark| steps.iter().filter(|step| Mark::of(step) == mark).count();
    let kept = count(Mark::Keep);
    if kept == steps.len() {
        return format!("{} {kept}", Mark::Keep.painted());
    }
    let acting = Mark::ALL.into_iter().filter(|mark| *mark != Mark::Keep && count(*mark) > 0);
    let acting: Vec<String> = acting.map(|mark| format!("{} {}", mark.painted(), count(mark))).collect();
    let of_all = if kept > 0 { format!(" of {}", steps.len()) } else { String::new() };
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
        _ => step.change.reason.clone(),
    }
}

fn note(remark: &str) -> Vec<String> {
    let line = |(number, line): (usize, std::borrow::Cow<'_, str>)| {
        if number == 0 { format!("note: {line}") } else { format!("      {line}") }
    };
    clean_lines(remark).enumerate().map(line).collect()
}

fn conclusion(plan: &Plan) -> String {
    let count = |mark| plan.steps.iter().filter(|step| Mark::of(step) == mark).count();
    if count(Mark::Keep) == plan.steps.len() {
        return format!("Nothing to do: {}.", Mark::Keep.counted(plan.steps.len()));
    }
    let counted = Mark::ALL.into_iter().filter(|mark| count(*mark) > 0).map(|mark| mark.counted(count(mark)));
    let harmless = count(Mark::Delete) + count(Mark::Replace) == 0;
    let comfort = if harmless { " Nothing is deleted or replaced." } else { "" };
    format!("Plan: {}.{comfort}", counted.collect::<Vec<_>>().join(", "))
}
