//! Charts are named by their digest, bounded in what they may be, and copied without what no template reads.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use tempfile::TempDir;

use super::*;
use crate::helm::archive::tests::pack;

const CHART: &str = "apiVersion: v2\nname: app\nversion: 1.2.3\nappVersion: 4.5\nkubeVersion: '>=1.23'\n";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    fn folder(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.0.path().join("app");
        for (name, bytes) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn archive(&self, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.0.path().join("app.tgz");
        fs::write(&path, pack(files)).unwrap();
        path
    }
}

fn copied(prepared: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut waiting = vec![prepared.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                files.push(path.strip_prefix(prepared).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_chart_tells_what_it_is_from_folder_and_archive() {
    let home = Home::new();
    let folder = Chart::open(&home.folder(&[("Chart.yaml", CHART.as_bytes())])).unwrap();
    let archive = Chart::open(&home.archive(&[("app/Chart.yaml", CHART.as_bytes()), ("app/broken", b"")])).unwrap();
    assert_eq!(folder.metadata, archive.metadata);
    let Metadata { name, version, app_version, kube_version, dependencies } = folder.metadata;
    assert_eq!((name.as_str(), version.as_str()), ("app", "1.2.3"));
    assert_eq!((app_version.as_deref(), kube_version.as_deref()), (Some("4.5"), Some(">=1.23")));
    assert!(dependencies.is_empty() && folder.digest.starts_with("sha256:") && folder.digest.len() == 71);
}

#[test]
fn a_digest_changes_with_each_name_and_content() {
    let digest = |files: &[(&str, &[u8])]| Chart::open(&Home::new().folder(files)).unwrap().digest;
    let base = digest(&[("Chart.yaml", CHART.as_bytes()), ("a", b"x"), ("b", b"")]);
    assert_eq!(base, digest(&[("b", b""), ("Chart.yaml", CHART.as_bytes()), ("a", b"x"), (".git/HEAD", b"1")]));
    for other in [[("a", b"y".as_slice()), ("b", b"")], [("a", b"x"), ("c", b"")], [("a", b""), ("b", b"x")]] {
        assert_ne!(base, digest(&[&[("Chart.yaml", CHART.as_bytes())], other.as_slice()].concat()));
    }
}

#[test]
fn what_is_no_chart_is_refused_in_words_that_help() {
    let home = Home::new();
    let message = |path: &Path| Chart::open(path).unwrap_err().to_string();
    assert_eq!(message(Path::new("/nowhere")), "reading chart /nowhere");
    let empty = home.folder(&[("values.yaml", b"")]);
    assert!(message(&empty).ends_with("app is no chart: it has no Chart.yaml"));
    assert!(message(&home.archive(&[("app/values.yaml", b"")])).ends_with("app.tgz is no chart: it has no Chart.yaml"));
    for (yaml, end) in [
        ("name: [", "Chart.yaml of "),
        ("name: app", "it has no version"),
        ("name: a/b\nversion: 1", "\"a/b\" is no name for a chart"),
        ("name: app\nversion: 1\ntype: library", "it is a library, which installs nothing"),
    ] {
        let text = message(&home.folder(&[("Chart.yaml", yaml.as_bytes())]));
        assert!(text.contains(end), "{text}");
    }
}

#[test]
fn links_are_followed_within_bounds_and_pipes_are_refused() {
    let home = Home::new();
    let folder = home.folder(&[("Chart.yaml", CHART.as_bytes()), ("a", b"x")]);
    symlink("a", folder.join("link")).unwrap();
    let linked = Chart::open(&folder).unwrap().digest;
    fs::remove_file(folder.join("link")).unwrap();
    fs::write(folder.join("link"), "x").unwrap();
    assert_eq!(Chart::open(&folder).unwrap().digest, linked);
    symlink(".", folder.join("circle")).unwrap();
    assert!(matches!(Chart::open(&folder), Err(ChartError::Unreadable { .. })));
    fs::remove_file(folder.join("circle")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    assert!(matches!(Chart::open(&folder), Err(ChartError::Unreadable { .. })));
}

#[test]
fn a_copy_leaves_out_what_no_template_reads() {
    let home = Home::new();
    let sub = pack(&[
        ("sub/Chart.yaml", b"name: sub\nversion: 1.0.0\n"),
        ("sub/README.md", b"r"),
        ("sub/crds/t.yaml", DEFINITION),
    ]);
    let chart = format!("{CHART}dependencies: [{{name: sub, version: 1.0.0}}]\n");
    let files: [(&str, &[u8]); 10] = [
        ("Chart.yaml", chart.as_bytes()),
        ("README.md", b"r"),
        ("docs/kept.md", b"k"),
        ("docs/gone.md", b"g"),
        ("LICENSE", b"l"),
        ("ci/x.yaml", b"c"),
        ("files/data.json", b"{}"),
        ("templates/README.md", b"t"),
        ("templates/a.yaml", b"{{ .Files.Get \"docs/kept.md\" }}{{ .Capabilities.APIVersions.Has \"x\" }}"),
        ("charts/sub-1.0.0.tgz", &sub),
    ];
    let chart = Chart::open(&home.folder(&files)).unwrap();
    let prepared = prepare(&chart, &home.cache()).unwrap();
    assert_eq!(
        copied(&prepared.folder),
        [
            "Chart.yaml",
            "charts/sub-1.0.0/Chart.yaml",
            "charts/sub-1.0.0/crds/t.yaml",
            "docs/kept.md",
            "files/data.json",
            "templates/README.md",
            "templates/a.yaml",
        ]
    );
    assert_eq!(prepared.apis, ["g.io/v1", "g.io/v1/Thing"]);
    assert!(prepared.asks_for_apis && prepared.later.is_none() && prepared.volatile == Default::default());
    assert_eq!(fs::metadata(prepared.folder.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
}

const DEFINITION: &[u8] = b"spec: {group: g.io, names: {kind: Thing}, versions: [{name: v1, served: true}]}";

#[test]
fn a_copy_is_whole_where_a_template_may_read_anything() {
    let home = Home::new();
    let template: (&str, &[u8]) = ("templates/a.yaml", b"{{ range $f := .Files }}{{ end }}");
    let chart = Chart::open(&home.folder(&[("Chart.yaml", CHART.as_bytes()), ("README.md", b""), template])).unwrap();
    let prepared = prepare(&chart, &home.cache()).unwrap();
    assert_eq!(copied(&prepared.folder), ["Chart.yaml", "README.md", "templates/a.yaml"]);
}

#[test]
fn subcharts_stay_packed_where_a_helmignore_could_reach_into_them() {
    let home = Home::new();
    let sub = pack(&[("sub/Chart.yaml", b"name: sub\nversion: 1.0.0\n")]);
    let files: [(&str, &[u8]); 3] =
        [("Chart.yaml", CHART.as_bytes()), ("charts/sub.tgz", &sub), (".helmignore", b"# mine\n*.json\n")];
    let chart = Chart::open(&home.folder(&files)).unwrap();
    assert_eq!(
        copied(&prepare(&chart, &home.cache()).unwrap().folder),
        [".helmignore", "Chart.yaml", "charts/sub.tgz"]
    );
    let files = files.map(|(name, bytes)| (format!("app/{name}"), bytes));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let packed = Chart::open(&home.archive(&files)).unwrap();
    assert_eq!(copied(&prepare(&packed, &home.cache()).unwrap().folder), ["Chart.yaml", "charts/sub/Chart.yaml"]);
}

#[test]
fn a_chart_that_reads_the_clock_has_a_copy_for_later() {
    let home = Home::new();
    let template: (&str, &[u8]) = ("templates/a.yaml", b"{{ now }}");
    let chart = Chart::open(&home.folder(&[("Chart.yaml", CHART.as_bytes()), template])).unwrap();
    let prepared = prepare(&chart, &home.cache()).unwrap();
    let text = |folder: &Path| fs::read_to_string(folder.join("templates/a.yaml")).unwrap();
    assert_eq!(text(&prepared.folder), "{{ now }}");
    assert!(text(&prepared.later.unwrap()).contains("dateModify"));
}

#[test]
fn missing_subcharts_are_named_with_the_command_that_brings_them() {
    let home = Home::new();
    let yaml = format!("{CHART}dependencies: [{{name: one}}, {{name: two}}, {{name: three}}]\n");
    let three = pack(&[("three/Chart.yaml", b"name: three\n")]);
    let files: [(&str, &[u8]); 4] = [
        ("Chart.yaml", yaml.as_bytes()),
        ("charts/other-name/Chart.yaml", b"name: one\n"),
        ("charts/three.tgz", &three),
        (".helmignore", b"*.x"),
    ];
    let path = home.folder(&files);
    let error = prepare(&Chart::open(&path).unwrap(), &home.cache()).unwrap_err().to_string();
    assert_eq!(error, format!("chart app lacks its dependencies two; run `helm dependency build {}`", path.display()));
}

#[test]
fn a_chart_that_changes_under_our_hands_is_refused() {
    let home = Home::new();
    let path = home.folder(&[("Chart.yaml", CHART.as_bytes())]);
    let chart = Chart::open(&path).unwrap();
    fs::write(path.join("values.yaml"), "a: 1").unwrap();
    assert!(matches!(prepare(&chart, &home.cache()), Err(ChartError::Changing { .. })));
}

#[test]
fn sources_are_told_apart_by_their_form() {
    let parse = |source, name| ChartSource::parse(source, name, Path::new("/plans"));
    assert_eq!(parse("charts/app", None).unwrap(), ChartSource::Local("/plans/charts/app".into()));
    assert_eq!(parse("/srv/app.tgz", None).unwrap(), ChartSource::Local("/srv/app.tgz".into()));
    assert_eq!(parse("oci://r/app/", None).unwrap(), ChartSource::Registry("oci://r/app".into()));
    let repository = ChartSource::Repository { url: "https://r".into(), name: "app".into() };
    assert_eq!(parse("https://r", Some("app")).unwrap(), repository);
    for (source, name) in [("https://r", None), ("", None), ("ftp://r/app", Some("app"))] {
        assert!(matches!(parse(source, name), Err(ChartError::Source { .. })), "{source}");
    }
}

#[test]
fn only_registries_on_this_machine_are_asked_without_encryption() {
    for (reference, plain) in [
        ("oci://127.0.0.1:5000/a", true),
        ("oci://localhost/a", true),
        ("oci://localhost.example.com/a", false),
        ("oci://quay.io/localhost", false),
    ] {
        assert_eq!(is_loopback(reference), plain, "{reference}");
    }
}

#[test]
fn subcharts_that_unpack_to_more_than_a_chart_may_be_are_refused() {
    let home = Home::new();
    let bomb = pack(&[("sub/large", &vec![0; 60 << 20])]);
    let inner = pack(&[("sub/charts/a.tgz", &bomb), ("sub/charts/b.tgz", &bomb)]);
    for files in [vec![("app/charts/a.tgz", &bomb), ("app/charts/b.tgz", &bomb)], vec![("app/charts/a.tgz", &inner)]] {
        let mut all = vec![("app/Chart.yaml", CHART.as_bytes())];
        all.extend(files.iter().map(|(path, bytes)| (*path, bytes.as_slice())));
        let chart = Chart::open(&home.archive(&all)).unwrap();
        let refused = super::copy::prepare(&chart, &home.cache()).unwrap_err();
        assert!(matches!(refused, ChartError::Unreadable { .. }), "{refused:?}");
    }
}
