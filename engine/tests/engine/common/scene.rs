//! A graph, a world and how its things behave: planned, applied, and checked for what holds in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use cfrt_engine::compile::Expanded;
use cfrt_engine::driver::Drivers;
use cfrt_engine::event::Event;
use cfrt_engine::execute::{Options, execute};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::observe::observe;
use cfrt_engine::plan::{Plan, plan};
use cfrt_engine::report::Report;
use cfrt_engine::resource::{Resource, ResourceId};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::drawing;
use super::driver::{At, Behaviour, MapDriver};
use super::rules::Rules;
use super::text;
use super::world::MapWorld;

/// Longer than any run that ends.
const LONG: Duration = Duration::from_secs(1_000_000);

/// Everything that a run is about.
pub(crate) struct Scene {
    pub(crate) tasks: Vec<Expanded>,
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    pub(crate) world: MapWorld,
    pub(crate) options: Options,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) events: Vec<String>,
    pub(crate) report: Report,
}

impl Ran {
    fn of(events: &[Event]) -> Self {
        let mut report = Report::default();
        events.iter().for_each(|event| report.take(event));
        Self { events: events.iter().map(drawing::event).collect(), report }
    }

    /// How each resource ended, in alphabetical order.
    pub(crate) fn endings(&self) -> Vec<&str> {
        let ends = ["done", "kept", "left", "failed", "closed", "skipped"];
        let ended = |event: &&String| ends.contains(&event.split(' ').next().unwrap_or_default());
        let mut endings: Vec<&str> = self.events.iter().filter(ended).map(String::as_str).collect();
        endings.sort_by_key(|ending| ending.split([' ', ':']).nth(1));
        endings
    }
}

impl Scene {
    /// A scene of a text, in an empty world.
    pub(crate) fn of(text: &str) -> Self {
        Self::new(text::tasks(text))
    }

    pub(crate) fn new(tasks: Vec<Expanded>) -> Self {
        let options = Options { at_once: 8, patience: Duration::from_secs(60) };
        Self { tasks, behaviours: BTreeMap::new(), world: MapWorld::new(), options }
    }

    pub(crate) fn resource(&mut self, name: &str) -> &mut Resource {
        text::resource(&mut self.tasks, name)
    }

    pub(crate) fn behave(&mut self, name: &str, how: impl FnOnce(&mut Behaviour)) {
        how(self.behaviours.entry(name.to_owned()).or_default());
    }

    pub(crate) fn fail(&mut self, name: &str, at: At) {
        self.behave(name, |how| how.fails.extend([at]));
    }

    /// Puts what a resource wants into the world.
    pub(crate) fn there(&mut self, names: &str) {
        for name in names.split_whitespace() {
            let body = self.resource(name).want.document().expect("it is wanted").body.clone();
            self.world.put(name, body);
        }
    }

    pub(crate) fn drivers(&self) -> Drivers<MapWorld> {
        let rules = Arc::new(Rules::of(&self.tasks));
        let driver = |name| MapDriver { name, behaviours: self.behaviours.clone(), rules: Arc::clone(&rules) };
        Drivers::new(vec![Box::new(driver(text::DRIVER)), Box::new(driver("other"))])
    }

    pub(crate) async fn plan(&self) -> Plan {
        let graph = ResourceGraph::new(self.tasks.clone()).expect("it is sound");
        let drivers = self.drivers();
        let seen = observe(&graph, &drivers, &self.world).await.expect("a map can always be looked at");
        plan(graph, seen, &drivers)
    }

    /// Plans and carries out.
    pub(crate) async fn apply(&self) -> Ran {
        self.apply_until(pending()).await
    }

    /// Plans and carries out, and stops once something has happened.
    pub(crate) async fn apply_until(&self, happened: impl Future<Output = ()>) -> Ran {
        let plan = self.plan().await;
        self.carry_out(&plan, happened).await
    }

