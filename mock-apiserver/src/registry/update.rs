//! Update: the pipeline of a change, with compare-and-swap.

use std::sync::Arc;

use machinery::{
    field::{Error as FieldError, Path},
    meta,
    names::GroupVersionKind,
    status::Status,
};
use serde_json::Value;

use super::{
    Context, Registry,
    admission::{Admitted, Operation, Rounds},
    context::View,
    create::{fitting, unwrapped},
    decode::settle,
    metadata,
    reactions::Change,
    scale::ScaleWrite,
};
use crate::{
    catalog::Endpoint,
    storage::{ChangeKind, Draft, Error, Expected, Stored, Write},
};

/// How often a write is tried again when others write the same object meanwhile. Each try means that another write won.
const ATTEMPTS_MAX: usize = 1000;

/// The object that is to be changed.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
}

impl Target<'_> {
    /// Refuses a document about another object. A change cannot rename.
    pub(crate) fn check_name(&self, object: &Value) -> Result<(), Status> {
        let name = meta::name(object);
        if name.is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                self.name
            )));
        }
        if name != self.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.name
            )));
        }
        Ok(())
    }

    /// Refuses a document of another namespace. A change cannot move.
    pub(crate) fn check_namespace(&self, namespace: &str) -> Result<(), Status> {
        if self.endpoint.resource.is_namespaced() && namespace != self.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }
}

/// How an update came to be, where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A PUT: a uid is a precondition, and a revision may be demanded.
    Replace,
    /// A PATCH: a uid cannot be changed.
    Patch,
}

/// Where a finished object has the owners of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owners {
    /// In its own `managedFields`.
    Own,
    /// It is without them, since they stay as they are.
    Kept,
    /// In its own `managedFields`, which an apply cannot do without.
    Applied,
}

impl Owners {
    /// Where a write has them that has just been made.
    pub(super) fn of(context: &Context) -> Self {
        if context.applied { Self::Applied } else { Self::Own }
    }
}

/// Makes the new object, in the storage version, from the current one.
pub(crate) type Transform<'a> = dyn Fn(&Stored) -> Result<Value, Status> + Send + Sync + 'a;

impl Registry {
    /// Changes an object. `transform` runs again when the object changes meanwhile.
    pub(crate) async fn update(
        &self,
        target: Target<'_>,
        source: Source,
        transform: &Transform<'_>,
        context: &Context,
    ) -> Result<Arc<Stored>, Status> {
        for _ in 0..ATTEMPTS_MAX {
            let current = self.get(target.endpoint, target.namespace, target.name)?.for_writing();
            let object = transform(&current)?;
            if let Some(updated) = self.update_once(target, source, object, &current, context).await? {
                return Ok(updated);
            }
        }
        Err(Status::modified(&target.endpoint.group_resource(), target.name))
    }

    /// Puts a decoded document of the endpoint's version in the place of an object.
    pub(crate) async fn replace_with(
        &self,
        target: Target<'_>,
        mut object: Value,
        context: &Context,
    ) -> Result<Arc<Stored>, Status> {
        super::create::place(target.endpoint, target.namespace, &mut object)?;
        self.to_storage(target.endpoint, &mut object, context)?;
        if !demands_revision(&object) {
            return self.update(target, Source::Replace, &|_| Ok(object.clone()), context).await;
        }
        // One that names the revision it replaces has one try: when another write comes first, that revision is gone.
        let current = self.get(target.endpoint, target.namespace, target.name)?.for_writing();
        let updated = self.update_once(target, Source::Replace, object, &current, context).await?;
        updated.ok_or_else(|| Status::modified(&target.endpoint.group_resource(), target.name))
    }

    /// 409 of a PUT that names the uid of an object that is gone.
    pub(crate) fn missing_uid(&self, target: Target<'_>, uid: &str, dry_run: bool) -> Status {
        uid_conflict(target, uid, "", dry_run)
    }

