//! Rendering with real helm, both majors: they agree, nothing secret is left behind, and the cache starts no helm.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cfrt_engine::resource::Hole;
use cfrt_providers::helm::HelmError;
use cfrt_providers::helm::binary::{Helm, Search};
use cfrt_providers::helm::chart::{ChartSource, resolve};
use cfrt_providers::helm::hook::HookEvent;
use cfrt_providers::helm::manifest::{normalised_digest, same_documents};
use cfrt_providers::helm::record::{Opening, RecordedHook, Status, decode, pending, secret};
use cfrt_providers::helm::release::{DryRunRequest, dry_run};
use cfrt_providers::helm::render::{RenderRequest, Renderer};
use cfrt_providers::helm::rendering::{Rendered, Rendering};
use cfrt_providers::helm::run::Invocation;
use cfrt_providers::vault::Vault;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

const FILES: [(&str, &str); 11] = [
    (
        "Chart.yaml",
        "apiVersion: v2\nname: probe\nversion: 0.1.0\nappVersion: '7'\ndependencies:\n- {name: sub, version: 0.1.0, condition: sub.enabled}\n",
    ),
    ("values.yaml", "sub: {enabled: true}\nport: 80\nremoved: kept\n"),
    ("README.md", "only people read this\n"),
    ("files/a.txt", "from a file\n"),
    (
        "crds/thing.yaml",
        "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.probe.example.com}\nspec: {group: probe.example.com, names: {kind: Thing, plural: things}, scope: Namespaced, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n",
    ),
    (
        "templates/config.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config\n  annotations:\ndata:\n  port: {{ .Values.port | quote }}\n  removed: {{ .Values.removed | default \"gone\" }}\n  upgrade: {{ .Release.IsUpgrade | quote }}\n  thing: {{ .Capabilities.APIVersions.Has \"probe.example.com/v1/Thing\" | quote }}\n  url: http://user:{{ .Values.token }}@host\n  file: {{ .Files.Get \"files/a.txt\" | quote }}\n  text: |\n    ends in a blank \n",
    ),
    (
        "templates/secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: secret}\nstringData: {token: {{ .Values.token }}}\n",
    ),
    (
        "templates/thing.yaml",
        "apiVersion: probe.example.com/v1\nkind: Thing\nmetadata: {name: thing, namespace: elsewhere}\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ServiceAccount, metadata: {name: listed}}\n",
    ),
    (
        "templates/hooks.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: before, annotations: {helm.sh/hook: 'pre-install,pre-upgrade', helm.sh/hook-weight: '-5', helm.sh/hook-delete-policy: hook-succeeded}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: trial, annotations: {helm.sh/hook: test}}\n",
    ),
    ("charts/sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 0.1.0\n"),
    (
        "charts/sub/templates/service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: sub}\nspec: {ports: [{port: {{ .Values.port | default 8080 }}}]}\n",
    ),
];

struct Scene {
    home: TempDir,
    vault: Arc<Vault>,
}

impl Scene {
    fn new(more: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        for (name, text) in FILES.iter().chain(more) {
            let path = home.path().join("probe").join(name);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("folders can be made");
            fs::write(path, text).expect("files can be written");
        }
        let vault = Vault::at(&home.path().join("cache")).expect("a key can be made");
        Self { home, vault: Arc::new(vault) }
    }

    fn cache(&self, helm: &Path) -> PathBuf {
        self.home.path().join("cache").join(helm.file_name().expect("a helm has a name"))
    }

    async fn renderer(&self, helm: &Path) -> Renderer {
        Renderer::new(self.helm(helm).await, self.cache(helm), self.vault.clone())
    }

    async fn helm(&self, helm: &Path) -> Helm {
        let search = Search { option: Some(helm.to_owned()), ..Search::default() };
        Helm::find(&search, &self.cache(helm)).await.expect("the helm of the environment works")
    }

