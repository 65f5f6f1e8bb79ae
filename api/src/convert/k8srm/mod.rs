//! k8srm-prototype: instances with `allOf` and `oneOf` become requests, amounts of resources become totals, a class with
//! a label selector becomes the alternatives that it gathers.
//!
//! Upstream's data is older than its types; what it writes differently is read too: an instance that is its own detail,
//! `devices` beside `requests`, `config` for `configs`, a class without `definition`, maps for lists of capacities.

mod claim;
mod class;
mod configs;
mod pool;
mod status;

use machinery::field::quote;
use serde_json::Value;

pub(super) use claim::Claims;
pub(super) use class::class;
pub(super) use configs::{config_references, copy_configs};
pub(super) use pool::slices;

use super::read::{self, Result};
use crate::hub::{Environment, Selector};

/// The driver; Go's tag has a fault that makes it `Driver` when written.
fn driver_of(definition: &Value) -> Result<String> {
    match read::optional_text(definition, "driver")? {
        Some(driver) => Ok(driver.to_owned()),
        None => read::text(definition, "Driver"),
    }
}

/// A selector that is ours, in the one vocabulary that names the driver and knows every type of attribute.
fn device_selector(expression: String) -> Selector {
    Selector { expression: Some(expression), environment: Environment::TypedAttributes }
}

fn driver_selector(driver: &str) -> Selector {
    device_selector(format!("device.driverName == {}", quote(driver)))
}

fn constraints(owner: &Value) -> Result<Option<Selector>> {
    let expression = read::optional_text(owner, "constraints")?.filter(|expression| !expression.is_empty());
    Ok(expression
        .map(|expression| Selector { expression: Some(expression.to_owned()), environment: Environment::AttributeMap }))
}

/// References to objects with configuration, as JSON texts: `configs`, or `config` in older data.
fn references(owner: &Value) -> Result<Vec<String>> {
    let mut references = read::each(owner, "configs", |reference| Ok(reference.to_string()))?;
    references.extend(read::each(owner, "config", |reference| Ok(reference.to_string()))?);
    Ok(references)
}
