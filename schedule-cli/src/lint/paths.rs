//! Where the expressions and requests of each generation stand.

use machinery::meta;
use serde_json::Value;

use super::world::Generation;

/// Where a class has its selectors.
pub(super) fn class_path(generation: Generation, class: &Value, index: usize) -> String {
    match generation {
        Generation::Kubernetes => format!("spec.selectors[{index}].cel.expression"),
        Generation::Evolution => format!("requirements[{index}].deviceSelector"),
        Generation::K8srm if class.pointer("/spec/definition").is_some() => "spec.definition.constraints".to_owned(),
        Generation::K8srm => "spec.constraints".to_owned(),
    }
}

/// Where a claim has a request, as it is written.
pub(super) fn request_path(
    generation: Generation,
    claim: &Value,
    prefix: &str,
    index: usize,
    alternative: Option<usize>,
) -> String {
    match (generation, alternative) {
        (Generation::Kubernetes, Some(alternative)) => {
            format!("{prefix}spec.devices.requests[{index}].firstAvailable[{alternative}]")
        }
        (Generation::Kubernetes, None) if meta::api_version(claim).ends_with("/v1beta1") => {
            format!("{prefix}spec.devices.requests[{index}]")
        }
        (Generation::Kubernetes, None) => format!("{prefix}spec.devices.requests[{index}].exactly"),
        (Generation::Evolution, _) => format!("{prefix}spec.requests[{index}]"),
        (Generation::K8srm, _) => format!("{prefix}spec.devices"),
    }
}

/// Every CEL expression of `cel: {expression}` in an object, with its path.
pub(super) fn expressions(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                let inner = format!("{path}{dot}{name}");
                match member.get("expression").and_then(Value::as_str) {
                    Some(expression) if name == "cel" => visit(&format!("{inner}.expression"), expression),
                    _ => expressions(member, &inner, visit),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                expressions(item, &format!("{path}[{index}]"), visit);
            }
        }
        _ => {}
    }
}
