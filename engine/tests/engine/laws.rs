//! The laws that docs/reliability.md names, each by its number: over random graphs, worlds, failures and interruptions.
//!
//! What has broken one of them, shrunk, is kept in `engine/tests/proptest-regressions` and tried first.

mod applying;
mod planning;
mod rivals;
mod telling;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::scene::Scene;
use crate::common::world::Effect;

/// What there is in the world, by name.
fn bodies(scene: &Scene) -> BTreeMap<String, Value> {
    let state = scene.world.state();
    state.things.iter().map(|(name, thing)| (name.clone(), thing.body.clone())).collect()
}

/// Runs until a plan keeps everything, with no more runs than what is hidden makes necessary.
async fn converge(scene: &Scene) {
    // What was hidden and differs is told as stale by the run that reveals it, and changed by the next.
    let most = if scene.behaviours.values().any(|how| how.behind.is_some()) { 1 + scene.behaviours.len() } else { 1 };
    for _ in 0..most {
        scene.apply().await;
        if !scene.plan().await.writes() {
            return;
        }
    }
    let left: Vec<_> =
        scene.plan().await.in_order().map(|step| (step.resource.id.clone(), step.change.clone())).collect();
    unreachable!("after {most} runs there is still something to do: {left:?}");
}

/// What was written since this was last asked.
fn effects(scene: &Scene) -> Vec<Effect> {
    std::mem::take(&mut scene.world.state().effects)
}
