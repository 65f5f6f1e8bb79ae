//! Field ownership: who is recorded in `metadata.managedFields`, and server-side apply, which rests on it.

use std::sync::{Arc, LazyLock};

use machinery::{
    meta,
    names::split_api_version,
    status::{Cause, Details, Reason, Status},
};
use patch::apply::{self, FieldSet, Options, Versions};
use schema::Schema;
use serde_json::Value;

use api::definition::KeptMetadata;

use super::{
    Context, Registry,
    create::unwrapped,
    decode::{catalog_error, from_storage, read},
    update::{Source, Target, demands_revision, no_revision, uid_conflict},
};
use crate::{
    catalog::{Endpoint, Resource},
    storage::Stored,
};

/// Fields that a write to an object with a `status` subresource does not change.
static STATUS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_fields(&[&["status"]]));

/// Nothing.
static NONE: LazyLock<FieldSet> = LazyLock::new(FieldSet::default);

/// Fields that a write through `status` does not change.
static ALL_BUT_STATUS: LazyLock<FieldSet> = LazyLock::new(|| FieldSet::of_fields(&[&["spec"]]));
static ALL_BUT_STATUS_AND_LABELS: LazyLock<FieldSet> =
    LazyLock::new(|| FieldSet::of_fields(&[&["spec"], &["metadata", "labels"]]));
static ALL_BUT_STATUS_AND_METADATA: LazyLock<FieldSet> =
    LazyLock::new(|| FieldSet::of_fields(&[&["spec"], &["metadata"]]));

fn reset_fields(endpoint: &Endpoint, subresource: &str) -> &'static FieldSet {
    match subresource {
        "" if endpoint.definition().has_subresource("status") => &STATUS,
        "status" if endpoint.resource.is_custom() => &ALL_BUT_STATUS_AND_METADATA,
        "status" => match endpoint.definition().strategy.status_keeps() {
            KeptMetadata::Owners => &ALL_BUT_STATUS,
            KeptMetadata::Labels => &ALL_BUT_STATUS_AND_LABELS,
            KeptMetadata::All => &ALL_BUT_STATUS_AND_METADATA,
        },
        _ => &NONE,
    }
}

/// The versions of a kind whose versions differ in more than their names.
struct KindVersions<'a> {
    resource: &'a Arc<Resource>,
    from: &'a Endpoint,
}

impl KindVersions<'_> {
    fn endpoint(&self, api_version: &str) -> Option<Endpoint> {
        let (group, version) = split_api_version(api_version).ok()?;
        (group == self.resource.definition.group).then(|| Endpoint::of(self.resource, version))?
    }
}

impl Versions for KindVersions<'_> {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        let (group, version) = split_api_version(api_version).ok()?;
        if group != self.resource.definition.group {
            return None;
        }
        self.resource.schema(version).ok().flatten()
    }

    fn convert(&self, document: &Value, api_version: &str) -> Option<Value> {
        let to = self.endpoint(api_version)?;
        let mut document = document.clone();
        if let Some(convert) = self.from.version().to_storage {
            convert(&mut document);
        }
        from_storage(&to, &mut document);
        Some(document)
    }
}

/// A configuration to apply.
pub(crate) struct Configuration {
    /// The document, in the endpoint's version.
    pub(crate) document: Value,
    /// Whether fields of others are taken over.
    pub(crate) force: bool,
}

/// What an apply did.
pub(crate) struct Applied {
    pub(crate) object: Arc<Stored>,
    pub(crate) created: bool,
}

impl Registry {
    /// Records who set the fields of a new object, or changed those of an old one. Documents are in the storage version.
    pub(crate) fn own(
        &self,
        target: Target<'_>,
        old: Option<&Value>,
        object: &mut Value,
        context: &Context,
    ) -> Result<(), Status> {
        let endpoint = target.endpoint;
        if context.applied || context.owned {
            return Ok(());
        }
        if endpoint.is_storage() {
            return self.with_options(target, context, None, |options| apply::track_update(old, object, options));
        }
        let seen = |document: &Value| {
            let mut document = document.clone();
            from_storage(endpoint, &mut document);
            document
        };
        let (old, mut new) = (old.map(seen), seen(object));
        self.with_options(target, context, None, |options| apply::track_update(old.as_ref(), &mut new, options))?;
        match meta::remove(&mut new, "managedFields") {
            Some(entries) => meta::set(object, "managedFields", entries),
            None => drop(meta::remove(object, "managedFields")),
        }
        Ok(())
    }

    /// Records who set or changed the fields of an object in the endpoint's version, where `versions` knows the others.
    pub(crate) fn own_in(
        &self,
        target: Target<'_>,
        old: Option<&Value>,
        object: &mut Value,
        context: &Context,
        versions: &dyn Versions,
    ) -> Result<(), Status> {
        self.with_options(target, context, Some(versions), |options| apply::track_update(old, object, options))
    }

