//! `v1beta1` and `v1`: the older version has the fields of `exactly` flat in a request, and those of a device under
//! `basic`. What is unset is an empty text or `false` there, and absent here.

use serde_json::{Map, Value};

use crate::members::{at_mut, list_mut, present, put};

/// Members of a `v1beta1` request that `v1` has under `exactly`.
const EXACT_MEMBERS: [&str; 8] = [
    "deviceClassName",
    "selectors",
    "allocationMode",
    "count",
    "adminAccess",
    "tolerations",
    "capacity",
    "derivedAttributes",
];

pub(crate) fn claim_to_v1(claim: &mut Value) {
    requests_to_v1(at_mut(claim, &["spec", "devices"]));
}

pub(crate) fn claim_from_v1(claim: &mut Value) {
    requests_from_v1(at_mut(claim, &["spec", "devices"]));
}

pub(crate) fn template_to_v1(template: &mut Value) {
    requests_to_v1(at_mut(template, &["spec", "spec", "devices"]));
}

pub(crate) fn template_from_v1(template: &mut Value) {
    requests_from_v1(at_mut(template, &["spec", "spec", "devices"]));
}

fn requests_to_v1(devices: Option<&mut Value>) {
    let Some(devices) = devices else { return };
    for request in list_mut(devices, "requests").iter_mut().filter_map(Value::as_object_mut) {
        let mut exactly: Map<String, Value> = EXACT_MEMBERS
            .iter()
            .filter_map(|name| request.remove_entry(*name))
            .filter(|(_, value)| is_set(value))
            .collect();
        // Upstream defaults a v1beta1 request before it is converted, and only when it names a class.
        if exactly.contains_key("deviceClassName") {
            default_amount(&mut exactly);
        }
        if !exactly.is_empty() {
            request.insert("exactly".to_owned(), exactly.into());
        }
    }
}

/// `allocationMode` is `ExactCount` unless given, and `count` is then 1.
pub(super) fn default_amount(request: &mut Map<String, Value>) {
    let mode = request.entry("allocationMode").or_insert_with(|| "".into());
    if mode == "" {
        *mode = "ExactCount".into();
    }
    if mode == "ExactCount" {
        let count = request.entry("count").or_insert_with(|| 0.into());
        if *count == 0 {
            *count = 1.into();
        }
    }
}

/// A text that is not empty, a number that is not zero, or anything else that is not null.
fn is_set(value: &Value) -> bool {
    !(value.is_null() || value.as_str() == Some("") || value.as_i64() == Some(0))
}

fn requests_from_v1(devices: Option<&mut Value>) {
    let Some(devices) = devices else { return };
    for request in list_mut(devices, "requests").iter_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::Object(exactly)) = request.remove("exactly") {
            request.extend(exactly);
        }
        request.entry("deviceClassName").or_insert_with(|| "".into());
    }
}

pub(crate) fn slice_to_v1(slice: &mut Value) {
    let Some(spec) = slice.get_mut("spec") else { return };
    drop_zero(spec);
    for device in list_mut(spec, "devices").iter_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::Object(basic)) = device.remove("basic") {
            device.extend(basic.into_iter().filter(|(name, _)| name != "name"));
        }
    }
}

pub(crate) fn slice_from_v1(slice: &mut Value) {
    let Some(spec) = slice.get_mut("spec") else { return };
    for device in list_mut(spec, "devices").iter_mut().filter_map(Value::as_object_mut) {
        let name = device.remove("name");
        let basic = std::mem::take(device);
        device.extend(name.map(|name| ("name".to_owned(), name)));
        device.insert("basic".to_owned(), basic.into());
    }
}

