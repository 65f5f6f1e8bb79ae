//! `scheduling.k8s.io/v1`.

use k8s_openapi::api::scheduling::v1 as api;

use machinery::field::{Error, Path};
use machinery::meta;
use serde_json::Value;

use super::column::{age, boolean, integer, name, text};
use super::formats::one_of;
use super::pointer;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::format::Errors;

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("scheduling.k8s.io", "PriorityClass", "priorityclasses")
            .cluster()
            .short(&["pc"])
            .version("v1", schema_of::<api::PriorityClass>, columns())
            .rules(Rules {
                // It has one and never counts it.
                prepare_for_create: |class, _| meta::set(class, "generation", 1),
                default: |class| pointer::default_to(class, "", "preemptionPolicy", "PreemptLowerPriority"),
                validate,
                validate_update: Some(validate_change),
                ..Rules::PLAIN
            }),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        integer("Value", "Priority that pods of the class get.", |object, _| pointer::integer(object, "/value").into()),
        boolean("Global-Default", "Whether pods without a class get this one.", |object, _| {
            pointer::is_true(object, "/globalDefault").into()
        }),
        age(),
        text("PreemptionPolicy", "Whether pods of the class preempt others.", |object, _| {
            pointer::text(object, "/preemptionPolicy").into()
        }),
    ]
}

/// The highest priority that a user may define.
const VALUE_MAX: i64 = 1_000_000_000;

/// Classes that the system defines itself, with their values.
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

fn validate(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let (name, value) = (meta::name(class), pointer::integer(class, "/value"));
    if name.starts_with("system-") {
        if !SYSTEM.contains(&(name, value)) {
            let detail = "priority class names with 'system-' prefix are reserved for system use only. error: ";
            let detail = format!("{detail}{name} is not a known system priority class");
            errors.push(Error::forbidden(&Path::new("metadata").child("name"), &detail));
        }
    } else if value > VALUE_MAX {
        let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
        errors.push(Error::forbidden(&Path::new("value"), &detail));
    }
    let policies = ["PreemptLowerPriority", "Never"];
    let policy = pointer::text(class, "/preemptionPolicy");
    one_of(&mut errors, &Path::new("preemptionPolicy"), policy, &policies);
    errors
}

fn validate_change(class: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for member in ["value", "preemptionPolicy"] {
        if class.get(member) != old.get(member) {
            match member {
                "value" => errors.push(Error::forbidden(&Path::new(member), "may not be changed in an update.")),
                _ => {
                    let policy = class.get(member).unwrap_or(&Value::Null);
                    errors.push(Error::invalid(&Path::new(member), policy, "field is immutable"));
                }
            }
        }
    }
    errors
}
