//! Create: the pipeline of a new object.

use std::sync::Arc;

use machinery::{limits, meta, status::Status};
use serde_json::Value;

use super::{
    Context, Registry,
    admission::{Admitted, Operation, Rounds},
    context::View,
    decode::settle,
    metadata,
    reactions::Change,
    update::{Owners, Target},
};
use crate::{
    catalog::Endpoint,
    storage::{ChangeKind, Draft, Error, Expected, Stored, Write},
};

/// How often a generated name is tried: upstream's `maxNameGenerationCreateAttempts`.
const GENERATED_NAME_ATTEMPTS: usize = 8;

impl Registry {
    /// Creates an object from a decoded document of the endpoint's version.
    pub(crate) async fn create(
        &self,
        endpoint: &Endpoint,
        namespace: &str,
        mut object: Value,
        context: &Context,
    ) -> Result<Arc<Stored>, Status> {
        place(endpoint, namespace, &mut object)?;
        if is_revision(meta::resource_version(&object)) && !context.options.dry_run {
            return Err(unwrapped("resourceVersion should not be set on objects to be created"));
        }
        metadata::wipe(&mut object);
        self.to_storage(endpoint, &mut object, context)?;
        metadata::dedup_owners(&mut object, false, context);
        let name = meta::name(&object).to_owned();
        let write = Admitted {
            registry: self,
            context,
            operation: Operation::Create,
            endpoint,
            namespace,
            name: &name,
            subresource: "",
            kind: None,
            delete: None,
            old: None,
            rounds: Rounds::default(),
        };
        let target = Target { endpoint, namespace, name: &name, subresource: "" };
        self.own(target, None, &mut object, context)?;
        self.mutate(&write, &mut object).await?;
        metadata::dedup_owners(&mut object, true, context);
        keeps_namespace(endpoint, namespace, &object)?;
        let is_generated = name.is_empty() && !meta::generate_name(&object).is_empty();
        match self.create_once(&write, object, is_generated, context).await {
            Err(Refused::Exists(name)) => Err(self.exists(endpoint, namespace, &name, is_generated)),
            Err(Refused::Other(status)) => Err(*status),
            Ok(created) => Ok(created),
        }
    }

    /// A name from `generateName` that nobody has, as far as that can be seen before the write.
    fn free_name(&self, endpoint: &Endpoint, namespace: &str, base: &str) -> String {
        let space = endpoint.resource.space();
        let mut name = metadata::generated_name(base, self.clock.as_ref());
        for _ in 1..GENERATED_NAME_ATTEMPTS {
            if space.get(&endpoint.resource.key(namespace, &name)).is_none() {
                break;
            }
            name = metadata::generated_name(base, self.clock.as_ref());
        }
        name
    }

    async fn create_once(
        &self,
        write: &Admitted<'_>,
        mut object: Value,
        is_generated: bool,
        context: &Context,
    ) -> Result<Arc<Stored>, Refused> {
        let endpoint = write.endpoint;
        let storage = endpoint.resource.storage_endpoint();
        let strategy = &storage.definition().strategy;
        let view = View { registry: self, context };
        if is_generated {
            let name = self.free_name(endpoint, write.namespace, meta::generate_name(&object));
            meta::set(&mut object, "name", name);
        }
        metadata::stamp_new(&mut object, self.clock.as_ref(), strategy.keeps_generation());
        strategy.prepare_for_create(&mut object, &view);
        self.complete(write, &mut object);
        self.check_new(endpoint, &object, context)?;
        self.admit(write, Some(&object)).await?;
        for warning in strategy.warnings(&object, None) {
            context.warn(warning);
        }
        settle(endpoint, &mut object);
        let name = meta::name(&object).to_owned();
        let key = endpoint.resource.key(write.namespace, &name);
        let space = endpoint.resource.space();
        if context.options.dry_run {
            self.withdraw(write);
            if space.get(&key).is_some() {
                return Err(Refused::Exists(name));
            }
            let style = endpoint.resource.style();
            return Ok(Draft::transient(key, object, storage.head(), style));
        }
        let draft = Draft::new(key, object, storage.head(), endpoint.resource.style());
        let draft = fitting(draft, &storage, Owners::of(context)).inspect_err(|_| self.withdraw(write))?;
        let committed = self.store.commit(space, Write::Put { draft, expected: Expected::Absent }).await;
        if committed.is_err() {
            self.withdraw(write);
        }
        match committed {
            Ok(created) => {
                let change = Change { endpoint: &storage, kind: ChangeKind::Created, object: &created, old: None };
                self.react(&change).await;
                Ok(created)
            }
            Err(Error::Exists | Error::Conflict) => Err(Refused::Exists(name)),
            Err(error) => Err(Status::internal(error).into()),
        }
    }

