//! What is wrong with nodes.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    label,
};
use serde_json::Value;

use crate::builtin::formats::{cidr_errors, invalid, one_of, quantity_not_negative};
use crate::builtin::pod::TAINT_EFFECTS;
use crate::builtin::pointer::{has, list, members, text, texts};
use crate::format::Errors;

/// Node: what its provider said of it stays.
pub(in crate::builtin::core) fn node_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let ranges = |node: &Value| texts(node, "/spec/podCIDRs").map(str::to_owned).collect::<Vec<_>>();
    if !ranges(old).is_empty() && ranges(object) != ranges(old) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(Error::forbidden(&spec.child("podCIDRs"), detail));
    }
    let provider = |node: &'_ Value| text(node, "/spec/providerID").to_owned();
    if !provider(old).is_empty() && provider(object) != provider(old) {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden(&spec.child("providerID"), detail));
    }
    errors
}

/// Node: members that mean nothing any more.
pub(in crate::builtin::core) fn node_warnings(object: &Value) -> Vec<String> {
    let dynamic = has(object, "/spec/configSource").then_some("spec.configSource: the feature is removed");
    let external = (!text(object, "/spec/externalID").is_empty())
        .then_some("spec.externalID: this field is deprecated, and is unused by Kubernetes");
    dynamic.into_iter().chain(external).map(str::to_owned).collect()
}

/// Node: the addresses of its status, each once.
pub(in crate::builtin::core) fn node_status(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, address) in list(object, "/status/addresses").iter().enumerate() {
        let (type_, text) = (text(address, "/type"), text(address, "/address"));
        if !seen.insert((type_, text)) {
            let path = Path::new("status").child("addresses").index(index);
            let shown = format!("{{\"Type\":{},\"Address\":{}}}", Value::from(type_), Value::from(text));
            errors.push(Error::duplicate_shown(&path, &shown, ""));
        }
    }
    errors
}

/// Node: taints and addresses.
pub(in crate::builtin::core) fn node(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let mut seen = BTreeSet::new();
    for (index, taint) in list(object, "/spec/taints").iter().enumerate() {
        // Upstream has looked for them in annotations once, and kept the path.
        let path = Path::new("metadata").child("taints").index(index);
        let (key, effect) = (text(taint, "/key"), text(taint, "/effect"));
        invalid(&mut errors, &path.child("key"), &key.into(), label::key_errors(key));
        let value = text(taint, "/value");
        let found = label::value_errors(value);
        if !found.is_empty() {
            errors.push(Error::invalid(&path.child("value"), &value.into(), &found.join(";")));
        }
        one_of(&mut errors, &path.child("effect"), effect, &TAINT_EFFECTS);
        if !seen.insert((key, effect)) {
            let added = taint.get("timeAdded").unwrap_or(&Value::Null);
            let [shown_key, shown_effect] = [key, effect].map(Value::from);
            let shown = format!(
                "{{\"Key\":{shown_key},\"Value\":{},\"Effect\":{shown_effect},\"TimeAdded\":{added}}}",
                Value::from(value)
            );
            errors.push(Error::duplicate_shown(&path, &shown, "taints must be unique by key and effect pair"));
        }
    }
    for (index, cidr) in texts(object, "/spec/podCIDRs").enumerate() {
        invalid(&mut errors, &spec.child("podCIDRs").index(index), &cidr.into(), cidr_errors(cidr));
    }
    let families: Vec<bool> = texts(object, "/spec/podCIDRs").map(|cidr| cidr.contains(':')).collect();
    if families.len() > 2 || families[..] == [true, true] || families[..] == [false, false] {
        let all: Value = list(object, "/spec/podCIDRs").to_vec().into();
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(&spec.child("podCIDRs"), &all, detail));
    }
    for member in ["capacity", "allocatable"] {
        for (resource, value) in members(object, &format!("/status/{member}")) {
            let path = Path::new("status").child(member).key(resource);
            quantity_not_negative(&mut errors, &path, value);
        }
    }
    errors
}
