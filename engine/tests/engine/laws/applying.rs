//! Applying: what a plan says and no more, again and again until it is done, whatever happens on the way.

use std::future::pending;
use std::sync::Arc;

use cfrt_engine::change::Action;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::report::Report;
use cfrt_engine::resource::{Resource, Trigger, Want};
use proptest::prelude::*;
use serde_json::json;

use super::{bodies, converge, effects};
use crate::common::scene::Scene;
use crate::common::sketch::{node, scene, sketches, troubled};
use crate::common::world::Effect;
use crate::common::write::{moved, opens};
use crate::common::{cases, on_virtual_time, seconds};

/// How a run is cut short.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Never,
    /// The user stops it after so many seconds.
    Stop(u64),
    /// It is killed after so many movements.
    Kill(usize),
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![1 => Just(Cut::Never), 1 => (0..9_u64).prop_map(Cut::Stop), 2 => (0..40_usize).prop_map(Cut::Kill)]
}

/// Carries a plan out so; who is killed reports nothing.
async fn carry_out(scene: &Scene, plan: &Plan, cut: Cut) -> Option<Report> {
    match cut {
        Cut::Never => Some(scene.carry_out(plan, pending()).await.report),
        Cut::Stop(after) => Some(scene.carry_out(plan, seconds(after)).await.report),
        Cut::Kill(breaths) => {
            scene.carry_out_until_killed(plan, breaths).await;
            None
        }
    }
}

fn calm(scene: &mut Scene) {
    for how in scene.behaviours.values_mut() {
        how.fails.clear();
        how.loses.clear();
    }
}

/// What someone else does to a thing, and when.
#[derive(Debug, Clone)]
struct Move {
    after: u64,
    thing: usize,
    does: Does,
}

#[derive(Debug, Clone, Copy)]
enum Does {
    Change,
    Delete,
    /// Makes it if it isn't there.
    Make,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let does = prop_oneof![Just(Does::Change), Just(Does::Delete), Just(Does::Make)];
    let one = (0..9_u64, 0..14_usize, does).prop_map(|(after, thing, does)| Move { after, thing, does });
    prop::collection::vec(one, 0..6).prop_map(|mut moves| {
        moves.sort_by_key(|one| one.after);
        moves
    })
}

async fn meddle(scene: &Scene, moves: &[Move]) {
    let mut now = 0;
    for Move { after, thing, does } in moves {
        seconds(after - now).await;
        now = *after;
        let (name, mut state) = (node(*thing), scene.world.state());
        let body = state.things.get(&name).map(|thing| thing.body.clone());
        match (does, body) {
            (Does::Change, Some(mut body)) => {
                body["value"] = json!(8);
                state.put(&name, body, 0);
            }
            (Does::Delete, Some(_)) => drop(state.things.remove(&name)),
            (Does::Make, None) => state.put(&name, json!({ "value": 9 }), 0),
            (Does::Change | Does::Delete, None) | (Does::Make, Some(_)) => {}
        }
    }
}

/// Whether a step may have had an effect.
fn covers(step: &Step, Effect { before, after, closing, .. }: &Effect) -> bool {
    match (step.change.action, before, after) {
        (Action::Create | Action::Update, Some(before), Some(after)) if *closing => {
            let only = moved(before, after).iter().all(|field| field.path == "state");
            opens(&step.resource) && only
        }
        (Action::Create | Action::Replace, None, Some(_)) | (Action::Delete | Action::Replace, Some(_), None) => true,
        // What opens a bracket is open before it is closed.
        (Action::Update, Some(before), Some(after)) => {
            opens(&step.resource) || moved(before, after) == step.change.fields
        }
        _ => false,
    }
}

/// The step that had an effect.
fn step<'a>(plan: &'a Plan, effect: &Effect) -> &'a Step {
    plan.steps.iter().find(|step| step.resource.id == effect.resource).expect("only what is planned is written")
}

