//! What the classic kinds do on writes (`pkg/apis/resource/validation` of Kubernetes 1.30).

use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use crate::{
    check,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    hub::Environment,
    members::{at, is_true, list, present, put, text},
    resource::{validate_node_selector, validate_template_metadata},
    status,
};

/// Most consumers of a claim, and most handles of an allocation.
const CONSUMERS_MAX: usize = 32;
const HANDLES_MAX: usize = 32;
/// Longest data of a handle, in bytes.
const HANDLE_DATA_MAX: usize = 16 * 1024;
/// Most nodes in each list of a PodSchedulingContext.
const NODES_MAX: usize = 128;

/// `ResourceClass`.
pub(super) struct ClassRules;
/// `PodSchedulingContext`.
pub(super) struct ContextRules;
/// `ResourceSlice`.
pub(super) struct SliceRules;
/// `ResourceClaimParameters`.
pub(super) struct ClaimParametersRules;
/// `ResourceClassParameters`.
pub(super) struct ClassParametersRules;

impl Strategy for ClassRules {
    fn validate(&self, class: &Value, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        format::driver_name(&mut errors, &Path::new("driverName"), text(class, "driverName"));
        if let Some(reference) = present(class, "parametersRef") {
            let path = Path::new("parametersRef");
            validate_reference(&mut errors, &path, reference);
            if let Some(namespace) =
                present(reference, "namespace").and_then(Value::as_str).filter(|one| !one.is_empty())
            {
                format::dns_label(&mut errors, &path.child("namespace"), namespace);
            }
        }
        if let Some(nodes) = present(class, "suitableNodes") {
            validate_node_selector(&mut errors, &Path::new("suitableNodes"), nodes);
        }
        errors
    }

