//! Device selectors as they come in: compiled once to see whether they may be stored.

use api::hub::Environment;
use cel::{
    Minor,
    attribute_map::MapSelectorCompiler,
    device::{Features, SelectorCompiler},
    named_resources::NamedSelectorCompiler,
    typed_attributes::TypedSelectorCompiler,
};

use crate::feature_gates::FeatureGates;

/// Compilers of every vocabulary, made when the first selector comes in.
pub(crate) struct Selectors {
    device: SelectorCompiler,
    typed: TypedSelectorCompiler,
    map: MapSelectorCompiler,
    named: NamedSelectorCompiler,
}

impl Selectors {
    /// Compilers for a server with these gates.
    pub(crate) fn new(gates: &FeatureGates) -> Self {
        let features = Features {
            consumable_capacity: gates.enabled("DRAConsumableCapacity"),
            list_type_attributes: gates.enabled("DRAListTypeAttributes"),
            minor: Minor::of(gates.release().minor()),
        };
        Self {
            device: SelectorCompiler::for_new(features),
            typed: TypedSelectorCompiler::default(),
            map: MapSelectorCompiler::default(),
            named: NamedSelectorCompiler::default(),
        }
    }

    /// The estimated worst-case cost of an expression for an attribute.
    ///
    /// # Errors
    /// Why it cannot be compiled, in upstream's words.
    pub(crate) fn check_derived_attribute(&self, expression: &str) -> Result<u64, String> {
        let compiled = self.device.compile_attribute(expression);
        compiled.map(|attribute| attribute.max_cost()).map_err(|error| error.to_string())
    }

    /// The estimated worst-case cost of a selector. The prototypes set no limit, so that theirs cost nothing.
    ///
    /// # Errors
    /// Why it cannot be compiled, in upstream's words.
    pub(crate) fn check(&self, expression: &str, environment: Environment) -> Result<u64, String> {
        match environment {
            Environment::Device => {
                self.device.compile(expression).map(|selector| selector.max_cost()).map_err(|error| error.to_string())
            }
            Environment::TypedAttributes => {
                self.typed.compile(expression).map(|_| 0).map_err(|error| error.to_string())
            }
            Environment::AttributeMap => self.map.compile(expression).map(|_| 0).map_err(|error| error.to_string()),
            Environment::NamedResources => self.named.compile(expression).map(|_| 0).map_err(|error| error.to_string()),
        }
    }
}
