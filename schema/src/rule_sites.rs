//! Where CEL rules stand in a schema, and which values they look at. Running them is the work of who knows CEL.

use machinery::field::Path;
use serde_json::Value;

use crate::{
    correlation::Correlation,
    tree::{Additional, ListType, MapType, Node, Schema, Type},
};

/// Is told a path, the schema there, the value there and the old value it comes from. False ends the walk.
pub type RuleVisitor<'v, 's> = dyn FnMut(&Path, Node<'s>, &Value, Option<&Value>) -> bool + 'v;

/// A place of a schema that has CEL rules.
#[derive(Clone, Debug)]
pub struct RuleSite<'s> {
    /// The schema there, whose [`Node::validations`] are the rules.
    pub node: Node<'s>,
    /// Where in the schema, below `openAPIV3Schema`: `properties[spec].items`.
    pub path: Path,
    /// How many values the rules may look at in one object; `None` when a list or map above has no limit.
    pub cardinality: Option<u64>,
    /// The part of the schema within which a value has no old value, so that `oldSelf` cannot be used: an atomic map, or a list
    /// that is no list-map. `None` where it can be used.
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
    let correlatable = node.map_type() != MapType::Atomic;
    for (name, property) in node.properties() {
        collect(below(site.path.child("properties").key(name), property, correlatable), depth + 1, sites);
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
        self.visit_below(&Path::root(), value, old.filter(|old| !old.is_null()), visit);
    }

    fn visit_below(self, path: &Path, value: &Value, old: Option<&Value>, visit: &mut RuleVisitor<'_, 's>) -> bool {
        if value.is_null() || self.data().typed {
            return true;
        }
        if !self.validations().is_empty() && !visit(path, self, value, old) {
            return false;
        }
        match value {
            Value::Array(items) => {
                let Some(schema) = self.items() else { return true };
                let correlation = Correlation::new(old, self);
                items.iter().enumerate().all(|(at, item)| {
                    let old = correlation.as_ref().and_then(|correlation| correlation.find(item));
                    schema.visit_below(&path.index(at), item, old.filter(|old| !old.is_null()), visit)
                })
            }
            Value::Object(members) => members.iter().all(|(name, member)| {
                let old = old.filter(|_| self.map_type() != MapType::Atomic).and_then(|old| old.get(name));
                let old = old.filter(|old| !old.is_null());
                match (self.property(name), self.additional()) {
                    (Some(property), _) => property.visit_below(&path.child(name), member, old, visit),
                    (None, Additional::Schema(values)) => values.visit_below(&path.key(name), member, old, visit),
                    (None, Additional::None | Additional::Any) => true,
                }
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
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
                (text("properties[atomic].properties[a]"), Some(1), Some(text("properties[atomic]"))),
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
        schema.root().visit_rules(&new, Some(&old), &mut |path, _, _, old| {
            seen.push((path.as_str().to_owned(), old.is_some()));
            true
        });
        let expected =
            [("", true), ("atomic.a", false), ("keyed[0].k", false), ("keyed[1].k", true), ("map[x][0].k", false)];
        assert_eq!(seen, expected.map(|(path, old)| (path.to_owned(), old)));
        let mut count = 0;
        schema.root().visit_rules(&new, None, &mut |_, _, _, _| {
            count += 1;
            false
        });
        assert_eq!(count, 1);
    }
}
