//! Plans and reports to JSON that programs read: versioned, described by a schema, the same bytes for the same plan.

use std::collections::HashMap;

use cfrt_engine::change::{Action, FieldChange, Moved, Origin};
use cfrt_engine::drift::{Drift, Finding, Ignored, Sort};
use cfrt_engine::driver::Fault;
use cfrt_engine::event::{Because, Outcome};
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::report::Report;
use cfrt_engine::resource::{Address, Part, ResourceId};
use schemars::generate::SchemaSettings;
use serde::Serialize;

use crate::args::Format;
use crate::exit::Exit;
use crate::pipeline::About;
use crate::render::clean::is_hostile;
use crate::render::drift::told;
use crate::render::history::HistoryOutput;
use crate::render::secret::shown;
use crate::render::wire::{
    ActionWord, AppliedOutput, ApplyFormat, ApplyOutput, ApplySummary, DriftFormat, DriftOutput, DriftSummary,
    FaultWord, FieldOutput, FindingOutput, IgnoredOutput, OriginOutput, OriginWord, OutcomeWord, PlanFormat,
    PlanOutput, PlanSummary, SortWord, StepOutput, TargetOutput, TaskOutput,
};
use crate::render::words::{Mark, hidden_behind};

/// How each step ended that has.
pub(crate) type Outcomes = HashMap<ResourceId, Outcome>;

/// A plan as JSON.
pub(crate) fn plan(about: &About, plan: &Plan) -> String {
    print(&PlanOutput {
        format: PlanFormat::V1,
        target: target(about),
        tasks: tasks(about, plan),
        steps: plan.in_order().map(step).collect(),
        summary: plan_summary(plan),
    })
}

/// What came of a plan, as JSON.
pub(crate) fn apply(
    about: &About,
    plan: &Plan,
    report: &Report,
    outcomes: &Outcomes,
    interrupted: bool,
    exit: Exit,
) -> String {
    let writing = plan.steps.iter().filter(|step| step.change.action.writes()).count();
    print(&ApplyOutput {
        format: ApplyFormat::V1,
        target: target(about),
        tasks: tasks(about, plan),
        steps: plan.in_order().map(|step| applied(step, outcomes.get(&step.resource.id))).collect(),
        summary: ApplySummary {
            applied: report.done,
            of: writing,
            unchanged: report.unchanged,
            not_awaited: report.not_awaited,
            failed: report.failed.len(),
            closed_as_failed: report.closed_as_failed.len(),
            skipped: report.skipped.len(),
            interrupted,
            exit: exit.code(),
        },
    })
}

/// What has moved, as JSON.
pub(crate) fn drift(about: &About, drift: &Drift, exit: Exit) -> String {
    print(&DriftOutput {
        format: DriftFormat::V1,
        target: target(about),
        findings: drift.findings.iter().map(finding).collect(),
        ignored: drift.ignored.iter().map(ignored).collect(),
        notes: drift.notes.iter().map(told).chain(about.tasks.iter().flat_map(|task| task.remarks.clone())).collect(),
        summary: DriftSummary {
            moved: drift.moved(),
            findings: drift.findings.len(),
            ignored: drift.ignored.len(),
            changes: drift.changes,
            refused: drift.refused,
            keep: drift.kept,
            exit: exit.code(),
        },
    })
}

fn finding(finding: &Finding) -> FindingOutput {
    let shown = shown(&finding.resource.address, &finding.path, [&finding.was, &finding.is]);
    let secret = shown.is_none();
    let [was, is] = shown.unwrap_or_default();
    let Moved { by, via, at, was: _ } = finding.moved.clone();
    FindingOutput {
        id: finding.fingerprint.clone(),
        address: finding.resource.address.to_string(),
        part: part(&finding.resource.part),
        task: finding.task.to_string(),
        sort: sort(finding.sort),
        path: Some(finding.path.clone()).filter(|path| !path.is_empty()),
        was,
        is,
        secret,
        manager: by,
        subresource: via,
        time: at,
        also_changed: finding.also_changed,
        refused: Some(finding.refused.clone()).filter(|refused| !refused.is_empty()),
    }
}

