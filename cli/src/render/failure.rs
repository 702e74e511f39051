//! What went wrong to text: what was being done, why it failed, and what to do about it.

use std::error::Error;
use std::fmt::Write as _;

use cfrt_engine::change::Action;
use cfrt_engine::event::Failure;
use cfrt_engine::plan::Plan;
use cfrt_engine::report::Report;
use cfrt_engine::resource::ResourceId;

use crate::hints;
use crate::render::clean::clean_lines;
use crate::render::mistakes;
use crate::render::words::{ERROR, HINT, name, paint, plural};
use crate::trouble::Trouble;

/// How many lines of one cause are shown: a failed helm can say a lot.
const MOST_LINES: usize = 40;

/// What ended a run before it was through.
pub(crate) fn trouble(trouble: &Trouble) -> String {
    if let Trouble::Mistaken { sources, mistakes } = trouble {
        return mistakes::text(sources, mistakes);
    }
    let mut causes = Vec::new();
    let mut next: Option<&dyn Error> = Some(trouble);
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    block(&causes, hints::of_trouble(trouble).as_deref())
}

/// That a plan has steps which may not be carried out; empty where it has none.
pub(crate) fn refused(plan: &Plan) -> String {
    let count = plan.count(Action::Refuse);
    if count == 0 {
        return String::new();
    }
    let what = format!("{} of this plan may not be carried out, so none of it is", plural(count, "step"));
    block(&[what], Some(hints::REFUSED))
}

/// Every step of a report that failed.
pub(crate) fn report(report: &Report) -> String {
    report.failed.iter().map(|(id, failure)| failed(id, failure)).collect()
}

fn failed(id: &ResourceId, failure: &Failure) -> String {
    let about = name(id);
    let mut causes = failure.causes.clone();
    // The first line must say which resource it is about, whatever the driver was doing.
    if !causes.first().is_some_and(|first| first.contains(&about)) {
        causes.insert(0, about);
    }
    block(&causes, hints::of_fault(failure.fault, &failure.hint).as_deref())
}

fn block(causes: &[String], hint: Option<&str>) -> String {
    let mut text = String::new();
    let error = paint(ERROR, "error");
    for (number, cause) in causes.iter().enumerate() {
        let head = if number == 0 { format!("{error}: ") } else { "  caused by: ".to_owned() };
        paragraph(&mut text, &head, cause);
    }
    if let Some(hint) = hint {
        paragraph(&mut text, &format!("{}: ", paint(HINT, "hint")), hint);
    }
    text
}

/// A foreign text behind its heading; what has more lines goes on below, indented.
fn paragraph(text: &mut String, head: &str, words: &str) {
    let lines: Vec<_> = clean_lines(words).collect();
    for (number, line) in lines.iter().take(MOST_LINES).enumerate() {
        let head = if number == 0 { head } else { "    " };
        writeln!(text, "{head}{line}").unwrap_or_default();
    }
    if lines.len() > MOST_LINES {
        writeln!(text, "    … {} more lines", lines.len() - MOST_LINES).unwrap_or_default();
    }
}
