//! Declared data: the type of a variable and its parts, how large they can be, and how JSON documents become values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::Type;

/// What is declared about a value: its type, its largest size, and the same of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    kind: Kind,
    /// Largest size in the unit of `size()`, if known. Upstream declares 0 for what has no size to speak of.
    max_elements: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Simple(Type),
    List { element: Arc<Shape>, order: Order },
    Map { key: Arc<Shape>, value: Arc<Shape>, uniform: bool },
    Object { name: Arc<str>, fields: BTreeMap<String, Field> },
}

/// What makes two lists equal (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The same elements in the same order (`atomic`).
    #[default]
    Matters,
    /// The same elements (`set`).
    Free,
    /// The same elements; elements with equal values of these fields replace each other in sums (`map`).
    Keyed(Vec<String>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name in documents, before [`crate::escape`].
    pub name: String,
    /// What the field holds.
    pub shape: Arc<Shape>,
}

static DYN: Shape = Shape { kind: Kind::Simple(Type::Dyn), max_elements: None };

impl Shape {
    /// A value of a type without declared parts, of unknown size.
    #[must_use]
    pub fn simple(ty: Type) -> Shape {
        Shape { kind: Kind::Simple(ty), max_elements: None }
    }

    /// A list of at most `max_elements`.
    #[must_use]
    pub fn list(element: Shape, max_elements: u64) -> Shape {
        Shape {
            kind: Kind::List { element: Arc::new(element), order: Order::Matters },
            max_elements: Some(max_elements),
        }
    }

    /// A map of at most `max_elements` entries.
    #[must_use]
    pub fn map(key: Shape, value: Shape, max_elements: u64) -> Shape {
        Shape {
            kind: Kind::Map { key: Arc::new(key), value: Arc::new(value), uniform: false },
            max_elements: Some(max_elements),
        }
    }

    /// An object type. Fields go by the names that expressions use for them; `name` must be unique in an environment.
    pub fn object(name: &str, fields: impl IntoIterator<Item = (String, Field)>) -> Shape {
        let kind = Kind::Object { name: Arc::from(name), fields: fields.into_iter().collect() };
        Shape { kind, max_elements: Some(0) }
    }

    /// Anything, of unknown size.
    #[must_use]
    pub fn dynamic() -> &'static Shape {
        &DYN
    }

    /// The same with another largest size.
    #[must_use]
    pub fn with_max_elements(mut self, max_elements: u64) -> Shape {
        self.max_elements = Some(max_elements);
        self
    }

    /// The same list with another rule of equality.
    #[must_use]
    pub fn with_order(mut self, list_order: Order) -> Shape {
        if let Kind::List { order, .. } = &mut self.kind {
            *order = list_order;
        }
        self
    }

    /// The same map, of which cost estimates know that what is selected by name (`map.name`) is no larger than its
    /// largest value. Upstream knows this only of the attributes of devices.
    #[must_use]
    pub(crate) fn with_uniform_values(mut self) -> Shape {
        if let Kind::Map { uniform, .. } = &mut self.kind {
            *uniform = true;
        }
        self
    }

    /// What selection by a name leads to, as far as cost estimates know.
    pub(crate) fn selected(&self, name: &str) -> Option<&Arc<Shape>> {
        match &self.kind {
            Kind::Map { value, uniform: true, .. } => Some(value),
            Kind::Object { fields, .. } => fields.get(name).map(|field| &field.shape),
            _ => None,
        }
    }

    /// The type that the checker knows such values by.
    #[must_use]
    pub fn ty(&self) -> Type {
        match &self.kind {
            Kind::Simple(ty) => ty.clone(),
            Kind::List { element, .. } => Type::list(element.ty()),
            Kind::Map { key, value, .. } => Type::map(key.ty(), value.ty()),
            Kind::Object { name, .. } => Type::Object(Arc::clone(name)),
        }
    }

    pub(crate) fn max_elements(&self) -> Option<u64> {
        self.max_elements
    }

    /// What elements of lists and values of maps are.
    pub(crate) fn element(&self) -> Option<&Arc<Shape>> {
        match &self.kind {
            Kind::List { element, .. } => Some(element),
            Kind::Map { value, .. } => Some(value),
            _ => None,
        }
    }

    /// What keys of maps are.
    pub(crate) fn key(&self) -> Option<&Arc<Shape>> {
        match &self.kind {
            Kind::Map { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The declared field that expressions call `name`.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        match &self.kind {
            Kind::Object { fields, .. } => fields.get(name),
            _ => None,
        }
    }

    pub(crate) fn fields(&self) -> Option<&BTreeMap<String, Field>> {
        match &self.kind {
            Kind::Object { fields, .. } => Some(fields),
            _ => None,
        }
    }

    pub(crate) fn object_name(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::Object { name, .. } => Some(name),
            _ => None,
        }
    }

    pub(crate) fn order(&self) -> &Order {
        match &self.kind {
            Kind::List { order, .. } => order,
            _ => &Order::Matters,
        }
    }

    /// The type of a value without declared parts.
    pub(crate) fn simple_type(&self) -> Option<&Type> {
        match &self.kind {
            Kind::Simple(ty) => Some(ty),
            _ => None,
        }
    }

    /// Adds this and all object types in it to `objects`.
    pub(crate) fn collect_objects(self: &Arc<Self>, objects: &mut BTreeMap<Arc<str>, Arc<Shape>>) {
        match &self.kind {
            Kind::Simple(_) => {}
            Kind::List { element, .. } => element.collect_objects(objects),
            Kind::Map { key, value, .. } => {
                key.collect_objects(objects);
                value.collect_objects(objects);
            }
            Kind::Object { name, fields } => {
                objects.insert(Arc::clone(name), Arc::clone(self));
                for field in fields.values() {
                    field.shape.collect_objects(objects);
                }
            }
        }
    }
}