fn ignored(ignored: &Ignored) -> IgnoredOutput {
    let Ignored { finding, reason, until } = ignored;
    IgnoredOutput { finding: self::finding(finding), reason: reason.clone(), until: until.to_string() }
}

fn sort(sort: Sort) -> SortWord {
    match sort {
        Sort::Changed => SortWord::Changed,
        Sort::Missing => SortWord::Missing,
        Sort::Extra => SortWord::Extra,
        Sort::Deleted => SortWord::Deleted,
        Sort::Absent => SortWord::Absent,
        Sort::Moved => SortWord::Moved,
    }
}

fn origin(origin: &Origin) -> OriginOutput {
    let from = match origin {
        Origin::File => OriginWord::File,
        Origin::World(_) => OriginWord::World,
        Origin::Both(_) => OriginWord::Both,
    };
    let Moved { by, via, at, was } = origin.moved().cloned().unwrap_or_default();
    OriginOutput { from, manager: by, subresource: via, time: at, was }
}

/// The schema of a format.
pub(crate) fn schema(format: Format) -> String {
    // What is printed is described, not what would be read: only there can a key be missing.
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    print(&match format {
        Format::Plan => generator.into_root_schema_for::<PlanOutput>(),
        Format::Apply => generator.into_root_schema_for::<ApplyOutput>(),
        Format::Drift => generator.into_root_schema_for::<DriftOutput>(),
        Format::History => generator.into_root_schema_for::<HistoryOutput>(),
    })
}

/// Indented, with a line break at the end, and with nothing in it that a terminal would obey.
pub(super) fn print(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("all map keys are strings, and nothing else can fail");
    let mut printed = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if is_hostile(character) && character != '\n' {
            // Control characters are escaped by now; what is left stands inside a string, where an escape means the same.
            let mut units = [0; 2];
            printed.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            printed.push(character);
        }
    }
    printed.push('\n');
    printed
}

fn target(about: &About) -> TargetOutput {
    let runtime = &about.facts.runtime;
    TargetOutput {
        runtime: runtime.name.get_ref().as_str().to_owned(),
        namespace: runtime.namespace.get_ref().as_str().to_owned(),
        release: runtime.release.get_ref().as_str().to_owned(),
        context: about.target.context.clone(),
        version: about.target.version.clone(),
        uid: about.target.uid.clone(),
    }
}

fn tasks(about: &About, plan: &Plan) -> Vec<TaskOutput> {
    let tasks = about.tasks.iter().map(|task| TaskOutput {
        task: task.id.to_string(),
        resources: plan.steps.iter().filter(|step| step.resource.task == task.id).count(),
        remarks: task.remarks.clone(),
    });
    tasks.collect()
}

fn step(step: &Step) -> StepOutput {
    let ResourceId { address, part } = &step.resource.id;
    StepOutput {
        address: address.to_string(),
        part: self::part(part),
        task: step.resource.task.to_string(),
        action: action(step),
        hidden_behind: hidden_behind(step).map(ToString::to_string),
        reason: step.change.reason.clone(),
        origin: step.change.origin.as_ref().map(origin),
        fields: step.change.fields.iter().map(|field| self::field(address, field)).collect(),
    }
}

fn part(part: &Part) -> Option<String> {
    match part {
        Part::Whole => None,
        Part::Adoption => Some("adoption".to_owned()),
        Part::Fields(name) => Some((*name).to_owned()),
    }
}

fn field(address: &Address, field: &FieldChange) -> FieldOutput {
    let shown = shown(address, &field.path, [&field.before, &field.after]);
    let secret = shown.is_none();
    let [before, after] = shown.unwrap_or_default();
    FieldOutput { path: field.path.clone(), before, after, secret, origin: field.origin.as_ref().map(origin) }
}

