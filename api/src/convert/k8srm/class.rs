//! Classes: their own definition, or those that a label selector gathers.

use machinery::meta;
use serde_json::Value;

use super::{
    super::read::{self, Error, Result},
    constraints, device_selector, driver_of, driver_selector, references,
};
use crate::{
    hub::{ClassMember, DeviceClass, Opaque, Selector},
    members::at,
};

/// How deep classes may gather classes that gather classes.
const GATHERING_MAX: usize = 8;

/// A `DeviceClass`: its own definition, or the alternatives of the classes that its label selector finds among `all`.
pub(in crate::convert) fn class(class: &Value, all: &[&Value]) -> Result<DeviceClass> {
    let name = meta::name(class).to_owned();
    let spec = at(class, &["spec"]);
    if read::members(spec, "selector").map_err(|error| error.at("spec"))?.is_none() {
        return Ok(DeviceClass {
            name,
            selectors: selectors(class)?,
            config: configs_of_class(class)?,
            ..DeviceClass::default()
        });
    }
    let mut any_of = Vec::new();
    gather(class, all, &mut vec![name.as_str()], &mut any_of)?;
    if any_of.is_empty() {
        // It gathers nothing, so nothing qualifies.
        any_of.push(ClassMember { selectors: vec![device_selector("false".to_owned())], config: Vec::new() });
    }
    Ok(DeviceClass { name, any_of, ..DeviceClass::default() })
}

fn gather<'a>(
    class: &'a Value,
    all: &[&'a Value],
    above: &mut Vec<&'a str>,
    into: &mut Vec<ClassMember>,
) -> Result<()> {
    let labels = at(class, &["spec", "selector"]);
    for member in all {
        let name = meta::name(member);
        if above.contains(&name) || !matches_labels(labels, member)? {
            continue;
        }
        if read::members(at(member, &["spec"]), "selector")?.is_none() {
            into.push(ClassMember { selectors: selectors(member)?, config: configs_of_class(member)? });
        } else if above.len() < GATHERING_MAX {
            above.push(name);
            gather(member, all, above, into)?;
            above.pop();
        }
    }
    Ok(())
}

/// A label selector over the labels of an object.
fn matches_labels(selector: &Value, object: &Value) -> Result<bool> {
    let path = |error: Error| error.at("selector").at("spec");
    for (key, value) in read::map(selector, "matchLabels", read::string).map_err(path)? {
        if meta::label(object, &key) != Some(value.as_str()) {
            return Ok(false);
        }
    }
    let expressions = read::each(selector, "matchExpressions", |expression| {
        let values = read::texts(expression, "values")?;
        let found = meta::label(object, &read::text(expression, "key")?);
        let among = found.is_some_and(|found| values.iter().any(|value| value == found));
        match read::text(expression, "operator")?.as_str() {
            "In" => Ok(among),
            "NotIn" => Ok(!among),
            "Exists" => Ok(found.is_some()),
            "DoesNotExist" => Ok(found.is_none()),
            other => Err(Error::new(format!("{other:?} is not a label selector operator")).at("operator")),
        }
    });
    Ok(expressions.map_err(path)?.into_iter().all(|holds| holds))
}

/// Where a class has its driver, constraints and configs: in `spec.definition`, or in `spec` where data is older.
fn definition(class: &Value) -> &Value {
    let spec = at(class, &["spec"]);
    spec.get("definition").filter(|definition| definition.is_object()).unwrap_or(spec)
}

fn selectors(class: &Value) -> Result<Vec<Selector>> {
    let definition = definition(class);
    let mut selectors = vec![driver_selector(&driver_of(definition)?)];
    selectors.extend(constraints(definition)?);
    Ok(selectors)
}

fn configs_of_class(class: &Value) -> Result<Vec<Opaque>> {
    let definition = definition(class);
    let driver = driver_of(definition)?;
    Ok(references(definition)?
        .into_iter()
        .map(|reference| Opaque { driver: driver.clone(), parameters: reference })
        .collect())
}
