//! Fills in default values.

use serde_json::Value;

use crate::tree::{Additional, Node};

impl Node<'_> {
    /// Puts the declared defaults where a member is absent, or null and not nullable. Nulls that are neither allowed nor have
    /// a default are removed (apiextensions' defaulting does both, in this order).
    pub fn apply_defaults(self, value: &mut Value) {
        remove_nulls(value, self);
        self.fill_defaults(value);
    }

    /// Puts the declared defaults, and leaves other nulls to whoever checks the document.
    pub fn fill_defaults(self, value: &mut Value) {
        fill(value, self, 0);
    }
}

fn remove_nulls(value: &mut Value, node: Node<'_>) {
    match value {
        Value::Object(members) => {
            let is_gone =
                |schema: Node<'_>, member: &Value| member.is_null() && !schema.nullable() && schema.default().is_none();
            let mut some_are_gone = false;
            for (name, member) in members.iter_mut() {
                let Some(schema) = node.member(name) else { continue };
                some_are_gone |= is_gone(schema, member);
                remove_nulls(member, schema);
            }
            if some_are_gone {
                members.retain(|name, member| node.member(name).is_none_or(|schema| !is_gone(schema, member)));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = node.items() {
                items.iter_mut().for_each(|item| remove_nulls(item, schema));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill(value: &mut Value, node: Node<'_>, depth: usize) {
    if depth > machinery::limits::DOCUMENT_DEPTH_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, property) in node.properties() {
                let Some(default) = property.default() else { continue };
                let wanted = match members.get(name) {
                    None => true,
                    Some(member) => member.is_null() && !property.nullable(),
                };
                if wanted {
                    members.insert(name.to_owned(), default.clone());
                }
            }
            for (name, member) in members.iter_mut() {
                match (node.property(name), node.additional()) {
                    (Some(schema), _) => fill(member, schema, depth + 1),
                    (None, Additional::Schema(schema)) => fill_item(member, schema, depth + 1),
                    (None, Additional::None | Additional::Any) => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = node.items() {
                items.iter_mut().for_each(|item| fill_item(item, schema, depth + 1));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fill_item(item: &mut Value, schema: Node<'_>, depth: usize) {
    if item.is_null()
        && !schema.nullable()
        && let Some(default) = schema.default()
    {
        *item = default.clone();
    }
    fill(item, schema, depth);
}

#[cfg(test)]
mod tests {
    use crate::fixture;
    use serde_json::json;

    #[test]
    fn defaults_fill_what_is_absent_or_null() {
        let cases = [
            (json!({"spec": {}}), json!({"spec": {"color": "red", "nested": {"level": 3}}})),
            (json!({"spec": {"color": null}}), json!({"spec": {"color": "red", "nested": {"level": 3}}})),
            (
                json!({"spec": {"color": "blue", "nested": {"level": 1}}}),
                json!({"spec": {"color": "blue", "nested": {"level": 1}}}),
            ),
            (json!({"spec": {"note": null}}), json!({"spec": {"note": null, "color": "red", "nested": {"level": 3}}})),
            (json!({"spec": {"size": null}}), json!({"spec": {"color": "red", "nested": {"level": 3}}})),
            (
                json!({"spec": {"parts": [{"name": "a"}, {"name": "b", "weight": 1}]}}),
                json!({"spec": {"parts": [{"name": "a", "weight": 10}, {"name": "b", "weight": 1}], "color": "red", "nested": {"level": 3}}}),
            ),
            (json!({}), json!({})),
        ];
        for (mut document, expected) in cases {
            fixture::widget().root().apply_defaults(&mut document);
            assert_eq!(document, expected);
        }
        let mut document = json!({"spec": {"size": null, "color": null}});
        fixture::widget().root().fill_defaults(&mut document);
        assert_eq!(document, json!({"spec": {"size": null, "color": "red", "nested": {"level": 3}}}));
    }
}
