//! The judge of every apply: nothing is written that the plan has not announced, and all that it has.

use super::audit::{self, Event};
use super::plan::{Plan, Step};
use super::process::Ran;
use super::scenario::Scenario;
use super::world::moved;

pub(crate) mod announced;
mod body;
mod bookkeeping;
pub(crate) mod lifetime;
mod rendered;

use announced::{Objects, objects, unversioned};

/// What an apply did.
pub(crate) struct Judged {
    /// The plan that was made just before.
    pub(crate) plan: Plan,
    /// What the apply says of each step.
    pub(crate) applied: Plan,
    /// How it ended.
    pub(crate) ran: Ran,
    /// What it asked of the server.
    pub(crate) events: Vec<Event>,
    /// The release.
    pub(crate) release: String,
}

/// Applies, and holds what was written against the plan.
#[track_caller]
pub(crate) fn apply(scenario: &Scenario) -> Judged {
    apply_by(scenario, || scenario.apply())
}

/// The same of an apply that is carried out in a special way.
#[track_caller]
pub(crate) fn apply_by(scenario: &Scenario, apply: impl FnOnce() -> (Plan, Ran)) -> Judged {
    let mark = audit::mark();
    let (applied, ran) = apply();
    let announced = scenario.runs().pop().expect("every apply is announced");
    let mut events = audit::since(mark, scenario);
    events.retain(|event| announced.was_at_work(event));
    let plan = announced.plan.clone();
    let release = scenario.release.clone();
    let judged = Judged { plan, applied, ran, events, release };
    bookkeeping::judge(&judged);
    judged.announced();
    if judged.ran.code == 0 {
        judged.complete();
    }
    judged.only_these_fields(&announced.before, &objects(scenario, &judged.plan));
    judged
}

impl Judged {
    /// Itself, having ended well.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.ran.code, 0, "{}\nrefused: {:#?}", self.ran, self.plan.refused());
        self
    }

    /// Itself, having ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.ran.code, code, "{}", self.ran);
        self
    }

    /// The requests that were to change something, but for our own books, which are judged by themselves, and the key of plan
    /// files.
    pub(crate) fn writes(&self) -> Vec<&Event> {
        let kept = |event: &&Event| event.is_last_apply() || event.is_key() || event.is_book(&self.release);
        audit::mutating(&self.events).into_iter().filter(|event| !kept(event)).collect()
    }

    /// The requests that were to change something, but for release records.
    pub(crate) fn writes_of_objects(&self) -> Vec<String> {
        self.writes().into_iter().filter(|event| !event.is_record()).map(Event::told).collect()
    }

    /// What was written that the plan doesn't say.
    pub(crate) fn unannounced(&self) -> Vec<String> {
        let records = self.plan.writing().any(|step| step.address.starts_with("Release "));
        let adopts = self.plan.writing().any(|step| step.part.as_deref() == Some("adoption"));
        let announced = |event: &&&Event| {
            (event.is_record() && records)
                || (event.is_undo_record() && adopts)
                || self.plan.steps.iter().any(|step| announces(step, event))
        };
        let writes = self.writes();
        writes.iter().filter(|event| !announced(event)).map(|event| event.told()).collect()
    }

    #[track_caller]
    fn announced(&self) {
        let unannounced = self.unannounced();
        assert!(unannounced.is_empty(), "written, and not announced: {unannounced:#?}");
        let remembered = audit::mutating(&self.events).iter().filter(|event| event.is_last_apply()).count();
        let wrote = self.ran.code == 0 && self.plan.writing().next().is_some();
        let keys = audit::mutating(&self.events).iter().filter(|event| event.is_key()).count();
        assert!(keys <= 1, "one key is enough");
        assert!(remembered <= 1 && (remembered == 1 || !wrote), "an apply that ended well is written down once");
    }

    #[track_caller]
    fn complete(&self) {
        let writes = self.writes();
        let written =
            |step: &&Step| step.address.starts_with("Release ") || writes.iter().any(|event| announces(step, event));
        let missing: Vec<String> = self.plan.writing().filter(|step| !written(step)).map(Step::told).collect();
        assert!(missing.is_empty(), "announced, and not written: {missing:#?}");
    }

    #[track_caller]
    fn only_these_fields(&self, before: &Objects, after: &Objects) {
        for step in self.plan.steps.iter().filter(|step| matches!(step.action.as_str(), "update" | "migrate" | "keep"))
        {
            let (Some(before), Some(after)) =
                (before.get(&unversioned(&step.address)), after.get(&unversioned(&step.address)))
            else {
                continue;
            };
            // Several steps may have to do with one object, each with a part of it.
            let fields =
                || self.plan.steps.iter().filter(|other| other.address == step.address).flat_map(|one| &one.fields);
            let named =
                |place: &&String| fields().any(|field| lies_in(place, &field.path) || lies_in(&field.path, place));
            let moved = moved(before, after);
            let unnamed: Vec<&String> = moved.iter().filter(|place| !named(place)).collect();
            assert!(unnamed.is_empty(), "{} moved, and not named: {unnamed:#?}; named: {}", step.address, step.told());
        }
    }
}

/// Whether a step says that this request will be sent.
fn announces(step: &Step, event: &Event) -> bool {
    let fits = match step.action.as_str() {
        // What its policy says of a hook that has run is done by the run that goes on.
        "keep" => {
            step.is_hook() && step.reason.ends_with("ran in the run that was broken off") && event.verb() == "delete"
        }
        "refuse" => false,
        _ if step.is_hook() => matches!(event.verb(), "create" | "patch" | "delete"),
        "create" => matches!(event.verb(), "create" | "patch"),
        "update" | "migrate" => event.verb() == "patch",
        "replace" => matches!(event.verb(), "create" | "patch" | "delete"),
        "delete" => event.verb() == "delete",
        _ => false,
    };
    fits && event.is_about(&step.address)
}

/// Whether a field is another one, or lies below it; `data.ab` doesn't lie in `data.a`.
fn lies_in(field: &str, place: &str) -> bool {
    field.strip_prefix(place).is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
}
