//! The tree: nodes in one arena, so that a schema may refer to itself.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{
    format::Format,
    rules::{Rules, ValidationRule},
};

/// The schema of one served version. Cloning shares it.
#[derive(Clone)]
pub struct Schema(Arc<Tree>);

#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<NodeData>,
    pub(crate) root: NodeId,
    /// Made from a CRD: what is not declared is pruned, and nulls mean something.
    pub(crate) custom: bool,
}

/// The index of a node in its tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// What kind of value a node describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// Anything; properties and items, when declared, hold for values of that shape.
    #[default]
    Any,
    /// A JSON object: a struct, a map, or both.
    Object,
    /// A JSON array.
    Array,
    /// A JSON string.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// true or false.
    Boolean,
    /// A whole number or a string (`intstr.IntOrString`, `x-kubernetes-int-or-string`).
    IntOrString,
    /// `resource.Quantity`: a string in canonical form; numbers are read too.
    Quantity,
}

/// What an object may hold besides its declared properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Additional<T> {
    /// Nothing.
    #[default]
    None,
    /// Any value (`additionalProperties: true`, or a free-form object).
    Any,
    /// Values of this schema.
    Schema(T),
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Not said, which means atomic.
    #[default]
    Unset,
    /// One value, replaced whole.
    Atomic,
    /// No value twice; each value is owned on its own.
    Set,
    /// Items are told apart by these fields.
    Map(Vec<Box<str>>),
}

