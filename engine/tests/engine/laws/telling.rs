//! Telling: no secret in anything that leaves the engine, whoever said it.

use proptest::prelude::*;

use crate::common::sketch::{sketches, talkative};
use crate::common::{cases, on_virtual_time, seconds};

/// It is in every document and in everything that the drivers say.
const SECRET: &str = "s3cr3t";

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn i6_no_secret_is_in_a_plan_an_event_a_report_or_a_record(sketches in sketches(), stop in 0..20_u64) {
        let scene = talkative(&sketches, SECRET);
        on_virtual_time(async {
            for _ in 0..2 {
                let plan = scene.plan().await;
                prop_assert!(!format!("{plan:?}").contains(SECRET), "{:?}", plan);
                let (events, ran) = scene.heard(&plan, seconds(stop)).await;
                let told = format!("{events:?} {:?} {:?}", ran.events, ran.report);
                prop_assert!(!told.contains(SECRET), "{}", told);
                // What the ends of steps are told is recorded in the world.
                let recorded = scene.world.lines(&["close", "end"]);
                prop_assert!(!recorded.concat().contains(SECRET), "{:?}", recorded);
            }
            Ok(())
        })?;
    }
}
