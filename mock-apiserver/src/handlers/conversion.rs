//! Requests to a version of a custom resource that a webhook converts: the version that the client speaks is converted to the one
//! in storage, and the answer back. Managers of fields are recorded in the client's version.

mod books;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use futures::StreamExt as _;
use http::Response;
use machinery::{
    meta,
    status::{Reason, Status},
};
use serde_json::{Value, json};

use super::{Call, body, collection, object, one, patch};
use crate::{
    admission::call_webhook,
    catalog::Endpoint,
    registry::{Patch, Registry, Source, Target, apply_patch},
    request::{MediaType, read_body},
    respond::{self, Answer, Shape, WatchEvent},
    server::ApiServer,
    storage::Stored,
};

/// How long a conversion may take: upstream's timeout of its webhooks.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a patch is tried again when others write the object meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// How objects of one version become those of the version in storage, and back.
#[derive(Clone)]
pub(super) struct Conversion {
    registry: Arc<Registry>,
    client_config: Value,
    shown: Endpoint,
    storage: Endpoint,
}

impl Conversion {
    /// The conversion of an endpoint, if it needs one. The version in storage needs it, too, when objects are stored in an
    /// older one, and for writes: others may manage fields in other versions.
    pub(super) fn of(server: &ApiServer, endpoint: &Endpoint, verb: &str) -> Option<Self> {
        let only = endpoint.is_storage() && endpoint.definition().versions.len() < 2;
        if !endpoint.resource.is_custom() || only {
            return None;
        }
        let registry = &server.registry;
        let definitions = registry.catalog.endpoint("apiextensions.k8s.io", "v1", "customresourcedefinitions")?;
        let definition = definitions.resource.space().get(&endpoint.group_resource().to_string())?;
        let conversion = definition.value().pointer("/spec/conversion")?;
        let stored = definition.value().pointer("/status/storedVersions").and_then(Value::as_array).map_or(1, Vec::len);
        if endpoint.is_storage() && stored < 2 && !matches!(verb, "update" | "patch") {
            return None;
        }
        (conversion["strategy"] == "Webhook").then(|| Self {
            registry: registry.clone(),
            client_config: conversion.pointer("/webhook/clientConfig").cloned().unwrap_or_default(),
            shown: endpoint.clone(),
            storage: endpoint.resource.storage_endpoint(),
        })
    }

    /// Answers a request. `scale` is the same in every version, and not for this.
    pub(super) async fn answer(
        &self,
        server: &Arc<ApiServer>,
        call: &mut Call,
        verb: &'static str,
        body: Body,
    ) -> Result<Response<Body>, Status> {
        let shape = match verb {
            "list" | "deletecollection" => Shape::List,
            "watch" => Shape::Watch,
            _ => Shape::Object,
        };
        let representation = respond::negotiate(&call.parts.headers, &call.query, shape, &self.shown)?;
        let answer = match verb {
            "create" => {
                let object = body::read_object(server, call, body).await?;
                let object = self.stored(self.owned(call, None, object).await?).await?;
                call.context.owned = true;
                let registry = &self.registry;
                let created = registry.create(&self.storage, &call.info.namespace, object, &call.context).await?;
                one(201, call, created)
            }
            "update" => {
                let object = body::read_object(server, call, body).await?;
                object::check_identity(self.target(call), &object)?;
                let current = self.registry.get(&self.storage, &call.info.namespace, &call.info.name)?;
                let seen = self.convert_one(current.whole(), &self.shown).await?;
                let object = self.stored(self.owned(call, Some(seen), object).await?).await?;
                call.context.owned = true;
                one(200, call, self.registry.replace_with(self.target(call), object, &call.context).await?)
            }
            "patch" => {
                call.context.owned = true;
                self.patch(call, body).await?
            }
            _ => {
                call.endpoint = self.storage.clone();
                match verb {
                    "get" => object::get(server, call)?,
                    "list" => collection::list(server, call, &representation)?,
                    "watch" => collection::watch(server, call, &representation)?,
                    "delete" => object::delete(server, call, body).await?,
                    _ => collection::delete(server, call, body).await?,
                }
            }
        };
        call.endpoint = self.shown.clone();
        let answer = self.present(answer).await?;
        Ok(respond::render(&server.registry.clock, &representation, answer))
    }

    fn target<'a>(&'a self, call: &'a Call) -> Target<'a> {
        Target { endpoint: &self.storage, ..call.target() }
    }

    /// An answer in the client's version.
    async fn present(&self, answer: Answer) -> Result<Answer, Status> {
        Ok(match answer {
            Answer::Object { code, object, .. } => {
                Answer::Object { code, endpoint: self.shown.clone(), object: self.seen(&object).await? }
            }
            Answer::List(mut list) => {
                let values = list.objects.iter().map(|object| object.whole()).collect();
                let values = self.convert(values, &self.shown).await?;
                let seen = list.objects.iter().zip(values).map(|(object, value)| self.restored(object, value));
                list.objects = seen.collect();
                list.endpoint = self.shown.clone();
                Answer::List(list)
            }
            Answer::Watch(mut watch) => {
                let conversion = self.clone();
                watch.endpoint = self.shown.clone();
                watch.events = watch
                    .events
                    .then(move |event| {
                        let conversion = conversion.clone();
                        async move { conversion.event(event).await }
                    })
                    .boxed();
                Answer::Watch(watch)
            }
            other => other,
        })
    }

    async fn event(&self, event: WatchEvent) -> WatchEvent {
        let WatchEvent::Object { kind, object, .. } = event else { return event };
        match self.seen(&object).await {
            Ok(object) => WatchEvent::Object { kind, endpoint: self.shown.clone(), object },
            Err(status) => WatchEvent::Error(Box::new(status)),
        }
    }

