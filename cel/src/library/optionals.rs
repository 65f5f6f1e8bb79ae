//! Optional values.

use crate::ast::operator;
use crate::declaration::{Library, built_in};
use crate::fault::Fault;
use crate::types::{A, B, Type};
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let optional = || Type::optional(A);
    let (list, map) = (|| Type::list(A), || Type::map(B, A));
    library.global("optional.of", "optional_of", [A], optional(), of);
    library.global("optional.ofNonZeroValue", "optional_ofNonZeroValue", [A], optional(), of_non_zero);
    library.global("optional.none", "optional_none", [], optional(), none);
    library.member("value", "optional_value", [optional()], A, value);
    library.member("hasValue", "optional_hasValue", [optional()], Type::Bool, has_value);
    // The planner carries these out, for they look at their argument only if they need it.
    library.member("or", "optional_or_optional", [optional(), optional()], optional(), built_in);
    library.member("orValue", "optional_orValue_value", [optional(), A], A, built_in);
    library.global(operator::OPT_SELECT, "select_optional_field", [Type::Dyn, Type::String], optional(), built_in);
    let index = operator::OPT_INDEX;
    library.global(index, "list_optindex_optional_int", [list(), Type::Int], optional(), built_in);
    let optional_list = || Type::optional(list());
    library.global(index, "optional_list_optindex_optional_int", [optional_list(), Type::Int], optional(), built_in);
    library.global(index, "map_optindex_optional_value", [map(), B], optional(), built_in);
    let optional_map = || Type::optional(map());
    library.global(index, "optional_map_optindex_optional_value", [optional_map(), B], optional(), built_in);
    library.global(operator::INDEX, "optional_list_index_int", [optional_list(), Type::Int], optional(), built_in);
    library.global(operator::INDEX, "optional_map_index_value", [optional_map(), B], optional(), built_in);
    library.member("last", "list_last", [list()], optional(), last);
    library.member("first", "list_first", [list()], optional(), first);
    library.global("optional.unwrap", "optional_unwrap", [Type::list(optional())], list(), unwrap);
    library.member("unwrapOpt", "optional_unwrapOpt", [Type::list(optional())], list(), unwrap);
    let key_value = [Type::map(A, B), A, B];
    library.global(operator::MAP_INSERT, "cel_@mapInsert_map_key_value", key_value, Type::map(A, B), built_in);
    let maps = [Type::map(A, B), Type::map(A, B)];
    library.global(operator::MAP_INSERT, "cel_@mapInsert_map_map", maps, Type::map(A, B), built_in);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn of<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [value] = args else { return Err(Fault::no_overload()) };
    Ok(Value::some(value.clone()))
}

fn of_non_zero<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [value] = args else { return Err(Fault::no_overload()) };
    Ok(if value.is_zero() { Value::Optional(None) } else { Value::some(value.clone()) })
}

fn none<'a>(_: &[Value<'a>]) -> Result<'a> {
    Ok(Value::Optional(None))
}

fn value<'a>(args: &[Value<'a>]) -> Result<'a> {
    match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => Err(Fault::error("optional.none() dereference")),
        _ => Err(Fault::no_overload()),
    }
}

fn has_value<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::Optional(value)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::Bool(value.is_some()))
}

fn optional<'a>(value: Option<Value<'a>>) -> Value<'a> {
    value.map_or(Value::Optional(None), Value::some)
}

fn first<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::List(list)] = args else { return Err(Fault::no_overload()) };
    Ok(optional(list.get(0)))
}

fn last<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::List(list)] = args else { return Err(Fault::no_overload()) };
    Ok(optional(list.len().checked_sub(1).and_then(|last| list.get(last))))
}

fn unwrap<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::List(list)] = args else { return Err(Fault::no_overload()) };
    let mut values = Vec::new();
    for element in list.iter() {
        match element {
            Value::Optional(Some(value)) => values.push((*value).clone()),
            Value::Optional(None) => {}
            other => return Err(Fault::error(format!("value {other} is not optional"))),
        }
    }
    Ok(Value::list(values))
}
