//! Release records, as anyone may have written them into a Secret; and what helm's dry run says.

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cfrt_providers::helm::record::{
    HookRun, Opening, RecordError, Revision, Status, decode, pending, ran, raw, rewritten, secret, superseded,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::mutation::{cases, damaged};
use crate::size::small;

/// It stands in the samples where records have values, and in no error.
const SECRET: &str = "hunter2-hunter2";

const WORDS: &[&str] = &[
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "4294967296",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\"info\":",
    "\"status\":",
    "\"hooks\":",
    "\"version\":",
    "\"\u{1b}[2J\"",
    "ä",
    "\u{0}",
    "{}",
    "[]",
    "\"hunter2-hunter2\"",
    "\"deployed\"",
    "=",
    "A",
    "/",
    "\n",
];

/// A release as helm's dry run tells it.
fn release() -> Value {
    json!({
        "name": "r", "namespace": "ns", "version": 3,
        "info": {"status": "deployed", "description": "Upgrade complete", "notes": SECRET,
            "first_deployed": "2026-01-01T00:00:00Z", "last_deployed": "2026-01-02T00:00:00Z"},
        "chart": {"metadata": {"name": "c", "version": "1.2.3"}, "templates": [{"name": "t", "data": "eA=="}], "values": {"a": 1}},
        "config": {"token": SECRET, "list": [1, 2.5, null, true]},
        "manifest": format!("---\n# Source: c/templates/s.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  a: {SECRET}\n"),
        "hooks": [{"name": "h", "kind": "Job", "path": "c/templates/h.yaml", "manifest": "kind: Job\n", "events": ["pre-upgrade", "later"],
            "last_run": {"phase": "Succeeded", "started_at": "2026-01-02T00:00:00Z"}, "weight": -5, "delete_policies": ["hook-succeeded"],
            "output_log_policies": ["hook-failed"]}],
        "apply_method": "ssa", "labels": {"a": "b"},
    })
}

fn opening() -> Opening<'static> {
    Opening { revision: 4, install: false, manifest: "---\nkind: A\n", hooks: &[], first_deployed: None, now: now() }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("it is a time")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).expect("writing to memory does not fail");
    packer.finish().expect("writing to memory does not fail")
}

/// As it stands in a Secret's JSON.
fn encoded(packed: &[u8]) -> String {
    BASE64_STANDARD.encode(BASE64_STANDARD.encode(packed))
}

fn json_samples() -> Vec<Vec<u8>> {
    let smallest = json!({"info": {"status": "failed"}});
    [release(), smallest].iter().map(|value| value.to_string().into_bytes()).collect()
}

fn packed_samples() -> Vec<Vec<u8>> {
    json_samples().iter().map(|json| gzip(json)).collect()
}

fn encoded_samples() -> Vec<Vec<u8>> {
    packed_samples().iter().map(|packed| encoded(packed).into_bytes()).collect()
}

/// Reads what stands in a Secret, and goes on with what it is if it is a record.
fn check(encoded: &str) -> Result<(), TestCaseError> {
    let (decoded, whole) = (decode(encoded), raw(encoded));
    let told = match (&decoded, &whole) {
        (Ok(revision), Ok(_)) => format!("{revision:?}"),
        (Err(one), Err(other)) => format!("{one} {one:?} {other} {other:?}"),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => format!("{error} {error:?}"),
    };
    let named = |revision: &Revision| revision.name.contains(SECRET) || revision.namespace.contains(SECRET);
    prop_assert!(decoded.as_ref().is_ok_and(named) || !told.contains(SECRET), "{}", told);
    whole.map_or(Ok(()), |record| go_on(&record))
}

