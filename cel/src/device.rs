//! Device selectors of `resource.k8s.io`: the variable `device`, and devices as selectors see them.
//!
//! Attributes and capacities are grouped by domain; names without a domain belong to the driver's. A domain that no
//! name mentions is an empty group, so that only the name within it can be missing.

use std::sync::Arc;

use machinery::quantity::Quantity;
use machinery::semver::Version;

use crate::collection::{List, Map, Mapping, Sequence};
use crate::cost::Range;
use crate::declaration::Library;
use crate::eval::Activation;
use crate::fault::Fault;
use crate::library::versions;
use crate::minor::Minor;
use crate::relation::equal;
use crate::shape::{Field, Shape};
use crate::source::Issues;
use crate::types::Type;
use crate::value::{QUANTITY, Shared, Value};
use crate::{Budget, Checked, Environment, Program};

/// Largest cost of a selector, as estimated before it is stored and as spent on one device (resource.k8s.io API).
pub const MAX_COST: u64 = 1_000_000;
/// Attributes and capacities that a device may have together.
const MAX_NAMES: u64 = 32;
/// Characters of a string or version attribute.
const MAX_VALUE: u64 = 64;
/// Values of a list attribute.
const MAX_VALUES: usize = 48;
/// Characters of a domain, and of a driver's name.
const MAX_DOMAIN: u64 = 63;
/// Characters of a name within a domain.
const MAX_ID: u64 = 32;

/// What selectors may use, by the feature gates of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// `DRAConsumableCapacity`: `device.allowMultipleAllocations`.
    pub consumable_capacity: bool,
    /// `DRAListTypeAttributes`: attributes that are lists, and `includes`.
    pub list_type_attributes: bool,
    /// The release whose functions there are.
    pub minor: Minor,
}

impl Features {
    /// Whether expressions see attributes that are lists.
    #[must_use]
    pub fn reads_list_attributes(&self) -> bool {
        self.list_type_attributes || self.minor.reads_list_attributes()
    }
}

/// Compiles device selectors.
#[derive(Clone, Debug)]
pub struct SelectorCompiler {
    environment: Environment,
    attribute: Type,
}

/// Why a selector is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorError {
    /// It does not parse or type-check.
    Compilation(Issues),
    /// Its result cannot be a boolean.
    NotBoolean(Type),
    /// Its result cannot be the value of an attribute.
    NotScalar(Type),
    /// A constant in it cannot be converted.
    Instantiation(Fault),
}

impl std::fmt::Display for SelectorError {
    /// Upstream's text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SelectorError::Compilation(issues) => write!(f, "compilation failed: {issues}"),
            SelectorError::NotBoolean(ty) => {
                write!(f, "must evaluate to bool or the unknown type, not {}", ty.declared_name())
            }
            SelectorError::NotScalar(ty) => {
                let wanted = "a primitive scalar (string, integer, boolean, semver) or a list of these scalars";
                write!(f, "must evaluate to {wanted}, not {}", ty.declared_name())
            }
            SelectorError::Instantiation(fault) => write!(f, "program instantiation failed: {fault}"),
        }
    }
}

impl std::error::Error for SelectorError {}

/// A compiled selector.
#[derive(Debug)]
pub struct Selector {
    checked: Checked,
    program: Program,
}

impl SelectorCompiler {
    /// For expressions that are about to be stored: only what the gates allow, and what the release before knows too.
    #[must_use]
    pub fn for_new(features: Features) -> SelectorCompiler {
        SelectorCompiler::with(features, Features { minor: features.minor.compatible(), ..features })
    }

    /// For expressions that are stored already: all that some server with these gates may have accepted. Before 1.37 the
    /// gate for list attributes still decides what attributes are taken for.
    #[must_use]
    pub fn for_stored(features: Features) -> SelectorCompiler {
        let lists = Features { list_type_attributes: features.reads_list_attributes(), ..features };
        SelectorCompiler::with(lists, Features { consumable_capacity: true, list_type_attributes: true, ..features })
    }

    fn with(features: Features, allowed: Features) -> SelectorCompiler {
        let attribute = if features.list_type_attributes { Type::Dyn } else { Type::Any };
        let device = device_shape(attribute.clone(), allowed.consumable_capacity);
        let mut environment = Environment::of(allowed.minor).with_variable(VARIABLE, device).with_binding();
        if !allowed.minor.has_versions() {
            environment = environment.with_library(versions::declare_first);
        }
        if allowed.list_type_attributes {
            environment = environment.with_library(declare_includes);
        }
        SelectorCompiler { environment, attribute }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Compiles a selector.
    pub fn compile(&self, source: &str) -> Result<Selector, SelectorError> {
        let checked = self.environment.check(source).map_err(SelectorError::Compilation)?;
        let ty = checked.output_type();
        if *ty != Type::Bool && *ty != Type::Any && *ty != self.attribute {
            return Err(SelectorError::NotBoolean(ty.clone()));
        }
        let program = checked.program().map_err(SelectorError::Instantiation)?;
        Ok(Selector { checked, program })
    }
}

pub use crate::device_names::DeviceName;

impl Selector {
    pub(crate) fn root(&self) -> &crate::ast::Expr {
        &self.checked.root
    }

