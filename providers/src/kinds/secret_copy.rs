//! `secret-copy`: a token from a variable, a file or another namespace becomes a Secret beside the runtime; one that is to be
//! there already is looked for.

use std::collections::BTreeMap;

use cfrt_engine::desired::DesiredState;
use cfrt_engine::facts::Facts;
use cfrt_engine::keys::Key;
use cfrt_engine::resource::{Address, Document, Hole, Resource, ResourceId, Trigger, Want};
use cfrt_engine::source::Mistakes;
use cfrt_engine::task::{Answers, Expansion, Kind, Question, Task, TaskId};
use serde_json::{Value, json};

use crate::drivers::object::Object;
use crate::drivers::object::origin::{LastApplied, with_last};
use crate::drivers::release::survey::ChartAnswer;
use crate::kube::path::token;
use crate::platform::{TokenSecret, platform};
use crate::secrets::{Found, SecretQuestion, Source};

/// The kind itself.
pub struct SecretCopy;

/// The keys of `[platform]`.
const KEYS: [Key; 7] = [
    Key {
        table: "platform",
        name: "url",
        sort: "string",
        default: "chart's own",
        meaning: "the platform's address",
        example: "\"https://g.codefresh.io\"",
    },
    Key {
        table: "platform",
        name: "account",
        sort: "string",
        default: "none",
        meaning: "the account's id",
        example: "\"628a80b693a15c0f9c13ab75\"",
    },
    Key {
        table: "platform",
        name: "token",
        sort: "table",
        default: "none",
        meaning: "where the API token is; never the token itself",
        example: "{ env = \"CF_API_KEY\" }",
    },
    Key {
        table: "platform.token",
        name: "env",
        sort: "string",
        default: "none",
        meaning: "an environment variable that has it",
        example: "\"CF_API_KEY\"",
    },
    Key {
        table: "platform.token",
        name: "file",
        sort: "string",
        default: "none",
        meaning: "a file that has it",
        example: "\"token\"",
    },
    Key {
        table: "platform.token",
        name: "secret",
        sort: "string",
        default: "none",
        meaning: "a Secret that has it: NAME or NAMESPACE/NAME",
        example: "\"platform/codefresh-api-token\"",
    },
    Key {
        table: "platform.token",
        name: "key",
        sort: "string",
        default: "token",
        meaning: "the key in the Secret",
        example: "\"token\"",
    },
];

struct Copy {
    namespace: String,
    name: String,
    key: String,
    source: Source,
    /// What is asked about the chart beside it.
    chart: Option<Question>,
}

impl Copy {
    /// A chart's values name the Secret: where they were applied before, so was the Secret, whatever it held.
    fn last(&self, answers: &Answers) -> LastApplied {
        let was_there = self.chart.is_some() && answers.get::<ChartAnswer>(1).applied;
        if was_there { LastApplied::Something } else { LastApplied::Unknown }
    }
}

/// A Secret that someone else makes.
struct InPlace {
    source: Source,
}

impl Kind for SecretCopy {
    fn name(&self) -> &'static str {
        "secret-copy"
    }

    fn tables(&self) -> &'static [&'static str] {
        &["platform"]
    }

    fn keys(&self) -> &'static [Key] {
        &KEYS
    }

    fn after(&self) -> &'static [&'static str] {
        &["namespace"]
    }

    fn tasks(&self, desired: &DesiredState<'_>, facts: &Facts) -> Result<Vec<Box<dyn Task>>, Mistakes> {
        let Some(platform) = platform(desired)? else { return Ok(Vec::new()) };
        let Some(token) = platform.token_secret(desired, facts)? else { return Ok(Vec::new()) };
        let namespace = facts.runtime.namespace.get_ref().as_str().to_owned();
        let TokenSecret { name, key, copied_from } = token;
        let task: Box<dyn Task> = match copied_from {
            Some(source) => {
                Box::new(Copy { namespace, name, key, source, chart: super::chart::question(desired, facts) })
            }
            None => Box::new(InPlace { source: Source::Secret { namespace, name, key } }),
        };
        Ok(vec![task])
    }
}

impl Task for Copy {
    fn questions(&self) -> Vec<Question> {
        [question(&self.source, false)].into_iter().chain(self.chart.clone()).collect()
    }

    fn expand(&self, id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes> {
        // A question that doesn't allow for it isn't answered otherwise.
        let Found::Sealed(seal) = answers.get(0) else { return Ok(Expansion::default()) };
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "type": "Opaque",
            "data": {&self.key: seal},
        });
        let place = format!("/data/{}", token(&self.key));
        let secret = Resource {
            id: ResourceId::whole(Address::new("v1/Secret", &self.namespace, &self.name)),
            task: id.clone(),
            driver: "object",
            want: Want::Present(Document { body, holes: BTreeMap::from([(place, Hole::Secret)]) }.into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: with_last(Object::settings_of_ours(), &self.last(answers)),
        };
        Ok(Expansion { resources: vec![secret], ..Expansion::default() })
    }
}

impl Task for InPlace {
    fn questions(&self) -> Vec<Question> {
        vec![question(&self.source, true)]
    }

    /// Nothing is made here; what isn't there is said, since pods would wait for it.
    fn expand(&self, _id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes> {
        let remarks = match answers.get(0) {
            Found::Sealed(_) => Vec::new(),
            Found::Lacking { what, hint } => vec![format!("{} is to hold the token: {what}\n{hint}", self.source)],
        };
        let nothing = "the token stays where it is, in a Secret of the runtime's namespace";
        Ok(Expansion { remarks, nothing, ..Expansion::default() })
    }
}

fn question(source: &Source, may_lack: bool) -> Question {
    let question = SecretQuestion { source: source.clone(), may_lack };
    Question { driver: "object", about: serde_json::to_value(question).unwrap_or(Value::Null) }
}
