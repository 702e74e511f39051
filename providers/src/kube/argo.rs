//! Tells from a live object of the Argo projects how far it has come, in the words that each of them has for it.

use cfrt_engine::driver::{Lack, Settled};
use serde_json::Value;

use super::said::line;

/// Whether an Argo kind has an end or a readiness to wait for.
pub(crate) fn is_awaited(kind: &str) -> bool {
    matches!(kind, "Rollout" | "Application" | "Workflow" | "AnalysisRun")
}

/// Tells how far an object of an Argo kind has come; other kinds are ready once they are there.
pub(crate) fn settled(kind: &str, live: &Value) -> Settled {
    match kind {
        "Rollout" => rollout(live),
        "Application" => application(live),
        "Workflow" => run(live, &["Succeeded"]),
        "AnalysisRun" => run(live, &["Successful"]),
        _ => Settled::Yes,
    }
}

/// A Rollout writes the generation that it is about as a string, and says Degraded only past its deadline or after an abort.
fn rollout(live: &Value) -> Settled {
    let (spec, status) = (&live["spec"], &live["status"]);
    let generation = live["metadata"]["generation"].as_u64().unwrap_or(0).to_string();
    if status["observedGeneration"] != *generation {
        return Settled::Waiting("not noticed by its controller yet".into());
    }
    let (wanted, updated) = (spec["replicas"].as_u64().unwrap_or(1), status["updatedReplicas"].as_u64().unwrap_or(0));
    let message = line(text(&status["message"]));
    match text(&status["phase"]) {
        "Healthy" => Settled::Yes,
        "Degraded" => Settled::Failed(with("degraded", &message).into()),
        "Paused" => Settled::Waiting(with("paused, until someone promotes it", &message).into()),
        _ => Settled::Waiting(lack(format!("{updated} of {wanted} updated"), &message)),
    }
}

/// An Application is as it should be when it is healthy, and in step where it is to bring that about itself.
fn application(live: &Value) -> Settled {
    let status = &live["status"];
    let operation = &status["operationState"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut errors = conditions.filter(|condition| text(&condition["type"]).ends_with("Error"));
    let trouble = errors.clone().next().map(|error| with(text(&error["type"]), &line(text(&error["message"]))));
    if let Some(invalid) = errors.find(|error| error["type"] == "InvalidSpecError") {
        return Settled::Failed(with("InvalidSpecError", &line(text(&invalid["message"]))).into());
    }
    if matches!(text(&operation["phase"]), "Failed" | "Error") {
        return Settled::Failed(with("its sync failed", &line(text(&operation["message"]))).into());
    }
    let (health, sync) = (text(&status["health"]["status"]), text(&status["sync"]["status"]));
    let syncs_itself = live["spec"]["syncPolicy"]["automated"].is_object();
    if health == "Healthy" && (sync == "Synced" || !syncs_itself) {
        return Settled::Yes;
    }
    let known = |word: &str| if word.is_empty() { "unknown".to_owned() } else { line(word) };
    let why = trouble.unwrap_or_else(|| line(text(&status["health"]["message"])));
    Settled::Waiting(lack(format!("health {}, sync {}", known(health), known(sync)), &why))
}

/// What runs to an end, well or not.
fn run(live: &Value, well: &[&str]) -> Settled {
    let status = &live["status"];
    let message = line(text(&status["message"]));
    match text(&status["phase"]) {
        phase if well.contains(&phase) => Settled::Yes,
        phase @ ("Failed" | "Error" | "Inconclusive") => Settled::Failed(with(&phase.to_lowercase(), &message).into()),
        "" => Settled::Waiting("not noticed by its controller yet".into()),
        phase => Settled::Waiting(lack(line(phase).to_lowercase(), &message)),
    }
}

fn lack(how_far: String, why: &str) -> Lack {
    Lack { how_far, trouble: (!why.is_empty()).then(|| why.into()) }
}

fn with(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, spec: &Value, table: &[(Value, &str)]) {
        for (status, expected) in table {
            let live = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
            let drawn = match settled(kind, &live) {
                Settled::Yes => "ready".to_owned(),
                Settled::Waiting(lack) => format!("waiting: {lack}"),
                Settled::Failed(trouble) => format!("failed: {trouble}"),
            };
            assert_eq!(drawn, *expected, "{kind} {status}");
        }
    }

    #[test]
    fn a_rollout_goes_by_its_phase_once_it_is_about_the_object_of_now() {
        let phase = |phase: &str, message: &str| json!({"observedGeneration": "2", "phase": phase, "message": message});
        let table = [
            (json!(null), "waiting: not noticed by its controller yet"),
            (json!({"observedGeneration": "1", "phase": "Healthy"}), "waiting: not noticed by its controller yet"),
            (json!({"observedGeneration": 2, "phase": "Healthy"}), "waiting: not noticed by its controller yet"),
            (phase("Healthy", ""), "ready"),
            (
                phase("Progressing", "more replicas need to be updated"),
                "waiting: 0 of 3 updated: more replicas need to be updated",
            ),
            (phase("Paused", "CanaryPauseStep"), "waiting: paused, until someone promotes it: CanaryPauseStep"),
            (
                phase("Degraded", "ProgressDeadlineExceeded: timed out"),
                "failed: degraded: ProgressDeadlineExceeded: timed out",
            ),
            (phase("", ""), "waiting: 0 of 3 updated"),
        ];
        check("Rollout", &json!({"replicas": 3}), &table);
    }

    #[test]
    fn an_application_is_healthy_and_in_step_where_it_syncs_itself() {
        let status = |health: &str, sync: &str| json!({"health": {"status": health}, "sync": {"status": sync}});
        let failed = json!({"operationState": {"phase": "Failed", "message": "one or more objects failed to apply"}});
        let invalid = json!({"conditions": [{"type": "InvalidSpecError", "message": "no such project"}]});
        let compared = json!({"conditions": [{"type": "ComparisonError", "message": "no repository"}]});
        let table = [
            (json!(null), "waiting: health unknown, sync unknown"),
            (status("Healthy", "Synced"), "ready"),
            (status("Healthy", "OutOfSync"), "waiting: health Healthy, sync OutOfSync"),
            (status("Degraded", "Synced"), "waiting: health Degraded, sync Synced"),
            (failed, "failed: its sync failed: one or more objects failed to apply"),
            (invalid, "failed: InvalidSpecError: no such project"),
            (compared, "waiting: health unknown, sync unknown: ComparisonError: no repository"),
        ];
        check("Application", &json!({"syncPolicy": {"automated": {}}}), &table);
        check("Application", &json!({}), &[(status("Healthy", "OutOfSync"), "ready")]);
    }

    #[test]
    fn what_runs_is_ready_at_its_good_end() {
        let phase = |phase: &str| json!({"phase": phase, "message": "m"});
        check(
            "Workflow",
            &json!({}),
            &[
                (json!({}), "waiting: not noticed by its controller yet"),
                (phase("Running"), "waiting: running: m"),
                (phase("Succeeded"), "ready"),
                (phase("Failed"), "failed: failed: m"),
                (phase("Error"), "failed: error: m"),
            ],
        );
        let table = [(phase("Successful"), "ready"), (phase("Inconclusive"), "failed: inconclusive: m")];
        check("AnalysisRun", &json!({}), &table);
        check("AppProject", &json!({}), &[(json!({}), "ready")]);
    }
}
