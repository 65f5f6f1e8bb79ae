//! Checks of `"…".format([…])` with a literal text and a literal list: whether the arguments fit the clauses.

use crate::ast::{Call, Expr, Kind, Literal};
use crate::checker::Checked;
use crate::library::formatting::{UNENDED, parse_clause};
use crate::source::Offset;
use crate::types::Type;

/// What is wrong, and where: at an argument, or at the call. Only the first problem is reported.
pub(crate) fn problem(checked: &Checked, call: &Call, offset: Offset) -> Option<(Offset, String)> {
    let Kind::Literal(Literal::String(text)) = &call.target.as_ref()?.kind else { return None };
    let [Expr { kind: Kind::List(items), .. }] = call.args.as_slice() else { return None };
    let mut used = 0;
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        let clause = &rest[at + 1..];
        if let Some(after) = clause.strip_prefix('%') {
            rest = after;
            continue;
        }
        if clause.is_empty() {
            return Some((offset, UNENDED.to_owned()));
        }
        let Some(item) = items.get(used) else { return Some((offset, format!("index {used} out of range"))) };
        used += 1;
        match parse_clause(clause) {
            Err(why) => return Some((offset, why)),
            Ok((verb, _, after)) => {
                if let Some((at, why)) = misfit(checked, verb, &item.value) {
                    return Some((at, format!("error during formatting: {why}")));
                }
                rest = after;
            }
        }
    }
    (items.len() > used).then(|| {
        let given = items.len();
        (offset, format!("too many arguments supplied to string.format (expected {used}, got {given})"))
    })
}

/// Why a verb cannot write a value.
fn misfit(checked: &Checked, verb: char, expr: &Expr) -> Option<(Offset, String)> {
    let ty = checked.type_of(expr);
    let (fits, rule) = match verb {
        's' => return unprintable(checked, expr),
        'd' => (matches!(ty, Type::Int | Type::Uint), "decimal clause can only be used on integers"),
        'f' => (matches!(ty, Type::Double | Type::String), "fixed-point clause can only be used on doubles"),
        'e' => (matches!(ty, Type::Double | Type::String), "scientific clause can only be used on doubles"),
        'b' => {
            (matches!(ty, Type::Int | Type::Uint | Type::Bool), "only integers and bools can be formatted as binary")
        }
        'o' => (matches!(ty, Type::Int | Type::Uint), "octal clause can only be used on integers"),
        _ => (
            matches!(ty, Type::Int | Type::Uint | Type::String | Type::Bytes),
            "only integers, byte buffers, and strings can be formatted as hex",
        ),
    };
    (!fits && *ty != Type::Dyn).then(|| (expr.offset, format!("{rule}, was given {}", ty.name())))
}

/// `%s` writes lists and maps with all that they hold.
fn unprintable(checked: &Checked, expr: &Expr) -> Option<(Offset, String)> {
    let ty = checked.type_of(expr);
    let unprintable_type = matches!(
        ty,
        Type::Any
            | Type::Error
            | Type::Optional(_)
            | Type::Nullable(_)
            | Type::Object(_)
            | Type::Opaque(_)
            | Type::Variable(_)
    );
    if unprintable_type {
        let rule = "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
                    durations, and timestamps";
        return Some((expr.offset, format!("{rule}, was given {}", ty.name())));
    }
    match &expr.kind {
        Kind::List(items) => items.iter().find_map(|item| unprintable(checked, &item.value)),
        Kind::Map(entries) => entries
            .iter()
            .find_map(|entry| unprintable(checked, &entry.key).or_else(|| unprintable(checked, &entry.value))),
        _ => None,
    }
}
