//! What is wrong with LimitRanges.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    label,
};
use serde_json::Value;

use crate::builtin::formats::{invalid, quantity};
use crate::builtin::pointer::{has, list, members, text};
use crate::format::Errors;

/// LimitRange: the least is not above the most, and defaults lie between.
pub(in crate::builtin::core) fn limit_range(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, item) in list(object, "/spec/limits").iter().enumerate() {
        let path = Path::new("spec").child("limits").index(index);
        let type_ = text(item, "/type");
        invalid(&mut errors, &path.child("type"), &type_.into(), label::key_errors(type_));
        let standard = matches!(type_, "Pod" | "Container" | "PersistentVolumeClaim");
        if label::key_errors(type_).is_empty() && !type_.contains('/') && !standard {
            let detail = "must be a standard limit type or fully qualified";
            errors.push(Error::invalid(&path.child("type"), &type_.into(), detail));
        }
        if !seen.insert(type_) {
            errors.push(Error::duplicate(&path.child("type"), &type_.into()));
        }
        if type_ == "Pod" {
            for member in ["default", "defaultRequest"] {
                if members(item, &format!("/{member}")).next().is_some() {
                    let detail = "may not be specified when `type` is 'Pod'";
                    errors.push(Error::forbidden(&path.child(member), detail));
                }
            }
        }
        let storage = |bound: &str| has(item, &format!("/{bound}/storage"));
        if type_ == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(Error::required(&path.child("limits"), detail));
        }
        bounds(&mut errors, &path, item);
    }
    errors
}

/// Which amount of a LimitRange item must not be above which.
const ORDER: [(&str, &str, &str); 6] = [
    ("min", "max", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "default request value {} is greater than default limit value {}"),
    ("min", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default value {} is greater than max value {}"),
];

fn bounds(errors: &mut Errors, path: &Path, item: &Value) {
    for (low, high, words) in ORDER {
        for (resource, value) in members(item, &format!("/{low}")) {
            let other = item.get(high).and_then(|high| high.get(resource)).and_then(quantity);
            let (Some((shown, small)), Some((other_shown, large))) = (quantity(value), other) else { continue };
            if small.sub(&large).sign() > 0 {
                let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let detail = words.replacen("{}", &plain(&shown), 1).replacen("{}", &plain(&other_shown), 1);
                // The path is that of the amount which is too large, as upstream has it.
                let at = if low == "default" || low == "defaultRequest" { low } else { "min" };
                errors.push(Error::invalid(&path.child(at).key(resource), &shown, &detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

    #[test]
    fn bounds_of_a_limit_range_are_in_order() {
        let range = json!({"spec": {"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}});
        assert_eq!(
            said(&limit_range(&range)),
            ["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"]
        );
    }
}