    /// Runs `work` with what the bookkeeping needs to know; not at all for a kind without a schema.
    fn with_options<T: Default>(
        &self,
        target: Target<'_>,
        context: &Context,
        given: Option<&dyn Versions>,
        work: impl FnOnce(&Options<'_>) -> T,
    ) -> Result<T, Status> {
        let endpoint = target.endpoint;
        let Some(schema) = endpoint.schema().map_err(catalog_error)? else {
            return Ok(T::default());
        };
        let kind = endpoint.kind();
        let converts = endpoint.definition().versions.iter().any(|version| version.from_storage.is_some());
        let converts = converts || endpoint.narrows();
        let versions = KindVersions { resource: &endpoint.resource, from: endpoint };
        Ok(work(&Options {
            manager: &context.manager,
            kind: &kind,
            schema,
            subresource: target.subresource,
            reset_fields: reset_fields(endpoint, target.subresource),
            versions: given.or_else(|| converts.then_some(&versions as &dyn Versions)),
            now: self.clock.now(),
        }))
    }

    /// Applies a configuration on the server side.
    pub(crate) async fn apply(
        &self,
        target: Target<'_>,
        configuration: &Configuration,
        context: &Context,
    ) -> Result<Applied, Status> {
        let endpoint = target.endpoint;
        loop {
            match self.get(endpoint, target.namespace, target.name) {
                Ok(_) => {
                    let transform = |current: &Stored| {
                        let mut live = current.value().clone();
                        from_storage(endpoint, &mut live);
                        let lock = meta::resource_version(&configuration.document);
                        if demands_revision(&configuration.document) && lock != meta::resource_version(&live) {
                            lock.parse::<u64>().map_err(|_| no_revision(lock))?;
                            return Err(Status::modified(&endpoint.group_resource(), target.name));
                        }
                        self.applied(target, Some(live), configuration, context)
                    };
                    let object = self.update(target, Source::Patch, &transform, context).await?;
                    return Ok(Applied { object, created: false });
                }
                Err(missing) if !target.subresource.is_empty() => return Err(missing),
                Err(_) => {}
            }
            let uid = meta::uid(&configuration.document);
            if !uid.is_empty() {
                return Err(missing_object(target, uid));
            }
            target.check_name(&configuration.document)?;
            self.check_may_create(target, context).await?;
            let mut object = self.applied(target, None, configuration, context)?;
            meta::remove(&mut object, "resourceVersion");
            match self.create(endpoint, target.namespace, object, context).await {
                // Somebody created it meanwhile: then this is an update.
                Err(status) if status.reason() == Reason::AlreadyExists => {}
                created => return created.map(|object| Applied { object, created: true }),
            }
        }
    }

    /// What applying gives: for an update in the storage version, for a create in the endpoint's.
    fn applied(
        &self,
        target: Target<'_>,
        live: Option<Value>,
        configuration: &Configuration,
        context: &Context,
    ) -> Result<Value, Status> {
        let exists = live.is_some();
        let mut object = self.apply_in(target, live, configuration, context, None)?;
        if exists {
            self.to_storage(target.endpoint, &mut object, context)?;
        }
        Ok(object)
    }

    /// What applying gives, in the endpoint's version. `versions` knows the others, where more than their names differ.
    pub(crate) fn apply_in(
        &self,
        target: Target<'_>,
        live: Option<Value>,
        configuration: &Configuration,
        context: &Context,
        versions: Option<&dyn Versions>,
    ) -> Result<Value, Status> {
        let config = &configuration.document;
        let work = |options: &Options<'_>| Some(apply::apply(live, config, configuration.force, options));
        let applied = self.with_options(target, context, versions, work)?;
        let mut object = match applied {
            None => return Err(Status::method_not_allowed()),
            Some(Ok(object)) => object,
            Some(Err(error)) => return Err(apply_error(&error)),
        };
        meta::set(&mut object, "name", target.name);
        if target.endpoint.resource.is_namespaced() {
            meta::set(&mut object, "namespace", target.namespace);
        }
        let endpoint = target.endpoint;
        let kind = endpoint.kind();
        if let Some(schema) = endpoint.schema().map_err(catalog_error)? {
            let (namespace, name) = (meta::namespace(config), meta::name(config));
            read(endpoint, schema, &mut object).map_err(|error| {
                unwrapped(format!(
                    "failed to convert new object ({namespace}/{name}; {kind}) to proper version: unable to convert \
                     unstructured object to {kind}: {error}"
                ))
            })?;
        }
        Ok(object)
    }
}

fn missing_object(target: Target<'_>, uid: &str) -> Status {
    let mut status = uid_conflict(target, uid, "", false);
    status.message = format!(
        "Operation cannot be fulfilled on {} {}: uid mismatch: the provided object specified uid {uid}, and no existing \
         object was found",
        target.endpoint.group_resource(),
        machinery::field::quote(target.name)
    );
    status
}

pub(super) fn apply_error(error: &apply::Error) -> Status {
    match error {
        apply::Error::BadRequest(message) => Status::bad_request(message.clone()),
        apply::Error::Failed(message) => unwrapped(message.clone()),
        apply::Error::Conflicts(conflicts) => {
            let causes = conflicts
                .iter()
                .map(|conflict| Cause {
                    reason: "FieldManagerConflict".to_owned(),
                    message: conflict.message(),
                    field: conflict.field.clone(),
                })
                .collect();
            Status::failure(Reason::Conflict, error.to_string()).with_details(Details { causes, ..Details::default() })
        }
    }
}
