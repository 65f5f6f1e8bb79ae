//! Taints and tolerations of devices, and what `DeviceTaintRule` does on writes.

use machinery::{
    field::{Error, Path},
    time::format_seconds,
};
use serde_json::Value;

use super::{claim_status::validate_conditions, gates};
use crate::{
    definition::{Strategy, Surroundings},
    format::{self, Errors},
    members::{at, at_mut, drop_zero, list, list_mut, present, put, text},
    status,
};

const CONDITIONS_MAX: usize = 8;
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// `DeviceTaintRule`.
pub(super) struct TaintRuleRules;

impl Strategy for TaintRuleRules {
    fn default(&self, rule: &mut Value, surroundings: &dyn Surroundings) {
        if let Some(taint) = at_mut(rule, &["spec", "taint"]) {
            default_time(taint, surroundings);
        }
    }

    fn prepare_for_create(&self, rule: &mut Value, surroundings: &dyn Surroundings) {
        status::reset(rule);
        gates::drop_disabled(rule, None, gates::TAINT_RULE, surroundings);
    }

    fn validate(&self, rule: &Value, _: &dyn Surroundings) -> Errors {
        validate_rule(rule, None)
    }

    fn prepare_for_update(&self, rule: &mut Value, old: &Value, subresource: &str, surroundings: &dyn Surroundings) {
        status::separate(rule, old, subresource);
        let old_taint = at(old, &["spec", "taint"]);
        if subresource.is_empty()
            && let Some(taint) = at_mut(rule, &["spec", "taint"])
            && text(taint, "effect") != text(old_taint, "effect")
            && taint.get("timeAdded") == old_taint.get("timeAdded")
        {
            put(taint, "timeAdded", Some(format_seconds(surroundings.now()).into()));
        }
    }

    fn validate_update(&self, rule: &Value, old: &Value, subresource: &str, _: &dyn Surroundings) -> Errors {
        if subresource != "status" {
            return validate_rule(rule, Some(old));
        }
        let mut errors = Vec::new();
        let path = Path::new("status").child("conditions");
        let conditions = list(at(rule, &["status"]), "conditions");
        validate_conditions(&mut errors, &path, conditions);
        if conditions.len() > CONDITIONS_MAX {
            errors.push(Error::too_many(&path, conditions.len(), CONDITIONS_MAX));
        }
        errors
    }
}

fn validate_rule(rule: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let selector = at(rule, &["spec", "deviceSelector"]);
    let selector_path = path.child("deviceSelector");
    type Check = fn(&mut Errors, &Path, &str);
    let checks: [(&str, Check); 3] =
        [("driver", format::driver_name), ("pool", format::pool_name), ("device", format::dns_label)];
    for (name, check) in checks {
        if let Some(value) = present(selector, name) {
            check(&mut errors, &selector_path.child(name), value.as_str().unwrap_or_default());
        }
    }
    let old_taint = old.map(|old| at(old, &["spec", "taint"]));
    validate_taint(&mut errors, &path.child("taint"), at(rule, &["spec", "taint"]), old_taint);
    errors
}

/// Checks a taint. An effect that was accepted before is not looked at again.
pub(super) fn validate_taint(errors: &mut Errors, path: &Path, taint: &Value, old: Option<&Value>) {
    format::label_key(errors, &path.child("key"), text(taint, "key"));
    format::label_value(errors, &path.child("value"), text(taint, "value"));
    let effect = text(taint, "effect");
    if old.is_none_or(|old| text(old, "effect") != effect) {
        let path = path.child("effect");
        if effect.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if !EFFECTS.contains(&effect) {
            errors.push(Error::not_supported(&path, &effect.into(), &EFFECTS));
        }
    }
}

/// A taint was added now unless it says when.
pub(super) fn default_time(taint: &mut Value, surroundings: &dyn Surroundings) {
    drop_zero(taint, &["value"]);
    if taint.is_object() && present(taint, "timeAdded").is_none() {
        put(taint, "timeAdded", Some(format_seconds(surroundings.now()).into()));
    }
}

/// Checks the tolerations of a request or of a result.
pub(super) fn validate_tolerations(errors: &mut Errors, path: &Path, owner: &Value) {
    let path = path.child("tolerations");
    for (index, toleration) in list(owner, "tolerations").iter().enumerate() {
        validate_toleration(errors, &path.index(index), toleration);
    }
}

fn validate_toleration(errors: &mut Errors, path: &Path, toleration: &Value) {
    let key = text(toleration, "key");
    if !key.is_empty() {
        format::label_key(errors, &path.child("key"), key);
    }
    let value = text(toleration, "value");
    let operator_path = path.child("operator");
    match text(toleration, "operator") {
        "Exists" if !value.is_empty() => {
            let detail = "must be empty for operator `Exists`";
            errors.push(Error::invalid(&path.child("value"), &value.into(), detail));
        }
        "Exists" => {}
        "Equal" => format::label_value(errors, &path.child("value"), value),
        "" => errors.push(Error::required(&operator_path, "")),
        other => errors.push(Error::not_supported(&operator_path, &other.into(), &["Equal", "Exists"])),
    }
    let effect = text(toleration, "effect");
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        errors.push(Error::not_supported(&path.child("effect"), &effect.into(), &EFFECTS));
    }
}

/// The operator of a toleration is `Equal` unless given.
pub(super) fn default_tolerations(owner: &mut Value) {
    for toleration in list_mut(owner, "tolerations") {
        drop_zero(toleration, &["key", "value", "effect"]);
        if toleration.is_object() && text(toleration, "operator").is_empty() {
            put(toleration, "operator", Some("Equal".into()));
        }
    }
}
