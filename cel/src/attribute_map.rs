//! Device selectors of the k8srm prototype: one variable `device`, a map from the names of attributes to their values.
//!
//! Upstream cannot evaluate selectors that look at a quantity; here they work. Versions are texts.

use machinery::quantity::Quantity;

use crate::collection::{Map, Mapping};
use crate::eval::Activation;
use crate::fault::Fault;
use crate::shape::Shape;
use crate::types::Type;
use crate::value::{Shared, Value};
use crate::{Budget, Environment, Issues, Program};

/// Compiles selectors of the prototype.
#[derive(Clone, Debug)]
pub struct MapSelectorCompiler {
    environment: Environment,
}

/// A compiled selector.
#[derive(Debug)]
pub struct MapSelector {
    program: Program,
}

/// Why a selector is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapSelectorError {
    /// It does not parse or type-check.
    Compilation(Issues),
    /// Its result cannot be a boolean.
    NotBoolean(Type),
    /// A constant in it cannot be converted.
    Instantiation(Fault),
}

impl std::fmt::Display for MapSelectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MapSelectorError::Compilation(issues) => write!(f, "compilation failed: {issues}"),
            MapSelectorError::NotBoolean(ty) => write!(f, "must evaluate to bool, not {}", ty.declared_name()),
            MapSelectorError::Instantiation(fault) => write!(f, "program instantiation failed: {fault}"),
        }
    }
}

impl std::error::Error for MapSelectorError {}

const VARIABLE: &str = "device";

impl Default for MapSelectorCompiler {
    fn default() -> Self {
        let device = Shape::simple(Type::Dyn);
        MapSelectorCompiler { environment: Environment::base().with_variable(VARIABLE, device) }
    }
}

impl MapSelectorCompiler {
    /// Compiles a selector.
    pub fn compile(&self, source: &str) -> Result<MapSelector, MapSelectorError> {
        let checked = self.environment.check(source).map_err(MapSelectorError::Compilation)?;
        let ty = checked.output_type();
        if !matches!(ty, Type::Bool | Type::Dyn) {
            return Err(MapSelectorError::NotBoolean(ty.clone()));
        }
        let program = checked.program().map_err(MapSelectorError::Instantiation)?;
        Ok(MapSelector { program })
    }
}

impl MapSelector {
    /// Whether the device has what the selector asks for. A missing attribute is an error.
    pub fn matches(&self, device: &MapDevice, budget: &mut Budget<'_>) -> Result<bool, Fault> {
        match self.program.eval(device, budget)? {
            Value::Bool(matches) => Ok(matches),
            other => other.as_bool(),
        }
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum MapAttribute {
    /// `stringValue`, and `semVerValue` as it is written.
    String(String),
    /// `intValue`.
    Int(i64),
    /// `quantityValue`.
    Quantity(Quantity),
    /// A truth value, which the prototype does not have.
    Bool(bool),
}

impl MapAttribute {
    fn value(&self) -> Value<'_> {
        match self {
            MapAttribute::String(text) => Value::text(text),
            MapAttribute::Int(value) => Value::Int(*value),
            MapAttribute::Quantity(quantity) => Value::Quantity(Shared::Borrowed(quantity)),
            MapAttribute::Bool(value) => Value::Bool(*value),
        }
    }
}

/// A device as the prototype's selectors see it.
#[derive(Clone, Debug, Default)]
pub struct MapDevice {
    attributes: Vec<(String, MapAttribute)>,
}

impl MapDevice {
    /// A device with its attributes, by the names they were published under.
    pub fn new<'n>(attributes: impl IntoIterator<Item = (&'n str, MapAttribute)>) -> MapDevice {
        MapDevice { attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }
}

impl Activation for MapDevice {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        (name == VARIABLE).then_some(Value::Map(Map::Borrowed(self)))
    }
}

impl Mapping for MapDevice {
    fn len(&self) -> usize {
        self.attributes.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        let key = key.as_str()?;
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.value())
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        self.attributes.get(index).map(|(name, value)| (Value::text(name), value.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(source: &str) -> Result<bool, String> {
        let selector = MapSelectorCompiler::default().compile(source).map_err(|error| error.to_string())?;
        let device = MapDevice::new([
            ("vendor", MapAttribute::String("example.com".into())),
            ("bandwidth", MapAttribute::Quantity(Quantity::parse("10Gi").expect("a quantity"))),
            ("numa", MapAttribute::Int(1)),
        ]);
        selector.matches(&device, &mut Budget::unlimited()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn attributes_go_by_their_names() {
        assert_eq!(matches("device.vendor == 'example.com' && device.numa > 0"), Ok(true));
        assert_eq!(matches("device['bandwidth'].isLessThan(quantity('1Gi'))"), Ok(false));
        assert_eq!(matches("device.model == 'x'"), Err("no such key: model".to_owned()));
        assert_eq!(matches("has(device.model)"), Ok(false));
        assert_eq!(matches("1"), Err("must evaluate to bool, not int".to_owned()));
    }
}
