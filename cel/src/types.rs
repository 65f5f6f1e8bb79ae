//! The types that the checker reasons about.

use std::fmt;
use std::sync::Arc;

/// A CEL type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Known at run time only.
    Dyn,
    /// As [`Type::Dyn`], for values of Kubernetes' untyped fields (`google.protobuf.Any`). Not iterable.
    Any,
    /// The type of something that failed to check.
    Error,
    /// `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`, 64 bits.
    Int,
    /// `uint`, 64 bits.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// A span of time.
    Duration,
    /// A point in time.
    Timestamp,
    /// The type of a type, where known.
    Type(Option<Arc<Type>>),
    /// A list and the type of its elements.
    List(Arc<Type>),
    /// A map, the type of its keys and that of its values.
    Map(Arc<(Type, Type)>),
    /// A value that may be absent (`optional_type`).
    Optional(Arc<Type>),
    /// A scalar that may also be null (`wrapper(int)`).
    Nullable(Arc<Type>),
    /// A type whose fields, if any, the environment declares.
    Object(Arc<str>),
    /// A type of a library, without fields.
    Opaque(&'static str),
    /// Stands for any type, the same one wherever this number occurs.
    Variable(u32),
}

/// `A` in declarations.
pub(crate) const A: Type = Type::Variable(0);
/// `B` in declarations.
pub(crate) const B: Type = Type::Variable(1);
/// Variables below this are those of declarations.
pub(crate) const FIRST_FREE: u32 = 8;

impl Type {
    /// A list of `element`s.
    #[must_use]
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    /// A map from `key`s to `value`s.
    #[must_use]
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new((key, value)))
    }

    /// An optional `inner`.
    #[must_use]
    pub fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner))
    }

    /// A scalar that may be null.
    #[must_use]
    pub fn nullable(inner: Type) -> Type {
        Type::Nullable(Arc::new(inner))
    }

    /// The type of fields declared under `name`.
    #[must_use]
    pub fn object(name: &str) -> Type {
        Type::Object(Arc::from(name))
    }

    /// The type of the type `inner`.
    #[must_use]
    pub fn type_of(inner: Type) -> Type {
        Type::Type(Some(Arc::new(inner)))
    }

    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Type::Dyn | Type::Any)
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        self.is_dyn() || *self == Type::Error
    }

    /// The inner type if this is optional, else this type; and whether it was.
    pub(crate) fn unwrap_optional(&self) -> (&Type, bool) {
        match self {
            Type::Optional(inner) => (inner, true),
            other => (other, false),
        }
    }

    /// Whether every value has the same, small size.
    pub(crate) fn is_scalar(&self) -> bool {
        match self {
            Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
            Type::Nullable(inner) => inner.is_scalar(),
            Type::Optional(inner) => inner.is_scalar(),
            _ => false,
        }
    }

    /// The name without parameters.
    pub(crate) fn name(&self) -> &str {
        match self {
            Type::Dyn => "dyn",
            Type::Any => "google.protobuf.Any",
            Type::Error => "error",
            Type::Null => "null_type",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Duration => "google.protobuf.Duration",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::Type(_) => "type",
            Type::List(_) => "list",
            Type::Map(_) => "map",
            Type::Optional(_) => "optional_type",
            Type::Nullable(inner) => inner.name(),
            Type::Object(name) => name,
            Type::Opaque(name) => name,
            Type::Variable(_) => "_var",
        }
    }

    /// As messages about the result of an expression name the type: `map(string, google.protobuf.Any)`.
    #[must_use]
    pub fn declared_name(&self) -> String {
        match self {
            Type::List(element) => format!("list({})", element.declared_name()),
            Type::Map(entry) => format!("map({}, {})", entry.0.declared_name(), entry.1.declared_name()),
            Type::Optional(inner) => format!("optional_type({})", inner.declared_name()),
            Type::Nullable(inner) => format!("wrapper({})", inner.declared_name()),
            Type::Type(Some(inner)) => format!("type({})", inner.declared_name()),
            Type::Variable(number) => format!("<_var{number}>"),
            other => other.name().to_owned(),
        }
    }
}

impl fmt::Display for Type {
    /// As type errors name the type: `map(string, any)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Duration => f.write_str("duration"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Error => f.write_str("!error!"),
            Type::Null => f.write_str("null"),
            Type::List(element) => write!(f, "list({element})"),
            Type::Map(entry) => write!(f, "map({}, {})", entry.0, entry.1),
            Type::Optional(inner) => write!(f, "optional_type({inner})"),
            Type::Nullable(inner) => write!(f, "wrapper({inner})"),
            Type::Type(Some(inner)) => write!(f, "type({inner})"),
            Type::Variable(number) => write!(f, "_var{}", number.saturating_sub(FIRST_FREE)),
            other => f.write_str(other.name()),
        }
    }
}

/// Replaces every declared or bound variable by what `binding` says; unbound ones stay.
pub(crate) fn replace(ty: &Type, binding: &dyn Fn(u32) -> Option<Type>) -> Type {
    match ty {
        Type::Variable(number) => binding(*number).unwrap_or_else(|| ty.clone()),
        Type::List(element) => Type::list(replace(element, binding)),
        Type::Map(entry) => Type::map(replace(&entry.0, binding), replace(&entry.1, binding)),
        Type::Optional(inner) => Type::optional(replace(inner, binding)),
        Type::Type(Some(inner)) => Type::type_of(replace(inner, binding)),
        other => other.clone(),
    }
}

/// Whether a declared type has variables.
pub(crate) fn is_generic(ty: &Type) -> bool {
    match ty {
        Type::Variable(_) => true,
        Type::List(inner) | Type::Optional(inner) | Type::Type(Some(inner)) => is_generic(inner),
        Type::Map(entry) => is_generic(&entry.0) || is_generic(&entry.1),
        _ => false,
    }
}
