//! Every byte of a plan file counts, and what of an approval is still to do.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn step(resource: &str, action: &str) -> PlannedStep {
    PlannedStep::new(resource.to_owned(), action.to_owned(), digest("wanted"))
}

fn update(resource: &str, before: Value, after: Value) -> PlannedStep {
    let field = PlannedField {
        path: "spec.replicas".to_owned(),
        before: Some(before),
        after: Some(after),
        ..PlannedField::default()
    };
    PlannedStep {
        fields: vec![field],
        uid: Some("u".to_owned()),
        revision: Some("7".to_owned()),
        ..step(resource, "update")
    }
}

fn target(uid: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("cluster_uid".to_owned(), uid.to_owned()), ("release".to_owned(), "r".to_owned())])
}

fn file(steps: Vec<PlannedStep>, kept: &[&str]) -> PlanFile {
    let kept = kept.iter().map(|kept| ((*kept).to_owned(), digest("wanted"))).collect();
    let tasks = vec![PlannedTask { task: "chart".to_owned(), steps, kept }];
    PlanFile::new("prod.toml".to_owned(), target("1f0c"), None, tasks)
}

fn sample() -> PlanFile {
    let hidden = PlannedStep {
        reason: "naïve\u{202e}".to_owned(),
        hidden_behind: Some("a crd".to_owned()),
        ..step("b", "create")
    };
    let removed = PlannedField { path: "gone".to_owned(), before: Some(Value::Null), ..PlannedField::default() };
    let secret = PlannedField {
        path: "token".to_owned(),
        secret_before: Some("hmac:1".to_owned()),
        secret_after: Some("hmac:2".to_owned()),
        ..PlannedField::default()
    };
    let update = update("a", json!({"x": [1, "y"]}), json!(2));
    let fields = [update.fields.clone(), vec![removed, secret]].concat();
    file(vec![hidden, PlannedStep { fields, ..update }], &["d", "c"])
}

#[test]
fn a_plan_file_is_read_as_it_was_written() {
    let text = sample().text();
    assert_eq!(PlanFile::read(&text), Ok(sample()));
    assert!(text.is_ascii() && text.contains(r"na\u00efve\u202e"), "{text}");
    assert!(text.find("\"a\"") < text.find("\"b\"") && text.find("\"c\"") < text.find("\"d\""), "it is sorted: {text}");
}

#[test]
fn i10_every_byte_that_is_altered_taken_away_or_added_is_found() {
    let text = sample().text();
    let whole = text.as_bytes();
    let refused = |bytes: Vec<u8>| String::from_utf8(bytes).map_or(true, |text| PlanFile::read(&text).is_err());
    for place in 0..whole.len() {
        let mut less = whole.to_vec();
        let byte = less.remove(place);
        assert!(refused(less), "without byte {place}");
        for other in [byte ^ 1, byte ^ 0x20, b' ', b'0', b'"', b'\n'].into_iter().filter(|other| *other != byte) {
            let (mut altered, mut more) = (whole.to_vec(), whole.to_vec());
            altered[place] = other;
            more.insert(place, other);
            assert!(refused(altered), "byte {place} as {other}");
            assert!(refused(more), "{other} before byte {place}");
        }
        assert!(refused(whole[..place].to_vec()), "cut off at {place}");
    }
    assert!(refused([whole, b"\n"].concat()) && refused([whole, whole].concat()));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let text = sample().text();
    let read = |text: &str| PlanFile::read(text).expect_err("it is refused").to_string();
    assert_eq!(
        read(&text.replace("\"before\": null", "\"before\": 1")),
        "what it says of a was changed after it was made"
    );
    assert_eq!(read(&text.replace("prod.toml", "dev.toml")), "it was changed after it was made");
    assert_eq!(read(&text.replace('\n', "\r\n")), "its lines end in another way than they were written");
    assert_eq!(
        read(&text.replace("plan-file/1", "plan-file/2")),
        "its format is cfrt.plan-file/2, and this cfrt knows cfrt.plan-file/1"
    );
    assert!(read("").starts_with("it is no plan file, or was cut off: "));
    assert!(read("[1]").starts_with("it is no plan file, or was cut off: "));
}

#[test]
fn an_approval_is_about_effects_and_target_and_not_about_the_state_or_the_reason() {
    let approval = |file: &PlanFile| file.approval().to_owned();
    let one = file(vec![update("a", json!(1), json!(2))], &[]);
    let reworded = PlannedStep {
        reason: "another reason".to_owned(),
        revision: Some("8".to_owned()),
        ..update("a", json!(1), json!(2))
    };
    assert_eq!(approval(&one), approval(&file(vec![reworded], &["b"])));
    assert_ne!(approval(&one), approval(&file(vec![update("a", json!(0), json!(2))], &[])));
    assert_ne!(approval(&one), approval(&file(vec![update("a", json!(1), json!(3))], &[])));
    assert_ne!(approval(&one), approval(&file(vec![update("a", json!(1), json!(2)), step("b", "delete")], &[])));
    let elsewhere = PlanFile::new(one.desired.clone(), target("other"), None, one.tasks.clone());
    assert_ne!(approval(&one), approval(&elsewhere));
}