/// Does with a record, or with helm's answer, all that a run does.
fn go_on(record: &Value) -> Result<(), TestCaseError> {
    let run = HookRun { kind: "Job".into(), name: "h".into(), started: now(), completed: now(), succeeded: true };
    let later = superseded(ran(record.clone(), &[run]));
    let live = json!({"metadata": {"labels": "none", "name": 5}});
    if let Ok(secret) = rewritten(live, &later, now()) {
        let text = secret["data"]["release"].as_str().expect("a Secret holds its record");
        prop_assert_eq!(raw(text).expect("what is written can be read"), later);
    }
    if let Ok(opened) = pending(record.clone(), &opening())
        && let Ok(secret) = secret(&opened, now())
    {
        let text = secret["data"]["release"].as_str().expect("a Secret holds its record");
        let status = decode(text).map(|revision| revision.status);
        prop_assert!(
            matches!(status, Ok(Status::PendingUpgrade) | Err(RecordError::NotARecord { .. })),
            "{:?}",
            status
        );
    }
    Ok(())
}

/// Puts a value somewhere into another.
fn replaced(value: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        value.clone_from(with);
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replaced(item, place, with)),
        Value::Object(members) => members.values_mut().for_each(|member| replaced(member, place, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn other_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(4_294_967_296_u64),
        json!(1.5),
        json!(""),
        json!(SECRET),
        json!("\u{1b}[2J"),
        json!([]),
        json!({}),
        json!([[]]),
        json!([null]),
        json!({"info": {"status": {}}}),
        json!(["pre-install", 5, {}]),
    ])
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_record_of_damaged_json_is_read_or_refused(json in damaged(json_samples(), WORDS)) {
        check(&encoded(&gzip(&json)))?;
        check(&encoded(&json))?;
    }

    #[test]
    fn a_record_of_damaged_compression_is_read_or_refused(packed in damaged(packed_samples(), WORDS)) {
        check(&encoded(&packed))?;
    }

    #[test]
    fn a_record_of_damaged_base64_is_read_or_refused(text in damaged(encoded_samples(), WORDS)) {
        check(&String::from_utf8_lossy(&text))?;
    }

    #[test]
    fn a_record_with_a_value_of_another_type_is_read_or_refused(
        places in prop::collection::vec((any::<Index>(), other_value()), 1..4),
    ) {
        let mut record = release();
        places.iter().for_each(|(place, value)| replaced(&mut record, &mut place.index(60), value));
        check(&encoded(&gzip(record.to_string().as_bytes())))?;
        go_on(&record)?;
    }
}

#[test]
fn a_record_that_unpacks_without_end_is_given_up_at_its_bound() {
    // Each is a stream of its own, as gzip allows them to follow each other: four gigabytes in four megabytes.
    let text = encoded(&gzip(&vec![b' '; 16 << 20]).repeat(256));
    assert!(text.len() < 8 << 20, "its length alone doesn't give it away");
    assert_eq!(small("spaces", || decode(&text).map(drop)), Err(RecordError::TooLarge));
    assert_eq!(small("spaces", || raw(&text).map(drop)), Err(RecordError::TooLarge));
}

#[test]
fn a_record_that_takes_far_more_memory_than_it_is_long_is_refused() {
    let record = |config: &str, times: usize| {
        let config = format!("[{}0]", config.repeat(times / config.len()));
        encoded(&gzip(format!("{{\"info\":{{\"status\":\"deployed\"}},\"config\":{config}}}").as_bytes()))
    };
    for config in ["0,", "[[]],", "{\"\":[0]},", "\"\","] {
        let text = record(config, 30 << 20);
        assert_eq!(small(config, || decode(&text).map(drop)), Err(RecordError::TooManyValues));
        assert_eq!(small(config, || raw(&text).map(drop)), Err(RecordError::TooManyValues));
    }
}

#[test]
fn a_record_nested_without_end_is_refused() {
    for open in ["[", "{\"a\":"] {
        let text = encoded(open.repeat(300_000).as_bytes());
        assert!(matches!(
            small(open, || decode(&text)),
            Err(RecordError::NotARecord { .. } | RecordError::TooManyValues)
        ));
    }
}
