//! Validation of how shares of a capacity are cut (KEP-5075).

use std::collections::HashSet;

use machinery::{
    field::{Error, Path},
    quantity::Quantity,
};
use serde_json::Value;

use crate::{
    definition::Surroundings,
    format::Errors,
    members::{list, present},
    release::Release,
};

const VALID_VALUES_MAX: usize = 10;
const FRACTIONAL: &str = "DRAFractionalCapacityRange";

/// Checks the policy of a capacity of which there is `capacity` in all.
pub(super) fn validate(
    errors: &mut Errors,
    path: &Path,
    policy: &Value,
    capacity: &Value,
    surroundings: &dyn Surroundings,
) {
    let values = list(policy, "validValues");
    let range = present(policy, "validRange");
    if !values.is_empty() && range.is_some() {
        let detail =
            r#"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#;
        errors.push(Error::forbidden(path, detail));
        return;
    }
    let kind = if !values.is_empty() {
        "validValues"
    } else if range.is_some() {
        "validRange"
    } else {
        return;
    };
    let Some(default) = quantity(policy, "default") else {
        errors.push(Error::required(&path.child("default"), &format!("required when {kind} is defined")));
        return;
    };
    let capacity = Quantity::from_json(capacity).unwrap_or_default();
    let fractional = surroundings.feature_enabled(FRACTIONAL);
    let path = path.child(kind);
    match range {
        None => validate_values(errors, &path, values, &default, &capacity, fractional),
        Some(range) => {
            let rules = RangeRules { fractional, bounded: surroundings.release() >= Release::V1_37 };
            validate_range(errors, &path, range, &default, &capacity, rules);
        }
    }
}

fn quantity(owner: &Value, name: &str) -> Option<Quantity> {
    present(owner, name).and_then(|value| Quantity::from_json(value).ok())
}

fn wrong(errors: &mut Errors, path: &Path, value: &Quantity, detail: &str) {
    errors.push(Error::invalid(path, &value.to_string().into(), detail));
}

fn validate_values(
    errors: &mut Errors,
    path: &Path,
    values: &[Value],
    default: &Quantity,
    capacity: &Quantity,
    fractional: bool,
) {
    let values: Vec<Quantity> = values.iter().map(|value| Quantity::from_json(value).unwrap_or_default()).collect();
    for (index, pair) in values.windows(2).enumerate() {
        if pair[0] > pair[1] {
            wrong(errors, &path.index(index + 1), &pair[1], "values must be sorted in ascending order");
        }
    }
    if values.len() > VALID_VALUES_MAX {
        errors.push(Error::too_many(path, values.len(), VALID_VALUES_MAX));
    } else {
        for (index, value) in values.iter().enumerate() {
            if value > capacity {
                let detail = format!("option is larger than capacity value: {capacity}");
                wrong(errors, &path.index(index), value, &detail);
            }
        }
        let mut seen = HashSet::new();
        for (index, value) in values.iter().enumerate() {
            let key = if fractional { value.canonical() } else { value.value().to_string() };
            if !seen.insert(key.clone()) {
                errors.push(Error::duplicate(&path.index(index), &key.into()));
            }
        }
    }
    if values.len() > VALID_VALUES_MAX || !values.iter().any(|value| value.cmp(default).is_eq()) {
        wrong(errors, path, default, "default value is not valid according to the requestPolicy");
    }
}

/// What is looked at in a range.
#[derive(Clone, Copy)]
struct RangeRules {
    /// Bounds may be fractions.
    fractional: bool,
    /// Bounds must not be negative, nor exceed what fits into 64 bits, and errors name the default where it is wrong;
    /// since 1.37.
    bounded: bool,
}

