//! `namespace`: the runtime's namespace, made where it isn't there.

use cfrt_engine::desired::DesiredState;
use cfrt_engine::facts::Facts;
use cfrt_engine::resource::{Address, Document, Resource, ResourceId, Trigger, Want};
use cfrt_engine::source::Mistakes;
use cfrt_engine::task::{Answers, Expansion, Kind, Task, TaskId};
use serde_json::json;

use crate::drivers::object::{OWN, Object};

/// The kind itself.
pub struct Namespace;

struct OneNamespace(String);

impl Kind for Namespace {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn tables(&self) -> &'static [&'static str] {
        &[]
    }

    fn after(&self) -> &'static [&'static str] {
        &[]
    }

    fn tasks(&self, _desired: &DesiredState<'_>, facts: &Facts) -> Result<Vec<Box<dyn Task>>, Mistakes> {
        Ok(vec![Box::new(OneNamespace(facts.runtime.namespace.get_ref().as_str().to_owned()))])
    }
}

impl Task for OneNamespace {
    fn expand(&self, id: &TaskId, _answers: &Answers) -> Result<Expansion, Mistakes> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.0}});
        let namespace = Resource {
            id: ResourceId::whole(Address::new("v1/Namespace", "", &self.0)),
            task: id.clone(),
            driver: "object",
            want: Want::Present(Document { body, ..Document::default() }.into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings: Object::settings(OWN),
        };
        Ok(Expansion { resources: vec![namespace], ..Expansion::default() })
    }
}
