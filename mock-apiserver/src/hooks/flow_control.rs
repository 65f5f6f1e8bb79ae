//! Priority and fairness as every kube-apiserver sets it up: the mandatory and the suggested objects, as the Kubernetes
//! documentation lists them ("API Priority and Fairness", Defaults). They say how kube-apiserver would share its time; this
//! server has limits of its own.

use futures::future::BoxFuture;
use machinery::{meta, status::Reason, time};
use serde_json::{Value, json};

use super::is;
use crate::{
    catalog::Endpoint,
    registry::{Change, Context, Reaction, Registry, Source, Target},
    storage::{ChangeKind, Stored},
};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// What happens to requests that have to wait.
enum Wait {
    /// They do not wait.
    Exempt,
    /// They are refused.
    Reject,
    /// They stand in that many queues, each flow in a hand of them.
    Queue(u32, u32),
}

/// Name, share of the server, percentage of it that may be lent, and what happens when it is used up.
const LEVELS: [(&str, u32, u32, Wait); 8] = [
    ("catch-all", 5, 0, Wait::Reject),
    ("exempt", 0, 0, Wait::Exempt),
    ("global-default", 20, 50, Wait::Queue(128, 6)),
    ("leader-election", 10, 0, Wait::Queue(16, 4)),
    ("node-high", 40, 25, Wait::Queue(64, 6)),
    ("system", 30, 33, Wait::Queue(64, 6)),
    ("workload-high", 40, 50, Wait::Queue(128, 6)),
    ("workload-low", 100, 90, Wait::Queue(128, 6)),
];

/// How long a queue may be.
const QUEUE_LENGTH: u32 = 50;

/// What requests a flow schema is about.
#[derive(Clone, Copy)]
enum About {
    Everything,
    /// Non-resource paths that are read.
    Probes,
    /// `verbs group resources`, each a list with commas; on objects of namespaces alone unless the resources are nodes.
    Resources(&'static [(&'static str, &'static str, &'static str)]),
}

/// Name, priority level, precedence, what tells its flows apart, subjects, requests.
type Schema = (&'static str, &'static str, u32, &'static str, &'static [&'static str], About);

const EVERYBODY: &[&str] = &["Group system:unauthenticated", "Group system:authenticated"];

const SCHEMAS: [Schema; 11] = [
    ("catch-all", "catch-all", 10_000, "ByUser", EVERYBODY, About::Everything),
    ("exempt", "exempt", 1, "", &["Group system:masters"], About::Everything),
    ("global-default", "global-default", 9900, "ByUser", EVERYBODY, About::Everything),
    (
        "kube-controller-manager",
        "workload-high",
        800,
        "ByNamespace",
        &["User system:kube-controller-manager"],
        About::Everything,
    ),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", &["User system:kube-scheduler"], About::Everything),
    (
        "kube-system-service-accounts",
        "workload-high",
        900,
        "ByNamespace",
        &["ServiceAccount kube-system"],
        About::Everything,
    ),
    ("probes", "exempt", 2, "", EVERYBODY, About::Probes),
    ("service-accounts", "workload-low", 9000, "ByUser", &["Group system:serviceaccounts"], About::Everything),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &["User system:kube-controller-manager", "User system:kube-scheduler", "ServiceAccount kube-system"],
        About::Resources(&[("get,create,update", "coordination.k8s.io", "leases")]),
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        &["Group system:nodes"],
        About::Resources(&[("*", "", "nodes,nodes/status"), ("*", "coordination.k8s.io", "leases")]),
    ),
    ("system-nodes", "system", 500, "ByUser", &["Group system:nodes"], About::Everything),
];

/// Keeps what flow schemas say of the priority level that they name: whether it is there.
pub(crate) struct FlowSchemaUpkeep;

impl Reaction for FlowSchemaUpkeep {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let of_schemas = is(change.endpoint, GROUP, "flowschemas");
        let of_levels = is(change.endpoint, GROUP, "prioritylevelconfigurations");
        let concerned = match change.kind {
            ChangeKind::Created => of_schemas || of_levels,
            ChangeKind::Updated => of_schemas,
            ChangeKind::Deleted => of_levels,
        };
        if !concerned {
            return None;
        }
        let schemas = registry.catalog.endpoint(GROUP, "v1", "flowschemas")?;
        let object = change.object.value();
        let all = schemas.resource.space().snapshot();
        let doubtful = all.range("", None).filter(|schema| {
            let is_meant = if of_schemas {
                &**schema.key() == meta::name(object)
            } else {
                level_of(schema.value()) == meta::name(object)
            };
            is_meant && !says(registry, schema.value())
        });
        let doubtful: Vec<String> = doubtful.map(|schema| schema.key().to_string()).collect();
        if doubtful.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            for name in doubtful {
                report(registry, &schemas, &name).await;
            }
        }))
    }
}

fn level_of(schema: &Value) -> &str {
    schema.pointer("/spec/priorityLevelConfiguration/name").and_then(Value::as_str).unwrap_or_default()
}

