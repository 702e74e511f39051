//! Records: helm's layers, helm's leniency, and nothing that junk could do.

use std::io::Write as _;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::write::encode;
use super::*;
use crate::helm::hook::{DeletePolicy, HookEvent, LogPolicy};
use crate::vault::hexadecimal;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn twice(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(BASE64_STANDARD.encode(bytes))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn dry_run() -> Value {
    json!({
        "name": "r", "namespace": "ns", "version": 1,
        "info": {"status": "pending-install", "description": "Dry run complete", "deleted": "", "notes": "hi",
            "first_deployed": "2026-01-01T00:00:00Z", "last_deployed": "2026-01-01T00:00:00Z"},
        "chart": {"metadata": {"name": "c", "version": "1.2.3"}, "templates": [{"name": "t", "data": "eA=="}]},
        "config": {"a": 1}, "manifest": "old", "hooks": [{"name": "old"}],
    })
}

fn hook() -> RecordedHook {
    let facts = HookFacts {
        name: "h".into(),
        kind: "Job".into(),
        path: "c/templates/h.yaml".into(),
        events: vec![HookEvent::PreInstall, HookEvent::Test],
        weight: -3,
        delete_policies: vec![DeletePolicy::HookSucceeded],
        log_policies: vec![LogPolicy::HookFailed],
    };
    RecordedHook { facts, manifest: "kind: Job\n".into() }
}

fn opened(revision: u32, first_deployed: Option<Timestamp>, dry_run: Value) -> Value {
    let opening = Opening {
        revision,
        install: first_deployed.is_none(),
        manifest: "---\nkind: A\n",
        hooks: &[hook()],
        first_deployed,
        now: at("2026-11-22T10:00:00.5Z"),
    };
    pending(dry_run, &opening).unwrap()
}

fn encoded(record: &Value) -> String {
    encode(record).unwrap()
}

#[test]
fn a_first_revision_is_opened_in_helms_words() {
    let record = opened(1, None, dry_run());
    assert_eq!(
        record["info"],
        json!({
            "status": "pending-install", "description": "Initial install underway", "notes": "hi",
            "first_deployed": "2026-11-22T10:00:00.5Z", "last_deployed": "2026-11-22T10:00:00.5Z",
        })
    );
    assert_eq!(record["apply_method"], "ssa");
    assert_eq!(record["chart"], dry_run()["chart"]);
    assert_eq!(
        record["hooks"],
        json!([{
            "name": "h", "kind": "Job", "path": "c/templates/h.yaml", "manifest": "kind: Job\n", "events": ["pre-install", "test"],
            "last_run": {"phase": ""}, "weight": -3, "delete_policies": ["hook-succeeded"], "output_log_policies": ["hook-failed"],
        }])
    );
}

#[test]
fn a_later_revision_is_an_upgrade_and_keeps_the_time_of_the_first() {
    // Even where helm could only be asked for an installation, which it calls `pending-install`.
    let record = opened(7, Some(at("2025-05-05T05:05:05+02:00")), dry_run());
    assert_eq!(record["version"], 7);
    assert_eq!(record["info"]["first_deployed"], "2025-05-05T03:05:05Z");
    assert_eq!(
        (&record["info"]["status"], &record["info"]["description"]),
        (&"pending-upgrade".into(), &"Preparing upgrade".into())
    );
}

#[test]
fn what_is_written_reads_back() {
    let revision = decode(&encoded(&opened(3, None, dry_run()))).unwrap();
    assert_eq!((revision.name.as_str(), revision.namespace.as_str(), revision.revision), ("r", "ns", 3));
    assert_eq!((revision.chart_name.as_str(), revision.chart_version.as_str()), ("c", "1.2.3"));
    assert_eq!((revision.status, revision.apply_method.as_deref()), (Status::PendingInstall, Some("ssa")));
    assert_eq!(revision.first_deployed, Some(at("2026-11-22T10:00:00.5Z")));
    assert_eq!(revision.config, json!({"a": 1}));
    assert_eq!(revision.manifest.expose_secret(), "---\nkind: A\n");
    assert_eq!(revision.hooks[0].facts, hook().facts);
    assert_eq!(revision.hooks[0].manifest.expose_secret(), "kind: Job\n");
    assert_eq!(format!("{revision:?}"), "Revision(ns/r 3 pending-install, ..)");
}

#[test]
fn label_and_record_tell_the_same_status() {
    let now = at("2026-11-22T10:00:00.9Z");
    let record = opened(2, None, dry_run());
    let made = secret(&record, now).unwrap();
    assert_eq!(
        made["metadata"],
        json!({
            "name": "sh.helm.release.v1.r.v2", "namespace": "ns",
            "labels": {"name": "r", "owner": "helm", "status": "pending-install", "version": "2", "createdAt": "1795341600"},
        })
    );
    assert_eq!((&made["type"], &made["kind"]), (&"helm.sh/release.v1".into(), &"Secret".into()));

    let mut live = made;
    live["metadata"]["labels"]["team"] = "blue".into();
    live["metadata"]["resourceVersion"] = "12".into();
    live["metadata"]["managedFields"] = json!([]);
    let deployed = finished(record, Status::Deployed, "Install complete");
    for (record, status, description) in
        [(deployed.clone(), "deployed", "Install complete"), (superseded(deployed), "superseded", "Install complete")]
    {
        let written = rewritten(live.clone(), &record, now).unwrap();
        let read = decode(written["data"]["release"].as_str().unwrap()).unwrap();
        assert_eq!((read.status.word(), read.description.as_str()), (status, description));
        assert_eq!(
            written["metadata"],
            json!({
                "name": "sh.helm.release.v1.r.v2", "namespace": "ns", "resourceVersion": "12",
                "labels": {"name": "r", "owner": "helm", "status": status, "version": "2", "modifiedAt": "1795341600", "team": "blue"},
            })
        );
    }
}

#[test]
fn the_whole_record_comes_back_for_rewriting() {
    let record = opened(1, None, dry_run());
    assert_eq!(raw(&encoded(&record)).unwrap(), record);
    assert_eq!(raw(&twice(b"{}")).unwrap_err(), RecordError::Incomplete { missing: "info.status" });
}

#[test]
fn helms_leniency_is_ours() {
    for record in [
        json!({"info": {"status": "deployed"}}),
        json!({"info": {"status": "deployed", "first_deployed": "", "description": null}, "hooks": null, "chart": null, "config": null}),
        json!({"info": {"status": "deployed", "new": 1}, "hooks": [{"events": ["later-event", 5], "last_run": null}], "new": {"deep": []}}),
    ] {
        let revision = decode(&twice(&gzip(record.to_string().as_bytes()))).unwrap();
        assert_eq!((revision.status, revision.first_deployed), (Status::Deployed, None), "{record}");
        assert!(revision.hooks.iter().all(|hook| hook.facts.events.is_empty()));
        assert_eq!(
            decode(&twice(record.to_string().as_bytes())).unwrap().status,
            Status::Deployed,
            "without compression"
        );
    }
}

#[test]
fn every_word_for_a_status_is_known_and_others_are_unknown() {
    for status in Status::ALL {
        assert_eq!(Status::parse(status.word()), status);
    }
    assert_eq!(Status::parse("half-done"), Status::Unknown);
}

#[test]
fn each_damage_has_its_error() {
    let good = opened(1, None, dry_run()).to_string();
    let packed = gzip(good.as_bytes());
    let bomb = gzip(&vec![b' '; LARGEST_RECORD as usize + 1]);
    for (encoded, error) in [
        ("?".to_owned(), RecordError::NotBase64 { layer: 1 }),
        (BASE64_STANDARD.encode("?"), RecordError::NotBase64 { layer: 2 }),
        (BASE64_STANDARD.encode(&packed), RecordError::NotBase64 { layer: 2 }),
        (twice(&packed[..packed.len() / 2]), RecordError::Damaged),
        (twice(&bomb), RecordError::TooLarge),
        ("A".repeat(LARGEST_ENCODED + 1), RecordError::TooLarge),
        (twice(b"{\n!"), RecordError::NotARecord { line: 2, column: 1 }),
        (twice(b"{}"), RecordError::Incomplete { missing: "info" }),
        (twice(b"{\"info\":{}}"), RecordError::Incomplete { missing: "info.status" }),
    ] {
        assert_eq!(decode(&encoded).unwrap_err(), error);
    }
}

#[test]
fn errors_repeat_no_value() {
    let error = decode(&twice(b"{\"version\":\"hunter2\",\"info\":{}}")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_record_that_no_secret_can_hold_is_refused() {
    let mut record = opened(1, None, dry_run());
    let noise: String = (0..30_000_u32).map(|seed| hexadecimal(&Sha256::digest(seed.to_be_bytes()))).collect();
    record["manifest"] = noise.into();
    let refused = secret(&record, at("2026-11-22T10:00:00Z"));
    assert!(matches!(refused, Err(RecordError::DoesNotFit { limit: 1_048_576, .. })), "{:?}", refused.err());
}

proptest! {
    #[test]
    fn any_text_is_decoded_or_refused(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(decode(&text));
        drop(decode(&twice(&bytes)));
        drop(decode(&twice(&gzip(&bytes))));
        prop_assert!(raw(&twice(&bytes)).is_err());
    }

    #[test]
    fn any_cut_or_changed_record_is_decoded_or_refused(cut in 0..400_usize, place in 0..400_usize, byte: u8) {
        let mut packed = gzip(opened(1, None, dry_run()).to_string().as_bytes());
        let place = place % packed.len();
        packed[place] = byte;
        packed.truncate(packed.len() - cut.min(packed.len()));
        drop(decode(&twice(&packed)));
    }

    #[test]
    fn any_values_and_texts_survive_a_round_trip(manifest in ".{0,200}", key in ".{0,9}", number: i64, revision: u32) {
        let mut dry_run = dry_run();
        dry_run["config"] = json!({key: number});
        let now = at("2026-11-22T10:00:00Z");
        let opening = Opening { revision, install: true, manifest: &manifest, hooks: &[], first_deployed: None, now };
        let read = decode(&encoded(&pending(dry_run.clone(), &opening).unwrap())).unwrap();
        prop_assert_eq!(read.manifest.expose_secret(), manifest.as_str());
        prop_assert_eq!(read.config, dry_run["config"].clone());
        prop_assert_eq!(read.revision, revision);
    }
}

#[test]
fn a_record_notes_how_its_own_hooks_ran() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let run = |kind: &str, name: &str, succeeded| HookRun {
        kind: kind.to_owned(),
        name: name.to_owned(),
        started: at(1),
        completed: at(2),
        succeeded,
    };
    let hook = |kind: &str| json!({"kind": kind, "name": "a", "last_run": {"phase": ""}});
    let record = json!({"hooks": [hook("Job"), hook("Pod"), hook("Secret")]});
    let noted =
        ran(record, &[run("Job", "a", false), run("Job", "a", true), run("Pod", "a", false), run("Pod", "b", true)]);
    let phases: Vec<&Value> = (0..3).map(|index| &noted["hooks"][index]["last_run"]["phase"]).collect();
    assert_eq!(phases, ["Succeeded", "Failed", ""]);
    assert_eq!(noted["hooks"][0]["last_run"]["started_at"], "1970-01-01T00:00:01Z");
}
