//! Estimated costs of the functions of Kubernetes' libraries and of CEL's extensions.

use crate::ast::{Expr, Kind, Literal};
use crate::cost::{ACCESS_CHECK, LIST, MAX_FORMAT_REGEX, MAX_FORMAT_SIZE, REGEX, Range, TRAVERSAL};
use crate::device;
use crate::estimate::{CallEstimate, Place, Subject};
use crate::types::Type;
use crate::value::{FORMAT, QUANTITY, SEMVER, URL};

type Arg<'s> = &'s Subject<'s>;

/// The list and set extensions bring their own estimates.
pub(crate) fn of_list_overload(
    overload: &str,
    target: Option<&Subject<'_>>,
    args: &[Subject<'_>],
) -> Option<CallEstimate> {
    Some(match (overload, target, args) {
        ("list_slice", Some(list), [start, end]) => {
            let start = int_or(start.expr, 0);
            let end = int_or(end.expr, list.size().max);
            making_list(1.0, Range::fixed(end.wrapping_sub(start)))
        }
        ("lists_range", None, [count]) => making_list(1.0, Range::fixed(int_or(count.expr, u64::MAX))),
        ("list_reverse", Some(list), []) => making_list(1.0, list.size()),
        ("list_flatten", Some(list), []) => making_list(1.0, list.size()),
        ("list_flatten_int", Some(list), [depth]) => making_list(int_or(depth.expr, u64::MAX) as f64, list.size()),
        ("list_distinct", Some(list), []) => making_list(2.0, list.size().times(list.size())),
        (_, Some(list), []) if overload.starts_with("list_") && overload.ends_with("_sort") => {
            sorting(overload, list.size())
        }
        (_, Some(_), [keys]) if overload.ends_with("_sortByAssociatedKeys") => sorting(overload, keys.size()),
        ("list_sets_contains_list" | "list_sets_intersects_list", _, [left, right]) => {
            CallEstimate::of(left.size().times(right.size()).scaled(1.0).plus(Range::ONE))
        }
        ("list_sets_equivalent_list", _, [left, right]) => {
            CallEstimate::of(left.size().times(right.size()).scaled(2.0).plus(Range::ONE))
        }
        _ => return None,
    })
}

fn making_list(factor: f64, size: Range) -> CallEstimate {
    CallEstimate::making(size.scaled(factor).plus(Range::fixed(1 + LIST)), size)
}

fn sorting(overload: &str, size: Range) -> CallEstimate {
    let texts = overload.starts_with("list_string_") || overload.starts_with("list_bytes_");
    making_list(if texts { 2.0 + TRAVERSAL } else { 2.0 }, size.times(size))
}

/// The value of an integer literal, or `default` for anything else.
fn int_or(expr: &Expr, default: u64) -> u64 {
    match &expr.kind {
        Kind::Literal(Literal::Int(value)) => u64::try_from(*value).unwrap_or(0),
        _ => default,
    }
}

/// The functions of Kubernetes' libraries, by name.
pub(crate) fn of_library(
    name: &str,
    overload: &str,
    target: Option<&Subject<'_>>,
    args: &[Subject<'_>],
) -> Option<CallEstimate> {
    let traversal = |arg: &Subject<'_>| CallEstimate::of(arg.size().scaled(TRAVERSAL));
    Some(match (name, target, args) {
        ("check", ..) => CallEstimate::of(Range::fixed(ACCESS_CHECK)),
        ("includes", Some(_), _) if overload == "dra_includes_dyn_dyn" => CallEstimate::of(device::INCLUDES_ESTIMATE),
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes", Some(list), _) => {
            search(name, list)
        }
        ("url", _, [text]) => CallEstimate::making(text.size().scaled(TRAVERSAL), text.size()),
        ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(text), _) => {
            CallEstimate::making(text.size().scaled(TRAVERSAL), text.size())
        }
        ("replace", Some(text), [from, to, ..]) => {
            let size = replaced(text.size(), from.size(), to.size());
            CallEstimate::making(text.size().scaled(2.0 * TRAVERSAL), size)
        }
        ("split", Some(text), _) => {
            let size = text.size();
            let max = match args.get(1).map(|limit| &limit.expr.kind) {
                Some(Kind::Literal(Literal::Int(limit))) => limit.cast_unsigned(),
                _ => size.max,
            };
            CallEstimate::making(size.scaled(2.0 * TRAVERSAL), Range { min: 0, max })
        }
        ("join", Some(list), _) => {
            let size = joined(list, args.first());
            CallEstimate::making(size.scaled(TRAVERSAL), size)
        }
        ("find" | "findAll", Some(text), [pattern, ..]) => {
            let size = text.size();
            let cost = size.plus(Range::ONE).scaled(TRAVERSAL).times(pattern.size().scaled(REGEX));
            CallEstimate::making(cost, Range { min: 0, max: size.max })
        }
        ("ip", _, _) if overload == "cidr_ip" => CallEstimate::of(Range::ONE),
        ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver", _, [text, ..]) => {
            traversal(text)
        }
        ("ip.isCanonical", _, [text, ..]) => CallEstimate::of(text.size().scaled(2.0 * TRAVERSAL)),
        ("containsIP", _, [other, ..]) => {
            CallEstimate::of(parsed(ADDRESS_PAIR.scaled(TRAVERSAL), overload == "cidr_contains_ip_string", other))
        }
        ("containsCIDR", _, [other, ..]) => {
            let cost = ADDRESS_PAIR.scaled(TRAVERSAL).plus(ADDRESS.scaled(TRAVERSAL)).plus(Range::ONE);
            CallEstimate::of(parsed(cost, overload == "cidr_contains_cidr_string", other))
        }
        ("validate", _, [text, ..]) => {
            CallEstimate::of(text.size().scaled(TRAVERSAL).scaled(MAX_FORMAT_REGEX as f64 * REGEX))
        }
        ("_==_", _, [left, right]) => CallEstimate::of(equality(left, right)?),
        _ => return None,
    })
}

