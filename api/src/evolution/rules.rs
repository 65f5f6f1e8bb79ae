//! What the kinds of the prototype do on writes.
//!
//! Upstream documents limits and enforces none. They are enforced here, except those that upstream's own generated data
//! breaks (device count, characters of device, driver and attribute names): these only warn.

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use crate::{
    check, classic,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    hub::Environment,
    members::{at, at_mut, list, list_mut, present, put, text},
    status,
};

/// Most consumers of a claim, and most drivers in an allocation.
const CONSUMERS_MAX: usize = 32;
const DRIVERS_MAX: usize = 32;
const SHARED_CAPACITY_MAX: usize = 128;
const DEVICES_MAX: usize = 128;
const ATTRIBUTES_MAX: usize = 32;
const CONSUMED_MAX: usize = 32;
/// Longest identifier that upstream's own parse test lets pass; its type comment says 32, beyond which we warn.
const IDENTIFIER_TOLERATED_MAX: usize = 63;

/// `DeviceClass`.
pub(super) struct ClassRules;
/// `ResourceClaim`.
pub(super) struct ClaimRules;
/// `ResourceClaimTemplate`.
pub(super) struct TemplateRules;
/// `ResourcePool` and its legacy spelling.
pub(super) struct PoolRules;
/// `Quota` and `ResourcePolicy`: nothing beyond their schema.
pub(super) struct QuotaRules;

impl Strategy for ClassRules {
    fn validate(&self, class: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        validate_configs(&mut errors, &Path::new("config"), class);
        validate_requirements(&mut errors, &Path::new("requirements"), class, surroundings);
        errors
    }

    fn validate_update(&self, class: &Value, old: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        validate_configs(&mut errors, &Path::new("config"), class);
        if class.get("requirements") != old.get("requirements") {
            validate_requirements(&mut errors, &Path::new("requirements"), class, surroundings);
        }
        errors
    }
}

impl Strategy for ClaimRules {
    fn default(&self, claim: &mut Value, _: &dyn Surroundings) {
        let is_classic = classic::is_classic(claim);
        if let Some(spec) = at_mut(claim, &["spec"]) {
            if is_classic { classic::default_claim(spec) } else { name_requests(spec) }
        }
    }

    /// Upstream's sample claims of the prototype come with a status; classic claims begin without.
    fn prepare_for_create(&self, claim: &mut Value, _: &dyn Surroundings) {
        if classic::is_classic(claim) {
            put(claim, "status", None);
        }
    }

    fn validate(&self, claim: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if classic::is_classic(claim) {
            classic::validate_claim(&mut errors, claim);
            return errors;
        }
        validate_claim_spec(&mut errors, &Path::new("spec"), at(claim, &["spec"]), surroundings);
        validate_status(&mut errors, at(claim, &["status"]));
        errors
    }

    fn prepare_for_update(&self, claim: &mut Value, old: &Value, subresource: &str, _: &dyn Surroundings) {
        status::separate(claim, old, subresource);
    }

