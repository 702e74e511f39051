//! The judge of a whole scenario: every write of ours in it is one that a run which was at work then had announced.
//!
//! It sits where every scenario ends, so that no run escapes it: those that are killed, interrupted or refused, that go through
//! faults or under another account. A request whose body was never read, for want of rights or because its
//! sender was killed, wrote nothing: it is the only one that isn't looked at. Where two runs are at work at once, either may have announced a write.

use crate::common::audit::{self, Event};
use crate::common::scenario::Scenario;

/// Holds everything that was written in a scenario against what its runs announced.
pub(crate) fn judge(scenario: &Scenario) {
    let events = audit::since(scenario.began(), scenario);
    let wrong: Vec<String> = audit::mutating(&events)
        .into_iter()
        .filter(|event| !is_unread(event))
        .filter_map(|event| objection(scenario, event))
        .collect();
    assert!(wrong.is_empty(), "written in {}, and not announced:\n{}", scenario.namespace, wrong.join("\n"));
}

/// Whether the server did nothing since it never had a request's body.
fn is_unread(event: &Event) -> bool {
    !event.succeeded() && event.0["requestObject"].is_null()
}

/// What speaks against a write; nothing where a run that was at work had announced it.
fn objection(scenario: &Scenario, event: &Event) -> Option<String> {
    let runs = scenario.runs();
    let mut against = vec!["by a run that announces nothing".to_owned()];
    for run in runs.iter().filter(|run| run.was_at_work(event)) {
        against.push(run.allows(event).err()?);
    }
    Some(format!("{}, {}: {}", event.told(), event.span().0, against.last().map_or("", String::as_str)))
}
