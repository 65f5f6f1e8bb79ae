//! Validation of node selectors: `core/v1 NodeSelector`.

use machinery::{
    field::{Error, Path},
    names::dns1123_subdomain_errors,
};
use serde_json::Value;

use crate::{
    format::{self, Errors},
    members::{list, text},
};

const NOT_AN_OPERATOR: &str = "not a valid selector operator";

/// Checks a node selector.
pub(crate) fn validate(errors: &mut Errors, path: &Path, selector: &Value) {
    let path = path.child("nodeSelectorTerms");
    let terms = list(selector, "nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(Error::required(&path, "must have at least one node selector term"));
    }
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index);
        for (index, requirement) in list(term, "matchExpressions").iter().enumerate() {
            validate_expression(errors, &path.child("matchExpressions").index(index), requirement);
        }
        for (index, requirement) in list(term, "matchFields").iter().enumerate() {
            validate_field(errors, &path.child("matchFields").index(index), requirement);
        }
    }
}

fn validate_expression(errors: &mut Errors, path: &Path, requirement: &Value) {
    let values = list(requirement, "values");
    let values_path = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(Error::required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values_path, detail));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(Error::required(&values_path, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.push(Error::invalid(&path.child("operator"), &other.into(), NOT_AN_OPERATOR)),
    }
    format::label_key(errors, &path.child("key"), text(requirement, "key"));
    for (index, value) in values.iter().enumerate() {
        format::label_value(errors, &values_path.index(index), value.as_str().unwrap_or_default());
    }
}

fn validate_field(errors: &mut Errors, path: &Path, requirement: &Value) {
    let values = list(requirement, "values");
    match text(requirement, "operator") {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(Error::required(&path.child("values"), detail));
        }
        "In" | "NotIn" => {}
        other => errors.push(Error::invalid(&path.child("operator"), &other.into(), NOT_AN_OPERATOR)),
    }
    let key = text(requirement, "key");
    if key != "metadata.name" {
        errors.push(Error::invalid(&path.child("key"), &key.into(), "not a valid field selector key"));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        for detail in dns1123_subdomain_errors(value.as_str().unwrap_or_default()) {
            errors.push(Error::invalid(&path.child("values").index(index), value, &detail));
        }
    }
}
