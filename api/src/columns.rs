//! Columns and cells that several device kinds share.

use machinery::meta;
use serde_json::Value;

use crate::{
    builtin::column::{CellOf, age, name, text},
    definition::{Cell, Column},
    members,
};

/// The text at a path; empty if absent.
pub(crate) fn text_at(object: &Value, names: &[&str]) -> Value {
    members::at(object, names).as_str().unwrap_or_default().into()
}

/// How many items the list at a path has.
pub(crate) fn count_at(object: &Value, names: &[&str]) -> Value {
    members::at(object, names).as_array().map_or(0, Vec::len).to_string().into()
}

/// The columns of claims: where each stands on its way from pending to reserved.
pub(crate) fn claim() -> Vec<Column> {
    vec![
        name(),
        of_classic("ResourceClassName", "Class of a classic claim.", |claim, _| {
            members::present(members::at(claim, &["spec"]), "resourceClassName").cloned().unwrap_or_default()
        }),
        of_classic("AllocationMode", "When a classic claim is allocated.", |claim, _| {
            members::present(members::at(claim, &["spec"]), "allocationMode").cloned().unwrap_or_default()
        }),
        text("State", "A summary of the claim: pending, allocated, reserved, deleted.", |claim, _| {
            claim_state(claim).into()
        }),
        age(),
    ]
}

/// The columns of claim templates.
pub(crate) fn template() -> Vec<Column> {
    vec![
        name(),
        of_classic("ResourceClassName", "Class of the classic claims.", |template, _| {
            members::present(members::at(template, &["spec", "spec"]), "resourceClassName").cloned().unwrap_or_default()
        }),
        of_classic("AllocationMode", "When the classic claims are allocated.", |template, _| {
            members::present(members::at(template, &["spec", "spec"]), "allocationMode").cloned().unwrap_or_default()
        }),
        age(),
    ]
}

/// A column for classic claims only.
fn of_classic(name: &'static str, description: &'static str, cell: CellOf) -> Column {
    Column { cell: Cell::Optional(cell), ..text(name, description, cell) }
}

fn claim_state(claim: &Value) -> String {
    let status = members::at(claim, &["status"]);
    let allocated = members::present(status, "allocation").is_some();
    state(claim, allocated, !members::list(status, "reservedFor").is_empty())
}

/// `deleted`, `pending`, `allocated`, `reserved`: those that hold, with commas between them.
pub(crate) fn state(claim: &Value, allocated: bool, reserved: bool) -> String {
    let deleted = meta::deletion_timestamp(claim).is_some();
    let deallocating = members::is_true(members::at(claim, &["status"]), "deallocationRequested");
    let states = [
        ("deleted", deleted),
        ("deallocating", deallocating),
        ("pending", !allocated && !deleted),
        ("allocated", allocated),
        ("reserved", allocated && reserved),
    ];
    states.iter().filter(|(_, holds)| *holds).map(|(state, _)| *state).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_show_where_they_stand() {
        let consumer = json!({"resource": "pods", "name": "p", "uid": "u"});
        let cases = [
            (json!({}), "pending"),
            (json!({"status": {}}), "pending"),
            (json!({"status": {"allocation": {}}}), "allocated"),
            (json!({"status": {"allocation": {}, "reservedFor": [consumer]}}), "allocated,reserved"),
            (json!({"status": {"allocation": {}, "deallocationRequested": true}}), "deallocating,allocated"),
            (json!({"metadata": {"deletionTimestamp": "x"}}), "deleted"),
            (
                json!({"metadata": {"deletionTimestamp": "x"}, "status": {"allocation": {}, "reservedFor": [consumer]}}),
                "deleted,allocated,reserved",
            ),
        ];
        for (claim, expected) in cases {
            assert_eq!(claim_state(&claim), expected, "{claim}");
        }
    }
}
