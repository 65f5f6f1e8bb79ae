//! Device selectors of the named resources model, the first structured parameters (Kubernetes 1.30, KEP-4381): one variable
//! for each type of attribute (`attributes.string["model"]`). A missing attribute is an error.

use machinery::{quantity::Quantity, semver::Version};

use crate::collection::{List, Map, Mapping};
use crate::eval::Activation;
use crate::fault::Fault;
use crate::shape::Shape;
use crate::types::Type;
use crate::value::{QUANTITY, SEMVER, Shared, Value};
use crate::{Budget, Environment, Issues, Program};

/// Compiles selectors of the model.
#[derive(Clone, Debug)]
pub struct NamedSelectorCompiler {
    environment: Environment,
}

/// A compiled selector.
#[derive(Debug)]
pub struct NamedSelector {
    program: Program,
}

/// Why a selector is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedSelectorError {
    /// It does not parse or type-check.
    Compilation(Issues),
    /// Its result is no boolean.
    NotBoolean,
    /// A constant in it cannot be converted.
    Instantiation(Fault),
}

impl std::fmt::Display for NamedSelectorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NamedSelectorError::Compilation(issues) => write!(f, "compilation failed: {issues}"),
            NamedSelectorError::NotBoolean => f.write_str("must evaluate to bool"),
            NamedSelectorError::Instantiation(fault) => write!(f, "program instantiation failed: {fault}"),
        }
    }
}

impl std::error::Error for NamedSelectorError {}

impl Default for NamedSelectorCompiler {
    fn default() -> Self {
        let map = |element: Shape| Shape::map(Shape::simple(Type::String), element, u64::MAX);
        let list = |element: Type| Shape::list(Shape::simple(element), u64::MAX);
        let environment = Environment::base()
            .with_variable(KINDS[0], map(Shape::simple(Type::object(QUANTITY))))
            .with_variable(KINDS[1], map(Shape::simple(Type::Bool)))
            .with_variable(KINDS[2], map(Shape::simple(Type::Int)))
            .with_variable(KINDS[3], map(list(Type::Int)))
            .with_variable(KINDS[4], map(Shape::simple(Type::String)))
            .with_variable(KINDS[5], map(list(Type::String)))
            .with_variable(KINDS[6], map(Shape::simple(Type::object(SEMVER))));
        NamedSelectorCompiler { environment }
    }
}

impl NamedSelectorCompiler {
    /// Compiles a selector, whose result must be known to be a boolean.
    pub fn compile(&self, source: &str) -> Result<NamedSelector, NamedSelectorError> {
        let checked = self.environment.check(source).map_err(NamedSelectorError::Compilation)?;
        if *checked.output_type() != Type::Bool {
            return Err(NamedSelectorError::NotBoolean);
        }
        let program = checked.program().map_err(NamedSelectorError::Instantiation)?;
        Ok(NamedSelector { program })
    }
}

impl NamedSelector {
    /// Whether the instance has what the selector asks for.
    pub fn matches(&self, instance: &NamedInstance, budget: &mut Budget<'_>) -> Result<bool, Fault> {
        match self.program.eval(instance, budget)? {
            Value::Bool(matches) => Ok(matches),
            _ => Err(Fault::error("must evaluate to bool")),
        }
    }
}

/// The variables, in the order of `NamedAttribute::kind`.
const KINDS: [&str; 7] = [
    "attributes.quantity",
    "attributes.bool",
    "attributes.int",
    "attributes.intslice",
    "attributes.string",
    "attributes.stringslice",
    "attributes.version",
];

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum NamedAttribute {
    /// `quantity`.
    Quantity(Quantity),
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `intSlice`.
    Ints(Vec<i64>),
    /// `string`.
    String(String),
    /// `stringSlice`.
    Strings(Vec<String>),
    /// `version`.
    Version(Version),
}

