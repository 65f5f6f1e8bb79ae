//! Where CEL rules stand in a schema, and which values they look at. Running them is the work of who knows CEL.

use machinery::field::Path;
use serde_json::Value;

use crate::{
    correlation::Correlation,
    tree::{Additional, ListType, Node, Schema, Type},
};

/// Is told every value that rules look at. False ends the walk.
pub type RuleVisitor<'v, 's> = dyn FnMut(&RuleValue<'_, 's>) -> bool + 'v;

/// A value that CEL rules look at.
#[derive(Clone, Debug)]
pub struct RuleValue<'v, 's> {
    /// Where it is in the object.
    pub path: Path,
    /// The schema there, whose [`Node::validations`] are the rules.
    pub node: Node<'s>,
    /// What is there.
    pub value: &'v Value,
    /// The old value it comes from.
    pub old: Option<&'v Value>,
    /// The value, or the nearest one around it, that has an old one; and that.
    compared: Option<(&'v Value, &'v Value)>,
}

impl RuleValue<'_, '_> {
    /// True when the value is part of what an update left as it was: failures of rules are then tolerated (ratcheting).
    pub fn is_unchanged(&self) -> bool {
        self.compared.is_some_and(|(new, old)| new == old)
    }
}

/// A place of a schema that has CEL rules.
#[derive(Clone, Debug)]
pub struct RuleSite<'s> {
    /// The schema there, whose [`Node::validations`] are the rules.
    pub node: Node<'s>,
    /// Where in the schema, below `openAPIV3Schema`: `properties[spec].items`.
    pub path: Path,
    /// How many values the rules may look at in one object; `None` when a list or map above has no limit.
    pub cardinality: Option<u64>,
    /// The part of the schema within which a value has no old value, so that `oldSelf` cannot be used: a list that is no list-map.
    /// `None` where it can be used.
    pub uncorrelatable: Option<Path>,
}

impl Schema {
    /// Every place with CEL rules, outer ones first.
    pub fn rule_sites(&self) -> Vec<RuleSite<'_>> {
        let mut sites = Vec::new();
        let root = RuleSite { node: self.root(), path: Path::root(), cardinality: Some(1), uncorrelatable: None };
        collect(root, 0, &mut sites);
        sites
    }
}

fn collect<'s>(site: RuleSite<'s>, depth: usize, sites: &mut Vec<RuleSite<'s>>) {
    // A CRD's schema is a tree; a schema of Rust types may refer to itself, and then has rules nowhere.
    if depth > machinery::limits::DOCUMENT_DEPTH_MAX || site.node.data().typed {
        return;
    }
    let node = site.node;
    if !node.validations().is_empty() {
        sites.push(site.clone());
    }
    let below = |path: Path, node: Node<'s>, correlatable: bool| RuleSite {
        node,
        path,
        cardinality: site.cardinality.zip(elements_max(site.node)).map(|(outer, inner)| outer.saturating_mul(inner)),
        uncorrelatable: site.uncorrelatable.clone().or_else(|| (!correlatable).then(|| site.path.clone())),
    };
    if let Some(items) = node.items() {
        let correlatable = matches!(node.list_type(), ListType::Map(_));
        collect(below(site.path.child("items"), items, correlatable), depth + 1, sites);
    }
    if let Additional::Schema(values) = node.additional() {
        collect(below(site.path.child("additionalProperties"), values, true), depth + 1, sites);
    }
    for (name, property) in node.properties() {
        collect(below(site.path.child("properties").key(name), property, true), depth + 1, sites);
    }
}

/// How often what is below a node can be there for each value of the node.
fn elements_max(node: Node<'_>) -> Option<u64> {
    match node.type_() {
        Type::Object if node.additional() != Additional::None => node.rules().and_then(|rules| rules.max_properties),
        Type::Array => node.rules().and_then(|rules| rules.max_items),
        _ => Some(1),
    }
}

impl<'s> Node<'s> {
    /// Calls `visit` with every value that CEL rules look at, its path, and the old value it comes from, outer ones first.
    /// Null values are left out: rules never see them.
    pub fn visit_rules(self, value: &Value, old: Option<&Value>, visit: &mut RuleVisitor<'_, 's>) {
        let old = old.filter(|old| !old.is_null());
        let compared = old.map(|old| (value, old));
        RuleValue { path: Path::root(), node: self, value, old, compared }.visit(visit);
    }
}

