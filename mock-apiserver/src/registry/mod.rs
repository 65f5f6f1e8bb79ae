//! What happens to objects: one generic pipeline, with a strategy per kind. Knows kinds, not HTTP.

mod admission;
mod context;
mod create;
mod decode;
mod delete;
mod install;
mod list;
mod metadata;
mod omission;
mod ownership;
mod patch;
mod permission;
mod pods;
mod reactions;
mod scale;
mod selection;
mod selectors;
mod update;
mod watch;

use std::sync::{Arc, OnceLock, Weak};

use machinery::{
    field::{Error, quote},
    names::path_segment_errors,
    status::{Cause, Status},
};
use serde_json::Value;

pub(crate) use admission::{Admission, Admitted, Operation};
pub(crate) use context::Context;
pub(crate) use decode::{from_storage, malformed, no_type_meta, not_registered, strict_sentence, unrecognized};
pub(crate) use delete::{Deleted, deleted_status, orphaning_warning};
pub(crate) use metadata::{FINALIZER_FOREGROUND, FINALIZER_ORPHAN};
pub(crate) use ownership::{Applied, Configuration};
pub(crate) use patch::{Patch, apply_to as apply_patch, json_error};
pub(crate) use reactions::{Change, Reaction};
pub(crate) use scale::ScaleChange;
pub(crate) use selection::Selection;
pub(crate) use selectors::Selectors;
pub(crate) use update::{Source, Target};
pub(crate) use watch::WatchRequest;

use crate::{
    authorization::Authorizer,
    catalog::{Catalog, Endpoint},
    clock::Clock,
    feature_gates::FeatureGates,
    storage::{self, Store, Stored},
};

/// The way from a request to storage and back.
pub(crate) struct Registry {
    /// Itself, for what outlives a request.
    pub(crate) this: Weak<Registry>,
    /// Decides who may do what, for those who ask in between.
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Which features are on.
    pub(crate) feature_gates: FeatureGates,
    /// Compiles device selectors; made on first use, since starting is to be fast.
    pub(crate) selectors: OnceLock<Selectors>,
    /// What has a say in writes, in order.
    pub(crate) admission: Vec<Box<dyn Admission>>,
    /// What reacts to writes.
    pub(crate) reactions: Vec<Arc<dyn Reaction>>,
}

impl Registry {
    /// One object as it is now.
    pub(crate) fn get(&self, endpoint: &Endpoint, namespace: &str, name: &str) -> Result<Arc<Stored>, Status> {
        let resource = &endpoint.resource;
        let found = resource.space().get(&resource.key(namespace, name)).map(|found| resource.current(&found));
        found.ok_or_else(|| match path_segment_errors(name).as_slice() {
            [] => Status::not_found(&endpoint.group_resource(), name),
            why => Status::bad_request(format!("Name parameter invalid: {}: {}", quote(name), why.join(";"))),
        })
    }

    /// The namespace of that name.
    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<Stored>> {
        self.catalog.endpoint("", "v1", "namespaces")?.resource.space().get(name)
    }

    /// Refuses a `resourceVersion` that has not happened yet; 0 and absence mean any.
    pub(crate) fn check_not_future(&self, revision: Option<u64>) -> Result<(), Status> {
        let current = self.store.revision();
        match revision {
            Some(wanted) if wanted > current => Err(too_large_revision(wanted, current)),
            _ => Ok(()),
        }
    }

    /// Adds what the schema of its version and its CEL rules find wrong with a custom resource; rules are not run on what is wrong
    /// already. Other kinds have a strategy that knows better.
    fn schema_errors(
        &self,
        endpoint: &Endpoint,
        object: &Value,
        old: Option<&Value>,
        context: &Context,
        errors: &mut Vec<Error>,
    ) -> Result<(), Status> {
        if !endpoint.resource.is_custom() {
            return Ok(());
        }
        if endpoint.narrows() {
            let (object, old) = (decode::renamed(endpoint, object), old.map(|old| decode::renamed(endpoint, old)));
            return Self::errors_in(endpoint, &object, old.as_ref(), context, errors);
        }
        Self::errors_in(&endpoint.resource.storage_endpoint(), object, old, context, errors)
    }

    fn errors_in(
        endpoint: &Endpoint,
        object: &Value,
        old: Option<&Value>,
        context: &Context,
        errors: &mut Vec<Error>,
    ) -> Result<(), Status> {
        let Some(schema) = endpoint.schema().map_err(decode::catalog_error)? else { return Ok(()) };
        errors.extend(schema.root().validate(object, old));
        errors.extend(scale::replica_errors(endpoint, object));
        if let Some(rules) = endpoint.rules().map_err(decode::catalog_error)? {
            match schema::rules_not_checked(errors) {
                Some(blocked) => errors.push(blocked),
                None => errors.extend(rules.errors(schema.root(), object, old, &mut |text| context.warn(text))),
            }
        }
        Ok(())
    }
}

fn too_large_revision(wanted: u64, current: u64) -> Status {
    let mut status = Status::timeout(&format!("Too large resource version: {wanted}, current: {current}"), 1);
    if let Some(details) = &mut status.details {
        details.causes = vec![Cause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }];
    }
    status
}

/// What a client is told when storage refused to read.
fn read_error(error: &storage::Error) -> Status {
    match error {
        storage::Error::Expired { .. } => Status::expired("The resourceVersion for the provided list is too old."),
        other => Status::internal(other),
    }
}
