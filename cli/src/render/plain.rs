//! Events to plain lines for a log: what starts and what ends, and every half minute what is waited for.

use std::time::Duration;

use cfrt_engine::event::{Because, Event, Outcome};
use cfrt_engine::plan::Plan;

use crate::render::clean::clean;
use crate::render::under_way::{Entry, Stage, UnderWay};
use crate::render::words::{Verbs, name};

/// How often a log is told what is waited for.
const PERIOD: Duration = Duration::from_secs(30);
/// How many of them are named; the others are counted.
const NAMED: usize = 3;

/// What a log is told of a run.
pub(super) struct Plain {
    verbs: Verbs,
    under_way: UnderWay,
    /// When the next line about waiting is due.
    due: Duration,
}

impl Plain {
    /// Begins to tell of a plan being carried out.
    pub(super) fn new(plan: &Plan) -> Self {
        Self { verbs: Verbs::new(plan), under_way: UnderWay::new(plan), due: PERIOD }
    }

    /// The line about an event: one when a step that acts starts, and one when it ends.
    pub(super) fn take(&mut self, event: &Event, now: Duration) -> Option<String> {
        self.under_way.take(event, now);
        match event {
            Event::Started { resource, task, action } => {
                Some(format!("{task}: {}\n", self.verbs.acting(resource, *action)))
            }
            Event::Finished { resource, task, action, outcome } => {
                let verbs = &self.verbs;
                let words = match outcome {
                    Outcome::Done if action.writes() => verbs.acted(resource, *action),
                    Outcome::Done | Outcome::Unchanged => return None,
                    Outcome::NotAwaited => format!("{}, not awaited", verbs.written(resource, *action)),
                    Outcome::Failed(_) => format!("failed {}", verbs.object(resource)),
                    Outcome::ClosedAsFailed(_) => format!("closed {} as failed", verbs.object(resource)),
                    Outcome::Skipped(Because::Needs(id)) => {
                        format!("skipped {}, which needs {}", verbs.object(resource), name(id))
                    }
                    Outcome::Skipped(Because::Stopped) => format!("skipped {}", verbs.object(resource)),
                };
                Some(format!("{task}: {words}\n"))
            }
            Event::Revealed { .. } | Event::Waiting { .. } => None,
        }
    }

    /// The line about what is waited for, when one is due: the longest first.
    pub(super) fn tick(&mut self, now: Duration) -> Option<String> {
        if now < self.due {
            return None;
        }
        self.due = now + PERIOD;
        let entries = &self.under_way.entries;
        let mut parts: Vec<String> = entries.iter().take(NAMED).map(|entry| self.waiting(entry, now)).collect();
        if entries.len() > NAMED {
            parts.push(format!("and {} more", entries.len() - NAMED));
        }
        (!parts.is_empty()).then(|| format!("waiting: {}\n", parts.join(", ")))
    }

    fn waiting(&self, Entry { id, since, stage }: &Entry, now: Duration) -> String {
        let lacking = match stage {
            Stage::Acting(action) => format!("{} it", self.verbs.doing(id, *action)),
            Stage::Waiting(lacking) => clean(lacking).into_owned(),
        };
        format!("{} for {} ({lacking})", name(id), time(now.saturating_sub(*since)))
    }
}

