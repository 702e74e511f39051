//! Planning: the same for the same graph and world, and without a trace.

use cfrt_engine::compile::Expanded;
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::resource::{ResourceId, Trigger};
use proptest::prelude::*;

use crate::common::sketch::{scene, sketches};
use crate::common::text::name;
use crate::common::{cases, on_virtual_time};

/// Everything that a plan says, in its own order.
fn said(plan: &Plan) -> Vec<(String, String)> {
    let said = |step: &Step| (name(&step.resource.id), format!("{:?} {:?} {}", step.change, step.seen, step.settled));
    plan.in_order().map(said).collect()
}

/// The same tasks, with every list in another order.
fn shuffled(tasks: &mut [Expanded], seed: u64) {
    let key =
        |text: String| text.bytes().fold(seed, |key, byte| (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    tasks.sort_by_key(|task| key(task.id.to_string()));
    for task in tasks {
        let expansion = &mut task.expansion;
        expansion.resources.sort_by_key(|resource| key(resource.id.to_string()));
        expansion.resources.iter_mut().for_each(|resource| resource.needs.sort_by_key(|need| key(format!("{need:?}"))));
        expansion.brackets.sort_by_key(|bracket| key(bracket.owner.to_string()));
        let phases = expansion.brackets.iter_mut().flat_map(|bracket| &mut bracket.phases);
        phases.for_each(|phase| phase.sort_by_key(|id| key(id.to_string())));
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn i1_a_plan_is_the_same_each_time_it_is_made_of_the_same(sketches in sketches()) {
        let (one, other) = (scene(&sketches), scene(&sketches));
        on_virtual_time(async {
            let first = said(&one.plan().await);
            prop_assert_eq!(&first, &said(&one.plan().await));
            prop_assert_eq!(&first, &said(&other.plan().await));
            Ok(())
        })?;
    }

    #[test]
    fn i1_a_plan_does_not_depend_on_the_order_in_which_anything_comes(sketches in sketches(), seed in any::<u64>()) {
        let (one, mut other) = (scene(&sketches), scene(&sketches));
        shuffled(&mut other.tasks, seed);
        on_virtual_time(async {
            let (mut one, mut other) = (said(&one.plan().await), said(&other.plan().await));
            one.sort();
            other.sort();
            prop_assert_eq!(one, other);
            Ok(())
        })?;
    }

    #[test]
    fn i7_what_follows_another_is_planned_only_with_it(sketches in sketches()) {
        let scene = scene(&sketches);
        on_virtual_time(async {
            let plan = scene.plan().await;
            let writes = |id: &ResourceId| {
                let step = plan.steps.iter().find(|step| step.resource.id == *id);
                step.is_some_and(|step| step.change.action.writes())
            };
            for step in &plan.steps {
                let Trigger::With(leader) = &step.resource.trigger else { continue };
                prop_assert!(writes(leader) || !writes(&step.resource.id), "{} without {}", step.resource.id, leader);
            }
            Ok(())
        })?;
    }

    #[test]
    fn i2_planning_writes_nothing(sketches in sketches()) {
        let scene = scene(&sketches);
        on_virtual_time(async {
            let before = scene.world.state().things.clone();
            scene.plan().await;
            let state = scene.world.state();
            prop_assert_eq!(&state.things, &before);
            prop_assert!(state.log.iter().all(|(_, line)| line.starts_with("look ")), "{:?}", state.log);
            Ok(())
        })?;
    }
}
