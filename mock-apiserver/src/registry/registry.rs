//! `Registry`: the way from a request to storage and back.

use std::sync::Arc;

use machinery::status::Status;

use crate::{
    catalog::{Catalog, Endpoint},
    clock::Clock,
    storage::{Store, Stored},
};

/// Everything that verbs work on.
pub(crate) struct Registry {
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Registry {
    /// One object as it is now.
    pub(crate) fn get(&self, endpoint: &Endpoint, namespace: &str, name: &str) -> Result<Arc<Stored>, Status> {
        endpoint
            .resource
            .space()
            .get(&endpoint.resource.key(namespace, name))
            .ok_or_else(|| Status::not_found(&endpoint.group_resource(), name))
    }
}
