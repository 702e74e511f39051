//! Renderings on disk, for their owner's eyes only and without a secret value: a plan in step starts no helm.
//!
//! A file is one line of text, then an index as JSON, then the bodies of the documents, which are read when they are needed:
//! `FORMAT KEYED-DIGEST-OF-THE-REST LENGTH-OF-THE-INDEX`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cfrt_engine::resource::{Hole, Pointer};
use serde::{Deserialize, Serialize};

use super::hook::HookFacts;
use super::rendering::{ChartFacts, Hook, Packed, Rendered, RenderedFacts, Rendering};
use super::scan::Volatile;
use crate::private;
use crate::vault::Vault;

/// Changes with the form of the file, and with whatever else makes older files wrong.
pub(crate) const FORMAT: &str = "cfrt.rendering/4";

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
        let path = self.path(vault, key);
        let file: Arc<[u8]> = private::read(&path, LARGEST)?.into();
        let head_end = file.iter().position(|&byte| byte == b'\n')? + 1;
        let head = std::str::from_utf8(&file[..head_end]).ok()?;
        let index_end = head_end.checked_add(head.trim_end().rsplit(' ').next()?.parse().ok()?)?;
        let index = file.get(head_end..index_end)?;
        if head != head_of(vault, &file[head_end..], index.len()) {
            return None;
        }
        let stored: Stored = serde_json::from_slice(index).ok()?;
        private::touch(&path);
        Some(stored.rendering(&Bodies { file: file.clone(), start: index_end }))
    }

    /// Keeps a rendering; what can't be kept is rendered again next time.
    pub(crate) fn store(&self, vault: &Vault, key: &str, rendering: &Rendering) {
        let mut bodies = Vec::new();
        let Ok(index) = serde_json::to_vec(&Stored::of(rendering, &mut bodies)) else { return };
        let rest = [index.as_slice(), &bodies].concat();
        let file = [head_of(vault, &rest, index.len()).as_bytes(), &rest].concat();
        let kept = private::folder(&self.folder).and_then(|()| private::write(&self.path(vault, key), &file));
        if kept.is_ok() {
            private::keep_newest(&self.folder, KEPT);
        }
    }

    /// Runs with different keys don't take each other's place.
    fn path(&self, vault: &Vault, key: &str) -> PathBuf {
        self.folder.join(format!("{key}-{}.json", &vault.digest(RENDERINGS.as_bytes())[..8]))
    }
}

fn head_of(vault: &Vault, rest: &[u8], index: usize) -> String {
    format!("{FORMAT} {} {index}\n", vault.digest(rest))
}

struct Bodies {
    file: Arc<[u8]>,
    start: usize,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    chart: StoredChart,
    digest: String,
    texts: String,
    volatile: Volatile,
    objects: Vec<StoredObject>,
    needs: Vec<Vec<usize>>,
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
    facts: RenderedFacts,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    holes: BTreeMap<Pointer, StoredHole>,
    start: usize,
    length: usize,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum StoredHole {
    Secret,
    Generated,
}

impl Stored {
    fn of(rendering: &Rendering, bodies: &mut Vec<u8>) -> Self {
        let Rendering { chart, objects, needs, hooks, crds, manifest: _, digest, texts, volatile } = rendering;
        let ChartFacts { name, version, app_version, digest: chart_digest } = chart.clone();
        let mut stored = |rendered: &Rendered| StoredObject::of(rendered, bodies);
        Self {
            chart: StoredChart { name, version, app_version, digest: chart_digest },
            digest: digest.clone(),
            texts: texts.clone(),
            volatile: *volatile,
            objects: objects.iter().map(&mut stored).collect(),
            needs: needs.clone(),
            crds: crds.iter().map(&mut stored).collect(),
            hooks: hooks
                .iter()
                .map(|hook| StoredHook { facts: hook.facts.clone(), object: stored(&hook.rendered) })
                .collect(),
        }
    }

    fn rendering(self, bodies: &Bodies) -> Rendering {
        let StoredChart { name, version, app_version, digest } = self.chart;
        let rendered = |object: StoredObject| object.rendered(bodies);
        let hook = |StoredHook { facts, object }| Hook { facts, rendered: rendered(object), manifest: None };
        Rendering {
            chart: ChartFacts { name, version, app_version, digest },
            objects: self.objects.into_iter().map(rendered).collect(),
            needs: self.needs,
            hooks: self.hooks.into_iter().map(hook).collect(),
            crds: self.crds.into_iter().map(rendered).collect(),
            manifest: None,
            digest: self.digest,
            texts: self.texts,
            volatile: self.volatile,
        }
    }
}

impl StoredObject {
    fn of(rendered: &Rendered, bodies: &mut Vec<u8>) -> Self {
        let document = rendered.document();
        let hole = |hole: &Hole| match hole {
            Hole::Secret => StoredHole::Secret,
            Hole::Generated => StoredHole::Generated,
        };
        let body = document.body.to_string();
        let start = bodies.len();
        bodies.extend(body.as_bytes());
        Self {
            facts: rendered.facts(),
            holes: document.holes.iter().map(|(place, kind)| (place.clone(), hole(kind))).collect(),
            start,
            length: body.len(),
        }
    }

    fn rendered(self, bodies: &Bodies) -> Rendered {
        let hole = |hole| match hole {
            StoredHole::Secret => Hole::Secret,
            StoredHole::Generated => Hole::Generated,
        };
        let holes = self.holes.into_iter().map(|(place, kind)| (place, hole(kind))).collect();
        let start = bodies.start + self.start;
        let packed = Packed { file: bodies.file.clone(), body: start..start + self.length, holes };
        Rendered::packed(self.facts, packed)
    }
}
