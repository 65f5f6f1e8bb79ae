//! Texts that the cells of several kinds are made of.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pointer::{list, members, text, texts};

/// Stands for "nothing here" in most columns.
pub(super) const NONE: &str = "<none>";

/// Most items that a cell lists before it only counts the rest.
const LISTED: usize = 3;

/// The text, or a stand-in for the empty one.
pub(super) fn or<'a>(text: &'a str, stand_in: &'a str) -> &'a str {
    if text.is_empty() { stand_in } else { text }
}

/// `a=b,c=d`, or `<none>`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let pairs: BTreeSet<_> =
        members(object, pointer).map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or(&pairs.into_iter().collect::<Vec<_>>().join(","), NONE).to_owned()
}

/// The LabelSelector at a pointer as a selector text: `a=b,c in (x,y),!d`. Empty for one that selects everything.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    let mut requirements: Vec<(&str, String)> = members(object, &format!("{pointer}/matchLabels"))
        .map(|(key, value)| (key, format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for expression in list(object, &format!("{pointer}/matchExpressions")) {
        let key = text(expression, "/key");
        let values = texts(expression, "/values").collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",");
        let requirement = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return "<error>".to_owned(),
        };
        requirements.push((key, requirement));
    }
    requirements.sort_by_key(|(key, _)| *key);
    requirements.into_iter().map(|(_, requirement)| requirement).collect::<Vec<_>>().join(",")
}

/// The LabelSelector at a pointer, or `<none>`.
pub(super) fn selector_or_none(object: &Value, pointer: &str) -> String {
    or(&selector(object, pointer), NONE).to_owned()
}

/// The names of the containers of the pod spec at a pointer.
pub(super) fn container_names(object: &Value, pod_spec: &str) -> Value {
    joined(object, pod_spec, "/name")
}

/// The images of the containers of the pod spec at a pointer.
pub(super) fn container_images(object: &Value, pod_spec: &str) -> Value {
    joined(object, pod_spec, "/image")
}

fn joined(object: &Value, pod_spec: &str, member: &str) -> Value {
    let containers = list(object, &format!("{pod_spec}/containers"));
    containers.iter().map(|container| text(container, member)).collect::<Vec<_>>().join(",").into()
}

/// The first three items, and how many there are besides; `<unset>` when there are none.
pub(super) fn first_three(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.len() > LISTED {
        return format!("{} + {} more...", items[..LISTED].join(","), items.len() - LISTED);
    }
    or(&items.join(","), "<unset>").to_owned()
}

/// Addresses of a load balancer's ingress points, sorted.
pub(super) fn load_balancer(object: &Value) -> String {
    let addresses: BTreeSet<_> = list(object, "/status/loadBalancer/ingress")
        .iter()
        .map(|ingress| or(text(ingress, "/ip"), text(ingress, "/hostname")))
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

/// The value at a pointer as a cell shows it: numbers as they are written, texts bare.
pub(super) fn plain(object: &Value, pointer: &str, stand_in: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => stand_in.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
