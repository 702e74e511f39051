//! Texts to the desired state, and to the facts that all tasks share.

use cfrt_engine::desired::{DesiredState, parse};
use cfrt_engine::facts::facts;
use cfrt_engine::source::{Mistakes, Sources, extends};
use serde::Deserialize;

const RUNTIME: &str = "[runtime]\nname = 'runtime'\nnamespace = 'codefresh'\nrelease = 'cf'";

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Access {
    host: String,
    ports: Vec<u16>,
    tls: Tls,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Tls {
    secret: String,
    copy: bool,
}

fn sources(texts: &[&str]) -> Sources {
    let mut sources = Sources::default();
    texts.iter().enumerate().for_each(|(number, text)| sources.push(format!("{number}.toml"), *text));
    sources
}

/// What stands at a place, with the name of its file.
fn at(sources: &Sources, desired: &DesiredState<'_>, path: &[&str]) -> Option<String> {
    let (source, range) = sources.locate(&desired.place(path)?)?;
    Some(format!("{} {}", source.path.display(), &source.text[range]))
}

fn whats(mistakes: Mistakes) -> Vec<String> {
    mistakes.0.into_iter().map(|mistake| mistake.what).collect()
}

#[test]
fn texts_merge_in_order_table_by_table_and_key_by_key() {
    let sources = sources(&[
        "schema = 1\n[access]\nhost = 'base'\nports = [1, 2]\n[access.tls]\nsecret = 'base'\ncopy = false",
        "access.tls.secret = 'middle'\naccess.host = 'middle'",
        "schema = 1\n[access]\nports = [3]\ntls = { secret = 'top' }",
    ]);
    let desired = parse(&sources).expect("all are right");
    let access: Access = desired.table("access").expect("it fits").expect("it is there");
    assert_eq!((access.host.as_str(), access.ports, access.tls.secret.as_str()), ("middle", vec![3], "top"));
    assert!(!access.tls.copy);
}

#[test]
fn a_value_is_where_it_was_written_last() {
    let sources = sources(&["schema = 1\n[a]\nb = 1\nc = 2\n[a.d]\ne = 3", "[a]\nb = 4\n[a.d]\nf = 5"]);
    let desired = parse(&sources).expect("both are right");
    let place = |path: &[&str]| at(&sources, &desired, path);
    assert_eq!(place(&["a", "b"]).as_deref(), Some("1.toml 4"));
    assert_eq!(place(&["a", "c"]).as_deref(), Some("0.toml 2"));
    assert_eq!(place(&["a", "d", "e"]).as_deref(), Some("0.toml 3"));
    assert_eq!(place(&["a", "d", "f"]).as_deref(), Some("1.toml 5"));
    assert_eq!([place(&["a", "x"]), place(&["x", "b"]), place(&["a", "b", "x"]), place(&[])], [const { None }; 4]);
}

#[test]
fn a_table_and_a_value_replace_each_other() {
    let sources = sources(&["schema = 1\na = 1\nb = { c = 1 }", "a = { c = 2 }\nb = 2"]);
    let desired = parse(&sources).expect("both are right");
    assert_eq!(at(&sources, &desired, &["a", "c"]).as_deref(), Some("1.toml 2"));
    assert_eq!(at(&sources, &desired, &["b"]).as_deref(), Some("1.toml 2"));
    assert_eq!(desired.place(&["b", "c"]), None);
}

#[test]
fn the_names_of_tables_come_in_alphabetical_order() {
    let sources = sources(&["schema = 1\n[zone]\n[access]", "[git]"]);
    let desired = parse(&sources).expect("both are right");
    assert_eq!(desired.names().map(|(name, _)| name).collect::<Vec<_>>(), ["access", "git", "schema", "zone"]);
}

#[test]
fn the_name_of_a_value_is_where_it_was_written_last() {
    let sources = sources(&["schema = 1\nacess = 1", "acess = 2"]);
    let desired = parse(&sources).expect("both are right");
    let (_, place) = desired.names().next().expect("it is there");
    let (source, _) = sources.locate(&place).expect("it has a place");
    assert_eq!(source.path.to_str(), Some("1.toml"));
}

#[test]
fn a_table_that_is_not_there_is_none() {
    let sources = sources(&["schema = 1"]);
    assert!(parse(&sources).expect("it is right").table::<Access>("access").expect("nothing is wrong").is_none());
}

#[test]
fn what_is_wrong_in_a_later_text_is_shown_there() {
    let sources = sources(&["schema = 1\n[access]\nhost = 'a'", "[access]\nports = 'none'"]);
    let mistakes = parse(&sources).and_then(|desired| desired.table::<Access>("access")).expect_err("it is wrong");
    let (source, range) = sources.locate(&mistakes.0[0].at).expect("it has a place");
    assert_eq!((source.path.to_str(), &source.text[range]), (Some("1.toml"), "'none'"));
}

#[test]
fn texts_that_are_no_toml_are_told_together() {
    let sources = sources(&["schema = ", "[a]\nb = 1", "c = = 1"]);
    let mistakes = parse(&sources).expect_err("two are wrong");
    let files: Vec<_> = mistakes.0.iter().filter_map(|mistake| sources.locate(&mistake.at)).collect();
    assert!(files.iter().any(|(source, _)| source.path.to_str() == Some("0.toml")));
    assert!(files.iter().any(|(source, _)| source.path.to_str() == Some("2.toml")));
    assert!(mistakes.0.is_sorted_by_key(|mistake| mistake.at.start));
}

#[test]
fn what_a_text_extends_is_known_before_it_is_parsed() {
    let names = |text: &str| {
        let names = extends(text).expect("it is an array of paths");
        names.into_iter().map(|name| name.into_inner()).collect::<Vec<_>>()
    };
    assert_eq!(names("extends = ['a.toml', 'b.toml']\n[x]"), ["a.toml", "b.toml"]);
    assert_eq!(names("[x]"), Vec::<String>::new());
    assert_eq!(names("extends = "), Vec::<String>::new());
}

#[test]
fn what_extends_nothing_that_has_a_path_is_refused_where_it_stands() {
    let refused = |text: &str| extends(text).map(|_| ()).expect_err("it is no array of paths");
    let text = "schema = 1\nextends = 'base.toml'";
    assert_eq!((&text[refused(text).at], refused(text).label.as_str()), ("'base.toml'", "write `['base.toml']`"));
    assert_eq!(refused("extends = [1]").what, "a path in `extends` is an integer, but must be a string");
}

fn facts_of(text: &str) -> Result<(), Mistakes> {
    let sources = sources(&[&format!("schema = 1\n{text}")]);
    facts(&parse(&sources)?).map(drop)
}

#[test]
fn the_shared_facts_are_read() {
    let sources = sources(&[&format!("schema = 1\ncluster.context = 'prod'\n{RUNTIME}")]);
    let facts = facts(&parse(&sources).expect("it is right")).expect("nothing is wrong");
    let runtime = facts.runtime;
    let names =
        (runtime.name.get_ref().as_str(), runtime.namespace.get_ref().as_str(), runtime.release.get_ref().as_str());
    assert_eq!(names, ("runtime", "codefresh", "cf"));
    assert_eq!((facts.cluster.context.as_deref(), facts.cluster.uid), (Some("prod"), None));
}

#[test]
fn a_file_without_a_runtime_is_told_what_to_add() {
    let mistakes = facts_of("").expect_err("nothing is there");
    assert_eq!(mistakes.0[0].label, "add `[runtime]` with `name`, `namespace` and `release`");
}

#[test]
fn mistakes_in_both_shared_tables_are_told_together_and_in_order() {
    let text = "[runtime]\nname = 'Runtime'\nnamespace = 'a'\nrelease = 'a'\n[cluster]\ncontekst = 'a'";
    assert_eq!(
        whats(facts_of(text).expect_err("both are wrong")),
        [
            "`name` in [runtime]: it has the character `R`; a name is in lower case",
            "unknown key `contekst` in [cluster]"
        ]
    );
}

#[test]
fn names_are_labels_and_releases_are_shorter() {
    let name = |name: &str| facts_of(&RUNTIME.replace("name = 'runtime'", &format!("name = '{name}'"))).is_ok();
    let release = |name: &str| facts_of(&RUNTIME.replace("'cf'", &format!("'{name}'"))).is_ok();
    for right in ["a", "0", "a-b", "0a", &"a".repeat(63)] {
        assert!(name(right), "{right}");
    }
    for wrong in ["", "-a", "a-", "A", "a.b", "a_b", "a b", "ä", &"a".repeat(64)] {
        assert!(!name(wrong), "{wrong}");
        assert!(!release(wrong), "{wrong}");
    }
    assert!(release(&"a".repeat(53)) && !release(&"a".repeat(54)));
}

#[test]
fn a_wrong_name_is_shown_where_it_stands() {
    let text = format!("schema = 1\n{}", RUNTIME.replace("codefresh", "Code_Fresh"));
    let sources = sources(&[&text]);
    let mistakes = parse(&sources).and_then(|desired| facts(&desired)).expect_err("the namespace is wrong");
    assert_eq!(&text[mistakes.0[0].at.clone()], "'Code_Fresh'");
}
