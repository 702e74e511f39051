//! Events to what a person sees while they happen: a line for each task on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use cfrt_engine::event::Event;
use cfrt_engine::plan::Plan;

use crate::pipeline::TaskNote;
use crate::render::plain::Plain;
use crate::render::terminal::Terminal;
use crate::screen;

/// Shows a run while it goes on, on standard error.
pub(crate) struct Progress {
    began: Instant,
    view: View,
}

/// Who watches.
enum View {
    Person(Terminal),
    Log(Plain),
}

impl Progress {
    /// Begins to show a plan being carried out.
    pub(crate) fn new(notes: &[TaskNote], plan: &Plan) -> Self {
        let person = io::stderr().is_terminal();
        let view = if person { View::Person(Terminal::new(notes, plan)) } else { View::Log(Plain::new(plan)) };
        Self { began: Instant::now(), view }
    }

    /// Takes an event into account, and shows it.
    pub(crate) fn take(&mut self, event: &Event) {
        let now = self.now();
        match &mut self.view {
            View::Person(terminal) => terminal.take(event, now),
            View::Log(plain) => screen::tell(&plain.take(event, now).unwrap_or_default()),
        }
    }

    /// Shows how long things take by now.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        match &mut self.view {
            View::Person(terminal) => terminal.show(now),
            View::Log(plain) => screen::tell(&plain.tick(now).unwrap_or_default()),
        }
    }

    /// Says something between the lines.
    pub(crate) fn say(&self, words: &str) {
        let line = format!("{words}\n");
        match &self.view {
            View::Person(terminal) => terminal.suspend(|| screen::tell(&line)),
            View::Log(_) => screen::tell(&line),
        }
    }

    /// Leaves what was shown as it is.
    pub(crate) fn end(self) {
        let now = self.now();
        if let View::Person(terminal) = self.view {
            terminal.end(now);
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}
