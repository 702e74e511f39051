//! Drivers: one for each sort of thing in the world, and how to ask about it, read it, write it and wait for it.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::Value;

use crate::change::Change;
use crate::plan::Step;
use crate::resource::{Resource, ResourceId};
use crate::task::{Answer, Question};

/// A future that touches the world.
pub type Effect<'a, T> = BoxFuture<'a, Result<T, DriverError>>;

/// A key to the world that knows what must not be told of it.
pub trait Discreet: Sync {
    /// A text about a resource without the secrets in it.
    fn redacted(&self, _resource: &Resource, text: &str) -> String {
        text.to_owned()
    }
}

impl Discreet for () {}

/// A sort of thing in the world. `W` is the key to the world: a function that isn't given one can't reach anything.
pub trait Driver<W>: Send + Sync {
    /// Its name, which resources and questions give.
    fn name(&self) -> &'static str;

    /// Answers what a task must know before it is expanded. Reads only.
    fn answer<'a>(&'a self, world: &'a W, question: &'a Question) -> Effect<'a, Answer>;

    /// Looks at resources, all of one batch, and gives what it saw in their order. Reads only.
    fn observe<'a>(&'a self, world: &'a W, wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>>;

    /// What must happen to a resource, given what was seen. Pure and total.
    fn diff(&self, resource: &Resource, seen: &Observation) -> Change;

    /// What is known already to keep a step from being begun now; asked before anything of its plan is written. Pure.
    fn obstacle(&self, _step: &Step) -> Option<DriverError> {
        None
    }

    /// What the user is to know once a step has failed, where the failure itself has no advice; empty for nothing. Pure.
    fn advice(&self, _step: &Step) -> String {
        String::new()
    }

    /// Carries a step out; for the owner of a bracket, opens it. Writes.
    fn apply<'a>(&'a self, world: &'a W, step: &'a Step) -> Effect<'a, Applied>;

    /// What can be seen of a resource from now on, each time that it moves; ends where nothing more will be learnt.
    fn follow<'a>(&'a self, _world: &'a W, _resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
        stream::empty().boxed()
    }

    /// Whether a resource is as it should be for what comes after it. Pure.
    fn settled(&self, _resource: &Resource, _seen: &Evidence) -> Settled {
        Settled::Yes
    }

    /// Ends what `apply` began, whenever that was called, and is told how it went. Writes.
    fn close<'a>(&'a self, _world: &'a W, _step: &'a Step, _applied: &'a Applied, _ending: Ending) -> Effect<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// The drivers by name.
pub struct Drivers<W>(BTreeMap<&'static str, Box<dyn Driver<W>>>);

impl<W> Drivers<W> {
    /// The drivers of a list.
    pub fn new(drivers: Vec<Box<dyn Driver<W>>>) -> Self {
        Self(drivers.into_iter().map(|driver| (driver.name(), driver)).collect())
    }

    /// The driver of a name.
    ///
    /// # Panics
    ///
    /// Where there is none: a kind named a driver that isn't in the registry, which the registry's test finds.
    pub fn get(&self, name: &str) -> &dyn Driver<W> {
        self.0.get(name).expect("a kind names only drivers that are registered").as_ref()
    }
}

/// How closely a resource is to be looked at. Observing starts with the cheapest and goes on only where that leaves a doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// The thing as it is.
    Full,
    /// What it would be after the step, as the world itself predicts it.
    DryRun,
}

/// A resource to look at, and how closely.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The resource.
    pub resource: &'a Resource,
    /// How closely.
    pub depth: Depth,
    /// What was seen of it before, where this is not the first look.
    pub before: Option<&'a Observation>,
}

