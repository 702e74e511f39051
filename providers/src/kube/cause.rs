//! Tells from an object and what was seen around it why it isn't ready, whether that can heal, and what else would tell.

use std::cmp::Reverse;
use std::time::Duration;

use cfrt_engine::driver::{Evidence, Lack, Settled, Trouble};
use serde_json::Value;

use super::container::{State, state};
use super::earlier::{has_ended_again, is_old_news, was_there};
use super::parts::{is_in_the_way, kinds, runs_to_an_end};
use super::rejected::{Unanswered, for_good};
use super::said::line;

/// The kind under which the end of a container's log is kept beside the objects that were seen.
pub(crate) const LOG: &str = "Log";

/// How long statuses may leave it open why something is slow; most things just are.
const SLOW: Duration = Duration::from_secs(15);

/// The same where nothing has come into being at all.
const NOTHING: Duration = Duration::from_secs(2);

const IN_THE_WAY: &str = "; the pod is of an earlier revision, and a StatefulSet that goes in order replaces none that isn't ready: delete it";

/// Something that would tell more, and stands in no status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// What was said of an object, by its uid.
    Events(String),
    /// What a container of a pod wrote last, by their names.
    Log(String, String),
}

/// Adds to what a status says of readiness where it lacks and why, and finds out whether that can heal.
pub(crate) fn explained(settled: Settled, seen: &Evidence) -> Settled {
    match settled {
        Settled::Yes => Settled::Yes,
        Settled::Failed(trouble) if is_old_news(seen) => {
            let trouble = Some(with_found(trouble, seen));
            Settled::Waiting(Lack { how_far: "not tried again yet".to_owned(), trouble })
        }
        Settled::Failed(trouble) => Settled::Failed(with_found(trouble, seen)),
        Settled::Waiting(Lack { how_far, trouble }) => match Found::of(seen) {
            Some(found) if found.is_fatal => Settled::Failed(found.trouble),
            Some(found) => Settled::Waiting(Lack { how_far, trouble: Some(found.trouble) }),
            None => Settled::Waiting(Lack { how_far, trouble }),
        },
    }
}

/// What would tell more, each with how long it may stay open before it is worth a request.
pub(crate) fn questions(settled: &Settled, seen: &Evidence) -> Vec<(Question, Duration)> {
    let Some(live) = seen.live.as_deref() else { return Vec::new() };
    let worst = Finding::worst(seen);
    let events = match (settled, &worst) {
        (Settled::Yes, _) => None,
        (_, Some(finding)) => finding.open_for(seen).map(|open| (finding.pod, open)),
        (Settled::Failed(_), None) => Some((live, Duration::ZERO)).filter(|_| !kinds(live).is_empty()),
        (Settled::Waiting(lack), None) if lack.trouble.is_some() => None,
        (Settled::Waiting(_), None) => Some((live, if kinds(live).is_empty() { SLOW } else { NOTHING })),
    };
    let events = events.map(|(about, open)| (Question::Events(uid(about).to_owned()), open));
    let log = worst.and_then(|finding| finding.log_question(seen)).map(|log| (log, Duration::ZERO));
    events.into_iter().chain(log).collect()
}

/// What a status says of a failure, after what was found to be behind it.
fn with_found(trouble: Trouble, seen: &Evidence) -> Trouble {
    match Found::of(seen) {
        None => trouble,
        Some(Found { trouble: found, .. }) => Trouble { what: format!("{}; {}", found.what, trouble.what), ..found },
    }
}

/// The worst that was seen around an object.
struct Found {
    trouble: Trouble,
    is_fatal: bool,
}

impl Found {
    fn of(seen: &Evidence) -> Option<Self> {
        let live = seen.live.as_deref()?;
        match Finding::worst(seen) {
            Some(finding) => Some(Self { trouble: finding.trouble(seen), is_fatal: finding.is_fatal(live, seen) }),
            None => rejected_set(live, seen).or_else(|| warned(live, seen)),
        }
    }
}

