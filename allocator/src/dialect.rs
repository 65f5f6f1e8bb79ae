//! The vocabularies of device selectors: compiling them, and devices as each of them sees them.

use api::hub::{Attribute, Device, Environment, Selector};
use cel::{
    Budget, Fault, Minor,
    attribute_map::{MapAttribute, MapDevice, MapSelector, MapSelectorCompiler},
    derived::DerivedAttribute,
    device::{self, MAX_COST, SelectorCompiler},
    named_resources::{NamedAttribute, NamedInstance, NamedSelector, NamedSelectorCompiler},
    typed_attributes::{TypedAttribute, TypedDevice, TypedSelector, TypedSelectorCompiler},
};
use machinery::semver::Version;

use crate::features::Features;

/// Compiles selectors of all vocabularies.
pub struct Compiler {
    features: device::Features,
    device: SelectorCompiler,
    typed: TypedSelectorCompiler,
    map: MapSelectorCompiler,
    named: NamedSelectorCompiler,
}

/// A compiled selector.
pub struct Compiled(Kind);

enum Kind {
    Device(device::Selector, device::Features),
    Typed(TypedSelector),
    Map(MapSelector),
    Named(NamedSelector),
}

/// Selectors of dra-evolution see the zero value of its type where a device has no value, as the prototype documents.
const STRICT: bool = false;

impl Compiler {
    /// A compiler for what some server with these features may have accepted.
    pub fn new(features: &Features) -> Self {
        let features = device::Features {
            consumable_capacity: features.consumable_capacity,
            list_type_attributes: features.list_type_attributes,
            minor: Minor::of(features.release.minor()),
        };
        Self {
            features,
            device: SelectorCompiler::for_stored(features),
            typed: TypedSelectorCompiler::default(),
            map: MapSelectorCompiler::default(),
            named: NamedSelectorCompiler::default(),
        }
    }

    /// Compiles an expression for an attribute.
    ///
    /// # Errors
    /// The text of the compile error.
    pub(crate) fn compile_derivation(&self, source: &str) -> Result<Derivation, String> {
        let expression = self.device.compile_attribute(source).map_err(|error| error.to_string())?;
        Ok(Derivation { expression, features: self.features })
    }

    /// Compiles a selector.
    ///
    /// # Errors
    /// The text of the compile error.
    pub fn compile(&self, selector: &Selector) -> Result<Compiled, String> {
        let source = selector.expression.as_deref().unwrap_or_default();
        match selector.environment {
            Environment::Device => match self.device.compile(source) {
                Ok(selector) => Ok(Compiled(Kind::Device(selector, self.features))),
                Err(error) => Err(error.to_string()),
            },
            Environment::TypedAttributes => self
                .typed
                .compile(source)
                .map(|selector| Compiled(Kind::Typed(selector)))
                .map_err(|error| error.to_string()),
            Environment::AttributeMap => self
                .map
                .compile(source)
                .map(|selector| Compiled(Kind::Map(selector)))
                .map_err(|error| error.to_string()),
            Environment::NamedResources => self
                .named
                .compile(source)
                .map(|selector| Compiled(Kind::Named(selector)))
                .map_err(|error| error.to_string()),
        }
    }
}

/// A compiled expression for an attribute.
pub(crate) struct Derivation {
    expression: DerivedAttribute,
    features: device::Features,
}

impl Derivation {
    /// The value for a device.
    ///
    /// # Errors
    /// The text of the run-time error.
    pub(crate) fn value(&self, driver: &str, device: &Device) -> Result<Attribute, String> {
        let device = as_device(driver, device, self.features)?;
        let value = self.expression.value(&device, &mut Budget::new(MAX_COST)).map_err(|fault| fault.to_string())?;
        Ok(match value {
            device::Attribute::Int(value) => Attribute::Int(value),
            device::Attribute::Bool(value) => Attribute::Bool(value),
            device::Attribute::String(value) => Attribute::String(value),
            device::Attribute::Version(version) => Attribute::Version(version.to_string()),
            device::Attribute::Ints(values) => Attribute::Ints(values),
            device::Attribute::Bools(values) => Attribute::Bools(values),
            device::Attribute::Strings(values) => Attribute::Strings(values),
            device::Attribute::Versions(values) => {
                Attribute::Versions(values.iter().map(ToString::to_string).collect())
            }
        })
    }
}

/// Why a selector has no answer about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// The text of the run-time error.
    pub text: String,
    /// Which byte of the selector it is about, where that can be told.
    pub at: Option<usize>,
}

