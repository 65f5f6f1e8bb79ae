//! Admission: what else has a say in a write.

use futures::future::BoxFuture;
use machinery::status::Status;
use serde_json::Value;

use super::{Context, Registry};
use crate::catalog::Endpoint;

/// What is being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It is created.
    Create,
    /// It is replaced or patched.
    Update,
    /// It is deleted.
    Delete,
}

/// A write that is to be admitted.
pub(crate) struct Admitted<'a> {
    /// The server's objects, for looking things up.
    pub(crate) registry: &'a Registry,
    /// Who asks, and how the write is meant.
    pub(crate) context: &'a Context,
    pub(crate) operation: Operation,
    /// The kind and version that the client used.
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// The object before the write; absent on create.
    pub(crate) old: Option<&'a Value>,
}

/// A plug-in that may change or refuse writes. Objects are in the storage version. Every method has the behaviour of a
/// plug-in that does not care as its default.
pub(crate) trait Admission: Send + Sync {
    /// Changes the object, or refuses the write, before it is validated.
    fn mutate<'a>(&'a self, _write: &'a Admitted<'a>, _object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Sets what only the server sets, after the kind's own preparation.
    fn complete(&self, _write: &Admitted<'_>, _object: &mut Value) {}

    /// Changes an object that is about to be marked as deleted.
    fn begin_delete(&self, _write: &Admitted<'_>, _object: &mut Value) {}

    /// Refuses the write. `object` is absent on delete.
    fn validate<'a>(
        &'a self,
        _write: &'a Admitted<'a>,
        _object: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Registry {
    pub(super) async fn mutate(&self, write: &Admitted<'_>, object: &mut Value) -> Result<(), Status> {
        for plugin in &self.admission {
            plugin.mutate(write, object).await?;
        }
        Ok(())
    }

    pub(super) fn complete(&self, write: &Admitted<'_>, object: &mut Value) {
        for plugin in &self.admission {
            plugin.complete(write, object);
        }
    }

    pub(super) async fn admit(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<(), Status> {
        for plugin in &self.admission {
            plugin.validate(write, object).await?;
        }
        Ok(())
    }
}
