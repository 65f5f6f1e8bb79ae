//! HorizontalPodAutoscaler between v1 and v2.
//!
//! v1 knows one metric, the use of CPU. Upstream carries what else v2 knows in annotations, each with the JSON of v1's
//! own types.

use machinery::meta;
use serde_json::{Map, Value, json};

use crate::builtin::pointer::{has, integer, list, object_mut, text};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// The metric that v1 knows, in v2.
pub(super) fn cpu_target(percent: &Value) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": percent});
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

/// v1 to v2.
pub(super) fn to_v2(autoscaler: &mut Value) {
    let mut metrics = take_annotation(autoscaler, METRICS).map(|all| each(&all, spec_to_v2)).unwrap_or_default();
    let behavior = take_annotation(autoscaler, BEHAVIOR);
    if let Some(spec) = object_mut(autoscaler, "/spec") {
        if let Some(percent) = spec.remove("targetCPUUtilizationPercentage").filter(|percent| !percent.is_null()) {
            metrics.insert(0, cpu_target(&percent));
        }
        if !metrics.is_empty() {
            spec.insert("metrics".to_owned(), metrics.into());
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    let mut current =
        take_annotation(autoscaler, CURRENT_METRICS).map(|all| each(&all, status_to_v2)).unwrap_or_default();
    let conditions = take_annotation(autoscaler, CONDITIONS);
    let Some(status) = object_mut(autoscaler, "/status") else { return };
    if let Some(percent) = status.remove("currentCPUUtilizationPercentage").filter(|percent| !percent.is_null()) {
        let now = json!({"averageUtilization": percent});
        current.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "current": now}}));
    }
    if !current.is_empty() {
        status.insert("currentMetrics".to_owned(), current.into());
    }
    if let Some(conditions) = conditions {
        status.insert("conditions".to_owned(), conditions);
    }
}

/// v2 to v1.
pub(super) fn to_v1(autoscaler: &mut Value) {
    let (cpu, others): (Vec<_>, Vec<_>) = list(autoscaler, "/spec/metrics").iter().cloned().partition(is_cpu_target);
    let (cpu_now, others_now): (Vec<_>, Vec<_>) =
        list(autoscaler, "/status/currentMetrics").iter().cloned().partition(is_cpu_now);
    let mut behavior = None;
    if let Some(spec) = object_mut(autoscaler, "/spec") {
        spec.remove("metrics");
        behavior = spec.remove("behavior");
        if let Some(percent) = cpu.first().map(|metric| integer(metric, "/resource/target/averageUtilization")) {
            spec.insert("targetCPUUtilizationPercentage".to_owned(), percent.into());
        }
    }
    let mut conditions = None;
    if let Some(status) = object_mut(autoscaler, "/status") {
        status.remove("currentMetrics");
        conditions = status.remove("conditions");
        if let Some(percent) = cpu_now.first().map(|metric| integer(metric, "/resource/current/averageUtilization")) {
            status.insert("currentCPUUtilizationPercentage".to_owned(), percent.into());
        }
    }
    annotate(autoscaler, METRICS, others.iter().map(spec_to_v1).collect::<Vec<_>>().into());
    annotate(autoscaler, CURRENT_METRICS, others_now.iter().map(status_to_v1).collect::<Vec<_>>().into());
    annotate(autoscaler, CONDITIONS, conditions.unwrap_or_default());
    annotate(autoscaler, BEHAVIOR, behavior.unwrap_or_default());
}

fn is_cpu_target(metric: &Value) -> bool {
    text(metric, "/type") == "Resource"
        && text(metric, "/resource/name") == "cpu"
        && has(metric, "/resource/target/averageUtilization")
}

fn is_cpu_now(metric: &Value) -> bool {
    text(metric, "/type") == "Resource"
        && text(metric, "/resource/name") == "cpu"
        && has(metric, "/resource/current/averageUtilization")
}

fn each(metrics: &Value, convert: fn(&Value) -> Value) -> Vec<Value> {
    metrics.as_array().map(|all| all.iter().map(convert).collect()).unwrap_or_default()
}

fn take_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let value = serde_json::from_str(meta::annotation(object, key)?).ok()?;
    let annotations = object_mut(object, "/metadata/annotations")?;
    annotations.remove(key);
    if annotations.is_empty() {
        meta::remove(object, "annotations");
    }
    Some(value)
}

fn annotate(object: &mut Value, key: &str, value: Value) {
    let empty = match &value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if empty {
        return;
    }
    let Some(metadata) = meta::metadata_mut(object) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(key.to_owned(), value.to_string().into());
    }
}

/// Which member of a metric its type is about.
fn source(metric: &Value) -> &'static str {
    match text(metric, "/type") {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => "external",
    }
}

