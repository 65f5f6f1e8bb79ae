//! Which nodes a node selector picks, as node affinity reads it: of the hub's selectors, and of documents.

use serde_json::Value;

use crate::hub::{Node, NodeRequirement, NodeSelector, NodeSelectorTerm};

/// True when a term matches the node. A selector without terms, and a term without requirements, match nothing.
pub fn matches(selector: &NodeSelector, node: &Node) -> bool {
    selector.terms.iter().any(|term| term_matches(term, node))
}

fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    if term.match_expressions.is_empty() && term.match_fields.is_empty() {
        return false;
    }
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    let holds = |requirement: &NodeRequirement, value: Option<&str>| {
        holds(&requirement.operator, requirement.values.iter().map(String::as_str), value)
    };
    term.match_expressions.iter().all(|requirement| holds(requirement, label(&requirement.key)))
        && term.match_fields.iter().all(|requirement| holds(requirement, field(&requirement.key, &node.name)))
}

fn field<'a>(key: &str, name: &'a str) -> Option<&'a str> {
    if key == "metadata.name" { Some(name) } else { Some("") }
}

fn holds<'a>(operator: &str, mut values: impl Iterator<Item = &'a str>, value: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    match operator {
        "In" => value.is_some_and(|value| values.any(|wanted| wanted == value)),
        "NotIn" => value.is_none_or(|value| values.all(|wanted| wanted != value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" | "Lt" => {
            let numbers = value.and_then(number).zip(values.next().and_then(number));
            numbers.is_some_and(|(value, bound)| if operator == "Gt" { value > bound } else { value < bound })
        }
        _ => false,
    }
}

/// A node as selectors in documents look at it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// Finds a label.
    pub label: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Place<'_> {
    /// Whether `nodeSelector` and required node affinity of a pod's `spec` let it on the node.
    pub fn suits(&self, spec: &Value) -> bool {
        let selector = spec["nodeSelector"].as_object();
        let labels_match = selector.into_iter().flatten().all(|(key, value)| (self.label)(key) == value.as_str());
        let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        labels_match && (required.is_null() || self.is_selected(required))
    }

    /// Whether a core/v1 NodeSelector picks the node.
    pub fn is_selected(&self, selector: &Value) -> bool {
        list(selector, "nodeSelectorTerms").any(|term| self.meets(term))
    }

    /// Whether the node meets a core/v1 NodeSelectorTerm. One without requirements is met by none.
    pub fn meets(&self, term: &Value) -> bool {
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        let holds = |one: &Value, value: Option<&str>| {
            holds(&text(&one["operator"]), list(one, "values").filter_map(Value::as_str), value)
        };
        let of_label = list(term, "matchExpressions").map(|one| holds(one, (self.label)(&text(&one["key"]))));
        let of_field = list(term, "matchFields").map(|one| holds(one, field(&text(&one["key"]), self.name)));
        let mut met = of_label.chain(of_field).peekable();
        met.peek().is_some() && met.all(|met| met)
    }
}

fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn terms_are_met_by_labels_and_by_name() {
        let labels = [("zone", "a"), ("cpus", "16")];
        let label = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let place = Place { name: "n", label: &label };
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (term, expected) in [
            (expression("zone", "In", &["a", "b"]), true),
            (expression("zone", "NotIn", &["a"]), false),
            (expression("absent", "NotIn", &["a"]), true),
            (expression("absent", "DoesNotExist", &[]), true),
            (expression("cpus", "Gt", &["15"]), true),
            (expression("cpus", "Lt", &["16"]), false),
            (expression("zone", "Gt", &["1"]), false),
            (expression("zone", "Odd", &["a"]), false),
            (json!({}), false),
            (json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}), true),
            (json!({"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n"]}]}), false),
        ] {
            assert_eq!(place.meets(&term), expected, "{term}");
            let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
            assert_eq!(place.suits(&json!({"affinity": {"nodeAffinity": required}})), expected);
        }
        assert!(place.suits(&json!({})) && place.suits(&json!({"nodeSelector": {"zone": "a"}})));
        assert!(!place.suits(&json!({"nodeSelector": {"zone": "b"}})));
    }
}
