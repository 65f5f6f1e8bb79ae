//! What the kinds of the prototype do on writes.
//!
//! Upstream checks nothing, and its data has shapes that its types do not know. What cannot mean anything is refused;
//! what is merely odd is read as `convert` reads it.

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use crate::{
    check,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    hub::Environment,
    members::{at, list, present, text},
    status,
};

/// `DeviceDriver`: nothing beyond its schema.
pub(super) struct DriverRules;
/// `DeviceClass`.
pub(super) struct ClassRules;
/// `DeviceClaim`.
pub(super) struct ClaimRules;
/// `DevicePrivilegedClaim`.
pub(super) struct PrivilegedClaimRules;
/// `DeviceSetClaim`.
pub(super) struct SetClaimRules;
/// `DeviceClaimTemplate`.
pub(super) struct TemplateRules;
/// `DevicePool`.
pub(super) struct PoolRules;

impl Strategy for DriverRules {
    fn keeps_generation(&self) -> bool {
        false
    }
}

impl Strategy for ClassRules {
    fn validate(&self, class: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let path = Path::new("spec");
        let spec = at(class, &["spec"]);
        let (selector, definition) = (present(spec, "selector"), present(spec, "definition"));
        if let (Some(_), Some(_)) = (selector, definition) {
            let detail = "exactly one of `selector` and `definition` may be set";
            errors.push(Error::invalid(&path, &Value::Null, detail));
        }
        let older = ["driver", "constraints", "configs", "deviceType"].iter().any(|name| present(spec, name).is_some());
        if selector.is_none() && definition.is_none() && !older {
            errors.push(Error::required(&path, "exactly one of `selector` and `definition` is required"));
        }
        match definition {
            Some(definition) => {
                let path = path.child("definition");
                if text(definition, "driver").is_empty() && text(definition, "Driver").is_empty() {
                    errors.push(Error::required(&path.child("driver"), ""));
                }
                validate_constraints(&mut errors, &path, definition, surroundings);
                validate_references(&mut errors, &path.child("configs"), list(definition, "configs"), true);
            }
            None => {
                validate_constraints(&mut errors, &path, spec, surroundings);
                validate_references(&mut errors, &path.child("configs"), list(spec, "configs"), true);
            }
        }
        errors
    }

    fn validate_update(&self, class: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(class, surroundings)
    }
}

/// The strategy of a claim: its spec is checked by a function, and cannot be changed once the claim is allocated.
macro_rules! claim_strategy {
    ($rules:ident, $validate:ident) => {
        impl Strategy for $rules {
            fn validate(&self, claim: &Value, surroundings: &dyn Surroundings) -> Errors {
                let mut errors = Vec::new();
                $validate(&mut errors, &Path::new("spec"), at(claim, &["spec"]), surroundings);
                errors
            }

            fn prepare_for_update(&self, claim: &mut Value, old: &Value, subresource: &str, _: &dyn Surroundings) {
                status::separate(claim, old, subresource);
            }

            fn validate_update(
                &self,
                claim: &Value,
                old: &Value,
                subresource: &str,
                surroundings: &dyn Surroundings,
            ) -> Errors {
                if subresource == "status" {
                    return Vec::new();
                }
                let mut errors = self.validate(claim, surroundings);
                if !list(at(old, &["status"]), "allocations").is_empty() {
                    check::immutable(&mut errors, &Path::new("spec"), claim.get("spec"), old.get("spec"));
                }
                errors
            }

            fn name_errors(&self, name: &str) -> Vec<String> {
                tolerant_name_errors(name)
            }

            fn keeps_generation(&self) -> bool {
                false
            }
        }
    };
}

claim_strategy!(ClaimRules, validate_claim);
claim_strategy!(PrivilegedClaimRules, validate_privileged_claim);
claim_strategy!(SetClaimRules, validate_set_claim);

impl Strategy for TemplateRules {
    fn validate(&self, template: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let path = Path::new("spec");
        let spec = at(template, &["spec"]);
        type Check = fn(&mut Errors, &Path, &Value, &dyn Surroundings);
        let members: [(&str, Check); 3] = [
            ("claimSpec", validate_claim),
            ("privilegedClaimSpec", validate_privileged_claim),
            ("setClaimSpec", validate_set_claim),
        ];
        let given: Vec<_> = members.iter().filter(|(name, _)| present(spec, name).is_some()).collect();
        let detail = "exactly one of `claimSpec`, `privilegedClaimSpec`, `setClaimSpec` is required";
        match given.as_slice() {
            [] => errors.push(Error::required(&path, detail)),
            [(name, check)] => check(&mut errors, &path.child(name), at(spec, &[name]), surroundings),
            _ => errors.push(Error::invalid(&path, &Value::Null, detail)),
        }
        errors
    }

    fn validate_update(&self, template: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(template, surroundings)
    }