    fn validate_update(&self, class: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(class, surroundings)
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

impl Strategy for ContextRules {
    fn prepare_for_create(&self, context: &mut Value, _: &dyn Surroundings) {
        put(context, "status", None);
    }

    fn validate(&self, context: &Value, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let path = Path::new("spec").child("potentialNodes");
        validate_nodes(&mut errors, &path, list(at(context, &["spec"]), "potentialNodes"));
        errors
    }

    fn prepare_for_update(&self, context: &mut Value, old: &Value, subresource: &str, _: &dyn Surroundings) {
        status::separate(context, old, subresource);
    }

    fn validate_update(
        &self,
        context: &Value,
        _: &Value,
        subresource: &str,
        surroundings: &dyn Surroundings,
    ) -> Errors {
        if subresource != "status" {
            return self.validate(context, surroundings);
        }
        let mut errors = Vec::new();
        let path = Path::new("status").child("resourceClaims");
        let claims = list(at(context, &["status"]), "resourceClaims");
        check::unique_items(&mut errors, &path, claims, None, check::by("name"), |errors, path, claim| {
            format::required_label(errors, &path.child("name"), text(claim, "name"));
            validate_nodes(errors, &path.child("unsuitableNodes"), list(claim, "unsuitableNodes"));
        });
        errors
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

/// Names of nodes, each once.
fn validate_nodes(errors: &mut Errors, path: &Path, nodes: &[Value]) {
    check::unique_items(errors, path, nodes, Some(NODES_MAX), Value::clone, |errors, path, node| {
        format::dns_subdomain(errors, path, node.as_str().unwrap_or_default());
    });
}

fn validate_reference(errors: &mut Errors, path: &Path, reference: &Value) {
    if let Some(group) = present(reference, "apiGroup").and_then(Value::as_str).filter(|group| !group.is_empty()) {
        format::dns_subdomain(errors, &path.child("apiGroup"), group);
    }
    for member in ["kind", "name"] {
        if text(reference, member).is_empty() {
            errors.push(Error::required(&path.child(member), ""));
        }
    }
}

impl Strategy for SliceRules {
    fn validate(&self, slice: &Value, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if let Some(node) = present(slice, "nodeName").and_then(Value::as_str).filter(|node| !node.is_empty()) {
            format::dns_subdomain(&mut errors, &Path::new("nodeName"), node);
        }
        format::driver_name(&mut errors, &Path::new("driverName"), text(slice, "driverName"));
        let Some(resources) = present(slice, "namedResources") else {
            errors.push(Error::required(&Path::root(), "exactly one structured model field must be set"));
            return errors;
        };
        let path = Path::new("namedResources").child("instances");
        let instances = list(resources, "instances");
        check::unique_items(&mut errors, &path, instances, None, check::by("name"), |errors, path, instance| {
            format::required_subdomain(errors, &path.child("name"), text(instance, "name"));
            let attributes = list(instance, "attributes");
            let path = path.child("attributes");
            check::unique_items(errors, &path, attributes, None, check::by("name"), validate_attribute);
        });
        errors
    }

    fn validate_update(&self, slice: &Value, old: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = self.validate(slice, surroundings);
        for member in ["nodeName", "driverName"] {
            check::immutable(&mut errors, &Path::new(member), slice.get(member), old.get(member));
        }
        errors
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

/// An attribute: a name of identifiers with dots between them, and one value.
fn validate_attribute(errors: &mut Errors, path: &Path, attribute: &Value) {
    let name = text(attribute, "name");
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    } else {
        format::dotted_identifiers(errors, &path.child("name"), name);
    }
    let values = ["quantity", "bool", "int", "intSlice", "string", "stringSlice", "version"];
    match values.iter().filter(|value| present(attribute, value).is_some()).count() {
        0 => errors.push(Error::required(path, "exactly one value must be set")),
        1 => {}
        _ => errors.push(Error::invalid(path, attribute, "exactly one field must be set, not several")),
    }
    if let Some(version) = present(attribute, "version").and_then(Value::as_str) {
        format::semantic_version(errors, &path.child("version"), version);
    }
}

impl Strategy for ClaimParametersRules {
    fn validate(&self, parameters: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if let Some(from) = present(parameters, "generatedFrom") {
            validate_reference(&mut errors, &Path::new("generatedFrom"), from);
        }
        let path = Path::new("driverRequests");
        let drivers = list(parameters, "driverRequests");
        check::items(&mut errors, &path, drivers, None, |errors, path, of_driver| {
            format::driver_name(errors, &path.child("driverName"), text(of_driver, "driverName"));
            let requests = list(of_driver, "requests");
            check::items(errors, &path.child("requests"), requests, None, |errors, path, request| {
                validate_selector(errors, path, request, surroundings);
            });
        });
        errors
    }

    fn validate_update(&self, parameters: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(parameters, surroundings)
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

impl Strategy for ClassParametersRules {
    fn validate(&self, parameters: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if let Some(from) = present(parameters, "generatedFrom") {
            validate_reference(&mut errors, &Path::new("generatedFrom"), from);
        }
        let filters = list(parameters, "filters");
        check::items(&mut errors, &Path::new("filters"), filters, None, |errors, path, filter| {
            format::driver_name(errors, &path.child("driverName"), text(filter, "driverName"));
            validate_selector(errors, path, filter, surroundings);
        });
        let vendors = list(parameters, "vendorParameters");
        let path = Path::new("vendorParameters");
        check::unique_items(&mut errors, &path, vendors, None, check::by("driverName"), |errors, path, vendor| {
            format::driver_name(errors, &path.child("driverName"), text(vendor, "driverName"));
        });
        errors
    }

    fn validate_update(&self, parameters: &Value, _: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        self.validate(parameters, surroundings)
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

fn validate_selector(errors: &mut Errors, path: &Path, owner: &Value, surroundings: &dyn Surroundings) {
    let Some(model) = present(owner, "namedResources") else {
        errors.push(Error::required(path, "exactly one structured model field must be set"));
        return;
    };
    let path = path.child("namedResources").child("selector");
    match text(model, "selector") {
        "" => errors.push(Error::required(&path, "")),
        selector => check::selector(errors, &path, selector, Environment::NamedResources, surroundings),
    }
}

/// Fills in what a classic claim's spec leaves open.
pub(crate) fn default_claim(spec: &mut Value) {
    if text(spec, "allocationMode").is_empty() {
        put(spec, "allocationMode", Some("WaitForFirstConsumer".into()));
    }
}

/// The spec of a classic claim.
pub(crate) fn validate_claim_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    format::required_subdomain(errors, &path.child("resourceClassName"), text(spec, "resourceClassName"));
    if let Some(reference) = present(spec, "parametersRef") {
        validate_reference(errors, &path.child("parametersRef"), reference);
    }
    match text(spec, "allocationMode") {
        "Immediate" | "WaitForFirstConsumer" => {}
        other => {
            let modes = ["Immediate", "WaitForFirstConsumer"];
            errors.push(Error::not_supported(&path.child("allocationMode"), &other.into(), &modes));
        }
    }
    for member in ["requests", "constraints", "config"] {
        if !list(spec, member).is_empty() {
            let detail = "may not be specified together with `resourceClassName`";
            errors.push(Error::forbidden(&path.child(member), detail));
        }
    }
}

/// A new classic claim.
pub(crate) fn validate_claim(errors: &mut Errors, claim: &Value) {
    validate_claim_spec(errors, &Path::new("spec"), at(claim, &["spec"]));
}

/// The status of a classic claim, after a write to it.
pub(crate) fn validate_claim_update(errors: &mut Errors, claim: &Value, old: &Value) {
    let path = Path::new("status");
    let (status, old_status) = (at(claim, &["status"]), at(old, &["status"]));
    let driver = text(status, "driverName");
    if !driver.is_empty() {
        format::driver_name(errors, &path.child("driverName"), driver);
    }
    let (allocation, old_allocation) = (present(status, "allocation"), present(old_status, "allocation"));
    if let Some(allocation) = allocation {
        validate_allocation(errors, &path.child("allocation"), allocation, driver);
    }
    validate_consumers(errors, &path.child("reservedFor"), claim, old);
    if allocation.is_some() && old_allocation.is_some() {
        check::immutable(errors, &path.child("allocation"), allocation, old_allocation);
    }
    let requested = is_true(status, "deallocationRequested");
    let requested_path = path.child("deallocationRequested");
    if !requested && is_true(old_status, "deallocationRequested") && allocation.is_some() {
        let detail = "deallocation cannot be canceled, it may only be cleared when `allocation` is also cleared";
        errors.push(Error::forbidden(&requested_path, detail));
    }
    if requested {
        if allocation.is_none() {
            errors.push(Error::forbidden(&requested_path, "deallocation cannot be requested while not allocated"));
        }
        if !list(status, "reservedFor").is_empty() {
            errors
                .push(Error::forbidden(&requested_path, "deallocation cannot be requested while `reservedFor` is set"));
        }
    }
}

fn validate_consumers(errors: &mut Errors, path: &Path, claim: &Value, old: &Value) {
    let status = at(claim, &["status"]);
    let consumers = list(status, "reservedFor");
    let max = Some(CONSUMERS_MAX);
    check::unique_items(errors, path, consumers, max, check::by("uid"), |errors, path, consumer| {
        for name in ["resource", "name", "uid"] {
            if text(consumer, name).is_empty() {
                errors.push(Error::required(&path.child(name), ""));
            }
        }
    });
    if consumers.is_empty() {
        return;
    }
    let known = list(at(old, &["status"]), "reservedFor");
    let Some(allocation) = present(status, "allocation") else {
        errors.push(Error::forbidden(path, "may not be specified when `allocated` is not set"));
        return;
    };
    if consumers.len() > 1 && !is_true(allocation, "shareable") {
        errors.push(Error::forbidden(path, "may not be reserved more than once"));
    }
    let ends = is_true(status, "deallocationRequested") || meta::deletion_timestamp(claim).is_some();
    if ends && consumers.iter().any(|one| !known.contains(one)) {
        let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.push(Error::forbidden(path, detail));
    }
}

fn validate_allocation(errors: &mut Errors, path: &Path, allocation: &Value, driver: &str) {
    let handles = list(allocation, "resourceHandles");
    let handles_path = path.child("resourceHandles");
    check::items(errors, &handles_path, handles, Some(HANDLES_MAX), |errors, path, handle| {
        let named = text(handle, "driverName");
        if named.is_empty() && driver.is_empty() {
            errors.push(Error::required(&path.child("driverName"), ""));
        } else if !named.is_empty() {
            format::driver_name(errors, &path.child("driverName"), named);
        }
        if text(handle, "data").len() > HANDLE_DATA_MAX {
            errors.push(Error::too_long(&path.child("data"), HANDLE_DATA_MAX));
        }
        if !text(handle, "data").is_empty() && present(handle, "structuredData").is_some() {
            errors.push(Error::invalid(path, &Value::Null, "data and structuredData are mutually exclusive"));
        }
    });
    if let Some(nodes) = present(allocation, "availableOnNodes") {
        validate_node_selector(errors, &path.child("availableOnNodes"), nodes);
    }
}

/// The template of a classic claim.
pub(crate) fn validate_template(errors: &mut Errors, template: &Value) {
    let path = Path::new("spec");
    validate_template_metadata(errors, &path.child("metadata"), at(template, &["spec", "metadata"]));
    validate_claim_spec(errors, &path.child("spec"), at(template, &["spec", "spec"]));
}
