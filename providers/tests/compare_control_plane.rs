//! The comparison of documents with live objects, judged by a real API server's dry-run applies.
#![expect(clippy::print_stderr, reason = "the figures are what these tests are for")]

mod compare_judge;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use cfrt_engine::change::FieldChange;
use cfrt_providers::kube::call::{Apply, Call};
use cfrt_providers::kube::compare::{Compared, compare};
use cfrt_providers::kube::difference::difference;
use cfrt_providers::kube::fields::needs_migration;
use compare_judge::{Cluster, Random};
use serde_json::Value;

const OBJECTS: &str = include_str!("../../testdata/compare/objects.yaml");

#[tokio::test]
#[ignore = "needs a control plane"]
async fn objects_that_storing_changes_much_are_compared_as_the_server_does() {
    judge("compare-objects", |_| OBJECTS.to_owned(), &Budget { mutations: 800, edits: 8 }).await;
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn charts_are_compared_as_the_server_does() {
    for chart in charts() {
        let name = chart.file_name().and_then(|name| name.to_str()).expect("a chart's folder has a name");
        judge(
            &format!("compare-{name}"),
            |namespace| rendered(&chart, namespace),
            &Budget { mutations: 400, edits: 1 },
        )
        .await;
    }
}

#[tokio::test]
#[ignore = "needs a control plane"]
async fn ordinary_writes_are_migrated_and_lose_nothing() {
    let cluster = Cluster::new("compare-migration").await;
    let objects = read(OBJECTS).into_iter().filter_map(|document| cluster.object(document));
    for object in objects.filter(|object| object.kind.namespaced && object.kind.gvk.kind != "Widget") {
        let body = &object.document.body;
        let created =
            cluster.answer(&Call::create(&object.kind, &object.namespace, body)).await.expect("it can be made");
        // Who names no manager is known by its client's name.
        let manager = created["metadata"]["managedFields"][0]["manager"].as_str().expect("a creation has a manager");
        assert!(compare(&object.document, &created, manager).migrate, "{}", object.title());
        let migrated = cluster.migrate(&object, manager).await;
        assert!(!needs_migration(&migrated, manager), "{}", object.title());
        assert_eq!(migrated["metadata"]["generation"], created["metadata"]["generation"], "{}", object.title());
        let call = Call::apply(&object.kind, &object.namespace, &object.name, manager, Apply::Forced, body);
        let applied = cluster.answer(&call).await.expect("the document is accepted");
        // A controller may number a Deployment between the two reads.
        let moved = difference(&migrated, &applied);
        let ours = moved.iter().filter(|field| !field.path.contains("deployment.kubernetes.io/revision"));
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<&FieldChange>::new(), "{}", object.title());
        assert_eq!(
            compare(&object.document, &applied, manager),
            Compared { fields: vec![], kept: vec![], migrate: false, hides_removals: false, foreign: false }
        );
    }
    cluster.clean(&[]).await;
}

/// How much is tried.
struct Budget {
    /// Changed documents in all.
    mutations: usize,
    /// Edits of each live object.
    edits: usize,
}

/// Applies documents, then changes documents and live objects at random and compares every verdict with the server's.
///
/// `CFRT_SEED` chooses other cases, `CFRT_EFFORT` multiplies them.
async fn judge(test: &str, documents: impl Fn(&str) -> String, budget: &Budget) {
    let start = Instant::now();
    let seed = std::env::var("CFRT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    eprintln!("{test}: CFRT_SEED={seed}");
    let effort: usize = std::env::var("CFRT_EFFORT").ok().and_then(|effort| effort.parse().ok()).unwrap_or(1);
    let cluster = Cluster::new(test).await;
    let (objects, left_out) = cluster.install(read(&documents(&cluster.namespace))).await;
    let installed = start.elapsed().as_secs_f32();
    let unchanged = cluster.unchanged(&objects).await;
    let mutated = cluster.mutated(&objects, budget.mutations * effort, &Random::new(seed)).await;
    let after_documents = start.elapsed().as_secs_f32();
    let edited = cluster.edited(&objects, budget.edits * effort, seed).await;
    cluster.clean(&objects).await;
    eprintln!("{test}: {} objects, {left_out} left out; installed after {installed:.1} s", objects.len());
    eprintln!("  unchanged: {unchanged}\n  changed documents ({after_documents:.1} s): {mutated}");
    eprintln!("  edited live objects ({:.1} s): {edited}", start.elapsed().as_secs_f32());
    assert_eq!(unchanged.needless, [""; 0], "false differences");
    assert_eq!(unchanged.missed, [""; 0], "an apply of what is there changes it");
    assert_eq!(mutated.missed, [""; 0], "changed documents were taken for equal");
    assert_eq!(edited.missed, [""; 0], "edited live objects were taken for equal");
}

fn read(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).expect("test data is YAML");
    documents.into_iter().filter(|document| document["kind"].is_string()).collect()
}

fn charts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/charts");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut charts: Vec<_> = entries.filter(|path| path.join("Chart.yaml").exists()).collect();
    charts.sort();
    charts
}

fn rendered(chart: &Path, namespace: &str) -> String {
    let helm =
        std::env::var_os("CFRT_HELM4").or_else(|| std::env::var_os("CFRT_HELM3")).expect("CFRT_HELM4 names helm");
    let mut command = Command::new(helm);
    command.args(["template", "compare", "--include-crds", "--no-hooks", "--namespace", namespace]).arg(chart);
    if let Some(values) = example_values(chart) {
        command.arg("--values").arg(values);
    }
    let output = command.output().expect("helm starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("helm writes UTF-8")
}

fn example_values(chart: &Path) -> Option<PathBuf> {
    std::fs::read_dir(chart.join("ci")).ok()?.flatten().map(|entry| entry.path()).min()
}
