//! Rendering with a script that plays helm: what is asked, what is kept, and what is never written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cfrt_engine::resource::Hole;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::*;
use crate::helm::binary::Search;
use crate::helm::binary::tests::play;
use crate::helm::rendering::Rendered;

const RENDERED: &str = "---
# Source: app/crds/t.yaml
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: t},
 spec: {group: g.io, names: {kind: Thing}, versions: [{name: v1, served: true}]}}
---
# Source: app/templates/a.yaml
{apiVersion: v1, kind: ConfigMap, metadata: {name: before}, data: {url: 'https://x:correct-horse@y'}}
---
# Source: app/templates/s.yaml
{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: other}, stringData: {password: correct-horse}}
---
# Source: app/templates/h.yaml
{apiVersion: v1, kind: Secret, metadata: {name: h, annotations: {helm.sh/hook: pre-install}}, data: {a: YmF0dGVyeS1zdGFwbGU=}}
";

struct Scene {
    home: TempDir,
    renderer: Renderer,
    request: RenderRequest,
}

impl Scene {
    /// A chart with these templates, and a helm that answers with a shell script.
    async fn new(template: &str, answer: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let [chart, helm, folder] = ["app", "bin/helm", "cache"].map(|name| home.path().join(name));
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join("Chart.yaml"), "name: app\nversion: 1.0.0\n").unwrap();
        fs::write(chart.join("templates/a.yaml"), template).unwrap();
        fs::write(home.path().join("rendered"), RENDERED).unwrap();
        let rendered = home.path().join("rendered");
        play(
            &helm,
            &format!(
                "[ $1 = version ] && echo v4.3.1 && exit; echo \"$@\" >> $0.asked; R={}\n{answer}",
                rendered.display()
            ),
        );
        let search = Search { option: Some(helm), ..Search::default() };
        let helm = Helm::find(&search, &folder).await.unwrap();
        let vault = Arc::new(Vault::at(&folder).unwrap());
        let request = RenderRequest {
            chart: Chart::open(&chart).unwrap(),
            values: json!({"token": "correct-horse"}),
            release: "r".into(),
            namespace: "ns".into(),
            is_upgrade: false,
            kube_version: "v1.34.4".into(),
            api_versions: vec!["v1".into(), "apps/v1".into()],
            fresh: false,
        };
        Self { renderer: Renderer::new(helm, folder, vault), home, request }
    }

    async fn render(&self) -> Rendering {
        self.renderer.render(self.request.clone()).await.unwrap()
    }

    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.home.path().join("bin/helm.asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    fn cached(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.home.path().join("cache/renderings")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    }
}

fn same(one: &Rendering, other: &Rendering) -> bool {
    let hooks = |rendering: &Rendering| {
        rendering.hooks.iter().map(|hook| (hook.facts.clone(), hook.rendered.clone())).collect::<Vec<_>>()
    };
    one.objects == other.objects
        && hooks(one) == hooks(other)
        && one.crds == other.crds
        && (&one.chart, &one.digest, one.volatile) == (&other.chart, &other.digest, other.volatile)
}

#[tokio::test]
async fn helm_is_asked_for_everything_that_matters_and_for_no_cluster() {
    let mut scene = Scene::new("a", "cat $R").await;
    scene.request.is_upgrade = true;
    drop(scene.render().await);
    let asked = &scene.asked()[0];
    let expected = "template --include-crds --kubeconfig /dev/null --namespace ns --kube-version v1.34.4 --values ";
    assert!(asked.starts_with(expected), "{asked}");
    // Values come by helm's input: a file with them would outlive a run that is killed.
    assert!(asked.contains(" --values - --api-versions apps/v1,v1 --is-upgrade -- r /"), "{asked}");
}

