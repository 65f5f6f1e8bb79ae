//! The parameters of policies.

use std::sync::Arc;

use machinery::{names::split_api_version, selector::label::Selector};
use serde_json::Value;

use super::super::request::seen;
use crate::{
    catalog::Endpoint,
    registry::{Admitted, Registry},
    storage::Stored,
};

/// Where objects of a kind of parameters are.
pub(super) fn endpoint(registry: &Registry, api_version: &str, kind: &str) -> Option<Endpoint> {
    let (group, version) = split_api_version(api_version).ok()?;
    registry.catalog.served().endpoint_of_kind(group, version, kind).cloned()
}

/// A kind as Go prints it: `apps/v1, Kind=Deployment`.
pub(super) fn shown_kind(api_version: &str, kind: &str) -> String {
    format!("{api_version}, Kind={kind}")
}

/// The parameters that a binding refers to, each of which is for an invocation of its own; `None` for an invocation without.
pub(super) fn collect(
    write: &Admitted<'_>,
    kind: Option<&Endpoint>,
    reference: Option<&Value>,
) -> Result<Vec<Option<Arc<Value>>>, String> {
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![None]) };
    let text = |member: &str| reference.get(member).and_then(Value::as_str).unwrap_or_default();
    let namespace = if kind.resource.is_namespaced() {
        match (text("namespace"), write.namespace) {
            ("", "") => {
                return Err(
                    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
                );
            }
            ("", namespace) | (namespace, _) => namespace,
        }
    } else if text("namespace").is_empty() {
        ""
    } else {
        return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
    };
    let space = kind.resource.space();
    let found: Vec<Arc<Stored>> = match text("name") {
        "" => {
            let selector = Selector::from_json(reference.get("selector")).map_err(|error| error.to_string())?;
            let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
            let snapshot = space.snapshot();
            let all = snapshot.range(&prefix, None);
            all.filter(|params| selector.matches_object(params.value())).cloned().collect()
        }
        name => space.get(&kind.resource.key(namespace, name)).into_iter().collect(),
    };
    if found.is_empty() && text("parameterNotFoundAction") == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found.iter().map(|params| Some(Arc::new(seen(write, kind, params.value()).into_owned()))).collect())
}
