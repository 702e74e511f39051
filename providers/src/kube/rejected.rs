//! Tells from a server's words whether what it doesn't let in might be let in later.

/// What stands in messages that reject for good: quota, limits, pod security, and webhooks that say no.
const FOR_GOOD: [&str; 5] =
    ["exceeded quota", "denied the request", "violates podsecurity", "is forbidden", "is invalid"];

/// What stands in those that may heal, whatever else they say: something isn't there yet, or didn't answer.
const FOR_NOW: [&str; 7] = [
    "failed calling webhook",
    "looking up service account",
    "status unknown for quota",
    "timed out",
    "timeout",
    "not yet ready to handle request",
    "object has been modified",
];

/// Whether what was rejected with these words will be rejected again until someone helps.
pub fn for_good(message: &str) -> bool {
    let message = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
    has(&FOR_GOOD) && !has(&FOR_NOW)
}

/// A webhook that was asked and didn't answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The webhook, as its configuration names it.
    pub webhook: String,
    /// The Service behind it, as `NAMESPACE/NAME`; empty where it is an address outside of the cluster.
    pub service: String,
    /// Why there was no answer.
    pub why: String,
}

impl Unanswered {
    /// Finds in a server's words that a webhook didn't answer.
    pub fn of(message: &str) -> Option<Self> {
        let (_, rest) = message.split_once("failed calling webhook \"")?;
        let (webhook, rest) = rest.split_once('"')?;
        let (url, why) = match rest.split_once("Post \"").and_then(|(_, rest)| rest.split_once("\": ")) {
            Some((url, why)) => (url, why),
            None => ("", rest.trim_start_matches([':', ' '])),
        };
        let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', ':', '?']).next()).unwrap_or_default();
        let service = host.strip_suffix(".svc").and_then(|name| name.split_once('.'));
        let service = service.map(|(name, namespace)| format!("{namespace}/{name}")).unwrap_or_default();
        Some(Self { webhook: webhook.to_owned(), service, why: why.to_owned() })
    }

    /// What is the matter, in one sentence.
    pub fn told(&self) -> String {
        let Self { webhook, service, why } = self;
        let behind = if service.is_empty() { String::new() } else { format!(" of Service {service}") };
        format!("webhook {webhook}{behind} doesn't answer: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_and_admission_reject_for_good_and_what_is_missing_for_now() {
        let table = [
            (r#"pods "a-x" is forbidden: exceeded quota: few, requested: pods=1, used: pods=0, limited: pods=0"#, true),
            (r#"admission webhook "policy.example.com" denied the request: no privileged pods"#, true),
            (r#"pods "a-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true"#, true),
            (r#"pods "a-x" is forbidden: [maximum cpu usage per Container is 1, but limit is 2]"#, true),
            (r#"Pod "a-x" is invalid: spec.containers[0].resources: Invalid value"#, true),
            (r#"pods "a-x" is forbidden: error looking up service account n/a: serviceaccount "a" not found"#, false),
            (r#"pods "a-x" is forbidden: status unknown for quota: few"#, false),
            (
                r#"Internal error occurred: failed calling webhook "w": failed to call webhook: Post "https://a.n.svc:443/": denied the request"#,
                false,
            ),
            ("Timeout: request did not complete within requested timeout", false),
            ("", false),
        ];
        for (message, expected) in table {
            assert_eq!(for_good(message), expected, "{message}");
        }
    }

    #[test]
    fn a_webhook_without_an_answer_is_named_with_its_service() {
        let said = |post: &str| {
            format!(r#"Internal error occurred: failed calling webhook "v.a.io": failed to call webhook: Post "{post}"#)
        };
        let table = [
            (
                said(r#"https://hook.infra.svc:443/check?timeout=10s": no endpoints available for service "hook""#),
                r#"webhook v.a.io of Service infra/hook doesn't answer: no endpoints available for service "hook""#,
            ),
            (
                said(r#"https://hook.infra.svc:8443/": dial tcp 10.0.0.1:443: connect: connection refused"#),
                "webhook v.a.io of Service infra/hook doesn't answer: dial tcp 10.0.0.1:443: connect: connection refused",
            ),
            (
                said(r#"https://example.com/x": tls: failed to verify certificate: x509: unknown authority"#),
                "webhook v.a.io doesn't answer: tls: failed to verify certificate: x509: unknown authority",
            ),
            (r#"failed calling webhook "v.a.io": no"#.to_owned(), "webhook v.a.io doesn't answer: no"),
        ];
        for (message, told) in table {
            assert_eq!(Unanswered::of(&message).map(|webhook| webhook.told()).as_deref(), Some(told), "{message}");
        }
        assert_eq!(Unanswered::of(r#"admission webhook "v.a.io" denied the request"#), None);
        assert_eq!(Unanswered::of(r#"failed calling webhook "v.a.io"#), None);
    }
}
