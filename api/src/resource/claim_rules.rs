//! What `ResourceClaim` and `ResourceClaimTemplate` do on writes.

use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use super::{beta, claim_spec, claim_status, gates, printed, status_access, taint};
use crate::{
    check,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    members::{at, at_mut, entries, is_true, list, list_mut, present, put},
    status,
};

/// Namespaces in which claims may ask for admin access carry this label with the value `true`.
const ADMIN_ACCESS_LABEL: &str = "resource.kubernetes.io/admin-access";

/// `ResourceClaim`.
pub(super) struct ClaimRules;
/// `ResourceClaimTemplate`.
pub(super) struct TemplateRules;

impl Strategy for ClaimRules {
    fn default(&self, claim: &mut Value, _: &dyn Surroundings) {
        default_devices(at_mut(claim, &["spec", "devices"]));
        if let Some(devices) = at_mut(claim, &["status", "allocation", "devices"]) {
            list_mut(devices, "results").iter_mut().for_each(taint::default_tolerations);
        }
        if let Some(status) = claim.get_mut("status") {
            claim_status::default(status);
        }
    }

    fn prepare_for_create(&self, claim: &mut Value, surroundings: &dyn Surroundings) {
        status::reset(claim);
        gates::drop_disabled(claim, None, gates::CLAIM, surroundings);
    }

    fn validate(&self, claim: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let requests = list(at(claim, &["spec", "devices"]), "requests");
        check_admin_access(&mut errors, meta::namespace(claim), requests, surroundings);
        claim_spec::validate(&mut errors, &Path::new("spec"), at(claim, &["spec"]), surroundings);
        errors
    }

    fn prepare_for_update(&self, claim: &mut Value, old: &Value, subresource: &str, surroundings: &dyn Surroundings) {
        status::separate(claim, old, subresource);
        gates::drop_disabled(claim, Some(old), gates::CLAIM, surroundings);
        if subresource == "status" {
            prune_devices(claim, old);
        }
    }

    fn validate_update(
        &self,
        claim: &Value,
        old: &Value,
        subresource: &str,
        surroundings: &dyn Surroundings,
    ) -> Errors {
        let mut errors = Vec::new();
        if subresource == "status" {
            check_admin_results(&mut errors, claim, old, surroundings);
            status_access::check(&mut errors, claim, old, surroundings);
            claim_status::validate_update(&mut errors, claim, old, surroundings.release());
        } else {
            let (path, new, old) = (Path::new("spec"), claim.get("spec"), old.get("spec"));
            check::immutable_printed(&mut errors, &path, new, old, printed::claim_spec);
        }
        errors
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

impl Strategy for TemplateRules {
    fn default(&self, template: &mut Value, _: &dyn Surroundings) {
        default_devices(at_mut(template, &["spec", "spec", "devices"]));
    }

    fn prepare_for_create(&self, template: &mut Value, surroundings: &dyn Surroundings) {
        gates::drop_disabled(template, None, gates::TEMPLATE, surroundings);
    }

    fn validate(&self, template: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let requests = list(at(template, &["spec", "spec", "devices"]), "requests");
        check_admin_access(&mut errors, meta::namespace(template), requests, surroundings);
        validate_template(&mut errors, template, surroundings);
        errors
    }

    fn prepare_for_update(&self, template: &mut Value, old: &Value, _: &str, surroundings: &dyn Surroundings) {
        gates::drop_disabled(template, Some(old), gates::TEMPLATE, surroundings);
    }

    fn validate_update(&self, template: &Value, old: &Value, _: &str, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        validate_template(&mut errors, template, surroundings);
        let (new, old) = (template.get("spec"), old.get("spec"));
        check::immutable_printed(&mut errors, &Path::new("spec"), new, old, printed::template_spec);
        errors
    }

    fn keeps_generation(&self) -> bool {
        false
    }
}

fn validate_template(errors: &mut Errors, template: &Value, surroundings: &dyn Surroundings) {
    let path = Path::new("spec");
    let (metadata_path, metadata) = (path.child("metadata"), at(template, &["spec", "metadata"]));
    for (name, _) in entries(metadata, "annotations") {
        // Case does not matter.
        let details = format::label_key_errors(&name.to_lowercase());
        let path = metadata_path.child("annotations");
        errors.extend(details.iter().map(|detail| Error::invalid(&path, &name.as_str().into(), detail)));
    }
    for (name, value) in entries(metadata, "labels") {
        format::label_key(errors, &metadata_path.child("labels"), name);
        format::label_value(errors, &metadata_path.child("labels"), value.as_str().unwrap_or_default());
    }
    validate_template_metadata(errors, &metadata_path, metadata);
    claim_spec::validate(errors, &path.child("spec"), at(template, &["spec", "spec"]), surroundings);
}

fn default_devices(devices: Option<&mut Value>) {
    let Some(devices) = devices else { return };
    if present(devices, "requests").is_none() {
        put(devices, "requests", Some(Value::Null));
    }
    for request in list_mut(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly") {
            default_ask(exactly);
        }
        list_mut(request, "firstAvailable").iter_mut().for_each(default_ask);
    }
}

fn default_ask(ask: &mut Value) {
    if let Some(members) = ask.as_object_mut() {
        beta::default_amount(members);
        if members.get("count").is_some_and(|count| *count == 0) {
            members.remove("count");
        }
    }
    taint::default_tolerations(ask);
}

/// A template may only carry labels and annotations for its claims.
pub(crate) fn validate_template_metadata(errors: &mut Errors, path: &Path, metadata: &Value) {
    for (name, value) in metadata.as_object().into_iter().flatten() {
        let given = match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            Value::Number(number) => number.as_i64() != Some(0),
            Value::Bool(_) => true,
        };
        if given && !matches!(name.as_str(), "labels" | "annotations") {
            errors.push(Error::forbidden(&path.child(name), "cannot be set"));
        }
    }
}

