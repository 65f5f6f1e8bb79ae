//! Attributes that a claim computes from a device (KEP-6080): expressions over `device` with a value of an attribute.

use crate::device::{Attribute, Device, SelectorCompiler, SelectorError};
use crate::fault::Fault;
use crate::types::Type;
use crate::value::{SEMVER, Value};
use crate::{Budget, Program};

/// A compiled expression for an attribute.
#[derive(Debug)]
pub struct DerivedAttribute {
    max_cost: u64,
    program: Program,
}

impl SelectorCompiler {
    /// Compiles an expression for an attribute: a string, number, truth value or version, or a list of these.
    pub fn compile_attribute(&self, source: &str) -> Result<DerivedAttribute, SelectorError> {
        let checked = self.environment().check(source).map_err(SelectorError::Compilation)?;
        let ty = checked.output_type();
        let fits = match ty {
            Type::List(element) => is_scalar(element),
            ty => is_scalar(ty),
        };
        if !fits {
            return Err(SelectorError::NotScalar(ty.clone()));
        }
        Ok(DerivedAttribute {
            max_cost: checked.max_cost(),
            program: checked.program().map_err(SelectorError::Instantiation)?,
        })
    }
}

fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::String | Type::Int | Type::Bool | Type::Any | Type::Dyn => true,
        Type::Object(name) => **name == *SEMVER,
        _ => false,
    }
}

impl DerivedAttribute {
    /// The estimated cost in the worst case, in CEL cost units.
    #[must_use]
    pub fn max_cost(&self) -> u64 {
        self.max_cost
    }

    /// The value for a device. Pays from the budget.
    pub fn value(&self, device: &Device, budget: &mut Budget<'_>) -> Result<Attribute, Fault> {
        let value = self.program.eval(device, budget)?;
        let name = value.type_name().to_owned();
        attribute(value).ok_or_else(|| {
            let wanted = "a primitive scalar (string, integer, boolean, semver) or a list of these scalars";
            Fault::error(format!("must evaluate to {wanted}, not {name}"))
        })
    }
}

fn attribute(value: Value<'_>) -> Option<Attribute> {
    let list = match value {
        Value::String(text) => return Some(Attribute::String(text.to_string())),
        Value::Int(number) => return Some(Attribute::Int(number)),
        Value::Bool(truth) => return Some(Attribute::Bool(truth)),
        Value::Semver(version) => return Some(Attribute::Version((*version).clone())),
        Value::List(list) => list,
        _ => return None,
    };
    macro_rules! all {
        ($variant:ident, $pattern:pat => $value:expr) => {
            list.iter()
                .map(|element| match element {
                    $pattern => Some($value),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()
                .map(Attribute::$variant)
        };
    }
    match list.get(0)? {
        Value::String(_) => all!(Strings, Value::String(text) => text.to_string()),
        Value::Int(_) => all!(Ints, Value::Int(number) => number),
        Value::Bool(_) => all!(Bools, Value::Bool(truth) => truth),
        Value::Semver(_) => all!(Versions, Value::Semver(version) => (*version).clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Features;

    fn value(source: &str) -> Result<Attribute, String> {
        let compiler = SelectorCompiler::for_stored(Features { list_type_attributes: true, ..Features::default() });
        let mut device = Device::new("d", false);
        device.set_attribute("model", Attribute::String("a-b".into()));
        let compiled = compiler.compile_attribute(source).map_err(|error| error.to_string())?;
        compiled.value(&device, &mut Budget::unlimited()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn expressions_have_values_of_attributes() {
        let model = "device.attributes['d'].model";
        assert_eq!(value(model), Ok(Attribute::String("a-b".into())));
        assert_eq!(value(&format!("size({model})")), Ok(Attribute::Int(3)));
        assert_eq!(value(&format!("{model} == 'x'")), Ok(Attribute::Bool(false)));
        assert_eq!(value(&format!("{model}.split('-')")), Ok(Attribute::Strings(vec!["a".into(), "b".into()])));
        assert_eq!(value("[1, 2]"), Ok(Attribute::Ints(vec![1, 2])));
        assert!(matches!(value("semver('1.2.3')"), Ok(Attribute::Version(_))));
        let wanted =
            "must evaluate to a primitive scalar (string, integer, boolean, semver) or a list of these scalars";
        assert_eq!(value("1.5").unwrap_err(), format!("{wanted}, not double"));
        assert!(value("dyn({'a': 1})").unwrap_err().starts_with(wanted));
        assert!(value("dyn([1, 'a'])").is_err());
    }
}
