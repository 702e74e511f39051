//! The record of the last apply: what shows by metadata alone that something is still as it was when it was as it should be.
//!
//! It only saves reads. What it doesn't prove is looked at in full, so that without it every plan says the same.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cfrt_engine::change::Action;
use cfrt_engine::driver::{DriverError, Observation};
use cfrt_engine::plan::{Plan, Step};
use cfrt_engine::resource::{Resource, Want};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::drivers::object::OWN;
use crate::drivers::object::origin::without_last;
use crate::drivers::release::Settings;
use crate::drivers::release::history::ReleaseName;
use crate::kube::call::{Apply, Call};
use crate::kube::client::Kube;
use crate::kube::gvk::Resolved;
use crate::kube::state::{Revisions, State, short_digest};
use crate::vault::hexadecimal;

/// Its number changes with the form of the record, and with every rule by which something is called as it should be.
const FORMAT: &str = concat!("cfrt.record/2 of ", env!("CARGO_PKG_VERSION"));

/// What a Secret can hold, less what surrounds the record in it.
const LARGEST: usize = 1_000_000;

/// What the unpacked record may take: others could have written it.
const LARGEST_UNPACKED: u64 = 64 << 20;

/// What was proved at the end of the last apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastApply {
    proofs: BTreeSet<String>,
    /// How new each list was from which that was known.
    pub revisions: Revisions,
}

/// That something was seen in a state in which it was as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Proof(String);

impl Proof {
    /// That a resource needs nothing while its object is in a state.
    pub fn of_resource(resource: &Resource, state: &State) -> Self {
        let (sort, document) = match &resource.want {
            Want::Present(document) => ("present", document.digest()),
            Want::Existing(document) => ("existing", document.digest()),
            Want::Absent => ("absent", String::new()),
        };
        let settings = without_last(&resource.settings).to_string();
        Self::of(&[&resource.id.to_string(), sort, &document, &settings], state.bytes())
    }

    /// That a release needs no revision while its records are in these states.
    pub fn of_release(release: &ReleaseName, wanted: &[&str], records: &[String]) -> Self {
        let about = [&[release.namespace.as_str(), release.name.as_str()], wanted].concat();
        Self::of(&about, records.join(" ").as_bytes())
    }

    fn of(about: &[&str], state: &[u8]) -> Self {
        let mut text = Vec::new();
        for part in about.iter().map(|part| part.as_bytes()).chain([state]) {
            // With its length before it, so that no two rows of parts make one text.
            text.extend_from_slice(&part.len().to_le_bytes());
            text.extend_from_slice(part);
        }
        Self(hexadecimal(&short_digest(&text)))
    }
}

impl LastApply {
    /// The record of these proofs.
    pub fn new(proofs: impl IntoIterator<Item = Proof>, revisions: Revisions) -> Self {
        Self { proofs: proofs.into_iter().map(|proof| proof.0).collect(), revisions }
    }

    /// What a plan proves that looked at everything in full: each thing that it keeps is as it should be.
    pub fn of(plan: &Plan, seen: &[Observation], revisions: Revisions) -> Self {
        let kept = plan.steps.iter().zip(seen).filter(|(step, _)| step.change.action == Action::Keep);
        Self::new(kept.filter_map(|(step, seen)| proof(step, seen)), revisions)
    }

    /// Whether most of what another one proves isn't proved by this one.
    pub fn lacks_most_of(&self, other: &Self) -> bool {
        self.proofs.intersection(&other.proofs).count() * 2 < other.proofs.len()
    }

    /// Whether nothing was proved, so that it saves no read.
    pub fn is_empty(&self) -> bool {
        self.proofs.is_empty()
    }

    /// Whether it was proved.
    pub fn holds(&self, proof: &Proof) -> bool {
        self.proofs.contains(&proof.0)
    }

    /// Reads the record of a release; one that isn't there, can't be read or makes no sense is as good as none.
    pub async fn read(kube: &Kube, release: &ReleaseName) -> Self {
        let call = Call::get(Resolved::secrets().path(&release.namespace, &name(release)));
        let read = kube.send(&call).await.and_then(|reply| reply.json::<Value>());
        read.ok().and_then(|secret| Self::unpack(secret["data"]["record"].as_str()?)).unwrap_or_default()
    }

    /// Writes the record of a release.
    ///
    /// # Errors
    ///
    /// A server that doesn't take it.
    pub async fn write(&self, kube: &Kube, release: &ReleaseName) -> Result<(), DriverError> {
        let Some(packed) = self.pack().filter(|packed| packed.len() <= LARGEST) else { return Ok(()) };
        let name = name(release);
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": release.namespace,
                "labels": {"app.kubernetes.io/managed-by": OWN},
            },
            "data": {"record": packed},
        });
        let call = Call::apply(&Resolved::secrets(), &release.namespace, &name, OWN, Apply::Forced, &secret);
        let written = kube.send(&call.metadata()).await;
        written.map(drop).map_err(|error| error.during(format!("writing Secret {}/{name}", release.namespace)))
    }

    fn pack(&self) -> Option<String> {
        let stored =
            Stored { format: FORMAT.to_owned(), proofs: self.proofs.clone(), revisions: self.revisions.clone() };
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&serde_json::to_vec(&stored).ok()?).ok()?;
        Some(STANDARD.encode(packer.finish().ok()?))
    }

    fn unpack(packed: &str) -> Option<Self> {
        let packed = STANDARD.decode(packed).ok()?;
        let mut text = Vec::new();
        MultiGzDecoder::new(packed.as_slice()).take(LARGEST_UNPACKED).read_to_end(&mut text).ok()?;
        let Stored { format, proofs, revisions } = serde_json::from_slice(&text).ok()?;
        (format == FORMAT).then_some(Self { proofs, revisions })
    }
}