    fn name_errors(&self, name: &str) -> Vec<String> {
        tolerant_name_errors(name)
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

impl Strategy for PoolRules {
    fn validate(&self, pool: &Value, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let path = Path::new("spec");
        let spec = at(pool, &["spec"]);
        if let Some(node) = present(spec, "nodeName") {
            format::required_subdomain(&mut errors, &path.child("nodeName"), node.as_str().unwrap_or_default());
        }
        if text(spec, "driver").is_empty() {
            errors.push(Error::required(&path.child("driver"), ""));
        }
        validate_attributes(&mut errors, &path.child("attributes"), list(spec, "attributes"));
        validate_capacities(&mut errors, &path.child("sharedResources"), spec.get("sharedResources"));
        let devices = list(spec, "devices");
        let devices_path = path.child("devices");
        check::unique_items(&mut errors, &devices_path, devices, None, check::by("name"), |errors, path, device| {
            if text(device, "name").is_empty() {
                errors.push(Error::required(&path.child("name"), ""));
            }
            validate_attributes(errors, &path.child("attributes"), list(device, "attributes"));
            let provided = device.get("claimResourcesProvided");
            validate_capacities(errors, &path.child("claimResourcesProvided"), provided);
        });
        errors
    }

    fn prepare_for_update(&self, pool: &mut Value, old: &Value, subresource: &str, _: &dyn Surroundings) {
        status::separate(pool, old, subresource);
    }

    fn validate_update(&self, pool: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(pool, surroundings)
    }
}

/// Upstream's own data has claims with upper case letters in their names.
fn tolerant_name_errors(name: &str) -> Vec<String> {
    names::dns1123_subdomain_errors(&name.to_ascii_lowercase())
}

fn validate_constraints(errors: &mut Errors, path: &Path, owner: &Value, surroundings: &dyn Surroundings) {
    let expression = text(owner, "constraints");
    if !expression.is_empty() {
        let path = path.child("constraints");
        check::selector(errors, &path, expression, Environment::AttributeMap, surroundings);
    }
}

fn validate_references(errors: &mut Errors, path: &Path, references: &[Value], namespaced: bool) {
    let names: &[&str] =
        if namespaced { &["apiVersion", "kind", "namespace", "name"] } else { &["apiVersion", "kind", "name"] };
    check::items(errors, path, references, None, |errors, path, reference| {
        for name in names {
            if text(reference, name).is_empty() {
                errors.push(Error::required(&path.child(name), ""));
            }
        }
    });
}

fn validate_claim(errors: &mut Errors, path: &Path, spec: &Value, surroundings: &dyn Surroundings) {
    let devices = list(spec, "devices");
    let path = path.child("devices");
    check::unique_items(errors, &path, devices, None, check::by("name"), |errors, path, instance| {
        if text(instance, "name").is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        let mut details = 0;
        for name in ["allOf", "oneOf"] {
            check::items(errors, &path.child(name), list(instance, name), None, |errors, path, detail| {
                details += 1;
                validate_detail(errors, path, detail, surroundings);
            });
        }
        if details == 0 && present(instance, "class").is_none() {
            errors.push(Error::required(path, "at least one of `allOf` and `oneOf` is required"));
        } else if details == 0 {
            validate_detail(errors, path, instance, surroundings);
        }
    });
}

fn validate_detail(errors: &mut Errors, path: &Path, detail: &Value, surroundings: &dyn Surroundings) {
    format::required_subdomain(errors, &path.child("class"), text(detail, "class"));
    validate_constraints(errors, path, detail, surroundings);
    for name in ["maxDevices", "devices"] {
        if let Some(number) = at(detail, &[name]).as_i64().filter(|number| *number < 1) {
            errors.push(Error::invalid(&path.child(name), &number.into(), "must be greater than zero"));
        }
    }
    for name in ["configs", "config"] {
        validate_references(errors, &path.child(name), list(detail, name), false);
    }
}

fn validate_privileged_claim(errors: &mut Errors, path: &Path, spec: &Value, surroundings: &dyn Surroundings) {
    if text(spec, "driver").is_empty() {
        errors.push(Error::required(&path.child("driver"), ""));
    }
    validate_constraints(errors, path, spec, surroundings);
    validate_references(errors, &path.child("configs"), list(spec, "configs"), false);
}

fn validate_set_claim(errors: &mut Errors, path: &Path, spec: &Value, surroundings: &dyn Surroundings) {
    check::items(errors, &path.child("claimSpec"), list(spec, "claimSpec"), None, |errors, path, claim| {
        validate_claim(errors, path, claim, surroundings);
    });
}

fn validate_attributes(errors: &mut Errors, path: &Path, attributes: &[Value]) {
    check::unique_items(errors, path, attributes, None, check::by("name"), |errors, path, attribute| {
        if text(attribute, "name").is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        let values = ["stringValue", "intValue", "quantityValue", "semVerValue"];
        if values.iter().filter(|name| present(attribute, name).is_some()).count() != 1 {
            errors.push(Error::invalid(path, attribute, "exactly one value must be specified"));
        }
    });
}

/// A list of capacities or a map of quantities; the schema leaves that open.
fn validate_capacities(errors: &mut Errors, path: &Path, capacities: Option<&Value>) {
    let is_quantity = |value: &Value| {
        (value.is_string() || value.is_number()) && machinery::quantity::Quantity::from_json(value).is_ok()
    };
    match capacities {
        None | Some(Value::Null) => {}
        Some(Value::Object(amounts)) => {
            for (name, amount) in amounts.iter().filter(|(_, amount)| !is_quantity(amount)) {
                errors.push(Error::invalid(&path.key(name), amount, "must be a quantity"));
            }
        }
        Some(Value::Array(entries)) => {
            check::unique_items(errors, path, entries, None, check::by("name"), |errors, path, entry| {
                if text(entry, "name").is_empty() {
                    errors.push(Error::required(&path.child("name"), ""));
                }
                let capacity = at(entry, &["capacity"]);
                if !is_quantity(capacity) {
                    errors.push(Error::invalid(&path.child("capacity"), capacity, "must be a quantity"));
                }
            });
        }
        Some(other) => errors.push(Error::type_invalid(path, other, "must be a list of capacities")),
    }
}
