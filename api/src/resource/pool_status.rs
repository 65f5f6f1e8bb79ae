//! What `ResourcePoolStatusRequest` does on writes: a question that is answered once.

use std::collections::HashSet;

use machinery::field::{Error, Path};
use serde_json::Value;

use super::{claim_status::validate_conditions, printed, slice_rules::PARTITION_TYPE};
use crate::{
    check,
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    members::{self, at, list, present, put, text},
    status,
};

const LIMIT_MAX: i64 = 1000;
const POOLS_MAX: usize = 1000;
const CONDITIONS_MAX: usize = 10;
const VALIDATION_ERROR_MAX: usize = 256;

/// `ResourcePoolStatusRequest`.
pub(super) struct PoolStatusRules;

impl Strategy for PoolStatusRules {
    fn prepare_for_create(&self, request: &mut Value, _: &dyn Surroundings) {
        put(request, "status", None);
    }

    fn validate(&self, request: &Value, surroundings: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        let path = Path::new("spec");
        let spec = at(request, &["spec"]);
        format::required_long_name_of_any_case(&mut errors, &path.child("driver"), text(spec, "driver"));
        if let Some(pool) = present(spec, "poolName") {
            format::pool_name_by_segment(&mut errors, &path.child("poolName"), pool.as_str().unwrap_or_default());
        }
        if let Some(name) = present(spec, "defaultPartitionTypeAttribute") {
            let path = path.child("defaultPartitionTypeAttribute");
            if surroundings.feature_enabled(PARTITION_TYPE) {
                format::fully_qualified_name(&mut errors, &path, name.as_str().unwrap_or_default());
            } else {
                errors.push(Error::forbidden(&path, ""));
            }
        }
        if let Some(limit) = at(spec, &["limit"]).as_i64() {
            let path = path.child("limit");
            if limit < 1 {
                errors.push(Error::invalid(&path, &limit.into(), "must be greater than or equal to 1"));
            } else if limit > LIMIT_MAX {
                errors.push(Error::invalid(
                    &path,
                    &limit.into(),
                    &format!("must be less than or equal to {LIMIT_MAX}"),
                ));
            }
        }
        errors
    }

    fn prepare_for_update(&self, request: &mut Value, old: &Value, subresource: &str, _: &dyn Surroundings) {
        status::separate(request, old, subresource);
    }

    fn validate_update(&self, request: &Value, old: &Value, subresource: &str, _: &dyn Surroundings) -> Errors {
        let mut errors = Vec::new();
        if subresource == "status" {
            validate_status(&mut errors, request, old);
        } else {
            // Upstream does not show what it compares here.
            check::immutable_printed(&mut errors, &Path::new("spec"), request.get("spec"), old.get("spec"), |_| {
                "null".to_owned()
            });
        }
        errors
    }

    fn keeps_generation(&self) -> bool {
        false
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

fn validate_status(errors: &mut Errors, request: &Value, old: &Value) {
    let path = Path::new("status");
    let (new, earlier) = (present(request, "status"), present(old, "status"));
    if earlier.is_some() {
        if members::same(new, earlier) {
            return;
        }
        let print = |status: &Value| if status.is_null() { "null".to_owned() } else { printed::pool_status(status) };
        check::immutable_printed(errors, &path, new, earlier, print);
    }
    let Some(status) = new else { return };
    match at(status, &["poolCount"]).as_i64() {
        None => errors.push(Error::required(&path.child("poolCount"), "")),
        Some(count) if count < 0 => {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path.child("poolCount"), &count.into(), detail));
        }
        Some(_) => {}
    }
    let pools = list(status, "pools");
    check::items(errors, &path.child("pools"), pools, Some(POOLS_MAX), |errors, path, pool| {
        validate_pool(errors, path, pool);
    });
    let conditions = list(status, "conditions");
    let path = path.child("conditions");
    if earlier.is_none() {
        validate_conditions(errors, &path, conditions);
    }
    let mut types = HashSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        if !types.insert(text(condition, "type")) {
            errors.push(Error::duplicate_shown(&path.index(index), &printed::condition(condition), ""));
        }
    }
    if conditions.len() > CONDITIONS_MAX {
        errors.push(Error::too_many(&path, conditions.len(), CONDITIONS_MAX));
    }
}

fn validate_pool(errors: &mut Errors, path: &Path, pool: &Value) {
    format::required_long_name_of_any_case(errors, &path.child("driver"), text(pool, "driver"));
    match text(pool, "poolName") {
        "" => errors.push(Error::required(&path.child("poolName"), "")),
        name => format::pool_name_by_segment(errors, &path.child("poolName"), name),
    }
    let least = [
        ("generation", 0),
        ("resourceSliceCount", 1),
        ("totalDevices", 0),
        ("allocatedDevices", 0),
        ("availableDevices", 0),
        ("unavailableDevices", 0),
    ];
    for (name, least) in least {
        let path = path.child(name);
        match at(pool, &[name]).as_i64() {
            // Zero is not told from absent.
            None | Some(0) if name == "generation" => errors.push(Error::required(&path, "")),
            Some(number) if number < least => {
                let detail = format!("must be greater than or equal to {least}");
                errors.push(Error::invalid(&path, &number.into(), &detail));
            }
            _ => {}
        }
    }
    if let Some(name) = present(pool, "nodeName") {
        format::long_name(errors, &path.child("nodeName"), name.as_str().unwrap_or_default());
    }
    if text(pool, "validationError").len() > VALIDATION_ERROR_MAX {
        errors.push(Error::too_long(&path.child("validationError"), VALIDATION_ERROR_MAX));
    }
}