    /// Everything that makes a new object invalid, as one 422.
    fn check_new(&self, endpoint: &Endpoint, object: &Value, context: &Context) -> Result<(), Status> {
        let storage = endpoint.resource.storage_endpoint();
        let strategy = &storage.definition().strategy;
        let custom = storage.resource.is_custom();
        let name_errors = |name: &str| strategy.name_errors(name);
        let demands = metadata::Demands {
            namespaced: storage.resource.is_namespaced(),
            finalizers_have_domains: !custom && !strategy.takes_bare_finalizers(),
            name_errors: &name_errors,
        };
        let mut errors = metadata::validate(object, &demands);
        self.schema_errors(endpoint, object, None, context, &mut errors)?;
        // Two kinds that share a store may ask different things of an object.
        errors.extend(endpoint.definition().strategy.validate(object, &View { registry: self, context }));
        if !errors.is_empty() {
            return Err(Status::invalid(&endpoint.stored_kind(), meta::name(object), &errors));
        }
        if custom {
            metadata::warnings(object, None).into_iter().for_each(|warning| context.warn(warning));
        }
        Ok(())
    }

    fn exists(&self, endpoint: &Endpoint, namespace: &str, name: &str, is_generated: bool) -> Status {
        let mut status = Status::already_exists(&endpoint.group_resource(), name);
        let key = endpoint.resource.key(namespace, name);
        let existing = endpoint.resource.space().get(&key);
        if existing.is_some_and(|existing| meta::deletion_timestamp(existing.value()).is_some()) {
            status.message.insert_str(0, "object is being deleted: ");
        }
        if is_generated {
            status.message.push_str(", the server was not able to generate a unique name for the object");
            if let Some(details) = &mut status.details {
                details.retry_after_seconds = 1;
            }
        }
        status
    }
}

/// Why one attempt to create did not succeed.
enum Refused {
    /// The name is taken.
    Exists(String),
    /// Anything else.
    Other(Box<Status>),
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::Other(Box::new(status))
    }
}

/// Puts a document into the namespace of the URL, or refuses one that says otherwise.
pub(super) fn place(endpoint: &Endpoint, namespace: &str, object: &mut Value) -> Result<(), Status> {
    if meta::metadata_mut(object).is_none() {
        return Err(Status::bad_request("metadata must be an object"));
    }
    if !endpoint.resource.is_namespaced() {
        if !meta::namespace(object).is_empty() {
            meta::remove(object, "namespace");
        }
        return Ok(());
    }
    if !meta::namespace(object).is_empty() {
        keeps_namespace(endpoint, namespace, object)?;
    }
    meta::set(object, "namespace", namespace);
    Ok(())
}

/// Refuses what has left its namespace while it was admitted.
pub(super) fn keeps_namespace(endpoint: &Endpoint, namespace: &str, object: &Value) -> Result<(), Status> {
    if !endpoint.resource.is_namespaced() || meta::namespace(object) == namespace {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// True for what storage reads as a revision. Of a new object it is not looked at otherwise.
fn is_revision(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok_and(|revision| revision > 0)
}

/// 500 without a reason: an error that upstream does not wrap.
pub(super) fn unwrapped(message: impl Into<String>) -> Status {
    Status::failure(machinery::status::Reason::Unknown, message)
}

/// The draft, if etcd would take it. One that is too large loses who owns its fields rather than be refused, as upstream has it;
/// not in an apply, where that is what counts.
pub(super) fn fitting(draft: Draft, storage: &Endpoint, owners: Owners) -> Result<Draft, Status> {
    let fits = |draft: &Draft| draft.size() <= limits::OBJECT_BYTES_MAX;
    if fits(&draft) {
        return Ok(draft);
    }
    let draft = match owners {
        Owners::Applied => draft,
        Owners::Own | Owners::Kept => draft.without_owners(storage.head(), storage.resource.style()),
    };
    if fits(&draft) { Ok(draft) } else { Err(unwrapped("etcdserver: request is too large")) }
}
