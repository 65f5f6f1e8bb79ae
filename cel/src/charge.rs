//! What calls cost when they are carried out. The numbers are those of cel-go and of Kubernetes' libraries.

use crate::cost::{ACCESS_CHECK, LIST, REGEX, TRAVERSAL, scale};
use crate::value::Value;

/// How the cost of a call follows from its arguments and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// The same for any arguments.
    Fixed(u64),
    /// A traversal of the first argument.
    Text,
    /// A traversal of the first argument and the making of as much.
    TextTwice,
    /// As [`Charge::TextTwice`], of the result.
    ResultTwice,
    /// A traversal of the first argument and all within.
    Deep,
    /// Membership in a list: its length.
    SecondSize,
    /// A comparison: a traversal of the smaller argument.
    Smaller,
    /// A traversal of both arguments.
    Both,
    /// A text against a regular expression.
    Regex,
    /// A text against a part of it.
    Part,
    /// A text against a named format.
    Format,
    /// An address range against an address.
    RangeHasAddress { parsed: bool },
    /// An address range against another.
    RangeHasRange { parsed: bool },
    /// The lengths of two lists, multiplied, so many times.
    Product { times: u64 },
    /// The number of elements made.
    ResultSize,
    /// Every element of the argument at this position against every other.
    SelfCompare(usize),
    /// The number of elements, once for every level of lists.
    Flatten,
}

/// The rule for a function's overload; the overload is empty where several may be meant.
pub(crate) fn of(function: &str, overload: &str) -> Charge {
    if let Some(charge) = of_list_overload(overload) {
        return charge;
    }
    match function {
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => Charge::Deep,
        "includes" if overload == "list_includes_dyn_dyn" => Charge::Deep,
        "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "cidr" | "isIP" | "isCIDR" | "quantity"
        | "isQuantity" | "semver" | "isSemver" => Charge::Text,
        "ip" if overload == "cidr_ip" => Charge::Fixed(1),
        "ip" => Charge::Text,
        "replace" | "split" | "ip.isCanonical" => Charge::TextTwice,
        "join" => Charge::ResultTwice,
        "find" | "findAll" => Charge::Regex,
        "containsIP" => Charge::RangeHasAddress { parsed: overload == "cidr_contains_ip_string" },
        "containsCIDR" => Charge::RangeHasRange { parsed: overload == "cidr_contains_cidr_string" },
        "validate" => Charge::Format,
        "check" => Charge::Fixed(ACCESS_CHECK),
        _ => of_standard_overload(overload),
    }
}

fn of_standard_overload(overload: &str) -> Charge {
    match overload {
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" | "strings_quote"
        | "string_format" => Charge::Text,
        "in_list" => Charge::SecondSize,
        "less_string"
        | "greater_string"
        | "less_equals_string"
        | "greater_equals_string"
        | "less_bytes"
        | "greater_bytes"
        | "less_equals_bytes"
        | "greater_equals_bytes"
        | "equals"
        | "not_equals" => Charge::Smaller,
        "add_string" | "add_bytes" => Charge::Both,
        "matches_string" => Charge::Regex,
        "contains_string" => Charge::Part,
        _ => Charge::Fixed(1),
    }
}

/// Overloads of the list and set libraries bring their own rules.
fn of_list_overload(overload: &str) -> Option<Charge> {
    Some(match overload {
        "list_slice" | "lists_range" | "list_reverse" => Charge::ResultSize,
        "list_flatten" | "list_flatten_int" => Charge::Flatten,
        "list_distinct" => Charge::SelfCompare(0),
        "list_sets_contains_list" | "list_sets_intersects_list" => Charge::Product { times: 1 },
        "list_sets_equivalent_list" => Charge::Product { times: 2 },
        _ if overload.starts_with("list_") && overload.ends_with("_sort") => Charge::SelfCompare(0),
        _ if overload.ends_with("_sortByAssociatedKeys") => Charge::SelfCompare(1),
        _ => return None,
    })
}

/// An argument or result; `None` is one that has no value.
type Operand<'v, 'a> = Option<&'v Value<'a>>;

