//! Parts of times and durations: `getFullYear`, `getHours` and so on.

use crate::declaration::{Body, Library};
use crate::fault::Fault;
use crate::time::Timestamp;
use crate::types::Type;
use crate::value::Value;

pub(crate) fn declare(library: &mut Library) {
    let mut add = |name, id, zoned_id, body: Body| {
        library.member(name, id, [Type::Timestamp], Type::Int, body);
        library.member(name, zoned_id, [Type::Timestamp, Type::String], Type::Int, body);
    };
    add("getFullYear", "timestamp_to_year", "timestamp_to_year_with_tz", year);
    add("getMonth", "timestamp_to_month", "timestamp_to_month_with_tz", month);
    add("getDayOfYear", "timestamp_to_day_of_year", "timestamp_to_day_of_year_with_tz", day_of_year);
    add("getDayOfMonth", "timestamp_to_day_of_month", "timestamp_to_day_of_month_with_tz", day_of_month);
    add("getDate", "timestamp_to_day_of_month_1_based", "timestamp_to_day_of_month_1_based_with_tz", date);
    add("getDayOfWeek", "timestamp_to_day_of_week", "timestamp_to_day_of_week_with_tz", day_of_week);
    add("getHours", "timestamp_to_hours", "timestamp_to_hours_with_tz", hours);
    add("getMinutes", "timestamp_to_minutes", "timestamp_to_minutes_with_tz", minutes);
    add("getSeconds", "timestamp_to_seconds", "timestamp_to_seconds_tz", seconds);
    add("getMilliseconds", "timestamp_to_milliseconds", "timestamp_to_milliseconds_with_tz", milliseconds);
    let mut add = |name, id, body: Body| library.member(name, id, [Type::Duration], Type::Int, body);
    add("getHours", "duration_to_hours", hours);
    add("getMinutes", "duration_to_minutes", minutes);
    add("getSeconds", "duration_to_seconds", seconds);
    add("getMilliseconds", "duration_to_milliseconds", milliseconds);
}

type Result<'a> = std::result::Result<Value<'a>, Fault>;

fn arguments<'v>(args: &'v [Value<'_>]) -> std::result::Result<(Timestamp, &'v str), Fault> {
    match args {
        [Value::Timestamp(time)] => Ok((*time, "UTC")),
        [Value::Timestamp(time), Value::String(zone)] => Ok((*time, zone)),
        _ => Err(Fault::no_overload()),
    }
}

macro_rules! part {
    ($name:ident, $date:ident => $part:expr) => {
        fn $name<'a>(args: &[Value<'a>]) -> Result<'a> {
            let (time, zone) = arguments(args)?;
            let $date = time.in_zone(zone)?;
            Ok(Value::Int($part))
        }
    };
    ($name:ident, $date:ident => $part:expr, nanoseconds / $unit:expr) => {
        fn $name<'a>(args: &[Value<'a>]) -> Result<'a> {
            if let [Value::Duration(duration)] = args {
                return Ok(Value::Int(duration.nanoseconds() / $unit));
            }
            let (time, zone) = arguments(args)?;
            let $date = time.in_zone(zone)?;
            Ok(Value::Int($part))
        }
    };
}

part!(year, date => date.year);
part!(month, date => date.month - 1);
part!(day_of_year, date => date.day_of_year());
part!(day_of_month, date => date.day - 1);
part!(date, date => date.day);
part!(day_of_week, date => date.day_of_week());
part!(hours, date => date.hour, nanoseconds / 3_600_000_000_000);
part!(minutes, date => date.minute, nanoseconds / 60_000_000_000);
part!(seconds, date => date.second, nanoseconds / 1_000_000_000);

fn milliseconds<'a>(args: &[Value<'a>]) -> Result<'a> {
    if let [Value::Duration(duration)] = args {
        return Ok(Value::Int(duration.nanoseconds() / 1_000_000));
    }
    let (time, zone) = arguments(args)?;
    time.in_zone(zone)?;
    Ok(Value::Int(time.milliseconds()))
}
