//! What a LimitRange makes of pods and volume claims. The words are those of upstream's `LimitRanger`.

use machinery::quantity::Quantity;
use serde_json::{Map, Value, json};

use super::pod::{Amounts, amounts, pod_amounts};
use super::pointer::{list, text};

/// Says on a pod what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives the containers of a pod the requests and limits that they do not state.
pub fn fill_in_limits(pod: &mut Value, range: &Value) {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for item in list(range, "/spec/limits").iter().filter(|item| text(item, "/type") == "Container") {
        for (member, into) in [("defaultRequest", &mut requests), ("default", &mut limits)] {
            into.extend(item.get(member).and_then(Value::as_object).cloned().unwrap_or_default());
        }
    }
    let mut notes = Vec::new();
    for (pointer, what) in [("/spec/containers", "container"), ("/spec/initContainers", "init container")] {
        for container in pod.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten() {
            let name = text(container, "/name").to_owned();
            for (member, defaults, word) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let set = fill_in(container, member, defaults);
                if !set.is_empty() {
                    notes.push(format!("{} {word} for {what} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        let Some(metadata) = machinery::meta::metadata_mut(pod) else { return };
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ANNOTATION.to_owned(), note.into());
        }
    }
}

/// Sets what is not there; returns its names.
fn fill_in(container: &mut Value, member: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let Some(container) = container.as_object_mut() else { return Vec::new() };
    let resources = container.entry("resources").or_insert_with(|| json!({}));
    let Some(resources) = resources.as_object_mut().filter(|_| !defaults.is_empty()) else { return Vec::new() };
    let amounts = resources.entry(member).or_insert_with(|| json!({}));
    let Some(amounts) = amounts.as_object_mut() else { return Vec::new() };
    let missing: Vec<_> = defaults.iter().filter(|(name, _)| !amounts.contains_key(*name)).collect();
    let mut names = Vec::new();
    for (name, amount) in missing {
        amounts.insert(name.clone(), amount.clone());
        names.push(name.clone());
    }
    names.sort();
    names
}

/// Where a pod is outside of a range.
pub fn pod_outside_limits(pod: &Value, range: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    for item in list(range, "/spec/limits") {
        match text(item, "/type") {
            "Container" => {
                let containers = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
                for container in containers {
                    let (requests, limits) =
                        (amounts(container, "/resources/requests"), amounts(container, "/resources/limits"));
                    check(item, "Container", &requests, &limits, &mut errors);
                }
            }
            "Pod" => {
                let (requests, limits) = (pod_amounts(pod, "requests", false), pod_amounts(pod, "limits", false));
                check(item, "Pod", &requests, &limits, &mut errors);
            }
            _ => {}
        }
    }
    errors
}

/// Where a volume claim is outside of a range.
pub fn claim_outside_limits(claim: &Value, range: &Value) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let mut errors = Vec::new();
    let requests = amounts(claim, "/spec/resources/requests");
    for item in list(range, "/spec/limits").iter().filter(|item| text(item, "/type") == KIND) {
        for (name, bound) in amounts(item, "/min") {
            errors.extend(below(KIND, &name, &bound, &requests, &Amounts::new()));
        }
        for (name, bound) in amounts(item, "/max") {
            let over = match requests.get(&name) {
                None => Some("No request is specified".to_owned()),
                Some(request) => (*request > bound).then(|| format!("but request is {request}")),
            };
            errors.extend(over.map(|why| said("maximum", &name, KIND, &bound, &why)));
        }
    }
    errors
}

fn check(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    for (name, bound) in amounts(item, "/min") {
        errors.extend(below(kind, &name, &bound, requests, limits));
    }
    for (name, bound) in amounts(item, "/max") {
        let over = match (limits.get(&name), requests.get(&name)) {
            (None, _) => Some("No limit is specified".to_owned()),
            (Some(limit), _) if *limit > bound => Some(format!("but limit is {limit}")),
            (_, Some(request)) if *request > bound => Some(format!("but request is {request}")),
            _ => None,
        };
        errors.extend(over.map(|why| said("maximum", &name, kind, &bound, &why)));
    }
    for (name, bound) in amounts(item, "/maxLimitRequestRatio") {
        let positive = |amounts: &Amounts| amounts.get(&name).cloned().filter(|amount| !amount.is_zero());
        let why = match (positive(requests), positive(limits)) {
            (None, _) => Some("but no request is specified or request is 0".to_owned()),
            (_, None) => Some("but no limit is specified or limit is 0".to_owned()),
            (Some(request), Some(limit)) => {
                let ratio = limit.as_f64() / request.as_f64();
                (ratio > bound.as_f64()).then(|| format!("but provided ratio is {ratio:.6}"))
            }
        };
        errors.extend(why.map(|why| format!("{name} max limit to request ratio per {kind} is {bound}, {why}")));
    }
}

fn below(kind: &str, name: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let why = match (requests.get(name), limits.get(name)) {
        (None, _) => "No request is specified".to_owned(),
        (Some(request), _) if request < bound => format!("but request is {request}"),
        (_, Some(limit)) if limit < bound => format!("but limit is {limit}"),
        _ => return None,
    };
    Some(said("minimum", name, kind, bound, &why))
}

fn said(which: &str, name: &str, kind: &str, bound: &Quantity, why: &str) -> String {
    let separator = if why.starts_with("No ") { ".  " } else { ", " };
    format!("{which} {name} usage per {kind} is {bound}{separator}{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_get_what_they_do_not_state() {
        let range = json!({"spec": {"limits": [{
            "type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m"},
        }]}});
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "a"}, {"name": "b", "resources": {"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}},
        ]}});
        fill_in_limits(&mut pod, &range);
        assert_eq!(
            pod["spec"]["containers"][0]["resources"],
            json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "1Gi"}})
        );
        assert_eq!(pod["spec"]["containers"][1]["resources"]["limits"], json!({"cpu": "2", "memory": "1Gi"}));
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container a; cpu, memory limit for container a; memory limit for container b"
        );
    }

    #[test]
    fn bounds_are_reported_in_upstreams_words() {
        let range = json!({"spec": {"limits": [
            {"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}},
            {"type": "Pod", "max": {"memory": "1Gi"}},
        ]}});
        let pod = |requests: Value, limits: Value| json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests, "limits": limits}}]}});
        assert_eq!(
            pod_outside_limits(&pod(json!({"cpu": "50m"}), json!({"cpu": "2", "memory": "2Gi"})), &range),
            [
                "minimum cpu usage per Container is 100m, but request is 50m",
                "maximum cpu usage per Container is 1, but limit is 2",
                "cpu max limit to request ratio per Container is 2, but provided ratio is 40.000000",
                "maximum memory usage per Pod is 1Gi, but limit is 2Gi",
            ]
        );
        assert_eq!(
            pod_outside_limits(&pod(json!({}), json!({"memory": "1Gi"})), &range)[..2],
            [
                "minimum cpu usage per Container is 100m.  No request is specified",
                "maximum cpu usage per Container is 1.  No limit is specified",
            ]
        );
    }
}
