//! The shape of what programs read: each format's fields, in their order.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// What `cfrt plan --output json` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "cfrt.plan/1")]
pub(super) struct PlanOutput {
    /// The format and its version; fields are added without a new version, never changed or taken away.
    pub(super) format: PlanFormat,
    /// What is worked on.
    pub(super) target: TargetOutput,
    /// The tasks in their order.
    pub(super) tasks: Vec<TaskOutput>,
    /// Every resource, in the order in which they would be worked on.
    pub(super) steps: Vec<StepOutput>,
    /// How many resources have each action.
    pub(super) summary: PlanSummary,
}

/// What `cfrt apply --output json` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "cfrt.apply/1")]
pub(super) struct ApplyOutput {
    /// The format and its version; fields are added without a new version, never changed or taken away.
    pub(super) format: ApplyFormat,
    /// What is worked on.
    pub(super) target: TargetOutput,
    /// The tasks in their order.
    pub(super) tasks: Vec<TaskOutput>,
    /// Every resource, in the order in which they were planned.
    pub(super) steps: Vec<AppliedOutput>,
    /// How it went.
    pub(super) summary: ApplySummary,
}

/// The format of a plan.
#[derive(Serialize, JsonSchema)]
pub(super) enum PlanFormat {
    /// The first version.
    #[serde(rename = "cfrt.plan/1")]
    V1,
}

/// The format of what came of an apply.
#[derive(Serialize, JsonSchema)]
pub(super) enum ApplyFormat {
    /// The first version.
    #[serde(rename = "cfrt.apply/1")]
    V1,
}

/// What is worked on.
#[derive(Serialize, JsonSchema)]
pub(super) struct TargetOutput {
    /// The runtime's name.
    pub(super) runtime: String,
    /// The namespace that it lives in.
    pub(super) namespace: String,
    /// Its Helm release.
    pub(super) release: String,
    /// The kubeconfig context.
    pub(super) context: String,
    /// The API server's version.
    pub(super) version: String,
    /// The UID of the cluster's kube-system namespace; empty where we may not see it.
    pub(super) uid: String,
}

/// A task.
#[derive(Serialize, JsonSchema)]
pub(super) struct TaskOutput {
    /// Its name.
    pub(super) task: String,
    /// How many resources it stands for.
    pub(super) resources: usize,
    /// What there is to know of it besides, as sentences.
    pub(super) remarks: Vec<String>,
}

/// What happens to one resource.
#[derive(Serialize, JsonSchema)]
pub(super) struct StepOutput {
    /// The resource: `apps/v1/Deployment codefresh/app-proxy`.
    pub(super) address: String,
    /// Which part of it, where it is not the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<String>,
    /// The task that it belongs to.
    pub(super) task: String,
    /// What happens to it.
    pub(super) action: ActionWord,
    /// What must be there before it can be looked at; it is compared again just before its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hidden_behind: Option<String>,
    /// Why; empty where the action says it all.
    pub(super) reason: String,
    /// Which side has moved, where it is the whole and not some fields; missing where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<OriginOutput>,
    /// The fields that move.
    pub(super) fields: Vec<FieldOutput>,
}

/// A field that moves.
#[derive(Serialize, JsonSchema)]
pub(super) struct FieldOutput {
    /// Where it is.
    pub(super) path: String,
    /// What is there now; missing where the field is absent, or secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Value>,
    /// What will be there; missing where the field goes, or is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Value>,
    /// Whether its values are left out because they are secret.
    pub(super) secret: bool,
    /// Which side has moved; missing where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<OriginOutput>,
}

/// Which side of a difference has moved since both were last the same.
#[derive(Serialize, JsonSchema)]
pub(super) struct OriginOutput {
    /// Which.
    pub(super) from: OriginWord,
    /// The field manager that moved it in the cluster, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<String>,
    /// The subresource by which it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subresource: Option<String>,
    /// When, as the cluster says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    /// What was there before, where that is known and not what is wanted now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<Value>,
}

/// A side of a difference.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OriginWord {
    /// The file, or what it names.
    File,
    /// The cluster: that is drift.
    World,
    /// Both of them.
    Both,
}

/// What happened to one resource.
#[derive(Serialize, JsonSchema)]
pub(super) struct AppliedOutput {
    /// What was planned.
    #[serde(flatten)]
    pub(super) step: StepOutput,
    /// How it ended.
    pub(super) outcome: OutcomeWord,
    /// What was being done and why it failed, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) causes: Vec<String>,
    /// What kind of trouble it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<FaultWord>,
    /// What can be done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    /// The failed resource because of which it was skipped, or closed as failed; missing where the run was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needs: Option<String>,
}

/// How many resources have each action.
#[derive(Serialize, JsonSchema)]
pub(super) struct PlanSummary {
    /// How many are made.
    pub(super) create: usize,
    /// How many hooks run.
    pub(super) run: usize,
    /// Of how many some fields are written.
    pub(super) update: usize,
    /// How many are deleted and made again.
    pub(super) replace: usize,
    /// How many are deleted.
    pub(super) delete: usize,
    /// Of how many only the ownership of their fields moves.
    pub(super) migrate: usize,
    /// How many would have to change but may not.
    pub(super) refuse: usize,
    /// How many are as they should be.
    pub(super) keep: usize,
    /// How many of those to create can't be looked at yet.
    pub(super) hidden: usize,
}

