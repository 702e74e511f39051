//! What the user asked for, as tasks; and the kinds that know what each asks of the world.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::desired::DesiredState;
use crate::facts::Facts;
use crate::keys::Key;
use crate::resource::{Bracket, Resource};
use crate::source::Mistakes;

/// A task as people name it: its kind, and a name where a file can have several of that kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The kind's name: `chart`.
    pub kind: &'static str,
    /// Which one of that kind; empty where there can be only one.
    pub name: String,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() { f.write_str(self.kind) } else { write!(f, "{}.{}", self.kind, self.name) }
    }
}

/// A kind of task: one file, one line in the registry. Pure: it never touches the world.
pub trait Kind: Sync {
    /// Its name, in kebab case.
    fn name(&self) -> &'static str;

    /// The top-level tables that it reads and no one else checks.
    fn tables(&self) -> &'static [&'static str];

    /// The keys of these tables, for people to look up.
    fn keys(&self) -> &'static [Key] {
        &[]
    }

    /// The kinds whose tasks must be settled before its own start.
    fn after(&self) -> &'static [&'static str];

    /// The tasks that a desired state asks of this kind.
    ///
    /// # Errors
    ///
    /// Everything in its tables that it can't accept.
    fn tasks(&self, desired: &DesiredState<'_>, facts: &Facts) -> Result<Vec<Box<dyn Task>>, Mistakes>;
}

/// One task: what it must know before it can say which resources it stands for, and then these. Pure.
pub trait Task: Send + Sync {
    /// Its name within its kind; empty where there can be only one.
    fn name(&self) -> String {
        String::new()
    }

    /// What it must know; answered side by side, each by the driver it names.
    fn questions(&self) -> Vec<Question> {
        Vec::new()
    }

    /// The resources it stands for, given the answers in the order of its questions.
    ///
    /// # Errors
    ///
    /// What the answers don't allow, as a mistake at the place that asked for it.
    fn expand(&self, id: &TaskId, answers: &Answers) -> Result<Expansion, Mistakes>;
}

/// Something that must be known of the world before a task can be expanded: a chart's documents, a token's seal.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The driver that answers.
    pub driver: &'static str,
    /// What is asked, in that driver's own shape.
    pub about: Value,
}

/// What a driver answered; the type is the driver's own, known to the kinds that ask it.
pub type Answer = Arc<dyn Any + Send + Sync>;

/// The answers to a task's questions, in their order.
#[derive(Clone, Default)]
pub struct Answers(pub Vec<Answer>);

impl Answers {
    /// The answer to the question at `index`.
    ///
    /// # Panics
    ///
    /// Where the driver's answer has another type than the kind expects: the two don't belong together.
    pub fn get<T: Any>(&self, index: usize) -> &T {
        self.0.get(index).and_then(|answer| answer.downcast_ref()).expect("a kind asks a driver whose answers it knows")
    }
}

/// What a task stands for.
#[derive(Debug, Clone, Default)]
pub struct Expansion {
    /// Its resources.
    pub resources: Vec<Resource>,
    /// The brackets around some of them.
    pub brackets: Vec<Bracket>,
    /// What the user should know of it besides, as sentences.
    pub remarks: Vec<String>,
    /// What it means that there are no resources, as a lower-case fragment.
    pub nothing: &'static str,
}
