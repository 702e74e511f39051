//! Tells from a container's status how it is, and whether it can come right by itself.

use serde_json::Value;

use super::said::line;

/// So often a container may end before it counts as one that always will.
const RESTARTS: u64 = 3;

/// What stands in messages about an image that isn't there: trying again brings the same.
const NOT_THERE: [&str; 6] =
    ["not found", "manifest unknown", "does not exist", "name unknown", "invalid reference", "no match for platform"];

/// What stands in messages about a registry that couldn't be asked, whatever else they say.
const NOT_ASKED: [&str; 16] = [
    "timeout",
    "timed out",
    "deadline exceeded",
    "refused",
    "reset by peer",
    "no such host",
    "misbehaving",
    "dial tcp",
    "handshake",
    "too many requests",
    "toomanyrequests",
    "unexpected eof",
    "status: 5",
    "status code 5",
    "service unavailable",
    "bad gateway",
];

/// What stands in messages about a configuration that no other object can make right.
const MISCONFIGURED: [&str; 4] = ["couldn't find key", "runasnonroot", "run as root", "invalid"];

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is the matter.
    Fine,
    /// It takes its time, and its status doesn't say why.
    Silent(String),
    /// It takes its time; why.
    Slow(String),
    /// Something is the matter, and its status doesn't say whether that can heal.
    Unclear(String),
    /// It has ended badly, and may be started again.
    Ended(String),
    /// It has ended badly so often that it always will.
    Looping(String),
    /// It will not come right without help.
    Hopeless(String),
}

impl State {
    /// How it is, in a few words; `None` where nothing is the matter.
    pub(crate) fn words(&self) -> Option<&str> {
        match self {
            Self::Fine => None,
            Self::Silent(words)
            | Self::Slow(words)
            | Self::Unclear(words)
            | Self::Ended(words)
            | Self::Looping(words)
            | Self::Hopeless(words) => Some(words),
        }
    }

    /// How bad it is; of several the worst is what people want to know.
    pub(crate) fn badness(&self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Silent(_) => 1,
            Self::Slow(_) => 2,
            Self::Unclear(_) => 3,
            Self::Ended(_) => 4,
            Self::Looping(_) => 5,
            Self::Hopeless(_) => 6,
        }
    }
}

/// Tells how a container is from its status, its image, and what events say of pulling it, newest first.
pub(crate) fn state(status: &Value, image: &str, events: &[String]) -> State {
    let (now, before) = (&status["state"], &status["lastState"]["terminated"]);
    let restarts = status["restartCount"].as_u64().unwrap_or(0);
    if let Some(ended) = now.get("terminated").filter(|ended| !ended.is_null()) {
        return self::ended(ended, restarts);
    }
    let waiting = &now["waiting"];
    let (reason, message) = (text(&waiting["reason"]), text(&waiting["message"]));
    match reason {
        "" if now.get("running").is_none_or(Value::is_null) => State::Silent("not started yet".to_owned()),
        "" if status["ready"] == true => State::Fine,
        "" if restarts > 0 => State::Silent(format!("running, not ready, after {}", restarted(restarts))),
        "" => State::Silent("running, not ready".to_owned()),
        "ContainerCreating" | "PodInitializing" => State::Silent("being created".to_owned()),
        "InvalidImageName" => State::Hopeless(format!("image \"{}\" has no valid name", line(image))),
        "ErrImageNeverPull" => {
            State::Hopeless(format!("image \"{}\" isn't on the node and may not be pulled", line(image)))
        }
        "ErrImagePull" | "ImagePullBackOff" => pull(image, message, events),
        "CreateContainerConfigError" if says(message, &MISCONFIGURED) => {
            State::Hopeless(line(&format!("{reason}: {message}")))
        }
        "CrashLoopBackOff" if before.is_object() => crashed(before, restarts),
        _ => State::Slow(line(&format!("{reason}: {message}")).trim_end_matches(": ").trim_end_matches(':').to_owned()),
    }
}