/// Bytes of an IP address.
const ADDRESS: Range = Range { min: 4, max: 16 };
/// Bytes of two IP addresses.
const ADDRESS_PAIR: Range = Range { min: 8, max: 32 };

/// Adds the cost of reading the other address or range if it is given as text.
fn parsed(cost: Range, is_text: bool, text: &Subject<'_>) -> Range {
    if is_text { cost.plus(text.size().scaled(TRAVERSAL)) } else { cost }
}

/// One unit for each element, and more for texts; for a text, its traversal.
fn search(name: &str, target: &Subject<'_>) -> CallEstimate {
    let cost = match (element_of(target), name) {
        (Some((element, place)), _) => {
            let each = match element {
                Type::String | Type::Bytes => Range::ONE.plus(place.size().unwrap_or(Range::UNKNOWN).scaled(TRAVERSAL)),
                _ => Range::ONE,
            };
            target.size().times(each)
        }
        (None, "includes") => target.size(),
        (None, _) => target.size().scaled(TRAVERSAL),
    };
    CallEstimate::of(cost)
}

/// The first type parameter of a collection's type, and what is declared about its elements.
fn element_of<'s>(target: Arg<'s>) -> Option<(&'s Type, Place)> {
    let element = match target.ty {
        Type::List(element) | Type::Optional(element) => element,
        Type::Map(entry) => &entry.0,
        _ => return None,
    };
    Some((element, target.place.items()))
}

fn joined(list: &Subject<'_>, separator: Option<&Subject<'_>>) -> Range {
    let count = list.size();
    let mut size = match element_of(list) {
        Some((_, place)) => count.times(place.size().unwrap_or(Range::UNKNOWN)),
        None => Range::ZERO,
    };
    if let Some(separator) = separator {
        let between = Range { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
        size = size.plus(separator.size().times(between));
    }
    size
}

/// How long a text can be after every occurrence of one text is replaced by another.
fn replaced(text: Range, from: Range, to: Range) -> Range {
    let (mut count, mut retained) = (Range::ZERO, Range::ZERO);
    if from.min == 0 {
        count.max = text.max.saturating_add(1);
        retained.max = text.max;
    } else if to.max <= from.min {
        retained.max = text.max;
    } else {
        count.max = (text.max as f64 / from.min as f64).ceil() as u64;
    }
    if from.max == 0 {
        count.min = text.min.saturating_add(1);
        retained.min = text.min;
    } else if from.max <= to.min {
        retained.min = text.min;
    } else {
        count.min = (text.min as f64 / from.max as f64).ceil() as u64;
    }
    count.times(to).plus(retained)
}

/// Equality of Kubernetes' own types.
fn equality(left: &Subject<'_>, right: &Subject<'_>) -> Option<Range> {
    if left.ty != right.ty {
        return None;
    }
    match left.ty {
        Type::Opaque(_) => Some(Range::ONE),
        Type::Object(name) => match &**name {
            QUANTITY | SEMVER => Some(Range::ONE),
            FORMAT => Some(Range { min: 1, max: MAX_FORMAT_SIZE }.scaled(TRAVERSAL)),
            URL => {
                let max = right.size.map_or(1, |size| size.max);
                Some(Range { min: 1, max }.scaled(TRAVERSAL))
            }
            _ => None,
        },
        _ => None,
    }
}
