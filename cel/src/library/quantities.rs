//! Kubernetes' quantity library.

use std::cmp::Ordering;
use std::sync::Arc;

use machinery::quantity::{Format, Quantity};

use crate::declaration::Library;
use crate::fault::Fault;
use crate::types::Type::{self, Bool, Double, Int, String};
use crate::value::{QUANTITY, Shared, Value};

pub(crate) fn declare(library: &mut Library) {
    let quantity = || Type::object(QUANTITY);
    let two = || [quantity(), quantity()];
    library.global("quantity", "string_to_quantity", [String], quantity(), parse);
    library.global("isQuantity", "is_quantity_string", [String], Bool, is_quantity);
    // Upstream documents `q.sign()`, and declares `sign(q)`.
    library.global("sign", "quantity_sign", [quantity()], Int, sign);
    library.member("isGreaterThan", "quantity_is_greater_than", two(), Bool, is_greater);
    library.member("isLessThan", "quantity_is_less_than", two(), Bool, is_less);
    library.member("compareTo", "quantity_compare_to", two(), Int, compare);
    library.member("asApproximateFloat", "quantity_get_float", [quantity()], Double, as_float);
    library.member("asInteger", "quantity_get_int", [quantity()], Int, as_integer);
    library.member("isInteger", "quantity_is_integer", [quantity()], Bool, is_integer);
    library.member("add", "quantity_add", two(), quantity(), add);
    library.member("add", "quantity_add_int", [quantity(), Int], quantity(), add);
    library.member("sub", "quantity_sub", two(), quantity(), subtract);
    library.member("sub", "quantity_sub_int", [quantity(), Int], quantity(), subtract);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn parse<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    let quantity = Quantity::parse(text).map_err(|error| Fault::error(error.to_string()))?;
    Ok(Value::Quantity(Shared::Owned(Arc::new(quantity))))
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Result<'a> {
    let [Value::String(text)] = args else { return Err(Fault::no_overload()) };
    Ok(Value::Bool(Quantity::parse(text).is_ok()))
}

fn one<'v>(args: &'v [Value<'_>]) -> std::result::Result<&'v Quantity, Fault> {
    match args {
        [Value::Quantity(quantity)] => Ok(quantity),
        _ => Err(Fault::no_overload()),
    }
}

fn order(args: &[Value<'_>]) -> std::result::Result<Ordering, Fault> {
    match args {
        [Value::Quantity(left), Value::Quantity(right)] => Ok((**left).cmp(&**right)),
        _ => Err(Fault::no_overload()),
    }
}

fn sign<'a>(args: &[Value<'a>]) -> Result<'a> {
    one(args).map(|quantity| Value::Int(quantity.sign()))
}

fn is_greater<'a>(args: &[Value<'a>]) -> Result<'a> {
    order(args).map(|order| Value::Bool(order.is_gt()))
}

fn is_less<'a>(args: &[Value<'a>]) -> Result<'a> {
    order(args).map(|order| Value::Bool(order.is_lt()))
}

fn compare<'a>(args: &[Value<'a>]) -> Result<'a> {
    order(args).map(|order| Value::Int(order as i64))
}

fn as_float<'a>(args: &[Value<'a>]) -> Result<'a> {
    one(args).map(|quantity| Value::Double(quantity.as_f64()))
}

fn as_integer<'a>(args: &[Value<'a>]) -> Result<'a> {
    one(args)?.as_i64().map(Value::Int).ok_or_else(|| Fault::error("cannot convert value to integer"))
}

fn is_integer<'a>(args: &[Value<'a>]) -> Result<'a> {
    one(args).map(|quantity| Value::Bool(quantity.as_i64().is_some()))
}

fn combine<'a>(args: &[Value<'a>], operation: fn(&Quantity, &Quantity) -> Quantity) -> Result<'a> {
    let result = match args {
        [Value::Quantity(left), Value::Quantity(right)] => operation(left, right),
        [Value::Quantity(left), Value::Int(right)] => operation(left, &Quantity::new(*right, Format::DecimalExponent)),
        _ => return Err(Fault::no_overload()),
    };
    Ok(Value::Quantity(Shared::Computed(Arc::new(result))))
}

fn add<'a>(args: &[Value<'a>]) -> Result<'a> {
    combine(args, Quantity::add)
}

fn subtract<'a>(args: &[Value<'a>]) -> Result<'a> {
    combine(args, Quantity::sub)
}
