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
                prop_assert!(!effects[..place].iter().any(|other| other.repeats(effect)), "{:?} again", effect);
            }
            // The two are not held against the order of one.
            scene.world.forget();
            converge(&scene).await;
            prop_assert_eq!(bodies(&scene), bodies(&alone));
            Ok(())
        })?;
    }
}