#[tokio::test]
async fn a_rendering_is_told_apart_and_holds_no_secret() {
    let scene = Scene::new("a", "cat $R").await;
    let rendering = scene.render().await;
    let names = |list: &[Rendered]| list.iter().map(|rendered| rendered.identity.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&rendering.objects), names(&rendering.crds)),
        (vec!["before".into(), "s".into()], vec!["t".into()])
    );
    assert_eq!(rendering.objects[1].identity.namespace.as_deref(), Some("other"));
    let holes = |at: usize| rendering.objects[at].document().holes.clone();
    assert_eq!(holes(0), [("/data/url".to_owned(), Hole::Secret)].into());
    assert_eq!(holes(1), [("/data/password".to_owned(), Hole::Secret)].into());
    let filled = scene.renderer.vault.fill(rendering.objects[0].document()).unwrap();
    assert_eq!(filled["data"]["url"], "https://x:correct-horse@y");
    assert!(rendering.hooks[0].manifest.as_ref().unwrap().expose_secret().contains("YmF0dGVyeS1zdGFwbGU="));
    assert!(rendering.manifest.as_ref().unwrap().expose_secret().starts_with("---\n# Source: app/templates/a.yaml\n"));
    assert!(!format!("{rendering:?}").contains("correct"));
}

#[tokio::test]
async fn the_same_request_starts_no_helm_again() {
    let mut scene = Scene::new("a", "cat $R").await;
    let first = scene.render().await;
    fs::remove_file(scene.home.path().join("bin/helm")).unwrap();
    let second = scene.render().await;
    assert!(same(&first, &second));
    assert!(second.manifest.is_none() && second.hooks[0].manifest.is_none());
    scene.request.fresh = true;
    assert!(matches!(scene.renderer.render(scene.request.clone()).await, Err(HelmError::Run(_))));
}

#[tokio::test]
async fn any_other_request_is_another_rendering() {
    let mut scene = Scene::new("a", "cat $R").await;
    let base = scene.request.clone();
    drop(scene.render().await);
    let changes: [fn(&mut RenderRequest); 7] = [
        |request| request.values = json!({}),
        |request| request.release = "q".into(),
        |request| request.namespace = "other".into(),
        |request| request.is_upgrade = true,
        |request| request.kube_version = "v1.33.0".into(),
        |request| request.api_versions.push("g.io/v1".into()),
        |request| request.chart.digest.push('0'),
    ];
    let keys: BTreeSet<String> = changes
        .iter()
        .map(|change| {
            let mut request = base.clone();
            change(&mut request);
            scene.renderer.key(&request)
        })
        .chain([scene.renderer.key(&base)])
        .collect();
    assert_eq!(keys.len(), changes.len() + 1);
    scene.request.api_versions.reverse();
    assert_eq!(scene.renderer.key(&scene.request), scene.renderer.key(&base));
}

#[tokio::test]
async fn no_file_of_the_cache_holds_a_secret() {
    let scene = Scene::new("a", "cat $R").await;
    drop(scene.render().await);
    let [path] = scene.cached().try_into().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    for secret in ["correct-horse", "Y29ycmVjdC1ob3JzZQ", "YmF0dGVyeS1zdGFwbGU", "battery-staple"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("sealed:"));
}

