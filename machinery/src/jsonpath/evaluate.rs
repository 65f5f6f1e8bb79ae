//! Following the steps.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;

use super::{Error, Filter, Slice, Step, VALUES_MAX, to_text};

type Values<'a> = Vec<Cow<'a, Value>>;

pub(super) fn steps<'a>(steps: &'a [Step], mut values: Values<'a>) -> Result<Values<'a>, Error> {
    for one in steps {
        values = step(one, values)?;
        if values.len() > VALUES_MAX {
            return Err(Error(format!("more than {VALUES_MAX} results")));
        }
    }
    Ok(values)
}

fn step<'a>(step: &'a Step, values: Values<'a>) -> Result<Values<'a>, Error> {
    match step {
        Step::Field(name) => Ok(values.into_iter().filter_map(|value| member(value, name)).collect()),
        Step::Wildcard => Ok(values.into_iter().flat_map(children).collect()),
        Step::Descend => {
            let mut found = Vec::new();
            values.into_iter().try_for_each(|value| descend(value, &mut found))?;
            Ok(found)
        }
        Step::Slice(slice) => {
            let values = values.into_iter().filter(|value| !value.is_null());
            each(values, |value| items(value, *slice))
        }
        Step::Filter(filter) => each(values.into_iter(), |value| matching(value, filter)),
        Step::Union(paths) => {
            let mut found = Vec::new();
            for path in paths {
                found.extend(steps(path, values.clone())?);
            }
            Ok(found)
        }
        Step::Literal(Value::String(_)) => {
            let Step::Literal(text) = step else { return Ok(values) };
            Ok(vec![Cow::Borrowed(text)])
        }
        Step::Literal(literal) => Ok(values.iter().map(|_| Cow::Borrowed(literal)).collect()),
        Step::Identifier(word) => Err(Error(format!("unrecognized identifier {word}"))),
    }
}

/// The results for each value.
fn each<'a>(
    values: impl Iterator<Item = Cow<'a, Value>>,
    mut find: impl FnMut(Cow<'a, Value>) -> Result<Values<'a>, Error>,
) -> Result<Values<'a>, Error> {
    let mut found = Vec::new();
    for value in values {
        found.extend(find(value)?);
    }
    Ok(found)
}

fn member<'a>(value: Cow<'a, Value>, name: &str) -> Option<Cow<'a, Value>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        Cow::Owned(mut value) => value.as_object_mut()?.remove(name).map(Cow::Owned),
    }
}

fn children(value: Cow<'_, Value>) -> Values<'_> {
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(members)) => members.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(members)) => members.into_iter().map(|(_, value)| Cow::Owned(value)).collect(),
        _ => Vec::new(),
    }
}

/// Adds the value if it has children, and then its children in the same way.
fn descend<'a>(value: Cow<'a, Value>, found: &mut Values<'a>) -> Result<(), Error> {
    let below = children(value.clone());
    if below.is_empty() {
        return Ok(());
    }
    if found.len() >= VALUES_MAX {
        return Err(Error(format!("more than {VALUES_MAX} results")));
    }
    found.push(value);
    below.into_iter().try_for_each(|child| descend(child, found))
}

fn list(value: Cow<'_, Value>) -> Option<Values<'_>> {
    if value.is_array() { Some(children(value)) } else { None }
}

fn items(value: Cow<'_, Value>, slice: Slice) -> Result<Values<'_>, Error> {
    let name = type_name(&value);
    let Some(items) = list(value) else { return Err(Error(format!("{name} is not array or slice"))) };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let from = slice.from.map_or(0, |from| if from < 0 { from.saturating_add(length) } else { from });
    let to = match slice.to {
        None => length,
        Some(to) if to < 0 || (to == 0 && slice.single) => to.saturating_add(length),
        Some(to) => to,
    };
    if from == to {
        return Ok(Vec::new());
    }
    let out_of_bounds = |index: i64| Err(Error(format!("array index out of bounds: index {index}, length {length}")));
    if from >= length || from < 0 {
        return out_of_bounds(from);
    }
    if to > length || to < 0 {
        return out_of_bounds(to.saturating_sub(1));
    }
    if from > to {
        return Err(Error(format!("starting index {from} is greater than ending index {to}")));
    }
    let step = slice.step.unwrap_or(1);
    let Some(step) = usize::try_from(step).ok().filter(|step| *step > 0) else {
        return Err(Error("step must be > 0".to_owned()));
    };
    // Within the bounds of a list that is in memory.
    let (from, count) = (usize::try_from(from).unwrap_or(0), usize::try_from(to - from).unwrap_or(0));
    Ok(items.into_iter().skip(from).take(count).step_by(step).collect())
}

/// The items of a list that pass the filter.
fn matching<'a>(value: Cow<'a, Value>, filter: &Filter) -> Result<Values<'a>, Error> {
    let shown = if value.is_null() { "<nil>".to_owned() } else { to_text(&value) };
    let Some(items) = list(value) else {
        return Err(Error(format!("{shown} is not array or slice and cannot be filtered")));
    };
    let mut passed = Vec::new();
    for item in items {
        if passes(&item, filter)? {
            passed.push(item);
        }
    }
    Ok(passed)
}

fn passes(item: &Value, filter: &Filter) -> Result<bool, Error> {
    let left = steps(&filter.left, vec![Cow::Borrowed(item)]);
    let Some((operator, right)) = &filter.comparison else {
        return Ok(left.is_ok_and(|found| !found.is_empty()));
    };
    let left = left?;
    let only = "can only compare one element at a time";
    match left.as_slice() {
        [] => Ok(false),
        [left] => match steps(right, vec![Cow::Borrowed(item)])?.as_slice() {
            [] => Ok(false),
            [right] => compare(left, operator, right),
            _ => Err(Error(only.to_owned())),
        },
        _ => Err(Error(only.to_owned())),
    }
}

/// Comparison of scalars of one type; integers and floats are two types.
fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    let order = match (left, right) {
        (Value::Bool(a), Value::Bool(b)) if matches!(operator, "==" | "!=") => a.cmp(b),
        (Value::Bool(_), Value::Bool(_)) => return Err(Error("invalid type for comparison".to_owned())),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) if a.is_f64() == b.is_f64() => number_order(a, b),
        (Value::Null | Value::Array(_) | Value::Object(_), _)
        | (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            return Err(Error("invalid type for comparison".to_owned()));
        }
        _ => return Err(Error("incompatible types for comparison".to_owned())),
    };
    match operator {
        "==" => Ok(order == Ordering::Equal),
        "!=" => Ok(order != Ordering::Equal),
        "<" => Ok(order == Ordering::Less),
        "<=" => Ok(order != Ordering::Greater),
        ">" => Ok(order == Ordering::Greater),
        ">=" => Ok(order != Ordering::Less),
        other => Err(Error(format!("unrecognized filter operator {other}"))),
    }
}

fn number_order(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// What Go calls the type of a JSON value.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