fn ended(ended: &Value, restarts: u64) -> State {
    match ended["exitCode"].as_i64() {
        Some(0) => State::Fine,
        _ if restarts >= RESTARTS => crashed(ended, restarts),
        _ => State::Ended(exit(ended)),
    }
}

fn crashed(ended: &Value, restarts: u64) -> State {
    let words = format!("crash loop, {}: {}", restarted(restarts), exit(ended));
    if restarts >= RESTARTS { State::Looping(words) } else { State::Ended(words) }
}

fn restarted(times: u64) -> String {
    if times == 1 { "1 restart".to_owned() } else { format!("{times} restarts") }
}

/// How a container ended: `exit code 137 (OOMKilled)`, and what it left as its last message.
fn exit(ended: &Value) -> String {
    let code = ended["exitCode"].as_i64().map_or_else(|| "ended".to_owned(), |code| format!("exit code {code}"));
    let reason = Some(text(&ended["reason"])).filter(|reason| !reason.is_empty());
    let message = Some(text(&ended["message"])).filter(|message| !message.trim().is_empty());
    let reason = reason.map(|reason| format!(" ({})", line(reason))).unwrap_or_default();
    let message = message.map(|message| format!(": {}", line(message))).unwrap_or_default();
    format!("{code}{reason}{message}")
}

/// What of a pull's trouble is known: the status says it while it tries, the newest event says it longer.
fn pull(image: &str, message: &str, events: &[String]) -> State {
    let newest = events.iter().find(|event| event.to_lowercase().contains("pull"));
    let known = [message].into_iter().chain(newest.map(String::as_str));
    let telling =
        known.clone().find(|said| says(said, &NOT_ASKED)).or_else(|| known.clone().find(|said| says(said, &NOT_THERE)));
    let why = |said: &str| format!("image \"{}\" can't be pulled: {}", line(image), line(said));
    match telling {
        Some(said) if says(said, &NOT_ASKED) => State::Slow(why(said)),
        Some(said) => State::Hopeless(why(without_repetition(said))),
        None => State::Unclear(why(newest.map_or(message, String::as_str))),
    }
}

/// The end of a chain of messages, each of which repeats the image: the last part that says why.
fn without_repetition(said: &str) -> &str {
    let last = said.rsplit(": ").next().unwrap_or_default();
    if says(last, &NOT_THERE) { last } else { said }
}

