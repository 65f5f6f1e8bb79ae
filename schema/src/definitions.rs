//! Loads a tree from JSON-schema definitions of Rust types.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    format::Format,
    normalize::{normalize, referenced},
    rules::{Rules, texts},
    tree::{Additional, ListType, MapType, NodeData, NodeId, PatchStrategy, Schema, Tree, Type},
};

/// Why definitions make no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A reference, or the root, names no definition.
    #[error("no definition named {0:?}")]
    Missing(String),
    /// A definition is nothing but a reference to itself, by way of others.
    #[error("the definition {0:?} refers only to itself")]
    Circular(String),
    /// The schema nests too deeply.
    #[error("the schema nests deeper than {} levels", machinery::limits::DOCUMENT_DEPTH_MAX)]
    TooDeep,
}

impl Schema {
    /// Loads the definition `root` and what it refers to. `definitions` are as `schemars` writes them, with the
    /// `x-kubernetes-*` extensions put in; a reference is resolved by the last segment of its path. Definitions whose name ends
    /// in `.Quantity` or `.MicroTime` get the decoding of those types.
    pub fn from_definitions(root: &str, definitions: Map<String, Value>) -> Result<Self, LoadError> {
        let mut loader = Loader::new(definitions);
        let root = loader.named(root)?;
        while let Some((id, name)) = loader.queue.pop() {
            loader.define(id, &name)?;
        }
        loader.resolve_all()?;
        Ok(Self::new(Tree { nodes: loader.nodes, root, custom: false }))
    }
}

struct Loader {
    /// What is not loaded yet.
    definitions: Map<String, Value>,
    nodes: Vec<NodeData>,
    named: BTreeMap<String, NodeId>,
    /// Definitions that were referred to and are not loaded yet.
    queue: Vec<(NodeId, String)>,
    /// Nodes that are another node with some members changed.
    variants: BTreeMap<u32, (NodeId, Map<String, Value>)>,
    /// Nodes that are a choice between shapes.
    choices: BTreeMap<u32, Vec<NodeId>>,
}

impl Loader {
    fn new(definitions: Map<String, Value>) -> Self {
        Self {
            definitions,
            nodes: Vec::new(),
            named: BTreeMap::new(),
            queue: Vec::new(),
            variants: BTreeMap::new(),
            choices: BTreeMap::new(),
        }
    }

