//! Device selectors of the dra-evolution prototype: one variable for each type of attribute
//! (`device.stringAttributes["vendor"]`), one for all of them, and one for the driver's name.
//!
//! An attribute is found by the name it was published under, with its driver before it (`driver/name`) and, as the
//! prototype once had it, with its driver after it (`name.driver`). An attribute that is missing has the zero value of
//! its type, as the prototype documents; strictly, it is an error, as the prototype does.

use std::sync::LazyLock;

use machinery::quantity::Quantity;
use machinery::semver::Version;

use crate::collection::{Map, Mapping};
use crate::eval::Activation;
use crate::fault::Fault;
use crate::shape::Shape;
use crate::types::Type;
use crate::value::{QUANTITY, SEMVER, Shared, Value};
use crate::{Budget, Environment, Issues, Program};

/// Compiles selectors of the prototype.
#[derive(Clone, Debug)]
pub struct TypedSelectorCompiler {
    environment: Environment,
}

/// A compiled selector.
#[derive(Debug)]
pub struct TypedSelector {
    program: Program,
}

/// Why a selector is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypedSelectorError {
    /// It does not parse or type-check.
    Compilation(Issues),
    /// Its result is no boolean.
    NotBoolean,
    /// A constant in it cannot be converted.
    Instantiation(Fault),
}

impl std::fmt::Display for TypedSelectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TypedSelectorError::Compilation(issues) => write!(f, "compilation failed: {issues}"),
            TypedSelectorError::NotBoolean => f.write_str("must evaluate to bool"),
            TypedSelectorError::Instantiation(fault) => write!(f, "program instantiation failed: {fault}"),
        }
    }
}

impl std::error::Error for TypedSelectorError {}

impl Default for TypedSelectorCompiler {
    fn default() -> Self {
        let map = |ty: Type| Shape::map(Shape::simple(Type::String), Shape::simple(ty), u64::MAX);
        let environment = Environment::base()
            .with_variable(QUANTITIES, map(Type::object(QUANTITY)))
            .with_variable(BOOLS, map(Type::Bool))
            .with_variable(STRINGS, map(Type::String))
            .with_variable(VERSIONS, map(Type::object(SEMVER)))
            .with_variable(ALL, map(Type::Any))
            .with_variable(DRIVER, Shape::simple(Type::String));
        TypedSelectorCompiler { environment }
    }
}

impl TypedSelectorCompiler {
    /// Compiles a selector, whose result must be known to be a boolean.
    pub fn compile(&self, source: &str) -> Result<TypedSelector, TypedSelectorError> {
        let checked = self.environment.check(source).map_err(TypedSelectorError::Compilation)?;
        if *checked.output_type() != Type::Bool {
            return Err(TypedSelectorError::NotBoolean);
        }
        let program = checked.program().map_err(TypedSelectorError::Instantiation)?;
        Ok(TypedSelector { program })
    }
}

impl TypedSelector {
    /// Whether the device has what the selector asks for. The prototype sets no limit to the cost.
    pub fn matches(&self, device: &TypedDevice, budget: &mut Budget<'_>) -> Result<bool, Fault> {
        match self.program.eval(device, budget)? {
            Value::Bool(matches) => Ok(matches),
            _ => Err(Fault::error("must evaluate to bool")),
        }
    }
}

const QUANTITIES: &str = "device.quantityAttributes";
const BOOLS: &str = "device.boolAttributes";
const STRINGS: &str = "device.stringAttributes";
const VERSIONS: &str = "device.versionAttributes";
const ALL: &str = "device.attributes";
const DRIVER: &str = "device.driverName";

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedAttribute {
    /// `quantity`.
    Quantity(Quantity),
    /// `bool`.
    Bool(bool),
    /// `string`.
    String(String),
    /// `version`.
    Version(Version),
    /// `int`, which has no variable of its own.
    Int(i64),
}

impl TypedAttribute {
    fn value(&self) -> Value<'_> {
        match self {
            TypedAttribute::Quantity(quantity) => Value::Quantity(Shared::Borrowed(quantity)),
            TypedAttribute::Bool(value) => Value::Bool(*value),
            TypedAttribute::String(text) => Value::text(text),
            TypedAttribute::Version(version) => Value::Semver(Shared::Borrowed(version)),
            TypedAttribute::Int(value) => Value::Int(*value),
        }
    }

    fn is_of(&self, kind: Kind) -> bool {
        match self {
            TypedAttribute::Quantity(_) => matches!(kind, Kind::Quantity | Kind::All),
            TypedAttribute::Bool(_) => matches!(kind, Kind::Bool | Kind::All),
            TypedAttribute::String(_) => matches!(kind, Kind::String | Kind::All),
            TypedAttribute::Version(_) => matches!(kind, Kind::Version | Kind::All),
            TypedAttribute::Int(_) => kind == Kind::All,
        }
    }
}

/// Which attributes a variable shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quantity,
    Bool,
    String,
    Version,
    All,
}

/// A device as the prototype's selectors see it.
#[derive(Clone, Debug)]
pub struct TypedDevice {
    driver: String,
    quantities: View,
    bools: View,
    strings: View,
    versions: View,
    all: View,
}

/// The attributes that one variable shows.
#[derive(Clone, Debug)]
struct View {
    kind: Kind,
    strict: bool,
    driver: String,
    attributes: Vec<(String, TypedAttribute)>,
}

