//! The desired state to tasks, the tasks' questions to answers, and the answered tasks to resources.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::desired::DesiredState;
use crate::driver::{DriverError, Drivers};
use crate::facts::{Facts, TABLES, facts};
use crate::source::{Mistake, Mistakes, both, gather};
use crate::task::{Answers, Expansion, Kind, Question, Task, TaskId};
use crate::wait::check_kinds;

/// What the user asked for: the shared facts, and the tasks in the order of their kinds.
pub struct Tasks {
    /// The facts that all tasks share.
    pub facts: Facts,
    /// The tasks.
    pub entries: Vec<Entry>,
}

/// One task with its place among the others.
pub struct Entry {
    /// What people call it.
    pub id: TaskId,
    /// The tasks that must be settled before it starts.
    pub after: Vec<TaskId>,
    /// The task itself.
    pub task: Box<dyn Task>,
}

/// One task's resources.
#[derive(Debug, Clone)]
pub struct Expanded {
    /// The task.
    pub id: TaskId,
    /// The tasks that must be settled before it starts.
    pub after: Vec<TaskId>,
    /// What it stands for.
    pub expansion: Expansion,
}

/// Finds the tasks that a desired state asks for.
///
/// # Errors
///
/// Everything that any owner of a table refuses, and each table that no one owns.
pub fn compile(desired: &DesiredState<'_>, kinds: &[&dyn Kind]) -> Result<Tasks, Mistakes> {
    let strangers = unknown_tables(desired, kinds);
    // Kinds can't be asked without the shared facts: what is wrong in their tables is told once these are right.
    let facts = facts(desired);
    let found = match &facts {
        Ok(facts) => gather(kinds.iter().map(|kind| Ok((*kind, kind.tasks(desired, facts)?)))),
        Err(mistakes) => Err(mistakes.clone()),
    };
    let (found, _) = both(found, both(strangers, check_kinds(desired, kinds)))?;
    let entries = with_order(found);
    Ok(Tasks { facts: facts?, entries })
}

/// Asks every task's questions, side by side; what several tasks ask is asked once.
///
/// # Errors
///
/// The first question that could not be answered.
pub async fn survey<W: Sync>(tasks: &Tasks, drivers: &Drivers<W>, world: &W) -> Result<Vec<Answers>, DriverError> {
    let asked: Vec<Vec<Question>> = tasks.entries.iter().map(|entry| entry.task.questions()).collect();
    let mut questions: Vec<&Question> = Vec::new();
    for question in asked.iter().flatten() {
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    let answers =
        try_join_all(questions.iter().map(|question| drivers.get(question.driver).answer(world, question))).await?;
    let answer = |asked: &Question| {
        questions.iter().zip(&answers).find(|(question, _)| **question == asked).map(|(_, answer)| Arc::clone(answer))
    };
    Ok(asked.iter().map(|asked| Answers(asked.iter().filter_map(answer).collect())).collect())
}

/// Turns answered tasks into their resources.
///
/// # Errors
///
/// What the answers don't allow.
pub fn expand(tasks: &Tasks, answers: &[Answers]) -> Result<Vec<Expanded>, Mistakes> {
    gather(tasks.entries.iter().zip(answers).map(|(entry, answers)| {
        let expansion = entry.task.expand(&entry.id, answers)?;
        Ok(Expanded { id: entry.id.clone(), after: entry.after.clone(), expansion })
    }))
}

/// A kind and the tasks that it was asked for.
type Found<'a> = (&'a dyn Kind, Vec<Box<dyn Task>>);

fn with_order(found: Vec<Found<'_>>) -> Vec<Entry> {
    let ids: Vec<TaskId> = found
        .iter()
        .flat_map(|(kind, tasks)| tasks.iter().map(|task| TaskId { kind: kind.name(), name: task.name() }))
        .collect();
    let entries = found.into_iter().flat_map(|(kind, tasks)| tasks.into_iter().map(move |task| (kind, task)));
    let entry = |(kind, task): (&dyn Kind, Box<dyn Task>)| Entry {
        id: TaskId { kind: kind.name(), name: task.name() },
        after: ids.iter().filter(|id| kind.after().contains(&id.kind)).cloned().collect(),
        task,
    };
    entries.map(entry).collect()
}

fn unknown_tables(desired: &DesiredState<'_>, kinds: &[&dyn Kind]) -> Result<(), Mistakes> {
    let known = || TABLES.into_iter().chain(kinds.iter().flat_map(|kind| kind.tables().iter().copied()));
    let strangers = desired.names().filter(|(name, _)| !known().any(|table| table == *name));
    let mistakes: Vec<Mistake> = strangers.map(|(name, at)| desired.stranger(name, at, known())).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
}
