//! What `cfrt schedule` prints: applied, and what it runs, run with the rights that it has.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::audit;
use crate::common::login::log_in;
use crate::common::process::Ran;
use crate::common::scenario::Scenario;
use crate::common::tools::Helm;

/// Serves the files of a folder, as a chart repository does, and gives its address.
fn served(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has one");
    std::thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(stream.map(|stream| serve(&folder, stream))));
    });
    format!("http://{address}")
}

fn serve(folder: &Path, stream: TcpStream) {
    let mut request = String::new();
    let mut lines = BufReader::new(&stream);
    while lines.read_line(&mut request).is_ok_and(|read| read > 2) {}
    let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let (code, body) = fs::read(folder.join(name)).map_or((404, Vec::new()), |body| (200, body));
    let head = format!("HTTP/1.1 {code} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    (&stream).write_all(&[head.into_bytes(), body].concat()).unwrap_or_default();
}

/// A release of the small chart, which comes from a repository.
fn from_a_repository(name: &str) -> Scenario {
    let scenario = Scenario::small(name);
    let chart = scenario.chart().to_string_lossy().into_owned();
    scenario.helm(Helm::Four, &["package", &chart, "--destination", "repository"]).exits(0);
    scenario.helm(Helm::Four, &["repo", "index", "repository"]).exits(0);
    let address = served(scenario.folder().join("repository"));
    let source = format!("source = {}", Value::from(chart));
    let desired = scenario.desired().replace(&source, &format!("source = \"{address}\"\nname = \"small\""));
    scenario.write("desired.toml", &format!("{desired}\n[platform]\ntoken = {{ env = \"SCENARIO_TOKEN\" }}\n"));
    scenario
}

/// What the pods of the job would find and run, with the account's own rights.
fn run_as_scheduled(scenario: &Scenario, job: &str, login: &Path) -> Ran {
    let pod = scenario.get(&format!("cronjob/{job}"))["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    let files = scenario.get(&format!("configmap/{job}"))["data"].clone();
    let container = &pod["containers"][0];
    let home = scenario.folder().join("pod").to_string_lossy().into_owned();
    for item in pod["volumes"][0]["projected"]["sources"][0]["configMap"]["items"].as_array().into_iter().flatten() {
        let path = scenario.folder().join("pod").join(item["path"].as_str().expect("it has one"));
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("it can be made");
        let text = files[item["key"].as_str().expect("it has one")].as_str().expect("it is a text");
        fs::write(path, text).expect("it can be written");
    }
    let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let arguments: Vec<String> = arguments.map(|argument| argument.replace("/etc/cfrt", &home)).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let secret = &container["env"][2]["valueFrom"]["secretKeyRef"];
    assert_eq!((&secret["name"], &secret["key"]), (&json!("cfrt-platform-token"), &json!("token")));
    scenario.program(&arguments).variable("KUBECONFIG", login).run()
}

#[test]
#[ignore = "needs a control plane, an audit log and helm"]
fn what_is_scheduled_runs_with_the_rights_that_it_is_given_and_needs_no_more() {
    let scenario = from_a_repository("schedule");
    scenario.cfrt(&["apply", "desired.toml", "--yes"]).exits(0);
    let printed = scenario.cfrt(&["schedule", "desired.toml", "--image", "example.com/cfrt:1"]).exits(0).stdout;
    scenario.write("schedule.yaml", &printed);
    scenario.kubectl_anywhere(&["apply", "--filename", "schedule.yaml"]).exits(0);
    let job = scenario.list("cronjob")[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let login = log_in(&scenario, &job);
    let mark = audit::mark();
    run_as_scheduled(&scenario, &job, &login).exits(0);
    scenario.kubectl(&["scale", &format!("deployment/{}", scenario.release), "--replicas=3"]).exits(0);
    let moved = run_as_scheduled(&scenario, &job, &login).exits(3);
    assert!(moved.stdout.contains("spec.replicas 1 → 3"), "{moved}");
    let asked = audit::everything_since(mark, &scenario);
    let user = format!("system:serviceaccount:{}:{job}", scenario.namespace);
    let ours: Vec<_> = asked.iter().filter(|event| event.0["user"]["username"] == user.as_str()).collect();
    // Where something differs a dry run is tried, and done without where it may not be.
    let reads = ours.iter().filter(|event| !event.uri().contains("dryRun=All"));
    let forbidden = reads.filter(|event| event.0["responseStatus"]["code"] == 403);
    let forbidden: Vec<String> = forbidden.map(|event| format!("{} {}", event.verb(), event.uri())).collect();
    assert!(ours.len() > 10 && forbidden.is_empty(), "{} asked, forbidden: {forbidden:#?}", ours.len());
    for more in [["list", "pods"], ["list", "roles"], ["patch", "deployments"], ["get", "configmaps/other"]] {
        let asked = scenario.kubectl(&[&["auth", "can-i", "--as", &user], &more[..]].concat());
        assert_eq!(asked.stdout.trim(), "no", "{more:?}");
    }
    scenario.kubectl_anywhere(&["delete", "--filename", "schedule.yaml"]).exits(0);
}