/// What is the matter with a pod, or with one of its containers.
struct Finding<'a> {
    pod: &'a Value,
    /// The container as people say it, and its name.
    container: Option<(&'static str, &'a str)>,
    state: State,
}

impl<'a> Finding<'a> {
    /// The worst of what is the matter with an object's pods, or with the object where it is a pod.
    fn worst(seen: &'a Evidence) -> Option<Self> {
        let all = seen.live.iter().chain(&seen.around).map(|object| &**object);
        let pods = all.filter(|object| object["kind"] == "Pod");
        let name = |finding: &Self| finding.pod["metadata"]["name"].as_str().map(str::to_owned);
        let findings = pods.filter_map(|pod| Self::of_pod(pod, seen));
        findings.max_by(|a, b| a.state.badness().cmp(&b.state.badness()).then_with(|| name(b).cmp(&name(a))))
    }

    fn of_pod(pod: &'a Value, seen: &Evidence) -> Option<Self> {
        let status = &pod["status"];
        let of_pod = |state| Some(Self { pod, container: None, state });
        if condition(status, "Ready").is_some_and(|ready| ready["status"] == "True") || status["phase"] == "Succeeded" {
            return None;
        }
        if let Some(why) = condition(status, "PodScheduled").filter(|scheduled| scheduled["status"] == "False") {
            return of_pod(State::Slow(format!("pending: {}", reason(why))));
        }
        let events: Vec<String> = warnings(pod, seen).iter().map(|event| text(&event["message"]).to_owned()).collect();
        let containers =
            [("init container", "initContainer"), ("container", "container")].into_iter().flat_map(|(word, key)| {
                let statuses = status[format!("{key}Statuses")].as_array().into_iter().flatten();
                statuses.map(move |status| (word, format!("{key}s"), status))
            });
        let findings = containers.map(|(word, key, status)| {
            let name = text(&status["name"]);
            Self { pod, container: Some((word, name)), state: state(status, image(&pod["spec"][key], name), &events) }
        });
        // The first of those that are as bad: init containers come before the others.
        let worst = findings.rev().max_by_key(|finding| finding.state.badness());
        match worst.filter(|worst| worst.state != State::Fine) {
            Some(worst) => Some(worst),
            None if status["phase"] == "Failed" => of_pod(State::Ended(reason(status))),
            None => of_pod(State::Silent("not ready".to_owned())),
        }
    }

    /// Whether it ends the wait. What runs to an end says itself how often it may be tried; what was so before anyone waited
    /// has to be so again.
    fn is_fatal(&self, live: &Value, seen: &Evidence) -> bool {
        let (_, container) = self.container.unwrap_or_default();
        match &self.state {
            State::Hopeless(_) => {
                !was_there(seen, self.pod) || warnings(self.pod, seen).iter().any(|event| event["new"] == true)
            }
            State::Looping(_) => !runs_to_an_end(live) && has_ended_again(seen, self.pod, container),
            State::Fine | State::Slow(_) | State::Silent(_) | State::Unclear(_) | State::Ended(_) => false,
        }
    }

    /// How long its status may leave open why it is like this; `None` where the status says it.
    fn open_for(&self, seen: &Evidence) -> Option<Duration> {
        match &self.state {
            State::Unclear(_) => Some(Duration::ZERO),
            State::Silent(_) => Some(SLOW),
            State::Hopeless(_) if was_there(seen, self.pod) => Some(SLOW),
            State::Fine | State::Slow(_) | State::Ended(_) | State::Looping(_) | State::Hopeless(_) => None,
        }
    }

    /// The log of a container that has ended badly, where that matters and isn't known: a pod that runs to an end may be gone soon.
    fn log_question(&self, seen: &Evidence) -> Option<Question> {
        let (live, (_, container)) = (seen.live.as_deref()?, self.container?);
        let has_run = matches!(self.state, State::Ended(_) | State::Looping(_));
        let matters = self.is_fatal(live, seen) || runs_to_an_end(live) || live["kind"] == "Pod";
        let wanted = has_run && matters && self.log(seen).is_none();
        wanted.then(|| Question::Log(text(&self.pod["metadata"]["name"]).to_owned(), container.to_owned()))
    }