fn admin_access_denied(path: &Path) -> Error {
    let detail =
        format!("admin access to devices requires the `{ADMIN_ACCESS_LABEL}: true` label on the containing namespace");
    Error::forbidden(path, &detail)
}

fn is_admin_namespace(namespace: &str, surroundings: &dyn Surroundings) -> bool {
    surroundings.namespace_label(namespace, ADMIN_ACCESS_LABEL).as_deref() == Some("true")
}

fn check_admin_access(errors: &mut Errors, namespace: &str, requests: &[Value], surroundings: &dyn Surroundings) {
    let asks = requests.iter().position(|request| is_true(at(request, &["exactly"]), "adminAccess"));
    if let Some(index) = asks
        && !is_admin_namespace(namespace, surroundings)
    {
        let path = Path::new("spec").child("devices").child("requests").index(index).child("adminAccess");
        errors.push(admin_access_denied(&path));
    }
}

/// Results with admin access may only be written where claims may ask for it, or where they were before.
fn check_admin_results(errors: &mut Errors, claim: &Value, old: &Value, surroundings: &dyn Surroundings) {
    let results = |claim| list(at(claim, &["status", "allocation", "devices"]), "results");
    let admin = |result: &&Value| is_true(result, "adminAccess");
    if results(old).iter().any(|result| admin(&result)) {
        return;
    }
    if let Some(index) = results(claim).iter().position(|result| admin(&result))
        && !is_admin_namespace(meta::namespace(claim), surroundings)
    {
        let path = Path::new("status").child("allocation").child("devices").child("results").index(index);
        errors.push(admin_access_denied(&path.child("adminAccess")));
    }
}

/// What drivers reported about devices goes when the devices are no longer allocated.
fn prune_devices(claim: &mut Value, old: &Value) {
    let allocated = claim_status::allocated_devices(claim);
    let gone: Vec<Value> =
        claim_status::allocated_devices(old).into_iter().filter(|device| !allocated.contains(device)).collect();
    let Some(status) = claim.get_mut("status") else { return };
    let Some(devices) = status.get_mut("devices").and_then(Value::as_array_mut) else { return };
    devices.retain(|device| !gone.contains(&claim_status::device_key(device)));
    if devices.is_empty() {
        put(status, "devices", None);
    }
}
