//! How a schema wants values to be owned: whole or in parts.

use std::borrow::Cow;

use schema::{Additional, ListType, MapType, Node, Type};
use serde_json::Value;

use super::element::Element;

/// What is known about a value.
#[derive(Clone, Copy)]
pub(super) enum Typed<'s> {
    /// A schema; `open` when an ancestor preserves unknown fields.
    Node { node: Node<'s>, open: bool },
    /// Nothing: objects are owned member by member, lists whole.
    Deduced,
    /// Nothing, and it is owned as one value.
    Atomic,
}

/// How a value is owned.
#[derive(Clone, Copy)]
pub(super) enum Shape<'s> {
    /// As one scalar.
    Scalar,
    /// As one value, whatever it holds.
    Whole,
    /// Member by member.
    Members(Members<'s>),
    /// Item by item.
    Items(Items<'s>),
}

impl Shape<'_> {
    /// Whether values of both shapes have parts of one kind, or none.
    pub(super) fn is_like(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Members(_), Self::Members(_))
                | (Self::Items(_), Self::Items(_))
                | (Self::Scalar | Self::Whole, Self::Scalar | Self::Whole)
        )
    }
}

/// An object that is owned member by member.
#[derive(Clone, Copy)]
pub(super) struct Members<'s> {
    node: Option<Node<'s>>,
    open: bool,
}

/// A list that is owned item by item.
#[derive(Clone, Copy)]
pub(super) struct Items<'s> {
    /// Fields that tell items apart; empty for a set.
    keys: &'s [Box<str>],
    item: Typed<'s>,
}

impl<'s> Typed<'s> {
    pub(super) fn root(node: Node<'s>) -> Self {
        Self::node(node, false)
    }

    fn node(node: Node<'s>, open: bool) -> Self {
        if node.name().is_some_and(|name| name.ends_with(".RawExtension")) {
            return Self::Atomic;
        }
        Self::Node { node, open: open || (node.is_custom() && node.preserves_unknown_fields()) }
    }

    /// How `value` is owned. A value of another type than the schema's is owned as the schema says.
    pub(super) fn shape(self, value: &Value) -> Shape<'s> {
        let (node, open) = match self {
            Self::Node { node, open } => (node, open),
            Self::Deduced if value.is_object() || value.is_null() => {
                return Shape::Members(Members { node: None, open: true });
            }
            Self::Deduced if value.is_array() => return Shape::Whole,
            Self::Deduced => return Shape::Scalar,
            Self::Atomic if value.is_object() || value.is_array() || value.is_null() => return Shape::Whole,
            Self::Atomic => return Shape::Scalar,
        };
        match (node.type_(), value) {
            (Type::Object, _) | (Type::Any | Type::IntOrString, Value::Object(_) | Value::Null) => {
                match node.map_type() {
                    MapType::Atomic => Shape::Whole,
                    MapType::Granular | MapType::Unset => Shape::Members(Members { node: Some(node), open }),
                }
            }
            (Type::Array, _) | (Type::Any | Type::IntOrString, Value::Array(_)) => {
                let item = node.items().map_or(Self::Atomic, |items| Self::node(items, open));
                match node.list_type() {
                    ListType::Map(keys) => Shape::Items(Items { keys, item }),
                    ListType::Set => Shape::Items(Items { keys: &[], item }),
                    ListType::Atomic | ListType::Unset => Shape::Whole,
                }
            }
            _ => Shape::Scalar,
        }
    }
}

impl<'s> Typed<'s> {
    /// How the parts of a value look that is owned as one.
    pub(super) fn parts(self) -> Shape<'s> {
        match self {
            Self::Node { node, open } if node.type_() == Type::Array => {
                let item = node.items().map_or(Self::Atomic, |items| Self::node(items, open));
                Shape::Items(Items { keys: &[], item })
            }
            Self::Node { node, open } => Shape::Members(Members { node: Some(node), open }),
            Self::Deduced | Self::Atomic => Shape::Whole,
        }
    }
}

impl<'s> Members<'s> {
    /// What is known about the member `name`; `None` when it must not be there.
    pub(super) fn member(self, name: &str) -> Option<Typed<'s>> {
        let Some(node) = self.node else { return Some(Typed::Deduced) };
        if let Some(property) = node.property(name) {
            return Some(Typed::node(property, self.open));
        }
        match node.additional() {
            Additional::Schema(values) => Some(Typed::node(values, self.open)),
            Additional::Any => Some(Typed::Deduced),
            Additional::None if self.open || node.properties().len() == 0 => Some(Typed::Deduced),
            Additional::None => None,
        }
    }

    /// True when the schema declares a property of that name.
    pub(super) fn declares(self, name: &str) -> bool {
        self.node.is_some_and(|node| node.property(name).is_some())
    }

    /// What a Go struct has where a document says nothing: a declared default that is a zero value (an empty object for embedded
    /// structs), null for lists and maps that are never left out. `None` for everything of custom resources, which have no Go struct.
    pub(super) fn implied(self, name: &str) -> Option<Cow<'s, Value>> {
        let node = self.node.filter(|node| !node.is_custom())?;
        let property = node.property(name)?;
        let zero = |value: &Value| match value {
            Value::Bool(value) => !value,
            Value::Number(value) => value.as_f64() == Some(0.0),
            Value::String(value) => value.is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Null => true,
        };
        if let Some(default) = property.default() {
            return zero(default).then_some(Cow::Borrowed(default));
        }
        let required =
            node.rules().is_some_and(|rules| rules.required.iter().any(|required| required.as_ref() == name));
        (required && matches!(property.type_(), Type::Array | Type::Object)).then_some(Cow::Owned(Value::Null))
    }
}

impl<'s> Items<'s> {
    /// What is known about items.
    pub(super) fn item(self) -> Typed<'s> {
        self.item
    }

    /// What tells `item` apart from others in its list.
    pub(super) fn element(self, item: &Value) -> Result<Element, String> {
        if self.keys.is_empty() {
            return match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
                scalar => Ok(Element::Value(scalar.clone())),
            };
        }
        let members = match item {
            Value::Object(members) => members,
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let mut fields: Vec<(Box<str>, Value)> = Vec::with_capacity(self.keys.len());
        for key in self.keys {
            if let Some(value) = members.get(key.as_ref()).or_else(|| self.default_of(key)) {
                fields.push((key.clone(), value.clone()));
            }
        }
        if fields.is_empty() {
            let keys: Vec<String> = self.keys.iter().map(|key| machinery::field::quote(key)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                keys.join(" ")
            ));
        }
        fields.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(Element::Key(fields))
    }

    fn default_of(self, key: &str) -> Option<&'s Value> {
        match self.item {
            Typed::Node { node, .. } => node.property(key)?.default(),
            Typed::Deduced | Typed::Atomic => None,
        }
    }
}
