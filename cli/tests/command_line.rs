//! The binary as scripts and people meet it, as far as it goes without a cluster.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// What a run printed and how it ended, in one text.
fn cfrt(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_cfrt")).args(arguments).current_dir(folder).env_clear().output();
    let Output { status, stdout, stderr } = run.expect("the binary was built");
    let text = |bytes| String::from_utf8(bytes).expect("cfrt prints text");
    format!("{}{}[{}]", text(stdout), text(stderr), status.code().expect("it was not killed"))
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("the folder can be written");
    }
    folder
}

fn plan_of(text: &str) -> String {
    let folder = folder(&[("prod.toml", text)]);
    cfrt(folder.path(), &["plan", "prod.toml"])
}

#[test]
fn without_arguments_it_says_what_there_is() {
    let text = cfrt(Path::new("."), &[]);
    assert!(text.contains("plan         Show what would change; reads only\n"), "{text}");
    assert!(text.ends_with("[64]"), "{text}");
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in ["plan", "show", "verify", "drift", "apply", "unadopt", "graph", "explain", "completions", "schema"]
    {
        let text = cfrt(Path::new("."), &["help", command]);
        assert!(text.contains(&format!("Usage: cfrt {command}")) && text.contains("Example:\n  cfrt "), "{text}");
        assert!(text.ends_with("[0]"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}

#[test]
fn the_exit_codes_are_listed() {
    let text = cfrt(Path::new("."), &["help", "exit-codes"]);
    let codes: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "64", "130"]);
}

#[test]
fn the_keys_of_the_file_are_listed_with_their_types_defaults_and_meanings() {
    let text = cfrt(Path::new("."), &["help", "file"]);
    assert!(
        text.contains("\n[runtime]\n  name       string   required    the runtime, unique in the account\n"),
        "{text}"
    );
    assert!(text.contains("\n[platform.token]\n") && text.ends_with("[0]"), "{text}");
}

#[test]
fn a_wrong_command_line_is_usage() {
    for arguments in [&["plna"][..], &["plan"], &["plan", "a.toml", "--yes"], &["help", "plna"], &["schema", "x"]] {
        let text = cfrt(Path::new("."), arguments);
        assert!(text.starts_with("error: ") && text.ends_with("[64]"), "{arguments:?}: {text}");
    }
    assert!(cfrt(Path::new("."), &["plna"]).contains("'plan'"));
}

#[test]
fn the_version_is_printed() {
    assert_eq!(cfrt(Path::new("."), &["--version"]), format!("cfrt {}\n[0]", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_schemas_are_printed() {
    for (name, format) in [("plan", "cfrt.plan/1"), ("apply", "cfrt.apply/1")] {
        let text = cfrt(Path::new("."), &["schema", name]);
        let schema = text.strip_suffix("[0]").expect("it ends well");
        let schema: serde_json::Value = serde_json::from_str(schema).expect("a schema is JSON");
        assert_eq!(schema["title"], format);
    }
}

#[test]
fn a_missing_file_is_named() {
    let expected = "\
error: reading prod.toml
  caused by: No such file or directory
hint: `cfrt plan FILE` takes the path of a TOML file
[64]";
    for command in ["plan", "apply"] {
        assert_eq!(cfrt(folder(&[]).path(), &[command, "prod.toml"]), expected);
    }
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    let expected = "\
error: unclosed table, expected `]`
 --> prod.toml:2:9
  |
2 | [runtime
  |         ^
[64]";
    assert_eq!(plan_of("schema = 1\n[runtime\n"), expected);
}

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    let expected = "\
error: unknown key `nmespace` in [runtime]
 --> prod.toml:4:1
  |
4 | nmespace = 'codefresh'
  | ^^^^^^^^ did you mean `namespace`?
[64]";
    assert_eq!(plan_of("schema = 1\n[runtime]\nname = 'codefresh'\nnmespace = 'codefresh'\n"), expected);
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = plan_of("schema = 1\n[cluster]\nuid = 7\n[runtme]\n");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    let expected = ["error: `uid` in [cluster] is an integer, but must be a string", "error: unknown table `runtme`"];
    assert_eq!(errors, expected);
}

#[test]
fn a_missing_base_is_shown_where_it_is_named() {
    let expected = "\
error: cannot read base.toml: No such file or directory
 --> prod.toml:2:12
  |
2 | extends = ['base.toml']
  |            ^^^^^^^^^^^
[64]";
    assert_eq!(plan_of("schema = 1\nextends = ['base.toml']\n"), expected);
}

#[test]
fn a_mistake_in_a_base_is_shown_in_the_base() {
    let folder = folder(&[("base.toml", "schema = 2\n"), ("prod.toml", "extends = ['base.toml']\n")]);
    let text = cfrt(folder.path(), &["plan", "prod.toml"]);
    assert!(text.contains(" --> base.toml:1:10\n"), "{text}");
}

#[test]
fn colour_is_for_terminals_and_for_who_asks_for_it() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cfrt"));
        command.args(["plan", "missing.toml"]).env_clear().envs(variables.iter().copied());
        command.output().expect("the binary was built").stderr.contains(&0x1b)
    };
    assert!(!run(&[]));
    assert!(run(&[("CLICOLOR_FORCE", "1")]));
    assert!(!run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_closed_pipe_is_no_trouble_and_a_full_disk_is() {
    let into = |path: &str| {
        let shell = format!("{} schema plan {path}", env!("CARGO_BIN_EXE_cfrt"));
        Command::new("sh").args(["-c", &shell]).output().expect("there is a shell")
    };
    let closed = into("| true; exit 0");
    assert!(closed.stderr.is_empty(), "{closed:?}");
    let full = into("> /dev/full");
    assert_eq!(full.status.code(), Some(1), "{full:?}");
}

const WITH_TOKEN: &str = "schema = 1\n[runtime]\nname = \"n\"\nnamespace = \"n\"\nrelease = \"n\"\n\
     [platform]\ntoken = { env = \"TOKEN\" }\n[chart]\nsource = \"c\"\nversion = \"1.0.0\"\n";

#[test]
fn the_graph_of_tasks_is_drawn_without_a_cluster() {
    let folder = folder(&[("prod.toml", WITH_TOKEN)]);
    let drawn = |format: &str| cfrt(folder.path(), &["graph", "prod.toml", "--output", format]);
    assert_eq!(drawn("text"), "namespace\nsecret-copy   after namespace\nchart   after secret-copy\n[0]");
    assert_eq!(
        drawn("dot"),
        "digraph cfrt {\n  rankdir=LR;\n  node [shape=box];\n  n0 [label=\"namespace\"];\n  n1 [label=\"secret-copy\"];\n  \
         n2 [label=\"chart\"];\n  n0 -> n1;\n  n1 -> n2;\n}\n[0]"
    );
    assert_eq!(
        drawn("mermaid"),
        "flowchart LR\n  n0[\"namespace\"]\n  n1[\"secret-copy\"]\n  n2[\"chart\"]\n  n0 --> n1\n  n1 --> n2\n[0]"
    );
    assert!(cfrt(folder.path(), &["graph", "prod.toml", "--resources"]).ends_with("[1]"), "there is no cluster here");
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = cfrt(Path::new("."), &["completions", shell]);
        assert!(text.contains("detailed-exitcode") && text.ends_with("[0]"), "{shell}: {text}");
    }
}

#[test]
fn a_key_is_explained_with_where_its_value_came_from() {
    let base = "schema = 1\n[cluster]\ncontext = \"a\"\n[chart]\nsource = \"c\"\nversion = \"1.0.0\"\n";
    let prod = "schema = 1\nextends = [\"base.toml\"]\n[chart]\nversion = \"1.1.0\"\n[chart.set]\nproxy.replicas = 2\n";
    let folder = folder(&[("base.toml", base), ("prod.toml", prod)]);
    let explained = |key: &str| cfrt(folder.path(), &["explain", key, "prod.toml"]);
    let version = explained("chart.version");
    assert!(version.starts_with("chart.version   string, required\n"), "{version}");
    assert!(version.ends_with("  set in prod.toml:4\n[0]"), "{version}");
    assert!(explained("chart.source").ends_with("  set in base.toml:5\n[0]"));
    assert!(explained("cluster.uid").ends_with(
        "default: any\n  UID of kube-system; another cluster is refused\n  \
        uid = \"1f0c5d2a-77aa-4a3c-9d3e-0123456789ab\"\n  not set in prod.toml\n[0]"
    ));
    assert!(explained("chart.set.proxy.replicas").ends_with("  set in prod.toml:6\n[0]"));
    let table = explained("[cluster]");
    assert!(table.contains("cluster.context   ") && table.contains("  set in base.toml:3\n\ncluster.uid"), "{table}");
    let unknown = cfrt(folder.path(), &["explain", "chart.vesion"]);
    assert_eq!(unknown, "error: there is no key `chart.vesion`\nhint: did you mean `chart.version`?\n[64]");
    let short = cfrt(folder.path(), &["explain", "namespace"]);
    assert!(short.contains("did you mean `runtime.namespace`?"), "{short}");
    let none = cfrt(folder.path(), &["explain", "weather"]);
    assert!(none.ends_with("hint: `cfrt help file` lists all keys\n[64]"), "{none}");
}

#[test]
fn whatever_keeps_drift_from_being_looked_for_is_in_its_files_and_these_are_written_whole() {
    let folder = folder(&[("right.toml", WITH_TOKEN), ("wrong.toml", "schema = 1\n[runtimes]\n")]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it was written");
    for (file, code, why) in [("right.toml", "[1]", "kubeconfig"), ("wrong.toml", "[64]", "runtimes")] {
        let text = cfrt(folder.path(), &["drift", file, "--metrics", "drift.prom", "--junit", "drift.xml"]);
        assert!(text.ends_with(code), "{text}");
        let metrics = read("drift.prom");
        assert!(metrics.contains(&format!("\ncfrt_drift_success{{file=\"{file}\"}} 0\n")), "{metrics}");
        assert!(metrics.ends_with("\n# EOF\n"), "{metrics}");
        let junit = read("drift.xml");
        assert!(junit.contains("errors=\"1\"") && junit.contains(why) && !junit.contains('\u{1b}'), "{junit}");
    }
    let files = fs::read_dir(folder.path()).expect("it is there");
    let names = files.map(|file| file.expect("it can be listed").file_name().into_string().expect("it is a text"));
    let mut names: Vec<String> = names.filter(|name| name.contains("drift")).collect();
    names.sort();
    assert_eq!(names, ["drift.prom", "drift.xml"]);
}

#[test]
fn a_key_of_a_list_of_tables_is_explained_with_the_place_of_its_list() {
    let rule = "[[drift.ignore]]\nresource = \"Pod n/a\"\nreason = \"b\"\nuntil = 2026-12-31\n";
    let folder = folder(&[("prod.toml", &format!("schema = 1\n{rule}"))]);
    let text = cfrt(folder.path(), &["explain", "drift.ignore", "prod.toml"]);
    assert!(text.contains("drift.ignore.until   date, required\n"), "{text}");
    assert_eq!(text.matches("  set in prod.toml:2\n").count(), 5, "{text}");
}