fn validate_range(
    errors: &mut Errors,
    path: &Path,
    range: &Value,
    default: &Quantity,
    capacity: &Quantity,
    rules: RangeRules,
) {
    let default_path = |bound| path.child(if rules.bounded { "default" } else { bound });
    let (max, step) = (quantity(range, "max"), quantity(range, "step"));
    let Some(min) = quantity(range, "min") else {
        errors.push(Error::required(&path.child("min"), "required when validRange is defined"));
        return;
    };
    if min > *capacity {
        wrong(errors, &path.child("min"), &min, &format!("min is larger than capacity value: {capacity}"));
    }
    if *default < min {
        wrong(errors, &default_path("min"), default, &format!("default is less than min: {min}"));
    }
    if let Some(max) = &max {
        if min > *max {
            wrong(errors, &path.child("max"), &min, &format!("min is larger than max: {max}"));
        }
        if max > capacity {
            wrong(errors, &path.child("max"), max, &format!("max is larger than capacity value: {capacity}"));
        }
        if default > max {
            wrong(errors, &default_path("max"), default, &format!("default is more than max: {max}"));
        }
    }
    let bounds = [("default", Some(default)), ("min", Some(&min)), ("max", max.as_ref()), ("step", step.as_ref())];
    let is_whole = |bound: &Quantity| bound.is_multiple_of_power(0);
    let milli = rules.fractional && bounds.iter().any(|(_, bound)| bound.is_some_and(|bound| !is_whole(bound)));
    if milli
        && !all(errors, path, &bounds, |bound| {
            (!bound.is_multiple_of_power(-3)).then_some("value cannot be represented as a milli value")
        })
    {
        return;
    }
    let Some(step) = &step else { return };
    // Upstream before 1.37 divides by zero here.
    if step.sign() <= 0 && (rules.bounded || step.value() == 0) {
        wrong(errors, &path.child("step"), step, "must be greater than zero");
        return;
    }
    let next = min.add(step);
    if next > *capacity {
        let detail = format!("one step {next} is larger than capacity value: {capacity}");
        wrong(errors, &path.child("step"), step, &detail);
    }
    if rules.bounded && !milli && !all(errors, path, &bounds, out_of_range) {
        return;
    }
    for value in std::iter::once(default).chain(max.as_ref()) {
        let amount = |quantity: &Quantity| i128::from(if milli { quantity.milli_value() } else { quantity.value() });
        if (amount(value) - amount(&min)) % nonzero(amount(step)) != 0 {
            let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
            wrong(errors, &path.child("step"), value, &detail);
        }
    }
}

fn nonzero(step: i128) -> i128 {
    if step == 0 { 1 } else { step }
}

/// Whether every bound passes; says what is wrong with those that do not.
fn all(
    errors: &mut Errors,
    path: &Path,
    bounds: &[(&str, Option<&Quantity>)],
    fault: impl Fn(&Quantity) -> Option<&'static str>,
) -> bool {
    let before = errors.len();
    for (name, bound) in bounds {
        if let Some(bound) = bound
            && let Some(detail) = fault(bound)
        {
            wrong(errors, &path.child(name), bound, detail);
        }
    }
    errors.len() == before
}

fn out_of_range(bound: &Quantity) -> Option<&'static str> {
    let largest = Quantity::new(i64::MAX, bound.format());
    if bound.sign() < 0 {
        Some("must be greater than or equal to 0")
    } else if *bound > largest {
        Some("must not be larger than 9223372036854775807")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;
    use serde_json::json;

    #[test]
    fn policies_are_consistent() {
        let cases = [
            (json!({"default": "1Gi"}), vec![]),
            (json!({}), vec![]),
            (json!({"validValues": ["1Gi"]}), vec!["p.default: Required value: required when validValues is defined"]),
            (json!({"default": "1Gi", "validValues": ["1Gi", "2Gi"]}), vec![]),
            (
                json!({"default": "1Gi", "validValues": ["2Gi", "1Gi"]}),
                vec![r#"p.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order"#],
            ),
            (
                json!({"default": "3Gi", "validValues": ["1Gi", "20Gi"]}),
                vec![
                    r#"p.validValues[1]: Invalid value: "20Gi": option is larger than capacity value: 10Gi"#,
                    r#"p.validValues: Invalid value: "3Gi": default value is not valid according to the requestPolicy"#,
                ],
            ),
            (json!({"default": "2Gi", "validRange": {"min": "1Gi", "max": "4Gi", "step": "1Gi"}}), vec![]),
            (
                json!({"default": "2Gi", "validRange": {"max": "4Gi"}}),
                vec!["p.validRange.min: Required value: required when validRange is defined"],
            ),
            (
                json!({"default": "1500Mi", "validRange": {"min": "1Gi", "step": "1Gi"}}),
                vec![
                    r#"p.validRange.step: Invalid value: "1500Mi": value is not a multiple of a given step (1Gi) from (1Gi)"#,
                ],
            ),
            (
                json!({"default": "2Gi", "validRange": {"min": "1Gi", "step": "0"}}),
                vec![r#"p.validRange.step: Invalid value: "0": must be greater than zero"#],
            ),
            (
                json!({"default": "1", "validValues": ["1"], "validRange": {"min": "1"}}),
                vec![
                    r#"p: Forbidden: exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#,
                ],
            ),
        ];
        for (policy, expected) in cases {
            let mut errors = Vec::new();
            validate(&mut errors, &Path::new("p"), &policy, &json!("10Gi"), &Bench::default());
            let found: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{policy}");
        }
    }

    #[test]
    fn extreme_bounds_do_not_overflow() {
        for step in ["9223372036854775807", "1e30", "-1", "1n"] {
            let policy =
                json!({"default": "0", "validRange": {"min": "-9223372036854775807", "max": "1e40", "step": step}});
            validate(&mut Vec::new(), &Path::new("p"), &policy, &json!("1e50"), &Bench::default());
            validate(
                &mut Vec::new(),
                &Path::new("p"),
                &policy,
                &json!("1e50"),
                &Bench { gates: vec![FRACTIONAL], ..Bench::default() },
            );
        }
    }
}