impl From<String> for RunError {
    fn from(text: String) -> Self {
        Self { text, at: None }
    }
}

impl From<Fault> for RunError {
    fn from(fault: Fault) -> Self {
        Self { text: fault.to_string(), at: fault.offset().byte() }
    }
}

impl Compiled {
    /// Whether the device matches.
    ///
    /// # Errors
    /// The run-time error.
    pub fn matches(&self, driver: &str, device: &Device) -> Result<bool, RunError> {
        let mut budget = Budget::new(MAX_COST);
        let answer = match &self.0 {
            Kind::Device(selector, features) => selector.matches(&as_device(driver, device, *features)?, &mut budget),
            Kind::Typed(selector) => selector.matches(&as_typed(driver, device)?, &mut budget),
            Kind::Map(selector) => selector.matches(&as_map(device), &mut budget),
            Kind::Named(selector) => selector.matches(&as_named(device)?, &mut budget),
        };
        answer.map_err(RunError::from)
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| format!("parse semantic version: {error}"))
}

/// A device for `resource.k8s.io/v1` selectors.
fn as_device(driver: &str, device: &Device, features: device::Features) -> Result<device::Device, String> {
    let mut attributes = Vec::with_capacity(device.attributes.len());
    for (name, attribute) in &device.attributes {
        let versions = |texts: &[String]| -> Result<Vec<Version>, String> {
            texts
                .iter()
                .map(|text| version(text))
                .collect::<Result<_, _>>()
                .map_err(|text| format!("attribute {name}: {text}"))
        };
        let value = match attribute {
            Attribute::Int(value) => Some(device::Attribute::Int(*value)),
            Attribute::Bool(value) => Some(device::Attribute::Bool(*value)),
            Attribute::String(value) => Some(device::Attribute::String(value.clone())),
            Attribute::Version(text) => versions(std::slice::from_ref(text))?.pop().map(device::Attribute::Version),
            Attribute::Ints(values) => Some(device::Attribute::Ints(values.clone())),
            Attribute::Bools(values) => Some(device::Attribute::Bools(values.clone())),
            Attribute::Strings(values) => Some(device::Attribute::Strings(values.clone())),
            Attribute::Versions(_) if !features.reads_list_attributes() => None,
            Attribute::Versions(texts) => Some(device::Attribute::Versions(versions(texts)?)),
            Attribute::Quantity(_) | Attribute::Unknown => None,
        };
        attributes.push((name.as_str(), value));
    }
    let converted = device::Device::new(driver, device.allow_multiple_allocations);
    let mut converted = converted.with_attributes(features, attributes).map_err(|fault| fault.to_string())?;
    for (name, capacity) in &device.capacity {
        converted.set_capacity(name, capacity.value.clone());
    }
    Ok(converted)
}

/// A device for selectors of dra-evolution, which has no lists.
fn as_typed(driver: &str, device: &Device) -> Result<TypedDevice, String> {
    let mut attributes = Vec::with_capacity(device.attributes.len());
    for (name, attribute) in &device.attributes {
        let value = match attribute {
            Attribute::Int(value) => TypedAttribute::Int(*value),
            Attribute::Bool(value) => TypedAttribute::Bool(*value),
            Attribute::String(text) => TypedAttribute::String(text.clone()),
            Attribute::Quantity(quantity) => TypedAttribute::Quantity(quantity.clone()),
            Attribute::Version(text) => TypedAttribute::Version(
                version(text)
                    .map_err(|error| format!("extract attributes with type version: attribute \"{name}\": {error}"))?,
            ),
            _ => continue,
        };
        attributes.push((name.as_str(), value));
    }
    Ok(TypedDevice::new(driver, STRICT, attributes))
}

/// A device for selectors of k8srm, which has no lists.
fn as_map(device: &Device) -> MapDevice {
    let value = |attribute: &Attribute| match attribute {
        Attribute::Int(value) => Some(MapAttribute::Int(*value)),
        Attribute::Bool(value) => Some(MapAttribute::Bool(*value)),
        Attribute::String(text) | Attribute::Version(text) => Some(MapAttribute::String(text.clone())),
        Attribute::Quantity(quantity) => Some(MapAttribute::Quantity(quantity.clone())),
        _ => None,
    };
    MapDevice::new(device.attributes.iter().filter_map(|(name, attribute)| Some((name.as_str(), value(attribute)?))))
}

