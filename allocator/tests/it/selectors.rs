//! Just enough of CEL for selectors that are conjunctions of simple comparisons.

use allocator::selector::{Engine, Matcher};
use api::hub::{Attribute, Device, Selector};
use machinery::quantity::Quantity;

/// Compiles conjunctions.
pub(crate) struct Conjunctions {
    /// Lists are values.
    pub(crate) lists: bool,
}

struct Conjunction {
    terms: Vec<String>,
    lists: bool,
}

impl Engine for Conjunctions {
    fn compile(&self, selector: &Selector) -> Result<Box<dyn Matcher>, String> {
        let text = selector.expression.clone().unwrap_or_default();
        if !text.starts_with("device.") {
            return Err(format!(
                "compilation failed: ERROR: <input>:1:1: undeclared reference to '{text}' (in container '')\n | {text}\n | ^"
            ));
        }
        let terms = text.split(" && ").map(str::to_owned).collect();
        Ok(Box::new(Conjunction { terms, lists: self.lists }))
    }
}

impl Matcher for Conjunction {
    fn matches(&self, driver: &str, device: &Device) -> Result<bool, String> {
        for (name, value) in &device.attributes {
            let list = matches!(
                value,
                Attribute::Ints(_) | Attribute::Bools(_) | Attribute::Strings(_) | Attribute::Versions(_)
            );
            if *value == Attribute::Unknown || (list && !self.lists) {
                return Err(format!("attribute {name}: unsupported attribute value"));
            }
        }
        for term in &self.terms {
            if !holds(term, driver, device)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn holds(term: &str, driver: &str, device: &Device) -> Result<bool, String> {
    if let Some(text) = term.strip_prefix("device.driver == ") {
        return Ok(text.trim_matches('"') == driver);
    }
    if let Some(text) = term.strip_prefix("device.allowMultipleAllocations == ") {
        return Ok(text.parse() == Ok(device.allow_multiple_allocations));
    }
    if let Some(rest) = term.strip_prefix("device.attributes[\"") {
        let (domain, rest) = rest.split_once("\"].").expect("a domain");
        let (name, wanted) = rest.split_once(" == ").unwrap_or((rest, "true"));
        let found = find(&device.attributes, driver, domain, name)?;
        return Ok(match found {
            Attribute::Bool(value) => value.to_string() == wanted,
            Attribute::String(value) => format!("{value:?}") == wanted,
            Attribute::Int(value) => value.to_string() == wanted,
            other => panic!("{other:?}"),
        });
    }
    if let Some(rest) = term.strip_prefix("device.capacity[\"") {
        let (domain, rest) = rest.split_once("\"]").expect("a domain");
        let (name, amount) = rest.split_once(".compareTo(quantity(\"").expect("a comparison");
        let name = name.trim_matches(|c| ".[]\"".contains(c));
        let amount = amount.strip_suffix("\")) >= 0").expect("a comparison");
        return Ok(find(&device.capacity, driver, domain, name)?.value >= Quantity::parse(amount).expect("a quantity"));
    }
    panic!("{term}");
}

fn find<'a, T>(
    map: &'a std::collections::BTreeMap<String, T>,
    driver: &str,
    domain: &str,
    name: &str,
) -> Result<&'a T, String> {
    let bare = (domain == driver).then(|| map.get(name)).flatten();
    bare.or_else(|| map.get(&format!("{domain}/{name}"))).ok_or_else(|| format!("no such key: {name}"))
}