    /// One try; `None` when another write came first.
    async fn update_once(
        &self,
        target: Target<'_>,
        source: Source,
        mut object: Value,
        current: &Arc<Stored>,
        context: &Context,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let endpoint = target.endpoint;
        let storage = endpoint.resource.storage_endpoint();
        let strategy = &storage.definition().strategy;
        let view = View { registry: self, context };
        let old = current.value();
        self.check_preconditions(target, source, &object, current, context.options.dry_run)?;
        metadata::restore(&mut object, old);
        metadata::dedup_owners(&mut object, false, context);
        self.own(target, Some(old), &mut object, context)?;
        let write = Admitted {
            registry: self,
            context,
            operation: Operation::Update,
            endpoint,
            namespace: target.namespace,
            name: target.name,
            subresource: target.subresource,
            kind: None,
            delete: None,
            old: Some(old),
            rounds: Rounds::default(),
        };
        let scale = ScaleWrite::of(target, old)?;
        match &scale {
            Some(scale) => scale.mutate(&write, &mut object).await?,
            None => self.mutate(&write, &mut object).await?,
        }
        metadata::dedup_owners(&mut object, true, context);
        super::create::keeps_namespace(endpoint, target.namespace, &object)?;
        if meta::resource_version(&object).is_empty() {
            // Those who only check see which one is replaced.
            meta::set(&mut object, "resourceVersion", meta::resource_version(old));
        }
        strategy.prepare_for_update(&mut object, old, target.subresource, &view);
        self.complete(&write, &mut object);
        let aside: &[&str] =
            if storage.definition().has_subresource("status") { &["metadata", "status"] } else { &["metadata"] };
        let counted = |member: &&str| {
            let of = |object: &Value| object.get("metadata").and_then(|metadata| metadata.get(*member)).cloned();
            of(&object) != of(old)
        };
        // A write to a subresource may change them, too, and does not count.
        let of_metadata = || target.subresource.is_empty() && strategy.generation_counts().iter().any(counted);
        let changed = !metadata::equal_members(&object, old, aside) || of_metadata();
        if strategy.keeps_generation() && changed {
            meta::set(&mut object, "generation", meta::generation(old).saturating_add(1));
        }
        // Upstream checks this in its generic pipeline and again in every strategy, and reports both.
        let mut errors = metadata::validate_change(&object, old);
        if !storage.resource.is_custom() && !strategy.takes_bare_finalizers() {
            errors.extend(metadata::domain_errors(&object));
        }
        errors.extend_from_within(..);
        self.schema_errors(endpoint, &object, Some(old), context, &mut errors)?;
        let checks = &endpoint.definition().strategy;
        errors.extend(checks.validate_update(&object, old, target.subresource, &view));
        if !errors.is_empty() {
            return Err(Status::invalid(&endpoint.stored_kind(), target.name, &errors));
        }
        match &scale {
            Some(scale) => scale.admit(&write, &object).await?,
            None => self.admit(&write, Some(&object)).await?,
        }
        if target.subresource != "status" {
            strategy.warnings(&object, Some(old)).into_iter().for_each(|warning| context.warn(warning));
            if storage.resource.is_custom() {
                metadata::warnings(&object, Some(old)).into_iter().for_each(|warning| context.warn(warning));
            }
        }
        let replaced = self.replace(endpoint, object, current, Owners::of(context), context.options.dry_run).await;
        if context.options.dry_run || !matches!(replaced, Ok(Some(_))) {
            self.withdraw(&write);
        }
        replaced
    }

    /// Stores a finished object in place of the current one: not at all when nothing differs, and by deleting it when
    /// the last finalizer of a deleted object went. `None` when another write came first.
    pub(super) async fn replace(
        &self,
        endpoint: &Endpoint,
        mut object: Value,
        current: &Arc<Stored>,
        owners: Owners,
        dry_run: bool,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let storage = endpoint.resource.storage_endpoint();
        let style = endpoint.resource.style();
        settle(endpoint, &mut object);
        meta::set(&mut object, "resourceVersion", meta::resource_version(current.value()));
        if !metadata::differs(&object, current.value()) {
            return Ok(Some(current.clone()));
        }
        let finished = is_finished(&object);
        if (dry_run || finished)
            && owners == Owners::Kept
            && let Some(entries) = current.managed_fields()
        {
            meta::set(&mut object, "managedFields", entries);
        }
        if dry_run {
            return Ok(Some(Draft::transient(current.key().clone(), object, storage.head(), style)));
        }
        if finished {
            let last = Draft::transient(current.key().clone(), object, storage.head(), style);
            return Ok(self.remove(&storage, current).await?.map(|_| last));
        }
        let draft = match owners {
            Owners::Own | Owners::Applied => Draft::new(current.key().clone(), object, storage.head(), style),
            Owners::Kept => Draft::of_change(current, object, storage.head(), style),
        };
        let draft = fitting(draft, &storage, owners)?;
        let expected = Expected::Revision(current.revision());
        match self.store.commit(storage.resource.space(), Write::Put { draft, expected }).await {
            Ok(updated) => {
                let old = Some(current.value());
                let change = Change { endpoint: &storage, kind: ChangeKind::Updated, object: &updated, old };
                self.react(&change).await;
                Ok(Some(updated))
            }
            Err(Error::Conflict) => Ok(None),
            Err(error) => Err(Status::internal(error)),
        }
    }

