//! The plan to events: each step starts the moment its needs are settled, and a failure stops only what needs it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use petgraph::graph::NodeIndex;
use tokio::sync::{mpsc, watch};

use crate::change::Action;
use crate::driver::{Applied, Discreet, Driver, DriverError, Drivers, Ending};
use crate::event::{Because, Event, Failure, Outcome};
use crate::graph::Vertex;
use crate::plan::{Plan, Step};
use crate::resource::ResourceId;
use crate::step::{self, Wait, Waited};
use crate::task::TaskId;
use crate::wait::Limits;

/// How to carry a plan out.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many writes may be under way at once.
    pub at_once: usize,
    /// How long a resource may go without any sign of progress before it counts as failed.
    pub patience: Duration,
    /// The same for the tasks of some kinds, by the kind's name.
    pub patience_of: BTreeMap<String, Duration>,
}

impl Options {
    /// The usual options, with these limits to waiting.
    pub fn waiting(Limits { all, by_kind }: &Limits) -> Self {
        // Eight writes keep an API server on loopback busy; more only queue there (measured; see ARCHITECTURE.md).
        Self { at_once: 8, patience: *all, patience_of: by_kind.clone() }
    }

    fn patience_of(&self, task: &TaskId) -> Duration {
        self.patience_of.get(task.kind).copied().unwrap_or(self.patience)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::waiting(&Limits::default())
    }
}

/// Where the events go; whoever listens may stop listening.
pub type Events = mpsc::UnboundedSender<Event>;

/// Carries a plan out. Nothing is decided here but for what was hidden, and that by the drivers' own comparison.
///
/// When `stop` turns true nothing more is started or awaited, what is being written is finished, and open brackets
/// are closed. Once something has failed, what doesn't need it is still written, but nobody is awaited any longer unless
/// such a write needs it. What goes wrong is told, and recorded, only in words that the world has redacted.
pub async fn execute<W: Discreet>(
    plan: &Plan,
    drivers: &Drivers<W>,
    world: &W,
    options: &Options,
    stop: watch::Receiver<bool>,
    events: Events,
) {
    Run::new(plan, drivers, world, options, stop, events).run().await;
}

/// What a vertex that has ended tells those that come after it.
#[derive(Debug, Clone)]
enum Ended {
    Settled,
    Blocked(Because),
}

/// The vertex at which a resource starts, and the resource's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    node: NodeIndex,
    index: usize,
}

/// What a piece of work reports when it comes back.
enum Came {
    Applied(Start, Result<(Action, Applied), DriverError>),
    Waited(Start, Action, Waited),
    Closed(NodeIndex, usize, Result<(), DriverError>),
}

struct Run<'a, W> {
    plan: &'a Plan,
    drivers: &'a Drivers<W>,
    world: &'a W,
    options: &'a Options,
    stop: watch::Receiver<bool>,
    events: Events,
    /// How many needs of each vertex are still open.
    open: Vec<usize>,
    /// Why a vertex will not start, once something it needs has failed.
    blocked: Vec<Option<Because>>,
    /// The length of the longest path that begins at each vertex.
    heights: Vec<usize>,
    awaited: Vec<bool>,
    /// What may start once there is a place to write, the longest path first.
    ready: BinaryHeap<(usize, Reverse<NodeIndex>)>,
    /// What may start and writes nothing.
    free: VecDeque<NodeIndex>,
    writing: FuturesUnordered<BoxFuture<'a, Came>>,
    settling: FuturesUnordered<BoxFuture<'a, Came>>,
    /// The first that failed, and for each vertex whether nobody waits for it any longer because of that.
    failed: Option<ResourceId>,
    left_behind: watch::Sender<Vec<bool>>,
    /// What the owner of each open bracket left behind.
    opened: Vec<Option<Applied>>,
    /// The first failure inside each bracket.
    trouble: Vec<Option<String>>,
}