/// What a step proves that does nothing. What is kept for a special reason is looked at each time.
fn proof(step: &Step, seen: &Observation) -> Option<Proof> {
    let resource = &step.resource;
    match (&resource.want, seen) {
        (Want::Present(_), Observation::Present { .. }) if !step.change.reason.is_empty() => None,
        (Want::Present(_) | Want::Existing(_), Observation::Present { live, .. }) => {
            Some(Proof::of_resource(resource, &State::of(live)?))
        }
        (Want::Present(_) | Want::Existing(_), Observation::Absent) => Settings::of(resource).ok()?.proof,
        (Want::Absent, _) | (_, Observation::Unmoved | Observation::Hidden { .. }) => None,
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: String,
    proofs: BTreeSet<String>,
    revisions: Revisions,
}

fn name(release: &ReleaseName) -> String {
    format!("cfrt-{}-record", release.name)
}

#[cfg(test)]
mod tests {
    use cfrt_engine::resource::{Address, Document, ResourceId, Trigger};
    use cfrt_engine::task::TaskId;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn resource(body: Value, settings: Value) -> Resource {
        Resource {
            id: ResourceId::whole(Address::new("v1/ConfigMap", "n", "a")),
            task: TaskId { kind: "chart", name: String::new() },
            driver: "object",
            want: Want::Present(Document { body, ..Document::default() }.into()),
            needs: Vec::new(),
            trigger: Trigger::Differs,
            settings,
        }
    }

    fn state(metadata: &Value) -> State {
        State::of(&json!({ "metadata": metadata })).expect("it is metadata")
    }

    fn metadata() -> Value {
        json!({"name": "a", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"},
            "managedFields": [{"manager": "helm", "operation": "Apply", "time": "2026-01-01T00:00:00Z"}]})
    }

    #[test]
    fn a_proof_holds_for_one_resource_in_one_state() {
        let proof = |body: Value, settings: Value, metadata: &Value| {
            Proof::of_resource(&resource(body, settings), &state(metadata))
        };
        let known = proof(json!({"data": {"a": "1"}}), json!({}), &metadata());
        let record = LastApply::new([known.clone()], Revisions::new());
        assert!(record.holds(&known) && record.holds(&proof(json!({"data": {"a": "1"}}), json!({}), &metadata())));
        assert!(!record.holds(&proof(json!({"data": {"a": "2"}}), json!({}), &metadata())));
        assert!(!record.holds(&proof(json!({"data": {"a": "1"}}), json!({"dropped": ["x"]}), &metadata())));
        let mut moved = metadata();
        moved["resourceVersion"] = json!("8");
        assert!(!record.holds(&proof(json!({"data": {"a": "1"}}), json!({}), &moved)));
    }

    #[test]
    fn a_record_lacks_most_where_it_proves_less_than_half() {
        let record = |names: &[&str]| LastApply::new(names.iter().map(|&name| Proof(name.into())), Revisions::new());
        let found = record(&["a", "b", "c", "d"]);
        assert!(record(&[]).lacks_most_of(&found) && record(&["a", "x", "y"]).lacks_most_of(&found));
        assert!(!record(&["a", "b"]).lacks_most_of(&found) && !record(&[]).lacks_most_of(&record(&[])));
    }

    #[test]
    fn what_was_packed_is_unpacked_and_nothing_else_is() {
        let revisions = Revisions::from([("/api/v1/secrets".to_owned(), "9".to_owned())]);
        let proofs = (0..3).map(|number| Proof(number.to_string()));
        let record = LastApply::new(proofs, revisions);
        let packed = record.pack().expect("it is small");
        assert_eq!(LastApply::unpack(&packed), Some(record.clone()));
        let other = json!({"format": "cfrt.record/0", "proofs": [], "revisions": {}}).to_string();
        for junk in ["", "*", "YQ==", &packed[..packed.len() / 2], &STANDARD.encode(other)] {
            assert_eq!(LastApply::unpack(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_record_that_unpacks_without_end_is_as_good_as_none() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&vec![b' '; 16 << 20]).expect("writing to memory does not fail");
        let endless = packer.finish().expect("writing to memory does not fail").repeat(64);
        assert_eq!(LastApply::unpack(&STANDARD.encode(endless)), None);
    }

    proptest! {
        #[test]
        fn a_damaged_record_is_read_or_as_good_as_none(at: Index, byte: u8, cut: Index, format in 0..3_u8, json in ".{0,40}") {
            let proofs = (0..30).map(|number| Proof(number.to_string()));
            let revisions = Revisions::from([("/api/v1/secrets".to_owned(), "9".to_owned())]);
            let packed = LastApply::new(proofs, revisions).pack().expect("it is small");
            let mut bytes = STANDARD.decode(&packed).expect("it is base64");
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop(LastApply::unpack(&STANDARD.encode(&bytes)));
            bytes.truncate(cut.index(bytes.len()));
            prop_assert_eq!(LastApply::unpack(&STANDARD.encode(&bytes)), None);
            let text = match format {
                0 => json,
                1 => format!("{{\"format\":\"{FORMAT}\",\"proofs\":{json}"),
                _ => format!("{{\"format\":\"{FORMAT}\",\"proofs\":[{json:?}],\"revisions\":{{{json:?}:5}}}}"),
            };
            let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
            packer.write_all(text.as_bytes()).expect("writing to memory does not fail");
            let packed = packer.finish().expect("writing to memory does not fail");
            prop_assert_eq!(LastApply::unpack(&STANDARD.encode(packed)), None);
        }
    }
}
