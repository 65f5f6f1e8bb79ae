//! What is wrong with nodes.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path, quote},
    label,
};
use serde_json::Value;

use crate::builtin::addresses::cidr_errors;
use crate::builtin::formats::{invalid, one_of, quantity, quantity_not_negative};
use crate::builtin::pod::TAINT_EFFECTS;
use crate::builtin::pointer::{has, list, members, object_mut, text, texts};
use crate::format::{Errors, is_extended_resource_name};

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
    if text(object, "/spec/externalID") != text(old, "/spec/externalID") {
        errors.push(Error::forbidden(&spec.child("externalID"), "may not be updated"));
    }
    errors
}

/// Amounts of a node that are counted, besides those of extended resources.
const COUNTED: [&str; 9] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Node: members that mean nothing any more.
pub(in crate::builtin::core) fn node_warnings(object: &Value) -> Vec<String> {
    let dynamic = has(object, "/spec/configSource").then_some("spec.configSource: the feature is removed");
    let external = (!text(object, "/spec/externalID").is_empty())
        .then_some("spec.externalID: this field is deprecated, and is unused by Kubernetes");
    dynamic.into_iter().chain(external).map(str::to_owned).collect()
}

/// Node: what its status says it has, and its addresses, each once.
pub(in crate::builtin::core) fn node_status(object: &Value) -> Errors {
    let mut errors = Vec::new();
    resources(&mut errors, object);
    features(&mut errors, object);
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
    resources(&mut errors, object);
    features(&mut errors, object);
    errors
}

/// What a node has: no less than nothing, and of what is counted, whole pieces.
fn resources(errors: &mut Errors, node: &Value) {
    for member in ["capacity", "allocatable"] {
        for (resource, value) in members(node, &format!("/status/{member}")) {
            let path = Path::new("status").child(member).child(resource);
            quantity_not_negative(errors, &path, value);
            let is_counted = COUNTED.contains(&resource) || is_extended_resource_name(resource);
            if let Some((shown, amount)) = quantity(value).filter(|_| is_counted)
                && !amount.is_integer()
            {
                errors.push(Error::invalid(&path, &shown, "must be an integer"));
            }
        }
    }
}

/// Features of a node that its kubelet tells: sorted names, each once.
fn features(errors: &mut Errors, node: &Value) {
    let path = Path::new("status").child("declaredFeatures");
    let all: Vec<&str> = texts(node, "/status/declaredFeatures").collect();
    for (index, feature) in all.iter().enumerate() {
        if !is_feature(feature) {
            let detail = format!(
                "invalid feature name {}: must start with an UpperCamelCase segment, with subsequent segments separated by \
                 '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes",
                quote(feature)
            );
            errors.push(Error::invalid(&path.index(index), &(*feature).into(), &detail));
        }
        match all.get(index + 1) {
            Some(next) if next == feature => errors.push(Error::duplicate(&path.index(index + 1), &(*next).into())),
            Some(next) if next < feature => {
                let detail = "list must be sorted alphabetically";
                errors.push(Error::invalid(&path.index(index + 1), &(*next).into(), detail));
            }
            _ => {}
        }
    }
}

fn is_feature(name: &str) -> bool {
    let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.split('/').all(is_segment)
}

/// Settings of kubelets that the API had once: nothing reads them, and they are not taken any more.
pub(in crate::builtin::core) fn drop_dynamic_settings(node: &mut Value, old: Option<&Value>) {
    for (parent, member) in [("/spec", "configSource"), ("/status", "config")] {
        let had = old.is_some_and(|old| has(old, &format!("{parent}/{member}")));
        if let Some(parent) = object_mut(node, parent).filter(|_| !had) {
            parent.remove(member);
        }
    }
}
