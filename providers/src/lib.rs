//! What cfrt knows of the outside: the kinds of tasks, and the drivers that reach Kubernetes and Helm.

use cfrt_engine::driver::{Discreet, Drivers};
use cfrt_engine::resource::Resource;
use cfrt_engine::task::Kind;

mod blocking;
pub mod cache_folder;
pub mod drivers;
pub mod helm;
pub mod journal;
pub mod kinds;
pub mod kube;
pub mod last_apply;
pub mod lease;
pub mod platform;
mod private;
pub mod run;
pub mod secrets;
pub mod shared_key;
pub mod undo;
pub mod vault;
pub mod world;

use drivers::hook::Hook;
use drivers::object::Object;
use drivers::release::Release;
use kinds::chart::Chart;
use kinds::crd_adoption::CrdAdoption;
use kinds::namespace::Namespace;
use kinds::secret_copy::SecretCopy;
use world::World;

/// Every kind of task, in the order in which people think of them. One kind, one file, one line.
pub const KINDS: [&dyn Kind; 4] = [&Namespace, &SecretCopy, &CrdAdoption, &Chart];

/// Every driver, one for each sort of thing in the world.
pub fn drivers() -> Drivers<World> {
    Drivers::new(vec![Box::new(Object), Box::new(Hook), Box::new(Release)])
}

impl Discreet for World {
    fn redacted(&self, resource: &Resource, text: &str) -> String {
        // The inherent function of the same name knows how.
        Self::redacted(self, resource, text)
    }
}
