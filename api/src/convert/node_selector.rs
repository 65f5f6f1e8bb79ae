//! `core/v1 NodeSelector`.

use serde_json::{Value, json};

use super::read::{Result, each, text, texts};
use crate::{
    hub::{NodeRequirement, NodeSelector, NodeSelectorTerm},
    members::put,
};

/// Reads a selector.
pub(super) fn read(selector: &Value) -> Result<NodeSelector> {
    let terms = each(selector, "nodeSelectorTerms", |term| {
        Ok(NodeSelectorTerm {
            match_expressions: each(term, "matchExpressions", requirement)?,
            match_fields: each(term, "matchFields", requirement)?,
        })
    })?;
    Ok(NodeSelector { terms })
}

fn requirement(requirement: &Value) -> Result<NodeRequirement> {
    Ok(NodeRequirement {
        key: text(requirement, "key")?,
        operator: text(requirement, "operator")?,
        values: texts(requirement, "values")?,
    })
}

/// Writes a selector.
pub(super) fn write(selector: &NodeSelector) -> Value {
    let terms: Vec<Value> = selector
        .terms
        .iter()
        .map(|term| {
            let mut written = json!({});
            for (name, requirements) in
                [("matchExpressions", &term.match_expressions), ("matchFields", &term.match_fields)]
            {
                let requirements: Vec<Value> = requirements.iter().map(requirement_json).collect();
                put(&mut written, name, (!requirements.is_empty()).then(|| requirements.into()));
            }
            written
        })
        .collect();
    json!({"nodeSelectorTerms": terms})
}

fn requirement_json(requirement: &NodeRequirement) -> Value {
    let mut written = json!({"key": requirement.key, "operator": requirement.operator});
    put(&mut written, "values", (!requirement.values.is_empty()).then(|| requirement.values.clone().into()));
    written
}

/// The selector of one node by its name.
pub(super) fn of_node(name: &str) -> NodeSelector {
    let requirement =
        NodeRequirement { key: "metadata.name".to_owned(), operator: "In".to_owned(), values: vec![name.to_owned()] };
    let term = NodeSelectorTerm { match_fields: vec![requirement], ..NodeSelectorTerm::default() };
    NodeSelector { terms: vec![term] }
}

/// The name of the node, where a selector is for one node by its name.
pub(super) fn node_of(selector: Option<&NodeSelector>) -> Option<&str> {
    let [term] = selector?.terms.as_slice() else { return None };
    let [field] = term.match_fields.as_slice() else { return None };
    let [name] = field.values.as_slice() else { return None };
    (term.match_expressions.is_empty() && field.key == "metadata.name" && field.operator == "In").then_some(name)
}
