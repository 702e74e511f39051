//! What an ignored test needs, as its reason says it: `#[ignore = "needs a control plane and helm"]`.

use std::collections::BTreeSet;
use std::fmt;

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Both major versions of helm, named by CFRT_HELM3 and CFRT_HELM4.
    Helm,
    /// A Kubernetes API server, named by KUBECONFIG; nothing needs to act on what it stores.
    ApiServer,
    /// An API server whose controllers run, so that a Deployment becomes available.
    ControlPlane,
    /// The API server's audit log, named by CFRT_AUDIT_LOG.
    AuditLog,
}

impl Need {
    const ALL: [Self; 4] = [Self::Helm, Self::ApiServer, Self::ControlPlane, Self::AuditLog];
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Helm => "helm",
            Self::ApiServer => "an API server",
            Self::ControlPlane => "a control plane",
            Self::AuditLog => "an audit log",
        })
    }
}

/// Reads the reason of an ignored test.
///
/// # Errors
///
/// A sentence on what the reason should look like.
pub(crate) fn parse(reason: &str) -> Result<BTreeSet<Need>, String> {
    let list = reason.strip_prefix("needs ").ok_or_else(|| format!("`{reason}` does not start with `needs `"))?;
    list.split(" and ").flat_map(|part| part.split(", ")).map(parse_one).collect()
}

fn parse_one(name: &str) -> Result<Need, String> {
    Need::ALL.into_iter().find(|need| need.to_string() == name).ok_or_else(|| {
        let known: Vec<String> = Need::ALL.iter().map(|need| format!("`{need}`")).collect();
        format!("nothing provides `{name}`; a test can need {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_one_need_or_several() {
        assert_eq!(parse("needs helm"), Ok(BTreeSet::from([Need::Helm])));
        let all = BTreeSet::from([Need::Helm, Need::ControlPlane, Need::AuditLog]);
        assert_eq!(parse("needs a control plane, an audit log and helm"), Ok(all));
    }

    #[test]
    fn a_reason_that_nothing_can_meet_is_refused() {
        assert_eq!(parse("slow"), Err("`slow` does not start with `needs `".to_owned()));
        let error = parse("needs helm and patience").expect_err("there is none");
        assert!(error.starts_with("nothing provides `patience`; a test can need `helm`, `an API server`"), "{error}");
    }
}
