//! Which nodes a node selector picks, as node affinity reads it.

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
    let field = |key: &str| (key == "metadata.name").then_some(node.name.as_str()).or(Some(""));
    term.match_expressions.iter().all(|requirement| holds(requirement, label(&requirement.key)))
        && term.match_fields.iter().all(|requirement| holds(requirement, field(&requirement.key)))
}

fn holds(requirement: &NodeRequirement, value: Option<&str>) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    let compared = |wanted: std::cmp::Ordering| {
        let operand = requirement.values.first().and_then(|text| number(text));
        matches!((value.and_then(number), operand), (Some(value), Some(operand)) if value.cmp(&operand) == wanted)
    };
    let listed = || value.is_some_and(|value| requirement.values.iter().any(|wanted| wanted == value));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(std::cmp::Ordering::Greater),
        "Lt" => compared(std::cmp::Ordering::Less),
        _ => false,
    }
}
