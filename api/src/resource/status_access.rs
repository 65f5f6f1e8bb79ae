//! Who may write which part of a claim's status, besides being allowed to write the status at all: allocations and
//! reservations need `resourceclaims/binding`, what drivers report needs `resourceclaims/driver`
//! (gate `DRAResourceClaimGranularStatusAuthorization`).

use std::collections::{BTreeMap, BTreeSet};

use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::Value;

use super::{GROUP, claim_status::device_key};
use crate::{
    definition::{Question, Surroundings},
    format::Errors,
    members::{at, list, same, text},
};

const GATE: &str = "DRAResourceClaimGranularStatusAuthorization";
const DEVICE_STATUS: &str = "DRAResourceClaimDeviceStatus";

/// Checks what the user changes in a claim's status.
pub(super) fn check(errors: &mut Errors, claim: &Value, old: &Value, surroundings: &dyn Surroundings) {
    if !surroundings.feature_enabled(GATE) {
        return;
    }
    let (status, old_status) = (at(claim, &["status"]), at(old, &["status"]));
    let verb = surroundings.verb();
    let ask = |verb: &str, subresource, namespace, name| {
        surroundings.authorize(&Question {
            verb,
            group: GROUP,
            resource: "resourceclaims",
            subresource,
            namespace,
            name,
        })
    };
    let path = Path::new("status");
    if ["allocation", "reservedFor"].iter().any(|part| !same(status.get(part), old_status.get(part)))
        && let Err(why) = ask(verb, "binding", "", "")
    {
        let detail = format!(
            "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"{verb}\" permission: {why}"
        );
        errors.push(Error::forbidden(&path.child("allocation"), &detail));
    }
    // What was reported on devices goes with their allocation, whoever ends it.
    if status.get("allocation").is_none_or(Value::is_null) || !surroundings.feature_enabled(DEVICE_STATUS) {
        return;
    }
    let mut verbs = vec![format!("arbitrary-node:{verb}")];
    if node_of(status).is_some_and(|node| surroundings.user_node() == Some(node)) {
        verbs.insert(0, format!("associated-node:{verb}"));
    }
    for driver in changed_drivers(status, old_status) {
        let answers = verbs.iter().map(|verb| ask(verb, "driver", meta::namespace(claim), driver));
        let answers: Vec<Result<(), String>> = answers.collect();
        if let (false, Some(Err(why))) = (answers.iter().any(Result::is_ok), answers.first()) {
            let verbs = verbs.join(" ");
            let detail = format!(
                "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{verbs}]\" permission: {why}"
            );
            errors.push(Error::forbidden(&path.child("devices"), &detail));
        }
    }
}

/// Drivers with an entry that came, went or changed.
fn changed_drivers<'a>(status: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    let entries = |status: &'a Value| -> BTreeMap<String, &'a Value> {
        list(status, "devices").iter().map(|entry| (device_key(entry).to_string(), entry)).collect()
    };
    let (now, before) = (entries(status), entries(old));
    let differs = |one: &BTreeMap<String, &'a Value>, other: &BTreeMap<String, &'a Value>| -> Vec<&'a str> {
        let changed = one.iter().filter(|(key, entry)| !same(Some(**entry), other.get(*key).copied()));
        changed.map(|(_, entry)| text(entry, "driver")).collect()
    };
    differs(&now, &before).into_iter().chain(differs(&before, &now)).collect()
}

/// The one node where the allocated devices are usable, if it is one by name.
fn node_of(status: &Value) -> Option<&str> {
    let [term] = list(at(status, &["allocation", "nodeSelector"]), "nodeSelectorTerms") else { return None };
    let ([], [field]) = (list(term, "matchExpressions"), list(term, "matchFields")) else { return None };
    match list(field, "values") {
        [node] if text(field, "key") == "metadata.name" && text(field, "operator") == "In" => node.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;
    use serde_json::json;

    fn status(node: &str, devices: Value) -> Value {
        let terms = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]);
        json!({"allocation": {"nodeSelector": {"nodeSelectorTerms": terms}}, "devices": devices})
    }

    fn refused(status: &Value, old: &Value, allowed: &[&'static str], user_node: Option<&'static str>) -> Vec<String> {
        let bench = Bench { allowed: Some(allowed.to_vec()), user_node, ..Bench::default() };
        let claim = |status: &Value| json!({"metadata": {"namespace": "ns"}, "status": status});
        let mut errors = Vec::new();
        check(&mut errors, &claim(status), &claim(old), &bench);
        errors.iter().map(|error| error.path.to_string()).collect()
    }

    #[test]
    fn allocations_are_bound_by_those_who_may() {
        let allocated = status("n", json!([]));
        assert_eq!(refused(&allocated, &json!({}), &[], None), ["status.allocation"]);
        assert_eq!(refused(&allocated, &json!({}), &["update resourceclaims/binding  "], None), Vec::<String>::new());
        assert_eq!(refused(&json!({"reservedFor": [{"uid": "u"}]}), &json!({}), &[], None), ["status.allocation"]);
        assert_eq!(refused(&allocated, &allocated, &[], None), Vec::<String>::new());
    }

    #[test]
    fn drivers_report_on_their_own_devices() {
        let entry = |driver: &str, device: &str| json!({"driver": driver, "pool": "p", "device": device});
        let old = status("n", json!([entry("a", "1"), entry("b", "1")]));
        let new = status("n", json!([entry("a", "2"), entry("b", "1")]));
        let associated = "associated-node:update resourceclaims/driver ns a";
        let arbitrary = "arbitrary-node:update resourceclaims/driver ns a";
        for (allowed, node, expected) in [
            (vec![], None, 1),
            (vec![arbitrary], None, 0),
            (vec![associated], None, 1),
            (vec![associated], Some("n"), 0),
            (vec![arbitrary], Some("n"), 0),
            (vec![associated], Some("other"), 1),
        ] {
            let found = refused(&new, &old, &allowed, node);
            assert_eq!(found, vec!["status.devices"; expected], "{allowed:?} {node:?}");
        }
        let none = status("n", json!([]));
        assert_eq!(refused(&none, &old, &[], None).len(), 2, "both drivers lose their entries");
        let binding = ["update resourceclaims/binding  "];
        assert_eq!(
            refused(&json!({}), &old, &binding, None),
            Vec::<String>::new(),
            "who ends an allocation is no driver"
        );
    }
}
