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

/// What must be objects in a job for its defaults to be filled in.
const JOB_OBJECTS: [&str; 2] = ["spec", "spec.tasks.*.template.spec"];

/// The webhooks at work.
struct Admission {
    writer: Writer,
}

impl Admission {
    async fn review(&self, path: &str, review: &Review) -> Verdict {
        match (path, review.operation) {
            (install::MUTATE_JOBS, Operation::Create) => changed(review, &JOB_OBJECTS, jobs::with_defaults),
            (install::VALIDATE_JOBS, Operation::Create) => {
                let queues = self.queues().await;
                verdict(jobs::check(&review.object, &queues))
            }
            (install::VALIDATE_JOBS, Operation::Update) => verdict(jobs::check_change(&review.object, &review.old)),
            (install::MUTATE_QUEUES, Operation::Create) => changed(review, &["spec"], queues::with_defaults),
            (install::VALIDATE_QUEUES, Operation::Create | Operation::Update) => {
                let old = (review.operation == Operation::Update).then_some(&review.old);
                verdict(queues::check(&review.object, old, &self.queues().await))
            }
            (install::VALIDATE_QUEUES, Operation::Delete) => {
                let queues = self.queues().await;
                verdict(queues::check_deletion(meta::name(&review.old), &queues))
            }
            (install::MUTATE_GROUPS, Operation::Create) => changed(review, &["spec"], group_with_defaults),
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

/// An object with its defaults, if it is shaped as it should be.
fn changed(review: &Review, objects: &[&str], fill_in: fn(&Value) -> Value) -> Verdict {
    match webhook::check_objects(&review.object, objects) {
        Ok(()) => Verdict::Changed(fill_in(&review.object)),
        Err(refusal) => Verdict::Refused(refusal),
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::weird::spoilt_worlds;

    use super::*;

    #[test]
    fn whatever_is_sent_is_filled_in_or_refused() {
        for (_, _, spoilt) in spoilt_worlds(10) {
            for object in spoilt {
                let review =
                    Review::read(json!({"request": {"operation": "CREATE", "object": object}})).expect("a review");
                changed(&review, &JOB_OBJECTS, jobs::with_defaults);
                changed(&review, &["spec"], queues::with_defaults);
                changed(&review, &["spec"], group_with_defaults);
            }
        }
        for spec in [json!("x"), json!({"tasks": ["x"]}), json!({"tasks": [{"template": {"spec": 1}}]})] {
            let review =
                Review::read(json!({"request": {"operation": "CREATE", "object": {"spec": spec}}})).expect("one");
            assert!(matches!(changed(&review, &JOB_OBJECTS, jobs::with_defaults), Verdict::Refused(_)), "{spec}");
        }
        let most = json!({"spec": {"tasks": [
            {"partitionPolicy": {"minPartitions": i64::MAX, "partitionSize": 2}}, {"minAvailable": i64::MAX},
        ]}});
        assert_eq!(jobs::with_defaults(&most)["spec"]["minAvailable"], i64::MAX);
    }
}
