//! Declarations of operators, which the planner carries out itself.

use crate::ast::operator as op;
use crate::declaration::{Library, built_in};
use crate::types::{A, B, Type};

pub(crate) fn declare(library: &mut Library) {
    logic(library);
    arithmetic(library);
    relations(library);
    let (list, map) = (Type::list(A), Type::map(A, B));
    library.global(op::INDEX, "index_list", [list.clone(), Type::Int], A, built_in);
    library.global(op::INDEX, "index_map", [map.clone(), A], B, built_in);
    library.global(op::IN, "in_list", [A, list], Type::Bool, built_in);
    library.global(op::IN, "in_map", [A, map], Type::Bool, built_in);
}

fn logic(library: &mut Library) {
    library.global(op::CONDITIONAL, "conditional", [Type::Bool, A, A], A, built_in);
    library.global(op::AND, "logical_and", [Type::Bool, Type::Bool], Type::Bool, built_in);
    library.global(op::OR, "logical_or", [Type::Bool, Type::Bool], Type::Bool, built_in);
    library.global(op::NOT, "logical_not", [Type::Bool], Type::Bool, built_in);
    library.global(op::NOT_STRICTLY_FALSE, "not_strictly_false", [Type::Bool], Type::Bool, built_in);
    library.global(op::EQUALS, "equals", [A, A], Type::Bool, built_in);
    library.global(op::NOT_EQUALS, "not_equals", [A, A], Type::Bool, built_in);
}

fn arithmetic(library: &mut Library) {
    use Type::{Bytes, Double, Duration, Int, String, Timestamp, Uint};
    let mut add = |name, id, left: Type, right: Type, result: Type| {
        library.global(name, id, [left, right], result, built_in);
    };
    add(op::ADD, "add_bytes", Bytes, Bytes, Bytes);
    add(op::ADD, "add_double", Double, Double, Double);
    add(op::ADD, "add_duration_duration", Duration, Duration, Duration);
    add(op::ADD, "add_duration_timestamp", Duration, Timestamp, Timestamp);
    add(op::ADD, "add_timestamp_duration", Timestamp, Duration, Timestamp);
    add(op::ADD, "add_int64", Int, Int, Int);
    add(op::ADD, "add_list", Type::list(A), Type::list(A), Type::list(A));
    add(op::ADD, "add_string", String, String, String);
    add(op::ADD, "add_uint64", Uint, Uint, Uint);
    add(op::DIVIDE, "divide_double", Double, Double, Double);
    add(op::DIVIDE, "divide_int64", Int, Int, Int);
    add(op::DIVIDE, "divide_uint64", Uint, Uint, Uint);
    add(op::MODULO, "modulo_int64", Int, Int, Int);
    add(op::MODULO, "modulo_uint64", Uint, Uint, Uint);
    add(op::MULTIPLY, "multiply_double", Double, Double, Double);
    add(op::MULTIPLY, "multiply_int64", Int, Int, Int);
    add(op::MULTIPLY, "multiply_uint64", Uint, Uint, Uint);
    add(op::SUBTRACT, "subtract_double", Double, Double, Double);
    add(op::SUBTRACT, "subtract_duration_duration", Duration, Duration, Duration);
    add(op::SUBTRACT, "subtract_int64", Int, Int, Int);
    add(op::SUBTRACT, "subtract_timestamp_duration", Timestamp, Duration, Timestamp);
    add(op::SUBTRACT, "subtract_timestamp_timestamp", Timestamp, Timestamp, Duration);
    add(op::SUBTRACT, "subtract_uint64", Uint, Uint, Uint);
    library.global(op::NEGATE, "negate_double", [Double], Double, built_in);
    library.global(op::NEGATE, "negate_int64", [Int], Int, built_in);
}

/// The ids of an order relation's overloads, in declaration order: same types, and numbers of different types.
macro_rules! ordered {
    ($library:expr, $name:expr, $prefix:literal) => {
        for (id, left, right) in [
            (concat!($prefix, "_bool"), Type::Bool, Type::Bool),
            (concat!($prefix, "_int64"), Type::Int, Type::Int),
            (concat!($prefix, "_int64_double"), Type::Int, Type::Double),
            (concat!($prefix, "_int64_uint64"), Type::Int, Type::Uint),
            (concat!($prefix, "_uint64"), Type::Uint, Type::Uint),
            (concat!($prefix, "_uint64_double"), Type::Uint, Type::Double),
            (concat!($prefix, "_uint64_int64"), Type::Uint, Type::Int),
            (concat!($prefix, "_double"), Type::Double, Type::Double),
            (concat!($prefix, "_double_int64"), Type::Double, Type::Int),
            (concat!($prefix, "_double_uint64"), Type::Double, Type::Uint),
            (concat!($prefix, "_string"), Type::String, Type::String),
            (concat!($prefix, "_bytes"), Type::Bytes, Type::Bytes),
            (concat!($prefix, "_timestamp"), Type::Timestamp, Type::Timestamp),
            (concat!($prefix, "_duration"), Type::Duration, Type::Duration),
        ] {
            $library.global($name, id, [left, right], Type::Bool, built_in);
        }
    };
}

fn relations(library: &mut Library) {
    ordered!(library, op::LESS, "less");
    ordered!(library, op::LESS_EQUALS, "less_equals");
    ordered!(library, op::GREATER, "greater");
    ordered!(library, op::GREATER_EQUALS, "greater_equals");
}