    fn log(&self, seen: &'a Evidence) -> Option<&'a str> {
        let (_, container) = self.container?;
        let is_its = |log: &&&Value| log["pod"] == self.pod["metadata"]["name"] && log["container"] == container;
        let logs = seen.around.iter().map(|object| &**object).filter(|object| object["kind"] == LOG);
        logs.collect::<Vec<_>>().iter().find(is_its).map(|log| text(&log["text"]))
    }

    fn trouble(&self, seen: &Evidence) -> Trouble {
        let is_object = seen.live.as_deref().is_some_and(|live| uid(live) == uid(self.pod));
        let pod = (!is_object).then(|| title(self.pod));
        let container = self.container.map(|(word, name)| format!("{word} {}", line(name)));
        let within = pod.into_iter().chain(container).collect();
        let words = self.state.words().unwrap_or_default();
        let said = warnings(self.pod, seen).into_iter().find(|_| matches!(self.state, State::Silent(_)));
        let why = said.map(|event| format!(": {}", reason(event))).unwrap_or_default();
        let is_in_the_way = seen.live.as_deref().is_some_and(|live| is_in_the_way(live, self.pod));
        let what = format!("{words}{why}{}", if is_in_the_way { IN_THE_WAY } else { "" });
        Trouble { within, what, log: self.log(seen).unwrap_or_default().to_owned() }
    }
}

/// A Rollout doesn't repeat what its ReplicaSet says of pods that may not be; other owners of ReplicaSets do.
fn rejected_set(live: &Value, seen: &Evidence) -> Option<Found> {
    let sets = seen.around.iter().filter(|object| object["kind"] == "ReplicaSet" && live["kind"] == "Rollout");
    let failure = |set: &&Value| {
        condition(&set["status"], "ReplicaFailure").filter(|failure| failure["status"] == "True").cloned()
    };
    let (set, failure) = sets.map(|set| &**set).find_map(|set| Some((set, failure(&set)?)))?;
    let trouble = Trouble { within: vec![title(set)], ..reason(&failure).into() };
    Some(Found { trouble, is_fatal: for_good(text(&failure["message"])) })
}

/// What was said last of the object itself; that its pods are rejected ends the wait, if it was said since that began.
fn warned(live: &Value, seen: &Evidence) -> Option<Found> {
    let event = warnings(live, seen).into_iter().next()?;
    let is_fatal = event["reason"] == "FailedCreate" && event["new"] == true && for_good(text(&event["message"]));
    Some(Found { trouble: reason(event).into(), is_fatal })
}

/// The warnings about an object, newest first.
fn warnings<'a>(object: &Value, seen: &'a Evidence) -> Vec<&'a Value> {
    let events = seen.around.iter().map(|event| &**event).filter(|event| event["kind"] == "Event");
    let about = events.filter(|event| event["type"] == "Warning" && event["involvedObject"]["uid"] == uid(object));
    let mut warnings: Vec<&Value> = about.collect();
    warnings.sort_by_key(|event| Reverse(event["said"].as_i64()));
    warnings
}

fn image<'a>(containers: &'a Value, name: &str) -> &'a str {
    let mut containers = containers.as_array().into_iter().flatten();
    containers
        .find(|container| container["name"] == name)
        .map(|container| text(&container["image"]))
        .unwrap_or_default()
}

fn condition<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// What someone gave as reason and message, as `REASON: MESSAGE`; the scheduler's reason says no more than that it is one.
fn reason(place: &Value) -> String {
    let webhook = Unanswered::of(text(&place["message"])).map(|webhook| webhook.told());
    let message = webhook.as_deref().unwrap_or_else(|| text(&place["message"]));
    let reason = Some(text(&place["reason"])).filter(|reason| *reason != "Unschedulable" || message.is_empty());
    let parts = [reason.unwrap_or_default(), message];
    line(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": "))
}

/// An object as people say it: `Pod n/app-x`.
fn title(object: &Value) -> String {
    let metadata = &object["metadata"];
    line(&format!("{} {}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"])))
}

fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
