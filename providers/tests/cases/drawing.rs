//! The answer of each stage as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cfrt_engine::change::{Action, FieldChange};
use cfrt_engine::compile::{Expanded, Tasks};
use cfrt_engine::driver::DriverError;
use cfrt_engine::event::{Because, Event, Failure, Outcome};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::report::Report;
use cfrt_engine::resource::{Need, Resource, Trigger, Want};
use cfrt_engine::source::{Mistakes, Sources, Span};
use serde_json::Value;

/// Each mistake as `FILE:LINE:COLUMN what (label)`.
pub(crate) fn mistakes(sources: &Sources, Mistakes(mistakes): &Mistakes) -> String {
    let place = |span: &Span| {
        let (source, range) = sources.locate(span).expect("a mistake is in a text");
        let before = &source.text[..range.start];
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        format!("{}:{}:{column}", source.path.display(), before.matches('\n').count() + 1)
    };
    let mut text = String::new();
    for mistake in mistakes {
        writeln!(text, "error: {} {} ({})", place(&mistake.at), mistake.what, mistake.label).expect("a text grows");
        if let Some((at, words)) = &mistake.beside {
            writeln!(text, "       {} ({words})", place(at)).expect("a text grows");
        }
    }
    text
}

pub(crate) fn error(error: &DriverError) -> String {
    format!("error: {}\n", failure(&error.chain(), &error.hint))
}

fn failure(causes: &[String], hint: &str) -> String {
    let hint = if hint.is_empty() { String::new() } else { format!("\n  hint: {hint}") };
    format!("{}{hint}", causes.join(": "))
}

/// Each task with those that it comes after, and what it asks.
pub(crate) fn tasks(tasks: &Tasks) -> String {
    let mut text = String::new();
    for entry in &tasks.entries {
        writeln!(text, "{}{}", entry.id, listed("  after ", entry.after.iter())).expect("a text grows");
        for question in entry.task.questions() {
            let about = serde_json::to_string_pretty(&question.about).expect("JSON can be written");
            writeln!(text, "  asks {}: {}", question.driver, about.replace('\n', "\n  ")).expect("a text grows");
        }
    }
    text
}

fn listed<T: ToString>(before: &str, items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { String::new() } else { format!("{before}{}", items.join(", ")) }
}

pub(crate) fn notes(tasks: &[Expanded]) -> String {
    let remarks = tasks.iter().flat_map(|task| task.expansion.remarks.iter().map(move |remark| (&task.id, remark)));
    remarks.map(|(task, remark)| format!("note on {task}: {remark}\n")).collect()
}

/// The resources in order with their needs; those in a bracket below its owner, behind the number of their phase.
pub(crate) fn graph(graph: &ResourceGraph) -> String {
    let mut text = String::new();
    for index in graph.resource_order().filter(|index| graph.scope_around(*index).is_none()) {
        let resource = &graph.resources()[index];
        writeln!(text, "{}: {}", resource.task, drawn(resource)).expect("a text grows");
        let phases = graph.owned_scope(index).map(|scope| &graph.scopes()[scope].phases);
        for (number, phase) in phases.into_iter().flatten().enumerate() {
            for member in phase {
                writeln!(text, "  [{}] {}", number + 1, drawn(&graph.resources()[*member])).expect("a text grows");
            }
        }
    }
    text
}

fn drawn(resource: &Resource) -> String {
    let want = match resource.want {
        Want::Present(_) => "",
        Want::Existing(_) => ", at least existing",
        Want::Absent => ", absent",
    };
    let with = match &resource.trigger {
        Trigger::Differs => String::new(),
        Trigger::With(leader) => format!(", with {leader}"),
    };
    let needs = resource.needs.iter().map(|need| match need {
        Need::Resource(id) => id.to_string(),
        Need::Task(id) => format!("task {id}"),
    });
    format!("{} {}{want}{with}{}", resource.driver, resource.id, listed(", needs ", needs))
}

/// Each step in order, with the fields that move.
pub(crate) fn plan(plan: &Plan) -> String {
    let counts = Action::ALL.into_iter().filter(|action| plan.count(*action) > 0);
    let counts = counts.map(|action| format!("{} {}", plan.count(action), word(action)));
    plan.in_order().map(step).collect::<String>() + &listed("", counts) + "\n"
}

