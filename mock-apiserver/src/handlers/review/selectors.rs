//! The selectors of access reviews: which objects of a collection are asked about (KEP-4601).

use machinery::{
    field::{Error, Path},
    selector::{field, label},
};
use serde_json::Value;

use super::text;
use crate::authorization::{Action, Restriction};

/// Everything wrong with the selectors of a review, whose attributes are at `path`.
pub(super) fn errors(review: &Value, path: &Path) -> Vec<Error> {
    let attributes = review.pointer("/spec/resourceAttributes").unwrap_or(&Value::Null);
    let checks = [("fieldSelector", check_field as Check), ("labelSelector", check_label)];
    let errors =
        checks.into_iter().map(|(member, check)| selector_errors(attributes.get(member), &path.child(member), check));
    errors.flatten().collect()
}

type Check = fn(&Value, &Path) -> Vec<Error>;

/// What is wrong with a selector: either a text or requirements.
fn selector_errors(selector: Option<&Value>, path: &Path, check: Check) -> Vec<Error> {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Vec::new() };
    let raw = text(selector, "/rawSelector");
    let requirements = selector.get("requirements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut errors = Vec::new();
    if !raw.is_empty() && !requirements.is_empty() {
        let detail = "may not specified at the same time as requirements";
        errors.push(Error::invalid(&path.child("rawSelector"), &raw.into(), detail));
    }
    if raw.is_empty() && requirements.is_empty() {
        let detail = format!("when {path} is specified, requirements or rawSelector is required");
        errors.push(Error::required(&path.child("requirements"), &detail));
    }
    let path = path.child("requirements");
    errors.extend(requirements.iter().enumerate().flat_map(|(index, one)| check(one, &path.index(index))));
    errors
}

/// Operators that are not known here may be known to whoever decides.
fn is_known(requirement: &Value) -> bool {
    matches!(text(requirement, "/operator"), "In" | "NotIn" | "Exists" | "DoesNotExist")
}

fn check_label(requirement: &Value, path: &Path) -> Vec<Error> {
    let mut errors = label::validate_expression(requirement, path);
    if !is_known(requirement) {
        let operator = path.child("operator").to_string();
        errors.retain(|error| error.path.to_string() != operator);
    }
    errors
}

fn check_field(requirement: &Value, path: &Path) -> Vec<Error> {
    let values = requirement.get("values").and_then(Value::as_array).is_some_and(|values| !values.is_empty());
    let mut errors = Vec::new();
    match text(requirement, "/operator") {
        "In" | "NotIn" if !values => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(Error::required(&path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if values => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&path.child("values"), detail));
        }
        _ => {}
    }
    if text(requirement, "/key").is_empty() {
        errors.push(Error::required(&path.child("key"), "must be specified"));
    }
    errors
}

/// The selectors of a review, and what could not be read of them.
#[derive(Default)]
pub(super) struct Selected {
    fields: Vec<field::Term>,
    labels: Vec<label::Requirement>,
    pub(super) error: Option<String>,
}

impl Selected {
    pub(super) fn of(review: &Value) -> Self {
        let mut selected = Self::default();
        let mut errors = Vec::new();
        let at = |member: &str| review.pointer(&format!("/spec/resourceAttributes/{member}"));
        let mut ignored = |member: &str, any_left: bool| {
            let partially = if any_left { "partially " } else { "" };
            errors.push(format!("spec.resourceAttributes.{member} {partially}ignored due to parse error"));
        };
        if let Some(selector) = at("fieldSelector") {
            let (read, is_whole) = read_fields(selector);
            selected.fields = read;
            if !is_whole {
                ignored("fieldSelector", !selected.fields.is_empty());
            }
        }
        if let Some(selector) = at("labelSelector") {
            let (read, is_whole) = read_labels(selector);
            selected.labels = read;
            if !is_whole {
                ignored("labelSelector", !selected.labels.is_empty());
            }
        }
        selected.error = Some(errors.join("\n")).filter(|error| !error.is_empty());
        selected
    }

    pub(super) fn restrict<'a>(&'a self, action: Action<'a>) -> Action<'a> {
        action.restricted(Restriction { fields: &self.fields, labels: &self.labels })
    }
}

