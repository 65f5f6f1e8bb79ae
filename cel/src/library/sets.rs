//! The sets extension of CEL: lists compared without regard to order and repetition.

use crate::collection::List;
use crate::declaration::Library;
use crate::fault::Fault;
use crate::relation::equal;
use crate::types::{A, Type};
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let lists = || [Type::list(A), Type::list(A)];
    library.global("sets.contains", "list_sets_contains_list", lists(), Type::Bool, contains);
    library.global("sets.equivalent", "list_sets_equivalent_list", lists(), Type::Bool, equivalent);
    library.global("sets.intersects", "list_sets_intersects_list", lists(), Type::Bool, intersects);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn two<'v, 'a>(args: &'v [Value<'a>]) -> std::result::Result<(&'v List<'a>, &'v List<'a>), Fault> {
    match args {
        [Value::List(left), Value::List(right)] => Ok((left, right)),
        _ => Err(Fault::no_overload()),
    }
}

fn has(list: &List<'_>, element: &Value<'_>) -> bool {
    list.iter().any(|candidate| equal(&candidate, element))
}

fn covers(list: &List<'_>, part: &List<'_>) -> bool {
    part.iter().all(|element| has(list, &element))
}

fn contains<'a>(args: &[Value<'a>]) -> Result<'a> {
    two(args).map(|(list, part)| Value::Bool(covers(list, part)))
}

fn equivalent<'a>(args: &[Value<'a>]) -> Result<'a> {
    two(args).map(|(left, right)| Value::Bool(covers(left, right) && covers(right, left)))
}

fn intersects<'a>(args: &[Value<'a>]) -> Result<'a> {
    two(args).map(|(left, right)| Value::Bool(left.iter().any(|element| has(right, &element))))
}
