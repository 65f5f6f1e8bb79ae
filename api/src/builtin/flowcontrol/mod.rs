//! `flowcontrol.apiserver.k8s.io/v1`.

mod validation;

use k8s_openapi::api::flowcontrol::v1 as api;

use serde_json::{Value, json};

use super::cells::{NONE, or};
use super::column::{age, name, text};
use super::pointer::{self, default_to};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;
use crate::definition::Column;
use crate::definition::KeptMetadata;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind(GROUP, "FlowSchema", "flowschemas")
            .cluster()
            .version("v1", schema_of::<api::FlowSchema>, flow_schema())
            .status()
            .rules(Rules {
                status_keeps: KeptMetadata::All,
                default: |schema| {
                    if pointer::integer(schema, "/spec/matchingPrecedence") == 0 {
                        pointer::object_mut(schema, "/spec")
                            .map(|spec| spec.insert("matchingPrecedence".to_owned(), 1000.into()));
                    }
                },
                validate: validation::flow_schema,
                validate_subresource: |schema, _, _| validation::status(schema),
                ..Rules::WITH_GENERATION
            }),
        kind(GROUP, "PriorityLevelConfiguration", "prioritylevelconfigurations")
            .cluster()
            .version("v1", schema_of::<api::PriorityLevelConfiguration>, priority_level())
            .status()
            .rules(Rules {
                status_keeps: KeptMetadata::All,
                default: default_priority_level,
                validate: validation::priority_level,
                validate_subresource: |level, _, _| validation::status(level),
                ..Rules::WITH_GENERATION
            }),
    ]
}

fn flow_schema() -> Vec<Column> {
    vec![
        name(),
        text("PriorityLevel", "Priority level of matching requests.", |object, _| {
            pointer::text(object, "/spec/priorityLevelConfiguration/name").into()
        }),
        text("MatchingPrecedence", "Lower numbers are asked first.", |object, _| {
            pointer::integer(object, "/spec/matchingPrecedence").into()
        }),
        text("DistinguisherMethod", "How requests are sorted into flows.", |object, _| {
            or(pointer::text(object, "/spec/distinguisherMethod/type"), NONE).into()
        }),
        age(),
        text("MissingPL", "Whether the priority level is missing.", |object, _| {
            pointer::condition(object, "Dangling").map_or("?", |found| pointer::text(found, "/status")).into()
        }),
    ]
}

/// A number of a column that has texts, too.
fn number(object: &Value, at: &str) -> Value {
    object.pointer(at).cloned().unwrap_or_else(|| NONE.into())
}

fn priority_level() -> Vec<Column> {
    vec![
        name(),
        text("Type", "`Limited` or `Exempt`.", |object, _| pointer::text(object, "/spec/type").into()),
        text("NominalConcurrencyShares", "Share of the server's concurrency.", |object, _| {
            number(object, "/spec/limited/nominalConcurrencyShares")
        }),
        text("Queues", "How many queues there are.", |object, _| {
            number(object, "/spec/limited/limitResponse/queuing/queues")
        }),
        text("HandSize", "How many queues a flow may use.", |object, _| {
            number(object, "/spec/limited/limitResponse/queuing/handSize")
        }),
        text("QueueLengthLimit", "How long a queue may be.", |object, _| {
            number(object, "/spec/limited/limitResponse/queuing/queueLengthLimit")
        }),
        age(),
    ]
}

/// Numbers of a priority level that upstream fills in.
fn default_priority_level(level: &mut Value) {
    let zero_means = |level: &mut Value, at: &str, member: &str, value: i64| {
        if pointer::integer(level, &format!("{at}/{member}")) == 0 {
            pointer::object_mut(level, at).map(|object| object.insert(member.to_owned(), value.into()));
        }
    };
    default_to(level, "/spec/limited", "nominalConcurrencyShares", 30);
    default_to(level, "/spec/limited", "lendablePercent", 0);
    zero_means(level, "/spec/limited/limitResponse/queuing", "queues", 64);
    zero_means(level, "/spec/limited/limitResponse/queuing", "handSize", 8);
    zero_means(level, "/spec/limited/limitResponse/queuing", "queueLengthLimit", 50);
    if pointer::text(level, "/spec/type") == "Exempt" {
        default_to(level, "/spec", "exempt", json!({}));
        default_to(level, "/spec/exempt", "nominalConcurrencyShares", 0);
        default_to(level, "/spec/exempt", "lendablePercent", 0);
    }
}
