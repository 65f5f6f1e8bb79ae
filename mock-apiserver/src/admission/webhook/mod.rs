//! Admission webhooks: servers that are asked about writes.

mod client;
mod hooks;
mod review;

pub(crate) use client::post as call_webhook;

use futures::future::{BoxFuture, join_all};
use machinery::status::Status;
use patch::json::Patch;
use serde_json::Value;

use self::hooks::{Call, Hooks};
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
        for hook in &set.hooks {
            let Some(call) = hook.call(write, Some(object))? else { continue };
            if !write.rounds.calls(PLUGIN, &hook.key) {
                continue;
            }
            let answer = call.ask(write, Some(object)).await;
            if let Some(operations) = hook.settle(write, answer)?
                && change(write, &call, object, operations)?
            {
                write.rounds.changed(PLUGIN);
            }
            if hook.reinvoked {
                write.rounds.may_call_again(PLUGIN, &hook.key);
            }
        }
        write.rounds.end(PLUGIN, object);
        Ok(())
    }
}

/// Changes the object as a webhook wants. False when nothing changes.
fn change(write: &Admitted<'_>, call: &Call<'_>, object: &mut Value, operations: Value) -> Result<bool, Status> {
    let undecodable = |error: &dyn std::fmt::Display| {
        call.failed(&format!("received undecodable patch in webhook response: {error}"))
    };
    let patch = match Patch::parse(operations) {
        Ok(patch) => patch,
        Err(error) => return call.hook.unanswered(undecodable(&error)).map(|()| false),
    };
    if patch.is_empty() {
        return Ok(false);
    }
    let document = seen(write, &call.endpoint, object).into_owned();
    let patched = patch.apply(document).map_err(Status::internal)?;
    let after = absorb(write, &call.endpoint, patched).map_err(|status| Status::internal(status.message))?;
    let changed = after != *object;
    *object = after;
    Ok(changed)
}

impl Admission for MutatingWebhooks {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        if self.0.is_empty(write.registry) {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.change(write, object))
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
        for (call, answer) in calls.iter().zip(answers) {
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