    fn validate_update(&self, claim: &Value, old: &Value, subresource: &str, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if subresource == "status" && classic::is_classic(claim) {
            classic::validate_claim_update(&mut errors, claim, old);
        } else if subresource == "status" {
            validate_status(&mut errors, at(claim, &["status"]));
            let path = Path::new("status").child("allocation");
            let (new, old) = (at(claim, &["status", "allocation"]), at(old, &["status", "allocation"]));
            if !new.is_null() && !old.is_null() {
                check::immutable(&mut errors, &path, Some(new), Some(old));
            }
        } else {
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

impl Strategy for TemplateRules {
    fn default(&self, template: &mut Value, _: &dyn Surroundings) {
        let is_classic = classic::is_classic(at(template, &["spec"]));
        if let Some(spec) = at_mut(template, &["spec", "spec"]) {
            if is_classic { classic::default_claim(spec) } else { name_requests(spec) }
        }
    }

    fn validate(&self, template: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if classic::is_classic(at(template, &["spec"])) {
            classic::validate_template(&mut errors, template);
            return errors;
        }
        let path = Path::new("spec");
        template_metadata(&mut errors, &path.child("metadata"), at(template, &["spec", "metadata"]));
        validate_claim_spec(&mut errors, &path.child("spec"), at(template, &["spec", "spec"]), surroundings);
        errors
    }

    fn validate_update(&self, template: &Value, old: &Value, _: &str, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        check::immutable(&mut errors, &Path::new("spec"), template.get("spec"), old.get("spec"));
        errors
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
        validate_pool(&mut errors, at(pool, &["spec"]));
        errors
    }

    fn validate_update(&self, pool: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(pool, surroundings)
    }

    fn warnings(&self, pool: &Value, _: Option<&Value>) -> Vec<String> {
        pool_warnings(at(pool, &["spec"]))
    }
}

impl Strategy for QuotaRules {}

/// Upstream's own data has claims with upper case letters in their names.
fn tolerant_name_errors(name: &str) -> Vec<String> {
    names::dns1123_subdomain_errors(&name.to_ascii_lowercase())
}

/// A request without a name, as most of upstream's data has them, is called `request-<index>`.
fn name_requests(spec: &mut Value) {
    for (index, request) in list_mut(spec, "requests").iter_mut().enumerate() {
        if text(request, "name").is_empty() {
            put(request, "name", Some(format!("request-{index}").into()));
        }
    }
}

fn validate_claim_spec(errors: &mut Errors, path: &Path, spec: &Value, surroundings: &dyn Surroundings) {
    validate_configs(errors, &path.child("config"), spec);
    check::items(errors, &path.child("constraints"), list(spec, "constraints"), None, |errors, path, constraint| {
        let path = path.child("matchAttribute");
        match text(constraint, "matchAttribute") {
            "" => errors.push(Error::required(&path, "")),
            name => format::qualified_name(errors, &path, name),
        }
    });
    let requests = list(spec, "requests");
    check::unique_items(errors, &path.child("requests"), requests, None, check::by("name"), |errors, path, request| {
        format::required_label(errors, &path.child("name"), text(request, "name"));
        if let Some(class) = present(request, "deviceClassName") {
            let class = class.as_str().unwrap_or_default();
            format::required_subdomain(errors, &path.child("deviceClassName"), class);
        }
        validate_configs(errors, &path.child("config"), request);
        validate_requirements(errors, &path.child("requirements"), request, surroundings);
    });
}

fn validate_configs(errors: &mut Errors, path: &Path, owner: &Value) {
    check::items(errors, path, list(owner, "config"), None, |errors, path, config| {
        let path = path.child("opaque");
        let Some(opaque) = present(config, "opaque") else {
            errors.push(Error::required(&path, ""));
            return;
        };
        format::driver_name(errors, &path.child("driverName"), text(opaque, "driverName"));
        if let Some(parameters) = present(opaque, "parameters") {
            let path = path.child("parameters");
            check::raw_object(errors, &path, Some(parameters), check::PARAMETERS_MAX, false);
        }
    });
}

fn validate_requirements(errors: &mut Errors, path: &Path, owner: &Value, surroundings: &dyn Surroundings) {
    check::items(errors, path, list(owner, "requirements"), None, |errors, path, requirement| {
        let path = path.child("deviceSelector");
        match present(requirement, "deviceSelector").and_then(Value::as_str) {
            None => errors.push(Error::required(&path, "")),
            Some(expression) => {
                check::selector(errors, &path, expression, Environment::TypedAttributes, surroundings);
            }
        }
    });
}

/// Only labels and annotations may be set in the metadata of a template.
fn template_metadata(errors: &mut Errors, path: &Path, metadata: &Value) {
    for (name, value) in metadata.as_object().into_iter().flatten() {
        let given = !matches!(value, Value::Null) && value.as_str() != Some("");
        if given && !matches!(name.as_str(), "labels" | "annotations") {
            errors.push(Error::forbidden(&path.child(name), "cannot be set"));
        }
    }
}

fn validate_status(errors: &mut Errors, status: &Value) {
    let path = Path::new("status");
    let allocation = present(status, "allocation");
    if let Some(allocation) = allocation {
        let path = path.child("allocation").child("driverData");
        let data = list(allocation, "driverData");
        check::items(errors, &path, data, Some(DRIVERS_MAX), |errors, path, data| {
            // The name is that of a pool, whose own rule lets names pass that are no DNS subdomain.
            if text(data, "driverName").is_empty() {
                errors.push(Error::required(&path.child("driverName"), ""));
            }
        });
    }
    let path = path.child("reservedFor");
    let consumers = list(status, "reservedFor");
    check::unique_items(errors, &path, consumers, Some(CONSUMERS_MAX), check::by("uid"), |errors, path, consumer| {
        for name in ["resource", "name", "uid"] {
            if text(consumer, name).is_empty() {
                errors.push(Error::required(&path.child(name), ""));
            }
        }
    });
    if !consumers.is_empty() && allocation.is_none() {
        errors.push(Error::forbidden(&path, "may not be specified when `allocated` is not set"));
    }
}

fn validate_pool(errors: &mut Errors, spec: &Value) {
    let path = Path::new("spec");
    format::required_subdomain(errors, &path.child("nodeName"), text(spec, "nodeName"));
    if text(spec, "driverName").is_empty() {
        errors.push(Error::required(&path.child("driverName"), ""));
    }
    let shared = list(spec, "sharedCapacity");
    validate_capacities(errors, &path.child("sharedCapacity"), shared, SHARED_CAPACITY_MAX);
    let devices = list(spec, "devices");
    check::unique_items(errors, &path.child("devices"), devices, None, check::by("name"), |errors, path, device| {
        if text(device, "name").is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        let attributes = list(device, "attributes");
        check::unique_items(
            errors,
            &path.child("attributes"),
            attributes,
            Some(ATTRIBUTES_MAX),
            check::by("name"),
            validate_attribute,
        );
        let consumed = list(device, "sharedCapacityConsumed");
        validate_capacities(errors, &path.child("sharedCapacityConsumed"), consumed, CONSUMED_MAX);
    });
}

fn validate_attribute(errors: &mut Errors, path: &Path, attribute: &Value) {
    identifier_length(errors, &path.child("name"), text(attribute, "name"));
    let values = ["quantity", "bool", "string", "version"];
    let given = values.iter().filter(|name| present(attribute, name).is_some()).count();
    if given != 1 {
        errors.push(Error::invalid(path, attribute, "exactly one value must be specified"));
    }
    if let Some(value) = present(attribute, "string").and_then(Value::as_str) {
        format::attribute_text(errors, &path.child("string"), value);
    }
    if let Some(value) = present(attribute, "version").and_then(Value::as_str) {
        format::semantic_version(errors, &path.child("version"), value);
    }
}

fn validate_capacities(errors: &mut Errors, path: &Path, capacities: &[Value], max: usize) {
    check::unique_items(errors, path, capacities, Some(max), check::by("name"), |errors, path, capacity| {
        identifier_length(errors, &path.child("name"), text(capacity, "name"));
        if present(capacity, "capacity").is_none() {
            errors.push(Error::required(&path.child("capacity"), ""));
        }
    });
}

/// The part of a name behind the domain must be there and not be much too long.
fn identifier_length(errors: &mut Errors, path: &Path, name: &str) {
    let identifier = name.rsplit_once('/').map_or(name, |(_, identifier)| identifier);
    if identifier.is_empty() {
        errors.push(Error::required(path, ""));
    } else if identifier.len() > IDENTIFIER_TOLERATED_MAX {
        errors.push(Error::too_long(path, IDENTIFIER_TOLERATED_MAX));
    }
}

/// One warning for each kind of broken limit, with the first place where it is broken and how many more there are.
fn pool_warnings(spec: &Value) -> Vec<String> {
    let mut broken: Vec<(&str, Error, usize)> = Vec::new();
    let mut note = |rule: &'static str, mut errors: Errors| {
        if errors.is_empty() {
            return;
        }
        match broken.iter_mut().find(|(known, ..)| *known == rule) {
            Some((_, _, count)) => *count += 1,
            None => broken.push((rule, errors.swap_remove(0), 0)),
        }
    };
    let checked = |check: &dyn Fn(&mut Errors)| {
        let mut errors = Vec::new();
        check(&mut errors);
        errors
    };
    let path = Path::new("spec");
    let driver = text(spec, "driverName");
    if !driver.is_empty() {
        note("driver", checked(&|errors| format::driver_name(errors, &path.child("driverName"), driver)));
    }
    let devices = list(spec, "devices");
    if devices.len() > DEVICES_MAX {
        note("devices", vec![Error::too_many(&path.child("devices"), devices.len(), DEVICES_MAX)]);
    }
    for (index, capacity) in list(spec, "sharedCapacity").iter().enumerate() {
        let path = path.child("sharedCapacity").index(index).child("name");
        note("capacity", checked(&|errors| format::identifier(errors, &path, text(capacity, "name"))));
    }
    for (index, device) in devices.iter().enumerate() {
        let path = path.child("devices").index(index);
        note("device", checked(&|errors| format::dns_label(errors, &path.child("name"), text(device, "name"))));
        for (index, attribute) in list(device, "attributes").iter().enumerate() {
            let path = path.child("attributes").index(index).child("name");
            note("attribute", checked(&|errors| format::qualified_name(errors, &path, text(attribute, "name"))));
        }
        for (index, consumed) in list(device, "sharedCapacityConsumed").iter().enumerate() {
            let path = path.child("sharedCapacityConsumed").index(index).child("name");
            let known =
                list(spec, "sharedCapacity").iter().any(|shared| text(shared, "name") == text(consumed, "name"));
            if !known {
                note("unknown", vec![Error::not_found(&path, &text(consumed, "name").into())]);
            }
        }
    }
    broken
        .into_iter()
        .map(|(_, error, more)| if more == 0 { error.to_string() } else { format!("{error} (and {more} more)") })
        .collect()
}
