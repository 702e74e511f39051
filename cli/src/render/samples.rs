//! Small plans made by hand, and how a test compares what is printed with a file.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::change::{Action, Change, FieldChange};
use cfrt_engine::compile::Expanded;
use cfrt_engine::desired::parse;
use cfrt_engine::driver::Observation;
use cfrt_engine::facts::{Facts, facts};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::resource::{Address, Document, Resource, ResourceId, Trigger, Want};
use cfrt_engine::source::Sources;
use cfrt_engine::task::{Expansion, TaskId};
use cfrt_providers::world::Target;
use serde_json::{Value, json};

use crate::pipeline::{About, TaskNote};

/// What is planned for one resource: its task, its id, what happens, and what it is hidden behind.
pub(crate) struct Sample {
    pub(crate) task: &'static str,
    pub(crate) id: ResourceId,
    pub(crate) change: Change,
    pub(crate) behind: Option<ResourceId>,
    pub(crate) settings: Value,
}

/// Something that happens to a whole object.
pub(crate) fn sample(task: &'static str, address: Address, change: Change) -> Sample {
    Sample { task, id: ResourceId::whole(address), change, behind: None, settings: Value::Null }
}

/// A namespaced object of the kind that comes with apps.
pub(crate) fn deployment(name: &str) -> Address {
    Address::new("apps/v1/Deployment", "codefresh", name)
}

/// An object of the core group.
pub(crate) fn core(kind: &str, name: &str) -> Address {
    Address::new(format!("v1/{kind}"), "codefresh", name)
}

/// A field that moves from one value to another.
pub(crate) fn moved(path: &str, before: Value, after: Value) -> FieldChange {
    FieldChange { path: path.to_owned(), before: Some(before), after: Some(after) }
}

/// A change for a reason.
pub(crate) fn because(action: Action, reason: &str) -> Change {
    Change::of(action).because(reason)
}

/// A task as an id.
pub(crate) fn task(kind: &'static str) -> TaskId {
    TaskId { kind, name: String::new() }
}

/// A plan of these steps, in their order.
pub(crate) fn plan(samples: Vec<Sample>) -> Plan {
    let mut tasks: Vec<Expanded> = Vec::new();
    for sample in &samples {
        let id = task(sample.task);
        if !tasks.iter().any(|task| task.id == id) {
            tasks.push(Expanded { id: id.clone(), after: Vec::new(), expansion: Expansion::default() });
        }
        let found = tasks.iter_mut().find(|task| task.id == id).expect("it was just added");
        found.expansion.resources.push(resource(sample));
    }
    let graph = ResourceGraph::new(tasks).expect("the samples are sound");
    let step = |resource: &Arc<Resource>| {
        let sample = samples.iter().find(|sample| sample.id == resource.id).expect("each resource comes from a sample");
        let seen = match &sample.behind {
            Some(behind) => Observation::Hidden { behind: behind.clone() },
            None => Observation::Absent,
        };
        Step { resource: Arc::clone(resource), change: sample.change.clone(), seen, settled: true }
    };
    Plan { steps: graph.resources().iter().map(step).collect(), graph }
}

fn resource(sample: &Sample) -> Resource {
    Resource {
        id: sample.id.clone(),
        task: task(sample.task),
        driver: "object",
        want: Want::Present(Document { body: json!({}), ..Document::default() }.into()),
        needs: Vec::new(),
        trigger: Trigger::Differs,
        settings: sample.settings.clone(),
    }
}

/// What a plan of these tasks is about.
pub(crate) fn about(tasks: &[(&'static str, &[&str])]) -> About {
    let note = |(kind, remarks): &(&'static str, &[&str])| TaskNote {
        id: task(kind),
        after: Vec::new(),
        remarks: remarks.iter().map(|remark| (*remark).to_owned()).collect(),
        nothing: "none is wanted",
    };
    About {
        facts: sample_facts(),
        target: Target {
            context: "prod-us-east".to_owned(),
            uid: "1f0c5d2a-77aa-4a3c-9d3e-000000000000".to_owned(),
            version: "v1.34.4".to_owned(),
        },
        tasks: tasks.iter().map(note).collect(),
        requests: 19,
        took: Duration::from_millis(71),
    }
}

fn sample_facts() -> Facts {
    let mut sources = Sources::default();
    let text = "schema = 1\n[runtime]\nname = 'codefresh'\nnamespace = 'codefresh'\nrelease = 'cf-gitops-runtime'";
    sources.push("sample.toml", text);
    facts(&parse(&sources).expect("the sample is right")).expect("the sample is right")
}

/// The text without its colours.
pub(crate) fn colourless(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Compares a text with a file of this crate; `CFRT_BLESS=1` writes the file instead.
pub(crate) fn same_as_file(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("CFRT_BLESS").is_some() {
        fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("the folder can be made");
        fs::write(&file, text).expect("the file can be written");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == text,
        "{path} is not what is printed now; read the difference, then run with CFRT_BLESS=1:\n{text}"
    );
}
