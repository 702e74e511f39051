//! What the executor itself adds to the longest chain, on a clock that counts only what is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use cfrt_engine::change::{Action, Change};
use cfrt_engine::compile::Expanded;
use cfrt_engine::driver::{
    Applied, Driver, DriverError, Drivers, Effect, Ending, Evidence, Observation, Settled, Wanted,
};
use cfrt_engine::execute::{Options, execute};
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::observe::observe;
use cfrt_engine::plan::{Plan, Step, plan};
use cfrt_engine::resource::{Bracket, Need, Resource};
use cfrt_engine::task::{Answer, Expansion, Question};
use futures::future::pending;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::common::on_virtual_time;
use crate::common::text::{fresh, id, task};

/// A driver of things that take their time and do nothing else.
struct Clockwork;

/// How many milliseconds a thing takes for something.
fn takes(resource: &Resource, what: &str) -> Duration {
    Duration::from_millis(resource.settings[what].as_u64().expect("every resource says so"))
}

impl Driver<()> for Clockwork {
    fn name(&self) -> &'static str {
        "clockwork"
    }

    fn answer<'a>(&'a self, (): &'a (), _: &'a Question) -> Effect<'a, Answer> {
        Box::pin(pending())
    }

    fn observe<'a>(&'a self, (): &'a (), wanted: &'a [Wanted<'a>]) -> Effect<'a, Vec<Observation>> {
        Box::pin(async { Ok(vec![Observation::Absent; wanted.len()]) })
    }

    fn diff(&self, _: &Resource, _: &Observation) -> Change {
        Change::of(Action::Create)
    }

    fn apply<'a>(&'a self, (): &'a (), step: &'a Step) -> Effect<'a, Applied> {
        Box::pin(async {
            sleep(takes(&step.resource, "write")).await;
            Ok(Applied::default())
        })
    }

    fn follow<'a>(&'a self, (): &'a (), resource: &'a Resource) -> BoxStream<'a, Result<Evidence, DriverError>> {
        let settled = async {
            sleep(takes(resource, "settle")).await;
            Ok(Evidence::default())
        };
        stream::once(settled).boxed()
    }

    fn settled(&self, _: &Resource, _: &Evidence) -> Settled {
        Settled::Yes
    }

    fn close<'a>(&'a self, (): &'a (), step: &'a Step, _: &'a Applied, _: Ending) -> Effect<'a, ()> {
        Box::pin(async {
            sleep(takes(&step.resource, "close")).await;
            Ok(())
        })
    }
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A graph, and by its own rules how long it must take at least.
struct Load {
    tasks: Vec<Expanded>,
    /// When all of the longest chain is done.
    chain: Duration,
    /// How long all writes take one after another.
    writes: Duration,
}

/// As many resources as asked for, each with up to three needs among those shortly before it; inside a bracket they
/// come in three phases.
fn load(seed: u64, size: usize, bracket: bool) -> Load {
    let mut random = Random(seed);
    let (mut done, mut writes) = (vec![Duration::ZERO; size], Duration::ZERO);
    let mut expansion = Expansion::default();
    let mut phases = vec![Vec::new(); 3];
    let (mut gate, mut latest) = (Duration::ZERO, Duration::ZERO);
    if bracket {
        let owner = resource("owner", [1_500, 0, 700]);
        (gate, writes) = (takes(&owner, "write"), takes(&owner, "write") + takes(&owner, "close"));
        expansion.resources.push(owner);
    }
    for number in 0..size {
        let phase = number * 3 / size;
        if bracket && number > 0 && phase > (number - 1) * 3 / size {
            gate = gate.max(latest);
        }
        let mut one = resource(&number.to_string(), [random.below(5_000), random.below(5_000), 0]);
        let needed = (0..random.below(4)).filter_map(|_| number.checked_sub(1 + random.below(300) as usize));
        let needed: Vec<usize> = needed.collect();
        let ready = needed.iter().map(|&needed| done[needed]).fold(gate, Duration::max);
        done[number] = ready + takes(&one, "write") + takes(&one, "settle");
        (latest, writes) = (latest.max(done[number]), writes + takes(&one, "write"));
        one.needs = needed.into_iter().map(|needed| Need::Resource(id(&needed.to_string()))).collect();
        phases[phase].push(one.id.clone());
        expansion.resources.push(one);
    }
    let mut chain = latest;
    if bracket {
        chain += takes(&expansion.resources[0], "close");
        expansion.brackets.push(Bracket { owner: id("owner"), phases });
    }
    Load { tasks: vec![Expanded { id: task("t"), after: Vec::new(), expansion }], chain, writes }
}

fn resource(name: &str, [write, settle, close]: [u64; 3]) -> Resource {
    let settings = json!({ "write": write, "settle": settle, "close": close });
    Resource { driver: "clockwork", settings, ..fresh(name, task("t")) }
}

/// How long a run takes on the clock.
fn elapsed(load: &Load, at_once: usize) -> Duration {
    on_virtual_time(async {
        let drivers = Drivers::new(vec![Box::new(Clockwork)]);
        let graph = ResourceGraph::new(load.tasks.clone()).expect("it is sound");
        let seen = observe(&graph, &drivers, &()).await.expect("nothing is looked at");
        let plan: Plan = plan(graph, seen, &drivers);
        let (tell, told) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let options = Options { at_once, ..Options::default() };
        let began = Instant::now();
        execute(&plan, &drivers, &(), &options, stopped, tell).await;
        drop((stop, told));
        began.elapsed()
    })
}

#[expect(clippy::disallowed_macros, clippy::print_stdout, reason = "how close it comes is shown by --nocapture")]
fn report(load: &Load, places: &str, elapsed: Duration, least: Duration) -> f64 {
    let ratio = elapsed.as_secs_f64() / least.as_secs_f64();
    let (resources, chain) = (load.tasks[0].expansion.resources.len(), load.chain);
    println!("{resources} resources, longest chain {chain:?}, {places}: {elapsed:?}, {ratio:.4} of the least possible");
    ratio
}

/// Loads by size, and whether a bracket is around them.
fn loads() -> impl Iterator<Item = Load> {
    let sizes = BTreeMap::from([(20, [1, 2, 3]), (2_000, [4, 5, 6])]);
    let all = sizes.into_iter().flat_map(|(size, seeds)| seeds.map(|seed| (size, seed)));
    all.flat_map(|(size, seed)| [load(seed, size, false), load(seed, size, true)])
}

#[test]
fn the_executor_adds_at_most_a_fiftieth_to_the_longest_chain() {
    for load in loads() {
        let elapsed = elapsed(&load, usize::MAX);
        assert!(elapsed >= load.chain, "nothing starts before its needs");
        assert!(report(&load, "places for all", elapsed, load.chain) <= 1.02);
    }
}

#[test]
fn with_few_places_a_run_takes_no_longer_than_its_writes_in_turn_and_its_longest_chain() {
    for load in loads() {
        let elapsed = elapsed(&load, 8);
        // Wherever a place is free, all chains move on: Graham's bound.
        assert!(elapsed <= load.writes / 8 + load.chain);
        report(&load, "eight places", elapsed, load.chain.max(load.writes / 8));
    }
}