#[tokio::test]
async fn damaged_and_foreign_files_are_rendered_anew() {
    let scene = Scene::new("a", "cat $R").await;
    let first = scene.render().await;
    let [path] = scene.cached().try_into().unwrap();
    let good = fs::read(&path).unwrap();
    let changed = String::from_utf8(good.clone()).unwrap().replacen("before", "behind", 1).into_bytes();
    for (asked, bytes) in [(2, good[..good.len() - 1].to_vec()), (3, changed), (4, Vec::new()), (5, b"\n".to_vec())] {
        fs::write(&path, bytes).unwrap();
        assert!(same(&first, &scene.render().await));
        assert_eq!(scene.asked().len(), asked);
        assert_eq!(fs::read(&path).unwrap(), good);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(scene.render().await);
    assert_eq!(scene.asked().len(), 6);
    let other = Renderer { vault: Arc::new(Vault::new([1; 32])), ..scene.renderer.clone() };
    fs::copy(&path, path.with_file_name(format!("{}.json", other.key(&scene.request)))).unwrap();
    drop(other.render(scene.request.clone()).await.unwrap());
    assert_eq!(scene.asked().len(), 7);
}

#[tokio::test]
async fn what_differs_in_a_second_rendering_is_generated_and_stays_sealed() {
    let answer = "sed \"s/correct-horse/random-$$-value/\" $R";
    let scene = Scene::new("{{ randAlpha 5 }}", answer).await;
    let rendering = scene.render().await;
    assert_eq!(scene.asked().len(), 2);
    assert!(rendering.volatile.random);
    let password = rendering.objects[1].document();
    assert_eq!(password.holes["/data/password"], Hole::Generated);
    assert!(Vault::is_seal(password.body["data"]["password"].as_str().unwrap()));
    assert_eq!(rendering.objects[0].document().holes["/data/url"], Hole::Generated);
    assert_eq!(rendering.hooks[0].rendered.document().holes["/data/a"], Hole::Secret);
    let mut fresh = scene.request.clone();
    fresh.fresh = true;
    assert_eq!(scene.renderer.render(fresh).await.unwrap().digest.len(), rendering.digest.len());
}

#[tokio::test]
async fn a_chart_that_cannot_run_later_is_run_twice_as_it_is() {
    let scene = Scene::new("{{ now }}", "case \"$*\" in */later) exit 1; esac; cat $R").await;
    assert!(scene.render().await.volatile.clock);
    let asked = scene.asked();
    assert_eq!((asked.len(), asked.iter().filter(|line| line.ends_with("/later")).count()), (3, 1));
}

#[tokio::test]
async fn apis_of_definitions_count_if_the_subchart_is_on() {
    let mut scene = Scene::new("{{ .Capabilities.APIVersions.Has \"g.io/v1\" }}", "cat $R").await;
    let crds = scene.home.path().join("app/crds");
    fs::create_dir(&crds).unwrap();
    let definition = |group: &str| {
        format!("spec: {{group: {group}, names: {{kind: Thing}}, versions: [{{name: v1, served: true}}]}}\n")
    };
    fs::write(crds.join("t.yaml"), definition("g.io")).unwrap();
    scene.request.chart = Chart::open(&scene.request.chart.path).unwrap();
    drop(scene.render().await);
    assert!(scene.asked()[0].contains(" apps/v1,g.io/v1,g.io/v1/Thing,v1 "), "{:?}", scene.asked());
    assert_eq!(scene.asked().len(), 1);

    fs::write(crds.join("off.yaml"), definition("off.io")).unwrap();
    scene.request.chart = Chart::open(&scene.request.chart.path).unwrap();
    drop(scene.render().await);
    assert!(
        scene.asked()[1].contains("off.io/v1/Thing") && !scene.asked()[2].contains("off.io"),
        "{:?}",
        scene.asked()
    );
}

#[tokio::test]
async fn templates_inside_values_count_too() {
    let mut scene = Scene::new("a", "cat $R").await;
    scene.request.values = json!({"deep": [{"text": "{{ uuidv4 }} {{ .Files.Get .x }}"}]});
    assert!(scene.render().await.volatile.random);
    let chart = scene.request.chart.path.display().to_string();
    assert!(scene.asked().iter().all(|asked| asked.ends_with(&chart)), "{:?}", scene.asked());
}

#[tokio::test]
async fn what_helm_says_of_a_failure_is_passed_on() {
    let scene = Scene::new("a", "echo 'Error: execution error at (app/templates/a.yaml:1:4): no' >&2; exit 1").await;
    let error = scene.renderer.render(scene.request.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), "rendering chart app 1.0.0: execution error at (app/templates/a.yaml:1:4): no");
}

#[test]
fn long_lists_of_apis_are_split_and_endless_ones_refused() {
    let apis: Vec<String> = (0..4000).map(|number| format!("group{number}.example.com/v1/Kind{number}")).collect();
    let arguments = api_arguments(apis.iter()).unwrap();
    assert!(arguments.len() > 1 && arguments.iter().all(|argument| argument.len() <= LONGEST_ARGUMENT));
    assert_eq!(arguments.join(",").split(',').count(), apis.len());
    let endless: Vec<String> = (0..40_000).map(|number| format!("group{number}.example.com/v1/Kind{number}")).collect();
    assert!(matches!(api_arguments(endless.iter()), Err(HelmError::TooManyApis { count: 40_000 })));
    let junk = ["v1", "a,b", "", "x y", "apps/v1"].map(str::to_owned);
    assert_eq!(api_arguments(junk.iter()).unwrap(), ["apps/v1,v1"]);
}
