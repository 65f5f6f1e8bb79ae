//! `policy/v1`.

use k8s_openapi::api::policy::v1 as api;

use machinery::field::{Error, Path};
use serde_json::{Value, json};

use super::cells::plain;
use super::column::{age, integer, name, text};
use super::formats::{at_most_all, count_or_percent, label_selector, not_negative, present_one_of};
use super::go_form::{self, Form, Member, NULL, SELECTOR, go_struct};
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;
use crate::resource::validate_conditions;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("policy", "PodDisruptionBudget", "poddisruptionbudgets")
            .short(&["pdb"])
            .version("v1", schema_of::<api::PodDisruptionBudget>, columns())
            .status()
            .rules(Rules { takes_bare_finalizers: true, unconditional_update: false, initial_status: |_| {
                    json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0})
                },
                validate,
                validate_subresource: |budget, _, _| validate_status(budget),
                ..Rules::WITH_GENERATION
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Min Available", "How many pods must stay.", |object, _| {
            plain(object, "/spec/minAvailable", "N/A").into()
        }),
        text("Max Unavailable", "How many pods may be missing.", |object, _| {
            plain(object, "/spec/maxUnavailable", "N/A").into()
        }),
        integer("Allowed Disruptions", "How many pods may go now.", |object, _| {
            pointer::integer(object, "/status/disruptionsAllowed").into()
        }),
        age(),
    ]
}

const SPEC: &[Member] = go_struct! {
    MinAvailable: NULL, Selector: Form::Pointer(SELECTOR), MaxUnavailable: NULL, UnhealthyPodEvictionPolicy: NULL,
};

fn validate(budget: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = budget.get("spec").unwrap_or(&Value::Null);
    if pointer::has(spec, "/minAvailable") && pointer::has(spec, "/maxUnavailable") {
        let shown = go_form::shown(SPEC, spec);
        errors.push(Error::invalid_shown(&path, &shown, "minAvailable and maxUnavailable cannot be both set"));
    }
    for member in ["minAvailable", "maxUnavailable"] {
        if let Some(value) = spec.get(member) {
            count_or_percent(&mut errors, &path.child(member), value);
            at_most_all(&mut errors, &path.child(member), value);
        }
    }
    if let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) {
        label_selector(&mut errors, &path.child("selector"), selector);
    }
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    let policy = spec.get("unhealthyPodEvictionPolicy");
    present_one_of(&mut errors, &path.child("unhealthyPodEvictionPolicy"), policy, &policies);
    errors
}

/// The status: counts are not negative, conditions are as they are everywhere.
fn validate_status(budget: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("status");
    let status = budget.get("status").unwrap_or(&Value::Null);
    validate_conditions(&mut errors, &path.child("conditions"), pointer::list(status, "/conditions"));
    for member in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        not_negative(&mut errors, &path, status, member);
    }
    errors
}
