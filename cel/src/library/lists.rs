//! The lists extension of CEL, version 3, and Kubernetes' list functions.

use std::cmp::Ordering;

use crate::arithmetic;
use crate::budget::MAX_LIST;
use crate::collection::List;
use crate::declaration::Library;
use crate::fault::Fault;
use crate::plan::Operator;
use crate::relation::{compare, equal};
use crate::time::Duration;
use crate::types::{A, Type};
use crate::value::Value;

/// Sorts lists of things that have an order; with the names of the overloads.
macro_rules! sorts {
    ($library:expr, $ty:expr, $name:literal, $long:literal) => {
        let list = || Type::list($ty);
        let by = [Type::list(A), list()];
        $library.member("sort", concat!("list_", $long, "_sort"), [list()], list(), sort);
        let sort_by = concat!("list_", $long, "_sortByAssociatedKeys");
        $library.member("@sortByAssociatedKeys", sort_by, by, Type::list(A), sort);
    };
}

/// Looks at the order of things in lists; with the names of the overloads.
macro_rules! orders {
    ($library:expr, $ty:expr, $name:literal, $long:literal) => {
        let list = || Type::list($ty);
        $library.member("isSorted", concat!("list_", $name, "_is_sorted_bool"), [list()], Type::Bool, is_sorted);
        $library.member("max", concat!("list_", $name, "_max_", $name), [list()], $ty, max);
        $library.member("min", concat!("list_", $name, "_min_", $name), [list()], $ty, min);
    };
}

/// A macro above for every type of things that have an order.
macro_rules! comparable {
    ($library:expr, $declare:ident) => {
        $declare!($library, Type::Int, "int", "int");
        $declare!($library, Type::Uint, "uint", "uint");
        $declare!($library, Type::Double, "double", "double");
        $declare!($library, Type::Bool, "bool", "bool");
        $declare!($library, Type::Duration, "duration", "google.protobuf.Duration");
        $declare!($library, Type::Timestamp, "timestamp", "google.protobuf.Timestamp");
        $declare!($library, Type::String, "string", "string");
        $declare!($library, Type::Bytes, "bytes", "bytes");
    };
}

/// The lists extension.
pub(crate) fn declare_extension(library: &mut Library) {
    let list = || Type::list(A);
    library.member("slice", "list_slice", [list(), Type::Int, Type::Int], list(), slice);
    library.member("flatten", "list_flatten", [Type::list(list())], list(), flatten);
    library.member("flatten", "list_flatten_int", [Type::list(Type::Dyn), Type::Int], Type::list(Type::Dyn), flatten);
    library.global("lists.range", "lists_range", [Type::Int], Type::list(Type::Int), range);
    library.member("reverse", "list_reverse", [list()], list(), reverse);
    library.member("distinct", "list_distinct", [list()], list(), distinct);
    comparable!(library, sorts);
}

/// Kubernetes' own functions.
pub(crate) fn declare_own(library: &mut Library) {
    let list = || Type::list(A);
    library.member("indexOf", "list_a_index_of_int", [list(), A], Type::Int, index_of);
    library.member("lastIndexOf", "list_a_last_index_of_int", [list(), A], Type::Int, last_index_of);
    comparable!(library, orders);
    library.member("sum", "list_int_sum_int", [Type::list(Type::Int)], Type::Int, sum_ints);
    library.member("sum", "list_uint_sum_uint", [Type::list(Type::Uint)], Type::Uint, sum_uints);
    library.member("sum", "list_double_sum_double", [Type::list(Type::Double)], Type::Double, sum_doubles);
    library.member("sum", "list_duration_sum_duration", [Type::list(Type::Duration)], Type::Duration, sum_durations);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn list<'v, 'a>(args: &'v [Value<'a>]) -> std::result::Result<&'v List<'a>, Fault> {
    match args.first() {
        Some(Value::List(list)) => Ok(list),
        _ => Err(Fault::no_overload()),
    }
}

fn slice<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else { return Err(Fault::no_overload()) };
    let fault = |reason: String| Fault::error(format!("cannot slice({start}, {end}), {reason}"));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return Err(fault("negative indexes not supported".to_owned()));
    };
    if from > to {
        return Err(fault("start index must be less than or equal to end index".to_owned()));
    }
    if to > list.len() {
        return Err(fault(format!("list is length {}", list.len())));
    }
    Ok(Value::list((from..to).filter_map(|index| list.get(index)).collect()))
}

fn flatten<'a>(args: &[Value<'a>]) -> Result<'a> {
    let depth = match args {
        [_] => 1,
        [_, Value::Int(depth)] => *depth,
        _ => return Err(Fault::no_overload()),
    };
    if depth < 0 {
        return Err(Fault::error("level must be non-negative"));
    }
    let mut flat = Vec::new();
    flatten_into(list(args)?, depth, &mut flat)?;
    Ok(Value::list(flat))
}