    /// The estimated cost in the worst case, in CEL cost units.
    #[must_use]
    pub fn max_cost(&self) -> u64 {
        self.checked.max_cost()
    }

    /// Whether the device has what the selector asks for. Pays from the budget; see [`MAX_COST`].
    pub fn matches(&self, device: &Device, budget: &mut Budget<'_>) -> Result<bool, Fault> {
        match self.program.eval(device, budget)? {
            Value::Bool(matches) => Ok(matches),
            other => other.as_bool(),
        }
    }
}

const VARIABLE: &str = "device";

fn device_shape(attribute: Type, multiple: bool) -> Shape {
    let text = |length| Shape::simple(Type::String).with_max_elements(length);
    let group = |value: Shape| Shape::map(text(MAX_ID), value, MAX_NAMES);
    let grouped = |group: Shape| Shape::map(text(MAX_DOMAIN), group, MAX_NAMES);
    let attributes = group(Shape::simple(attribute).with_max_elements(MAX_VALUE)).with_uniform_values();
    let mut fields = vec![
        field("driver", text(MAX_DOMAIN)),
        field("attributes", grouped(attributes)),
        field("capacity", grouped(group(Shape::simple(Type::object(QUANTITY)).with_max_elements(0)))),
    ];
    if multiple {
        fields.push(field("allowMultipleAllocations", Shape::simple(Type::Bool).with_max_elements(1)));
    }
    Shape::object("kubernetes.DRADevice", fields)
}

fn field(name: &str, shape: Shape) -> (String, Field) {
    (name.to_owned(), Field { name: name.to_owned(), shape: Arc::new(shape) })
}

fn declare_includes(library: &mut Library) {
    library.member("includes", "dra_includes_dyn_dyn", [Type::Dyn, Type::Dyn], Type::Bool, includes);
}

/// The worst case that the estimate assumes for `includes`.
pub(crate) const INCLUDES_ESTIMATE: Range = Range { min: 0, max: MAX_VALUES as u64 };
/// Whether a list has an element, or a single value is it.
fn includes<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let [target, wanted] = args else { return Err(Fault::no_overload()) };
    let Value::List(list) = target else { return Ok(Value::Bool(equal(target, wanted))) };
    for (index, element) in list.iter().enumerate() {
        if index >= MAX_VALUES {
            let message = format!("'includes' function cannot be applied to lists longer than {MAX_VALUES} values");
            return Err(Fault::error(message));
        }
        if equal(&element, wanted) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `int`.
    Int(i64),
    /// `bool`.
    Bool(bool),
    /// `string`.
    String(String),
    /// `version`.
    Version(Version),
    /// `ints`.
    Ints(Vec<i64>),
    /// `bools`.
    Bools(Vec<bool>),
    /// `strings`.
    Strings(Vec<String>),
    /// `versions`.
    Versions(Vec<Version>),
}

impl Attribute {
    /// Whether this is one of the list types of `DRAListTypeAttributes`.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self, Attribute::Ints(_) | Attribute::Bools(_) | Attribute::Strings(_) | Attribute::Versions(_))
    }

    fn value(&self) -> Value<'_> {
        match self {
            Attribute::Int(value) => Value::Int(*value),
            Attribute::Bool(value) => Value::Bool(*value),
            Attribute::String(text) => Value::text(text),
            Attribute::Version(version) => Value::Semver(Shared::Borrowed(version)),
            Attribute::Ints(values) => Value::List(List::Borrowed(values)),
            Attribute::Bools(values) => Value::List(List::Borrowed(values)),
            Attribute::Strings(values) => Value::List(List::Borrowed(values)),
            Attribute::Versions(values) => Value::List(List::Borrowed(values)),
        }
    }
}

macro_rules! sequence {
    ($element:ty, $value:ident => $expression:expr) => {
        impl Sequence for Vec<$element> {
            fn len(&self) -> usize {
                Vec::len(self)
            }

            fn get(&self, index: usize) -> Option<Value<'_>> {
                <[$element]>::get(self, index).map(|$value| $expression)
            }
        }
    };
}

sequence!(i64, value => Value::Int(*value));
sequence!(bool, value => Value::Bool(*value));
sequence!(String, value => Value::text(value));
sequence!(Version, value => Value::Semver(Shared::Borrowed(value)));

/// A device as selectors see it.
#[derive(Clone, Debug)]
pub struct Device {
    root: Root,
}

#[derive(Clone, Debug)]
struct Root {
    driver: String,
    allow_multiple_allocations: bool,
    attributes: Domains<Attribute>,
    capacity: Domains<Quantity>,
}

