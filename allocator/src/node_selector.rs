//! Which nodes a node selector matches, as node affinity reads it.

use std::fmt::Write;

use api::hub::{NodeRequirement, NodeSelector, NodeSelectorTerm};
pub use api::node_selector::matches;

const OPERATORS: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

/// Checks that a selector can be used at all.
///
/// # Errors
/// What cannot be parsed, after the text of the whole selector.
pub fn check(selector: &NodeSelector) -> Result<(), String> {
    let mut problems = Vec::new();
    for (index, term) in selector.terms.iter().enumerate() {
        let path = format!("nodeSelectorTerms[{index}]");
        for (index, requirement) in term.match_expressions.iter().enumerate() {
            problems.extend(label_problem(&format!("{path}.matchExpressions[{index}]"), requirement));
        }
        for (index, requirement) in term.match_fields.iter().enumerate() {
            problems.extend(field_problem(&format!("{path}.matchFields[{index}]"), requirement));
        }
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(format!("failed to parse node selector {}: {}", text(selector), problems[0])),
        _ => Err(format!("failed to parse node selector {}: [{}]", text(selector), problems.join(", "))),
    }
}

fn label_problem(path: &str, requirement: &NodeRequirement) -> Option<String> {
    let values = &requirement.values;
    let invalid = |message: &str| Some(format!("{path}.values: Invalid value: [{}]: {message}", quoted(values)));
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => invalid("for 'in', 'notin' operators, values set can't be empty"),
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            invalid("values set must be empty for exists and does not exist")
        }
        "Gt" | "Lt" if values.len() != 1 => invalid("for 'Gt', 'Lt' operators, exactly one value is required"),
        "Gt" | "Lt" if values[0].parse::<i64>().is_err() => {
            let value = quoted(values);
            Some(format!(
                "{path}.values[0]: Invalid value: {value}: for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        }
        operator if OPERATORS.contains(&operator) => None,
        operator => Some(format!(
            "{path}.operator: Unsupported value: \"{operator}\": supported values: \"DoesNotExist\", \"Exists\", \
             \"Gt\", \"In\", \"Lt\", \"NotIn\""
        )),
    }
}

fn field_problem(path: &str, requirement: &NodeRequirement) -> Option<String> {
    match requirement.operator.as_str() {
        "In" | "NotIn" if requirement.values.len() == 1 => None,
        "In" | "NotIn" => {
            let values = quoted(&requirement.values);
            Some(format!("{path}.values: Invalid value: [{values}]: must have one element"))
        }
        operator => {
            Some(format!("{path}.operator: Unsupported value: \"{operator}\": supported values: \"In\", \"NotIn\""))
        }
    }
}

fn quoted(values: &[String]) -> String {
    values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(", ")
}

/// The selector as Go prints a protobuf message.
fn text(selector: &NodeSelector) -> String {
    let mut out = String::from("&NodeSelector{NodeSelectorTerms:[]NodeSelectorTerm{");
    for term in &selector.terms {
        out.push_str("NodeSelectorTerm{MatchExpressions:");
        requirements_text(&mut out, &term.match_expressions);
        out.push_str("MatchFields:");
        requirements_text(&mut out, &term.match_fields);
        out.push_str("},");
    }
    out.push_str("},}");
    out
}

fn requirements_text(out: &mut String, requirements: &[NodeRequirement]) {
    out.push_str("[]NodeSelectorRequirement{");
    for NodeRequirement { key, operator, values } in requirements {
        let values = values.join(" ");
        let _ = write!(out, "NodeSelectorRequirement{{Key:{key},Operator:{operator},Values:[{values}],}},");
    }
    out.push_str("},");
}

/// True when both require the same: key, operator and set of values.
pub(crate) fn same_requirement(a: &NodeRequirement, b: &NodeRequirement) -> bool {
    let covers = |a: &NodeRequirement, b: &NodeRequirement| a.values.iter().all(|value| b.values.contains(value));
    a.key == b.key && a.operator == b.operator && covers(a, b) && covers(b, a)
}

/// The selector that matches the node of one name.
pub(crate) fn only(node: &str) -> NodeSelector {
    NodeSelector {
        terms: vec![NodeSelectorTerm {
            match_expressions: Vec::new(),
            match_fields: vec![NodeRequirement {
                key: "metadata.name".to_owned(),
                operator: "In".to_owned(),
                values: vec![node.to_owned()],
            }],
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::hub::Node;

    fn requirement(key: &str, operator: &str, values: &[&str]) -> NodeRequirement {
        NodeRequirement {
            key: key.into(),
            operator: operator.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn expressions(requirements: &[NodeRequirement]) -> NodeSelector {
        let term = NodeSelectorTerm { match_expressions: requirements.to_vec(), match_fields: Vec::new() };
        NodeSelector { terms: vec![term] }
    }

    #[test]
    fn operators_match_as_node_affinity_does() {
        let labels = [("zone", "a"), ("cpus", "16")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let node = Node { name: "node-1".into(), labels };
        for (key, operator, values, expected) in [
            ("zone", "In", &["a", "b"][..], true),
            ("zone", "In", &["b"], false),
            ("zone", "NotIn", &["b"], true),
            ("absent", "NotIn", &["b"], true),
            ("absent", "In", &["b"], false),
            ("zone", "Exists", &[], true),
            ("absent", "DoesNotExist", &[], true),
            ("cpus", "Gt", &["8"], true),
            ("cpus", "Gt", &["16"], false),
            ("cpus", "Lt", &["17"], true),
            ("zone", "Lt", &["17"], false),
        ] {
            let selector = expressions(&[requirement(key, operator, values)]);
            assert_eq!(check(&selector), Ok(()));
            assert_eq!(matches(&selector, &node), expected, "{key} {operator} {values:?}");
        }
        assert!(!matches(&NodeSelector::default(), &node));
        assert!(!matches(&expressions(&[]), &node));
        assert!(matches(&only("node-1"), &node));
        assert!(!matches(&only("node-2"), &node));
    }

    #[test]
    fn broken_selectors_are_explained() {
        let broken = expressions(&[requirement("zone", "Near", &["a"])]);
        assert_eq!(
            check(&broken).unwrap_err(),
            "failed to parse node selector &NodeSelector{NodeSelectorTerms:[]NodeSelectorTerm{NodeSelectorTerm{\
             MatchExpressions:[]NodeSelectorRequirement{NodeSelectorRequirement{Key:zone,Operator:Near,Values:[a],},},\
             MatchFields:[]NodeSelectorRequirement{},},},}: nodeSelectorTerms[0].matchExpressions[0].operator: \
             Unsupported value: \"Near\": supported values: \"DoesNotExist\", \"Exists\", \"Gt\", \"In\", \"Lt\", \
             \"NotIn\""
        );
        assert!(check(&expressions(&[requirement("zone", "In", &[])])).is_err());
        assert!(check(&expressions(&[requirement("zone", "Gt", &["x"])])).is_err());
    }
}