    fn allocate(&mut self) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("a schema in memory has fewer than 2^32 nodes"));
        self.nodes.push(NodeData { typed: true, ..NodeData::default() });
        id
    }

    fn node_mut(&mut self, id: NodeId) -> &mut NodeData {
        &mut self.nodes[id.0 as usize]
    }

    fn named(&mut self, name: &str) -> Result<NodeId, LoadError> {
        if let Some(id) = self.named.get(name) {
            return Ok(*id);
        }
        if !self.definitions.contains_key(name) {
            return Err(LoadError::Missing(name.to_owned()));
        }
        let id = self.allocate();
        self.named.insert(name.to_owned(), id);
        self.queue.push((id, name.to_owned()));
        Ok(id)
    }

    fn define(&mut self, id: NodeId, name: &str) -> Result<(), LoadError> {
        let Some(definition) = self.definitions.remove(name) else { return Err(LoadError::Missing(name.to_owned())) };
        let schema = normalize(name, definition);
        self.fill(id, &schema, 0)?;
        let node = self.node_mut(id);
        node.name = Some(name.into());
        if name.ends_with(".Quantity") {
            node.type_ = Type::Quantity;
        }
        Ok(())
    }

    fn child(&mut self, schema: &Value, depth: usize) -> Result<NodeId, LoadError> {
        let empty = Map::new();
        let schema = schema.as_object().unwrap_or(&empty);
        if let Some(name) = referenced(schema)
            && schema.keys().all(|key| key == "$ref" || key == "description")
        {
            return self.named(name);
        }
        let id = self.allocate();
        self.fill(id, schema, depth + 1)?;
        Ok(id)
    }

    fn fill(&mut self, id: NodeId, schema: &Map<String, Value>, depth: usize) -> Result<(), LoadError> {
        if depth > machinery::limits::DOCUMENT_DEPTH_MAX {
            return Err(LoadError::TooDeep);
        }
        if let Some(name) = referenced(schema) {
            let target = self.named(name)?;
            self.variants.insert(id.0, (target, schema.clone()));
            return Ok(());
        }
        let mut properties = Vec::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            properties.push((name.as_str().into(), self.child(property, depth)?));
        }
        properties.sort();
        let items = schema.get("items").map(|items| self.child(items, depth)).transpose()?;
        let additional = match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Additional::Any,
            Some(values @ Value::Object(_)) => Additional::Schema(self.child(values, depth)?),
            _ => Additional::None,
        };
        if let Some(Value::Array(branches)) = schema.get("oneOf") {
            let branches = branches.iter().map(|branch| self.child(branch, depth)).collect::<Result<_, _>>()?;
            self.choices.insert(id.0, branches);
        }
        let node = self.node_mut(id);
        node.type_ = declared_type(schema);
        let free = matches!(node.type_, Type::Any | Type::Object)
            && properties.is_empty()
            && items.is_none()
            && additional == Additional::None;
        node.properties = properties;
        node.items = items;
        node.additional = if free { Additional::Any } else { additional };
        node.preserve_unknown = free || node.additional == Additional::Any;
        let rules = Rules::read(schema);
        node.rules = (!rules.is_empty()).then(|| Box::new(rules));
        read_attributes(node, schema);
        Ok(())
    }

    fn resolve_all(&mut self) -> Result<(), LoadError> {
        while let Some(id) = self.variants.keys().next().copied() {
            self.resolve(NodeId(id), 0)?;
        }
        for (id, branches) in std::mem::take(&mut self.choices) {
            let mut shapes = NodeData::default();
            for branch in branches {
                let branch = &self.nodes[branch.0 as usize];
                if shapes.properties.is_empty() && shapes.additional == Additional::None {
                    shapes.properties.clone_from(&branch.properties);
                    shapes.additional = branch.additional;
                }
                shapes.items = shapes.items.or(branch.items);
            }
            let node = self.node_mut(NodeId(id));
            node.type_ = Type::Any;
            node.preserve_unknown = shapes.properties.is_empty();
            node.properties = shapes.properties;
            node.additional = shapes.additional;
            node.items = shapes.items;
        }
        Ok(())
    }

    /// Copies the target of a variant, which may be a variant itself, and changes what the variant says.
    fn resolve(&mut self, id: NodeId, depth: usize) -> Result<(), LoadError> {
        let Some((target, schema)) = self.variants.get(&id.0).cloned() else { return Ok(()) };
        if depth > machinery::limits::DOCUMENT_DEPTH_MAX {
            return Err(LoadError::Circular(referenced(&schema).unwrap_or_default().to_owned()));
        }
        self.resolve(target, depth + 1)?;
        self.variants.remove(&id.0);
        let own_name = self.node_mut(id).name.take();
        let mut node = self.nodes[target.0 as usize].clone();
        node.name = own_name.or(node.name);
        read_attributes(&mut node, &schema);
        if let Some(branches) = self.choices.get(&target.0).cloned() {
            self.choices.insert(id.0, branches);
        }
        *self.node_mut(id) = node;
        Ok(())
    }
}

/// The type that a normal schema declares.
pub(crate) fn declared_type(schema: &Map<String, Value>) -> Type {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return Type::IntOrString;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        _ => Type::Any,
    }
}

