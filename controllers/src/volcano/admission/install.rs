//! How the API server comes to call the webhooks. Names are those of Volcano's chart.

use cluster::{Writer, kind};
use serde_json::{Value, json};

use crate::{install, webhook::Listening};

pub(super) const MUTATE_JOBS: &str = "/jobs/mutate";
pub(super) const VALIDATE_JOBS: &str = "/jobs/validate";
pub(super) const MUTATE_QUEUES: &str = "/queues/mutate";
pub(super) const VALIDATE_QUEUES: &str = "/queues/validate";
pub(super) const MUTATE_GROUPS: &str = "/podgroups/mutate";
pub(super) const VALIDATE_GROUPS: &str = "/podgroups/validate";

pub(super) const NAMESPACE: &str = "volcano-system";
pub(super) const SERVICE: &str = "volcano-admission-service";

/// A webhook: what its configuration is called, its name, its path, and when it is asked about what.
type Hook =
    (&'static str, &'static str, &'static str, &'static [&'static str], (&'static str, &'static str, &'static str));

const JOBS: (&str, &str, &str) = ("batch.volcano.sh", "v1alpha1", "jobs");
const QUEUES: (&str, &str, &str) = ("scheduling.volcano.sh", "v1beta1", "queues");
const GROUPS: (&str, &str, &str) = ("scheduling.volcano.sh", "v1beta1", "podgroups");

const MUTATING: [Hook; 3] = [
    ("volcano-admission-service-jobs-mutate", "mutatejob.volcano.sh", MUTATE_JOBS, &["CREATE"], JOBS),
    ("volcano-admission-service-queues-mutate", "mutatequeue.volcano.sh", MUTATE_QUEUES, &["CREATE"], QUEUES),
    ("volcano-admission-service-podgroups-mutate", "mutatepodgroup.volcano.sh", MUTATE_GROUPS, &["CREATE"], GROUPS),
];

const VALIDATING: [Hook; 3] = [
    ("volcano-admission-service-jobs-validate", "validatejob.volcano.sh", VALIDATE_JOBS, &["CREATE", "UPDATE"], JOBS),
    (
        "volcano-admission-service-queues-validate",
        "validatequeue.volcano.sh",
        VALIDATE_QUEUES,
        &["CREATE", "UPDATE", "DELETE"],
        QUEUES,
    ),
    (
        "volcano-admission-service-podgroups-validate",
        "validatepodgroup.volcano.sh",
        VALIDATE_GROUPS,
        &["CREATE"],
        GROUPS,
    ),
];

/// Has the API server call the webhooks where they listen.
pub(super) async fn configure(writer: &Writer, listening: &Listening) -> anyhow::Result<()> {
    install::apply(writer, kind::SERVICE, &install::local_service(NAMESPACE, SERVICE, listening)).await?;
    let hook = |(_, name, path, operations, (group, version, plural)): &Hook| -> Vec<Value> {
        let rule = json!({
            "apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": [plural],
        });
        vec![install::webhook(name, install::called_at(NAMESPACE, SERVICE, path, listening), rule)]
    };
    for one in &MUTATING {
        install::apply(writer, install::MUTATING_WEBHOOKS, &install::mutating(one.0, hook(one))).await?;
    }
    for one in &VALIDATING {
        install::apply(writer, install::VALIDATING_WEBHOOKS, &install::validating(one.0, hook(one))).await?;
    }
    Ok(())
}
