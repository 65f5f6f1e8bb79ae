//! What an expression may use: variables, the objects they hold, and functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checker::{self, Checked};
use crate::declaration::Library;
use crate::library;
use crate::minor::Minor;
use crate::mutation;
use crate::parser;
use crate::shape::Shape;
use crate::source::Issues;
use crate::types::Type;

/// Declares what expressions may use, and compiles them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Environment {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    variables: BTreeMap<String, Arc<Shape>>,
    objects: BTreeMap<Arc<str>, Arc<Shape>>,
    library: Arc<Library>,
    binding: bool,
    minor: Minor,
    mutation: bool,
}

impl Environment {
    /// The environment that all of Kubernetes' expressions share, without variables.
    #[must_use]
    pub fn base() -> Environment {
        Environment::of(Minor::LATEST)
    }

    /// The same as it is in a release.
    #[must_use]
    pub fn of(minor: Minor) -> Environment {
        let inner = Inner {
            variables: BTreeMap::new(),
            objects: BTreeMap::new(),
            library: Arc::clone(library::base(minor)),
            binding: false,
            minor,
            mutation: false,
        };
        Environment { inner: Arc::new(inner) }
    }

    /// The same with one more variable. Object types within its shape become known.
    #[must_use]
    pub fn with_variable(mut self, name: &str, shape: Shape) -> Environment {
        let inner = Arc::make_mut(&mut self.inner);
        let shape = Arc::new(shape);
        shape.collect_objects(&mut inner.objects);
        inner.variables.insert(name.to_owned(), shape);
        self
    }

    /// The same with the macro `cel.bind(name, value, expression)`.
    #[must_use]
    pub fn with_binding(mut self) -> Environment {
        Arc::make_mut(&mut self.inner).binding = true;
        self
    }

    /// The same with what changes objects: the types `Object`, `Object.spec` and so on, whose fields may be anything, and
    /// `JSONPatch`.
    #[must_use]
    pub fn with_mutation(mut self) -> Environment {
        let inner = Arc::make_mut(&mut self.inner);
        inner.mutation = true;
        Arc::new(mutation::json_patch_shape()).collect_objects(&mut inner.objects);
        self.with_library(mutation::declare)
    }

    /// Whether a name is that of a type of objects to apply, whose fields may be anything.
    pub(crate) fn is_applied_object(&self, name: &str) -> bool {
        self.inner.mutation && mutation::is_applied_object(name)
    }

    /// The same with more functions.
    pub(crate) fn with_library(mut self, extend: impl FnOnce(&mut Library)) -> Environment {
        let inner = Arc::make_mut(&mut self.inner);
        extend(Arc::make_mut(&mut inner.library));
        self
    }

    /// Parses and checks an expression.
    pub fn check(&self, source: &str) -> Result<Checked, Issues> {
        let parsed = parser::parse(source, self.inner.binding, self.inner.minor)?;
        checker::check(self, source, parsed)
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Arc<Shape>> {
        self.inner.variables.get(name)
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Arc<Shape>> {
        self.inner.objects.get(name)
    }

    pub(crate) fn library(&self) -> &Arc<Library> {
        &self.inner.library
    }

    /// The type that a name stands for where it is used as a value.
    pub(crate) fn type_named(&self, name: &str) -> Option<Type> {
        Some(match name {
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "double" => Type::Double,
            "int" => Type::Int,
            "list" => Type::list(Type::Dyn),
            "map" => Type::map(Type::Dyn, Type::Dyn),
            "null_type" => Type::Null,
            "string" => Type::String,
            "type" => Type::Type(None),
            "uint" => Type::Uint,
            "optional_type" => Type::optional(Type::Dyn),
            "google.protobuf.Duration" => Type::Duration,
            "google.protobuf.Timestamp" => Type::Timestamp,
            _ => match library::type_named(name) {
                Some(ty) => ty,
                None if self.is_applied_object(name) => Type::object(name),
                None => Type::Object(Arc::clone(self.inner.objects.get_key_value(name)?.0)),
            },
        })
    }
}
