//! What is wrong with what a Job says of its failures, its success and who runs it.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path, quote},
    names,
};
use serde_json::Value;

use crate::builtin::formats::{at_least, invalid, present_one_of};
use crate::builtin::pointer::{has, list, text};
use crate::format::Errors;

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const PATTERNS_MAX: usize = 20;
const MANAGER_MAX: usize = 63;
const INDEXES_BYTES_MAX: usize = 64 * 1024;

/// `spec.managedBy`: a name under a domain.
pub(super) fn managed_by(errors: &mut Errors, path: &Path, spec: &Value) {
    if !has(spec, "/managedBy") {
        return;
    }
    let manager = text(spec, "/managedBy");
    domain_prefixed_path(errors, path, manager);
    if manager.len() > MANAGER_MAX {
        errors.push(Error::too_long(path, MANAGER_MAX));
    }
}

/// A path that begins with a domain: `acme.io/foo`.
fn domain_prefixed_path(errors: &mut Errors, path: &Path, value: &str) {
    let must = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    match value.split_once('/') {
        _ if value.is_empty() => errors.push(Error::required(path, "")),
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            for detail in names::dns1123_subdomain_errors(domain) {
                errors.push(Error::invalid(path, &domain.into(), &detail));
            }
        }
        _ => errors.push(Error::invalid(path, &value.into(), must)),
    }
}

/// `spec.podFailurePolicy`.
pub(super) fn failure_policy(errors: &mut Errors, path: &Path, spec: &Value) {
    let path = path.child("rules");
    let rules = list(spec, "/podFailurePolicy/rules");
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RULES_MAX));
    }
    let containers: BTreeSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|kind| list(spec, &format!("/template/spec/{kind}")))
        .map(|container| text(container, "/name"))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        failure_rule(errors, &path.index(index), rule, spec, &containers);
    }
}

fn failure_rule(errors: &mut Errors, path: &Path, rule: &Value, spec: &Value, containers: &BTreeSet<&str>) {
    let action = text(rule, "/action");
    if action == "FailIndex" {
        if !has(spec, "/backoffLimitPerIndex") {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.push(Error::invalid(&path.child("action"), &action.into(), detail));
        }
    } else {
        one_of_valid(errors, &path.child("action"), action, &["Count", "FailIndex", "FailJob", "Ignore"]);
    }
    let codes = rule.get("onExitCodes").filter(|codes| !codes.is_null());
    if let Some(codes) = codes {
        exit_codes(errors, &path.child("onExitCodes"), codes, containers);
    }
    let patterns = list(rule, "/onPodConditions");
    if patterns.len() > PATTERNS_MAX {
        errors.push(Error::too_many(&path.child("onPodConditions"), patterns.len(), PATTERNS_MAX));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.child("onPodConditions").index(index);
        let type_ = text(pattern, "/type");
        invalid(errors, &path.child("type"), &type_.into(), machinery::label::key_errors(type_));
        one_of_valid(errors, &path.child("status"), text(pattern, "/status"), &["False", "True", "Unknown"]);
    }
    let detail = match (codes.is_some(), patterns.is_empty()) {
        (true, false) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, true) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(Error::invalid_without_value(path, detail));
}

/// A text that must be one of a few, with upstream's hint when it is missing.
fn one_of_valid(errors: &mut Errors, path: &Path, value: &str, supported: &[&str]) {
    if value.is_empty() {
        let listed: Vec<_> = supported.iter().map(|one| quote(one)).collect();
        errors.push(Error::required(path, &format!("valid values: [{}]", listed.join(" "))));
    } else if !supported.contains(&value) {
        errors.push(Error::not_supported(path, &value.into(), supported));
    }
}