    async fn request(&self, helm: &Path, values: Value) -> RenderRequest {
        let source = ChartSource::Local(self.home.path().join("probe"));
        let chart = resolve(&self.helm(helm).await, &source, Some("0.1.0"), &self.cache(helm)).await;
        RenderRequest {
            chart: chart.expect("the chart is one"),
            values,
            release: "r".to_owned(),
            namespace: "ns".to_owned(),
            is_upgrade: false,
            kube_version: "v1.34.4".to_owned(),
            api_versions: vec!["v1".to_owned(), "apps/v1".to_owned()],
            fresh: false,
        }
    }

    async fn render(&self, helm: &Path, values: Value) -> Result<Rendering, HelmError> {
        self.renderer(helm).await.render(self.request(helm, values).await).await
    }
}

fn helms() -> [PathBuf; 2] {
    ["CFRT_HELM3", "CFRT_HELM4"].map(|name| std::env::var_os(name).expect("the variable names a helm").into())
}

fn values() -> Value {
    json!({"token": "correct-horse", "port": 8443, "removed": null})
}

fn named<'a>(list: &'a [Rendered], name: &str) -> &'a Rendered {
    list.iter().find(|rendered| rendered.identity.name == name).expect("it was rendered")
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read").map(|entry| entry.expect("it is there").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
#[ignore = "needs helm"]
async fn both_majors_render_the_same_but_for_blanks_at_the_end() {
    let scene = Scene::new(&[]);
    let [three, four] = helms();
    let (three, four) = (scene.render(&three, values()).await.unwrap(), scene.render(&four, values()).await.unwrap());
    let steady =
        |list: &[Rendered]| list.iter().filter(|one| one.identity.name != "config").cloned().collect::<Vec<_>>();
    assert_eq!(steady(&three.objects), steady(&four.objects));
    assert_eq!(three.crds, four.crds);
    let hooks = |rendering: &Rendering| {
        rendering.hooks.iter().map(|hook| (hook.facts.clone(), hook.rendered.clone())).collect::<Vec<_>>()
    };
    assert_eq!(hooks(&three), hooks(&four));
    let text = |rendering: &Rendering| named(&rendering.objects, "config").document().body["data"]["text"].clone();
    assert_eq!((text(&three), text(&four)), (json!("ends in a blank\n"), json!("ends in a blank \n")));
}

