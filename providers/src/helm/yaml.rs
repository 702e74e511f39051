//! YAML text to JSON values, read as Kubernetes' own tools read it.

use serde::de::DeserializeOwned;
use serde_saphyr::Options;
use serde_saphyr::options::{AliasLimits, DuplicateKeyPolicy};

/// What is wrong with a YAML text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct YamlFault {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// What the parser says.
    pub what: String,
}

/// How a key that stands twice in one map is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twice {
    /// It is refused: people who write a file want to know.
    Refused,
    /// The later one counts, as in helm and the API server's clients.
    LastCounts,
}

/// Reads all documents of a text; empty ones are left out.
pub(crate) fn documents<T: DeserializeOwned>(text: &str, twice: Twice) -> Result<Vec<T>, YamlFault> {
    serde_saphyr::from_multiple_with_options(text, options(twice)).map_err(|error| fault(&error))
}

fn options(twice: Twice) -> Options {
    // A chart's largest documents are custom resource definitions of a few megabytes; what is far larger is refused.
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        duplicate_keys: match twice {
            Twice::Refused => DuplicateKeyPolicy::Error,
            Twice::LastCounts => DuplicateKeyPolicy::LastWins,
        },
        alias_limits: limits(),
        budget: serde_saphyr::budget! { max_documents: 10_000, max_nodes: 2_000_000, max_events: 8_000_000 },
    }
}

fn limits() -> AliasLimits {
    serde_saphyr::alias_limits! { max_total_replayed_events: 250_000 }
}

fn fault(error: &serde_saphyr::Error) -> YamlFault {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let text = error.to_string();
    let what = text.lines().next().unwrap_or_default();
    let what = what.strip_prefix(&format!("error: line {line} column {column}: ")).unwrap_or(what);
    let what = what.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(what);
    // The parser advises those who call it; who writes the text can't follow that.
    let what = what.split_once(", set DuplicateKeyPolicy").map_or(what, |(what, _)| what);
    YamlFault { line, column, what: what.trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn documents(text: &str, twice: Twice) -> Result<Vec<Value>, YamlFault> {
        super::documents(text, twice)
    }

    #[test]
    fn words_numbers_and_keys_are_read_as_kubernetes_reads_them() {
        for (text, value) in [
            ("a: on", json!({"a": true})),
            ("a: 0644", json!({"a": 420})),
            ("a: 0o644", json!({"a": 420})),
            ("a: '0644'", json!({"a": "0644"})),
            ("1: x\ntrue: w\n1.5: z", json!({"1": "x", "true": "w", "1.5": "z"})),
            ("base: &b {x: 1}\nuse: {<<: *b, y: 2}", json!({"base": {"x": 1}, "use": {"x": 1, "y": 2}})),
        ] {
            assert_eq!(documents(text, Twice::Refused).unwrap(), [value], "{text}");
        }
    }

    #[test]
    fn empty_documents_are_left_out() {
        assert_eq!(documents("---\n# nothing\n---\na: 1\n---\n", Twice::Refused).unwrap(), [json!({"a": 1})]);
        assert!(documents("", Twice::Refused).unwrap().is_empty());
    }

    #[test]
    fn a_key_given_twice_is_refused_or_the_later_counts() {
        let text = "a: 1\na: 2";
        assert_eq!(documents(text, Twice::LastCounts).unwrap(), [json!({"a": 2})]);
        assert_eq!(documents(text, Twice::Refused).unwrap_err().line, 2);
    }

    #[test]
    fn a_fault_tells_line_and_cause_without_repeating_the_text() {
        let fault = documents("a: 1\nb: [1\nsecret: x", Twice::Refused).unwrap_err();
        assert!(fault.line >= 2 && !fault.what.contains("secret"), "{fault}");
    }

    #[test]
    fn a_text_that_unfolds_without_end_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let earlier = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{earlier}]\n"));
        }
        assert!(documents(&text, Twice::Refused).is_err());
        assert!(documents(&"[".repeat(100_000), Twice::Refused).is_err());
    }
}
