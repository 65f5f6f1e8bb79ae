//! Drops fields that a schema does not declare, and says which.

use std::fmt::Write as _;

use serde_json::Value;

use crate::tree::{Additional, Node};

/// Most unknown fields that are reported; the rest is dropped all the same (sigs.k8s.io/json stops collecting there too).
pub const UNKNOWN_FIELDS_MAX: usize = 100;

impl Node<'_> {
    /// Removes every member of `value` that is not declared here. Returns the paths of what was removed
    /// (`spec.containers[0].bogus`), at most [`UNKNOWN_FIELDS_MAX`], metadata of custom resources first, else in the order of names.
    pub fn prune(self, value: &mut Value) -> Vec<String> {
        let mut walk = Walk::default();
        walk.prune(value, self, false);
        let Walk { mut unknown, of_embedded, .. } = walk;
        if self.is_custom() {
            // Upstream takes three steps: metadata, the schema, and the metadata of embedded resources.
            unknown.sort_by(|one, other| {
                let of_schema = |path: &str| !path.starts_with("metadata.");
                of_schema(one).cmp(&of_schema(other)).then_with(|| one.cmp(other))
            });
        }
        unknown.extend(of_embedded);
        unknown
    }
}

#[derive(Default)]
struct Walk {
    unknown: Vec<String>,
    /// Those in the metadata of embedded resources.
    of_embedded: Vec<String>,
    path: String,
    /// It is in such metadata.
    in_embedded: bool,
}

impl Walk {
    /// `keep` says that unknown members stay although `node` does not say so: it is inherited by the items of a preserving list.
    fn prune(&mut self, value: &mut Value, node: Node<'_>, keep: bool) {
        let keep = keep || node.preserves_unknown_fields();
        let length = self.path.len();
        match value {
            Value::Object(members) => {
                let mut all_are_declared = true;
                for (name, member) in members.iter_mut() {
                    self.enter(name);
                    match (node.property(name), node.additional()) {
                        (Some(property), _) => {
                            let outside = self.in_embedded;
                            self.in_embedded |= name == "metadata" && node.is_embedded_resource();
                            self.prune(member, property, false);
                            self.in_embedded = outside;
                        }
                        (None, Additional::Schema(values)) => self.prune(member, values, false),
                        (None, Additional::Any) if keep => {}
                        (None, Additional::Any) => self.empty(member),
                        (None, Additional::None) if keep => {}
                        (None, Additional::None) => {
                            all_are_declared = false;
                            self.report();
                        }
                    }
                    self.path.truncate(length);
                }
                if !all_are_declared {
                    members.retain(|name, _| node.property(name).is_some());
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.enter_item(at);
                    match node.items() {
                        Some(schema) => self.prune(item, schema, keep),
                        None if keep => {}
                        None => self.empty(item),
                    }
                    self.path.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Prunes what has no schema at all: objects lose every member. (What `additionalProperties: true` of a CRD amounts to.)
    fn empty(&mut self, value: &mut Value) {
        let length = self.path.len();
        match value {
            Value::Object(members) => {
                for name in members.keys() {
                    self.enter(name);
                    self.report();
                    self.path.truncate(length);
                }
                members.clear();
            }
            Value::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.enter_item(at);
                    self.empty(item);
                    self.path.truncate(length);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn enter(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    fn enter_item(&mut self, at: usize) {
        // Writing into a String cannot fail.
        let _ = write!(self.path, "[{at}]");
    }

    fn report(&mut self) {
        if self.unknown.len() + self.of_embedded.len() < UNKNOWN_FIELDS_MAX {
            let found = if self.in_embedded { &mut self.of_embedded } else { &mut self.unknown };
            found.push(self.path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    #[test]
    fn built_in_kinds_report_unknown_fields() {
        let mut document = json!({
            "bogus": 1,
            "metadata": {"foo": 1, "labels": {"any": "x"}, "managedFields": [{"fieldsV1": {"f:x": {}}}]},
            "spec": {"containers": [{"name": "a"}, {"bogus": {"deep": 1}, "name": "b"}]},
        });
        let unknown = fixture::pod().root().prune(&mut document);
        assert_eq!(unknown, ["bogus", "metadata.foo", "spec.containers[1].bogus"]);
        assert_eq!(
            document,
            json!({
                "metadata": {"labels": {"any": "x"}, "managedFields": [{"fieldsV1": {"f:x": {}}}]},
                "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            })
        );
    }

    #[test]
    fn custom_resources_keep_what_they_say_they_keep() {
        let mut document = json!({
            "apiVersion": "ex.io/v1", "kind": "Widget", "bogus": 1,
            "metadata": {"name": "a", "foo": 1},
            "spec": {
                "size": 1, "bogus": 1,
                "free": {"anything": {"goes": 1}, "known": {"a": 1, "bogus": 1}},
                "map": {"k": {"a": 1, "bogus": 1}},
                "loose": {"k": 1, "o": {"gone": 1}},
                "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "foo": 1}, "spec": {"x": 1}},
            },
        });
        let unknown = fixture::widget().root().prune(&mut document);
        assert_eq!(
            unknown,
            [
                "metadata.foo",
                "bogus",
                "spec.bogus",
                "spec.free.known.bogus",
                "spec.loose.o.gone",
                "spec.map.k.bogus",
                "spec.template.metadata.foo",
            ]
        );
        assert_eq!(
            document,
            json!({
                "apiVersion": "ex.io/v1", "kind": "Widget",
                "metadata": {"name": "a"},
                "spec": {
                    "size": 1,
                    "free": {"anything": {"goes": 1}, "known": {"a": 1}},
                    "map": {"k": {"a": 1}},
                    "loose": {"k": 1, "o": {}},
                    "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"x": 1}},
                },
            })
        );
    }

    #[test]
    fn reports_are_bounded() {
        let members = (0..500).map(|at| (format!("x{at}"), json!(1))).collect::<serde_json::Map<_, _>>();
        let mut document = Value::Object(members);
        assert_eq!(fixture::pod().root().prune(&mut document).len(), UNKNOWN_FIELDS_MAX);
        assert_eq!(document, json!({}));
    }
}
