//! Whether a pod may be on a node: selectors, affinity, taints.

use api::node_selector::Place;
use machinery::meta;
use serde_json::Value;

/// Whether a toleration is about a taint.
pub(crate) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let (effect, key, value) = (text(toleration, "effect"), text(toleration, "key"), text(toleration, "value"));
    let same = |one: &str, member: &str| one.is_empty() || one == text(taint, member);
    if !same(&effect, "effect") || !same(&key, "key") {
        return false;
    }
    let of_taint = text(taint, "value");
    let numbers = || Some((of_taint.parse::<i64>().ok()?, value.parse::<i64>().ok()?));
    match toleration["operator"].as_str().unwrap_or_default() {
        "" | "Equal" => value == of_taint,
        "Exists" => true,
        "Lt" => numbers().is_some_and(|(taint, bound)| taint < bound),
        "Gt" => numbers().is_some_and(|(taint, bound)| taint > bound),
        _ => false,
    }
}

/// The items of a list in a document.
pub(crate) fn list<'a>(document: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    document.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The first taint of a node with one of these effects that a pod does not tolerate.
pub(crate) fn untolerated<'a>(pod: &Value, node: &'a Value, effects: &[&str]) -> Option<&'a Value> {
    list(node, "/spec/taints")
        .filter(|taint| effects.iter().any(|effect| taint["effect"] == **effect))
        .find(|taint| !list(pod, "/spec/tolerations").any(|toleration| tolerates(toleration, taint)))
}

/// Whether the node is one that the pod asks for, by `nodeSelector` and required affinity.
pub(crate) fn is_wanted(pod: &Value, node: &Value) -> bool {
    Place { name: meta::name(node), label: &|key| meta::label(node, key) }.suits(&pod["spec"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn taints_are_tolerated_by_key_value_and_effect() {
        let taint = json!({"key": "k", "value": "5", "effect": "NoSchedule"});
        let table = [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "k", "value": "5"}), true),
            (json!({"key": "k", "operator": "Equal", "value": "6"}), false),
            (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"key": "k", "operator": "Lt", "value": "6"}), true),
            (json!({"key": "k", "operator": "Gt", "value": "6"}), false),
        ];
        for (toleration, expected) in table {
            assert_eq!(tolerates(&toleration, &taint), expected, "{toleration}");
        }
    }

    #[test]
    fn nodes_are_asked_for_by_label_and_name() {
        let node = json!({"metadata": {"name": "a", "labels": {"zone": "z", "size": "4"}}});
        let affinity = |terms: Value| {
            json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": terms}}}}})
        };
        assert!(is_wanted(&json!({"spec": {}}), &node));
        assert!(!is_wanted(&json!({"spec": {"nodeSelector": {"zone": "y"}}}), &node));
        let field = |name: &str| json!({"key": "metadata.name", "operator": "In", "values": [name]});
        assert!(is_wanted(&affinity(json!([{"matchFields": [field("b")]}, {"matchFields": [field("a")]}])), &node));
        assert!(!is_wanted(&affinity(json!([{}])), &node));
        let label = json!({"key": "size", "operator": "Gt", "values": ["3"]});
        assert!(is_wanted(&affinity(json!([{"matchExpressions": [label], "matchFields": [field("a")]}])), &node));
    }
}
