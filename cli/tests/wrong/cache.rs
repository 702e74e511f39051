//! Where renderings are kept, and where they never are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::common::scenario::Scenario;
use crate::transcript::text;

const FILE: &str = "schema = 1\n\n[runtime]\nname = \"codefresh\"\nnamespace = \"codefresh\"\nrelease = \"cf\"\n";
const NOWHERE: &str = "{apiVersion: v1, kind: Config, current-context: a, users: [{name: a, user: {token: t}}],
 clusters: [{name: a, cluster: {server: \"http://127.0.0.1:1\"}}], contexts: [{name: a, context: {cluster: a, user: a}}]}";

/// What a plan says that comes as far as to a cluster that isn't there.
fn plan(folder: &Path, variables: &[(&str, &Path)]) -> String {
    fs::write(folder.join("kubeconfig"), NOWHERE).expect("the folder can be written");
    fs::write(folder.join("prod.toml"), FILE).expect("the folder can be written");
    let mut cfrt = Command::new(env!("CARGO_BIN_EXE_cfrt"));
    cfrt.args(["plan", "prod.toml"]).current_dir(folder).env_clear().env("KUBECONFIG", "kubeconfig");
    cfrt.envs(variables.iter().copied());
    text(&cfrt.output().expect("the binary was built"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn without_a_home_nothing_is_taken_from_the_temporary_folder_and_nothing_stays_there() {
    let (folder, temporary) =
        (tempfile::tempdir().expect("there is room"), tempfile::tempdir().expect("there is room"));
    // What another user could have put there.
    let guessed = temporary.path().join("cfrt-cache");
    fs::create_dir(&guessed).expect("it can be made");
    fs::set_permissions(&guessed, fs::Permissions::from_mode(0o700)).expect("it is ours");
    let told = plan(folder.path(), &[("TMPDIR", temporary.path())]);
    assert!(told.starts_with("error: reaching the API server at "), "{told}");
    assert_eq!(names(temporary.path()), ["cfrt-cache"]);
    assert!(names(&guessed).is_empty(), "{:?}", names(&guessed));
}

#[test]
fn a_cache_folder_that_is_open_to_others_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().expect("there is room");
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("it can be made");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o775)).expect("it is ours");
    let expected = "\
error: using CACHE for the cache
  caused by: it is open to others (mode 0775); close it with `chmod 700`
hint: name a folder of your own with CFRT_CACHE
[exit 1]
";
    let told = plan(folder.path(), &[("CFRT_CACHE", &cache)]).replace(&cache.display().to_string(), "CACHE");
    assert_eq!(told, expected);
    assert!(names(&cache).is_empty());
}

#[test]
#[ignore = "needs a control plane and helm"]
fn without_a_home_a_plan_that_goes_well_leaves_nothing_behind_either() {
    let (scenario, temporary) = (Scenario::small("homeless"), tempfile::tempdir().expect("there is room"));
    let cfrt = scenario.program(&["plan", "desired.toml"]).variable("CFRT_CACHE", "").variable("HOME", "");
    let ran = cfrt.variable("TMPDIR", temporary.path()).run().exits(0);
    assert!(ran.stdout.contains("first installation"), "{ran}");
    assert_eq!(names(temporary.path()), [""; 0]);
}
