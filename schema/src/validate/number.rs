//! Numbers: range of the format, bounds, multiples.

use machinery::field::{Error, Path};
use serde_json::{Number, Value};

use super::{Outcome, place::Place};
use crate::{
    rules::Bound,
    tree::{Node, Type},
};

pub(super) fn check(number: &Number, node: Node<'_>, place: &Place<'_>, outcome: &mut Outcome) {
    if let Some(error) = range_error(number, node, place) {
        outcome.add(error);
    }
    outcome.checks += 1;
    let Some(rules) = node.rules() else { return };
    let value = Value::Number(number.clone());
    if let Some(factor) = &rules.multiple_of {
        match is_multiple(number, factor) {
            None => {
                let wrong = format!(
                    "factor MultipleOf declared for {} must be positive: {}",
                    place.path(),
                    show(number, factor)
                );
                outcome.add(Error::invalid(&place.path(), &Value::Number(factor.clone()), &wrong));
            }
            Some(false) => {
                outcome.add(place.invalid(&value, &format!("should be a multiple of {}", show(number, factor))))
            }
            Some(true) => {}
        }
    }
    if let Some(bound) = rules.minimum.as_ref().filter(|bound| breaks(number, bound, true)) {
        let words = if bound.exclusive { "greater than" } else { "greater than or equal to" };
        outcome.add(place.invalid(&value, &format!("should be {words} {}", show(number, &bound.limit))));
    }
    if let Some(bound) = rules.maximum.as_ref().filter(|bound| breaks(number, bound, false)) {
        let words = if bound.exclusive { "less than" } else { "less than or equal to" };
        outcome.add(place.invalid(&value, &format!("should be {words} {}", show(number, &bound.limit))));
    }
}

/// Whether the number lies beyond the range of its type and format.
fn range_error(number: &Number, node: Node<'_>, place: &Place<'_>) -> Option<Error> {
    let format = node.format().map(|format| format.as_str()).unwrap_or_default();
    let (kind, fits) = match (node.type_(), format) {
        (Type::Integer, "int32") => ("integer", whole(number).is_some_and(|whole| i32::try_from(whole).is_ok())),
        (Type::Integer, _) => ("integer", whole(number).is_some()),
        (Type::Number, "float") => ("number", number.as_f64().is_some_and(|float| float.abs() <= f64::from(f32::MAX))),
        _ => return None,
    };
    if fits {
        return None;
    }
    let format = match format {
        "int32" | "int64" | "float" => format!("with format {format}"),
        _ => "(default format)".to_owned(),
    };
    let detail = format!("Checked value must be of type {kind} {format} in {}", place.path());
    Some(Error::invalid(&Path::root(), &Value::from(""), &detail))
}

fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        // Beyond 2^63 the cast would saturate.
        (number.is_f64() && float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64)
    })
}

fn breaks(number: &Number, bound: &Bound, lower: bool) -> bool {
    let order = match (number.as_i64(), bound.limit.as_i64()) {
        (Some(number), Some(limit)) => Some(number.cmp(&limit)),
        // Upstream cuts the limit of a whole number to a whole number.
        (Some(number), None) => bound.limit.as_f64().map(|limit| number.cmp(&(limit as i64))),
        (None, _) => number.as_f64().zip(bound.limit.as_f64()).and_then(|(number, limit)| number.partial_cmp(&limit)),
    };
    order.is_some_and(|order| if lower { order.is_lt() } else { order.is_gt() } || (bound.exclusive && order.is_eq()))
}

/// `None` when the factor is not positive.
fn is_multiple(number: &Number, factor: &Number) -> Option<bool> {
    if let Some(number) = number.as_i64() {
        let factor = factor.as_i64().or_else(|| factor.as_f64().map(|float| float as i64))?;
        return (factor > 0).then(|| number % factor == 0);
    }
    let (number, factor) = (number.as_f64()?, factor.as_f64()?);
    if factor <= 0.0 {
        return None;
    }
    let quotient = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
    // swag.IsFloat64AJSONInteger: what is within a billionth of a whole number counts as one.
    let nearest = quotient.round();
    let difference = (quotient - nearest).abs();
    Some(quotient.is_finite() && (difference == 0.0 || difference / (quotient.abs() + nearest.abs()) < 1e-9))
}

/// A limit as upstream prints it: whole beside whole numbers, else like Go's `%v`.
fn show(number: &Number, limit: &Number) -> String {
    match (number.is_f64(), limit.as_i64(), limit.as_f64()) {
        (false, Some(whole), _) => whole.to_string(),
        (false, None, Some(float)) => (float as i64).to_string(),
        (_, _, Some(float)) => machinery::float::to_text(float),
        (_, _, None) => limit.to_string(),
    }
}