#[tokio::test]
#[ignore = "needs helm"]
async fn objects_hooks_and_definitions_are_told_apart() {
    for helm in helms() {
        let scene = Scene::new(&[]);
        let rendering = scene.render(&helm, values()).await.unwrap();
        let names: Vec<&str> = rendering.objects.iter().map(|one| one.identity.name.as_str()).collect();
        assert_eq!(names, ["secret", "config", "sub", "listed", "thing"]);
        assert_eq!(named(&rendering.objects, "sub").source, "probe/charts/sub/templates/service.yaml");
        assert_eq!(rendering.crds[0].source, "probe/crds/thing.yaml");
        assert_eq!(rendering.crds[0].identity.name, "things.probe.example.com");
        let hooks: Vec<_> = rendering
            .hooks
            .iter()
            .map(|hook| (hook.facts.name.as_str(), hook.facts.weight, hook.facts.events.len()))
            .collect();
        assert_eq!(hooks, [("trial", 0, 1), ("before", -5, 2)]);
        assert_eq!(rendering.hooks[0].facts.events, [HookEvent::Test]);
        let config = named(&rendering.objects, "config").document();
        assert_eq!(config.body["metadata"]["annotations"], Value::Null);
        for (key, value) in
            [("port", "8443"), ("removed", "gone"), ("upgrade", "false"), ("thing", "true"), ("file", "from a file\n")]
        {
            assert_eq!(config.body["data"][key], value, "{key}");
        }
        assert_eq!(config.holes, [("/data/url".to_owned(), Hole::Secret)].into());
    }
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_cached_rendering_needs_no_helm_and_holds_no_secret() {
    for helm in helms() {
        let scene = Scene::new(&[]);
        let path = scene.home.path().join("helm");
        // Another process copies it: were this one to have it open, a fork of another test could keep it busy.
        assert!(std::process::Command::new("cp").arg(&helm).arg(&path).status().unwrap().success());
        let renderer = scene.renderer(&path).await;
        let request = scene.request(&path, values()).await;
        let first = renderer.render(request.clone()).await.unwrap();
        fs::remove_file(&path).unwrap();
        let second = renderer.render(request).await.unwrap();
        assert_eq!((&first.objects, &first.crds, &first.digest), (&second.objects, &second.crds, &second.digest));
        let files = files_below(&scene.home.path().join("cache"));
        assert!(files.len() > 5, "{files:?}");
        for file in files {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            assert!(!text.contains("correct-horse") && !text.contains("Y29ycmVjdC1ob3JzZQ"), "{}", file.display());
        }
    }
}

#[tokio::test]
#[ignore = "needs helm"]
async fn what_is_random_or_of_the_clock_is_generated() {
    let unsteady = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: made\n  annotations:\n    day: {{ now | date \"2006-01-02\" | quote }}\n    second: {{ now.Unix | quote }}\n    steady: 'yes'\ndata: {password: {{ randAlphaNum 20 | b64enc }}}\n";
    for helm in helms() {
        let scene = Scene::new(&[("templates/made.yaml", unsteady)]);
        let rendering = scene.render(&helm, values()).await.unwrap();
        let made = named(&rendering.objects, "made").document();
        let places: Vec<&str> = made.holes.keys().map(String::as_str).collect();
        assert_eq!(places, ["/data/password", "/metadata/annotations/day", "/metadata/annotations/second"]);
        assert!(made.holes.values().all(|hole| *hole == Hole::Generated));
        assert!(Vault::is_seal(made.body["data"]["password"].as_str().unwrap()));
        assert_eq!(named(&rendering.objects, "secret").document().holes["/data/token"], Hole::Secret);
        assert!(rendering.volatile.random && rendering.volatile.clock && !rendering.volatile.lookup);
    }
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_definition_of_a_subchart_that_is_off_brings_no_api() {
    let definition = FILES[4].1.replace("probe.example.com", "sub.example.com");
    let asks = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: asks}\ndata: {has: {{ .Capabilities.APIVersions.Has \"sub.example.com/v1\" | quote }}}\n";
    for helm in helms() {
        let scene = Scene::new(&[("charts/sub/crds/thing.yaml", &definition), ("templates/asks.yaml", asks)]);
        for (enabled, definitions) in [(true, 2), (false, 1)] {
            let rendering = scene.render(&helm, json!({"token": "x", "sub": {"enabled": enabled}})).await.unwrap();
            assert_eq!(rendering.crds.len(), definitions);
            assert_eq!(named(&rendering.objects, "asks").document().body["data"]["has"], enabled.to_string());
        }
    }
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_template_that_fails_is_named_with_its_line() {
    for helm in helms() {
        let scene = Scene::new(&[("templates/fails.yaml", "\n{{ fail \"host is needed\" }}\n")]);
        let error = scene.render(&helm, values()).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "rendering chart probe 0.1.0: execution error at (probe/templates/fails.yaml:2:3): host is needed"
        );
    }
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_chart_that_is_not_to_be_had_is_one_clear_error() {
    for helm in helms() {
        let scene = Scene::new(&[]);
        let source = ChartSource::parse("oci://127.0.0.1:1/charts/app", None, Path::new("/")).unwrap();
        let found = resolve(&scene.helm(&helm).await, &source, Some("1.0.0"), &scene.cache(&helm)).await;
        let error = found.unwrap_err().to_string();
        assert!(
            error.starts_with("fetching chart oci://127.0.0.1:1/charts/app: ") && !error.contains("Error:"),
            "{error}"
        );
        let local = ChartSource::Local(scene.home.path().join("probe"));
        let other = resolve(&scene.helm(&helm).await, &local, Some("0.2.0"), &scene.cache(&helm)).await;
        assert!(other.unwrap_err().to_string().ends_with("has version 0.1.0; version 0.2.0 was asked for"));
    }
}

/// Serves the files of a folder on loopback, for as many requests as come, and counts them.
fn serve(folder: PathBuf) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = String::new();
            let mut reader = BufReader::new(&stream);
            while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
            let name = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let body = fs::read(folder.join(name)).unwrap_or_default();
            count.fetch_add(1, Ordering::SeqCst);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).expect("the client listens");
        }
    });
    (port, served)
}

#[tokio::test]
#[ignore = "needs helm"]
async fn a_chart_of_a_repository_is_fetched_once() {
    for helm in helms() {
        let scene = Scene::new(&[]);
        let packing = Invocation::new("packing", &["package"]).with(scene.home.path().join("probe"));
        scene.helm(&helm).await.run(packing.flag("--destination", scene.home.path())).await.unwrap();
        let (port, served) = serve(scene.home.path().to_owned());
        let index = format!(
            "apiVersion: v1\nentries:\n  probe: [{{name: probe, version: 0.1.0, urls: ['http://127.0.0.1:{port}/probe-0.1.0.tgz']}}]\n"
        );
        fs::write(scene.home.path().join("index.yaml"), index).unwrap();
        let source = ChartSource::parse(&format!("http://127.0.0.1:{port}"), Some("probe"), Path::new("/")).unwrap();
        let (program, cache) = (scene.helm(&helm).await, scene.cache(&helm));
        let first = resolve(&program, &source, Some("0.1.0"), &cache).await.unwrap();
        let requests = served.load(Ordering::SeqCst);
        assert_eq!(resolve(&program, &source, Some("0.1.0"), &cache).await.unwrap(), first);
        assert_eq!((requests > 0, served.load(Ordering::SeqCst)), (true, requests));
        assert!(resolve(&program, &source, Some("9.9.9"), &cache).await.unwrap_err().to_string().contains("9.9.9"));
        let renderer = scene.renderer(&helm).await;
        let local = renderer.render(scene.request(&helm, values()).await).await.unwrap();
        let request = RenderRequest { chart: first, ..scene.request(&helm, values()).await };
        let remote = renderer.render(request).await.unwrap();
        assert_eq!((local.objects, local.digest), (remote.objects, remote.digest));
    }
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn a_dry_run_gives_the_release_that_a_record_is_made_of() {
    let kubeconfig = PathBuf::from(std::env::var_os("KUBECONFIG").expect("the variable names a kubeconfig"));
    for helm in helms() {
        let scene = Scene::new(&[]);
        // The custom resource would need its definition in the cluster.
        fs::remove_file(scene.home.path().join("probe/templates/thing.yaml")).unwrap();
        let request = scene.request(&helm, values()).await;
        let rendering =
            scene.renderer(&helm).await.render(RenderRequest { fresh: true, ..request.clone() }).await.unwrap();
        let manifest = rendering.manifest.as_ref().unwrap().expose_secret();
        let asked = DryRunRequest {
            chart: &request.chart,
            values: &request.values,
            release: "dry-run-probe",
            namespace: "dry-run-probe",
            kubeconfig: Some(&kubeconfig),
            context: None,
        };
        let answer = dry_run(&scene.helm(&helm).await, &asked).await.unwrap();
        // Live there is no definition of things yet.
        let live = manifest.replace("thing: \"true\"", "thing: \"false\"");
        assert_eq!(normalised_digest(answer.manifest.expose_secret()), normalised_digest(&live));
        assert!(same_documents(answer.manifest.expose_secret(), &live));
        assert!(!same_documents(answer.manifest.expose_secret(), manifest));
        let hooks: Vec<RecordedHook> = rendering.hooks.iter().map(|hook| hook.recorded().unwrap()).collect();
        let texts = |hooks: &[RecordedHook]| {
            hooks.iter().map(|hook| hook.manifest.expose_secret().to_owned()).collect::<Vec<_>>()
        };
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let opening = Opening { revision: 1, install: true, manifest: &live, hooks: &hooks, first_deployed: None, now };
        let of_helm: Vec<String> = answer.release["hooks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hook| hook["manifest"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(texts(&hooks), of_helm);
        let record = pending(answer.release, &opening).unwrap();
        let kept = secret(&record, now).unwrap();
        let read = decode(kept["data"]["release"].as_str().unwrap()).unwrap();
        assert_eq!((read.status, read.chart_name.as_str(), read.hooks.len()), (Status::PendingInstall, "probe", 2));
        assert_eq!(read.config, values());
    }
}