/// Which pairs of members hold the same in v1 (flat, in the source) and in v2 (in `target` or `current`).
fn flat_members(source: &str, prefix: &str) -> &'static [(&'static str, &'static str)] {
    match (source, prefix) {
        ("resource" | "containerResource", "target") => {
            &[("targetAverageUtilization", "averageUtilization"), ("targetAverageValue", "averageValue")]
        }
        ("resource" | "containerResource", _) => {
            &[("currentAverageUtilization", "averageUtilization"), ("currentAverageValue", "averageValue")]
        }
        ("pods", "target") => &[("targetAverageValue", "averageValue")],
        ("pods", _) => &[("currentAverageValue", "averageValue")],
        ("object", "target") => &[("targetValue", "value"), ("averageValue", "averageValue")],
        ("object", _) => &[("currentValue", "value"), ("averageValue", "averageValue")],
        (_, "target") => &[("targetValue", "value"), ("targetAverageValue", "averageValue")],
        _ => &[("currentValue", "value"), ("currentAverageValue", "averageValue")],
    }
}

/// Where v1 and v2 name the metric and its object.
fn names(source: &str) -> &'static [(&'static str, &'static str)] {
    match source {
        "object" => {
            &[("/metricName", "/metric/name"), ("/selector", "/metric/selector"), ("/target", "/describedObject")]
        }
        "pods" => &[("/metricName", "/metric/name"), ("/selector", "/metric/selector")],
        "external" => &[("/metricName", "/metric/name"), ("/metricSelector", "/metric/selector")],
        "resource" => &[("/name", "/name")],
        _ => &[("/name", "/name"), ("/container", "/container")],
    }
}

fn spec_to_v2(metric: &Value) -> Value {
    convert_to_v2(metric, "target")
}

fn status_to_v2(metric: &Value) -> Value {
    convert_to_v2(metric, "current")
}

fn spec_to_v1(metric: &Value) -> Value {
    convert_to_v1(metric, "target")
}

fn status_to_v1(metric: &Value) -> Value {
    convert_to_v1(metric, "current")
}

fn convert_to_v2(metric: &Value, prefix: &str) -> Value {
    let source = source(metric);
    let old = metric.get(source).cloned().unwrap_or_default();
    let mut new = json!({});
    for (from, to) in names(source) {
        move_value(&old, from, &mut new, to);
    }
    for (from, to) in flat_members(source, prefix) {
        move_value(&old, &format!("/{from}"), &mut new, &format!("/{prefix}/{to}"));
    }
    if prefix == "target" {
        let kind =
            ["averageUtilization", "averageValue"].into_iter().find(|member| has(&new, &format!("/target/{member}")));
        let kind = match kind {
            Some("averageUtilization") => "Utilization",
            Some(_) => "AverageValue",
            None => "Value",
        };
        move_value(&json!({"type": kind}), "/type", &mut new, "/target/type");
    }
    json!({"type": text(metric, "/type"), source: new})
}

fn convert_to_v1(metric: &Value, prefix: &str) -> Value {
    let source = source(metric);
    let old = metric.get(source).cloned().unwrap_or_default();
    let mut new = json!({});
    for (to, from) in names(source) {
        move_value(&old, from, &mut new, to);
    }
    for (to, from) in flat_members(source, prefix) {
        move_value(&old, &format!("/{prefix}/{from}"), &mut new, &format!("/{to}"));
    }
    json!({"type": text(metric, "/type"), source: new})
}

/// Copies the value at a pointer to a pointer of at most two steps, making the object between.
fn move_value(from: &Value, at: &str, to: &mut Value, pointer: &str) {
    let Some(value) = from.pointer(at).filter(|value| !value.is_null()) else { return };
    let mut steps = pointer.split('/').skip(1).collect::<Vec<_>>();
    let Some(last) = steps.pop() else { return };
    let mut place = to.as_object_mut();
    for step in steps {
        place = place.and_then(|object| object.entry(step).or_insert_with(|| json!({})).as_object_mut());
    }
    if let Some(place) = place {
        place.insert(last.to_owned(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_knows_needs_no_annotation() {
        let v1 = json!({"spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}});
        let mut object = v1.clone();
        to_v2(&mut object);
        assert_eq!(object, json!({"spec": {"maxReplicas": 3, "metrics": [cpu_target(&json!(70))]}}));
        to_v1(&mut object);
        assert_eq!(object, v1);
    }

    #[test]
    fn what_v1_does_not_know_survives() {
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
        let object = json!({
            "type": "Object",
            "object": {
                "describedObject": {"kind": "Service", "name": "s", "apiVersion": "v1"},
                "metric": {"name": "m"}, "target": {"type": "Value", "value": "3"},
            },
        });
        let v2 = json!({
            "metadata": {"name": "a"},
            "spec": {
                "maxReplicas": 3, "metrics": [cpu_target(&json!(70)), memory, object],
                "behavior": {"scaleDown": {"selectPolicy": "Max"}},
            },
            "status": {"desiredReplicas": 1, "conditions": [{"type": "AbleToScale", "status": "True"}]},
        });
        let mut there = v2.clone();
        to_v1(&mut there);
        assert_eq!(there["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}));
        assert!(meta::annotation(&there, METRICS).is_some_and(|text| text.contains("\"targetAverageValue\":\"1Gi\"")));
        to_v2(&mut there);
        assert_eq!(there, v2);
    }
}
