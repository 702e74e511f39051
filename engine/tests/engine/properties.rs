//! What holds for every graph, every world and every failure.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use cfrt_engine::compile::Expanded;
use cfrt_engine::desired::parse;
use cfrt_engine::facts::facts;
use cfrt_engine::graph::ResourceGraph;
use cfrt_engine::resource::{Bracket, Need, Trigger, Want};
use cfrt_engine::source::{Mistakes, Sources, extends};
use cfrt_engine::task::Expansion;
use proptest::prelude::*;
use serde_json::json;
use tokio::time::sleep;

use crate::common::drawing::{drawn, order};
use crate::common::driver::At;
use crate::common::rules::Rules;
use crate::common::scene::Scene;
use crate::common::text::{document, fresh, id, name, task};

/// One resource of a random graph. It needs only what was drawn before it, so that there is no circle.
#[derive(Debug, Clone)]
struct Sketch {
    needs: u16,
    form: Form,
    want: Wish,
    found: Found,
    settles_after: u64,
    fails: Option<At>,
    /// Whether a new task begins here, and whether that comes after the one before.
    begins: Option<bool>,
    hook: bool,
    hidden: bool,
    /// Where it stands in its task's list.
    place: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Opens,
    NextPhase,
    Closes,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    There,
    Existing,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Found {
    Absent,
    Same,
    Unsettled,
    Different,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let form = prop_oneof![4 => Just(Form::Plain), 2 => Just(Form::Opens), 1 => Just(Form::NextPhase), 1 => Just(Form::Closes)];
    let want = prop_oneof![6 => Just(Wish::There), 1 => Just(Wish::Existing), 1 => Just(Wish::Gone)];
    let found = prop_oneof![2 => Just(Found::Absent), 1 => Just(Found::Same), 1 => Just(Found::Unsettled), 1 => Just(Found::Different)];
    let fails = prop_oneof![5 => Just(None), 1 => Just(Some(At::Apply)), 1 => Just(Some(At::Settle)), 1 => Just(Some(At::Close))];
    let begins = prop_oneof![5 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    let rare = || prop::bool::weighted(0.2);
    // Few needs each: a graph in which all needs all is a list.
    let needs = (any::<u16>(), any::<u16>()).prop_map(|(one, other)| one & other);
    (needs, form, want, found, 0..4_u64, fails, begins, rare(), rare(), any::<u8>()).prop_map(
        |(needs, form, want, found, settles_after, fails, begins, hook, hidden, place)| Sketch {
            needs,
            form,
            want,
            found,
            settles_after,
            fails,
            begins,
            hook,
            hidden,
            place,
        },
    )
}

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    prop::collection::vec(sketch(), 1..14)
}

fn node(number: usize) -> String {
    format!("n{number}")
}

/// The tasks of a drawing: brackets are nested as they are opened and closed, and tasks cut none of them.
fn tasks(sketches: &[Sketch]) -> Vec<Expanded> {
    let mut tasks = vec![Expanded { id: task("t0"), after: Vec::new(), expansion: Expansion::default() }];
    let mut open: Vec<Bracket> = Vec::new();
    for (number, sketch) in sketches.iter().enumerate() {
        if sketch.form == Form::Closes
            && let Some(bracket) = open.pop()
        {
            tasks.last_mut().expect("there is one").expansion.brackets.push(bracket);
        }
        if let (Form::NextPhase, Some(bracket)) = (sketch.form, open.last_mut()) {
            bracket.phases.push(Vec::new());
        }
        if let (Some(after), true) = (sketch.begins, open.is_empty()) {
            let after = after.then(|| tasks[tasks.len() - 1].id.clone()).into_iter().collect();
            tasks.push(Expanded { id: task(&format!("t{}", tasks.len())), after, expansion: Expansion::default() });
        }
        let current = tasks.last().expect("there is one").id.clone();
        let mut resource = fresh(&node(number), current);
        resource.needs = needs(number, sketch, &tasks);
        if let (true, Some(around)) = (sketch.hook && sketch.form != Form::Opens, open.last()) {
            resource.trigger = Trigger::With(around.owner.clone());
        }
        resource.want = match (sketch.form, sketch.want, resource.want.clone()) {
            (Form::Opens, _, _) => Want::Present(document(json!({ "state": "closed" }))),
            (_, Wish::Existing, Want::Present(document)) => Want::Existing(document),
            (_, Wish::Gone, _) => Want::Absent,
            (_, Wish::There | Wish::Existing, want) => want,
        };
        if let Some(bracket) = open.last_mut() {
            bracket.phases.last_mut().expect("there is one").push(resource.id.clone());
        }
        if sketch.form == Form::Opens {
            open.push(Bracket { owner: resource.id.clone(), phases: vec![Vec::new()] });
        }
        tasks.last_mut().expect("there is one").expansion.resources.push(resource);
    }
    tasks.last_mut().expect("there is one").expansion.brackets.extend(open);
    let places: BTreeMap<_, _> =
        sketches.iter().enumerate().map(|(number, sketch)| (id(&node(number)), sketch.place)).collect();
    for task in &mut tasks {
        task.expansion.resources.sort_by_key(|resource| places[&resource.id]);
    }
    tasks
}

fn needs(number: usize, sketch: &Sketch, tasks: &[Expanded]) -> Vec<Need> {
    let chosen = (0..number).filter(|earlier| sketch.needs & (1 << earlier) != 0);
    let mut needs: Vec<Need> = chosen.map(|earlier| Need::Resource(id(&node(earlier)))).collect();
    if sketch.needs & (1 << 15) != 0 && tasks.len() > 1 {
        needs.push(Need::Task(tasks[0].id.clone()));
    }
    needs
}

fn scene(sketches: &[Sketch]) -> Scene {
    let mut scene = Scene::new(tasks(sketches));
    for (number, sketch) in sketches.iter().enumerate() {
        let name = node(number);
        let resource = scene.resource(&name).clone();
        let body = resource.want.document().map_or(json!({ "value": 1 }), |document| document.body.clone());
        let different = if body.get("state").is_some() { json!({ "state": "failed" }) } else { json!({ "value": 7 }) };
        match sketch.found {
            Found::Absent => {}
            Found::Same => scene.world.put(&name, body),
            Found::Unsettled => scene.world.state().put(&name, body, 0),
            Found::Different => scene.world.put(&name, different),
        }
        let wanted = |number: &usize| sketches[*number].want == Wish::There && !sketches[*number].hook;
        let behind = (0..number).find(|earlier| sketch.needs & (1 << earlier) != 0 && wanted(earlier));
        scene.behave(&name, |how| {
            how.settles_after = sketch.settles_after;
            how.behind = behind.filter(|_| sketch.hidden).map(node);
            how.fails.extend(sketch.fails);
        });
    }
    scene
}

/// Runs with failures, and perhaps a stop; then without, until a plan keeps everything.
async fn converges(mut scene: Scene, stop: Option<u64>) {
    match stop {
        Some(seconds) => scene.apply_until(sleep(Duration::from_secs(seconds))).await,
        None => scene.apply_until(pending()).await,
    };
    scene.behaviours.values_mut().for_each(|how| how.fails.clear());
    // What was hidden and differs is told as stale by the run that reveals it, and changed by the next.
    let most = if scene.behaviours.values().any(|how| how.behind.is_some()) { 1 + scene.behaviours.len() } else { 1 };
    for _ in 0..most {
        scene.apply().await;
        if !scene.plan().await.writes() {
            break;
        }
    }
    let ran = scene.apply().await;
    assert!(ran.events.iter().all(|event| event.starts_with("kept ")), "{:?}", ran.events);
    for resource in scene.tasks.iter().flat_map(|task| &task.expansion.resources) {
        let found = scene.world.state().things.get(&name(&resource.id)).map(|thing| thing.body.clone());
        match &resource.want {
            Want::Present(document) if resource.trigger == Trigger::Differs => {
                assert_eq!(found.as_ref(), Some(&document.body), "{}", resource.id);
            }
            Want::Existing(_) if resource.trigger == Trigger::Differs => assert!(found.is_some(), "{}", resource.id),
            Want::Absent if resource.trigger == Trigger::Differs => assert_eq!(found, None, "{}", resource.id),
            // One that follows another is as that one left it.
            Want::Present(_) | Want::Existing(_) | Want::Absent => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_a_graph_respects_every_need(sketches in sketches()) {
        let tasks = tasks(&sketches);
        let graph = ResourceGraph::new(tasks.clone()).expect("it has no circle");
        let order = order(&graph);
        let order: Vec<&str> = order.split(' ').collect();
        let rules = Rules::of(&tasks);
        for (place, resource) in order.iter().enumerate() {
            for before in rules.before(resource) {
                prop_assert!(order[..place].contains(&name(before).as_str()), "{resource} before {before} in {order:?}");
            }
        }
        prop_assert_eq!(order.len(), sketches.len());
        prop_assert_eq!(drawn(&ResourceGraph::new(tasks).expect("it has no circle")), drawn(&graph));
    }

    #[test]
    fn whatever_failed_runs_without_failures_converge(
        sketches in sketches(),
        stop in prop::option::of(0..8_u64),
        at_once in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime needs nothing").block_on(async {
            let mut scene = scene(&sketches);
            scene.options.at_once = at_once;
            converges(scene, stop).await;
        });
    }
}

/// Pieces that texts in TOML are made of, in any order.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        3 => prop::sample::select(vec!["schema = 1\n", "[runtime]\n", "[[a]]\n", "name = ", "a.b = ", "'x'", "[", "]", "{", "}", "\"\"\"", "\n", ",", "1e9", "∞"]),
        1 => Just("\u{0}"),
    ];
    prop_oneof![prop::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat()), any::<String>()]
}

proptest! {
    #[test]
    fn whatever_the_texts_are_every_mistake_has_a_place_in_them(texts in prop::collection::vec(scraps(), 1..4)) {
        let mut sources = Sources::default();
        texts.iter().for_each(|text| sources.push("a.toml", text.as_str()));
        if let Err(Mistakes(mistakes)) = parse(&sources).and_then(|desired| facts(&desired)) {
            for mistake in mistakes {
                let (source, range) = sources.locate(&mistake.at).expect("it lies in a text");
                prop_assert!(source.text.get(range).is_some(), "{mistake:?} cuts a character of {texts:?}");
            }
        }
        texts.iter().for_each(|text| drop(extends(text)));
    }
}
