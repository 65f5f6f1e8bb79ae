//! Columns that upstream prints for the kinds of the GA device API.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    builtin::column::{age, integer, name, since, text},
    columns::text_at,
    definition::Column,
    members::{at, list, present},
};

/// `ResourceSlice`.
pub(super) fn slice() -> Vec<Column> {
    vec![
        name(),
        text("Node", "Node whose devices these are, if it is one.", |slice, _| text_at(slice, &["spec", "nodeName"])),
        text("Driver", "Driver of the devices.", |slice, _| text_at(slice, &["spec", "driver"])),
        text("Pool", "Pool that the slice is a part of.", |slice, _| text_at(slice, &["spec", "pool", "name"])),
        age(),
    ]
}

/// `DeviceTaintRule`.
pub(super) fn taint_rule() -> Vec<Column> {
    vec![
        name(),
        text("Key", "Key of the taint.", |rule, _| text_at(rule, &["spec", "taint", "key"])),
        text("Value", "Value of the taint.", |rule, _| text_at(rule, &["spec", "taint", "value"])),
        text("Effect", "Effect of the taint.", |rule, _| text_at(rule, &["spec", "taint", "effect"])),
        text("TimeAdded", "How long ago the taint was added.", |rule, now| {
            since_at(rule, &["spec", "taint", "timeAdded"], now)
        }),
        age(),
    ]
}

/// `ResourcePoolStatusRequest`.
pub(super) fn pool_status() -> Vec<Column> {
    vec![
        name(),
        text("Driver", "Driver that is asked about.", |request, _| text_at(request, &["spec", "driver"])),
        text("Total", "Devices of all pools.", |request, _| sum(request, "totalDevices")),
        text("Available", "Devices that can be allocated.", |request, _| sum(request, "availableDevices")),
        text("Allocated", "Devices that are allocated.", |request, _| sum(request, "allocatedDevices")),
        text("Unavailable", "Devices that cannot be used.", |request, _| sum(request, "unavailableDevices")),
        text("Errors", "Pools that are not valid.", |request, _| {
            count(request, |pools| {
                pools.iter().filter(|pool| present(pool, "validationError").is_some()).count() as i64
            })
        }),
        integer("Pools", "Pools that match.", |request, _| match present(at(request, &["status"]), "poolCount") {
            Some(count) => count.to_string().into(),
            None => "-".into(),
        }),
        text("Status", "Whether the answer is there.", |request, _| pool_state(request).into()),
        text("Completed", "How long ago the answer was given.", |request, now| match condition(request, "Complete") {
            Some(complete) => since_at(complete, &["lastTransitionTime"], now),
            None => "<none>".into(),
        }),
    ]
}

fn since_at(object: &Value, names: &[&str], now: Timestamp) -> Value {
    since(at(object, names).as_str().unwrap_or_default(), now).into()
}

/// Something about the pools of an answer, `-` before there is one.
fn count(request: &Value, count: impl Fn(&[Value]) -> i64) -> Value {
    match present(request, "status").filter(|status| present(status, "poolCount").is_some()) {
        Some(status) => count(list(status, "pools")).to_string().into(),
        None => "-".into(),
    }
}

fn sum(request: &Value, member: &str) -> Value {
    count(request, |pools| pools.iter().filter_map(|pool| at(pool, &[member]).as_i64()).fold(0, i64::saturating_add))
}

fn condition<'a>(request: &'a Value, kind: &str) -> Option<&'a Value> {
    list(at(request, &["status"]), "conditions")
        .iter()
        .find(|condition| condition["type"] == kind && condition["status"] == "True")
}

fn pool_state(request: &Value) -> String {
    if condition(request, "Failed").is_some() {
        return "Failed".to_owned();
    }
    if condition(request, "Complete").is_none() {
        return "Pending".to_owned();
    }
    let status = at(request, &["status"]);
    let (shown, all) = (list(status, "pools").len(), at(status, &["poolCount"]).as_i64().unwrap_or_default());
    if i64::try_from(shown).is_ok_and(|shown| shown < all) {
        format!("Complete ({shown}/{all} pools)")
    } else {
        "Complete".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pool_status_is_summed_up() {
        let request = json!({"spec": {"driver": "d"}, "status": {
            "poolCount": 3,
            "pools": [
                {"totalDevices": 4, "allocatedDevices": 1},
                {"totalDevices": 2, "allocatedDevices": 2},
                {"validationError": "bad"},
            ],
            "conditions": [{"type": "Complete", "status": "True"}],
        }});
        let unanswered = json!({"spec": {"driver": "d"}});
        assert_eq!(sum(&request, "totalDevices"), "6");
        assert_eq!(sum(&unanswered, "totalDevices"), "-");
        assert_eq!(pool_state(&request), "Complete");
        assert_eq!(pool_state(&unanswered), "Pending");
        let mut cut = request;
        cut["status"]["poolCount"] = json!(7);
        assert_eq!(pool_state(&cut), "Complete (3/7 pools)");
    }
}
