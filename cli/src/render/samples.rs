//! Small plans made by hand, and how a test compares what is printed with a file.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::change::{Action, Change, FieldChange, Moved, Origin};
use cfrt_engine::compile::Expanded;
use cfrt_engine::desired::parse;
use cfrt_engine::drift::{Drift, drift};
use cfrt_engine::driver::Observation;
use cfrt_engine::facts::{Facts, facts};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::ignore::{Day, Rule};
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
    FieldChange::new(path, Some(before), Some(after))
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

/// Findings of every sort, one of them ignored, and a rule that has expired.
pub(crate) fn drifted() -> Drift {
    let by = |by: &str, via: Option<&str>, at: Option<&str>| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Moved { by: text(Some(by)), via: text(via), at: text(at), was: None }
    };
    let at = Some("2026-11-22T14:02:11Z");
    let world = |moved: Moved| Some(Origin::World(moved));
    let whole = |action, origin| Change { origin, ..Change::of(action) };
    let field = |path: &str, before: Option<Value>, after: Option<Value>, origin| {
        FieldChange::new(path, before, after).origin(origin)
    };
    let env = "spec.template.spec.containers[app].env[MODE].value";
    let both = Some(Origin::Both(by("kubectl-set", None, at)));
    let fields = vec![
        field("spec.replicas", Some(json!(3)), Some(json!(1)), world(by("kubectl", Some("scale"), None))),
        field(env, Some(json!("wild|*x*")), Some(json!("calm")), both),
        field("spec.paused", None, Some(json!(true)), world(Moved::default())),
    ];
    let note = vec![field("metadata.annotations.note", Some(json!("<b>")), None, world(by("edit\u{1b}[2J", None, at)))];
    let token =
        vec![field("data.token", Some(json!("b2xk")), Some(json!("sealed:9")), world(by("kubectl-patch", None, at)))];
    let long = Some(json!("x\n".repeat(90)));
    let text = vec![field("data.config", Some(json!("y")), long, world(by("kubectl-edit", None, at)))];
    let refused = Change { fields: note, ..because(Action::Refuse, "it belongs to release a/b") };
    let plan = plan(vec![
        sample("namespace", Address::new("v1/Namespace", "", "codefresh"), Change::of(Action::Keep)),
        sample("chart", deployment("app"), Change::of_fields(fields)),
        sample("chart", core("ConfigMap", "router"), Change::of_fields(text)),
        sample("chart", core("Secret", "token"), Change::of_fields(token)),
        sample("chart", core("Service", "app"), refused),
        sample("chart", core("ConfigMap", "gone"), whole(Action::Create, world(Moved::default()))),
        sample("chart", core("ConfigMap", "more"), whole(Action::Delete, world(by("helm", None, at)))),
        sample("chart", core("ConfigMap", "new"), whole(Action::Create, Some(Origin::File))),
    ]);
    let rule = |resource: &str, year| Rule {
        resource: resource.to_owned(),
        field: None,
        reason: "someone else's | business".to_owned(),
        until: Day { year, month: 12, day: 31 },
    };
    let rules = [rule("ConfigMap codefresh/more", 2026), rule("ConfigMap codefresh/gone", 2025)];
    drift(&plan, &rules, Day { year: 2026, month: 11, day: 23 })
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
            authority: String::new(),
        },
        account: "628a80b693a15c0f9c13ab75".to_owned(),
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