fn requirements(selector: &Value) -> impl Iterator<Item = (&str, &str, Vec<String>)> {
    let all = selector.get("requirements").and_then(Value::as_array).into_iter().flatten();
    all.map(|one| {
        let values = one.get("values").and_then(Value::as_array).into_iter().flatten();
        let values = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
        (text(one, "/key"), text(one, "/operator"), values)
    })
}

/// The terms that can be read, and whether that is all of them.
fn read_fields(selector: &Value) -> (Vec<field::Term>, bool) {
    let raw = text(selector, "/rawSelector");
    if !raw.is_empty() {
        return field::Selector::parse(raw).map_or((Vec::new(), false), |read| (read.terms().to_vec(), true));
    }
    let mut is_whole = true;
    let terms = requirements(selector).filter_map(|(key, operator, values)| match (operator, values.as_slice()) {
        ("In" | "NotIn", [value]) => {
            Some(field::Term { field: key.to_owned(), equal: operator == "In", value: value.clone() })
        }
        _ => {
            is_whole = false;
            None
        }
    });
    (terms.collect(), is_whole)
}

/// The requirements that can be read, and whether that is all of them.
fn read_labels(selector: &Value) -> (Vec<label::Requirement>, bool) {
    let raw = text(selector, "/rawSelector");
    if !raw.is_empty() {
        let read = label::Selector::parse(raw).ok();
        let read = read.as_ref().and_then(label::Selector::requirements).map(<[_]>::to_vec);
        return read.map_or((Vec::new(), false), |read| (read, true));
    }
    let mut is_whole = true;
    let read = requirements(selector).filter_map(|(key, operator, values)| {
        let operator = match operator {
            "In" => Some(label::Operator::In),
            "NotIn" => Some(label::Operator::NotIn),
            "Exists" => Some(label::Operator::Exists),
            "DoesNotExist" => Some(label::Operator::DoesNotExist),
            _ => None,
        };
        let read = operator.and_then(|operator| label::Requirement::new(key, operator, values).ok());
        is_whole &= read.is_some();
        read
    });
    (read.collect(), is_whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_of_reviews_are_read_and_checked() {
        let review =
            |member: &str, selector: Value| json!({"spec": {"user": "u", "resourceAttributes": {member: selector}}});
        let said = |review: &Value| -> Vec<String> {
            errors(review, &Path::new("spec").child("resourceAttributes")).iter().map(Error::to_string).collect()
        };
        let requirement =
            |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
        let at = "spec.resourceAttributes";
        for (member, selector, expected) in [
            (
                "fieldSelector",
                json!({}),
                format!(
                    "{at}.fieldSelector.requirements: Required value: when {at}.fieldSelector is specified, requirements or rawSelector is required"
                ),
            ),
            (
                "labelSelector",
                json!({"rawSelector": "a", "requirements": [requirement("a", "Exists", &[])]}),
                format!(
                    "{at}.labelSelector.rawSelector: Invalid value: \"a\": may not specified at the same time as requirements"
                ),
            ),
            (
                "fieldSelector",
                json!({"requirements": [requirement("", "New", &[])]}),
                format!("{at}.fieldSelector.requirements[0].key: Required value: must be specified"),
            ),
            (
                "labelSelector",
                json!({"requirements": [requirement("a", "In", &[])]}),
                format!(
                    "{at}.labelSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
                ),
            ),
        ] {
            assert_eq!(said(&review(member, selector)), [expected]);
        }
        for (member, selector, count, error) in [
            ("fieldSelector", json!({"rawSelector": "a=b,c!=d"}), 2, None),
            ("labelSelector", json!({"requirements": [requirement("a", "In", &["x", "y"])]}), 1, None),
            ("labelSelector", json!({"rawSelector": "a in ("}), 0, Some("ignored")),
            (
                "fieldSelector",
                json!({"requirements": [requirement("a", "In", &["b"]), requirement("c", "New", &[])]}),
                1,
                Some("partially ignored"),
            ),
        ] {
            let document = review(member, selector);
            assert_eq!(said(&document), [""; 0]);
            let selected = Selected::of(&document);
            assert_eq!(selected.fields.len() + selected.labels.len(), count);
            assert_eq!(selected.error, error.map(|how| format!("{at}.{member} {how} due to parse error")));
        }
    }
}
