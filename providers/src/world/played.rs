//! A world for tests, of which the API server is played.

use std::sync::Arc;

use serde_json::json;

use super::{Access, Target, World};
use crate::cache_folder::CacheFolder;
use crate::drivers::hook::HookRuns;
use crate::drivers::release::charts::Charts;
use crate::drivers::release::heartbeat::Heartbeats;
use crate::helm::binary::Search;
use crate::kube::client::Kube;
use crate::kube::discovery::Discovery;
use crate::kube::lists::Lists;
use crate::kube::watch::Watches;
use crate::last_apply::LastApply;
use crate::lease::Lease;
use crate::run::Run;
use crate::vault::Vault;

/// The kinds that its server knows: group, version, kind.
const KINDS: [(&str, &str, &str); 3] = [("a.io", "v1", "Widget"), ("", "v1", "Pod"), ("batch", "v1", "Job")];

impl World {
    /// A world behind this client.
    pub(crate) fn played(kube: Kube) -> Self {
        let discovery = Discovery::default();
        for (group, version, kind) in KINDS {
            let names = json!({"kind": kind, "plural": format!("{}s", kind.to_lowercase())});
            let spec = json!({"group": group, "names": names, "scope": "Namespaced", "versions": [{"name": version}]});
            discovery.learn(&json!({ "spec": spec }));
        }
        let vault = Arc::new(Vault::new([7; 32]));
        let nothing = String::new();
        Self {
            target: Target {
                context: nothing.clone(),
                uid: nothing.clone(),
                version: nothing.clone(),
                authority: nothing,
            },
            kube,
            lists: Lists::default(),
            last_apply: LastApply::default(),
            discovery: Arc::new(discovery),
            watches: Watches::default(),
            charts: Charts::new(Search::from_environment(None), std::env::temp_dir(), Arc::clone(&vault)),
            vault,
            shared_key: None,
            hook_runs: HookRuns::default(),
            heartbeats: Heartbeats::default(),
            lease: Lease::default(),
            journal: Arc::default(),
            run: Run::default(),
            cache: CacheFolder::Lasting(std::env::temp_dir()),
            access: Access::ReadWrite,
            renders_anew: true,
            kube_context: None,
        }
    }
}
