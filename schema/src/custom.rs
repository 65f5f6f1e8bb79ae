//! Loads a tree from the `openAPIV3Schema` of a CRD.

use serde_json::{Map, Value};

use crate::{
    LoadError,
    definitions::{declared_type, read_attributes},
    rules::Rules,
    tree::{Additional, NodeData, NodeId, Schema, Tree, Type},
};

impl Schema {
    /// Loads an `openAPIV3Schema`. `object_meta` is the schema of `ObjectMeta`: it becomes the schema of `metadata`, at the root and
    /// in embedded resources, with what the author says about `metadata.name` and `generateName` added. `apiVersion` and `kind` are
    /// strings whether the author declares them or not.
    ///
    /// The schema is expected to be structural; where it is not, what cannot be read is ignored.
    pub fn from_custom(open_api: &Value, object_meta: &Schema) -> Result<Self, LoadError> {
        let mut loader = Loader { nodes: object_meta.tree().nodes.clone(), object_meta: object_meta.tree().root };
        let root = loader.node(open_api, 0)?;
        loader.add_resource_fields(root);
        Ok(Self::new(Tree { nodes: loader.nodes, root, custom: true }))
    }
}

struct Loader {
    nodes: Vec<NodeData>,
    object_meta: NodeId,
}

impl Loader {
    fn add(&mut self, node: NodeData) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("a schema in memory has fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    fn node(&mut self, schema: &Value, depth: usize) -> Result<NodeId, LoadError> {
        if depth > machinery::limits::DOCUMENT_DEPTH_MAX {
            return Err(LoadError::TooDeep);
        }
        let empty = Map::new();
        let schema = schema.as_object().unwrap_or(&empty);
        let mut node = NodeData { type_: declared_type(schema), ..NodeData::default() };
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            node.properties.push((name.as_str().into(), self.node(property, depth + 1)?));
        }
        node.properties.sort();
        node.items = schema
            .get("items")
            .filter(|items| items.is_object())
            .map(|items| self.node(items, depth + 1))
            .transpose()?;
        node.additional = match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Additional::Any,
            Some(values @ Value::Object(_)) => Additional::Schema(self.node(values, depth + 1)?),
            _ => Additional::None,
        };
        node.nullable = schema.get("nullable") == Some(&Value::Bool(true));
        node.rules = self.rules(schema, depth)?;
        read_attributes(&mut node, schema);
        node.default = node.default.filter(|default| !default.is_null() || node.nullable);
        let embedded = node.embedded;
        let id = self.add(node);
        if embedded {
            self.add_resource_fields(id);
        }
        Ok(id)
    }

    fn rules(&mut self, schema: &Map<String, Value>, depth: usize) -> Result<Option<Box<Rules>>, LoadError> {
        let mut rules = Rules::read(schema);
        rules.all_of = self.nested(schema, "allOf", depth)?;
        rules.any_of = self.nested(schema, "anyOf", depth)?;
        rules.one_of = self.nested(schema, "oneOf", depth)?;
        rules.not = schema.get("not").filter(|not| not.is_object()).map(|not| self.node(not, depth + 1)).transpose()?;
        Ok((!rules.is_empty()).then(|| Box::new(rules)))
    }

    fn nested(&mut self, schema: &Map<String, Value>, keyword: &str, depth: usize) -> Result<Vec<NodeId>, LoadError> {
        let branches = schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
        branches.map(|branch| self.node(branch, depth + 1)).collect()
    }

    /// Gives a resource its `apiVersion`, `kind` and `metadata`.
    fn add_resource_fields(&mut self, id: NodeId) {
        for name in ["apiVersion", "kind"] {
            if self.nodes[id.0 as usize].property(name).is_none() {
                let text = self.add(NodeData { type_: Type::String, typed: true, ..NodeData::default() });
                self.nodes[id.0 as usize].set_property(name, text);
            }
        }
        let metadata = self.object_meta_with(self.nodes[id.0 as usize].property("metadata"));
        self.nodes[id.0 as usize].set_property("metadata", metadata);
    }

    /// `ObjectMeta`, with the value rules that `author` puts on its strings.
    fn object_meta_with(&mut self, author: Option<NodeId>) -> NodeId {
        let Some(author) = author else { return self.object_meta };
        let author = self.nodes[author.0 as usize].clone();
        let mut metadata = self.nodes[self.object_meta.0 as usize].clone();
        metadata.rules = author.rules;
        for (name, restricted) in author.properties {
            let Some(known) = metadata.property(&name) else { continue };
            let mut node = self.nodes[known.0 as usize].clone();
            node.rules.clone_from(&self.nodes[restricted.0 as usize].rules);
            let node = self.add(node);
            metadata.set_property(&name, node);
        }
        self.add(metadata)
    }
}
