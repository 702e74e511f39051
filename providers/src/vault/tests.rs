//! What a vault promises: values come back, and nothing shows them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn vault() -> Vault {
    Vault::new([7; 32])
}

fn hide(vault: &Vault, body: Value) -> Document {
    let mut document = Document { body, ..Document::default() };
    vault.mask(&BTreeSet::new()).hide(&mut document);
    document
}

#[test]
fn a_seal_opens_in_the_vault_that_made_it_and_nowhere_else() {
    let seal = vault().seal("hunter2");
    assert!(Vault::is_seal(&seal), "{seal}");
    assert!(vault().open(&seal).is_none());
    let mine = vault();
    assert_eq!(mine.seal("hunter2"), seal);
    assert_eq!(mine.open(&seal).unwrap().expose_secret(), "hunter2");
    assert_ne!(Vault::new([8; 32]).seal("hunter2"), seal);
}

#[test]
fn only_the_exact_form_is_a_seal() {
    let digits = "0123456789abcdef0123456789abcdef";
    assert!(Vault::is_seal(&format!("sealed:{digits}")));
    for other in
        [digits.to_owned(), format!("sealed:{digits}0"), format!("sealed:{}", digits.to_uppercase()), String::new()]
    {
        assert!(!Vault::is_seal(&other), "{other}");
    }
}

#[test]
fn debug_shows_neither_key_nor_values() {
    let vault = vault();
    vault.watch("hunter2-hunter2");
    drop(vault.seal("hunter2-hunter2"));
    assert_eq!(format!("{vault:?}"), "Vault { .. }");
}

#[test]
fn a_secret_is_sealed_leaf_by_leaf_and_its_string_data_wins() {
    let vault = vault();
    let secret = json!({"kind": "Secret", "metadata": {"name": "s"},
        "data": {"a": "b2xk", "b/c": "Yg=="}, "stringData": {"a": "new", "d": 5}});
    let document = vault.seal_document(secret);
    let places: Vec<&str> = document.holes.keys().map(String::as_str).collect();
    assert_eq!(places, ["/data/a", "/data/b~1c", "/data/d"]);
    assert!(document.body["data"].as_object().unwrap().values().all(|leaf| Vault::is_seal(leaf.as_str().unwrap())));
    let filled = vault.fill(&document).unwrap();
    assert_eq!(filled["data"], json!({"a": "bmV3", "b/c": "Yg==", "d": "NQ=="}));
    assert_eq!(filled.get("stringData"), None);
}

#[test]
fn a_secret_without_content_keeps_its_form() {
    let vault = vault();
    for (given, kept) in [
        (json!({"stringData": {}}), json!({})),
        (json!({"stringData": null, "data": null}), json!({"data": null})),
        (json!({"data": {"a": null}}), json!({"data": {"a": null}})),
        (json!("no map"), json!("no map")),
    ] {
        let document = vault.seal_document(given);
        assert_eq!((document.body, document.holes.len()), (kept, 0));
    }
}

#[test]
fn a_secret_value_is_hidden_wherever_it_occurs_and_comes_back() {
    let vault = vault();
    drop(vault.seal_document(json!({"stringData": {"password": "correct-horse\n", "user": "admin"}})));
    let body = json!({"kind": "ConfigMap", "data": {
        "url": "https://admin:correct-horse@example.com",
        "encoded": BASE64_STANDARD.encode("correct-horse"),
        "plain": "admin", "number": 5}});
    let document = hide(&vault, body.clone());
    assert_eq!(document.holes.keys().map(String::as_str).collect::<Vec<_>>(), ["/data/encoded", "/data/url"]);
    assert!(!document.body.to_string().contains("horse"));
    assert_eq!(document.body["data"]["plain"], "admin");
    assert_eq!(vault.fill(&document).unwrap(), body);
}

#[test]
fn what_is_part_of_a_name_is_not_hidden() {
    let vault = vault();
    vault.watch("codefresh");
    let body = json!({"kind": "codefresh", "metadata": {"name": "codefresh", "labels": {"of": "codefresh-runtime"}}});
    let names = BTreeSet::from(["codefresh-runtime".to_owned()]);
    assert!(!vault.mask(&names).covers("codefresh"));
    let document = hide(&vault, body);
    assert_eq!(document.holes.keys().map(String::as_str).collect::<Vec<_>>(), ["/metadata/labels/of"]);
}

