//! The case folders of `testdata/cli`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::process::Program;
use crate::common::tools::{self, Helm};
use crate::transcript::{self, Place, check};

#[test]
fn every_mistake_that_the_file_alone_shows_has_its_text() {
    check("alone", "", &[], &[]);
}

#[test]
#[ignore = "needs a control plane and helm"]
fn every_mistake_that_shows_only_in_the_world_has_its_text_with_both_helms() {
    for (helm, variant) in [(Helm::Four, "helm4"), (Helm::Three, "helm3")] {
        let helm = helm.path().display().to_string();
        let kubeconfig = tools::kubeconfig().display().to_string();
        let environment =
            [("KUBECONFIG", kubeconfig), ("CFRT_HELM", helm.clone()), ("PATH", "/usr/bin:/bin".to_owned())];
        let places = [
            Place { found: server(), word: "SERVER" },
            Place { found: uid(), word: "UID" },
            Place { found: helm, word: "HELM" },
        ];
        check("cluster", variant, &environment, &places);
    }
}

#[test]
#[ignore = "needs a control plane"]
fn a_helm_that_never_answers_is_given_up() {
    check("hanging", "", &[("KUBECONFIG", tools::kubeconfig().display().to_string())], &[]);
}

fn server() -> String {
    kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])
}

fn uid() -> String {
    kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"])
}

fn kubectl(arguments: &[&str]) -> String {
    let kubectl = Program::new(tools::kubectl(), Path::new(".")).variable("KUBECONFIG", tools::kubeconfig());
    kubectl.arguments(arguments).run().exits(0).stdout
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
    let told = plan_of(&[b"schema = 1\n".to_vec(), b"[x]\n".repeat(1 << 14)].concat());
    assert!(told.ends_with("[exit 64]\n") && told.len() < 2000, "{told}");
    let tables: String = (0..20_000).map(|number| format!("[t{number}]\n")).collect();
    let told = plan_of(format!("schema = 1\n{tables}").as_bytes());
    assert!(told.ends_with("[exit 64]\n") && told.len() < 20_000, "{} bytes", told.len());
}
