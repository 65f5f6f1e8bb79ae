//! Admission webhooks: servers that are asked about writes.

mod client;
mod hooks;
mod review;

pub(crate) use client::post as call_webhook;

use futures::future::{BoxFuture, join_all};
use machinery::{field::quote, meta, status::Status};
use patch::json::Patch;
use serde_json::Value;

use self::hooks::{Call, Hooks, Unanswered};
use super::{
    matching::is_exempt,
    request::{absorb, seen},
};
use crate::registry::{Admission, Admitted};

/// What the mutating plug-in remembers its hooks by.
const PLUGIN: &str = "MutatingAdmissionWebhook";

/// Asks the mutating webhooks, one after the other.
pub(crate) struct MutatingWebhooks(Hooks);

/// Asks the validating webhooks, all at once.
pub(crate) struct ValidatingWebhooks(Hooks);

impl MutatingWebhooks {
    pub(crate) fn new() -> Self {
        Self(Hooks::new("mutatingwebhookconfigurations"))
    }

    async fn change(&self, write: &Admitted<'_>, object: &mut Value) -> Result<(), Status> {
        let Some(set) = self.0.current(write.registry).filter(|_| !is_exempt(write)) else { return Ok(()) };
        write.rounds.begin(PLUGIN, object);
        for (at, hook) in set.hooks.iter().enumerate() {
            let Some(call) = hook.call(write, Some(object))? else { continue };
            if !write.rounds.calls(PLUGIN, &hook.key) {
                continue;
            }
            let answer = call.ask(write, Some(object)).await;
            if matches!(answer, Err(Unanswered::Failed(_))) {
                hook.annotate_failure(write, "mutation", at);
            }
            let operations = hook.settle(write, answer)?;
            let changed = match &operations {
                Some(operations) => change(write, &call, object, operations.clone())?,
                None => false,
            };
            hook.annotate(write, at, operations.as_ref(), changed);
            if changed {
                write.rounds.changed(PLUGIN);
            }
            if hook.reinvoked {
                write.rounds.may_call_again(PLUGIN, &hook.key);
            }
        }
        write.rounds.end(PLUGIN, object);
        Ok(())
    }

    async fn hear(&self, write: &Admitted<'_>) -> Result<(), Status> {
        let Some(set) = self.0.current(write.registry).filter(|_| !is_exempt(write)) else { return Ok(()) };
        for hook in &set.hooks {
            let Some(call) = hook.call(write, None)? else { continue };
            let answer = call.ask(write, None).await;
            if hook.settle(write, answer)?.is_some() {
                return Err(Status::internal(format!("admission webhook {} {NO_OBJECT}", quote(&hook.name))));
            }
        }
        Ok(())
    }
}

/// Why a patch for a delete is not taken.
const NO_OBJECT: &str = "attempted to modify the object, which is not supported for this operation";

/// Changes the object as a webhook wants. False when nothing changes.
fn change(write: &Admitted<'_>, call: &Call<'_>, object: &mut Value, operations: Value) -> Result<bool, Status> {
    let patch = match Patch::parse(operations) {
        Ok(patch) => patch,
        Err(error) => {
            // The type that is read is another one here.
            let why = error.to_string().replace("[]handlers.jsonPatchOp", "jsonpatch.Patch");
            return call.hook.unanswered(call.failed(&review::undecodable(&why))).map(|()| false);
        }
    };
    if patch.is_empty() {
        return Ok(false);
    }
    let document = seen(write, &call.endpoint, object).into_owned();
    let patched = patch.apply(document).map_err(Status::internal)?;
    let (version, kind) = (meta::api_version(&patched), meta::kind(&patched));
    if (version, kind) != (meta::api_version(object), meta::kind(object))
        && write.kind.is_none()
        && !is_of(call, version, kind)
    {
        return Err(Status::internal(unregistered(
            kind,
            version,
            "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30",
        )));
    }
    let after = absorb(write, &call.endpoint, patched).map_err(|status| {
        let why = status.message.split_once(" cannot be handled as a ").and_then(|(_, rest)| rest.split_once(": "));
        Status::internal(why.map_or(status.message.as_str(), |(_, why)| why))
    })?;
    let changed = after != *object;
    *object = after;
    Ok(changed)
}

/// Whether a document is what the webhook was shown.
fn is_of(call: &Call<'_>, version: &str, kind: &str) -> bool {
    (version, kind) == (call.endpoint.api_version().as_str(), &*call.endpoint.definition().kind)
}

/// What Go says of a kind that a scheme does not have; a scheme is called after the line that makes it.
fn unregistered(kind: &str, version: &str, scheme: &str) -> String {
    format!("no kind {} is registered for version {} in scheme {}", quote(kind), quote(version), quote(scheme))
}

impl Admission for MutatingWebhooks {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        if self.0.is_empty(write.registry) {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.change(write, object))
    }

    fn mutate_delete<'a>(&'a self, write: &'a Admitted<'a>) -> BoxFuture<'a, Result<(), Status>> {
        if self.0.is_empty(write.registry) {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.hear(write))
    }
}

impl ValidatingWebhooks {
    pub(crate) fn new() -> Self {
        Self(Hooks::new("validatingwebhookconfigurations"))
    }

    async fn check(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<(), Status> {
        let Some(set) = self.0.current(write.registry).filter(|_| !is_exempt(write)) else { return Ok(()) };
        let mut calls = Vec::new();
        for hook in &set.hooks {
            calls.extend(hook.call(write, object)?);
        }
        let answers = join_all(calls.iter().map(|call| call.ask(write, object))).await;
        for (at, (call, answer)) in calls.iter().zip(answers).enumerate() {
            if matches!(answer, Err(Unanswered::Failed(_))) {
                call.hook.annotate_failure(write, "validating", at);
            }
            if call.hook.settle(write, answer)?.is_some() {
                let why = "received invalid webhook response: validating webhook may not return response.patch";
                call.hook.unanswered(call.failed(why))?;
            }
        }
        Ok(())
    }
}

impl Admission for ValidatingWebhooks {
    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        if self.0.is_empty(write.registry) {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.check(write, object))
    }
}