fn applied(step: &Step, outcome: Option<&Outcome>) -> AppliedOutput {
    let said = |outcome| AppliedOutput {
        step: self::step(step),
        outcome,
        causes: Vec::new(),
        fault: None,
        hint: None,
        needs: None,
    };
    match outcome {
        None => said(OutcomeWord::NotReached),
        Some(Outcome::Done) => said(OutcomeWord::Done),
        Some(Outcome::Unchanged) => said(OutcomeWord::Unchanged),
        Some(Outcome::Failed(failure)) => AppliedOutput {
            causes: failure.causes.clone(),
            fault: Some(fault(failure.fault)),
            hint: Some(failure.hint.clone()).filter(|hint| !hint.is_empty()),
            ..said(OutcomeWord::Failed)
        },
        Some(Outcome::NotAwaited) => said(OutcomeWord::NotAwaited),
        Some(Outcome::ClosedAsFailed(Because::Needs(id))) => {
            AppliedOutput { needs: Some(id.to_string()), ..said(OutcomeWord::ClosedAsFailed) }
        }
        Some(Outcome::ClosedAsFailed(Because::Stopped)) => said(OutcomeWord::ClosedAsFailed),
        Some(Outcome::Skipped(Because::Needs(id))) => {
            AppliedOutput { needs: Some(id.to_string()), ..said(OutcomeWord::Skipped) }
        }
        Some(Outcome::Skipped(Because::Stopped)) => said(OutcomeWord::Skipped),
    }
}

fn plan_summary(plan: &Plan) -> PlanSummary {
    let hooks = plan.steps.iter().filter(|step| Mark::of(step) == Mark::Run).count();
    PlanSummary {
        create: plan.count(Action::Create) - hooks,
        run: hooks,
        update: plan.count(Action::Update),
        replace: plan.count(Action::Replace),
        delete: plan.count(Action::Delete),
        migrate: plan.count(Action::Migrate),
        refuse: plan.count(Action::Refuse),
        keep: plan.count(Action::Keep),
        hidden: plan.steps.iter().filter(|step| hidden_behind(step).is_some()).count(),
    }
}

fn action(step: &Step) -> ActionWord {
    match Mark::of(step) {
        Mark::Keep => ActionWord::Keep,
        Mark::Migrate => ActionWord::Migrate,
        Mark::Create | Mark::Hidden => ActionWord::Create,
        Mark::Run => ActionWord::Run,
        Mark::Update => ActionWord::Update,
        Mark::Replace => ActionWord::Replace,
        Mark::Delete => ActionWord::Delete,
        Mark::Refuse => ActionWord::Refuse,
    }
}

fn fault(fault: Fault) -> FaultWord {
    match fault {
        Fault::World => FaultWord::World,
        Fault::Forbidden => FaultWord::Forbidden,
        Fault::Locked => FaultWord::Locked,
        Fault::Stale => FaultWord::Stale,
        Fault::TimedOut => FaultWord::TimedOut,
        Fault::Refused => FaultWord::Refused,
        Fault::Input => FaultWord::Input,
    }
}

#[cfg(test)]
mod tests {
    use cfrt_engine::change::Change;
    use cfrt_engine::event::Failure;
    use serde_json::{Value, json};

    use super::*;
    use crate::render::samples::{
        Sample, about, because, core, deployment, drifted, moved, plan as planned, same_as_file, sample,
    };

    fn samples() -> Vec<Sample> {
        let fields =
            vec![moved("spec.replicas", json!(3), json!(1)), moved("spec.token", json!("in clear"), json!("sealed:1"))];
        let behind = Some(ResourceId::whole(deployment("app")));
        vec![
            sample("namespace", Address::new("v1/Namespace", "", "codefresh"), Change::of(Action::Keep)),
            sample("chart", deployment("app"), Change::of_fields(fields).because("the file has changed")),
            Sample { behind, ..sample("chart", core("ConfigMap", "new"), Change::of(Action::Create)) },
            sample("chart", core("ConfigMap", "old"), because(Action::Delete, "no longer in the chart")),
        ]
    }

    fn sample_about() -> About {
        about(&[("namespace", &[]), ("chart", &["a remark\u{202e}"])])
    }

    #[test]
    fn a_plan_is_printed_whole_and_without_secrets() {
        let text = plan(&sample_about(), &planned(samples()));
        same_as_file("testdata/plan.json", &text);
        assert!(!text.contains("sealed:") && !text.contains("in clear"), "{text}");
    }

