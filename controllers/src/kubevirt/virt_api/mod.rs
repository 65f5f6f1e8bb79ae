//! virt-api: KubeVirt's webhooks, and `subresources.kubevirt.io`, by which virtctl starts, stops and pauses machines.

mod admission;
mod defaults;
mod devices;
mod install;
mod instances;
mod machines;
mod resources;

use std::sync::Arc;

use cluster::{Key, Writer, write};
use futures::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use machinery::{names::GroupResource, status::Status};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Configuration, INSTANCE, KUBEVIRT, MACHINE};
use crate::webhook::{self, Answers, ApiAnswer, ApiRequest, Operation, Review, Verdict, check_objects};

/// In whose name virt-api writes.
const COMPONENT: &str = "virt-api";
/// Components whose writes webhooks let pass.
const COMPONENTS: [&str; 3] = [COMPONENT, "virt-controller", "virt-handler"];
/// The one instance of KubeVirt.
const KUBEVIRT_KEY: (&str, &str) = ("kubevirt", "kubevirt");
/// The group of subresources.
const GROUP: &str = "subresources.kubevirt.io";
/// Its versions.
const VERSIONS: [&str; 2] = ["v1", "v1alpha3"];

/// Starts virt-api, and has the API server call it.
///
/// # Errors
/// It cannot listen, or the cluster does not take its configuration.
pub(crate) async fn start(client: &kube::Client, until: CancellationToken) -> anyhow::Result<()> {
    let writer = Writer::new(client.clone(), COMPONENT);
    let api = VirtApi { writer: writer.clone(), now: Timestamp::now };
    let listening = webhook::start("virt-api.kubevirt.svc", Arc::new(api), until).await?;
    install::configure(&writer, &listening).await
}

/// What must be objects in a machine for its defaults to be filled in.
const MACHINE_OBJECTS: [&str; 1] = ["spec.template.spec.domain.machine"];
/// And in an instance.
const INSTANCE_OBJECTS: [&str; 11] = [
    "metadata.annotations",
    "spec.domain.machine",
    "spec.domain.memory",
    "spec.domain.cpu",
    "spec.domain.firmware",
    "spec.domain.features",
    "spec.domain.resources",
    "spec.domain.devices.disks.*.disk",
    "spec.domain.devices.disks.*.lun",
    "spec.domain.devices.disks.*.cdrom",
    "spec.volumes.*.containerDisk",
];

