//! The table `[platform]`: which Codefresh account the runtime belongs to, and where its token is found.

use cfrt_engine::desired::DesiredState;
use cfrt_engine::facts::Facts;
use cfrt_engine::source::{Mistake, Mistakes};
use serde::Deserialize;
use toml::Spanned;

use crate::secrets::Source;

/// The Secret that a token from outside the cluster becomes.
const OWN_SECRET: &str = "cfrt-platform-token";

/// The key under which a token lies where the file doesn't say.
const DEFAULT_KEY: &str = "token";

/// The table as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// The platform's address.
    pub url: Option<String>,
    /// The account's id.
    pub account: Option<String>,
    /// Where the account's token is found; the token itself is never in the file.
    pub token: Option<Spanned<Token>>,
}

/// Where a token is found, as written: a Secret's name and key, a variable, or a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "{ env = \"…\" }, { file = \"…\" } or { secret = \"…\", key = \"…\" }; a token itself doesn't belong into this file"
)]
pub struct Token {
    secret: Option<String>,
    key: Option<String>,
    env: Option<String>,
    file: Option<String>,
}

/// The Secret in the runtime's namespace that has the token, and where it is copied from if it isn't there by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret {
    /// The Secret's name in the runtime's namespace.
    pub name: String,
    /// The key in its data.
    pub key: String,
    /// Where the value is taken from; `None` where the Secret is already in place.
    pub copied_from: Option<Source>,
}

/// Reads the table; nothing where the file has none.
///
/// # Errors
///
/// Whatever the table may not say.
pub fn platform(desired: &DesiredState<'_>) -> Result<Option<Platform>, Mistakes> {
    desired.table("platform")
}

impl Platform {
    /// The Secret that has the token, if the file says where the token is.
    ///
    /// # Errors
    ///
    /// A token from two places, or from none.
    pub fn token_secret(&self, desired: &DesiredState<'_>, facts: &Facts) -> Result<Option<TokenSecret>, Mistakes> {
        let Some(token) = &self.token else { return Ok(None) };
        let key = token.get_ref().key.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned());
        let own = |source| TokenSecret { name: OWN_SECRET.to_owned(), key: key.clone(), copied_from: Some(source) };
        let Token { secret, env, file, key: _ } = token.get_ref();
        match (secret, env, file) {
            (Some(secret), None, None) => Ok(Some(in_cluster(secret, key, facts))),
            (None, Some(variable), None) => Ok(Some(own(Source::Env(variable.clone())))),
            (None, None, Some(path)) => {
                Ok(Some(own(Source::File(desired.sources().folder_of(&token.span()).join(path)))))
            }
            _ => {
                let what = "a token comes from one place: `secret`, `env` or `file`";
                Err(Mistake::new(token.span(), what).label("name exactly one").into())
            }
        }
    }
}

/// `NAME` is a Secret of the runtime's own namespace; `NAMESPACE/NAME` is copied from there.
fn in_cluster(secret: &str, key: String, facts: &Facts) -> TokenSecret {
    match secret.split_once('/') {
        Some((namespace, name)) if namespace != facts.runtime.namespace.get_ref().as_str() => {
            let source = Source::Secret { namespace: namespace.to_owned(), name: name.to_owned(), key: key.clone() };
            TokenSecret { name: name.to_owned(), key, copied_from: Some(source) }
        }
        Some((_, name)) => TokenSecret { name: name.to_owned(), key, copied_from: None },
        None => TokenSecret { name: secret.to_owned(), key, copied_from: None },
    }
}
