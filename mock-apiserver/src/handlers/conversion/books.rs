//! Managers of the fields of objects that a webhook converts: entries keep the version in which somebody wrote, and are compared
//! in it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use machinery::{
    meta,
    names::split_api_version,
    status::{Reason, Status},
};
use patch::apply::Versions;
use schema::Schema;
use serde_json::Value;
use tokio::{runtime::Handle, task};

use super::{ATTEMPTS_MAX, Conversion};
use crate::{
    catalog::Endpoint,
    handlers::{Call, apply, one},
    registry::{Configuration, Context, Source, Target},
    respond::Answer,
    storage::Stored,
};

/// The versions of a kind, as the webhook converts them. The comparison is no async code: it runs on a thread that may wait.
struct WebhookVersions {
    conversion: Conversion,
    runtime: Handle,
    /// Why a conversion failed.
    failure: Mutex<Option<Status>>,
}

impl Versions for WebhookVersions {
    fn schema(&self, api_version: &str) -> Option<&Schema> {
        let (_, version) = split_api_version(api_version).ok()?;
        self.conversion.shown.resource.schema(version).ok().flatten()
    }

    fn convert(&self, document: &Value, api_version: &str) -> Option<Value> {
        let (_, version) = split_api_version(api_version).ok()?;
        let to = Endpoint::of(&self.conversion.shown.resource, version)?;
        match self.runtime.block_on(self.conversion.convert_one(document.clone(), &to)) {
            Ok(converted) => Some(converted),
            Err(status) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                None
            }
        }
    }
}

/// What the bookkeeping needs of a request, on a thread of its own.
struct Books {
    versions: WebhookVersions,
    context: Context,
    namespace: String,
    name: String,
    subresource: String,
}

impl Books {
    fn target(&self) -> Target<'_> {
        Target {
            endpoint: &self.versions.conversion.shown,
            namespace: &self.namespace,
            name: &self.name,
            subresource: &self.subresource,
        }
    }
}

impl Conversion {
    /// Runs `work` where it may wait for the webhook.
    async fn with_books<W>(&self, call: &Call, work: W) -> Result<Value, Status>
    where
        W: FnOnce(&Books) -> Result<Value, Status> + Send + 'static,
    {
        let given = &call.context;
        let books = Books {
            versions: WebhookVersions {
                conversion: self.clone(),
                runtime: Handle::current(),
                failure: Mutex::default(),
            },
            context: Context::new(given.user.clone(), &given.manager, given.options.clone()),
            namespace: call.info.namespace.clone(),
            name: call.info.name.clone(),
            subresource: call.info.subresource.clone(),
        };
        let done = task::spawn_blocking(move || {
            let done = work(&books);
            match books.versions.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
                Some(failure) => Err(failure),
                None => done,
            }
        });
        done.await.map_err(Status::internal)?
    }

    /// A document of the client's version, with the books brought up to date.
    pub(super) async fn owned(&self, call: &Call, old: Option<Value>, mut object: Value) -> Result<Value, Status> {
        let registry = self.registry.clone();
        let work = move |books: &Books| {
            registry.own_in(books.target(), old.as_ref(), &mut object, &books.context, &books.versions)?;
            Ok(object)
        };
        self.with_books(call, work).await
    }

    /// Applies a configuration in the client's version.
    pub(super) async fn apply(&self, call: &Call, bytes: &Bytes) -> Result<Answer, Status> {
        let target = self.target(call);
        for _ in 0..ATTEMPTS_MAX {
            let current = self.registry.get(&self.storage, target.namespace, target.name);
            let live = match &current {
                Ok(current) => Some(self.convert_one(current.whole(), &self.shown).await?),
                Err(missing) if !target.subresource.is_empty() => return Err(missing.clone()),
                Err(_) => None,
            };
            let configuration = apply::configuration(call, bytes)?;
            if let Some(live) = &live {
                self.check_lock(&configuration, live, target)?;
            }
            let registry = self.registry.clone();
            let is_new = live.is_none();
            let work = move |books: &Books| {
                let versions = Some(&books.versions as &dyn Versions);
                registry.apply_in(books.target(), live, &configuration, &books.context, versions)
            };
            let mut object = self.stored(self.with_books(call, work).await?).await?;
            let written = if is_new {
                self.registry.check_may_create(target, &call.context).await?;
                meta::remove(&mut object, "resourceVersion");
                self.registry.create(&self.storage, target.namespace, object, &call.context).await
            } else {
                let transform = |_: &Stored| Ok(object.clone());
                self.registry.update(target, Source::Patch, &transform, &call.context).await
            };
            match written {
                // Somebody wrote it meanwhile.
                Err(status) if matches!(status.reason(), Reason::Conflict | Reason::AlreadyExists) => {}
                written => return written.map(|object| one(if is_new { 201 } else { 200 }, call, object)),
            }
        }
        Err(Status::modified(&self.storage.group_resource(), target.name))
    }

    /// A revision in a configuration is a lock.
    fn check_lock(&self, configuration: &Configuration, live: &Value, target: Target<'_>) -> Result<(), Status> {
        let lock = meta::resource_version(&configuration.document);
        if lock.is_empty() || lock == meta::resource_version(live) {
            return Ok(());
        }
        Err(Status::modified(&self.storage.group_resource(), target.name))
    }
}
