//! What `cfrt apply` asks, and what becomes of each answer; and what reaches a pipe.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use crate::common::audit;
use crate::common::judge::announced::announce;
use crate::common::scenario::Scenario;
use crate::transcript::command;

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn without_a_terminal_and_without_yes_nothing_is_applied() {
    let scenario = Scenario::small("unasked");
    let mark = audit::mark();
    let ran = scenario.cfrt(&["apply", "desired.toml"]).exits(64);
    assert!(ran.stdout.ends_with("Plan: 7 to create. Nothing is deleted or replaced.\n"), "{ran}");
    assert_eq!(
        ran.stderr,
        "error: asking whether to apply this takes a terminal, and text as output\nhint: use `--yes` to apply without being asked\n"
    );
    let ran = scenario.cfrt(&["apply", "desired.toml", "--output", "json"]).exits(64);
    assert_eq!(ran.stdout, "");
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());
}

/// Whether `script` of util-linux is there, which makes pseudo terminals; where it isn't, the test says that it was left out.
#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn has_script() -> bool {
    let found = Command::new("script").arg("--version").output().is_ok_and(|ended| ended.status.success());
    if !found {
        eprintln!("left out: there is no `script` of util-linux to make a pseudo terminal");
    }
    found
}

/// Runs `cfrt apply` on a pseudo terminal, and types an answer; gives what was shown and how it ended.
fn on_a_terminal(scenario: &Scenario, answer: &str, colour: bool) -> (String, i32) {
    let arguments = ["apply", "desired.toml"].map(str::to_owned);
    let _window = announce(scenario, &arguments, &[]);
    let mut child = terminal(scenario, colour);
    child.stdin.as_mut().expect("it was piped").write_all(answer.as_bytes()).expect("it listens");
    let ended = child.wait_with_output().expect("it ends");
    (String::from_utf8_lossy(&ended.stdout).replace('\r', ""), ended.status.code().expect("it was not killed"))
}

/// Starts `cfrt apply` on a pseudo terminal.
fn terminal(scenario: &Scenario, colour: bool) -> Child {
    let line = format!("{} apply desired.toml", env!("CARGO_BIN_EXE_cfrt"));
    let mut script = command(scenario, "script", &["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env("TERM", "xterm").env("SHELL", "/bin/sh").env("PATH", "/usr/bin:/bin");
    if !colour {
        script.env("NO_COLOR", "1");
    }
    script.stdin(Stdio::piped()).spawn().expect("`script` of util-linux is there")
}

#[test]
#[ignore = "needs a control plane and helm"]
fn an_interrupt_at_the_question_is_a_no() {
    if !has_script() {
        return;
    }
    let scenario = Scenario::small("interrupted");
    let mut child = terminal(&scenario, false);
    let mut shown = Vec::new();
    let mut byte = [0];
    let output = child.stdout.as_mut().expect("it was piped");
    while !shown.ends_with(b"[y/N] ") {
        output.read_exact(&mut byte).expect("it asks");
        shown.extend(byte);
    }
    child.stdin.as_mut().expect("it was piped").write_all(b"\x03").expect("it listens");
    let ended = child.wait_with_output().expect("it ends");
    let rest = String::from_utf8_lossy(&ended.stdout).replace('\r', "");
    assert_eq!((ended.status.code(), rest.as_str()), (Some(130), "^C\nNothing was applied.\n"));
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn a_no_leaves_everything_as_it_is_and_a_yes_applies() {
    if !has_script() {
        return;
    }
    let scenario = Scenario::small("asked");
    let mark = audit::mark();
    for answer in ["n\n", "\n", "maybe\n"] {
        let (shown, code) = on_a_terminal(&scenario, answer, true);
        assert!(shown.contains("\nApply these 7 changes to admin? [y/N] ") && code == 130, "{code}: {shown}");
        assert!(shown.ends_with("Nothing was applied.\n"), "{shown}");
    }
    assert!(audit::mutating(&audit::since(mark, &scenario)).is_empty());
    let (shown, code) = on_a_terminal(&scenario, "y\n", true);
    assert!(code == 0 && shown.contains("Applied 7 of 7"), "{code}: {shown}");
    assert!(shown.contains("\u{1b}["), "a terminal shows colours: {shown}");
    let (shown, code) = on_a_terminal(&scenario, "", true);
    assert!(code == 0 && !shown.contains("[y/N]"), "nothing is to do, and so nothing to ask: {shown}");
}

#[test]
#[ignore = "needs a control plane and helm"]
fn a_terminal_without_colours_gets_none() {
    if !has_script() {
        return;
    }
    let scenario = Scenario::small("colourless");
    let (shown, code) = on_a_terminal(&scenario, "n\n", false);
    assert!(code == 130 && !shown.contains("\u{1b}["), "{shown:?}");
}

#[test]
#[ignore = "needs a control plane and helm"]
fn what_is_piped_has_no_escape_codes_and_a_reader_that_leaves_is_no_trouble() {
    let scenario = Scenario::small("piped");
    let ran = scenario.cfrt(&["plan", "desired.toml"]).exits(0);
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{ran}");
    let (reader, writer) = std::io::pipe().expect("there are pipes");
    drop(reader);
    let mut cfrt = command(&scenario, env!("CARGO_BIN_EXE_cfrt"), &["plan", "desired.toml"]);
    let ended = cfrt.stdout(writer).output().expect("the binary was built");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}
