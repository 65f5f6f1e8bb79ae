//! Sums, differences, products and quotients. What does not fit its type is an error.

use crate::budget::check_text;
use crate::fault::Fault;
use crate::plan::Operator;
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, Fault>;

const INT_OVERFLOW: &str = "integer overflow";
const UINT_OVERFLOW: &str = "unsigned integer overflow";

/// `-value`.
pub(crate) fn negate<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(|| Fault::error(INT_OVERFLOW)),
        Value::Double(value) => Ok(Value::Double(-value)),
        Value::Duration(value) => value.negate().map(Value::Duration),
        Value::Bool(_) => Err(Fault::no_overload()),
        _ => Err(Fault::error("no such overload: -_")),
    }
}

/// The result of an arithmetic operator. Lists are added elsewhere.
pub(crate) fn combine<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => int(operator, *left, *right).map(Value::Int),
        (Value::Uint(left), Value::Uint(right)) => uint(operator, *left, *right).map(Value::Uint),
        (Value::Double(left), Value::Double(right)) => double(operator, *left, *right).map(Value::Double),
        _ => match operator {
            Operator::Add => add(left, right),
            Operator::Subtract => subtract(left, right),
            _ => Err(mismatch(operator, left)),
        },
    }
}

fn int(operator: Operator, left: i64, right: i64) -> Result<i64, Fault> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide if right == 0 => return Err(Fault::error("division by zero")),
        Operator::Divide => left.checked_div(right),
        Operator::Modulo if right == 0 => return Err(Fault::error("modulus by zero")),
        Operator::Modulo => left.checked_rem(right),
        _ => return Err(Fault::no_overload()),
    };
    result.ok_or_else(|| Fault::error(INT_OVERFLOW))
}

fn uint(operator: Operator, left: u64, right: u64) -> Result<u64, Fault> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide if right == 0 => return Err(Fault::error("division by zero")),
        Operator::Divide => left.checked_div(right),
        Operator::Modulo if right == 0 => return Err(Fault::error("modulus by zero")),
        Operator::Modulo => left.checked_rem(right),
        _ => return Err(Fault::no_overload()),
    };
    result.ok_or_else(|| Fault::error(UINT_OVERFLOW))
}

fn double(operator: Operator, left: f64, right: f64) -> Result<f64, Fault> {
    match operator {
        Operator::Add => Ok(left + right),
        Operator::Subtract => Ok(left - right),
        Operator::Multiply => Ok(left * right),
        Operator::Divide => Ok(left / right),
        _ => Err(Fault::error("no such overload: _%_")),
    }
}

fn add<'a>(left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            check_text(left.len().saturating_add(right.len()))?;
            Ok(Value::string([&**left, &**right].concat()))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            check_text(left.len().saturating_add(right.len()))?;
            Ok(Value::bytes([&**left, &**right].concat()))
        }
        (Value::Duration(left), Value::Duration(right)) => left.add(*right).map(Value::Duration),
        (Value::Duration(duration), Value::Timestamp(time)) | (Value::Timestamp(time), Value::Duration(duration)) => {
            time.add(*duration).map(Value::Timestamp)
        }
        _ => Err(mismatch(Operator::Add, left)),
    }
}

fn subtract<'a>(left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Duration(left), Value::Duration(right)) => left.subtract(*right).map(Value::Duration),
        (Value::Timestamp(time), Value::Duration(duration)) => time.subtract(*duration).map(Value::Timestamp),
        (Value::Timestamp(left), Value::Timestamp(right)) => left.since(*right).map(Value::Duration),
        _ => Err(mismatch(Operator::Subtract, left)),
    }
}

/// The message names the operator only if the left operand's type never has it.
fn mismatch(operator: Operator, left: &Value<'_>) -> Fault {
    let number = matches!(left, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    let time = matches!(left, Value::Duration(_) | Value::Timestamp(_));
    let text = matches!(left, Value::String(_));
    let (name, has_it) = match operator {
        Operator::Add => ("_+_", number || time || text || matches!(left, Value::Bytes(_) | Value::List(_))),
        Operator::Subtract => ("_-_", number || time || text),
        Operator::Multiply => ("_*_", number || time || text),
        Operator::Divide => ("_/_", number || time || text),
        _ => ("_%_", number && !matches!(left, Value::Double(_)) || time || text),
    };
    if has_it { Fault::no_overload() } else { Fault::error(format!("no such overload: {name}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_an_error() {
        let max = Value::Int(i64::MAX);
        for (operator, left, right, message) in [
            (Operator::Add, &max, Value::Int(1), INT_OVERFLOW),
            (Operator::Divide, &Value::Int(i64::MIN), Value::Int(-1), INT_OVERFLOW),
            (Operator::Modulo, &max, Value::Int(0), "modulus by zero"),
            (Operator::Subtract, &Value::Uint(0), Value::Uint(1), UINT_OVERFLOW),
            (Operator::Add, &Value::Null, Value::Int(1), "no such overload: _+_"),
            (Operator::Add, &max, Value::Null, "no such overload"),
        ] {
            let fault = combine(operator, left, &right).expect_err("does not fit");
            assert_eq!(fault.message(), message);
        }
    }
}