fn compared(approved: Vec<PlannedStep>, now: Vec<PlannedStep>, kept: &[&str]) -> (Vec<String>, usize, usize) {
    let Comparison { differences, to_do, already_so, target } = compare(&file(approved, &[]), &file(now, kept));
    assert_eq!(target, []);
    (differences.into_iter().map(|difference| difference.resource).collect(), to_do, already_so)
}

#[test]
fn the_same_effects_run_what_is_so_already_is_skipped_and_anything_else_is_stale() {
    let (to_2, to_3) = (|| update("a", json!(1), json!(2)), || update("a", json!(1), json!(3)));
    let moved = PlannedStep { uid: Some("another".to_owned()), ..to_2() };
    let other = |name: &str| vec![name.to_owned()];
    assert_eq!(compared(vec![to_2()], vec![to_2()], &[]), (vec![], 1, 0));
    assert_eq!(compared(vec![to_2()], vec![moved], &[]), (vec![], 1, 0), "its state is no effect");
    assert_eq!(compared(vec![to_2()], vec![], &["a"]), (vec![], 0, 1));
    assert_eq!(compared(vec![step("a", "delete")], vec![], &[]), (vec![], 0, 1), "it is gone");
    assert_eq!(compared(vec![step("a", "delete")], vec![], &["a"]), (other("a"), 0, 0), "it stays by now");
    let otherwise = PlannedStep { configuration: digest("else"), ..to_2() };
    assert_eq!(compared(vec![otherwise], vec![], &["a"]), (other("a"), 0, 0), "something else is so");
    let replaced = |uid: &str| PlannedStep { uid: Some(uid.to_owned()), ..step("a", "replace") };
    assert_eq!(compared(vec![replaced("u")], vec![replaced("u")], &[]), (vec![], 1, 0));
    assert_eq!(compared(vec![replaced("u")], vec![replaced("v")], &[]), (other("a"), 0, 0), "it would be another one");
    assert_eq!(compared(vec![replaced("u")], vec![step("a", "create")], &[]), (vec![], 1, 0), "it was deleted");
    let created = PlannedStep { configuration: digest("else"), ..step("a", "create") };
    assert_eq!(compared(vec![replaced("u")], vec![created], &[]), (other("a"), 0, 0));
    let with_hook = || vec![to_2(), step("hook", "run")];
    assert_eq!(compared(with_hook(), vec![], &["a"]), (vec![], 0, 2), "it ran with what is there");
    assert_eq!(compared(with_hook(), vec![to_2()], &[]), (other("hook"), 1, 0), "it would be left out");
    assert_eq!(compared(vec![to_2()], vec![], &[]), (other("a"), 0, 0), "nobody wants it any more");
    assert_eq!(compared(vec![to_2()], vec![to_3()], &[]), (other("a"), 0, 0));
    assert_eq!(compared(vec![to_2()], vec![step("a", "create")], &[]), (other("a"), 0, 0));
    assert_eq!(compared(vec![], vec![step("b", "create")], &[]), (other("b"), 0, 0));
}

#[test]
fn another_target_is_named_with_both_sides() {
    let one = file(vec![], &[]);
    let mut there = target("2a00");
    there.remove("release");
    let other = PlanFile::new(one.desired.clone(), there, None, one.tasks.clone());
    let text = |text: &str| Some(text.to_owned());
    let differing =
        vec![("cluster_uid".to_owned(), text("1f0c"), text("2a00")), ("release".to_owned(), text("r"), None)];
    let comparison = compare(&one, &other);
    assert_eq!(comparison.target, differing);
    assert!(!comparison.is_same());
    let keyed = |key: &str| PlanFile::new(one.desired.clone(), one.target.clone(), text(key), one.tasks.clone());
    let keys = vec![("key of secrets".to_owned(), text("a"), text("b"))];
    assert_eq!(compare(&keyed("a"), &keyed("b")).target, keys);
}

proptest! {
    #[test]
    fn whatever_is_read_as_a_plan_file_is_refused_or_written_again_as_it_was(
        place in any::<prop::sample::Index>(),
        end in any::<prop::sample::Index>(),
        scrap in prop_oneof![any::<String>(), "[\\[\\]{}\",:0-9a-f\\\\un]{0,40}"],
    ) {
        let whole = sample().text();
        let (start, end) = (place.index(whole.len()), end.index(whole.len()));
        for text in [scrap.clone(), [&whole[..start], &scrap, &whole[start.max(end)..]].concat()] {
            if let Ok(read) = PlanFile::read(&text) {
                prop_assert_eq!(read.text(), text);
            }
        }
    }
}
