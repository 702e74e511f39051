//! API servers that don't answer, or answer what no API server does.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use crate::transcript::text;

const FILE: &str = "schema = 1\n\n[runtime]\nname = \"codefresh\"\nnamespace = \"codefresh\"\nrelease = \"cf\"\n";

/// What a plan says of a server; its address is `SERVER`.
fn plan_with(server: &str) -> String {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, users: [{{name: a, user: {{token: t}}}}],
         clusters: [{{name: a, cluster: {{server: \"{server}\"}}}}], contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}"
    );
    fs::write(folder.path().join("kubeconfig"), kubeconfig).expect("the folder can be written");
    fs::write(folder.path().join("prod.toml"), FILE).expect("the folder can be written");
    let mut cfrt = Command::new(env!("CARGO_BIN_EXE_cfrt"));
    cfrt.args(["plan", "prod.toml"]).current_dir(folder.path()).env_clear();
    cfrt.env("KUBECONFIG", "kubeconfig").env("CFRT_CACHE", folder.path().join("cache"));
    text(&cfrt.output().expect("the binary was built")).replace(server, "SERVER")
}

/// A server that answers every request with the same bytes, or takes it and never answers.
fn server(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    // It ends with the test's process.
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("it can be accepted");
            match answer {
                Some(answer) => {
                    let _request = stream.read(&mut [0; 4096]);
                    let _answered = stream.write_all(answer.as_bytes());
                }
                None => kept.push(stream),
            }
        }
    });
    format!("http://{address}/")
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let expected = "\
error: reaching the API server at SERVER
  caused by: no answer within 15 s
hint: is the cluster up, and is this the right context? `kubectl version` asks the same server
[exit 1]
";
    assert_eq!(plan_with(&server(None)), expected);
}

#[test]
fn a_web_page_is_no_api_server() {
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>";
    let expected = "\
error: reaching the API server at SERVER
  caused by: the answer is not what was asked for: expected value at line 1 column 1
hint: this is no answer of an API server; is the address in the kubeconfig right, or is a proxy before it?
[exit 1]
";
    assert_eq!(plan_with(&server(Some(page))), expected);
}

#[test]
fn a_proxy_that_finds_nothing_is_quoted() {
    let page = "HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n<html>\u{1b}[2J...</html>";
    let expected = "\
error: reaching the API server at SERVER
  caused by: HTTP 404: <html>␛[2J...</html>
hint: this is no answer of an API server; is the address in the kubeconfig right, or is a proxy before it?
[exit 1]
";
    assert_eq!(plan_with(&server(Some(page))), expected);
}

#[test]
fn a_server_that_speaks_no_http_is_told() {
    let expected = "\
error: reaching the API server at SERVER
  caused by: invalid HTTP version parsed
hint: is the cluster up, and is this the right context? `kubectl version` asks the same server
[exit 1]
";
    assert_eq!(plan_with(&server(Some("SSH-2.0-OpenSSH_9.2\r\n"))), expected);
}

#[test]
fn credentials_that_the_server_does_not_take_are_told() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 95\r\n\r\n\
        {\"kind\":\"Status\",\"apiVersion\":\"v1\",\"code\":401,\"reason\":\"Unauthorized\",\"message\":\"Unauthorized\"}";
    let expected = "\
error: reaching the API server at SERVER
  caused by: Unauthorized
hint: the server doesn't take the credentials of this context; log in again, and try `kubectl version`
[exit 1]
";
    assert_eq!(plan_with(&server(Some(answer))), expected);
}

#[test]
fn what_an_api_server_says_is_shown_and_not_obeyed() {
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 128\r\n\r\n\
        {\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"\\u001b[2Jx is forbidden: User \\\"a\\u202e\\\" cannot get path \\\"/api\\\"\"}";
    let expected = "\
error: reaching the API server at SERVER
  caused by: ␛[2Jx is forbidden: User \"a\\u{202e}\" cannot get path \"/api\"
hint: `kubectl auth can-i --list` shows what you may do there
[exit 11]
";
    assert_eq!(plan_with(&server(Some(answer))), expected);
}
