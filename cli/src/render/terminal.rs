//! Events to the lines that move on a terminal, one for each task.

use std::time::Duration;

use cfrt_engine::change::Action;
use cfrt_engine::event::{Event, Outcome};
use cfrt_engine::plan::Plan;
use cfrt_engine::task::TaskId;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pipeline::TaskNote;
use crate::render::clean::clean;
use crate::render::under_way::{Entry, Stage, UnderWay};
use crate::render::words::{Verbs, name};
use crate::screen;

/// The frames of the sign that something is at work.
const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/// How long each frame stays.
const FRAME: u128 = 100;

/// The tasks, and their lines on the terminal.
pub(super) struct Terminal {
    tasks: Vec<TaskProgress>,
    lines: Lines,
}

/// The lines on a terminal, one for each task.
struct Lines {
    all: MultiProgress,
    each: Vec<ProgressBar>,
}

impl Terminal {
    /// Begins to show a plan being carried out.
    pub(super) fn new(notes: &[TaskNote], plan: &Plan) -> Self {
        let widest = notes.iter().map(|note| note.id.to_string().chars().count()).max().unwrap_or(0);
        let tasks: Vec<_> = notes.iter().map(|note| TaskProgress::new(note, plan, widest)).collect();
        Self { lines: Lines::new(tasks.len()), tasks }
    }

    /// Takes an event into account.
    pub(super) fn take(&mut self, event: &Event, now: Duration) {
        self.tasks.iter_mut().for_each(|task| task.take(event, now));
    }

    /// Shows how far each task is by now.
    pub(super) fn show(&self, now: Duration) {
        let over: Vec<&TaskId> = self.tasks.iter().filter(|task| task.is_over()).map(|task| &task.id).collect();
        for (task, line) in self.tasks.iter().zip(&self.lines.each) {
            line.set_message(task.line(now, &over));
        }
    }

    /// Takes the lines away while something else is said.
    pub(super) fn suspend(&self, say: impl FnOnce()) {
        self.lines.all.suspend(say);
    }

    /// Leaves the lines as they are.
    pub(super) fn end(self, now: Duration) {
        self.show(now);
        self.lines.each.iter().for_each(ProgressBar::abandon);
        // The last line was left open for the next frame.
        screen::tell("\n");
    }
}

impl Lines {
    fn new(count: usize) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = |_| all.add(ProgressBar::new_spinner().with_style(style.clone()));
        let each = (0..count).map(line).collect();
        Self { all, each }
    }
}

/// How far a task is: a fold over its events.
#[derive(Debug, Clone)]
struct TaskProgress {
    id: TaskId,
    after: Vec<TaskId>,
    widest: usize,
    /// How many of its steps have not ended.
    open: usize,
    /// How many of its steps write.
    writing: usize,
    done: usize,
    not_awaited: usize,
    failed: usize,
    /// Whether a bracket of its was closed as failed; what failed inside is counted by itself.
    closed_as_failed: bool,
    skipped: usize,
    began: Option<Duration>,
    ended: Option<Duration>,
    under_way: UnderWay,
    verbs: Verbs,
}

impl TaskProgress {
    fn new(note: &TaskNote, plan: &Plan, widest: usize) -> Self {
        let steps = || plan.steps.iter().filter(|step| step.resource.task == note.id);
        Self {
            id: note.id.clone(),
            after: note.after.clone(),
            widest,
            open: steps().count(),
            writing: steps().filter(|step| step.change.action.writes()).count(),
            done: 0,
            not_awaited: 0,
            failed: 0,
            closed_as_failed: false,
            skipped: 0,
            began: None,
            ended: None,
            under_way: UnderWay::new(plan),
            verbs: Verbs::new(plan),
        }
    }

    fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Started { task, .. } | Event::Waiting { task, .. } if *task == self.id => {
                self.began.get_or_insert(now);
                self.under_way.take(event, now);
            }
            Event::Finished { task, action, outcome, .. } if *task == self.id => {
                self.under_way.take(event, now);
                self.finish(*action, outcome, now);
            }
            Event::Started { .. } | Event::Waiting { .. } | Event::Finished { .. } | Event::Revealed { .. } => {}
        }
    }

    fn finish(&mut self, action: Action, outcome: &Outcome, now: Duration) {
        self.open = self.open.saturating_sub(1);
        match outcome {
            Outcome::Done if action.writes() => self.done += 1,
            Outcome::Done | Outcome::Unchanged => {}
            Outcome::NotAwaited => self.not_awaited += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::ClosedAsFailed(_) => self.closed_as_failed = true,
            Outcome::Skipped(_) => self.skipped += 1,
        }
        if self.is_over() {
            self.ended = Some(now);
        }
    }

    fn is_over(&self) -> bool {
        self.open == 0
    }

    /// Its line, given the time and the tasks that are over.
    fn line(&self, now: Duration, over: &[&TaskId]) -> String {
        let name = clean(&self.id.to_string()).into_owned();
        let (sign, words) = self.sign_and_words(now, over);
        format!("  {sign} {name:<widest$}  {words}", widest = self.widest).trim_end().to_owned()
    }

    fn sign_and_words(&self, now: Duration, over: &[&TaskId]) -> (char, String) {
        if self.is_over() {
            return (self.end_sign(), self.result());
        }
        let Some(began) = self.began else { return ('·', self.before(over)) };
        let counted = format!("{} of {}", self.done, self.writing);
        let since = format!("{} s", now.saturating_sub(began).as_secs());
        let parts = [counted, self.at_work(), since];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        (FRAMES[(now.as_millis() / FRAME) as usize % FRAMES.len()], parts.join("   "))
    }

    fn end_sign(&self) -> char {
        match (self.failed, self.skipped + self.not_awaited) {
            (0, _) if self.closed_as_failed => '✗',
            (0, 0) => '✓',
            (0, _) => '·',
            _ => '✗',
        }
    }

    fn result(&self) -> String {
        let counts = [
            (self.done, "applied"),
            (self.not_awaited, "not awaited"),
            (self.failed, "failed"),
            (self.skipped, "skipped"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        let counts: Vec<String> = counts.collect();
        let took = self.began.zip(self.ended).map(|(began, ended)| ended.saturating_sub(began));
        match took {
            _ if counts.is_empty() => "as it was".to_owned(),
            None => counts.join(", "),
            Some(took) => format!("{}   {:.1} s", counts.join(", "), took.as_secs_f64()),
        }
    }

    fn before(&self, over: &[&TaskId]) -> String {
        let before: Vec<String> =
            self.after.iter().filter(|id| !over.contains(id)).map(|id| clean(&id.to_string()).into_owned()).collect();
        if before.is_empty() { String::new() } else { format!("after {}", before.join(", ")) }
    }

    /// What keeps it: what is waited for longest, or else what was begun last, and how many more there are.
    fn at_work(&self) -> String {
        let entries = &self.under_way.entries;
        let waiting = |entry: &Entry| match &entry.stage {
            Stage::Waiting(lacking) => Some(format!("waiting: {} {}", name(&entry.id), clean(lacking))),
            Stage::Acting(_) => None,
        };
        let acting = |entry: &Entry| match &entry.stage {
            Stage::Acting(action) => Some(self.verbs.acting(&entry.id, *action)),
            Stage::Waiting(_) => None,
        };
        let first = entries.iter().find_map(waiting).or_else(|| entries.iter().rev().find_map(acting));
        match (first, entries.len()) {
            (None, _) => String::new(),
            (Some(first), 0 | 1) => first,
            (Some(first), several) => format!("{first} and {} more", several - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use cfrt_engine::change::Change;
    use cfrt_engine::driver::Fault;
    use cfrt_engine::event::{Because, Failure};
    use cfrt_engine::resource::ResourceId;

    use super::*;
    use crate::render::samples::{core, plan, sample, task};

    fn id(name: &str) -> ResourceId {
        ResourceId::whole(core("ConfigMap", name))
    }

    fn started(name: &str) -> Event {
        Event::Started { resource: id(name), task: task("chart"), action: Action::Create }
    }

    fn waiting(name: &str, lacking: &str) -> Event {
        Event::Waiting { resource: id(name), task: task("chart"), lacking: lacking.to_owned() }
    }

    fn finished(name: &str, action: Action, outcome: Outcome) -> Event {
        Event::Finished { resource: id(name), task: task("chart"), action, outcome }
    }

    fn failed() -> Outcome {
        Outcome::Failed(Failure { causes: Vec::new(), fault: Fault::World, hint: String::new() })
    }

    /// A chart of two objects to create and one to keep, after the namespace.
    fn chart() -> TaskProgress {
        let step = |name, action| sample("chart", core("ConfigMap", name), Change::of(action));
        let plan = plan(vec![step("a", Action::Create), step("b", Action::Create), step("c", Action::Keep)]);
        let note = TaskNote { id: task("chart"), after: vec![task("namespace")], remarks: Vec::new(), nothing: "" };
        TaskProgress::new(&note, &plan, 9)
    }

    fn after(events: &[Event]) -> TaskProgress {
        let mut chart = chart();
        events.iter().for_each(|event| chart.take(event, Duration::from_secs(2)));
        chart
    }

    fn line(events: &[Event]) -> String {
        after(events).line(Duration::from_secs(20), &[])
    }

    #[test]
    fn a_task_that_has_not_begun_says_what_it_comes_after() {
        assert_eq!(line(&[]), "  · chart      after namespace");
        assert_eq!(chart().line(Duration::ZERO, &[&task("namespace")]), "  · chart");
    }

    #[test]
    fn a_task_at_work_says_how_far_it_is_what_it_does_and_since_when() {
        assert_eq!(line(&[started("a")]), "  ⠋ chart      0 of 2   creating ConfigMap codefresh/a   18 s");
        let more =
            [finished("c", Action::Keep, Outcome::Unchanged), started("a"), started("b"), waiting("b", "1 of 3")];
        assert_eq!(line(&more), "  ⠋ chart      0 of 2   waiting: ConfigMap codefresh/b 1 of 3 and 1 more   18 s");
        let one = [&more[..], &[finished("b", Action::Create, Outcome::Done)]].concat();
        assert_eq!(line(&one), "  ⠋ chart      1 of 2   creating ConfigMap codefresh/a   18 s");
    }

    #[test]
    fn a_task_that_is_over_says_how_it_ended() {
        let kept = finished("c", Action::Keep, Outcome::Unchanged);
        let done = |name| finished(name, Action::Create, Outcome::Done);
        assert_eq!(line(&[kept.clone(), started("a"), done("a"), done("b")]), "  ✓ chart      2 applied   0.0 s");
        let skipped = finished("b", Action::Create, Outcome::Skipped(Because::Stopped));
        let bad = [started("a"), finished("a", Action::Create, failed()), skipped.clone(), kept.clone()];
        assert_eq!(line(&bad), "  ✗ chart      1 failed, 1 skipped   0.0 s");
        let never = [kept, finished("a", Action::Create, Outcome::Skipped(Because::Stopped)), skipped];
        assert_eq!(line(&never), "  · chart      2 skipped");
    }

    #[test]
    fn a_task_of_which_nothing_was_to_be_done_is_as_it_was() {
        let unchanged = |name| finished(name, Action::Keep, Outcome::Unchanged);
        assert_eq!(line(&["a", "b", "c"].map(unchanged)), "  ✓ chart      as it was");
    }

    #[test]
    fn events_of_other_tasks_are_not_counted() {
        let foreign = Event::Started { resource: id("a"), task: task("namespace"), action: Action::Create };
        assert_eq!(line(&[foreign]), "  · chart      after namespace");
    }

    #[test]
    fn a_task_whose_bracket_was_closed_as_failed_has_failed_and_counts_nothing_twice() {
        let closed = finished("a", Action::Create, Outcome::ClosedAsFailed(Because::Needs(id("b"))));
        let bad = [
            started("a"),
            finished("b", Action::Create, failed()),
            closed,
            finished("c", Action::Keep, Outcome::Unchanged),
        ];
        assert_eq!(line(&bad), "  ✗ chart      1 failed   0.0 s");
        let left = finished("b", Action::Create, Outcome::NotAwaited);
        let stopped = [started("b"), left, bad[2].clone(), bad[3].clone()];
        assert_eq!(line(&stopped), "  ✗ chart      1 not awaited   0.0 s");
    }

    #[test]
    fn what_is_waited_for_longest_is_shown_though_another_has_moved_since() {
        let waits = [waiting("a", "0 of 3"), waiting("b", "0 of 1"), waiting("a", "1 of 3")];
        assert_eq!(line(&waits), "  ⠋ chart      0 of 2   waiting: ConfigMap codefresh/a 1 of 3 and 1 more   18 s");
    }
}
