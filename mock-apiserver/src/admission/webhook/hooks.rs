//! Which webhooks there are, and which of them a write is for.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use machinery::{field::quote, meta, status::Status};
use serde_json::{Value, json};

use super::{
    super::{
        authorizer,
        conditions::Conditions,
        expression::Inputs,
        matching::Matcher,
        request::{document, seen},
    },
    client,
    review::{self, Answer},
};
use crate::{
    catalog::Endpoint,
    registry::{Admitted, Registry},
    storage::{Snapshot, Stored},
};

/// How long a webhook may take that does not say.
const TIMEOUT_SECONDS: u64 = 10;

/// A webhook.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: String,
    /// What tells it apart from others.
    pub(super) key: String,
    configuration: String,
    matcher: Result<Matcher, String>,
    conditions: Conditions,
    client_config: Value,
    timeout: Duration,
    /// Whether a webhook that does not answer refuses the write.
    fails: bool,
    side_effects: String,
    version: &'static str,
    /// Wants to see the object again when others change it.
    pub(super) reinvoked: bool,
}

/// The webhooks at one moment, in the order in which they are asked.
#[derive(Debug, Default)]
pub(super) struct Set {
    revision: u64,
    pub(super) hooks: Vec<Hook>,
}

/// The webhooks of one kind.
pub(super) struct Hooks {
    plural: &'static str,
    set: ArcSwap<Set>,
}

/// A webhook that is to be asked.
pub(super) struct Call<'h> {
    pub(super) hook: &'h Hook,
    /// The version in which it sees the write.
    pub(super) endpoint: Endpoint,
}

/// What is written down about a webhook that may change objects.
#[derive(serde::Serialize)]
struct Mutation<'a> {
    configuration: &'a str,
    webhook: &'a str,
    mutated: bool,
}

/// Why a webhook was not asked, or gave no answer that could be used.
pub(super) enum Unanswered {
    /// It could not be reached, or does not speak as it should.
    Failed(String),
    /// It must not be asked.
    Refused(Box<Status>),
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

impl Hook {
    fn new(configuration: &Value, index: usize, webhook: &Value) -> Self {
        let versions = webhook.get("admissionReviewVersions").and_then(Value::as_array);
        let wanted = versions.into_iter().flatten().filter_map(Value::as_str);
        let version = wanted.filter_map(review::known_version).next().unwrap_or("v1");
        Self {
            name: text(webhook, "name").to_owned(),
            configuration: meta::name(configuration).to_owned(),
            key: format!("{}/{index}", meta::uid(configuration)),
            matcher: Matcher::of_webhook(webhook),
            conditions: Conditions::compile(webhook, false),
            client_config: webhook.get("clientConfig").cloned().unwrap_or_default(),
            timeout: Duration::from_secs(
                webhook.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(TIMEOUT_SECONDS).clamp(1, 30),
            ),
            fails: text(webhook, "failurePolicy") != "Ignore",
            side_effects: text(webhook, "sideEffects").to_owned(),
            version,
            reinvoked: text(webhook, "reinvocationPolicy") == "IfNeeded",
        }
    }

    /// The call to make for a write, if it is one that the webhook is about.
    pub(super) fn call(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<Option<Call<'_>>, Status> {
        let found = self.matcher.as_ref().map_err(Clone::clone).and_then(|matcher| matcher.find(write, object));
        let Some(endpoint) = found.map_err(Status::internal)? else { return Ok(None) };
        let shown = object.map(|object| seen(write, &endpoint, object));
        let old = write.old.map(|old| seen(write, &endpoint, old));
        let request = document(write, &endpoint, object);
        let inputs = Inputs {
            object: shown.as_deref(),
            old: old.as_deref(),
            params: None,
            request: &request,
            namespace: None,
            authorizer: authorizer::of(write),
        };
        match self.conditions.hold(&inputs) {
            Ok(true) => Ok(Some(Call { hook: self, endpoint })),
            Ok(false) => Ok(None),
            Err(_) if !self.fails => Ok(None),
            Err(why) => Err(write.forbidden(object, &why)),
        }
    }

    /// Says whether the webhook changed the object, and how, to those who read what was written down.
    pub(super) fn annotate(&self, write: &Admitted<'_>, at: usize, patch: Option<&Value>, changed: bool) {
        let Some(notes) = &write.context.notes else { return };
        let place = format!("webhook.admission.k8s.io/round_{}_index_{at}", write.rounds.number());
        let (configuration, webhook) = (&self.configuration, &self.name);
        if let Some(patch) = patch.filter(|_| changed && notes.hears()) {
            let told =
                json!({"configuration": configuration, "webhook": webhook, "patch": patch, "patchType": "JSONPatch"});
            notes.annotate(&format!("patch.{place}"), told.to_string());
        }
        let told = Mutation { configuration, webhook, mutated: changed };
        notes.annotate(&format!("mutation.{place}"), serde_json::to_string(&told).unwrap_or_default());
    }

