//! `autoscaling`: HorizontalPodAutoscaler, stored as v2.

mod conversion;
mod validation;

use k8s_openapi::api::autoscaling::{v1, v2};
use serde_json::{Value, json};

use super::cells::{NONE, plain};
use super::column::{age, name, text};
use super::pointer::{self, default_to, has, list, object_mut};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::{Cell, Column};

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            .short(&["hpa"])
            .category("all")
            .version("v2", schema_of::<v2::HorizontalPodAutoscaler>, columns())
            .converted_version(
                "v1",
                schema_of::<v1::HorizontalPodAutoscaler>,
                columns_of_v1(),
                Some(conversion::to_v2),
                Some(conversion::to_v1),
            )
            .status()
            .rules(Rules {
                initial_status: |_| json!({"desiredReplicas": 0, "currentMetrics": null}),
                default,
                validate: validation::autoscaler,
                validate_subresource: |autoscaler, _, _| validation::status(autoscaler),
                ..Rules::WITH_STATUS
            }),
    ]
}

/// How long a pace is measured, in seconds.
const PERIOD: i64 = 15;

fn default(autoscaler: &mut Value) {
    default_to(autoscaler, "/spec", "minReplicas", 1);
    if list(autoscaler, "/spec/metrics").is_empty() {
        let cpu = json!([conversion::cpu_target(&json!(80))]);
        object_mut(autoscaler, "/spec").map(|spec| spec.insert("metrics".to_owned(), cpu));
    }
    if !has(autoscaler, "/spec/behavior") {
        return;
    }
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": PERIOD});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": PERIOD});
    for (direction, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        default_to(autoscaler, "/spec/behavior", direction, json!({}));
        let rules = format!("/spec/behavior/{direction}");
        if direction == "scaleUp" {
            default_to(autoscaler, &rules, "stabilizationWindowSeconds", 0);
        }
        default_to(autoscaler, &rules, "selectPolicy", "Max");
        default_to(autoscaler, &rules, "policies", policies);
    }
}

/// The columns of v1, which are those of the same object in v2.
fn columns_of_v1() -> Vec<Column> {
    let mut columns = columns();
    for column in &mut columns {
        if column.name == "Targets" {
            column.cell = Cell::Computed(|object, _| {
                let mut object = object.clone();
                conversion::to_v2(&mut object);
                targets(&object).into()
            });
        }
    }
    columns
}

fn columns() -> Vec<Column> {
    vec![
        name(),
        text("Reference", "What is scaled.", |object, _| {
            let part = |member: &str| pointer::text(object, &format!("/spec/scaleTargetRef/{member}"));
            format!("{}/{}", part("kind"), part("name")).into()
        }),
        text("Targets", "Metrics, and what they should be.", |object, _| targets(object).into()),
        text("MinPods", "Fewest pods.", |object, _| plain(object, "/spec/minReplicas", "<unset>").into()),
        text("MaxPods", "Most pods.", |object, _| pointer::integer(object, "/spec/maxReplicas").into()),
        text("Replicas", "How many pods there are.", |object, _| {
            pointer::integer(object, "/status/currentReplicas").into()
        }),
        age(),
    ]
}

const UNKNOWN: &str = "<unknown>";

fn targets(autoscaler: &Value) -> String {
    const LISTED: usize = 2;
    let metrics = list(autoscaler, "/spec/metrics");
    let current = list(autoscaler, "/status/currentMetrics");
    let shown: Vec<_> = metrics.iter().enumerate().map(|(index, metric)| target(metric, current.get(index))).collect();
    match shown.len() {
        0 => NONE.to_owned(),
        count if count > LISTED => format!("{} + {} more...", shown[..LISTED].join(", "), count - LISTED),
        _ => shown.join(", "),
    }
}

/// One metric as `current/target`.
fn target(metric: &Value, status: Option<&Value>) -> String {
    let (member, named) = match pointer::text(metric, "/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let wanted = |value: &str| plain(metric, &format!("/{member}/target/{value}"), "");
    let now = |value: &str| match status {
        Some(status) => plain(status, &format!("/{member}/current/{value}"), UNKNOWN),
        None => UNKNOWN.to_owned(),
    };
    let by_average = has(metric, &format!("/{member}/target/averageValue"));
    if named {
        let name = pointer::text(metric, &format!("/{member}/name"));
        if by_average {
            return format!("{name}: {}/{}", now("averageValue"), wanted("averageValue"));
        }
        let percent = |value: String| if value == UNKNOWN { value } else { format!("{value}%") };
        let wanted = match wanted("averageUtilization") {
            unset if unset.is_empty() => "<auto>".to_owned(),
            utilization => percent(utilization),
        };
        return format!("{name}: {}/{wanted}", percent(now("averageUtilization")));
    }
    match (member, by_average) {
        ("pods", _) => format!("{}/{}", now("averageValue"), wanted("averageValue")),
        (_, true) => format!("{}/{} (avg)", now("averageValue"), wanted("averageValue")),
        _ => format!("{}/{}", now("value"), wanted("value")),
    }
}
