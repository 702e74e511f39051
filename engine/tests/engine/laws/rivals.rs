//! Two runs at once: what one has written the other doesn't write again.

use std::future::pending;

use proptest::prelude::*;

use super::{bodies, converge, effects};
use crate::common::sketch::{scene, sketches};
use crate::common::{cases, on_virtual_time, seconds};

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn i9_of_two_runs_of_one_plan_only_one_writes_a_thing(sketches in sketches(), later in 0..9_u64) {
        let (alone, scene) = (scene(&sketches), scene(&sketches));
        on_virtual_time(async {
            converge(&alone).await;
            let (one, other) = (scene.plan().await, scene.plan().await);
            let rival = async {
                seconds(later).await;
                scene.run(&other, pending()).await
            };
            tokio::join!(scene.run(&one, pending()), rival);
            let effects = effects(&scene);
            for (place, effect) in effects.iter().enumerate() {
                let twice = effects[..place].iter().find(|other| {
                    (&other.resource, other.closing, other.after.is_some())
                        == (&effect.resource, effect.closing, effect.after.is_some())
                });
                prop_assert_eq!(twice, None, "{:?} again", effect);
            }
            let state = scene.world.state();
            drop(state);
            converge_after_rivals(&scene).await;
            prop_assert_eq!(bodies(&scene), bodies(&alone));
            Ok(())
        })?;
    }
}

/// The rivals' runs are not held against the order of one run.
async fn converge_after_rivals(scene: &crate::common::scene::Scene) {
    {
        let mut state = scene.world.state();
        state.log.clear();
        state.broken.clear();
        state.most_writing = 0;
    }
    converge(scene).await;
}
