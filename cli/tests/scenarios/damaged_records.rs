//! Records of a release that can't be read, or couldn't be stored: told with what to do, and nothing is written.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::common::audit;
use crate::common::judge;
use crate::common::scenario::Scenario;

/// A release of which the last revision is deployed, and something is to be done about the next one.
fn with_changes(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    scenario.values("{deployment: {enabled: false}, data: {greeting: one}}");
    judge::apply(&scenario).done();
    scenario.values("{deployment: {enabled: false}, data: {greeting: two}}");
    scenario
}

/// As a Secret's `data` holds what helm has packed.
fn encoded(packed: &[u8]) -> Value {
    Value::from(BASE64_STANDARD.encode(BASE64_STANDARD.encode(packed)))
}

/// The first half of a record as it is stored.
fn half(stored: &str) -> Value {
    let decoded = |text: &[u8]| BASE64_STANDARD.decode(text).expect("it is a record");
    let packed = decoded(&decoded(stored.as_bytes()));
    encoded(&packed[..packed.len() / 2])
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_damaged_record_is_named_with_what_is_wrong_and_what_to_do_and_nothing_is_written() {
    let scenario = with_changes("damaged");
    let name = format!("sh.helm.release.v1.{}.v1", scenario.release);
    let stored = scenario.get(&format!("secret/{name}"))["data"]["release"].as_str().unwrap_or_default().to_owned();
    let unknown_version = json!({"name": scenario.release, "version": "two", "info": {"status": "deployed"}});
    let damages = [
        (Value::from(BASE64_STANDARD.encode("%%%")), "the release record is not base64 (layer 2 of 2)"),
        (half(&stored), "the release record is cut off or damaged"),
        (encoded(b"{not json"), "the release record is no record as helm writes it (line 1, column 2 of its JSON)"),
        (
            encoded(unknown_version.to_string().as_bytes()),
            "the release record is no record as helm writes it (line 1, ",
        ),
        (encoded(br#"{"name": "x"}"#), "the release record has no info"),
        (Value::Null, "the release record has no content"),
    ];
    for (release, wrong) in damages {
        let patch = json!({"data": {"release": release}}).to_string();
        scenario.kubectl(&["patch", "secret", &name, "--type=merge", "--patch", &patch]).exits(0);
        let mark = audit::mark();
        for arguments in
            [&["plan", "desired.toml"][..], &["apply", "desired.toml", "--yes"], &["drift", "desired.toml"]]
        {
            let told = scenario.cfrt(arguments).exits(1);
            for words in [&format!("reading the release record {}/{name}\n", scenario.namespace), wrong, "hint: "] {
                assert!(told.stderr.contains(words), "{words:?} isn't in {told}");
            }
        }
        let asked = audit::since(mark, &scenario);
        assert!(audit::mutating(&asked).is_empty(), "{:#?}", audit::mutating(&asked));
    }
    // What is advised is a way out.
    scenario.kubectl(&["delete", "secret", &name]).exits(0);
    judge::apply(&scenario).done();
    scenario.detailed().exits(0);
}

/// A text that can't be packed to less than half its size.
fn noise(length: usize, mut state: u64) -> String {
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'A' + u8::try_from(state >> 59).expect("five bits are left") % 26)
    };
    (0..length).map(|_| next()).collect()
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_record_that_would_be_too_large_is_told_by_the_plan_with_what_makes_it_so() {
    let scenario = Scenario::small("large");
    let large = |texts: u64| {
        let text = |number: u64| format!("note{number}: {}", noise(400 << 10, number));
        let objects = (0..texts).map(|number| {
            let data = text(number);
            format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: large-{number}}}, data: {{{data}}}}}")
        });
        let objects: Vec<String> = objects.collect();
        format!("{{deployment: {{enabled: false}}, extraObjects: [{}]}}", objects.join(", "))
    };
    scenario.values(&large(3));
    let judged = judge::apply(&scenario).exits(5);
    let refused = judged.plan.refused();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].starts_with(&format!("Release {0}/{0}: its record would take ", scenario.release)),
        "{refused:?}"
    );
    assert!(refused[0].contains(", and a Secret holds 1.0 MiB: "), "{refused:?}");
    for part in ["objects 1.2 MiB (most in ConfigMap large-", "values 1.2 MiB (most in extraObjects)"] {
        assert!(refused[0].contains(part), "{refused:?}");
    }
    assert!(audit::mutating(&judged.events).is_empty());
    assert!(scenario.kubectl_anywhere(&["get", "namespace", &scenario.namespace]).code != 0, "nothing was made");
    scenario.values(&large(1));
    judge::apply(&scenario).done();
}