/// An empty node name and `allNodes: false` say nothing in `v1beta1`.
fn drop_zero(spec: &mut Value) {
    if present(spec, "nodeName").is_some_and(|name| name == "") {
        put(spec, "nodeName", None);
    }
    if present(spec, "allNodes").is_some_and(|all| *all == false) {
        put(spec, "allNodes", None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use serde_json::json;

    /// A request as the server stores it: defaulted, with one of its alternatives.
    fn stored_request() -> impl Strategy<Value = Value> {
        let ask = ("[a-z]{1,5}", 1..40_i64, any::<bool>(), option::of(any::<bool>()), vec("[a-z ]{0,5}", 0..3))
            .prop_map(|(class, count, all, admin, selectors)| {
                let selectors: Vec<Value> = selectors.iter().map(|text| json!({"cel": {"expression": text}})).collect();
                let mut ask =
                    json!({"deviceClassName": class, "allocationMode": if all { "All" } else { "ExactCount" }});
                put(&mut ask, "count", (!all).then(|| count.into()));
                put(&mut ask, "adminAccess", admin.map(Value::from));
                put(&mut ask, "selectors", (!selectors.is_empty()).then(|| selectors.into()));
                ask
            });
        (ask, any::<bool>()).prop_map(|(mut ask, exactly)| {
            if exactly {
                return json!({"name": "r", "exactly": ask});
            }
            put(&mut ask, "adminAccess", None);
            put(&mut ask, "name", Some("s".into()));
            json!({"name": "r", "firstAvailable": [ask]})
        })
    }

    proptest! {
        #[test]
        fn no_stored_claim_is_changed_by_a_look_at_it_in_v1beta1(requests in vec(stored_request(), 0..4)) {
            let claim = json!({"spec": {"devices": {"requests": requests, "config": []}}, "status": {"x": 1}});
            let mut there = claim.clone();
            claim_from_v1(&mut there);
            prop_assert!(there["spec"]["devices"]["requests"].as_array().is_none_or(|all| all.iter().all(|one| one.get("exactly").is_none())));
            claim_to_v1(&mut there);
            prop_assert_eq!(there, claim);
        }
    }

    #[test]
    fn requests_are_nested_and_flattened() {
        let cases = [
            (
                json!({"name": "a", "deviceClassName": "c"}),
                json!({"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1}}),
            ),
            (
                json!({"name": "a", "deviceClassName": "c", "allocationMode": "All", "adminAccess": false}),
                json!({"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "All", "adminAccess": false}}),
            ),
            (json!({"name": "a", "deviceClassName": "", "count": 0}), json!({"name": "a"})),
            (
                json!({"name": "a", "firstAvailable": [{"name": "x"}], "count": 2}),
                json!({"name": "a", "firstAvailable": [{"name": "x"}], "exactly": {"count": 2}}),
            ),
        ];
        for (beta, v1) in cases {
            let mut claim = json!({"spec": {"devices": {"requests": [beta]}}});
            claim_to_v1(&mut claim);
            assert_eq!(claim, json!({"spec": {"devices": {"requests": [v1]}}}));
        }
    }

    #[test]
    fn v1_survives_the_older_version() {
        let claim = json!({"spec": {"devices": {"requests": [
            {"name": "a", "exactly": {"deviceClassName": "c", "allocationMode": "ExactCount", "count": 3, "tolerations": []}},
            {"name": "b", "firstAvailable": [{"name": "x", "deviceClassName": "c"}]},
        ]}}});
        let mut there = claim.clone();
        claim_from_v1(&mut there);
        assert_eq!(there["spec"]["devices"]["requests"][0]["count"], 3);
        claim_to_v1(&mut there);
        assert_eq!(there, claim);

        let slice = json!({"spec": {"nodeName": "n", "devices": [{"name": "d", "attributes": {"a": {"int": 1}}}, {"name": "e"}]}});
        let mut there = slice.clone();
        slice_from_v1(&mut there);
        assert_eq!(
            there["spec"]["devices"],
            json!([{"name": "d", "basic": {"attributes": {"a": {"int": 1}}}}, {"name": "e", "basic": {}}])
        );
        slice_to_v1(&mut there);
        assert_eq!(there, slice);
    }

    #[test]
    fn zero_values_of_slices_are_unset() {
        let mut slice = json!({"spec": {"nodeName": "", "allNodes": false, "devices": [{"name": "d"}]}});
        slice_to_v1(&mut slice);
        assert_eq!(slice, json!({"spec": {"devices": [{"name": "d"}]}}));
    }

    #[test]
    fn odd_documents_do_not_harm() {
        for odd in [
            json!(null),
            json!({"spec": {"devices": [1, {"basic": 2}]}}),
            json!({"spec": {"devices": {"requests": [3]}}}),
        ] {
            for convert in [claim_to_v1, claim_from_v1, template_to_v1, template_from_v1, slice_to_v1, slice_from_v1] {
                convert(&mut odd.clone());
            }
        }
    }
}
