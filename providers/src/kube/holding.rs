//! Tells from a live object what holds its deletion.

use serde_json::Value;

use super::said::line;

/// What a deletion that has begun still waits for, and what keeps the server from going on with it.
pub(crate) fn holding(live: &Value) -> String {
    let listed = |pointer: &str| {
        let items = live.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(line).collect::<Vec<_>>()
    };
    let finalizers = [listed("/metadata/finalizers"), listed("/spec/finalizers")].concat().join(", ");
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let details: Vec<String> = conditions
        .filter(|condition| condition["status"] == "True" && condition["type"].as_str().is_some_and(holds))
        .filter_map(|condition| condition["message"].as_str().map(line))
        .collect();
    match (finalizers.is_empty(), details.is_empty()) {
        (_, false) => format!("it is being deleted: {}", details.join("; ")),
        (false, true) => format!("it is being deleted, held by {finalizers}"),
        (true, true) => "it is being deleted".to_owned(),
    }
}

/// What remains in a namespace, or why that can't be found out or deleted.
fn holds(condition: &str) -> bool {
    condition.ends_with("Remaining") || (condition.starts_with("NamespaceDeletion") && condition.ends_with("Failure"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deletion_is_held_by_finalizers_or_by_what_a_namespace_still_holds() {
        let condition =
            |name: &str, status: &str, message: &str| json!({"type": name, "status": status, "message": message});
        let namespace =
            |conditions: Value| json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"conditions": conditions}});
        let table = [
            (json!({}), "it is being deleted"),
            (json!({"metadata": {"finalizers": ["a.io/b", "c"]}}), "it is being deleted, held by a.io/b, c"),
            (namespace(json!([])), "it is being deleted, held by kubernetes"),
            (
                namespace(json!([
                    condition("NamespaceDeletionDiscoveryFailure", "True", "a.io/v1: stale GroupVersion discovery"),
                    condition("NamespaceDeletionContentFailure", "False", "All content successfully deleted"),
                    condition("NamespaceContentRemaining", "True", "configmaps. has 1 resource instances"),
                    condition("NamespaceFinalizersRemaining", "True", "a.io/b in 1\nresource instances"),
                ])),
                "it is being deleted: a.io/v1: stale GroupVersion discovery; configmaps. has 1 resource instances; \
                 a.io/b in 1 resource instances",
            ),
        ];
        for (live, expected) in table {
            assert_eq!(holding(&live), expected);
        }
    }
}
