//! volcano-admission: what Volcano's webhooks fill in and refuse.

mod install;
mod jobs;
mod policies;
mod queues;

use std::sync::Arc;

use cluster::{Kind, Writer};
use futures::future::BoxFuture;
use machinery::meta;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::QUEUE;
use crate::webhook::{self, Answers, Operation, Refusal, Review, Verdict};

/// In whose name the webhooks are configured.
const COMPONENT: &str = "volcano-admission";

/// Starts the webhooks, and has the API server call them.
///
/// # Errors
/// They cannot listen, or the cluster does not take their configuration.
pub(crate) async fn start(client: &kube::Client, until: CancellationToken) -> anyhow::Result<()> {
    let writer = Writer::new(client.clone(), COMPONENT);
    let name = format!("{}.{}.svc", install::SERVICE, install::NAMESPACE);
    let listening = webhook::start(&name, Arc::new(Admission { writer: writer.clone() }), until).await?;
    install::configure(&writer, &listening).await
}

/// The webhooks at work.
struct Admission {
    writer: Writer,
}

impl Admission {
    async fn review(&self, path: &str, review: &Review) -> Verdict {
        match (path, review.operation) {
            (install::MUTATE_JOBS, Operation::Create) => Verdict::Changed(jobs::with_defaults(&review.object)),
            (install::VALIDATE_JOBS, Operation::Create) => {
                let queues = self.queues().await;
                verdict(jobs::check(&review.object, &queues))
            }
            (install::VALIDATE_JOBS, Operation::Update) => verdict(jobs::check_change(&review.object, &review.old)),
            (install::MUTATE_QUEUES, Operation::Create) => Verdict::Changed(queues::with_defaults(&review.object)),
            (install::VALIDATE_QUEUES, Operation::Create | Operation::Update) => {
                let old = (review.operation == Operation::Update).then_some(&review.old);
                verdict(queues::check(&review.object, old, &self.queues().await))
            }
            (install::VALIDATE_QUEUES, Operation::Delete) => {
                let queues = self.queues().await;
                verdict(queues::check_deletion(meta::name(&review.old), &queues))
            }
            (install::MUTATE_GROUPS, Operation::Create) => Verdict::Changed(group_with_defaults(&review.object)),
            (install::VALIDATE_GROUPS, Operation::Create) => {
                let queue = review.object["spec"]["queue"].as_str().unwrap_or_default();
                verdict(jobs::check_queue_of_group(queue, &self.queues().await))
            }
            _ => Verdict::Allowed,
        }
    }

    /// All queues.
    async fn queues(&self) -> Vec<Value> {
        let queues = self.writer.list(QUEUE).await;
        queues.unwrap_or_else(|error| {
            tracing::debug!(%error, "queues are not known");
            Vec::new()
        })
    }
}

/// A group without a queue is in the default one.
fn group_with_defaults(group: &Value) -> Value {
    let mut object = group.clone();
    if object["spec"]["queue"].as_str().is_none_or(str::is_empty) {
        object["spec"]["queue"] = Value::from("default");
    }
    object
}

fn verdict(checked: Result<(), String>) -> Verdict {
    match checked {
        Ok(()) => Verdict::Allowed,
        Err(why) => Verdict::Refused(Refusal::because(why.trim())),
    }
}

/// The queue of a name.
fn find<'a>(queues: &'a [Value], name: &str) -> Option<&'a Value> {
    queues.iter().find(|queue| meta::name(queue) == name)
}

/// The queues right below one.
fn below<'a>(queues: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    queues.iter().filter(move |queue| queue["spec"]["parent"] == name)
}

/// What is said of a queue that is not there.
fn missing(name: &str) -> String {
    let kind: Kind = QUEUE;
    format!("{}.{} \"{name}\" not found", kind.plural, kind.group)
}

impl Answers for Admission {
    fn review<'a>(&'a self, path: &'a str, review: &'a Review) -> BoxFuture<'a, Verdict> {
        Box::pin(Admission::review(self, path, review))
    }
}
