//! What a server says of a request that it didn't carry out, in words that are fit to be told.

use serde::Deserialize;

use super::client::ApiError;
use super::immutable::is_immutable;

/// A longer value isn't repeated when the server refuses it.
const LONGEST_VALUE: usize = 60;

/// How many characters are repeated of an answer that isn't an API server's.
const LONGEST_PAGE: usize = 200;

/// How many characters are repeated of what an API server says.
const LONGEST_MESSAGE: usize = 4000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    reason: String,
    message: String,
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Option<Vec<Cause>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    message: String,
    field: String,
}

/// The server's own words where it has some; proxies answer with pages of HTML.
pub(super) fn refusal(code: u16, body: &[u8]) -> ApiError {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if !status.message.is_empty() => {
            let message = shortened(without_raw_values(&without_large_values(&status)));
            match immutable(&status) {
                Some(fields) if code == 422 => ApiError::Immutable { fields, message },
                Some(_) | None => ApiError::of_status(code, status.reason, message),
            }
        }
        Ok(_) | Err(_) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(LONGEST_PAGE * 4)]);
            let text: String = text.chars().take(LONGEST_PAGE).collect();
            ApiError::Status { code, reason: String::new(), message: format!("HTTP {code}: {}", text.trim()) }
        }
    }
}

/// The fields of a refusal, where it is about nothing but fields that stay as they were made.
fn immutable(status: &Status) -> Option<Vec<String>> {
    let causes = status.details.as_ref()?.causes.as_deref().filter(|causes| !causes.is_empty())?;
    let is_about_it = causes.iter().all(|cause| is_immutable(&cause.message));
    is_about_it.then(|| causes.iter().map(|cause| cause.field.clone()).collect())
}

/// An apply that has a value of the wrong type is refused with that value, which no one has marked as a secret: a password may be
/// a number where a text is wanted.
fn without_raw_values(message: &str) -> String {
    let mut parts = message.split(RAW);
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut depth = 1_usize;
        let end = part.char_indices().find(|(_, sign)| {
            depth = match sign {
                '{' => depth.saturating_add(1),
                '}' => depth.saturating_sub(1),
                _ => depth,
            };
            depth == 0
        });
        told.push_str("another one");
        told.push_str(end.map_or("", |(place, _)| &part[place + 1..]));
    }
    told
}

/// How a server begins to repeat such a value.
const RAW: &str = "&value.valueUnstructured{Value:";

/// No one reads more of it, and it is kept with each step that it is about.
fn shortened(mut message: String) -> String {
    if let Some((place, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(place);
        message.push('…');
    }
    message
}

/// A server repeats what it refuses, which can be a whole pod with the secrets in it; the field and the reason are enough.
fn without_large_values(status: &Status) -> String {
    let causes = status.details.as_ref().and_then(|details| details.causes.as_deref()).unwrap_or_default();
    let Some((about, _)) = status.message.split_once(" is invalid: ").filter(|_| !causes.is_empty()) else {
        return status.message.clone();
    };
    let short = |cause: &Cause| {
        let value = cause.message.strip_prefix("Invalid value: ").and_then(|rest| rest.rsplit_once(": "));
        let reason =
            value.filter(|(value, _)| value.len() > LONGEST_VALUE).map_or(cause.message.as_str(), |(_, why)| why);
        format!("{}: {reason}", cause.field)
    };
    format!("{about} is invalid: {}", causes.iter().map(short).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        let table = [
            (
                ".data.a: expected string, got &value.valueUnstructured{Value:443311}",
                ".data.a: expected string, got another one",
            ),
            (
                "a: got &value.valueUnstructured{Value:map[string]interface {}{\"x\":1}}; b: got &value.valueUnstructured{Value:7}, c",
                "a: got another one; b: got another one, c",
            ),
            ("a: got &value.valueUnstructured{Value:44", "a: got another one"),
            ("nothing of the kind", "nothing of the kind"),
        ];
        for (said, told) in table {
            assert_eq!(without_raw_values(said), told);
        }
    }
}