#[test]
fn a_seal_is_not_sealed_again() {
    let vault = vault();
    let mut document = vault.seal_document(json!({"data": {"a": "eA=="}}));
    let sealed = document.clone();
    vault.watch(&sealed.body["data"]["a"].as_str().unwrap()[..20]);
    vault.mask(&BTreeSet::new()).hide(&mut document);
    assert_eq!(document, sealed);
}

#[test]
fn an_unknown_seal_is_named_by_its_place() {
    let document = vault().seal_document(json!({"data": {"a": "eA=="}}));
    assert_eq!(vault().fill(&document), Err(Missing { pointer: "/data/a".to_owned() }));
}

#[test]
fn a_generated_value_is_filled_whether_it_is_sealed_or_not() {
    let vault = vault();
    let seal = vault.seal("made up");
    let holes = |key: &str| [(key.to_owned(), Hole::Generated)].into();
    let sealed = Document { body: json!({"a": seal}), holes: holes("/a") };
    assert_eq!(vault.fill(&sealed).unwrap(), json!({"a": "made up"}));
    assert!(Vault::new([1; 32]).fill(&sealed).is_err());
    let plain = Document { body: json!({"a": "12:00"}), holes: holes("/a") };
    assert_eq!(vault.fill(&plain).unwrap(), json!({"a": "12:00"}));
}

#[test]
fn a_key_is_made_once_and_kept_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("cache/cfrt");
    let seal = Vault::at(&folder).unwrap().seal("x");
    assert_eq!(Vault::at(&folder).unwrap().seal("x"), seal);
    let key = folder.join(KEY_FILE);
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    assert_ne!(Vault::at(&home.path().join("other")).unwrap().seal("x"), seal);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Vault::at(&folder), Err(VaultError::Key { .. })));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "short").unwrap();
    assert!(matches!(Vault::at(&folder), Err(VaultError::Key { .. })));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z~/.0-9]{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn hiding_then_filling_changes_nothing(body in any_json(), secret in "[a-z]{8,12}", at in ".{0,6}") {
        let vault = vault();
        vault.watch(&secret);
        let body = json!({"given": body, "holder": {at: format!("before {secret} after")}});
        let document = hide(&vault, body.clone());
        prop_assert!(!document.body["holder"].to_string().contains(&secret));
        prop_assert_eq!(vault.fill(&document).unwrap(), body);
    }

    #[test]
    fn sealing_leaves_no_value_of_any_data(data in any_json()) {
        let vault = vault();
        let document = vault.seal_document(json!({"data": data}));
        let mut body = document.body.clone();
        leaves(Pointer::new(), &mut body, |_, leaf| assert!(Vault::is_seal(leaf.as_str().unwrap())));
        prop_assert!(vault.fill(&document).is_ok());
    }

    #[test]
    fn any_value_comes_back(value in ".{0,40}") {
        let vault = vault();
        prop_assert_eq!(vault.open(&vault.seal(&value)).unwrap().expose_secret().to_owned(), value);
    }
}

#[test]
fn what_is_shown_holds_no_watched_value_however_it_is_quoted() {
    let vault = Vault::new([7; 32]);
    vault.watch("pass\"word\\1");
    let mask = vault.mask(&BTreeSet::new());
    let text = "plain pass\"word\\1, quoted \"pass\\\"word\\\\1\", packed cGFzcyJ3b3JkXDE=";
    assert_eq!(mask.redacted(text), "plain (secret), quoted \"(secret)\", packed (secret)");
    assert_eq!(mask.redacted("https://u:pass%22word%5C1@host/"), "https://u:(secret)@host/");
    for login in ["u", "us", "use", "user"] {
        let packed = BASE64_STANDARD.encode(format!("{login}:pass\"word\\1;and more"));
        let shown = mask.redacted(&packed);
        assert!(shown.contains("(secret)") && shown.len() < packed.len(), "{login}: {shown}");
    }
    let mut value = json!({"env": [{"name": "a", "value": "pass\"word\\1"}, {"name": "b", "value": "plain"}]});
    mask.seal_within(&mut value);
    assert!(Vault::is_seal(value["env"][0]["value"].as_str().expect("it is a text")), "{value}");
    assert_eq!(value["env"][1], json!({"name": "b", "value": "plain"}));
}