    /// Removes an object from storage. `None` when another write came first.
    pub(super) async fn remove(
        &self,
        storage: &Endpoint,
        current: &Arc<Stored>,
    ) -> Result<Option<Arc<Stored>>, Status> {
        let write = Write::Delete { key: current.key().clone(), revision: current.revision() };
        match self.store.commit(storage.resource.space(), write).await {
            Ok(removed) => {
                let old = Some(current.value());
                self.react(&Change { endpoint: storage, kind: ChangeKind::Deleted, object: &removed, old }).await;
                Ok(Some(removed))
            }
            Err(Error::Conflict) => Ok(None),
            Err(error) => Err(Status::internal(error)),
        }
    }

    fn check_preconditions(
        &self,
        target: Target<'_>,
        source: Source,
        object: &Value,
        current: &Stored,
        dry_run: bool,
    ) -> Result<(), Status> {
        let endpoint = target.endpoint;
        let (uid, old_uid) = (meta::uid(object), meta::uid(current.value()));
        if source == Source::Replace && !uid.is_empty() && uid != old_uid {
            return Err(uid_conflict(target, uid, old_uid, dry_run));
        }
        match meta::resource_version(object) {
            "" | "0" => {
                let storage = endpoint.resource.storage_endpoint();
                let allowed = storage.definition().strategy.allows_unconditional_update();
                if source == Source::Replace && !allowed { Err(revision_required(target)) } else { Ok(()) }
            }
            wanted if wanted == meta::resource_version(current.value()) => Ok(()),
            wanted => match wanted.parse::<u64>() {
                Err(_) => Err(no_revision(wanted)),
                Ok(_) => Err(Status::modified(&endpoint.group_resource(), target.name)),
            },
        }
    }
}

/// True for a deleted object that nothing holds back any more.
pub(super) fn is_finished(object: &Value) -> bool {
    let grace = object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    let spec_finalizers = match (meta::api_version(object), meta::kind(object)) {
        ("v1", "Namespace") => object.pointer("/spec/finalizers").and_then(Value::as_array).map_or(0, Vec::len),
        _ => 0,
    };
    meta::deletion_timestamp(object).is_some()
        && grace == 0
        && meta::finalizers(object).next().is_none()
        && spec_finalizers == 0
}

/// Whether a document names the revision that it replaces. Nothing and 0 are any.
pub(super) fn demands_revision(object: &Value) -> bool {
    !matches!(meta::resource_version(object), "" | "0")
}

/// 500 about what is no revision.
pub(super) fn no_revision(text: &str) -> Status {
    unwrapped(format!("strconv.ParseUint: parsing {}: invalid syntax", machinery::field::quote(text)))
}

/// 409 of a PUT whose uid is another object's. What only would be stored has no root in its key.
pub(super) fn uid_conflict(target: Target<'_>, wanted: &str, found: &str, dry_run: bool) -> Status {
    let root = if dry_run { "" } else { "/registry" };
    let resource = target.endpoint.group_resource();
    let group = if resource.group.is_empty() { String::new() } else { format!("{}/", resource.group) };
    let key = target.endpoint.resource.key(target.namespace, target.name);
    Status::conflict(
        &resource,
        target.name,
        &format!(
            "StorageError: invalid object, Code: 4, Key: {root}/{group}{}/{key}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
            resource.resource
        ),
    )
}

/// 422 of a PUT that must say which revision it replaces. Upstream names the resource here, not the kind.
fn revision_required(target: Target<'_>) -> Status {
    let path = Path::new("metadata").child("resourceVersion");
    let error = FieldError::invalid(&path, &0.into(), "must be specified for an update");
    let resource = target.endpoint.group_resource();
    let kind = GroupVersionKind::new(resource.group, "", resource.resource);
    Status::invalid(&kind, target.name, &[error])
}