impl<'a, W: Discreet> Run<'a, W> {
    fn new(
        plan: &'a Plan,
        drivers: &'a Drivers<W>,
        world: &'a W,
        options: &'a Options,
        stop: watch::Receiver<bool>,
        events: Events,
    ) -> Self {
        let graph = &plan.graph;
        let mut open = vec![0; graph.size()];
        let mut heights = vec![0; graph.size()];
        let order: Vec<NodeIndex> = graph.order().map(|(node, _)| node).collect();
        for &node in order.iter().rev() {
            open[node.index()] = graph.needs(node);
            heights[node.index()] = graph.successors(node).map(|next| heights[next.index()] + 1).max().unwrap_or(0);
        }
        Self {
            plan,
            drivers,
            world,
            options,
            stop,
            events,
            open,
            blocked: vec![None; graph.size()],
            heights,
            awaited: plan.awaited(),
            ready: BinaryHeap::new(),
            free: VecDeque::new(),
            writing: FuturesUnordered::new(),
            settling: FuturesUnordered::new(),
            failed: None,
            left_behind: watch::Sender::new(vec![false; graph.size()]),
            opened: vec![None; graph.scopes().len()],
            trouble: vec![None; graph.scopes().len()],
        }
    }

    async fn run(mut self) {
        let free: Vec<NodeIndex> =
            self.plan.graph.order().map(|(node, _)| node).filter(|node| self.open[node.index()] == 0).collect();
        free.into_iter().for_each(|node| self.push(node));
        loop {
            self.start_what_is_ready();
            let came = tokio::select! {
                biased;
                Some(came) = self.writing.next() => came,
                Some(came) = self.settling.next() => came,
                else => break,
            };
            self.take(came);
        }
    }

    fn push(&mut self, node: NodeIndex) {
        if self.needs_a_place(node) {
            self.ready.push((self.heights[node.index()], Reverse(node)));
        } else {
            self.free.push_back(node);
        }
    }

    fn start_what_is_ready(&mut self) {
        while let Some(node) = self.next() {
            self.start(node);
        }
    }

    fn next(&mut self) -> Option<NodeIndex> {
        let free = self.free.pop_front();
        free.or_else(|| {
            let place = self.writing.len() < self.options.at_once;
            let (_, Reverse(node)) = place.then(|| self.ready.pop()).flatten()?;
            Some(node)
        })
    }

    fn needs_a_place(&self, node: NodeIndex) -> bool {
        match self.plan.graph.vertex(node) {
            Vertex::Start(index) => self.plan.steps[index].change.action.writes(),
            Vertex::Close(scope) => self.opened[scope].is_some(),
            Vertex::Phase(_, _) | Vertex::Task(_) => false,
        }
    }

    fn start(&mut self, node: NodeIndex) {
        match (self.plan.graph.vertex(node), self.blocked[node.index()].clone()) {
            (Vertex::Start(index), None) if *self.stop.borrow() => self.skip(Start { node, index }, Because::Stopped),
            (Vertex::Start(index), Some(because)) => self.skip(Start { node, index }, because),
            (Vertex::Start(index), None) => self.start_step(Start { node, index }),
            (Vertex::Close(scope), _) => self.close(node, scope),
            (Vertex::Phase(_, _) | Vertex::Task(_), Some(because)) => self.end(node, &Ended::Blocked(because)),
            (Vertex::Phase(_, _) | Vertex::Task(_), None) => self.end(node, &Ended::Settled),
        }
    }

    fn start_step(&mut self, start: Start) {
        let step = self.step(start);
        let action = step.change.action;
        if action.writes() {
            self.tell_start(step);
            let (driver, world, events) = (self.driver(step), self.world, self.events.clone());
            let apply = async move { Came::Applied(start, step::apply(driver, world, step, &events).await) };
            self.writing.push(apply.boxed());
        } else if action == Action::Refuse {
            self.fail(start, step::refused(step));
        } else if step.settled || !self.awaited[start.node.index()] {
            self.finish(step, action, Outcome::Unchanged);
            self.end(start.node, &Ended::Settled);
        } else {
            self.tell_start(step);
            self.settle(start, action, Applied::default());
        }
    }

    fn settle(&mut self, start: Start, action: Action, applied: Applied) {
        let opens = self.is_open(start);
        let wait = self.wait(self.step(start), start.index);
        let (stop, mut left_behind) = (self.stop.clone(), self.left_behind.subscribe());
        let wait = async move {
            let left_behind = step::comes_true(&mut left_behind, |all| all[start.node.index()]);
            let mut waited = wait.until_settled(stop, left_behind).await;
            if !opens && action.writes() {
                waited = step::close(wait.driver, wait.world, wait.step, &applied, waited).await;
            }
            Came::Waited(start, action, waited)
        };
        self.settling.push(wait.boxed());
    }

