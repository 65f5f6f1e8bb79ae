//! What `DeviceClass` does on writes.

use machinery::field::{Error, Path};
use serde_json::Value;

use super::{claim_spec, gates};
use crate::{
    check,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    members::{at, list, present, same},
};

const SELECTORS_MAX: usize = 32;
const CONFIGS_MAX: usize = 32;

/// `DeviceClass`.
pub(super) struct ClassRules;

impl Strategy for ClassRules {
    fn prepare_for_create(&self, class: &mut Value, surroundings: &dyn Surroundings) {
        gates::drop_disabled(class, None, gates::CLASS, surroundings);
    }

    fn validate(&self, class: &Value, surroundings: &dyn Surroundings) -> Errors {
        validate(class, None, surroundings)
    }

    fn prepare_for_update(&self, class: &mut Value, old: &Value, _: &str, surroundings: &dyn Surroundings) {
        gates::drop_disabled(class, Some(old), gates::CLASS, surroundings);
    }

    fn validate_update(&self, class: &Value, old: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        validate(class, Some(old), surroundings)
    }
}

/// Selectors and configuration that stay exactly as they are have been accepted before, and are looked at less closely.
fn validate(class: &Value, old: Option<&Value>, surroundings: &dyn Surroundings) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = at(class, &["spec"]);
    let stored = |name: &str| old.is_some_and(|old| same(at(old, &["spec"]).get(name), spec.get(name)));

    let selectors = list(spec, "selectors");
    claim_spec::validate_selectors(
        &mut errors,
        &path.child("selectors"),
        selectors,
        SELECTORS_MAX,
        (!stored("selectors")).then_some(surroundings),
    );
    let stored_config = stored("config");
    let configs = list(spec, "config");
    check::items(&mut errors, &path.child("config"), configs, Some(CONFIGS_MAX), |errors, path, config| {
        claim_spec::validate_configuration(errors, path, config, stored_config);
    });
    if let Some(name) = present(spec, "extendedResourceName")
        && !format::is_extended_resource_name(name.as_str().unwrap_or_default())
    {
        let path = path.child("extendedResourceName");
        errors.push(Error::invalid(&path, name, "must be a valid extended resource name"));
    }
    errors
}