    /// A stored object in the client's version, at the same revision.
    async fn seen(&self, object: &Arc<Stored>) -> Result<Arc<Stored>, Status> {
        let value = self.convert_one(object.whole(), &self.shown).await?;
        Ok(self.restored(object, value))
    }

    fn restored(&self, object: &Stored, value: Value) -> Arc<Stored> {
        Arc::new(object.with_value(value, self.shown.head(), self.shown.resource.style()))
    }

    /// A client's document in the version of storage.
    async fn stored(&self, object: Value) -> Result<Value, Status> {
        let mut object = self.convert_one(object, &self.storage).await?;
        self.registry.shape(&self.storage, &mut object)?;
        Ok(object)
    }

    async fn convert_one(&self, object: Value, to: &Endpoint) -> Result<Value, Status> {
        let converted = self.convert(vec![object], to).await?;
        converted.into_iter().next().ok_or_else(|| Status::internal("a conversion webhook returned no object"))
    }

    /// Objects in a version, those that are in it already as they are.
    async fn convert(&self, mut objects: Vec<Value>, to: &Endpoint) -> Result<Vec<Value>, Status> {
        let desired = to.api_version();
        let is_other = |object: &Value| meta::api_version(object) != desired;
        let others: Vec<Value> = objects.iter().filter(|object| is_other(object)).cloned().collect();
        let mut converted = self.ask(others, to).await?.into_iter();
        for object in objects.iter_mut().filter(|object| is_other(object)) {
            *object = converted.next().unwrap_or_default();
        }
        Ok(objects)
    }

    /// Asks the webhook. Of the metadata it may change labels and annotations only.
    async fn ask(&self, mut objects: Vec<Value>, to: &Endpoint) -> Result<Vec<Value>, Status> {
        let Some(first) = objects.first() else { return Ok(objects) };
        let desired = to.api_version();
        let from = format!("{}, Kind={}", meta::api_version(first), meta::kind(first));
        let failed =
            |why: &str| Status::failure(Reason::Unknown, format!("conversion webhook for {from} failed: {why}"));
        let uid = self.registry.clock.uid();
        let review = json!({
            "kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
            "request": {"uid": uid, "desiredAPIVersion": desired, "objects": objects},
        });
        let answer = call_webhook(&self.registry, &self.client_config, &review, TIMEOUT).await;
        let answer = answer.map_err(|why| failed(&why))?;
        let response = answer.get("response").ok_or_else(|| failed("the response is absent"))?;
        if response["uid"] != uid.as_str() {
            return Err(failed("the response is for another request"));
        }
        if response.pointer("/result/status").is_none_or(|status| status != "Success") {
            let why = response.pointer("/result/message").and_then(Value::as_str).unwrap_or("without explanation");
            return Err(failed(why));
        }
        let converted = response.get("convertedObjects").and_then(Value::as_array).cloned().unwrap_or_default();
        if converted.len() != objects.len() {
            let why = format!("returned {} objects, expected {}", converted.len(), objects.len());
            return Err(failed(&why));
        }
        for (object, mut new) in objects.iter_mut().zip(converted) {
            if meta::api_version(&new) != desired || meta::kind(&new) != to.definition().kind {
                return Err(failed(&format!(
                    "returned an object of {}, Kind={}",
                    meta::api_version(&new),
                    meta::kind(&new)
                )));
            }
            let mut metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
            for member in ["labels", "annotations"] {
                match (meta::metadata_mut(&mut new).and_then(|new| new.remove(member)), metadata.as_object_mut()) {
                    (Some(value), Some(metadata)) => drop(metadata.insert(member.to_owned(), value)),
                    (None, Some(metadata)) => drop(metadata.remove(member)),
                    (_, None) => {}
                }
            }
            new["metadata"] = metadata;
            *object = new;
        }
        Ok(objects)
    }

    /// Changes an object as a patch in the client's version says.
    async fn patch(&self, call: &Call, body: Body) -> Result<Answer, Status> {
        let media_type = patch::accepted(call)?;
        let bytes = read_body(body, call.patience).await?;
        let target = self.target(call);
        if media_type == MediaType::ApplyPatch {
            return self.apply(call, &bytes).await;
        }
        let (patch, _) = patch::decode(media_type, &bytes)?;
        for _ in 0..ATTEMPTS_MAX {
            let current = self.registry.get(&self.storage, target.namespace, target.name)?;
            let object = self.patched(call, &patch, &current).await?;
            let transform = |_: &Stored| Ok(object.clone());
            match self.registry.update(target, Source::Patch, &transform, &call.context).await {
                Err(status) if status.reason() == Reason::Conflict => {}
                updated => return updated.map(|updated| one(200, call, updated)),
            }
        }
        Err(Status::modified(&self.storage.group_resource(), target.name))
    }

    /// The patched object in the version of storage. Its revision is that of the object that was patched.
    async fn patched(&self, call: &Call, patch: &Patch, current: &Arc<Stored>) -> Result<Value, Status> {
        let seen = self.convert_one(current.whole(), &self.shown).await?;
        let (name, namespace) = (meta::name(&seen).to_owned(), meta::namespace(&seen).to_owned());
        let mut object = apply_patch(patch, seen.clone(), None)?;
        if meta::metadata_mut(&mut object).is_none()
            || meta::name(&object) != name
            || meta::namespace(&object) != namespace
        {
            return Err(Status::bad_request("the patch changes which object this is"));
        }
        self.registry.shape(&self.shown, &mut object)?;
        let object = self.owned(call, Some(seen), object).await?;
        let mut object = self.stored(object).await?;
        if meta::resource_version(&object).is_empty() {
            meta::set(&mut object, "resourceVersion", meta::resource_version(current.value()));
        }
        Ok(object)
    }
}