impl<'v, 's> RuleValue<'v, 's> {
    fn visit(&self, visit: &mut RuleVisitor<'_, 's>) -> bool {
        if self.value.is_null() || self.node.data().typed {
            return true;
        }
        if !self.node.validations().is_empty() && !visit(self) {
            return false;
        }
        match self.value {
            Value::Array(items) => {
                let Some(schema) = self.node.items() else { return true };
                let correlation = self.old.and_then(|old| Correlation::new(Some(old), self.node));
                items.iter().enumerate().all(|(at, item)| {
                    let old = correlation.as_ref().and_then(|correlation| correlation.find(item));
                    self.part(self.path.index(at), schema, item, old).visit(visit)
                })
            }
            Value::Object(members) => members.iter().all(|(name, member)| {
                let old = self.old.and_then(|old| old.get(name));
                match (self.node.property(name), self.node.additional()) {
                    (Some(property), _) => self.member(name, property, member, old).visit(visit),
                    (None, Additional::Schema(values)) => {
                        self.part(self.path.key(name), values, member, old).visit(visit)
                    }
                    (None, Additional::None | Additional::Any) => true,
                }
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }

    fn member(&self, name: &str, node: Node<'s>, value: &'v Value, old: Option<&'v Value>) -> Self {
        let mut member = self.part(self.path.child(name), node, value, old);
        // Both sides were converted to the same version, so that equality of what names it says nothing.
        if self.path == Path::root() && matches!(name, "apiVersion" | "kind") {
            member.compared = None;
        }
        member
    }

    fn part(&self, path: Path, node: Node<'s>, value: &'v Value, old: Option<&'v Value>) -> Self {
        let old = old.filter(|old| !old.is_null());
        Self { path, node, value, old, compared: old.map(|old| (value, old)).or(self.compared) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    fn schema() -> Schema {
        let rule = json!([{"rule": "true"}]);
        let item = json!({"type": "object", "properties": {"k": {"type": "string", "x-kubernetes-validations": rule}}});
        fixture::custom(&json!({"type": "object", "x-kubernetes-validations": rule, "properties": {
            "map": {"type": "object", "maxProperties": 5, "additionalProperties": {"type": "array", "maxItems": 3, "items": item}},
            "keyed": {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]},
            "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "integer", "x-kubernetes-validations": rule}}},
        }}))
    }

    #[test]
    fn sites_know_how_often_they_are_looked_at() {
        let schema = schema();
        let sites: Vec<_> = schema
            .rule_sites()
            .into_iter()
            .map(|site| {
                (
                    site.path.as_str().to_owned(),
                    site.cardinality,
                    site.uncorrelatable.map(|path| path.as_str().to_owned()),
                )
            })
            .collect();
        let text = str::to_owned;
        assert_eq!(
            sites,
            [
                (String::new(), Some(1), None),
                (text("properties[atomic].properties[a]"), Some(1), None),
                (text("properties[keyed].items.properties[k]"), None, None),
                (
                    text("properties[map].additionalProperties.items.properties[k]"),
                    Some(15),
                    Some(text("properties[map].additionalProperties"))
                ),
            ]
        );
    }

    #[test]
    fn values_come_with_what_they_were() {
        let schema = schema();
        let new =
            json!({"map": {"x": [{"k": "a"}]}, "keyed": [{"k": "b"}, {"k": "a"}, {"k": null}], "atomic": {"a": 2}});
        let old = json!({"map": {"x": [{"k": "a"}]}, "keyed": [{"k": "a"}], "atomic": {"a": 1}});
        let mut seen = Vec::new();
        schema.root().visit_rules(&new, Some(&old), &mut |at| {
            seen.push((at.path.as_str().to_owned(), at.old.is_some(), at.is_unchanged()));
            true
        });
        let expected = [
            ("", true, false),
            ("atomic.a", true, false),
            ("keyed[0].k", false, false),
            ("keyed[1].k", true, true),
            ("map[x][0].k", false, true),
        ];
        assert_eq!(seen, expected.map(|(path, old, unchanged)| (path.to_owned(), old, unchanged)));
        let mut count = 0;
        schema.root().visit_rules(&new, None, &mut |_| {
            count += 1;
            false
        });
        assert_eq!(count, 1);
    }
}