/// Everything that was written is what the plan says, and once.
fn allowed(plan: &Plan, effects: &[Effect]) -> Result<(), TestCaseError> {
    for (place, effect) in effects.iter().enumerate() {
        let step = step(plan, effect);
        prop_assert!(covers(step, effect), "{:?} is no effect of {:?}", effect, step.change);
        prop_assert!(!effects[..place].iter().any(|other| other.repeats(effect)), "{:?} again", effect);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn i3_after_a_complete_run_a_plan_has_nothing_to_do(
        sketches in sketches(),
        cuts in prop::collection::vec(cut(), 1..4),
        at_once in 1..5_usize,
    ) {
        let mut scene = troubled(&sketches);
        scene.options.at_once = at_once;
        on_virtual_time(async {
            for cut in cuts {
                let plan = scene.plan().await;
                let report = carry_out(&scene, &plan, cut).await;
                if report.is_some_and(|report| report.complete()) {
                    let plan = scene.plan().await;
                    prop_assert!(plan.steps.iter().all(|step| step.change.action == Action::Keep), "{:?}", plan.steps);
                    effects(&scene);
                    let again = scene.carry_out(&plan, pending()).await;
                    prop_assert!(again.events.iter().all(|event| event.starts_with("kept ")), "{:?}", again.events);
                    prop_assert_eq!(effects(&scene), Vec::new());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn i4_whatever_was_cut_off_a_rerun_converges(
        sketches in sketches(),
        cuts in prop::collection::vec(cut(), 1..4),
        at_once in 1..5_usize,
    ) {
        let (undisturbed, mut disturbed) = (scene(&sketches), troubled(&sketches));
        disturbed.options.at_once = at_once;
        on_virtual_time(async {
            converge(&undisturbed).await;
            for cut in cuts {
                let plan = disturbed.plan().await;
                carry_out(&disturbed, &plan, cut).await;
            }
            calm(&mut disturbed);
            converge(&disturbed).await;
            prop_assert_eq!(bodies(&disturbed), bodies(&undisturbed));
            Ok(())
        })?;
    }

    #[test]
    fn i5_nothing_starts_before_what_it_needs_is_settled(
        sketches in sketches(),
        cuts in prop::collection::vec(cut(), 1..4),
        at_once in 1..5_usize,
    ) {
        let mut scene = troubled(&sketches);
        scene.options.at_once = at_once;
        on_virtual_time(async {
            for cut in cuts {
                let plan = scene.plan().await;
                // Each write is held against what it needs when it begins, and each run is checked for it.
                carry_out(&scene, &plan, cut).await;
            }
            prop_assert_eq!(&scene.world.state().broken, &Vec::<String>::new());
            Ok(())
        })?;
    }

    #[test]
    fn i5_a_run_that_is_stopped_starts_nothing_more_and_waits_for_nothing(
        sketches in sketches(),
        stop in 0..9_u64,
        at_once in 1..5_usize,
    ) {
        let mut scene = troubled(&sketches);
        scene.options.at_once = at_once;
        scene.behaviours.values_mut().filter(|how| how.settles_after > 0).for_each(|how| how.settles_after = 2_000);
        on_virtual_time(async {
            scene.apply_until(seconds(stop)).await;
            scene.world.log("end");
            let state = scene.world.state();
            let late = state.log.iter().find(|(second, line)| *second > stop && line.starts_with("apply "));
            prop_assert_eq!(late, None);
            // What was being written is finished, and what was opened is closed, each within a few seconds.
            prop_assert!(state.log.last().is_none_or(|(second, _)| *second <= stop + 30), "{:?}", state.log);
            Ok(())
        })?;
    }

    #[test]
    fn i7_a_run_writes_nothing_but_what_its_plan_says(
        sketches in sketches(),
        before in moves(),
        meanwhile in moves(),
        stop in prop::option::of(0..9_u64),
    ) {
        let scene = troubled(&sketches);
        on_virtual_time(async {
            let plan = scene.plan().await;
            meddle(&scene, &before).await;
            let stop = async {
                meddle(&scene, &meanwhile).await;
                match stop {
                    Some(after) => seconds(after).await,
                    None => pending().await,
                }
            };
            scene.run(&plan, stop).await;
            allowed(&plan, &effects(&scene))
        })?;
    }

    #[test]
    fn i8_what_is_unwanted_is_gone_and_nothing_else(sketches in sketches(), cut in cut()) {
        let scene = troubled(&sketches);
        on_virtual_time(async {
            scene.world.put("bystander", json!({ "value": 1 }));
            let plan = scene.plan().await;
            carry_out(&scene, &plan, cut).await;
            for effect in effects(&scene).iter().filter(|effect| effect.after.is_none()) {
                let step = step(&plan, effect);
                let unwanted = step.resource.want == Want::Absent || step.change.action == Action::Replace;
                prop_assert!(unwanted, "{:?}", effect);
            }
            let ran = scene.apply().await;
            let state = scene.world.state();
            prop_assert!(state.things.contains_key("bystander"));
            let unwanted = |resource: &&Arc<Resource>| resource.want == Want::Absent && resource.trigger == Trigger::Differs;
            for resource in plan.graph.resources().iter().filter(unwanted).filter(|_| ran.report.complete()) {
                prop_assert!(!state.things.contains_key(&resource.id.address.name), "{}", resource.id);
            }
            Ok(())
        })?;
    }
}