impl Device {
    /// A device of a driver, without attributes and capacity.
    #[must_use]
    pub fn new(driver: &str, allow_multiple_allocations: bool) -> Device {
        let (attributes, capacity) = (Domains::default(), Domains::default());
        Device { root: Root { driver: driver.to_owned(), allow_multiple_allocations, attributes, capacity } }
    }

    /// The device with the attributes that it publishes. Fails, in upstream's words, for an attribute without a value
    /// that the features know.
    pub fn with_attributes<'n>(
        mut self,
        features: Features,
        attributes: impl IntoIterator<Item = (&'n str, Option<Attribute>)>,
    ) -> Result<Device, Fault> {
        for (name, attribute) in attributes {
            match attribute {
                Some(value) if features.reads_list_attributes() || !value.is_list() => self.set_attribute(name, value),
                _ => return Err(Fault::error(format!("attribute {name}: unsupported attribute value"))),
            }
        }
        Ok(self)
    }

    /// Adds or replaces an attribute. A name without domain belongs to the driver.
    pub fn set_attribute(&mut self, name: &str, value: Attribute) {
        let (domain, id) = qualified(name, &self.root.driver);
        self.root.attributes.insert(domain, id, value);
    }

    /// Adds or replaces a capacity. A name without domain belongs to the driver.
    pub fn set_capacity(&mut self, name: &str, value: Quantity) {
        let (domain, id) = qualified(name, &self.root.driver);
        self.root.capacity.insert(domain, id, value);
    }
}

/// Domain and name within it.
fn qualified<'n>(name: &'n str, driver: &'n str) -> (&'n str, &'n str) {
    name.split_once('/').unwrap_or((driver, name))
}

impl Activation for Device {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        (name == VARIABLE).then_some(Value::Map(Map::Borrowed(&self.root)))
    }
}

impl Root {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "driver" => Value::text(&self.driver),
            "allowMultipleAllocations" => Value::Bool(self.allow_multiple_allocations),
            "attributes" => Value::Map(Map::Borrowed(&self.attributes)),
            "capacity" => Value::Map(Map::Borrowed(&self.capacity)),
            _ => return None,
        })
    }
}

const FIELDS: [&str; 4] = ["allowMultipleAllocations", "attributes", "capacity", "driver"];

impl Mapping for Root {
    fn len(&self) -> usize {
        FIELDS.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        self.field(key.as_str()?)
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        let name = FIELDS.get(index)?;
        Some((Value::text(name), self.field(name)?))
    }
}

/// Values by domain and name, both sorted.
#[derive(Clone, Debug)]
struct Domains<T> {
    groups: Vec<(String, Group<T>)>,
    /// What is found under a domain that has nothing.
    empty: Group<T>,
}

#[derive(Clone, Debug)]
struct Group<T> {
    values: Vec<(String, T)>,
}

impl<T> Default for Domains<T> {
    fn default() -> Self {
        Domains { groups: Vec::new(), empty: Group { values: Vec::new() } }
    }
}

impl<T> Domains<T> {
    fn insert(&mut self, domain: &str, id: &str, value: T) {
        let at = match self.groups.binary_search_by(|(name, _)| name.as_str().cmp(domain)) {
            Ok(at) => at,
            Err(at) => {
                self.groups.insert(at, (domain.to_owned(), Group { values: Vec::new() }));
                at
            }
        };
        let Some((_, group)) = self.groups.get_mut(at) else { return };
        match group.values.binary_search_by(|(name, _)| name.as_str().cmp(id)) {
            Ok(at) => {
                if let Some((_, old)) = group.values.get_mut(at) {
                    *old = value;
                }
            }
            Err(at) => group.values.insert(at, (id.to_owned(), value)),
        }
    }

    fn group(&self, domain: &str) -> Option<&Group<T>> {
        self.groups.iter().find(|(name, _)| name == domain).map(|(_, group)| group)
    }
}

impl<T: Sync> Mapping for Domains<T>
where
    Group<T>: Mapping,
{
    fn len(&self) -> usize {
        self.groups.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        let group = self.group(key.as_str()?).unwrap_or(&self.empty);
        Some(Value::Map(Map::Borrowed(group)))
    }

    fn contains(&self, key: &Value<'_>) -> bool {
        key.as_str().is_some_and(|domain| self.group(domain).is_some())
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        self.groups.get(index).map(|(name, group)| (Value::text(name), Value::Map(Map::Borrowed(group))))
    }
}

impl<T> Group<T> {
    fn get(&self, key: &Value<'_>) -> Option<&T> {
        let id = key.as_str()?;
        self.values.iter().find(|(name, _)| name == id).map(|(_, value)| value)
    }
}

impl Mapping for Group<Attribute> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        self.get(key).map(Attribute::value)
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        self.values.get(index).map(|(name, value)| (Value::text(name), value.value()))
    }
}

impl Mapping for Group<Quantity> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        self.get(key).map(|value| Value::Quantity(Shared::Borrowed(value)))
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        let (name, value) = self.values.get(index)?;
        Some((Value::text(name), Value::Quantity(Shared::Borrowed(value))))
    }
}