/// Reads what a schema may say beside a reference too: format, default and the extensions.
pub(crate) fn read_attributes(node: &mut NodeData, schema: &Map<String, Value>) {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(format) = text("format") {
        node.format = Some(Format::new(format));
    }
    if let Some(default) = schema.get("default") {
        node.default = Some(Box::new(default.clone()));
    }
    match text("x-kubernetes-list-type") {
        Some("map") => node.list_type = ListType::Map(texts(schema.get("x-kubernetes-list-map-keys"))),
        Some("set") => node.list_type = ListType::Set,
        Some(_) => node.list_type = ListType::Atomic,
        None => {}
    }
    match text("x-kubernetes-map-type") {
        Some("atomic") => node.map_type = MapType::Atomic,
        Some(_) => node.map_type = MapType::Granular,
        None => {}
    }
    if let Some(strategies) = text("x-kubernetes-patch-strategy") {
        let has = |name: &str| strategies.split(',').any(|strategy| strategy == name);
        node.patch = Some(Box::new(PatchStrategy {
            merge: has("merge"),
            retain_keys: has("retainKeys"),
            replace: has("replace"),
            merge_key: text("x-kubernetes-patch-merge-key").map(Box::from),
        }));
    }
    if let (ListType::Unset, Some(patch)) = (&node.list_type, node.patch.as_deref().filter(|patch| patch.merge)) {
        // As server-side apply reads old schemas: what a patch merges is a map or a set.
        node.list_type = patch.merge_key.clone().map_or(ListType::Set, |key| ListType::Map(vec![key]));
    }
    node.preserve_unknown |= schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    node.embedded |= schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(root: &str, definitions: &Value) -> Result<Schema, LoadError> {
        Schema::from_definitions(root, definitions.as_object().expect("an object").clone())
    }

    #[test]
    fn a_schema_may_refer_to_itself() {
        let schema = load(
            "Tree",
            &json!({"Tree": {"type": "object", "properties": {
                "label": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            }}}),
        )
        .expect("loads");
        let mut node = schema.root();
        for _ in 0..50 {
            node = node.property("children").and_then(Node::items).expect("goes on");
        }
        assert_eq!(node, schema.root());
        assert_eq!(schema.tree().nodes.len(), 3);
    }

    #[test]
    fn what_stands_beside_a_reference_counts() {
        let schema = load(
            "A",
            &json!({
                "A": {"type": "object", "properties": {
                    "plain": {"$ref": "#/$defs/B", "description": "as it is"},
                    "changed": {"allOf": [{"$ref": "#/$defs/B"}], "x-kubernetes-patch-strategy": "retainKeys"},
                    "atomic": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}], "x-kubernetes-map-type": "atomic"},
                }},
                "B": {"type": "object", "properties": {"x": {"type": "string"}}},
            }),
        )
        .expect("loads");
        let at = |name| schema.root().property(name).expect("declared");
        assert_eq!(at("plain").name(), Some("B"));
        assert_eq!(at("plain").patch_strategy(), None);
        assert!(at("changed").patch_strategy().is_some_and(|strategy| strategy.retain_keys));
        assert_eq!(at("atomic").map_type(), MapType::Atomic);
        assert_eq!(at("atomic").property("x").map(Node::type_), Some(Type::String));
    }

    #[test]
    fn a_choice_of_shapes_has_all_of_them() {
        let schema = load("Props", &json!({
            "Props": {"type": "object", "properties": {"items": {"$ref": "#/$defs/PropsOrArray"}, "title2": {"type": "string"}}},
            "PropsOrArray": {"oneOf": [{"$ref": "#/$defs/Props"}, {"type": "array", "items": {"$ref": "#/$defs/Props"}}]},
        }))
        .expect("loads");
        let mut document = json!({"items": {"bogus": 1, "items": [{"bogus": 1, "title2": "x"}]}});
        assert_eq!(schema.root().prune(&mut document), ["items.bogus", "items.items[0].bogus"]);
    }

    #[test]
    fn rust_types_become_kubernetes_types() {
        let schema = load(
            "T",
            &json!({"T": {"type": "object", "properties": {
                "count": {"type": ["integer", "null"], "format": "uint32", "minimum": 0},
                "ratio": {"type": "number", "default": 0.5},
                "mode": {"oneOf": [{"const": "A", "description": "first"}, {"type": "string", "enum": ["B"]}]},
                "choice": {"oneOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
                ]},
                "port": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
                "any": true,
            }}}),
        )
        .expect("loads");
        let at = |name| schema.root().property(name).expect("declared");
        assert_eq!(at("count").format().map(Format::as_str), Some("int64"));
        assert!(at("count").rules().is_none());
        assert_eq!(at("ratio").default(), Some(&json!(0.5)));
        assert_eq!(at("mode").rules().and_then(|rules| rules.enumeration.clone()), Some(vec![json!("A"), json!("B")]));
        assert_eq!(at("choice").properties().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(at("choice").rules().is_none());
        assert_eq!(at("port").type_(), Type::IntOrString);
        assert!(at("any").preserves_unknown_fields());
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        assert_eq!(load("X", &json!({})).err(), Some(LoadError::Missing("X".to_owned())));
        assert_eq!(load("X", &json!({"X": {"$ref": "#/$defs/Y"}})).err(), Some(LoadError::Missing("Y".to_owned())));
        assert!(load("X", &json!({"X": {"$ref": "#/$defs/X"}})).is_err());
    }

    use crate::Node;
}