    pub(crate) async fn carry_out(&self, plan: &Plan, happened: impl Future<Output = ()>) -> Ran {
        self.heard(plan, happened).await.1
    }

    /// Carries a plan out, and gives what was told of it besides.
    pub(crate) async fn heard(&self, plan: &Plan, happened: impl Future<Output = ()>) -> (Vec<Event>, Ran) {
        let events = self.run(plan, happened).await;
        check_order(&events);
        let ended: BTreeSet<_> = ended(&events).collect();
        assert_eq!(ended, plan.steps.iter().map(|step| &step.resource.id).collect(), "each resource ends");
        self.check_world();
        let ran = Ran::of(&events);
        (events, ran)
    }

    /// Carries a plan out as it is when it is killed after so many movements.
    pub(crate) async fn carry_out_until_killed(&self, plan: &Plan, breaths: usize) {
        self.world.state().breaths = Some(breaths);
        let ended = timeout(LONG, async {
            tokio::select! {
                biased;
                () = self.world.killed() => {}
                events = self.events(plan, pending()) => check_order(&events),
            }
        });
        ended.await.expect("the run ends");
        let mut state = self.world.state();
        state.breaths = None;
        assert_eq!(state.broken, Vec::<String>::new());
        // The next run opens anew what this one has left open.
        state.log.clear();
    }

    /// Carries a plan out and checks nothing.
    pub(crate) async fn run(&self, plan: &Plan, happened: impl Future<Output = ()>) -> Vec<Event> {
        // Time stands still until nothing moves: who waits for ever is found at once.
        timeout(LONG, self.events(plan, happened)).await.expect("the run ends")
    }

    async fn events(&self, plan: &Plan, happened: impl Future<Output = ()>) -> Vec<Event> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let drivers = self.drivers();
        let run = execute(plan, &drivers, &self.world, &self.options, stopped, tell);
        let stopping = async {
            happened.await;
            stop.send_replace(true);
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = run => {}
            () = stopping => {}
        }
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }

    /// Nothing was written too early or cut off, there were never too many writes, and what is closed had been opened.
    fn check_world(&self) {
        let state = self.world.state();
        assert_eq!(state.broken, Vec::<String>::new());
        assert!(state.most_writing <= self.options.at_once, "{} writes at once", state.most_writing);
        let mut open = BTreeSet::new();
        for (_, line) in &state.log {
            let mut words = line.split(' ');
            match (words.next().expect("a line has words"), words.next().expect("a line has a name")) {
                ("apply", name) => assert!(open.insert(name), "{name} is applied while it is open"),
                ("close" | "end" | "broke", name) => assert!(open.remove(name), "{name} ends but was not applied"),
                (word, _) => assert!(word != "cut", "{line}"),
            }
        }
    }
}

/// The resources that have ended.
fn ended(events: &[Event]) -> impl Iterator<Item = &ResourceId> {
    events.iter().filter_map(|event| match event {
        Event::Finished { resource, .. } => Some(resource),
        Event::Started { .. } | Event::Revealed { .. } | Event::Waiting { .. } => None,
    })
}

/// Each resource ends at most once, and what is told of it before that comes in the right order.
fn check_order(events: &[Event]) {
    let mut finished = BTreeSet::new();
    let mut started = BTreeSet::new();
    for event in events {
        match event {
            Event::Started { resource, .. } => {
                assert!(started.insert(resource.clone()), "{resource} starts twice");
                assert!(!finished.contains(resource), "{resource} starts after its end");
            }
            Event::Revealed { resource, .. } | Event::Waiting { resource, .. } => {
                assert!(started.contains(resource), "{resource} is heard of before it starts");
                assert!(!finished.contains(resource), "{resource} is heard of after its end");
            }
            Event::Finished { resource, .. } => {
                assert!(finished.insert(resource.clone()), "{resource} ends twice");
            }
        }
    }
}