    fn wait(&self, step: &'a Step, index: usize) -> Wait<'a, W> {
        let graph = &self.plan.graph;
        let owner = graph.scope_around(index).map(|scope| &graph.resources()[graph.scopes()[scope].owner].id.address);
        let patience = self.options.patience_of(&step.resource.task);
        Wait { driver: self.driver(step), world: self.world, step, owner, patience, events: self.events.clone() }
    }

    fn take(&mut self, came: Came) {
        match came {
            Came::Applied(start, Ok((action, applied))) => self.applied(start, action, applied),
            Came::Applied(start, Err(error)) => self.fail(start, step::tellable(self.world, self.step(start), error)),
            Came::Waited(start, action, Waited::Settled) => self.settled(start, action),
            Came::Waited(start, action, Waited::Stopped) => self.leave(start, action, Because::Stopped),
            Came::Waited(start, action, Waited::LeftBehind) => {
                let because = self.failed.clone().map_or(Because::Stopped, Because::Needs);
                self.leave(start, action, because);
            }
            Came::Waited(start, _, Waited::Failed(failure)) => self.fail(start, failure),
            Came::Closed(node, scope, result) => self.closed(node, scope, result),
        }
    }

    fn applied(&mut self, start: Start, action: Action, applied: Applied) {
        // One that turned out to be there was not opened, so that there is nothing to close.
        if let Some(scope) = self.scope_of(start).filter(|_| action.writes()) {
            self.opened[scope] = Some(applied.clone());
        }
        self.settle(start, action, applied);
    }

    fn settled(&mut self, start: Start, action: Action) {
        // The owner of a bracket is only open by now; it finishes when it closes.
        if !self.is_open(start) {
            self.finish(self.step(start), action, Outcome::Done);
        }
        self.end(start.node, &Ended::Settled);
    }

    /// Nobody waits until it is settled, and nothing that needs it starts.
    fn leave(&mut self, start: Start, action: Action, because: Because) {
        if !self.is_open(start) {
            let outcome = if action.writes() { Outcome::NotAwaited } else { Outcome::Done };
            self.finish(self.step(start), action, outcome);
        }
        self.end(start.node, &Ended::Blocked(because));
    }

    fn fail(&mut self, start: Start, mut failure: Failure) {
        let step = self.step(start);
        if failure.hint.is_empty() {
            failure.hint = self.driver(step).advice(step);
        }
        let id = step.resource.id.clone();
        self.remember(start.index, &failure);
        self.finish(step, step.change.action, Outcome::Failed(failure));
        self.end(start.node, &Ended::Blocked(Because::Needs(id.clone())));
        self.leave_behind(id);
    }

    /// From now on nobody is waited for whom no write needs that can still be made.
    fn leave_behind(&mut self, failed: ResourceId) {
        self.failed.get_or_insert(failed);
        let graph = &self.plan.graph;
        let order: Vec<(NodeIndex, Vertex)> = graph.order().collect();
        let mut doomed: Vec<bool> = self.blocked.iter().map(Option::is_some).collect();
        for &(node, _) in &order {
            if doomed[node.index()] {
                graph.successors(node).for_each(|next| doomed[next.index()] = true);
            }
        }
        let mut needed = vec![false; graph.size()];
        for &(node, _) in order.iter().rev() {
            let acts = |next: NodeIndex| !doomed[next.index()] && self.plan.acts(graph.vertex(next));
            needed[node.index()] = graph.successors(node).any(|next| needed[next.index()] || acts(next));
        }
        self.left_behind.send_replace(needed.into_iter().map(|needed| !needed).collect());
    }

    /// Keeps a failure for those who close the brackets that it has to do with.
    fn remember(&mut self, resource: usize, failure: &Failure) {
        let graph = &self.plan.graph;
        let address = self.plan.steps[resource].resource.id.address.short().to_string();
        for scope in [graph.scope_around(resource), graph.owned_scope(resource)].into_iter().flatten() {
            self.trouble[scope].get_or_insert_with(|| failure.sentence(&address));
        }
    }

    fn skip(&mut self, start: Start, because: Because) {
        let step = self.step(start);
        // What needed nothing anyway isn't news when something before it fails.
        let outcome = if step.change.action.writes() { Outcome::Skipped(because.clone()) } else { Outcome::Unchanged };
        self.finish(step, step.change.action, outcome);
        self.end(start.node, &Ended::Blocked(because));
    }

    /// Closes a bracket if it was opened, whatever happened inside.
    fn close(&mut self, node: NodeIndex, scope: usize) {
        let step = &self.plan.steps[self.plan.graph.scopes()[scope].owner];
        let blocked = self.blocked[node.index()].clone();
        let Some(applied) = self.opened[scope].take() else {
            let ended = blocked.map_or(Ended::Settled, Ended::Blocked);
            return self.end(node, &ended);
        };
        let ending = match (&blocked, self.trouble[scope].clone()) {
            (None, _) => Ending::Settled,
            (Some(Because::Stopped), None) => Ending::Stopped,
            (Some(Because::Needs(id)), None) => Ending::Failed(format!("{} failed", id.address.short())),
            (Some(_), Some(said)) => Ending::Failed(said),
        };
        let (driver, world) = (self.driver(step), self.world);
        let close = async move { Came::Closed(node, scope, driver.close(world, step, &applied, ending).await) };
        self.writing.push(close.boxed());
    }

    fn closed(&mut self, node: NodeIndex, scope: usize, result: Result<(), DriverError>) {
        let owner = self.plan.graph.scopes()[scope].owner;
        let step = &self.plan.steps[owner];
        let id = step.resource.id.clone();
        let result = result.map_err(|error| step::tellable(self.world, step, error));
        let ended = match (result, self.blocked[node.index()].clone()) {
            // It failed while it opened, which was told then and is what counts.
            (_, Some(Because::Needs(by))) if by == id => Ended::Blocked(Because::Needs(by)),
            (Err(failure), _) => {
                self.remember(owner, &failure);
                self.finish(step, step.change.action, Outcome::Failed(failure));
                Ended::Blocked(Because::Needs(id))
            }
            (Ok(()), None) => {
                self.finish(step, step.change.action, Outcome::Done);
                Ended::Settled
            }
            (Ok(()), Some(because)) => {
                self.finish(step, step.change.action, Outcome::ClosedAsFailed(because.clone()));
                Ended::Blocked(because)
            }
        };
        self.end(node, &ended);
        if let Ended::Blocked(Because::Needs(id)) = ended {
            self.leave_behind(id);
        }
    }

    fn end(&mut self, node: NodeIndex, ended: &Ended) {
        let plan = self.plan;
        for next in plan.graph.successors(node) {
            if let Ended::Blocked(because) = ended {
                self.blocked[next.index()].get_or_insert_with(|| because.clone());
            }
            self.open[next.index()] -= 1;
            if self.open[next.index()] == 0 {
                self.push(next);
            }
        }
    }

    fn finish(&self, step: &Step, action: Action, outcome: Outcome) {
        let (resource, task) = (step.resource.id.clone(), step.resource.task.clone());
        self.tell(Event::Finished { resource, task, action, outcome });
    }

    fn tell_start(&self, step: &Step) {
        let (resource, task) = (step.resource.id.clone(), step.resource.task.clone());
        self.tell(Event::Started { resource, task, action: step.change.action });
    }

    fn tell(&self, event: Event) {
        // Whoever watched may be gone; the run goes on.
        self.events.send(event).unwrap_or_default();
    }

    fn driver(&self, step: &Step) -> &'a dyn Driver<W> {
        self.drivers.get(step.resource.driver)
    }

    fn step(&self, start: Start) -> &'a Step {
        &self.plan.steps[start.index]
    }

    /// Whether a resource has opened a bracket: its own end is told when that is closed.
    fn is_open(&self, start: Start) -> bool {
        self.scope_of(start).is_some_and(|scope| self.opened[scope].is_some())
    }

    /// The bracket that a resource owns.
    fn scope_of(&self, start: Start) -> Option<usize> {
        self.plan.graph.owned_scope(start.index)
    }
}