/// Lists are no deeper than the expressions and documents that make them.
fn flatten_into<'a>(list: &List<'a>, depth: i64, flat: &mut Vec<Value<'a>>) -> std::result::Result<(), Fault> {
    for element in list.iter() {
        match element {
            Value::List(inner) if depth > 0 => flatten_into(&inner, depth - 1, flat)?,
            other if flat.len() < MAX_LIST => flat.push(other),
            _ => return Err(Fault::cost_limit()),
        }
    }
    Ok(())
}

fn range<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::Int(count)] = args else { return Err(Fault::no_overload()) };
    if *count > MAX_LIST as i64 {
        return Err(Fault::cost_limit());
    }
    Ok(Value::list((0..*count).map(Value::Int).collect()))
}

fn reverse<'a>(args: &[Value<'a>]) -> Result<'a> {
    Ok(Value::list(list(args)?.iter().rev().collect()))
}

/// Elements that [`distinct`] compares with each other at most; more would cost more than any budget.
const MAX_DISTINCT: usize = 10_000;

fn distinct<'a>(args: &[Value<'a>]) -> Result<'a> {
    let list = list(args)?;
    if list.len() > MAX_DISTINCT {
        return Err(Fault::cost_limit());
    }
    let mut distinct: Vec<Value<'a>> = Vec::new();
    for element in list.iter() {
        if !distinct.iter().any(|known| equal(&element, known)) {
            distinct.push(element);
        }
    }
    Ok(Value::list(distinct))
}

fn index_of<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::List(list), wanted] = args else { return Err(Fault::no_overload()) };
    Ok(Value::Int(list.iter().position(|element| equal(&element, wanted)).map_or(-1, |index| index as i64)))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::List(list), wanted] = args else { return Err(Fault::no_overload()) };
    let found = (0..list.len()).rev().find(|index| list.get(*index).is_some_and(|element| equal(&element, wanted)));
    Ok(Value::Int(found.map_or(-1, |index| index as i64)))
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Result<'a> {
    let mut previous: Option<Value<'a>> = None;
    for element in list(args)?.iter() {
        if let Some(previous) = &previous
            && compare(previous, &element, "isSorted")? == Ordering::Greater
        {
            return Ok(Value::Bool(false));
        }
        previous = Some(element);
    }
    Ok(Value::Bool(true))
}

/// The first element that no other precedes, where `precedes` is the order of a better one to a worse.
fn best<'a>(args: &[Value<'a>], name: &str, precedes: Ordering) -> Result<'a> {
    let mut best: Option<Value<'a>> = None;
    for element in list(args)?.iter() {
        best = Some(match best {
            Some(best) if compare(&element, &best, name)? != precedes => best,
            _ => element,
        });
    }
    best.ok_or_else(|| Fault::error(format!("{name} called on empty list")))
}

fn max<'a>(args: &[Value<'a>]) -> Result<'a> {
    best(args, "max", Ordering::Greater)
}

fn min<'a>(args: &[Value<'a>]) -> Result<'a> {
    best(args, "min", Ordering::Less)
}

fn sum<'a>(args: &[Value<'a>], zero: Value<'a>) -> Result<'a> {
    list(args)?.iter().try_fold(zero, |sum, element| arithmetic::combine(Operator::Add, &sum, &element))
}

fn sum_ints<'a>(args: &[Value<'a>]) -> Result<'a> {
    sum(args, Value::Int(0))
}

fn sum_uints<'a>(args: &[Value<'a>]) -> Result<'a> {
    sum(args, Value::Uint(0))
}

fn sum_doubles<'a>(args: &[Value<'a>]) -> Result<'a> {
    sum(args, Value::Double(0.0))
}

fn sum_durations<'a>(args: &[Value<'a>]) -> Result<'a> {
    sum(args, Value::Duration(Duration::from_nanoseconds(0)))
}

/// Sorts a list by itself, or by a list of keys of the same length.
fn sort<'a>(args: &[Value<'a>]) -> Result<'a> {
    let values = list(args)?;
    let keys = match args {
        [_] => values,
        [_, Value::List(keys)] => keys,
        _ => return Err(Fault::no_overload()),
    };
    if keys.len() != values.len() {
        return Err(Fault::error(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and {} \
             elements respectively",
            values.len(),
            keys.len()
        )));
    }
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.iter().zip(values.iter()).collect();
    if let Some((first, _)) = pairs.first() {
        compare(first, first, "sort").map_err(|_| Fault::error("list elements must be comparable"))?;
        let kind = std::mem::discriminant(first);
        if pairs.iter().any(|(key, _)| std::mem::discriminant(key) != kind) {
            return Err(Fault::error("list elements must have the same type"));
        }
    }
    // Keys of one comparable type have an order, not-a-number apart.
    pairs.sort_by(|(left, _), (right, _)| compare(left, right, "sort").unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, value)| value).collect()))
}