    #[test]
    fn what_has_moved_is_printed_whole_and_without_secrets() {
        let text = drift(&about(&[("chart", &["a remark"])]), &drifted(), Exit::DriftAndChanges);
        same_as_file("testdata/drift.json", &text);
        assert!(!text.contains("sealed:") && !text.contains("b2xk"), "{text}");
        let schema: Value = serde_json::from_str(&schema(Format::Drift)).expect("a schema is JSON");
        let mut printed: Value = serde_json::from_str(&text).expect("it is JSON");
        assert!(conforms(&schema, &schema, &printed));
        printed["findings"][0]["sort"] = Value::from("shaken");
        assert!(!conforms(&schema, &schema, &printed));
    }

    #[test]
    fn what_came_of_each_step_is_printed() {
        let id = |address| ResourceId::whole(address);
        let causes = vec!["waiting for Deployment codefresh/app".to_owned(), "crash loop".to_owned()];
        let failure = Failure { causes, fault: Fault::World, hint: String::new() };
        let skipped = Outcome::Skipped(Because::Needs(id(deployment("app"))));
        let outcomes = HashMap::from([
            (id(Address::new("v1/Namespace", "", "codefresh")), Outcome::Unchanged),
            (id(deployment("app")), Outcome::Failed(failure.clone())),
            (id(core("ConfigMap", "new")), skipped),
        ]);
        let report = Report {
            unchanged: 1,
            failed: vec![(id(deployment("app")), failure)],
            skipped: vec![(id(core("ConfigMap", "new")), Because::Needs(id(deployment("app"))))],
            ..Report::default()
        };
        let text = apply(&sample_about(), &planned(samples()), &report, &outcomes, true, Exit::Interrupted);
        same_as_file("testdata/apply.json", &text);
    }

    #[test]
    fn printed_json_is_harmless_on_a_terminal_and_means_the_same() {
        let value = json!({"text": "a\u{1b}\u{9b}\u{202e}\u{e0041}\u{7f}é\n"});
        let text = print(&value);
        assert!(!text.contains(|character: char| character != '\n' && is_hostile(character)), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("it is still JSON"), value);
    }

    /// Whether a value is what a schema says: the few words of JSON Schema that ours use.
    fn conforms(root: &Value, schema: &Value, value: &Value) -> bool {
        if let Some(name) = schema["$ref"].as_str() {
            return conforms(root, &root["$defs"][name.trim_start_matches("#/$defs/")], value);
        }
        let one_of = |word: &str| schema[word].as_array().cloned();
        let known = |key: &str| schema["properties"].get(key);
        let required = one_of("required").unwrap_or_default();
        let any = one_of("anyOf").or_else(|| one_of("oneOf"));
        any.is_none_or(|any| any.iter().any(|schema| conforms(root, schema, value)))
            && schema.get("const").is_none_or(|word| word == value)
            && one_of("enum").is_none_or(|words| words.contains(value))
            && required.iter().all(|key| key.as_str().is_some_and(|key| value.get(key).is_some()))
            && value.as_array().into_iter().flatten().all(|item| conforms(root, &schema["items"], item))
            && (schema.get("properties").is_none()
                || value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .all(|(key, value)| known(key).is_some_and(|schema| conforms(root, schema, value))))
    }

    #[test]
    fn what_is_printed_conforms_to_its_schema() {
        for (format, file) in [(Format::Plan, "testdata/plan.json"), (Format::Apply, "testdata/apply.json")] {
            let schema: Value = serde_json::from_str(&schema(format)).expect("a schema is JSON");
            let file = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let mut printed: Value =
                serde_json::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("it is JSON");
            assert!(conforms(&schema, &schema, &printed), "{format:?}");
            printed["steps"][0]["action"] = Value::from("kept");
            assert!(!conforms(&schema, &schema, &printed), "{format:?}");
        }
    }

    #[test]
    fn the_published_schemas_are_in_step() {
        same_as_file("../docs/schema/plan.json", &schema(Format::Plan));
        same_as_file("../docs/schema/apply.json", &schema(Format::Apply));
        same_as_file("../docs/schema/drift.json", &schema(Format::Drift));
        same_as_file("../docs/schema/history.json", &schema(Format::History));
    }
}
