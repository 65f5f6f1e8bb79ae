//! The columns of `batch`.

use jiff::Timestamp;
use machinery::{duration, meta, time};
use serde_json::Value;

use crate::builtin::cells::{NONE, container_images, container_names, or, selector, selector_or_none};
use crate::builtin::column::{age, boolean, integer, name, since, text, wide};
use crate::builtin::pointer::{self, condition_is_true, has, list};
use crate::definition::Column;

/// CronJob.
pub(super) fn cron_job() -> Vec<Column> {
    const TEMPLATE: &str = "/spec/jobTemplate/spec/template/spec";
    vec![
        name(),
        text("Schedule", "When jobs start, as cron writes it.", |object, _| {
            pointer::text(object, "/spec/schedule").into()
        }),
        text("Timezone", "Time zone of the schedule.", |object, _| {
            or(pointer::text(object, "/spec/timeZone"), NONE).into()
        }),
        boolean("Suspend", "Whether no more jobs start.", |object, _| {
            match object.pointer("/spec/suspend").and_then(Value::as_bool) {
                Some(true) => "True".into(),
                Some(false) => "False".into(),
                None => "<unset>".into(),
            }
        }),
        integer("Active", "How many jobs run.", |object, _| list(object, "/status/active").len().into()),
        text("Last Schedule", "How long ago the last job started.", |object, now| {
            match pointer::text(object, "/status/lastScheduleTime") {
                "" => NONE.into(),
                time => since(time, now).into(),
            }
        }),
        age(),
        wide("Containers", "Names of the template's containers.", |object, _| container_names(object, TEMPLATE)),
        wide("Images", "Images of the template's containers.", |object, _| container_images(object, TEMPLATE)),
        wide("Selector", "Which pods count.", |object, _| {
            selector_or_none(object, "/spec/jobTemplate/spec/selector").into()
        }),
    ]
}

/// Job.
pub(super) fn job() -> Vec<Column> {
    const TEMPLATE: &str = "/spec/template/spec";
    vec![
        name(),
        text("Status", "What the job is doing.", |object, _| status(object).into()),
        text("Completions", "How many pods succeeded of those wanted.", |object, _| completions(object).into()),
        text("Duration", "How long the job took, or has taken so far.", |object, now| duration(object, now).into()),
        age(),
        wide("Containers", "Names of the template's containers.", |object, _| container_names(object, TEMPLATE)),
        wide("Images", "Images of the template's containers.", |object, _| container_images(object, TEMPLATE)),
        wide("Selector", "Which pods count.", |object, _| selector(object, "/spec/selector").into()),
    ]
}

fn status(job: &Value) -> &'static str {
    let is = |type_| condition_is_true(job, type_);
    if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if meta::deletion_timestamp(job).is_some() {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Value) -> String {
    let succeeded = pointer::integer(job, "/status/succeeded");
    if has(job, "/spec/completions") {
        return format!("{succeeded}/{}", pointer::integer(job, "/spec/completions"));
    }
    match pointer::integer(job, "/spec/parallelism") {
        parallelism if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: Timestamp) -> String {
    let Some(start) = time::parse(pointer::text(job, "/status/startTime")) else { return String::new() };
    let end = time::parse(pointer::text(job, "/status/completionTime")).unwrap_or(now);
    duration::human(end.as_second().saturating_sub(start.as_second()))
}
