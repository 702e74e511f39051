//! The table `[platform]`: which Codefresh account the runtime belongs to, and where its token is found.

use cfrt_engine::desired::DesiredState;
use cfrt_engine::facts::Facts;
use cfrt_engine::source::{Mistake, Mistakes, Span};
use serde::Deserialize;
use toml::Spanned;
use toml::de::DeValue;

use crate::secrets::Source;

/// The Secret that a token from outside the cluster becomes.
const OWN_SECRET: &str = "cfrt-platform-token";

/// The key under which a token lies where the file doesn't say.
const DEFAULT_KEY: &str = "token";

/// The keys of a token's place.
const KEYS: [&str; 4] = ["secret", "key", "env", "file"];

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
#[serde(deny_unknown_fields)]
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

/// How the place of a token is written.
pub(crate) const PLACES: &str = "say where it is: { env = \"…\" }, { file = \"…\" } or { secret = \"…\", key = \"…\" }";

/// Reads the table; nothing where the file has none.
///
/// # Errors
///
/// Whatever the table may not say. A token that stands in the file is not shown.
pub fn platform(desired: &DesiredState<'_>) -> Result<Option<Platform>, Mistakes> {
    let Some(token) = desired.value(&["platform", "token"]) else { return desired.table("platform") };
    if let DeValue::Table(places) = token.get_ref() {
        let strange = places.iter().filter(|(key, _)| !KEYS.contains(&key.get_ref().as_ref()));
        let hidden: Vec<Span> = strange.map(|(_, value)| value.span()).collect();
        let hiding = |mistake: Mistake| mistake.hiding(hidden.clone());
        return desired.table("platform").map_err(|Mistakes(found)| Mistakes(found.into_iter().map(hiding).collect()));
    }
    Err(in_the_file(token.span()).into())
}

/// That a token stands in the file itself.
pub(crate) fn in_the_file(at: Span) -> Mistake {
    Mistake::new(at.clone(), "a token does not belong into this file").label(PLACES).hiding([at])
}

impl Platform {
    /// The Secret that has the token, if the file says where the token is.
    ///
    /// # Errors
    ///
    /// A token from two places, from none, or from one that can't be.
    pub fn token_secret(&self, desired: &DesiredState<'_>, facts: &Facts) -> Result<Option<TokenSecret>, Mistakes> {
        let Some(token) = &self.token else { return Ok(None) };
        let key = token.get_ref().key.clone().unwrap_or_else(|| DEFAULT_KEY.to_owned());
        let own = |source| TokenSecret { name: OWN_SECRET.to_owned(), key: key.clone(), copied_from: Some(source) };
        let place = |key| desired.place(&["platform", "token", key]).unwrap_or_else(|| token.span());
        let Token { secret, env, file, key: _ } = token.get_ref();
        let found = match (secret, env, file) {
            (Some(secret), None, None) => in_cluster(secret, place("secret"), key, facts)?,
            (None, Some(variable), None) => own(Source::Env(variable_name(variable, place("env"))?)),
            (None, None, Some(path)) if path.is_empty() => {
                return Err(Mistake::new(place("file"), "the path of the token's file is empty").into());
            }
            (None, None, Some(path)) => own(Source::File(desired.sources().folder_of(&token.span()).join(path))),
            _ => {
                let what = "a token comes from one place: `secret`, `env` or `file`";
                return Err(Mistake::new(token.span(), what).label("name exactly one").into());
            }
        };
        Ok(Some(found))
    }
}

/// A name that a shell can set; whatever else stands there may be the token itself.
fn variable_name(name: &str, at: Span) -> Result<String, Mistakes> {
    let fits = |name: &str| {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    };
    let bare = name.trim_start_matches('$').trim_matches(['{', '}']);
    let mistake = Mistake::new(at.clone(), "this is no name of an environment variable");
    match (fits(name), fits(bare)) {
        (true, _) => Ok(name.to_owned()),
        (false, true) => Err(mistake.label(format!("write `\"{bare}\"`")).into()),
        (false, false) => Err(mistake.label("letters, digits and underscores").hiding([at]).into()),
    }
}

/// `NAME` is a Secret of the runtime's own namespace; `NAMESPACE/NAME` is copied from there.
fn in_cluster(secret: &str, at: Span, key: String, facts: &Facts) -> Result<TokenSecret, Mistakes> {
    let fits = |name: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        !name.is_empty() && name.len() <= 253 && name.chars().all(fits)
    };
    let (namespace, name) = secret.split_once('/').map_or((None, secret), |(namespace, name)| (Some(namespace), name));
    if !fits(name) || !namespace.is_none_or(fits) {
        let hidden = (!secret.is_empty()).then(|| at.clone());
        let mistake = Mistake::new(at, "this is no name of a Secret").hiding(hidden);
        return Err(mistake.label("`NAME`, or `NAMESPACE/NAME` where it is copied from another namespace").into());
    }
    let elsewhere = namespace.filter(|namespace| *namespace != facts.runtime.namespace.get_ref().as_str());
    let copied_from = elsewhere.map(|namespace| Source::Secret {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        key: key.clone(),
    });
    Ok(TokenSecret { name: name.to_owned(), key, copied_from })
}
