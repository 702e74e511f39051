//! Renderings on disk, for their owner's eyes only and without a secret value: a plan in step starts no helm.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cfrt_engine::resource::{Hole, Pointer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::hook::HookFacts;
use super::rendering::{ChartFacts, Hook, Identity, Packed, Rendered, Rendering};
use super::scan::Volatile;
use crate::private;
use crate::vault::Vault;

/// Changes with the form of the file, and with whatever else makes older files wrong.
pub(crate) const FORMAT: &str = "cfrt.rendering/1";

const RENDERINGS: &str = "renderings";
const KEPT: usize = 64;
const LARGEST: u64 = 256 << 20;

/// A folder of renderings.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.join(RENDERINGS) }
    }

    /// Gives what was stored under this key with this vault's key.
    ///
    /// What is damaged, of somebody else, or sealed with another key is as good as absent.
    pub(crate) fn load(&self, vault: &Vault, key: &str) -> Option<Rendering> {
        let path = self.path(key);
        let bytes = private::read(&path, LARGEST)?;
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let (head, content) = (&bytes[..end], &bytes[end + 1..]);
        if head != head_of(vault, content).as_bytes() {
            return None;
        }
        let stored: Stored = serde_json::from_slice(content).ok()?;
        private::touch(&path);
        Some(stored.rendering())
    }

    /// Keeps a rendering; what can't be kept is rendered again next time.
    pub(crate) fn store(&self, vault: &Vault, key: &str, rendering: &Rendering) {
        let Ok(content) = Stored::of(rendering).and_then(|stored| serde_json::to_vec(&stored)) else { return };
        let mut bytes = head_of(vault, &content).into_bytes();
        bytes.push(b'\n');
        bytes.extend(content);
        let kept = private::folder(&self.folder).and_then(|()| private::write(&self.path(key), &bytes));
        if kept.is_ok() {
            private::keep_newest(&self.folder, KEPT);
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

fn head_of(vault: &Vault, content: &[u8]) -> String {
    format!("{FORMAT} {}", vault.digest(content))
}

#[derive(Serialize, Deserialize)]
struct Stored {
    chart: StoredChart,
    digest: String,
    volatile: Volatile,
    objects: Vec<StoredObject>,
    hooks: Vec<StoredHook>,
    crds: Vec<StoredObject>,
}

#[derive(Serialize, Deserialize)]
struct StoredChart {
    name: String,
    version: String,
    app_version: Option<String>,
    digest: String,
}

#[derive(Serialize, Deserialize)]
struct StoredHook {
    facts: HookFacts,
    object: StoredObject,
}

#[derive(Serialize, Deserialize)]
struct StoredObject {
    source: String,
    digest: String,
    identity: Identity,
    holes: BTreeMap<Pointer, StoredHole>,
    body: Box<RawValue>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum StoredHole {
    Secret,
    Generated,
}

impl Stored {
    fn of(rendering: &Rendering) -> serde_json::Result<Self> {
        let Rendering { chart, objects, hooks, crds, manifest: _, digest, volatile } = rendering;
        let ChartFacts { name, version, app_version, digest: chart_digest } = chart.clone();
        let hook =
            |hook: &Hook| Ok(StoredHook { facts: hook.facts.clone(), object: StoredObject::of(&hook.rendered)? });
        Ok(Self {
            chart: StoredChart { name, version, app_version, digest: chart_digest },
            digest: digest.clone(),
            volatile: *volatile,
            objects: objects.iter().map(StoredObject::of).collect::<Result<_, _>>()?,
            hooks: hooks.iter().map(hook).collect::<Result<_, _>>()?,
            crds: crds.iter().map(StoredObject::of).collect::<Result<_, _>>()?,
        })
    }

    fn rendering(self) -> Rendering {
        let StoredChart { name, version, app_version, digest } = self.chart;
        let hook = |StoredHook { facts, object }| Hook { facts, rendered: object.rendered(), manifest: None };
        Rendering {
            chart: ChartFacts { name, version, app_version, digest },
            objects: self.objects.into_iter().map(StoredObject::rendered).collect(),
            hooks: self.hooks.into_iter().map(hook).collect(),
            crds: self.crds.into_iter().map(StoredObject::rendered).collect(),
            manifest: None,
            digest: self.digest,
            volatile: self.volatile,
        }
    }
}

impl StoredObject {
    fn of(rendered: &Rendered) -> serde_json::Result<Self> {
        let document = rendered.document();
        let hole = |hole: &Hole| match hole {
            Hole::Secret => StoredHole::Secret,
            Hole::Generated => StoredHole::Generated,
        };
        Ok(Self {
            source: rendered.source.clone(),
            digest: rendered.digest.clone(),
            identity: rendered.identity.clone(),
            holes: document.holes.iter().map(|(place, kind)| (place.clone(), hole(kind))).collect(),
            body: serde_json::value::to_raw_value(&document.body)?,
        })
    }

    fn rendered(self) -> Rendered {
        let hole = |hole| match hole {
            StoredHole::Secret => Hole::Secret,
            StoredHole::Generated => Hole::Generated,
        };
        let holes = self.holes.into_iter().map(|(place, kind)| (place, hole(kind))).collect();
        Rendered::packed(self.source, self.identity, self.digest, Packed { body: self.body, holes })
    }
}
