//! The case folders of `testdata/cli`.

use std::fs;
use std::process::Command;

use crate::transcript::{self, check};

#[test]
fn every_mistake_that_the_file_alone_shows_has_its_text() {
    check("alone", &[], &[]);
}

/// What a plan says of a file that is made here, being too large to be kept.
fn plan_of(text: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    fs::write(folder.path().join("prod.toml"), text).expect("the folder can be written");
    let mut cfrt = Command::new(env!("CARGO_BIN_EXE_cfrt"));
    cfrt.args(["plan", "prod.toml"]).current_dir(folder.path()).env_clear();
    transcript::text(&cfrt.output().expect("the binary was built"))
}

#[test]
fn a_file_larger_than_people_write_is_refused() {
    let expected = "\
error: reading prod.toml
  caused by: it is larger than 4 MiB
hint: `cfrt plan FILE` takes the path of a TOML file
[exit 64]
";
    assert_eq!(plan_of(&vec![b'#'; (4 << 20) + 1]), expected);
}

#[test]
fn a_file_of_brackets_is_refused_and_not_followed_into_the_depth() {
    for text in
        ["a = ".to_owned() + &"[".repeat(1 << 20), "a = ".to_owned() + &"{b=".repeat(1 << 20), "a.".repeat(1 << 20)]
    {
        let told = plan_of(text.as_bytes());
        assert!(told.starts_with("error: ") && told.ends_with("[exit 64]\n") && told.len() < 2000, "{told}");
    }
}

#[test]
fn a_file_of_a_million_mistakes_is_told_in_short() {
    let told = plan_of(&[b"schema = 1\n".to_vec(), b"[x]\n".repeat(1 << 18)].concat());
    assert!(told.ends_with("[exit 64]\n") && told.len() < 2000, "{told}");
    let tables: String = (0..200_000).map(|number| format!("[t{number}]\n")).collect();
    let told = plan_of(format!("schema = 1\n{tables}").as_bytes());
    assert!(told.ends_with("[exit 64]\n") && told.len() < 20_000, "{} bytes", told.len());
}