/// An instance for selectors of the named resources model.
fn as_named(device: &Device) -> Result<NamedInstance, String> {
    let mut attributes = Vec::with_capacity(device.attributes.len());
    for (name, attribute) in &device.attributes {
        let value = match attribute {
            Attribute::Quantity(quantity) => NamedAttribute::Quantity(quantity.clone()),
            Attribute::Bool(value) => NamedAttribute::Bool(*value),
            Attribute::Int(value) => NamedAttribute::Int(*value),
            Attribute::Ints(values) => NamedAttribute::Ints(values.clone()),
            Attribute::String(text) => NamedAttribute::String(text.clone()),
            Attribute::Strings(texts) => NamedAttribute::Strings(texts.clone()),
            Attribute::Version(text) => NamedAttribute::Version(version(text)?),
            _ => continue,
        };
        attributes.push((name.as_str(), value));
    }
    Ok(NamedInstance::new(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use machinery::quantity::Quantity;

    fn device() -> Device {
        let attributes = [
            ("model", Attribute::String("foozer-1000".into())),
            ("nic.k8s.io/pf", Attribute::String("pf-0".into())),
            ("memory", Attribute::Quantity(Quantity::parse("16Gi").unwrap())),
            ("numa", Attribute::Int(1)),
            ("sriov", Attribute::Bool(true)),
            ("firmware", Attribute::Version("1.8.2".into())),
        ];
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Device { attributes, ..Device::default() }
    }

    fn answer(environment: Environment, expression: &str) -> Result<bool, String> {
        let selector = Selector { expression: Some(expression.to_owned()), environment };
        let compiled = Compiler::new(&Features::of_minor(36)).compile(&selector)?;
        compiled.matches("foo.example.com", &device()).map_err(|error| error.text)
    }

    #[test]
    fn attributes_have_a_map_per_type() {
        for (expression, expected) in [
            ("device.driverName == 'foo.example.com'", true),
            ("device.stringAttributes['model'] == 'foozer-1000'", true),
            ("device.stringAttributes['foo.example.com/model'] == 'foozer-1000'", true),
            ("device.stringAttributes['nic.k8s.io/pf'] == 'pf-0'", true),
            ("device.stringAttributes['memory'] == ''", true),
            ("'model' in device.stringAttributes && !('memory' in device.stringAttributes)", true),
            ("device.quantityAttributes['memory'].compareTo(quantity('8Gi')) > 0", true),
            ("device.quantityAttributes['none'].isGreaterThan(quantity('0'))", false),
            ("device.versionAttributes['firmware'].major() == 1", true),
            ("device.versionAttributes['none'].major() == 0", true),
            ("device.boolAttributes['sriov'] && !device.boolAttributes['none']", true),
            ("device.attributes['model'] == 'foozer-1000' && device.attributes['none'] == null", true),
            ("'foo.example.com/model' in device.attributes", true),
            ("device.stringAttributes.exists(name, name == 'model')", true),
        ] {
            assert_eq!(answer(Environment::TypedAttributes, expression), Ok(expected), "{expression}");
        }
        let error = answer(Environment::TypedAttributes, "device.attributes['model']").unwrap_err();
        assert!(error.contains("must evaluate to bool"), "{error}");
        let error = answer(Environment::TypedAttributes, "?!").unwrap_err();
        assert!(error.starts_with("compilation failed: ") && error.contains("Syntax error"), "{error}");
    }

    #[test]
    fn attributes_are_one_map_without_types() {
        for (expression, expected) in [
            ("device.model == 'foozer-1000'", Ok(true)),
            ("device.firmware == '1.8.2'", Ok(true)),
            ("device.numa > 0 && device.sriov", Ok(true)),
            ("device.memory.isLessThan(quantity('8Gi'))", Ok(false)),
            ("device['nic.k8s.io/pf'] == 'pf-0'", Ok(true)),
            ("device.none == 'x'", Err("no such key: none".to_owned())),
        ] {
            assert_eq!(answer(Environment::AttributeMap, expression), expected, "{expression}");
        }
    }

    #[test]
    fn attributes_of_unknown_type_are_errors() {
        let error = answer(Environment::Device, "true").unwrap_err();
        assert_eq!(error, "attribute memory: unsupported attribute value");
        let old =
            Device { attributes: [("v".to_owned(), Attribute::Version("1.0".into()))].into(), ..Device::default() };
        for environment in [Environment::Device, Environment::TypedAttributes] {
            let selector = Selector { expression: Some("true".into()), environment };
            let compiled = Compiler::new(&Features::default()).compile(&selector).unwrap();
            assert!(compiled.matches("d", &old).unwrap_err().text.contains("parse semantic version: "));
        }
    }
}
