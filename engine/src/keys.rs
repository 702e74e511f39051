//! The keys of the desired-state file, as people look them up; each owner of a table lists its own.

use crate::task::Kind;
use crate::wait;

/// What stands as the default of a key that must be given wherever its table is.
pub const REQUIRED: &str = "required";

/// A key of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The table that it stands in, dotted: `platform.token`; empty above the first table.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What sort of value it takes, as TOML calls it.
    pub sort: &'static str,
    /// What holds where it isn't given; [`REQUIRED`] where it must be.
    pub default: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// A value that it takes, as it is written.
    pub example: &'static str,
}

impl Key {
    /// Its name with its table: `platform.token.env`.
    pub fn full(&self) -> String {
        if self.table.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.table, self.name) }
    }
}

/// The keys that belong to no single kind of task.
pub const SHARED: [Key; 16] = [
    Key {
        table: "",
        name: "schema",
        sort: "integer",
        default: REQUIRED,
        meaning: "the format of the file",
        example: "1",
    },
    Key {
        table: "",
        name: "extends",
        sort: "array",
        default: "none",
        meaning: "files to start from; what stands here wins",
        example: "[]",
    },
    Key {
        table: "cluster",
        name: "context",
        sort: "string",
        default: "current",
        meaning: "the kubeconfig context",
        example: "\"prod-us-east\"",
    },
    Key {
        table: "cluster",
        name: "uid",
        sort: "string",
        default: "any",
        meaning: "UID of kube-system; another cluster is refused",
        example: "\"1f0c5d2a-77aa-4a3c-9d3e-0123456789ab\"",
    },
    Key {
        table: "runtime",
        name: "name",
        sort: "string",
        default: REQUIRED,
        meaning: "the runtime, unique in the account",
        example: "\"codefresh\"",
    },
    Key {
        table: "runtime",
        name: "namespace",
        sort: "string",
        default: REQUIRED,
        meaning: "the namespace that it lives in",
        example: "\"codefresh\"",
    },
    Key {
        table: "runtime",
        name: "release",
        sort: "string",
        default: REQUIRED,
        meaning: "its Helm release",
        example: "\"cf-gitops-runtime\"",
    },
    Key {
        table: "drift",
        name: "ignore",
        sort: "array",
        default: "none",
        meaning: "what may move without counting as drift",
        example: "[{ resource = \"Deployment codefresh/app-proxy\", field = \"spec.replicas\",\n\
                  \u{20}            reason = \"a test under load\", until = 2026-12-31 }]",
    },
    Key {
        table: "drift.ignore",
        name: "resource",
        sort: "string",
        default: REQUIRED,
        meaning: "as it is printed: KIND NAMESPACE/NAME",
        example: "\"Deployment codefresh/app-proxy\"",
    },
    Key {
        table: "drift.ignore",
        name: "field",
        sort: "string",
        default: "all of it",
        meaning: "a field, with everything below it",
        example: "\"spec.replicas\"",
    },
    Key {
        table: "drift.ignore",
        name: "reason",
        sort: "string",
        default: REQUIRED,
        meaning: "why; it is printed",
        example: "\"a test under load\"",
    },
    Key {
        table: "drift.ignore",
        name: "until",
        sort: "date",
        default: REQUIRED,
        meaning: "the last day on which it may",
        example: "2026-12-31",
    },
    Key {
        table: "policy",
        name: "allow",
        sort: "array",
        default: "none",
        meaning: "what is refused unless you agree",
        example: "[{ action = \"replace\", resource = \"StatefulSet codefresh/redis\",\n\
                  \u{20}           reason = \"its data is in the backup of Friday\" }]",
    },
    Key {
        table: "policy.allow",
        name: "action",
        sort: "string",
        default: REQUIRED,
        meaning: "what may be done: replace, delete, update",
        example: "\"replace\"",
    },
    Key {
        table: "policy.allow",
        name: "resource",
        sort: "string",
        default: REQUIRED,
        meaning: "to which resource, as a plan prints it",
        example: "\"StatefulSet codefresh/redis\"",
    },
    Key {
        table: "policy.allow",
        name: "reason",
        sort: "string",
        default: REQUIRED,
        meaning: "why; it is printed",
        example: "\"its data is in the backup of Friday\"",
    },
];

/// All keys that these kinds and the shared tables have, table by table.
pub fn keys<'a>(kinds: &'a [&'a dyn Kind]) -> impl Iterator<Item = Key> + 'a {
    SHARED.into_iter().chain(wait::keys(kinds)).chain(kinds.iter().flat_map(|kind| kind.keys().iter().copied()))
}