/// An object with its defaults, if it is shaped as it should be.
fn filled_in(review: &Review, objects: &[&str], fill_in: impl Fn(&Value) -> Value) -> Verdict {
    match check_objects(&review.object, objects) {
        Ok(()) => Verdict::Changed(fill_in(&review.object)),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

/// virt-api at work.
struct VirtApi {
    writer: Writer,
    now: fn() -> Timestamp,
}

impl VirtApi {
    async fn configuration(&self) -> Configuration {
        let key = Key::new(KUBEVIRT_KEY.0, KUBEVIRT_KEY.1);
        let kubevirt = self.writer.get(KUBEVIRT, &key).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the configuration of KubeVirt is not known");
            None
        });
        Configuration::of(kubevirt.as_ref())
    }

    async fn review(&self, path: &str, review: &Review) -> Verdict {
        let by_kubevirt = COMPONENTS.contains(&review.manager.as_str());
        match (path, review.operation) {
            (install::MUTATE_MACHINE, Operation::Create) => filled_in(review, &MACHINE_OBJECTS, defaults::machine),
            (install::MUTATE_INSTANCE, Operation::Create) => {
                let configuration = self.configuration().await;
                let now = (self.now)();
                filled_in(review, &INSTANCE_OBJECTS, |object| defaults::instance(object, &configuration, now))
            }
            (install::MUTATE_INSTANCE, Operation::Update)
                if !by_kubevirt && review.object["status"] != review.old["status"] =>
            {
                // The kind has no status subresource: what users write there is put back.
                let mut object = review.object.clone();
                object["status"] = review.old["status"].clone();
                Verdict::Changed(object)
            }
            (install::VALIDATE_MACHINE, Operation::Create | Operation::Update) => {
                admission::machine(&review.object, &self.configuration().await)
            }
            (install::VALIDATE_NEW_INSTANCE, Operation::Create) => {
                admission::new_instance(&review.object, &self.configuration().await, by_kubevirt)
            }
            (install::VALIDATE_INSTANCE, Operation::Update) => {
                admission::changed_instance(&review.object, &review.old, by_kubevirt)
            }
            _ => Verdict::Allowed,
        }
    }

    /// Answers below `/apis/subresources.kubevirt.io/VERSION`.
    async fn subresource(&self, version: &str, request: &ApiRequest, rest: &[&str]) -> Option<ApiAnswer> {
        let done = match (&request.method, rest) {
            (&Method::GET, []) => return Some(ok(resources::list(version))),
            (&Method::GET, ["version"]) => return Some(ok(resources::version(self.configuration().await.release))),
            (&Method::GET, ["healthz"]) => return Some(ok(json!({"apiserver": {"connectivity": "ok"}}))),
            (method, ["namespaces", namespace, kind, name, subresource @ ..]) => {
                let key = Key::new(*namespace, *name);
                match *kind {
                    "virtualmachines" => self.machine(method, &key, subresource, &request.body).await,
                    "virtualmachineinstances" => self.instance(method, &key, subresource, &request.body).await,
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(match done? {
            Ok(answer) => answer,
            Err(status) => refused(&status),
        })
    }

    /// The machine of a name.
    async fn find_machine(&self, key: &Key) -> Result<Value, Status> {
        let found = self.writer.get(MACHINE, key).await;
        let found = found.map_err(|error| {
            Status::internal(format!("unable to retrieve vm [{}]: {}", key.name, write::describe(&error)))
        })?;
        found.ok_or_else(|| Status::not_found(&machines(), &key.name))
    }

    /// The instance of a name, if there is one.
    async fn find_instance(&self, key: &Key) -> Result<Option<Value>, Status> {
        let found = self.writer.get(INSTANCE, key).await;
        found.map_err(|error| {
            Status::internal(format!("unable to retrieve vmi [{}]: {}", key.name, write::describe(&error)))
        })
    }
}

/// What a subresource answers; `None` when there is none of that name.
type Answered = Option<Result<ApiAnswer, Status>>;

/// KubeVirt's errors name resources in the singular.
fn machines() -> GroupResource {
    GroupResource::new("kubevirt.io", "virtualmachine")
}

fn instances() -> GroupResource {
    GroupResource::new("kubevirt.io", "virtualmachineinstance")
}

fn ok(body: Value) -> ApiAnswer {
    ApiAnswer { code: 200, body }
}

fn accepted() -> ApiAnswer {
    ApiAnswer { code: 202, body: Value::Null }
}

fn refused(status: &Status) -> ApiAnswer {
    ApiAnswer { code: status.code, body: serde_json::to_value(status).unwrap_or_default() }
}

/// What a failed write means for who asked.
fn unwritten(error: &kube::Error) -> Status {
    match error {
        kube::Error::Api(status) if write::is_conflict(error) => {
            Status::failure(machinery::status::Reason::Conflict, status.message.clone())
        }
        _ => Status::internal(write::describe(error)),
    }
}

impl Answers for VirtApi {
    fn review<'a>(&'a self, path: &'a str, review: &'a Review) -> BoxFuture<'a, Verdict> {
        Box::pin(VirtApi::review(self, path, review))
    }

    fn answer(&self, request: ApiRequest) -> BoxFuture<'_, Option<ApiAnswer>> {
        Box::pin(async move {
            let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
            match path.as_slice() {
                ["apis", GROUP] => Some(ok(resources::group())),
                ["apis", GROUP, version, rest @ ..] if VERSIONS.contains(version) => {
                    self.subresource(version, &request, rest).await
                }
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use testkit::weird::spoilt_worlds;

    use super::*;

    #[test]
    fn whatever_is_sent_is_filled_in_or_refused() {
        let configuration = Configuration::of(None);
        let instance = |object: &Value| defaults::instance(object, &configuration, Timestamp::UNIX_EPOCH);
        for (_, _, spoilt) in spoilt_worlds(10) {
            for object in spoilt {
                let review =
                    Review::read(json!({"request": {"operation": "CREATE", "object": object}})).expect("a review");
                filled_in(&review, &MACHINE_OBJECTS, defaults::machine);
                filled_in(&review, &INSTANCE_OBJECTS, instance);
            }
        }
        for spec in [json!("x"), json!({"domain": 1}), json!({"domain": {"devices": {"disks": ["x"]}}})] {
            let review =
                Review::read(json!({"request": {"operation": "CREATE", "object": {"spec": spec}}})).expect("one");
            assert!(matches!(filled_in(&review, &INSTANCE_OBJECTS, instance), Verdict::Refused(_)), "{spec}");
        }
    }
}