impl TypedDevice {
    /// A device of a driver with its attributes. `strict` makes missing attributes errors.
    pub fn new<'n>(
        driver: &str,
        strict: bool,
        attributes: impl IntoIterator<Item = (&'n str, TypedAttribute)>,
    ) -> TypedDevice {
        let attributes: Vec<(String, TypedAttribute)> =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let view = |kind: Kind| View {
            kind,
            strict,
            driver: driver.to_owned(),
            attributes: attributes.iter().filter(|(_, value)| value.is_of(kind)).cloned().collect(),
        };
        TypedDevice {
            driver: driver.to_owned(),
            quantities: view(Kind::Quantity),
            bools: view(Kind::Bool),
            strings: view(Kind::String),
            versions: view(Kind::Version),
            all: view(Kind::All),
        }
    }
}

impl Activation for TypedDevice {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        let view = match name {
            QUANTITIES => &self.quantities,
            BOOLS => &self.bools,
            STRINGS => &self.strings,
            VERSIONS => &self.versions,
            ALL => &self.all,
            DRIVER => return Some(Value::text(&self.driver)),
            _ => return None,
        };
        Some(Value::Map(Map::Borrowed(view)))
    }
}

static NO_QUANTITY: LazyLock<Quantity> = LazyLock::new(Quantity::default);
static NO_VERSION: LazyLock<Option<Version>> = LazyLock::new(|| Version::parse("0.0.0").ok());

impl View {
    fn get(&self, wanted: &str) -> Option<&TypedAttribute> {
        let exact = self.attributes.iter().find(|(name, _)| name == wanted);
        let found = exact.or_else(|| self.attributes.iter().find(|(name, _)| self.is_called(name, wanted)));
        found.map(|(_, value)| value)
    }

    /// Whether one of two names is the other with the driver's name added.
    fn is_called(&self, published: &str, wanted: &str) -> bool {
        let short = |name: &'_ str| {
            let before = name.strip_prefix(&self.driver).and_then(|rest| rest.strip_prefix('/'));
            let after = || name.strip_suffix(&self.driver).and_then(|rest| rest.strip_suffix('.'));
            before.or_else(after).map_or_else(|| name.to_owned(), str::to_owned)
        };
        short(published) == short(wanted)
    }

    /// What a missing attribute counts as.
    fn default(&self) -> Option<Value<'_>> {
        if self.strict {
            return None;
        }
        Some(match self.kind {
            Kind::Quantity => Value::Quantity(Shared::Borrowed(&NO_QUANTITY)),
            Kind::Bool => Value::Bool(false),
            Kind::String => Value::text(""),
            Kind::Version => Value::Semver(Shared::Borrowed(NO_VERSION.as_ref()?)),
            Kind::All => Value::Null,
        })
    }
}

impl Mapping for View {
    fn len(&self) -> usize {
        self.attributes.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        match self.get(key.as_str()?) {
            Some(attribute) => Some(attribute.value()),
            None => self.default(),
        }
    }

    fn contains(&self, key: &Value<'_>) -> bool {
        key.as_str().is_some_and(|name| self.get(name).is_some())
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        self.attributes.get(index).map(|(name, value)| (Value::text(name), value.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(strict: bool) -> TypedDevice {
        let attributes = [
            ("vendor", TypedAttribute::String("example.com".into())),
            ("gpu.example.com/model", TypedAttribute::String("a100".into())),
            ("other.example.com/model", TypedAttribute::String("x".into())),
            ("memory", TypedAttribute::Quantity(Quantity::parse("40Gi").expect("a quantity"))),
            ("firmware", TypedAttribute::Version(Version::parse("1.8.2").expect("a version"))),
            ("sriov", TypedAttribute::Bool(true)),
        ];
        TypedDevice::new("gpu.example.com", strict, attributes)
    }

    fn matches(source: &str, strict: bool) -> Result<bool, String> {
        let selector = TypedSelectorCompiler::default().compile(source).map_err(|error| error.to_string())?;
        selector.matches(&device(strict), &mut Budget::unlimited()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn attributes_have_several_names() {
        for source in [
            "device.driverName == 'gpu.example.com'",
            "device.stringAttributes['vendor'] == 'example.com'",
            "device.stringAttributes['gpu.example.com/vendor'] == 'example.com'",
            "device.stringAttributes['vendor.gpu.example.com'] == 'example.com'",
            "device.stringAttributes['model'] == 'a100'",
            "device.stringAttributes['other.example.com/model'] == 'x'",
            "device.attributes['model'] == 'a100'",
            "device.quantityAttributes['memory'].compareTo(quantity('10Gi')) >= 0",
            "device.versionAttributes['firmware'].isGreaterThan(semver('1.0.0'))",
            "device.boolAttributes['sriov'] && 'sriov' in device.attributes",
            "!('none' in device.attributes)",
        ] {
            assert_eq!(matches(source, true), Ok(true), "{source}");
        }
    }

    #[test]
    fn missing_attributes_are_zero_or_errors() {
        for source in [
            "device.stringAttributes['none'] == ''",
            "!device.boolAttributes['none']",
            "sign(device.quantityAttributes['none']) == 0",
            "device.versionAttributes['none'].compareTo(semver('0.0.0')) == 0",
            "device.attributes['none'] == null",
        ] {
            assert_eq!(matches(source, false), Ok(true), "{source}");
            assert_eq!(matches(source, true), Err("no such key: none".to_owned()), "{source}");
        }
    }

    #[test]
    fn refuses_what_is_not_known_to_be_boolean() {
        assert_eq!(matches("device.attributes['vendor']", false), Err("must evaluate to bool".to_owned()));
        assert!(matches("?!", false).is_err_and(|error| error.starts_with("compilation failed: ")));
    }
}
