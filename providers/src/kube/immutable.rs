//! What an API server says of fields that stay as they were made, against everything else that it calls invalid.

/// What the server says where a field can't change, whatever its new value is (kube-apiserver 1.34; each shown by a scenario or
/// taken from the validation of its kind). A word that it may say of a value that is just wrong does not belong here.
const SAYINGS: [&str; 10] = [
    // Selectors, a Job's template, scopes, a Secret's type, an IngressClass' controller; ConfigMaps and Secrets that say so.
    "field is immutable",
    // A Service's clusterIP.
    "may not change once set",
    // A Binding's role.
    "cannot change roleRef",
    // A StatefulSet but for its replicas, template and strategy.
    "updates to statefulset spec for fields other than",
    // A PersistentVolumeClaim but for its size.
    "spec is immutable after creation",
    // A Pod but for its images.
    "pod updates may not change fields other than",
    // A PriorityClass' value.
    "may not be changed in an update",
    // A StorageClass.
    "updates to provisioner are forbidden",
    "updates to parameters are forbidden",
    "updates to reclaimPolicy are forbidden",
];

/// Whether the server says of a field that it stays as it was made.
pub(crate) fn is_immutable(message: &str) -> bool {
    SAYINGS.iter().any(|saying| message.contains(saying))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_change_is_told_from_what_is_wrong() {
        let immutable = [
            r#"Invalid value: {"matchLabels":{"app":"b"}}: field is immutable"#,
            "Forbidden: field is immutable when `immutable` is set",
            r#"Invalid value: ["10.0.0.9"]: may not change once set"#,
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template' are forbidden",
        ];
        assert!(immutable.iter().all(|message| is_immutable(message)));
        let wrong = [
            "Invalid value: -1: must be greater than or equal to 0",
            "Required value: a selector is needed",
            r#"Invalid value: "10.96.0.1": failed to allocate IP 10.96.0.1: provided IP is already allocated"#,
            "Forbidden: may not be specified when `value` is not empty",
        ];
        assert!(!wrong.iter().any(|message| is_immutable(message)));
    }
}
