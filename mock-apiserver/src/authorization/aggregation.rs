//! Cluster roles that are made of others: their rules are those of every cluster role that their selectors choose.

use std::{collections::HashSet, sync::Arc};

use futures::future::BoxFuture;
use machinery::{selector::label, status::Status};
use serde_json::Value;

use super::{bindings::GROUP, rbac};
use crate::{
    catalog::Endpoint,
    registry::{Change, Context, Reaction, Registry, Source, Target},
    storage::Stored,
};

/// Keeps aggregated cluster roles up to date, before a client hears of its write.
pub(crate) struct ClusterRoleAggregation;

impl Reaction for ClusterRoleAggregation {
    fn observe<'a>(&'a self, registry: &'a Registry, change: &Change<'_>) -> Option<BoxFuture<'a, ()>> {
        let definition = change.endpoint.definition();
        if definition.group != GROUP || definition.plural != "clusterroles" {
            return None;
        }
        let endpoint = change.endpoint.clone();
        let snapshot = endpoint.resource.space().snapshot();
        let changed = [Some(change.object.value()), change.old];
        let concerned: Vec<String> = snapshot
            .range("", None)
            .filter(|role| {
                let selectors = selectors(role.value());
                let is_itself = role.key() == change.object.key();
                let chooses = |role: &Value| selectors.iter().any(|selector| selector.matches_object(role));
                !selectors.is_empty() && (is_itself || changed.into_iter().flatten().any(chooses))
            })
            .map(|role| role.key().to_string())
            .collect();
        if concerned.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            for name in concerned {
                if let Err(status) = aggregate(registry, &endpoint, &name).await {
                    tracing::warn!(name, error = %status, "a cluster role could not be aggregated");
                }
            }
        }))
    }
}

fn selectors(role: &Value) -> Vec<label::Selector> {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
    selectors.into_iter().flatten().filter_map(|selector| label::Selector::from_json(Some(selector)).ok()).collect()
}

/// Writes the rules that a cluster role should have now. A role that has them already is left alone, so that roles which
/// choose each other come to rest.
async fn aggregate(registry: &Registry, endpoint: &Endpoint, name: &str) -> Result<(), Status> {
    let target = Target { endpoint, namespace: "", name, subresource: "" };
    let context = Context::server("clusterrole-aggregation-controller");
    let transform = |current: &Stored| {
        let mut role = current.value().clone();
        let rules = wanted(endpoint, current);
        if rules != rbac::rules(&role) {
            role["rules"] = rules.into();
        }
        Ok(role)
    };
    match registry.update(target, Source::Patch, &transform, &context).await {
        Err(status) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

/// The rules of all roles that are chosen, each once, selector by selector and by the name of the role.
fn wanted(endpoint: &Endpoint, role: &Stored) -> Vec<Value> {
    let snapshot = endpoint.resource.space().snapshot();
    let (mut rules, mut seen): (Vec<Value>, HashSet<String>) = Default::default();
    for selector in selectors(role.value()) {
        let chosen = |other: &&Arc<Stored>| other.key() != role.key() && selector.matches_object(other.value());
        for rule in snapshot.range("", None).filter(chosen).flat_map(|other| rbac::rules(other.value())) {
            if seen.insert(rule.to_string()) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}
