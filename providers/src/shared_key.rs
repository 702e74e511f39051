//! The key by which a plan file fingerprints secrets: one for all who work on a release, kept in the cluster beside it.
//!
//! Only what makes plan files or holds one against the cluster asks for it; every other run seals with a key of its own.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cfrt_engine::driver::DriverError;
use serde_json::{Value, json};

use crate::drivers::object::OWN;
use crate::drivers::release::history::ReleaseName;
use crate::kube::call::Call;
use crate::kube::client::{ApiError, Kube};
use crate::kube::gvk::Resolved;
use crate::private;
use crate::vault::Vault;

/// The Secret's name; one for all releases of a namespace.
pub const NAME: &str = "cfrt-key";

const KEY: &str = "key";

/// The key, where there is one that we may read and that makes sense.
///
/// # Errors
///
/// A server that doesn't answer.
pub(crate) async fn read(kube: &Kube, release: &ReleaseName) -> Result<Option<[u8; 32]>, ApiError> {
    match kube.send(&Call::get(Resolved::secrets().path(&release.namespace, NAME))).await {
        Ok(reply) => {
            let secret: Value = reply.json()?;
            let key = secret["data"][KEY].as_str().and_then(|key| BASE64_STANDARD.decode(key).ok());
            Ok(key.and_then(|key| key.try_into().ok()))
        }
        // Who may not read it has plan files in which secrets are only said to be set.
        Err(error) if matches!(error.code(), Some(403 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What tells the key of a vault from another one, and nothing else of it.
pub(crate) fn id(vault: &Vault) -> String {
    vault.digest(b"the key of plan files")[..16].to_owned()
}

/// Makes the key where there is none.
///
/// # Errors
///
/// A server that doesn't take it.
pub async fn ensure(kube: &Kube, release: &ReleaseName) -> Result<(), DriverError> {
    let (namespace, doing) = (&release.namespace, || format!("making Secret {}/{NAME}", release.namespace));
    match kube.send(&Call::get(Resolved::secrets().path(namespace, NAME)).metadata()).await {
        Err(error) if error.is_not_found() => {}
        Ok(_) | Err(_) => return Ok(()),
    }
    let fresh: [u8; 32] = private::random().map_err(|error| DriverError::new(doing(), error))?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": OWN}},
        "data": {KEY: BASE64_STANDARD.encode(fresh)},
    });
    match kube.send(&Call::create(&Resolved::secrets(), namespace, &secret).metadata()).await {
        Ok(_) => Ok(()),
        // Someone else was quicker: theirs is as good.
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error.during(doing())),
    }
}