fn says(message: &str, signs: &[&str]) -> bool {
    let message = message.to_lowercase();
    signs.iter().any(|sign| message.contains(sign))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drawn(status: &Value, events: &[&str]) -> String {
        let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
        match state(status, "a.io/b:c", &events) {
            State::Fine => "fine".to_owned(),
            State::Silent(words) => format!("silent: {words}"),
            State::Slow(words) => format!("slow: {words}"),
            State::Looping(words) => format!("looping: {words}"),
            State::Unclear(words) => format!("unclear: {words}"),
            State::Ended(words) => format!("ended: {words}"),
            State::Hopeless(words) => format!("hopeless: {words}"),
        }
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"state": {"waiting": {"reason": reason, "message": message}}})
    }

    #[test]
    fn an_image_that_is_not_there_is_hopeless_and_a_registry_that_cannot_be_asked_is_not() {
        let unknown = r#"rpc error: code = NotFound desc = failed to pull and unpack image "a.io/b:c": failed to resolve reference "a.io/b:c": a.io/b:c: not found"#;
        let table = [
            (unknown, r#"hopeless: image "a.io/b:c" can't be pulled: not found"#),
            (
                "manifest for a.io/b:c not found: manifest unknown",
                r#"hopeless: image "a.io/b:c" can't be pulled: manifest unknown"#,
            ),
            (
                r#"Back-off pulling image "a.io/b:c": ErrImagePull: a.io/b:c: not found"#,
                r#"hopeless: image "a.io/b:c" can't be pulled: not found"#,
            ),
            (
                "dial tcp: lookup a.io: no such host",
                r#"slow: image "a.io/b:c" can't be pulled: dial tcp: lookup a.io: no such host"#,
            ),
            (
                "unexpected status code 503 Service Unavailable: not found",
                r#"slow: image "a.io/b:c" can't be pulled: unexpected status code 503 Service Unavailable: not found"#,
            ),
            (
                r#"Back-off pulling image "a.io/b:c""#,
                r#"unclear: image "a.io/b:c" can't be pulled: Back-off pulling image "a.io/b:c""#,
            ),
        ];
        for reason in ["ErrImagePull", "ImagePullBackOff"] {
            for (message, expected) in table {
                assert_eq!(drawn(&waiting(reason, message), &[]), expected);
            }
        }
        let backing_off = waiting("ImagePullBackOff", "Back-off pulling image");
        let told = |events: &[&str]| drawn(&backing_off, events);
        let hopeless = r#"hopeless: image "a.io/b:c" can't be pulled: manifest unknown"#;
        assert_eq!(told(&["Error: gone", "Failed to pull image: manifest unknown"]), hopeless);
        assert!(told(&["Failed to pull image: i/o timeout", "Failed to pull image: not found"]).starts_with("slow: "));
        assert!(told(&["something else"]).starts_with("unclear: "));
    }

    #[test]
    fn names_and_configurations_that_nothing_makes_right_are_hopeless() {
        let table = [
            (waiting("InvalidImageName", "x"), r#"hopeless: image "a.io/b:c" has no valid name"#),
            (
                waiting("ErrImageNeverPull", "x"),
                r#"hopeless: image "a.io/b:c" isn't on the node and may not be pulled"#,
            ),
            (
                waiting("CreateContainerConfigError", "couldn't find key a in ConfigMap n/b"),
                "hopeless: CreateContainerConfigError: couldn't find key a in ConfigMap n/b",
            ),
            (
                waiting("CreateContainerConfigError", r#"secret "b" not found"#),
                r#"slow: CreateContainerConfigError: secret "b" not found"#,
            ),
            (
                waiting("CreateContainerConfigError", "failed to sync configmap cache: timed out"),
                "slow: CreateContainerConfigError: failed to sync configmap cache: timed out",
            ),
            (waiting("RunContainerError", ""), "slow: RunContainerError"),
            (waiting("ContainerCreating", ""), "silent: being created"),
            (json!({}), "silent: not started yet"),
            (json!({"state": {"running": {}}, "ready": true}), "fine"),
            (json!({"state": {"running": {}}, "ready": false}), "silent: running, not ready"),
            (json!({"state": {"running": {}}, "restartCount": 1}), "silent: running, not ready, after 1 restart"),
        ];
        for (status, expected) in table {
            assert_eq!(drawn(&status, &[]), expected);
        }
    }

    #[test]
    fn a_container_that_ends_three_times_is_in_a_crash_loop() {
        let ended = json!({"exitCode": 137, "reason": "OOMKilled"});
        let back_off = |restarts: u64| {
            let mut status = waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container");
            (status["restartCount"], status["lastState"]) = (json!(restarts), json!({ "terminated": ended }));
            status
        };
        assert_eq!(drawn(&back_off(2), &[]), "ended: crash loop, 2 restarts: exit code 137 (OOMKilled)");
        assert_eq!(drawn(&back_off(3), &[]), "looping: crash loop, 3 restarts: exit code 137 (OOMKilled)");
        let terminated =
            |restarts: u64, ended: Value| json!({"restartCount": restarts, "state": {"terminated": ended}});
        assert_eq!(drawn(&terminated(0, json!({"exitCode": 0})), &[]), "fine");
        let said = json!({"exitCode": 1, "reason": "Error", "message": "no\u{1b}\ndatabase"});
        assert_eq!(drawn(&terminated(0, said.clone()), &[]), "ended: exit code 1 (Error): no database");
        let crashed = "looping: crash loop, 4 restarts: exit code 1 (Error): no database";
        assert_eq!(drawn(&terminated(4, said), &[]), crashed);
        assert_eq!(drawn(&terminated(0, json!({})), &[]), "ended: ended");
    }
}