    /// Says that the webhook did not answer, and that it did not matter.
    pub(super) fn annotate_failure(&self, write: &Admitted<'_>, kind: &str, at: usize) {
        let place = format!("failed-open.{kind}.webhook.admission.k8s.io/round_{}_index_{at}", write.rounds.number());
        write.context.annotate(&place, self.name.as_str());
    }

    /// What follows from a webhook that gave no answer: nothing when it is not to fail.
    pub(super) fn unanswered(&self, unanswered: Unanswered) -> Result<(), Status> {
        match unanswered {
            Unanswered::Refused(status) => Err(*status),
            Unanswered::Failed(why) if self.fails => {
                Err(Status::internal(format!("failed calling webhook {}: {why}", quote(&self.name))))
            }
            Unanswered::Failed(why) => {
                tracing::debug!(webhook = self.name, why, "a webhook failed, and the write goes on");
                Ok(())
            }
        }
    }

    /// What follows from an answer: a refusal, or the operations of the patch that the webhook wants, if any.
    pub(super) fn settle(
        &self,
        write: &Admitted<'_>,
        answer: Result<Answer, Unanswered>,
    ) -> Result<Option<Value>, Status> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(unanswered) => return self.unanswered(unanswered).map(|()| None),
        };
        for (key, text) in answer.annotations {
            write.context.annotate(&format!("{}/{key}", self.name), text);
        }
        for warning in answer.warnings {
            write.context.warn(warning);
        }
        match answer.denied {
            Some(result) => Err(review::denied(&self.name, &result)),
            None => Ok(answer.patch),
        }
    }
}

impl Call<'_> {
    /// A failure of this call.
    pub(super) fn failed(&self, why: &str) -> Unanswered {
        Unanswered::Failed(why.to_owned())
    }

    /// Asks the webhook.
    pub(super) async fn ask(&self, write: &Admitted<'_>, object: Option<&Value>) -> Result<Answer, Unanswered> {
        let hook = self.hook;
        if write.dry_run() && !matches!(hook.side_effects.as_str(), "None" | "NoneOnDryRun") {
            let why = format!("admission webhook {} does not support dry run", quote(&hook.name));
            return Err(Unanswered::Refused(Box::new(Status::bad_request(why))));
        }
        let uid = write.registry.clock.uid();
        let mut request = document(write, &self.endpoint, object);
        request["uid"] = uid.as_str().into();
        request["object"] = object.map_or(Value::Null, |object| seen(write, &self.endpoint, object).into_owned());
        request["oldObject"] = write.old.map_or(Value::Null, |old| seen(write, &self.endpoint, old).into_owned());
        let review = review::question(hook.version, request);
        let answer = client::post(write.registry, &hook.client_config, &review, hook.timeout).await;
        let answer = answer.map_err(|why| self.failed(&format!("failed to call webhook: {why}")))?;
        review::read(hook.version, &uid, &answer).map_err(|why| self.failed(&why))
    }
}

impl Hooks {
    pub(super) fn new(plural: &'static str) -> Self {
        Self { plural, set: ArcSwap::default() }
    }

    fn snapshot(&self, registry: &Registry) -> Option<Arc<Snapshot>> {
        let endpoint = registry.catalog.endpoint("admissionregistration.k8s.io", "v1", self.plural)?;
        Some(endpoint.resource.space().snapshot()).filter(|snapshot| !snapshot.is_empty())
    }

    /// True when there are no webhooks.
    pub(super) fn is_empty(&self, registry: &Registry) -> bool {
        self.snapshot(registry).is_none()
    }

    /// The webhooks as they are now: configurations by name, and within each in its own order.
    pub(super) fn current(&self, registry: &Registry) -> Option<Arc<Set>> {
        let snapshot = self.snapshot(registry)?;
        let known = self.set.load_full();
        if known.revision == snapshot.revision() {
            return Some(known);
        }
        let hooks = snapshot.range("", None).map(Arc::as_ref).map(Stored::value).flat_map(|configuration| {
            let webhooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
            webhooks.enumerate().map(|(index, webhook)| Hook::new(configuration, index, webhook))
        });
        let set = Arc::new(Set { revision: snapshot.revision(), hooks: hooks.collect() });
        self.set.store(set.clone());
        Some(set)
    }
}