/// A time as people say it: `28 s`, `12 min 5 s`.
fn time(span: Duration) -> String {
    match (span.as_secs() / 60, span.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use cfrt_engine::change::{Action, Change};
    use cfrt_engine::driver::Fault;
    use cfrt_engine::event::Failure;
    use cfrt_engine::resource::{Part, ResourceId, Trigger};

    use super::*;
    use crate::render::samples::{core, plan, sample, task};

    fn id(name: &str) -> ResourceId {
        ResourceId::whole(core("ConfigMap", name))
    }

    fn hook() -> ResourceId {
        ResourceId { address: core("Job", "migrate"), part: Part::Fields("pre-install") }
    }

    /// Four objects, and a hook that runs with the first.
    fn five() -> Plain {
        let created = |name| sample("chart", core("ConfigMap", name), Change::of(Action::Create));
        let mut samples: Vec<_> = ["a", "b", "c", "d"].map(created).into();
        samples.push(crate::render::samples::Sample { id: hook(), ..created("migrate") });
        let mut plan = plan(samples);
        let step = plan.steps.last_mut().expect("there are five");
        let mut resource = (*step.resource).clone();
        resource.trigger = Trigger::With(id("a"));
        step.resource = resource.into();
        Plain::new(&plan)
    }

    fn started(resource: ResourceId) -> Event {
        Event::Started { resource, task: task("chart"), action: Action::Create }
    }

    fn lacking(name: &str, lacking: &str) -> Event {
        Event::Waiting { resource: id(name), task: task("chart"), lacking: lacking.to_owned() }
    }

    fn ended(resource: ResourceId, action: Action, outcome: Outcome) -> Event {
        Event::Finished { resource, task: task("chart"), action, outcome }
    }

    fn told(event: &Event) -> String {
        five().take(event, Duration::ZERO).unwrap_or_default()
    }

    #[test]
    fn a_step_that_acts_is_told_when_it_starts_and_how_it_ends() {
        let create = |outcome| told(&ended(id("a"), Action::Create, outcome));
        assert_eq!(told(&started(id("a"))), "chart: creating ConfigMap codefresh/a\n");
        assert_eq!(create(Outcome::Done), "chart: created ConfigMap codefresh/a\n");
        let failure = Failure { causes: Vec::new(), fault: Fault::World, hint: String::new() };
        assert_eq!(create(Outcome::Failed(failure)), "chart: failed ConfigMap codefresh/a\n");
        let needs = Outcome::Skipped(Because::Needs(id("b")));
        assert_eq!(create(needs), "chart: skipped ConfigMap codefresh/a, which needs ConfigMap codefresh/b\n");
        assert_eq!(create(Outcome::Skipped(Because::Stopped)), "chart: skipped ConfigMap codefresh/a\n");
        let deleted = |event: &Event| told(event);
        assert_eq!(deleted(&ended(id("a"), Action::Delete, Outcome::Done)), "chart: deleted ConfigMap codefresh/a\n");
        assert_eq!(told(&ended(id("a"), Action::Keep, Outcome::Unchanged)), "");
        assert_eq!(told(&lacking("a", "1 of 3")), "");
    }

    #[test]
    fn a_bracket_that_failed_inside_is_closed_as_failed_and_not_skipped() {
        let closed = Outcome::ClosedAsFailed(Because::Needs(id("b")));
        let line = told(&ended(id("a"), Action::Create, closed));
        assert_eq!(line, "chart: closed ConfigMap codefresh/a as failed\n");
    }

    #[test]
    fn what_is_left_by_an_interrupt_is_told_as_not_awaited() {
        let left = |id| told(&ended(id, Action::Create, Outcome::NotAwaited));
        assert_eq!(left(id("a")), "chart: created ConfigMap codefresh/a, not awaited\n");
        assert_eq!(left(hook()), "chart: started hook Job codefresh/migrate (pre-install), not awaited\n");
    }

    #[test]
    fn a_hook_runs() {
        assert_eq!(told(&started(hook())), "chart: running hook Job codefresh/migrate (pre-install)\n");
        let done = ended(hook(), Action::Create, Outcome::Done);
        assert_eq!(told(&done), "chart: ran hook Job codefresh/migrate (pre-install)\n");
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn every_half_minute_a_log_is_told_what_is_waited_for_since_when_and_what_it_lacks() {
        let mut plain = five();
        assert_eq!(plain.tick(at(30)), None, "nothing is waited for");
        plain.take(&started(id("a")), at(31));
        plain.take(&started(id("b")), at(35));
        plain.take(&lacking("b", "0 of 2 ready"), at(36));
        plain.take(&lacking("b", "1 of 2 ready"), at(58));
        assert_eq!(plain.tick(at(59)), None, "half a minute is not over");
        let line = plain.tick(at(60)).unwrap_or_default();
        assert_eq!(
            line,
            "waiting: ConfigMap codefresh/a for 29 s (creating it), ConfigMap codefresh/b for 25 s (1 of 2 ready)\n"
        );
        plain.take(&ended(id("a"), Action::Create, Outcome::Done), at(61));
        assert_eq!((plain.tick(at(61)), plain.tick(at(89))), (None, None));
        let line = plain.tick(at(95)).unwrap_or_default();
        assert_eq!(line, "waiting: ConfigMap codefresh/b for 1 min 0 s (1 of 2 ready)\n");
        plain.take(&ended(id("b"), Action::Create, Outcome::Done), at(96));
        assert_eq!(plain.tick(at(200)), None);
    }

    #[test]
    fn what_is_waited_for_besides_the_longest_is_counted() {
        let mut plain = five();
        for name in ["d", "c", "b", "a"] {
            plain.take(&lacking(name, "no\u{1b}thing"), at(1));
        }
        plain.take(&started(hook()), at(2));
        let line = plain.tick(at(40)).unwrap_or_default();
        assert!(
            line.starts_with("waiting: ConfigMap codefresh/d for 39 s (no␛thing), ConfigMap codefresh/c "),
            "{line}"
        );
        assert!(line.ends_with("ConfigMap codefresh/b for 39 s (no␛thing), and 2 more\n"), "{line}");
    }
}