/// What was seen of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// It isn't there.
    Absent,
    /// It is there as it was when it was last seen to be as it should be; no more was looked at.
    Unmoved,
    /// It is there.
    Present {
        /// What it is.
        live: Arc<Value>,
        /// What a write must find unchanged.
        stamp: Stamp,
        /// What the world says that it would be after the step, where it was asked.
        predicted: Option<Predicted>,
    },
    /// It can't be looked at before another resource is there; it is observed again just before its turn.
    Hidden {
        /// What must be there first.
        behind: ResourceId,
    },
}

/// What the world says of a step that was not carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicted {
    /// What the thing would be.
    Live(Arc<Value>),
    /// It would refuse, in its own words.
    Refused(String),
    /// It would refuse, since these of its fields stay as they were made: it has to be made again.
    Immutable(Vec<String>),
    /// It doesn't permit us to ask.
    NotPermitted,
}

/// The identity and revision of a thing at the time that it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamp {
    /// What tells it from another thing of the same address.
    pub uid: String,
    /// What tells it from itself after a write.
    pub revision: String,
}

/// What a step left behind for those that follow it up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Applied {
    /// Whether anything was written.
    pub wrote: bool,
    /// What the driver wants to know again when it closes.
    pub memo: Value,
}

/// What can be seen of a resource while it settles.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// The thing as it is; `None` where it isn't there.
    pub live: Option<Arc<Value>>,
}

/// Whether a resource is as it should be for what comes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Yes,
    /// Not yet; what is lacking, in a few words.
    Waiting(String),
    /// It never will be without help; why.
    Failed(String),
}

/// How what lies between `apply` and `close` went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything is settled.
    Settled,
    /// Something failed; what, in one sentence.
    Failed(String),
    /// The run was stopped before everything had started.
    Stopped,
}

/// What kind of trouble it was: it decides the exit code and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The world did not do what it was asked to.
    World,
    /// We are not allowed to.
    Forbidden,
    /// Someone else is at work there.
    Locked,
    /// The world is not what the plan was made for.
    Stale,
    /// It took longer than we may wait.
    TimedOut,
    /// A rule forbids it.
    Refused,
    /// What the user wrote is wrong, in a file that the desired state names.
    Input,
}

/// Something that could not be done in the world.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct DriverError {
    /// What was being done, and to what, as a lower-case fragment.
    pub doing: String,
    /// What kind of trouble it is.
    pub fault: Fault,
    /// What the user can do about it; empty where nothing is known.
    pub hint: String,
    /// Why it failed.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl DriverError {
    /// An error of the world with its cause.
    pub fn new(doing: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing: doing.into(), fault: Fault::World, hint: String::new(), source: Some(source.into()) }
    }

    /// The same as another kind of trouble.
    #[must_use]
    pub fn fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The same in the words that `tell` makes of its own.
    #[must_use]
    pub fn retold(self, tell: impl Fn(&str) -> String) -> Self {
        let [doing, causes @ ..] = &self.chain()[..] else { return self };
        let retold = |source, cause: &String| Some(Box::new(Retold { text: tell(cause), source }));
        let source = causes.iter().rev().fold(None, retold).map(|cause| cause as _);
        Self { doing: tell(doing), fault: self.fault, hint: tell(&self.hint), source }
    }

    /// What was being done and all causes, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut chain = vec![self.doing.clone()];
        let mut cause: Option<&(dyn Error + 'static)> = self.source.as_deref().map(|source| source as _);
        while let Some(error) = cause {
            chain.push(error.to_string());
            cause = error.source();
        }
        chain
    }
}

/// A cause in other words.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Retold {
    text: String,
    source: Option<Box<Self>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_retold_keeps_its_causes_its_fault_and_its_hint() {
        let inner = DriverError::new("b", DriverError::new("c", "d"));
        let error = DriverError::new("a", inner).fault(Fault::Locked).hint("e").retold(str::to_uppercase);
        assert_eq!(error.chain(), ["A", "B", "C", "D"]);
        assert_eq!((error.fault, error.hint.as_str()), (Fault::Locked, "E"));
    }
}
