//! LimitRanges: what containers get that state nothing, and how much one object may ask for.

use std::sync::Arc;

use api::builtin;
use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::Value;

use super::is;
use crate::{
    registry::{Admission, Admitted, Operation},
    storage::Stored,
};

/// Holds new pods and volume claims to the LimitRanges of their namespace.
pub(crate) struct LimitRanger;

/// The ranges of the namespace that a write is in.
fn ranges(write: &Admitted<'_>) -> Vec<Arc<Stored>> {
    let Some(endpoint) = write.registry.catalog.endpoint("", "v1", "limitranges") else { return Vec::new() };
    let snapshot = endpoint.resource.space().snapshot();
    let prefix = format!("{}/", write.namespace);
    snapshot.range(&prefix, None).cloned().collect()
}

/// What a LimitRange has a say in: new pods, and volume claims.
fn is_limited(write: &Admitted<'_>) -> bool {
    let writes = matches!(write.operation, Operation::Create | Operation::Update) && write.subresource.is_empty();
    let is_new = write.operation == Operation::Create;
    writes && (is_new && is(write.endpoint, "", "pods") || is(write.endpoint, "", "persistentvolumeclaims"))
}

impl Admission for LimitRanger {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        if is_limited(write) && is(write.endpoint, "", "pods") {
            ranges(write).iter().for_each(|range| builtin::fill_in_limits(object, range.value()));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(match object {
            Some(object) if is_limited(write) => check(write, object),
            _ => Ok(()),
        }))
    }
}

fn check(write: &Admitted<'_>, object: &Value) -> Result<(), Status> {
    let is_pod = is(write.endpoint, "", "pods");
    for range in ranges(write) {
        let errors = if is_pod {
            builtin::pod_outside_limits(object, range.value())
        } else {
            builtin::claim_outside_limits(object, range.value())
        };
        match errors.as_slice() {
            [] => {}
            [only] => return Err(write.forbidden(Some(object), only)),
            many => return Err(write.forbidden(Some(object), &format!("[{}]", many.join(", ")))),
        }
    }
    Ok(())
}