impl Charge {
    /// The cost of a call with these arguments.
    pub(crate) fn cost(self, args: &[Operand<'_, '_>], result: Operand<'_, '_>) -> u64 {
        let arg = |index: usize| size(args.get(index).copied().flatten());
        match self {
            Charge::Fixed(cost) => cost,
            Charge::Text => scale(arg(0), TRAVERSAL),
            Charge::TextTwice => scale(arg(0), 2.0 * TRAVERSAL),
            Charge::ResultTwice => scale(size(result), 2.0 * TRAVERSAL),
            Charge::Deep => args.first().copied().flatten().map_or(1, traversal),
            Charge::SecondSize => arg(1),
            Charge::Smaller => smaller(args),
            Charge::Both => scale(arg(0).saturating_add(arg(1)), TRAVERSAL),
            Charge::Regex => text_cost(arg(0)).saturating_mul(scale(arg(1), REGEX)),
            Charge::Part => scale(arg(0), TRAVERSAL).saturating_mul(scale(arg(1), TRAVERSAL)),
            Charge::Format => {
                let pattern = match args.first().copied().flatten() {
                    Some(Value::Format(format)) => format.regex_size(),
                    _ => return 1,
                };
                text_cost(arg(1)).saturating_mul(scale(pattern, REGEX))
            }
            Charge::RangeHasAddress { parsed } => {
                let compare = scale(arg(0) * 2, TRAVERSAL);
                compare + if parsed { scale(arg(1), TRAVERSAL) } else { 0 }
            }
            Charge::RangeHasRange { parsed } => {
                let compare = scale(arg(0) * 2, TRAVERSAL) + scale(arg(0), TRAVERSAL) + 1;
                compare + if parsed { scale(arg(1), TRAVERSAL) } else { 0 }
            }
            Charge::Product { times } => arg(0).saturating_mul(arg(1)).saturating_mul(times).saturating_add(1),
            Charge::ResultSize => allocation(size(result), 1.0),
            Charge::SelfCompare(index) => self_compare(args.get(index).copied().flatten()),
            Charge::Flatten => {
                let depth = match args.get(1).copied().flatten() {
                    Some(Value::Int(depth)) => *depth as f64,
                    _ => 1.0,
                };
                allocation(arg(0), depth)
            }
        }
    }
}

/// The size of a value that has one, else 1.
pub(crate) fn size(value: Operand<'_, '_>) -> u64 {
    match value {
        Some(Value::Optional(Some(inner))) => size(Some(inner)),
        Some(value) => value.size().unwrap_or(1),
        None => 1,
    }
}

/// A traversal of the smaller of two arguments. The characters of short texts need not be counted.
fn smaller(args: &[Operand<'_, '_>]) -> u64 {
    if let [Some(Value::String(left)), Some(Value::String(right))] = args
        && (1..=10).contains(&left.len().min(right.len()))
    {
        return 1;
    }
    let [left, right] = [0, 1].map(|index| size(args.get(index).copied().flatten()));
    scale(left.min(right), TRAVERSAL)
}

/// Even an empty text is looked at once.
pub(crate) fn text_cost(size: u64) -> u64 {
    scale(size.saturating_add(1), TRAVERSAL)
}

/// Cost of looking at a value and everything in it.
fn traversal(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => (text.len() as f64 * TRAVERSAL) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * TRAVERSAL) as u64,
        Value::List(list) => list.iter().map(|element| traversal(&element)).sum(),
        Value::Map(map) => map.entries().map(|(key, value)| traversal(&key) + traversal(&value)).sum(),
        _ => 1,
    }
}

/// Cost of a call that makes a list by so many operations.
fn allocation(operations: u64, factor: f64) -> u64 {
    // A number below zero becomes the largest in Go.
    let made = if factor < 0.0 { u64::MAX } else { (operations as f64 * factor) as u64 };
    made.saturating_add(1 + LIST)
}

fn self_compare(list: Operand<'_, '_>) -> u64 {
    let factor = match list {
        Some(Value::List(list)) if matches!(list.get(0), Some(Value::String(_) | Value::Bytes(_))) => 2.0 + TRAVERSAL,
        _ => 2.0,
    };
    let count = size(list);
    allocation(count.saturating_mul(count), factor)
}
