//! Equality and order of values. Numbers compare by value whatever their type.

use std::cmp::Ordering;

use crate::collection::{List, Map};
use crate::fault::Fault;
use crate::shape::Order;
use crate::value::{Shared, Value};

/// Whether two values are equal. Values of different types are not, numbers apart.
pub(crate) fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::String(left), Value::String(right)) => **left == **right,
        (Value::Bytes(left), Value::Bytes(right)) => **left == **right,
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Type(left), Value::Type(right)) => **left == **right,
        (Value::List(left), Value::List(right)) => equal_lists(left, right),
        (Value::Map(left), Value::Map(right)) => equal_maps(left, right),
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(left)), Value::Optional(Some(right))) => equal(left, right),
        (Value::Quantity(left), Value::Quantity(right)) => **left == **right,
        (Value::Semver(left), Value::Semver(right)) => **left == **right,
        (Value::Url(left), Value::Url(right)) => left == right,
        (Value::Ip(left), Value::Ip(right)) => left == right,
        (Value::Cidr(left), Value::Cidr(right)) => left == right,
        (Value::Format(left), Value::Format(right)) => left.name() == right.name(),
        _ => compare_numbers(left, right) == Some(Ordering::Equal),
    }
}

/// The result of `==`, which for Kubernetes' own types is an error if the right side is of another type.
pub(crate) fn equals(left: &Value<'_>, right: &Value<'_>) -> Result<bool, Fault> {
    let strict = matches!(
        left,
        Value::Quantity(_) | Value::Semver(_) | Value::Url(_) | Value::Ip(_) | Value::Cidr(_) | Value::Format(_)
    );
    if strict && !matches!(right, Value::Null) && std::mem::discriminant(left) != std::mem::discriminant(right) {
        return Err(Fault::no_overload());
    }
    // A sum of quantities is for Kubernetes of another Go type than a quantity, which equality looks at on the right.
    if matches!((left, right), (Value::Quantity(_), Value::Quantity(Shared::Computed(_)))) {
        return Err(Fault::no_overload());
    }
    Ok(equal(left, right))
}

fn equal_lists(left: &List<'_>, right: &List<'_>) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.document().or(right.document()).map(|list| list.shape().order()) {
        None | Some(Order::Matters) => left.iter().zip(right.iter()).all(|(left, right)| equal(&left, &right)),
        // Equal lengths, and no duplicates within a set or keyed list.
        Some(_) => left.iter().all(|element| right.iter().any(|other| equal(&element, &other))),
    }
}

fn equal_maps(left: &Map<'_>, right: &Map<'_>) -> bool {
    left.len() == right.len()
        && left.entries().all(|(key, value)| right.find(&key).is_some_and(|other| equal(&value, &other)))
}

/// The order of two numbers. `None` if one is no number or not a number.
fn compare_numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Int(left), Value::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Uint(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Int(left), Value::Double(right)) => compare_int(*left, *right),
        (Value::Double(left), Value::Int(right)) => compare_int(*right, *left).map(Ordering::reverse),
        (Value::Uint(left), Value::Double(right)) => compare_uint(*left, *right),
        (Value::Double(left), Value::Uint(right)) => compare_uint(*right, *left).map(Ordering::reverse),
        _ => None,
    }
}

fn compare_int(left: i64, right: f64) -> Option<Ordering> {
    if right < i64::MIN as f64 {
        return Some(Ordering::Greater);
    }
    if right > i64::MAX as f64 {
        return Some(Ordering::Less);
    }
    (left as f64).partial_cmp(&right)
}

fn compare_uint(left: u64, right: f64) -> Option<Ordering> {
    if right < 0.0 {
        return Some(Ordering::Greater);
    }
    if right > u64::MAX as f64 {
        return Some(Ordering::Less);
    }
    (left as f64).partial_cmp(&right)
}

/// The order of two values. `operator` is named if values of the left one's type have no order.
pub(crate) fn compare(left: &Value<'_>, right: &Value<'_>, operator: &str) -> Result<Ordering, Fault> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Ok((**left).cmp(&**right)),
        (Value::Bytes(left), Value::Bytes(right)) => Ok((**left).cmp(&**right)),
        (Value::Duration(left), Value::Duration(right)) => Ok(left.cmp(right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Ok(left.cmp(right)),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            compare_numbers(left, right).ok_or_else(|| Fault::error("NaN values cannot be ordered"))
        }
        (
            Value::Bool(_)
            | Value::String(_)
            | Value::Bytes(_)
            | Value::Duration(_)
            | Value::Timestamp(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_),
            _,
        ) => Err(Fault::no_overload()),
        _ => Err(Fault::error(format!("no such overload: {operator}"))),
    }
}

/// The sum of two lists: one after the other, unless their elements replace each other by key or value.
pub(crate) fn concatenate<'a>(left: &List<'a>, right: &List<'a>) -> Vec<Value<'a>> {
    let order = left.document().map_or(&Order::Matters, |list| list.shape().order());
    let mut sum: Vec<Value<'a>> = left.iter().collect();
    match order {
        Order::Matters => sum.extend(right.iter()),
        Order::Free => {
            for element in right.iter() {
                if !sum.iter().any(|known| equal(known, &element)) {
                    sum.push(element);
                }
            }
        }
        Order::Keyed(keys) => {
            for element in right.iter() {
                match sum.iter_mut().find(|known| same_keys(known, &element, keys)) {
                    Some(known) => *known = element,
                    None => sum.push(element),
                }
            }
        }
    }
    sum
}

fn same_keys(left: &Value<'_>, right: &Value<'_>, keys: &[String]) -> bool {
    let (Value::Map(left), Value::Map(right)) = (left, right) else { return false };
    keys.iter().all(|key| {
        let key = Value::text(key);
        match (left.find(&key), right.find(&key)) {
            (Some(left), Some(right)) => equal(&left, &right),
            (None, None) => true,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::value_of;
    use crate::shape::Shape;

    #[test]
    fn numbers_compare_by_value() {
        assert!(equal(&Value::Int(1), &Value::Double(1.0)));
        assert!(equal(&Value::Uint(1), &Value::Int(1)));
        assert!(!equal(&Value::Double(f64::NAN), &Value::Double(f64::NAN)));
        assert_eq!(compare(&Value::Int(-1), &Value::Uint(0), "_<_"), Ok(Ordering::Less));
        assert_eq!(compare(&Value::Uint(u64::MAX), &Value::Double(1e30), "_<_"), Ok(Ordering::Less));
        assert!(compare(&Value::Null, &Value::Int(1), "_<_").is_err());
    }

    #[test]
    fn sets_are_equal_in_any_order() {
        let (left, right) = (serde_json::json!([1, 2]), serde_json::json!([2, 1]));
        let set = Shape::list(Shape::simple(crate::Type::Int), 10).with_order(Order::Free);
        let list = Shape::list(Shape::simple(crate::Type::Int), 10);
        assert!(equal(&value_of(&left, &set), &value_of(&right, &set)));
        assert!(!equal(&value_of(&left, &list), &value_of(&right, &list)));
    }
}