fn has_level(registry: &Registry, name: &str) -> bool {
    let levels = registry.catalog.endpoint(GROUP, "v1", "prioritylevelconfigurations");
    levels.is_some_and(|levels| levels.resource.space().get(name).is_some())
}

/// Whether a schema says already what is the case.
fn says(registry: &Registry, schema: &Value) -> bool {
    let level = level_of(schema);
    let wanted = dangling(level, has_level(registry, level), "");
    let conditions = schema.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|found| found["type"] == "Dangling")
        .is_some_and(|found| ["status", "reason", "message"].iter().all(|member| found[member] == wanted[member]))
}

async fn report(registry: &Registry, schemas: &Endpoint, name: &str) {
    let now = time::format_seconds(registry.clock.now());
    let transform = |current: &Stored| {
        let mut schema = current.value().clone();
        let level = level_of(&schema).to_owned();
        schema["status"] = json!({"conditions": [dangling(&level, has_level(registry, &level), &now)]});
        Ok(schema)
    };
    let target = Target { endpoint: schemas, namespace: "", name, subresource: "status" };
    let context = Context::server("api-priority-and-fairness-config-consumer-v1");
    if let Err(status) = registry.update(target, Source::Patch, &transform, &context).await
        && status.reason() != Reason::NotFound
    {
        tracing::debug!(name, error = %status, "the status of a flow schema was not written");
    }
}

/// The condition that says whether the priority level of a schema is missing.
fn dangling(level: &str, is_there: bool, now: &str) -> Value {
    let (status, reason, end) = if is_there {
        ("False", "Found", "and it exists")
    } else {
        ("True", "NotFound", "but there is no such object")
    };
    json!({
        "type": "Dangling", "status": status, "lastTransitionTime": now, "reason": reason,
        "message": format!(
            "This FlowSchema references the PriorityLevelConfiguration object named {} {end}",
            machinery::field::quote(level)
        ),
    })
}

/// Makes what is missing.
pub(crate) async fn create_flow_control(registry: &Registry) {
    let endpoint = |plural: &str| registry.catalog.endpoint(GROUP, "v1", plural);
    let (Some(levels), Some(schemas)) = (endpoint("prioritylevelconfigurations"), endpoint("flowschemas")) else {
        return;
    };
    for (name, shares, lendable, wait) in &LEVELS {
        install(registry, &levels, name, level(*shares, *lendable, wait)).await;
    }
    let now = time::format_seconds(registry.clock.now());
    for schema in &SCHEMAS {
        install(registry, &schemas, schema.0, flow_schema(schema, &now)).await;
    }
}

async fn install(registry: &Registry, endpoint: &Endpoint, name: &str, mut object: Value) {
    object["apiVersion"] = endpoint.api_version().into();
    object["kind"] = endpoint.kind().kind.into();
    object["metadata"] = json!({"annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}});
    meta::set(&mut object, "name", name);
    registry.install(endpoint, object).await;
}

fn level(shares: u32, lendable: u32, wait: &Wait) -> Value {
    let response = match wait {
        Wait::Exempt => {
            let exempt = json!({"nominalConcurrencyShares": shares, "lendablePercent": lendable});
            return json!({"spec": {"type": "Exempt", "exempt": exempt}, "status": {}});
        }
        Wait::Reject => json!({"type": "Reject"}),
        Wait::Queue(queues, hand) => json!({
            "type": "Queue",
            "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": QUEUE_LENGTH},
        }),
    };
    let limited = json!({"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable});
    json!({"spec": {"type": "Limited", "limited": limited}, "status": {}})
}

fn flow_schema((_, level, precedence, distinguisher, subjects, about): &Schema, now: &str) -> Value {
    let mut rules = match about {
        About::Everything => json!({
            "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
            }],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }),
        About::Probes => json!({
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
        }),
        About::Resources(rows) => json!({"resourceRules": rows.iter().map(resource_rule).collect::<Vec<_>>()}),
    };
    rules["subjects"] = subjects.iter().map(|text| subject(text)).collect();
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": [rules],
    });
    if !distinguisher.is_empty() {
        spec["distinguisherMethod"] = json!({"type": distinguisher});
    }
    json!({
        "spec": spec,
        "status": {"conditions": [dangling(level, true, now)]},
    })
}

fn resource_rule((verbs, group, resources): &(&str, &str, &str)) -> Value {
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut rule = json!({
        "verbs": list(verbs), "apiGroups": [group], "resources": list(resources), "namespaces": ["*"],
    });
    if resources.starts_with("nodes") {
        rule["clusterScope"] = true.into();
    }
    rule
}

/// `Group system:nodes` as a subject; a service account is any one of its namespace.
fn subject(text: &str) -> Value {
    match text.split_once(' ') {
        Some(("Group", name)) => json!({"kind": "Group", "group": {"name": name}}),
        Some(("ServiceAccount", namespace)) => {
            json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": "*"}})
        }
        Some((_, name)) => json!({"kind": "User", "user": {"name": name}}),
        None => Value::Null,
    }
}
