//! What is wrong with webhook configurations, admission policies and their bindings. Expressions are checked by whoever
//! compiles them.

mod binding;
mod policy;
mod rule;
mod webhook;

use std::collections::BTreeSet;

use machinery::field::{Error, Path};
use serde_json::Value;

pub use webhook::client_errors;

use crate::builtin::formats::{label_selector, required_name};
use crate::builtin::pointer::{list, text};
use crate::format::Errors;

/// What checks a kind of the group.
pub(super) fn of(kind: &str) -> fn(&Value) -> Errors {
    match kind {
        "MutatingWebhookConfiguration" => webhook::mutating,
        "ValidatingWebhookConfiguration" => webhook::validating,
        "ValidatingAdmissionPolicy" => policy::validating,
        "MutatingAdmissionPolicy" => policy::mutating,
        "ValidatingAdmissionPolicyBinding" => binding::validating,
        _ => binding::mutating,
    }
}

const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];

fn selectors(errors: &mut Errors, path: &Path, object: &Value) {
    for member in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = object.get(member).filter(|selector| !selector.is_null()) {
            label_selector(errors, &path.child(member), selector);
        }
    }
}

fn conditions(errors: &mut Errors, path: &Path, object: &Value) {
    const CONDITIONS_MAX: usize = 64;
    let conditions = list(object, "/matchConditions");
    if conditions.len() > CONDITIONS_MAX {
        return errors.push(Error::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        let name = text(condition, "/name");
        if text(condition, "/expression").trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), ""));
        }
        required_name(errors, &path.child("name"), name, machinery::label::key_errors);
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
    }
}