/// `x-kubernetes-map-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapType {
    /// Not said, which means granular.
    #[default]
    Unset,
    /// Every entry on its own.
    Granular,
    /// One value, replaced whole.
    Atomic,
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`: how a strategic merge patch treats a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged item by item; without it a list is replaced.
    pub merge: bool,
    /// A patch may say which keys to retain.
    pub retain_keys: bool,
    /// Maps are replaced whole.
    pub replace: bool,
    /// The field that tells list items apart; `None` for lists of scalars.
    pub merge_key: Option<Box<str>>,
}

#[derive(Clone, Default)]
pub(crate) struct NodeData {
    pub(crate) type_: Type,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) format: Option<Format>,
    pub(crate) nullable: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded: bool,
    /// Described by a Rust type: values are decoded as Go's decoder would.
    pub(crate) typed: bool,
    /// In the order of names.
    pub(crate) properties: Vec<(Box<str>, NodeId)>,
    pub(crate) additional: Additional<NodeId>,
    pub(crate) items: Option<NodeId>,
    pub(crate) list_type: ListType,
    pub(crate) map_type: MapType,
    pub(crate) patch: Option<Box<PatchStrategy>>,
    pub(crate) default: Option<Box<Value>>,
    pub(crate) rules: Option<Box<Rules>>,
}

impl NodeData {
    pub(crate) fn property(&self, name: &str) -> Option<NodeId> {
        let at = self.properties.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.properties.get(at).map(|(_, id)| *id)
    }

    pub(crate) fn set_property(&mut self, name: &str, id: NodeId) {
        match self.properties.binary_search_by(|(known, _)| known.as_ref().cmp(name)) {
            Ok(at) => self.properties[at].1 = id,
            Err(at) => self.properties.insert(at, (name.into(), id)),
        }
    }
}

impl Schema {
    pub(crate) fn new(tree: Tree) -> Self {
        Self(Arc::new(tree))
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.0
    }

    /// The node of the whole object.
    pub fn root(&self) -> Node<'_> {
        Node { tree: &self.0, id: self.0.root }
    }

    /// True for a schema made from a CRD.
    pub fn is_custom(&self) -> bool {
        self.0.custom
    }

    /// The schema whose root is `node`, which must be one of this schema. Copies the nodes, unless it is the root already.
    #[must_use]
    pub fn rooted_at(&self, node: Node<'_>) -> Self {
        if node.id == self.0.root {
            return self.clone();
        }
        Self::new(Tree { nodes: self.0.nodes.clone(), root: node.id, custom: self.0.custom })
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("root", &self.root().name()).field("nodes", &self.0.nodes.len()).finish()
    }
}

/// A place in a schema. Two words, copied freely.
#[derive(Clone, Copy)]
pub struct Node<'s> {
    tree: &'s Tree,
    id: NodeId,
}

impl<'s> Node<'s> {
    pub(crate) fn data(self) -> &'s NodeData {
        &self.tree.nodes[self.id.0 as usize]
    }

    fn at(self, id: NodeId) -> Self {
        Self { tree: self.tree, id }
    }

    /// A number that tells the nodes of one schema apart (to memoise by node).
    pub fn number(self) -> u32 {
        self.id.0
    }

    /// True within a schema made from a CRD.
    pub fn is_custom(self) -> bool {
        self.tree.custom
    }

    /// What kind of value this is.
    pub fn type_(self) -> Type {
        self.data().type_
    }

    /// The definition's name (`io.k8s.api.core.v1.Container`) when the node is a named one.
    pub fn name(self) -> Option<&'s str> {
        self.data().name.as_deref()
    }

    /// The format of a string or number.
    pub fn format(self) -> Option<&'s Format> {
        self.data().format.as_ref()
    }

    /// Whether null is a value here.
    pub fn nullable(self) -> bool {
        self.data().nullable
    }

    /// `x-kubernetes-preserve-unknown-fields`.
    pub fn preserves_unknown_fields(self) -> bool {
        self.data().preserve_unknown
    }

    /// `x-kubernetes-embedded-resource`.
    pub fn is_embedded_resource(self) -> bool {
        self.data().embedded
    }

    /// The declared property of that name.
    pub fn property(self, name: &str) -> Option<Node<'s>> {
        self.data().property(name).map(|id| self.at(id))
    }

    /// Every declared property, by name.
    pub fn properties(self) -> impl ExactSizeIterator<Item = (&'s str, Node<'s>)> {
        self.data().properties.iter().map(move |(name, id)| (name.as_ref(), self.at(*id)))
    }

    /// What the object may hold besides.
    pub fn additional(self) -> Additional<Node<'s>> {
        match self.data().additional {
            Additional::None => Additional::None,
            Additional::Any => Additional::Any,
            Additional::Schema(id) => Additional::Schema(self.at(id)),
        }
    }

    /// The schema of the member `name`: its property, else the schema of additional properties.
    pub fn member(self, name: &str) -> Option<Node<'s>> {
        self.property(name).or(match self.data().additional {
            Additional::Schema(id) => Some(self.at(id)),
            Additional::None | Additional::Any => None,
        })
    }

    /// The schema of list items.
    pub fn items(self) -> Option<Node<'s>> {
        self.data().items.map(|id| self.at(id))
    }

    /// How list items relate.
    pub fn list_type(self) -> &'s ListType {
        &self.data().list_type
    }

    /// Whether map entries stand on their own.
    pub fn map_type(self) -> MapType {
        self.data().map_type
    }

    /// How a strategic merge patch treats the value; `None` is the default treatment.
    pub fn patch_strategy(self) -> Option<&'s PatchStrategy> {
        self.data().patch.as_deref()
    }

    /// The default value.
    pub fn default(self) -> Option<&'s Value> {
        self.data().default.as_deref()
    }

    /// The value rules that stand here; `None` when there are none.
    pub fn rules(self) -> Option<&'s Rules> {
        self.data().rules.as_deref()
    }

    pub(crate) fn nested(self, id: NodeId) -> Self {
        self.at(id)
    }

    /// `x-kubernetes-validations`, in the order written.
    pub fn validations(self) -> &'s [ValidationRule] {
        self.data().rules.as_deref().map_or(&[], |rules| &rules.validations)
    }
}

/// Equal are two cursors at the same place of the same tree.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.data(), other.data())
    }
}

impl Eq for Node<'_> {}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name()).field("type", &self.type_()).finish_non_exhaustive()
    }
}