impl NamedAttribute {
    /// Which variable shows it.
    fn kind(&self) -> usize {
        match self {
            NamedAttribute::Quantity(_) => 0,
            NamedAttribute::Bool(_) => 1,
            NamedAttribute::Int(_) => 2,
            NamedAttribute::Ints(_) => 3,
            NamedAttribute::String(_) => 4,
            NamedAttribute::Strings(_) => 5,
            NamedAttribute::Version(_) => 6,
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            NamedAttribute::Quantity(quantity) => Value::Quantity(Shared::Borrowed(quantity)),
            NamedAttribute::Bool(value) => Value::Bool(*value),
            NamedAttribute::Int(value) => Value::Int(*value),
            NamedAttribute::Ints(values) => Value::List(List::Borrowed(values)),
            NamedAttribute::String(text) => Value::text(text),
            NamedAttribute::Strings(texts) => Value::List(List::Borrowed(texts)),
            NamedAttribute::Version(version) => Value::Semver(Shared::Borrowed(version)),
        }
    }
}

/// An instance as selectors see it.
#[derive(Clone, Debug, Default)]
pub struct NamedInstance {
    views: [View; 7],
}

/// The attributes that one variable shows.
#[derive(Clone, Debug, Default)]
struct View(Vec<(String, NamedAttribute)>);

impl NamedInstance {
    /// An instance with its attributes.
    pub fn new<'n>(attributes: impl IntoIterator<Item = (&'n str, NamedAttribute)>) -> NamedInstance {
        let mut instance = NamedInstance::default();
        for (name, attribute) in attributes {
            instance.views[attribute.kind()].0.push((name.to_owned(), attribute));
        }
        instance
    }
}

impl Activation for NamedInstance {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        let kind = KINDS.iter().position(|kind| *kind == name)?;
        Some(Value::Map(Map::Borrowed(&self.views[kind])))
    }
}

impl Mapping for View {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn find(&self, key: &Value<'_>) -> Option<Value<'_>> {
        let wanted = key.as_str()?;
        self.0.iter().find(|(name, _)| name == wanted).map(|(_, attribute)| attribute.value())
    }

    fn entry(&self, index: usize) -> Option<(Value<'_>, Value<'_>)> {
        self.0.get(index).map(|(name, attribute)| (Value::text(name), attribute.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(source: &str) -> Result<bool, String> {
        let instance = NamedInstance::new([
            ("memory", NamedAttribute::Quantity(Quantity::parse("40Gi").expect("a quantity"))),
            ("sriov", NamedAttribute::Bool(true)),
            ("index", NamedAttribute::Int(3)),
            ("sizes", NamedAttribute::Ints(vec![1, 2])),
            ("model.name", NamedAttribute::String("a100".into())),
            ("modes", NamedAttribute::Strings(vec!["a".into(), "b".into()])),
            ("driver", NamedAttribute::Version(Version::parse("1.2.3").expect("a version"))),
        ]);
        let selector = NamedSelectorCompiler::default().compile(source).map_err(|error| error.to_string())?;
        selector.matches(&instance, &mut Budget::unlimited()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn every_type_has_a_variable() {
        for source in [
            "true",
            "attributes.quantity['memory'].isGreaterThan(quantity('10Gi'))",
            "attributes.bool['sriov'] && attributes.int['index'] == 3",
            "2 in attributes.intslice['sizes'] && attributes.intslice['sizes'].sum() == 3",
            "attributes.string['model.name'].startsWith('a')",
            "attributes.stringslice['modes'].exists(mode, mode == 'b')",
            "attributes.version['driver'].isGreaterThan(semver('1.0.0'))",
            "!('none' in attributes.string)",
        ] {
            assert_eq!(matches(source), Ok(true), "{source}");
        }
    }

    #[test]
    fn missing_attributes_and_other_types_are_errors() {
        assert_eq!(matches("attributes.string['none'] == ''"), Err("no such key: none".to_owned()));
        assert_eq!(matches("attributes.string['model.name']"), Err("must evaluate to bool".to_owned()));
        assert!(matches("device.driver == 'x'").is_err_and(|error| error.starts_with("compilation failed: ")));
    }
}