/// How an apply went.
#[derive(Serialize, JsonSchema)]
pub(super) struct ApplySummary {
    /// How many steps were carried out.
    pub(super) applied: usize,
    /// How many steps there were to carry out.
    pub(super) of: usize,
    /// How many resources were as they should be.
    pub(super) unchanged: usize,
    /// How many steps were written, but not awaited any more when the user stopped the run.
    pub(super) not_awaited: usize,
    /// How many steps failed.
    pub(super) failed: usize,
    /// How many releases were opened, and closed as failed because of what happened inside.
    pub(super) closed_as_failed: usize,
    /// How many steps were not started.
    pub(super) skipped: usize,
    /// Whether the user stopped it.
    pub(super) interrupted: bool,
    /// The exit code.
    pub(super) exit: u8,
}

/// What happens to a resource.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionWord {
    /// It is as it should be.
    Keep,
    /// Only who owns its fields changes.
    Migrate,
    /// It is made.
    Create,
    /// It is a hook, and runs.
    Run,
    /// Some of its fields are written.
    Update,
    /// It is deleted and made again.
    Replace,
    /// It is deleted.
    Delete,
    /// It would have to change but may not.
    Refuse,
}

/// How a step ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OutcomeWord {
    /// It was carried out.
    Done,
    /// Nothing was to be done.
    Unchanged,
    /// It was written, but the run was stopped before it was settled.
    NotAwaited,
    /// It failed.
    Failed,
    /// It was opened, and closed as failed because of what happened inside.
    ClosedAsFailed,
    /// It was not started.
    Skipped,
    /// The run ended before its turn came.
    NotReached,
}

/// What kind of trouble it was.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultWord {
    /// The world did not do what it was asked to.
    World,
    /// We are not allowed to.
    Forbidden,
    /// Someone else is at work there.
    Locked,
    /// The world is not what the plan was made for.
    Stale,
    /// It took longer than we wait.
    TimedOut,
    /// A rule forbids it.
    Refused,
    /// What the user wrote is wrong, in a file that the desired state names.
    Input,
}

/// What `cfrt drift --output json` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "cfrt.drift/1")]
pub(super) struct DriftOutput {
    /// The format and its version; fields are added without a new version, never changed or taken away.
    pub(super) format: DriftFormat,
    /// What was looked at.
    pub(super) target: TargetOutput,
    /// What has moved and counts.
    pub(super) findings: Vec<FindingOutput>,
    /// What has moved and doesn't count, by a rule of the file.
    pub(super) ignored: Vec<IgnoredOutput>,
    /// What there is to know of the rules and of the tasks, as sentences.
    pub(super) notes: Vec<String>,
    /// How many of what.
    pub(super) summary: DriftSummary,
}

/// The format of findings.
#[derive(Serialize, JsonSchema)]
pub(super) enum DriftFormat {
    /// The first version.
    #[serde(rename = "cfrt.drift/1")]
    V1,
}

/// Something that has moved.
#[derive(Serialize, JsonSchema)]
pub(super) struct FindingOutput {
    /// Its fingerprint: the same from run to run, whatever its values are.
    pub(super) id: String,
    /// The resource: `apps/v1/Deployment codefresh/app-proxy`.
    pub(super) address: String,
    /// Which part of it, where it is not the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<String>,
    /// The task that it belongs to.
    pub(super) task: String,
    /// In which way it has moved.
    pub(super) sort: SortWord,
    /// The field; missing where it is the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    /// What was there, or should be; missing where nothing was, where it isn't known, or where it is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<Value>,
    /// What is there; missing where nothing is, or where it is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is: Option<Value>,
    /// Whether its values are left out because they are secret.
    pub(super) secret: bool,
    /// The field manager that moved it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<String>,
    /// The subresource by which it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subresource: Option<String>,
    /// When, as the cluster says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    /// Whether the file has changed it as well.
    pub(super) also_changed: bool,
    /// Why an apply would refuse to set it right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<String>,
}

/// Something that has moved and doesn't count.
#[derive(Serialize, JsonSchema)]
pub(super) struct IgnoredOutput {
    /// What it is.
    #[serde(flatten)]
    pub(super) finding: FindingOutput,
    /// Why it doesn't count.
    pub(super) reason: String,
    /// The last day on which it doesn't.
    pub(super) until: String,
}

/// In which way something has moved.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SortWord {
    /// It says something else.
    Changed,
    /// A field is gone.
    Missing,
    /// Something is there that should not be.
    Extra,
    /// All of it is gone.
    Deleted,
    /// It isn't there, whether it is gone or never was: a release.
    Absent,
    /// Helm has taken the release further since our last revision.
    Moved,
}

/// How many of what.
#[derive(Serialize, JsonSchema)]
pub(super) struct DriftSummary {
    /// How many resources have moved in a way that counts.
    pub(super) moved: usize,
    /// How many findings there are of them.
    pub(super) findings: usize,
    /// How many findings are ignored.
    pub(super) ignored: usize,
    /// How many resources an apply would write, or refuse to, for another reason.
    pub(super) changes: usize,
    /// How many of these it would refuse.
    pub(super) refused: usize,
    /// How many resources are as they should be.
    pub(super) keep: usize,
    /// The exit code.
    pub(super) exit: u8,
}