fn step(step: &Step) -> String {
    let reason = listed(": ", Some(&step.change.reason).filter(|reason| !reason.is_empty()).into_iter());
    let fields: String = step.change.fields.iter().map(field).collect();
    format!("{} {}{reason}\n{fields}", word(step.change.action), step.resource.id)
}

fn field(FieldChange { path, before, after, .. }: &FieldChange) -> String {
    let value = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
    format!("    {path}: {} to {}\n", value(before), value(after))
}

fn word(action: Action) -> String {
    format!("{action:?}").to_lowercase()
}

pub(crate) fn events(events: &[Event]) -> String {
    events.iter().map(|told| event(told) + "\n").collect()
}

fn event(event: &Event) -> String {
    match event {
        Event::Started { resource, action, .. } => format!("started {resource}: {}", word(*action)),
        Event::Revealed { resource, change } => format!("revealed {resource}: {}", word(change.action)),
        Event::Waiting { resource, lacking, .. } => format!("waiting {resource}: {lacking}"),
        Event::Finished { resource, outcome, .. } => match outcome {
            Outcome::Done => format!("done {resource}"),
            Outcome::Unchanged => format!("unchanged {resource}"),
            Outcome::Failed(Failure { causes, hint, .. }) => format!("failed {resource}: {}", failure(causes, hint)),
            Outcome::NotAwaited => format!("not awaited {resource}"),
            Outcome::ClosedAsFailed(because) => format!("closed as failed {resource}: {}", why(because)),
            Outcome::Skipped(because) => format!("skipped {resource}: {}", why(because)),
        },
    }
}

fn why(because: &Because) -> String {
    match because {
        Because::Needs(id) => format!("{id} failed"),
        Because::Stopped => "stopped".to_owned(),
    }
}

/// What came of it, and what a second run would do.
pub(crate) fn report(report: &Report, again: Option<&Plan>) -> String {
    let Report { done, unchanged, not_awaited: _, failed, closed_as_failed, skipped, stopped: _ } = report;
    let mut text = format!("{done} done, {unchanged} unchanged, {} failed, {} skipped\n", failed.len(), skipped.len());
    for (resource, Failure { causes, fault, hint }) in failed {
        writeln!(text, "failed {resource} ({fault:?}): {}", failure(causes, hint)).expect("a text grows");
    }
    for (resource, because) in closed_as_failed {
        writeln!(text, "closed as failed {resource}: {}", why(because)).expect("a text grows");
    }
    for (resource, because) in skipped {
        writeln!(text, "skipped {resource}: {}", why(because)).expect("a text grows");
    }
    let acting = |plan: &Plan| {
        let acting = plan.in_order().filter(|step| step.change.action != Action::Keep).map(step).collect::<String>();
        if acting.is_empty() { "keeps everything\n".to_owned() } else { acting }
    };
    text + "\nonce more:\n" + &again.map_or_else(|| "no plan\n".to_owned(), acting)
}

/// What became of each thing in the world, leaf by leaf.
pub(crate) fn world(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> String {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut text = String::new();
    for name in names {
        let (was, is) = (before.get(name), after.get(name));
        let sign = match (was, is) {
            (Some(was), Some(is)) if was == is => "=",
            (Some(_), Some(_)) => "~",
            (None, _) => "+",
            (_, None) => "-",
        };
        writeln!(text, "{sign} {name}").expect("a text grows");
        let [was, is] = [was.filter(|_| is.is_some()), is].map(|thing| leaves("", thing.unwrap_or(&Value::Null)));
        was.difference(&is).for_each(|leaf| writeln!(text, "    - {leaf}").expect("a text grows"));
        is.difference(&was).for_each(|leaf| writeln!(text, "    + {leaf}").expect("a text grows"));
    }
    text
}

fn leaves(path: &str, value: &Value) -> BTreeSet<String> {
    match value {
        Value::Null => BTreeSet::new(),
        Value::Object(members) => members
            .iter()
            .filter(|(key, _)| !(path.is_empty() && matches!(key.as_str(), "apiVersion" | "kind")))
            .flat_map(|(key, value)| leaves(&format!("{path}{}{key}", if path.is_empty() { "" } else { "." }), value))
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            BTreeSet::from([format!("{path}: {value}")])
        }
    }
}
