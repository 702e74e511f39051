//! How the steps of a run ended, as a text for its journal.

use std::collections::BTreeMap;

use cfrt_engine::event::{Because, Event, Outcome};

use super::entry::{NAMED, action_word, bounded, lines, named};

/// How steps ended: counted, and the first of them named.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    counts: BTreeMap<&'static str, usize>,
    named: Vec<String>,
    more: usize,
    moved: bool,
}

impl Outcomes {
    /// Takes an event into account. What needed nothing is no news.
    pub(super) fn take(&mut self, event: &Event) {
        let Event::Finished { resource, action, outcome, .. } = event else { return };
        let (word, why) = match outcome {
            Outcome::Done if !action.writes() => return,
            Outcome::Unchanged => return,
            Outcome::Done => ("done", String::new()),
            Outcome::NotAwaited => ("not awaited", String::new()),
            Outcome::Failed(failure) => ("failed", failure.sentence(&resource.address.short().to_string())),
            Outcome::ClosedAsFailed(because) => ("closed as failed", reason(because)),
            Outcome::Skipped(because) => ("skipped", reason(because)),
        };
        *self.counts.entry(word).or_default() += 1;
        self.moved = true;
        if self.named.len() < NAMED {
            let why = if why.is_empty() { why } else { format!(": {why}") };
            self.named.push(bounded(&format!("{word}: {} {}{why}", action_word(*action), named(resource))));
        } else {
            self.more += 1;
        }
    }

    /// The text, where it has changed since it was last asked for.
    pub(super) fn unsent(&mut self) -> Option<String> {
        let counts: Vec<String> = self.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let text = format!("{}\n{}", counts.join(", "), lines(&self.named, self.more));
        std::mem::take(&mut self.moved).then_some(text)
    }
}

fn reason(because: &Because) -> String {
    match because {
        Because::Needs(id) => format!("needs {}", named(id)),
        Because::Stopped => "stopped".to_owned(),
    }
}
