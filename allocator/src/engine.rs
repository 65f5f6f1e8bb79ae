//! CEL as the engine of selectors.

use api::hub::{Attribute, Device, Environment, Selector};
use cel::{
    Budget,
    device::{self, MAX_COST, SelectorCompiler},
};
use machinery::semver::Version;

use crate::{
    features::Features,
    selector::{Engine, Matcher},
};

/// The engine that compiles selectors of stored objects, in the vocabulary in which each is written.
pub fn cel(features: &Features) -> Box<dyn Engine> {
    let features = device::Features {
        consumable_capacity: features.consumable_capacity,
        list_type_attributes: features.list_type_attributes,
    };
    Box::new(Cel { features, compiler: SelectorCompiler::for_stored(features) })
}

struct Cel {
    features: device::Features,
    compiler: SelectorCompiler,
}

impl Engine for Cel {
    fn compile(&self, selector: &Selector) -> Result<Box<dyn Matcher>, String> {
        let expression = selector.expression.as_deref().unwrap_or_default();
        match selector.environment {
            Environment::Device => {
                let selector = self.compiler.compile(expression).map_err(|error| error.to_string())?;
                Ok(Box::new(OnDevice { selector, features: self.features }))
            }
            Environment::TypedAttributes | Environment::AttributeMap => {
                Err("selectors of this generation cannot be evaluated".to_owned())
            }
        }
    }
}

/// A selector of `resource.k8s.io`.
struct OnDevice {
    selector: device::Selector,
    features: device::Features,
}

impl Matcher for OnDevice {
    fn matches(&self, driver: &str, device: &Device) -> Result<bool, String> {
        let attributes = device.attributes.iter().map(|(name, value)| (name.as_str(), attribute(value)));
        let mut seen = device::Device::new(driver, device.allow_multiple_allocations)
            .with_attributes(self.features, attributes)
            .map_err(|fault| fault.to_string())?;
        for (name, capacity) in &device.capacity {
            seen.set_capacity(name, capacity.value.clone());
        }
        self.selector.matches(&seen, &mut Budget::new(MAX_COST)).map_err(|fault| fault.to_string())
    }
}

/// The value of an attribute as CEL sees it; `None` for one that no selector can see.
fn attribute(value: &Attribute) -> Option<device::Attribute> {
    let versions = |texts: &[String]| texts.iter().map(|text| Version::parse(text).ok()).collect::<Option<Vec<_>>>();
    Some(match value {
        Attribute::Int(number) => device::Attribute::Int(*number),
        Attribute::Bool(truth) => device::Attribute::Bool(*truth),
        Attribute::String(text) => device::Attribute::String(text.clone()),
        Attribute::Version(text) => device::Attribute::Version(Version::parse(text).ok()?),
        Attribute::Ints(numbers) => device::Attribute::Ints(numbers.clone()),
        Attribute::Bools(truths) => device::Attribute::Bools(truths.clone()),
        Attribute::Strings(texts) => device::Attribute::Strings(texts.clone()),
        Attribute::Versions(texts) => device::Attribute::Versions(versions(texts)?),
        Attribute::Quantity(_) | Attribute::Unknown => return None,
    })
}
