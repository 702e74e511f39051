//! What cfrt knows of the outside: the kinds of tasks, and the drivers that reach Kubernetes and Helm.

use cfrt_engine::driver::Drivers;
use cfrt_engine::task::Kind;

pub mod helm;
pub mod kube;
mod private;
pub mod vault;
pub mod world;

use world::World;

/// Every kind of task, in the order in which people think of them. One kind, one file, one line.
pub const KINDS: [&dyn Kind; 0] = [];

/// Every driver, one for each sort of thing in the world.
pub fn drivers() -> Drivers<World> {
    Drivers::new(vec![])
}