fn exit_codes(errors: &mut Errors, path: &Path, codes: &Value, containers: &BTreeSet<&str>) {
    let operator = text(codes, "/operator");
    one_of_valid(errors, &path.child("operator"), operator, &["In", "NotIn"]);
    let container = text(codes, "/containerName");
    if has(codes, "/containerName") && !containers.contains(container) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(Error::invalid(&path.child("containerName"), &container.into(), detail));
    }
    let path = path.child("values");
    let values: Vec<i64> = list(codes, "/values").iter().filter_map(Value::as_i64).collect();
    let shown = || codes.get("values").cloned().unwrap_or_default();
    if values.is_empty() {
        errors.push(Error::invalid(&path, &shown(), "at least one value is required"));
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(Error::too_many(&path, values.len(), EXIT_CODES_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, &value) in values.iter().enumerate() {
        if operator == "In" && value == 0 {
            errors.push(Error::invalid(&path.index(index), &value.into(), "must not be 0 for the In operator"));
        }
        if !seen.insert(value) {
            errors.push(Error::duplicate(&path.index(index), &value.into()));
        }
    }
    if !values.is_sorted() {
        errors.push(Error::invalid(&path, &shown(), "must be ordered"));
    }
}

/// `spec.podReplacementPolicy`: with a failure policy only pods that have failed are replaced.
pub(super) fn replacement_policy(errors: &mut Errors, path: &Path, spec: &Value) {
    let supported: &[&str] =
        if has(spec, "/podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    present_one_of(errors, path, spec.get("podReplacementPolicy"), supported);
}

/// `spec.successPolicy`, of a job with indexes.
pub(super) fn success_policy(errors: &mut Errors, path: &Path, spec: &Value) {
    let Some(policy) = spec.get("successPolicy").filter(|policy| !policy.is_null()) else { return };
    let rules = list(policy, "/rules");
    if text(spec, "/completionMode") != "Indexed" {
        let shown = policy_as_shown(rules);
        return errors.push(Error::invalid_shown(path, &shown, "requires indexed completion mode"));
    }
    let Some(completions) = spec.get("completions").and_then(Value::as_i64) else { return };
    let path = path.child("rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(Error::required(&path, detail));
    }
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RULES_MAX));
    }
    for (index, rule) in rules.iter().enumerate() {
        success_rule(errors, &path.index(index), rule, completions);
    }
}

/// The policy as upstream's errors show it: its internal type as JSON.
fn policy_as_shown(rules: &[Value]) -> String {
    let rule = |rule: &Value| {
        let of = |member: &str| rule.get(member).cloned().unwrap_or_default();
        format!("{{\"SucceededIndexes\":{},\"SucceededCount\":{}}}", of("succeededIndexes"), of("succeededCount"))
    };
    let rules: Vec<_> = rules.iter().map(rule).collect();
    format!("{{\"Rules\":[{}]}}", rules.join(","))
}

fn success_rule(errors: &mut Errors, path: &Path, rule: &Value, completions: i64) {
    let (indexes, count) = (has(rule, "/succeededIndexes"), rule.get("succeededCount").and_then(Value::as_i64));
    if !indexes && count.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(Error::required(path, detail));
    }
    let mut total = 0;
    if indexes {
        let path = path.child("succeededIndexes");
        let listed = text(rule, "/succeededIndexes");
        if listed.len() > INDEXES_BYTES_MAX {
            errors.push(Error::too_long(&path, INDEXES_BYTES_MAX));
        }
        match count_indexes(listed, completions) {
            Ok(found) => total = found,
            Err(why) => {
                let detail = format!("error parsing succeededIndexes: {why}");
                errors.push(Error::invalid(&path, &listed.into(), &detail));
            }
        }
    }
    let Some(count) = count else { return };
    at_least(errors, path, rule, "succeededCount", 0, "must be greater than or equal to 0");
    let path = path.child("succeededCount");
    if count > completions {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.push(Error::invalid(&path, &count.into(), &detail));
    }
    if indexes && count > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(Error::invalid(&path, &count.into(), &detail));
    }
}

/// How many indexes a list such as `1,3-5` holds.
pub(super) fn count_indexes(listed: &str, completions: i64) -> Result<i64, String> {
    if listed.is_empty() {
        return Ok(0);
    }
    let index = |text: &str| -> Result<i64, String> {
        let number: i64 =
            text.parse().map_err(|_| format!("cannot convert string to integer for index: {}", quote(text)))?;
        if number >= completions { Err(format!("too large index: {}", quote(text))) } else { Ok(number) }
    };
    let out_of_order =
        |previous: i64, current: i64| format!("non-increasing order, previous: {previous}, current: {current}");
    let (mut last, mut total) = (None, 0);
    for interval in listed.split(',') {
        let (first, end) = match interval.split('-').collect::<Vec<_>>().as_slice() {
            [one] => {
                let one = index(one)?;
                (one, one)
            }
            [first, end] => {
                let (first, end) = (index(first)?, index(end)?);
                if first >= end {
                    return Err(out_of_order(first, end));
                }
                (first, end)
            }
            _ => {
                return Err(format!(
                    "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
                    quote(interval)
                ));
            }
        };
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(out_of_order(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_counted_and_stand_in_order() {
        for (listed, expected) in [
            ("", Ok(0)),
            ("1,3-5,7", Ok(5)),
            ("3,3", Err("non-increasing order, previous: 3, current: 3")),
            ("3-2", Err("non-increasing order, previous: 3, current: 2")),
            ("10", Err("too large index: \"10\"")),
            ("x", Err("cannot convert string to integer for index: \"x\"")),
        ] {
            assert_eq!(count_indexes(listed, 10), expected.map_err(str::to_owned), "{listed}");
        }
    }
}
