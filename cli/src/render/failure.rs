//! What went wrong to text: what was being done, why it failed, and what to do about it.

use std::error::Error;
use std::fmt::Write as _;

use cfrt_engine::change::Action;
use cfrt_engine::event::{Failure, without_repetition};
use cfrt_engine::plan::Plan;
use cfrt_engine::report::Report;
use cfrt_engine::resource::ResourceId;

use crate::hints;
use crate::render::clean::{clean_lines, without_numbers};
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
    if let Trouble::Interrupted = trouble {
        return format!("{trouble}\n");
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

/// Every step of a report that failed, and once what to do where nothing better is known.
pub(crate) fn report(report: &Report) -> String {
    let advised = |failure: &Failure| hints::of_fault(failure.fault, &failure.hint).is_some();
    let blocks: Vec<String> = report.failed.iter().map(|(id, failure)| failed(id, failure)).collect();
    let again = report.failed.iter().any(|(_, failure)| !advised(failure)).then(|| hint(hints::AGAIN));
    // What is about several stands apart from the last of them.
    let apart = if blocks.len() > 1 && again.is_some() { "\n" } else { "" };
    format!("{}{apart}{}", blocks.join("\n"), again.unwrap_or_default())
}

fn failed(id: &ResourceId, failure: &Failure) -> String {
    let (short, about) = (id.address.short().to_string(), name(id));
    let mut causes = failure.causes.clone();
    // The first line must say which resource, and which part of it, it is about, whatever the driver was doing.
    match causes.first_mut() {
        Some(first) if first.contains(&about) => {}
        Some(first) if first.contains(&short) => *first = first.replacen(&short, &about, 1),
        Some(_) | None => causes.insert(0, about),
    }
    block(&causes, hints::of_fault(failure.fault, &failure.hint).as_deref())
}

fn block(causes: &[String], advice: Option<&str>) -> String {
    let mut text = String::new();
    let mut head = format!("{}: ", paint(ERROR, "error"));
    for cause in without_repetition(causes) {
        paragraph(&mut text, &head, &without_numbers(cause));
        head = "  caused by: ".to_owned();
    }
    text + &advice.map(hint).unwrap_or_default()
}

fn hint(advice: &str) -> String {
    let mut text = String::new();
    paragraph(&mut text, &format!("{}: ", paint(HINT, "hint")), advice);
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

#[cfg(test)]
mod tests {
    use std::io;

    use cfrt_engine::driver::{DriverError, Fault};
    use cfrt_engine::event::Because;
    use cfrt_engine::graph::GraphError;
    use cfrt_engine::resource::Part;

    use super::*;
    use crate::render::samples::{colourless, core, deployment, plan, sample};

    fn failure(causes: &[&str], fault: Fault, hint: &str) -> Failure {
        Failure { causes: causes.iter().map(|cause| (*cause).to_owned()).collect(), fault, hint: hint.to_owned() }
    }

    #[test]
    fn an_error_of_the_world_has_its_causes_and_its_hint() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let error = DriverError::new("connecting to prod-us-east", refused).hint("is the VPN up?");
        let expected = "\
error: connecting to prod-us-east
  caused by: connection refused
hint: is the VPN up?
";
        assert_eq!(colourless(&trouble(&Trouble::World(error))), expected);
    }

    #[test]
    fn a_circle_is_shown_whole() {
        let circle = GraphError::Circle(["a", "b", "a"].map(str::to_owned).to_vec());
        let expected = "\
error: putting the resources in order
  caused by: these need each other in a circle: a → b → a
hint: take one of these needs away, so that one of them can be first
";
        assert_eq!(colourless(&trouble(&Trouble::Graph(circle))), expected);
    }

    #[test]
    fn a_failed_step_names_its_resource_even_where_its_driver_does_not() {
        let id = ResourceId::whole(deployment("app"));
        let said = failure(&["waiting for Deployment codefresh/app", "ImagePullBackOff"], Fault::World, "mend the tag");
        let silent = failure(&["sending a patch", "denied:\n  line two\u{1b}"], Fault::Forbidden, "");
        let report = Report { failed: vec![(id.clone(), said), (id, silent)], ..Report::default() };
        let expected = "\
error: waiting for Deployment codefresh/app
  caused by: ImagePullBackOff
hint: mend the tag

error: Deployment codefresh/app
  caused by: sending a patch
  caused by: denied:
      line two␛
hint: `kubectl auth can-i --list` shows what you may do there
";
        assert_eq!(colourless(&self::report(&report)), expected);
    }

    #[test]
    fn what_to_do_next_is_said_once_where_nothing_better_is_known() {
        let id = |name| ResourceId::whole(deployment(name));
        let failed = ["a", "b"].map(|name| (id(name), failure(&["no answer"], Fault::World, "")));
        let skipped = vec![(id("c"), Because::Needs(id("a")))];
        let text = colourless(&report(&Report { failed: failed.to_vec(), skipped, ..Report::default() }));
        assert_eq!(text.matches("hint: mend the cause and run the same command again").count(), 1, "{text}");
        assert!(text.ends_with("is kept\n"), "{text}");
    }

    #[test]
    fn a_hook_that_failed_is_named_once_and_with_its_event() {
        let id = ResourceId { address: core("Job", "check"), part: Part::Fields("pre-install") };
        let said = failure(&["waiting for Job codefresh/check", "it failed"], Fault::World, "look");
        let text = colourless(&report(&Report { failed: vec![(id, said)], ..Report::default() }));
        let expected = "error: waiting for Job codefresh/check (pre-install)\n  caused by: it failed\nhint: look\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_hint_follows_what_it_is_about_and_one_for_several_stands_apart() {
        let id = |name| ResourceId::whole(deployment(name));
        let failed = |name| (id(name), failure(&["no answer"], Fault::World, ""));
        let shown = |failed| colourless(&report(&Report { failed, ..Report::default() }));
        let one = shown(vec![failed("a")]);
        assert!(one.starts_with("error: Deployment codefresh/a\n  caused by: no answer\nhint: "), "{one}");
        let two = shown(vec![failed("a"), failed("b")]);
        assert!(two.contains("no answer\n\nerror: Deployment codefresh/b\n  caused by: no answer\n\nhint: "), "{two}");
    }

    #[test]
    fn what_was_said_is_not_said_again() {
        let error = DriverError::new("rendering the chart", "rendering the chart: values don't fit");
        let text = colourless(&trouble(&Trouble::World(error)));
        assert_eq!(text, "error: rendering the chart\n  caused by: values don't fit\n");
    }

    #[test]
    fn a_very_long_cause_is_cut() {
        let long = (0..100).map(|line| format!("line {line}\n")).collect::<String>();
        let text = colourless(&trouble(&Trouble::World(DriverError::new("rendering the chart", long))));
        assert!(text.ends_with("    line 39\n    … 60 more lines\n"), "{text}");
    }

    #[test]
    fn a_plan_with_refused_steps_is_refused_and_any_other_is_not() {
        let step =
            |action| plan(vec![sample("chart", core("ConfigMap", "a"), cfrt_engine::change::Change::of(action))]);
        assert_eq!(refused(&step(Action::Delete)), "");
        let text = colourless(&refused(&step(Action::Refuse)));
        assert!(
            text.starts_with("error: 1 step of this plan may not be carried out, so none of it is\nhint: "),
            "{text}"
        );
    }
}
