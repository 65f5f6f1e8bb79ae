//! The values that expressions compute with. Values borrow from the caller's data and from the program where they can.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use machinery::quantity::Quantity;
use machinery::semver::Version;

use crate::authorizer::Access;
use crate::collection::{Entries, List, Map};
use crate::fault::Fault;
use crate::format::NamedFormat;
use crate::network::Cidr;
use crate::time::{Duration, Timestamp};
use crate::url::Url;

/// A CEL value.
// The tag takes a whole word so that values are moved word by word; a quarter of the time goes into moving them.
#[derive(Clone)]
#[repr(u64)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// A text.
    String(Shared<'a, str>),
    /// A sequence of bytes.
    Bytes(Shared<'a, [u8]>),
    /// A span of time.
    Duration(Duration),
    /// A point in time.
    Timestamp(Timestamp),
    /// A type, by its name.
    Type(Shared<'a, str>),
    /// A list.
    List(List<'a>),
    /// A map, or an object with declared fields.
    Map(Map<'a>),
    /// A value that may be absent.
    Optional(Option<Arc<Value<'a>>>),
    /// An amount (Kubernetes).
    Quantity(Shared<'a, Quantity>),
    /// A semantic version (Kubernetes).
    Semver(Shared<'a, Version>),
    /// A parsed URL (Kubernetes).
    Url(Arc<Url>),
    /// An IP address (Kubernetes).
    Ip(Arc<IpAddr>),
    /// A range of IP addresses (Kubernetes).
    Cidr(Arc<Cidr>),
    /// A named format of strings (Kubernetes).
    Format(&'static NamedFormat),
    /// A question about access, or its answer (Kubernetes).
    Access(Arc<Access>),
}

/// Something borrowed for as long as the evaluation lasts, or shared.
pub enum Shared<'a, T: ?Sized> {
    /// Lives in the caller's data or in the program.
    Borrowed(&'a T),
    /// Made during the evaluation.
    Owned(Arc<T>),
    /// As [`Shared::Owned`], of other values of its type.
    Computed(Arc<T>),
}

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Shared::Borrowed(value) => Shared::Borrowed(value),
            Shared::Owned(value) => Shared::Owned(Arc::clone(value)),
            Shared::Computed(value) => Shared::Computed(Arc::clone(value)),
        }
    }
}

impl<T: ?Sized> Deref for Shared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Shared::Borrowed(value) => value,
            Shared::Owned(value) | Shared::Computed(value) => value,
        }
    }
}

impl<'a> Value<'a> {
    /// A text that the caller keeps.
    #[must_use]
    pub fn text(text: &'a str) -> Value<'a> {
        Value::String(Shared::Borrowed(text))
    }

    /// A text made on the way.
    pub(crate) fn string(text: impl Into<Arc<str>>) -> Value<'a> {
        Value::String(Shared::Owned(text.into()))
    }

    pub(crate) fn bytes(bytes: impl Into<Arc<[u8]>>) -> Value<'a> {
        Value::Bytes(Shared::Owned(bytes.into()))
    }

    /// A list of values made on the way.
    #[must_use]
    pub fn list(values: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Owned(Arc::new(values)))
    }

    /// The same value, borrowed where that is cheaper than sharing.
    pub(crate) fn reborrow<'v>(&'v self) -> Value<'v> {
        match self {
            Value::String(text) => Value::String(Shared::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Shared::Borrowed(bytes)),
            Value::Type(name) => Value::Type(Shared::Borrowed(name)),
            Value::Quantity(quantity @ (Shared::Borrowed(_) | Shared::Owned(_))) => {
                Value::Quantity(Shared::Borrowed(quantity))
            }
            Value::Semver(version) => Value::Semver(Shared::Borrowed(version)),
            other => other.clone(),
        }
    }

    /// The same value, borrowing from nobody.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Uint(value) => Value::Uint(value),
            Value::Double(value) => Value::Double(value),
            Value::String(text) => Value::string(&*text),
            Value::Bytes(bytes) => Value::bytes(&*bytes),
            Value::Duration(duration) => Value::Duration(duration),
            Value::Timestamp(time) => Value::Timestamp(time),
            Value::Type(name) => Value::Type(Shared::Owned(Arc::from(&*name))),
            Value::List(list) => Value::list(list.iter().map(Value::into_owned).collect()),
            Value::Map(map) => {
                let mut entries = Entries::default();
                for (key, value) in map.entries() {
                    // What was a key stays one.
                    _ = entries.insert(key.into_owned(), value.into_owned());
                }
                Value::Map(Map::Owned(Arc::new(entries)))
            }
            Value::Optional(inner) => Value::Optional(inner.map(|inner| Arc::new((*inner).clone().into_owned()))),
            Value::Quantity(Shared::Computed(quantity)) => Value::Quantity(Shared::Computed(quantity)),
            Value::Quantity(quantity) => Value::Quantity(Shared::Owned(Arc::new((*quantity).clone()))),
            Value::Semver(version) => Value::Semver(Shared::Owned(Arc::new((*version).clone()))),
            Value::Url(url) => Value::Url(url),
            Value::Ip(address) => Value::Ip(address),
            Value::Cidr(cidr) => Value::Cidr(cidr),
            Value::Format(format) => Value::Format(format),
            Value::Access(access) => Value::Access(access),
        }
    }

    /// An optional with this value.
    #[must_use]
    pub fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    /// The name of the value's type at run time.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Type(_) => "type",
            Value::List(_) => "list",
            Value::Map(map) => map.type_name().unwrap_or("map"),
            Value::Optional(_) => "optional_type",
            Value::Quantity(_) => QUANTITY,
            Value::Semver(_) => SEMVER,
            Value::Url(_) => URL,
            Value::Ip(_) => IP,
            Value::Cidr(_) => CIDR,
            Value::Format(_) => FORMAT,
            Value::Access(access) => access.type_name(),
        }
    }

    /// The name of the Go type that holds such a value in cel-go; a few messages show it.
    pub(crate) fn go_type(&self) -> &'static str {
        match self {
            Value::Null => "types.Null",
            Value::Bool(_) => "types.Bool",
            Value::Int(_) => "types.Int",
            Value::Uint(_) => "types.Uint",
            Value::Double(_) => "types.Double",
            Value::String(_) => "types.String",
            Value::Bytes(_) => "types.Bytes",
            Value::Duration(_) => "types.Duration",
            Value::Timestamp(_) => "types.Timestamp",
            Value::Type(_) => "*types.Type",
            Value::List(_) => "*types.baseList",
            Value::Map(_) => "*types.baseMap",
            Value::Optional(_) => "*types.Optional",
            Value::Quantity(_) => "cel.Quantity",
            Value::Semver(_) => "cel.Semver",
            Value::Url(_) => "cel.URL",
            Value::Ip(_) => "cel.IP",
            Value::Cidr(_) => "cel.CIDR",
            Value::Format(_) => "*cel.Format",
            Value::Access(_) => "library.authorizerVal",
        }
    }

    /// The truth that this stands for where upstream converts a result to one: that of an optional, or an error in its
    /// words.
    pub(crate) fn as_bool(&self) -> Result<bool, Fault> {
        let name = self.type_name();
        self.to_bool()
            .map_err(|why| Fault::error(format!("CEL result of type {name} could not be converted to bool: {why}")))
    }

    fn to_bool(&self) -> Result<bool, String> {
        let from = |name: &str| Err(format!("type conversion error from {name} to 'bool'"));
        match self {
            Value::Bool(value) => Ok(*value),
            Value::Optional(None) => Err("optional.none() dereference".to_owned()),
            Value::Optional(Some(value)) => value.to_bool(),
            Value::Int(_) | Value::Uint(_) => {
                Err(format!("unsupported type conversion from '{}' to bool", self.type_name()))
            }
            Value::String(_) => Err("unsupported native conversion from string to 'bool'".to_owned()),
            Value::Type(_) => Err("type conversion not supported for 'type'".to_owned()),
            Value::Double(_) => from("Double"),
            Value::Bytes(_) => from("Bytes"),
            Value::List(_) => from("list"),
            Value::Map(_) => from("map"),
            Value::Null => from("'null_type'"),
            Value::Duration(_) => from("'Duration'"),
            Value::Timestamp(_) => from("'Timestamp'"),
            Value::Format(_) => from("'Format'"),
            Value::Quantity(_) | Value::Semver(_) | Value::Url(_) | Value::Ip(_) | Value::Cidr(_) => {
                from(&format!("'{}'", self.go_type().trim_start_matches("cel.")))
            }
            Value::Access(_) => from(&format!("'{}'", self.type_name())),
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What `size()` says: characters, bytes, elements or entries; addresses have the size of their bytes.
    pub(crate) fn size(&self) -> Option<u64> {
        let size = match self {
            Value::String(text) => text.chars().count(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.len(),
            Value::Map(map) => map.len(),
            Value::Ip(address) => address_size(**address),
            Value::Cidr(cidr) => usize::from(cidr.bits()).div_ceil(8),
            _ => return None,
        };
        Some(size as u64)
    }

    /// Whether this is the zero or empty value of its type.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Int(value) => *value == 0,
            Value::Uint(value) => *value == 0,
            Value::Double(value) => *value == 0.0,
            Value::String(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::Duration(duration) => duration.nanoseconds() == 0,
            Value::Timestamp(time) => time.is_zero(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

/// Bytes of an address.
fn address_size(address: IpAddr) -> usize {
    if address.is_ipv4() { 4 } else { 16 }
}

/// Type names of the authorizer library.
pub(crate) const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub(crate) const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub(crate) const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub(crate) const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub(crate) const DECISION: &str = "kubernetes.authorization.Decision";
/// Type name of quantities.
pub(crate) const QUANTITY: &str = "kubernetes.Quantity";
/// Type name of semantic versions.
pub(crate) const SEMVER: &str = "kubernetes.Semver";
/// Type name of URLs.
pub(crate) const URL: &str = "kubernetes.URL";
/// Type name of IP addresses.
pub(crate) const IP: &str = "net.IP";
/// Type name of ranges of IP addresses.
pub(crate) const CIDR: &str = "net.CIDR";
/// Type name of named formats.
pub(crate) const FORMAT: &str = "kubernetes.NamedFormat";

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl fmt::Display for Value<'_> {
    /// As cel-go prints values in messages (Go's `%v`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL_VALUE"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Uint(value) => write!(f, "{value}"),
            Value::Double(value) => f.write_str(&crate::number::general(*value)),
            Value::String(text) | Value::Type(text) => f.write_str(text),
            Value::Bytes(bytes) => write!(f, "{:?}", &**bytes),
            Value::Duration(duration) => write!(f, "{duration}"),
            Value::Timestamp(time) => write!(f, "{time}"),
            Value::List(list) => write_sequence(f, '[', list.iter(), ']'),
            Value::Map(map) => {
                f.write_str("{")?;
                for (index, (key, value)) in map.entries().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Value::Optional(Some(value)) => write!(f, "optional({value})"),
            Value::Optional(None) => f.write_str("optional.none()"),
            Value::Quantity(quantity) => write!(f, "{}", &**quantity),
            Value::Semver(version) => write!(f, "{}", &**version),
            Value::Url(url) => write!(f, "{url}"),
            Value::Ip(address) => write!(f, "{address}"),
            Value::Cidr(cidr) => write!(f, "{cidr}"),
            Value::Format(format) => f.write_str(format.name()),
            Value::Access(access) => f.write_str(access.type_name()),
        }
    }
}

fn write_sequence<'a>(
    f: &mut fmt::Formatter<'_>,
    open: char,
    values: impl Iterator<Item = Value<'a>>,
    close: char,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (index, value) in values.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{value}")?;
    }
    write!(f, "{close}")
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({self})", self.type_name())
    }
}
