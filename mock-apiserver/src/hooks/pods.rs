//! What a new pod gets from its cluster: a service account, patience with its node, and a priority.

use std::{collections::BTreeSet, sync::Arc};

use api::builtin;
use futures::future::BoxFuture;
use machinery::{meta, names::GroupResource, status::Status};
use serde_json::{Value, json};

use super::is;
use crate::{
    registry::{Admission, Admitted, Context, Operation, Registry},
    storage::Stored,
};

/// Priority classes that exist from the start and stay: name, value, description.
const SYSTEM_CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

/// Says that a pod stands for one that a kubelet runs on its own account.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Completes new pods: the plug-ins `ServiceAccount`, `DefaultTolerationSeconds` and `Priority`.
pub(crate) struct PodAdmission {
    gives_account: bool,
    gives_tolerations: bool,
    gives_priority: bool,
}

impl PodAdmission {
    /// Everything but the disabled plug-ins.
    pub(crate) fn without(disabled: &BTreeSet<String>) -> Self {
        let is_on = |name| !disabled.contains(name);
        Self {
            gives_account: is_on("ServiceAccount"),
            gives_tolerations: is_on("DefaultTolerationSeconds"),
            gives_priority: is_on("Priority"),
        }
    }
}

impl Admission for PodAdmission {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        // A Binding or an Eviction is created at a pod, too.
        let is_pod = write.kind.is_none() && write.subresource.is_empty() && is(write.endpoint, "", "pods");
        let result = match (write.operation, write.old) {
            (Operation::Create, _) if is_pod => self.complete(write, object),
            (Operation::Update, Some(old)) if is_pod => {
                self.complete_change(object, old);
                Ok(())
            }
            _ => Ok(()),
        };
        Box::pin(std::future::ready(result))
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        if let Some(class) = object.filter(|_| is(write.endpoint, "scheduling.k8s.io", "priorityclasses")) {
            return Box::pin(std::future::ready(check_default(write, class)));
        }
        // Upstream looks at this where one is deleted, which collections do not pass.
        let is_kept = write.operation == Operation::Delete
            && !write.context.in_collection
            && is(write.endpoint, "scheduling.k8s.io", "priorityclasses")
            && SYSTEM_CLASSES.iter().any(|(name, ..)| *name == write.name);
        Box::pin(std::future::ready(if is_kept {
            let resource = write.endpoint.group_resource();
            Err(Status::forbidden(&resource, write.name, "this is a system priority class and cannot be deleted"))
        } else {
            Ok(())
        }))
    }
}

/// There is one default at most.
fn check_default(write: &Admitted<'_>, class: &Value) -> Result<(), Status> {
    if class["globalDefault"] != true {
        return Ok(());
    }
    let classes = write.endpoint.resource.space().snapshot();
    let mut others = classes.range("", None).filter(|other| meta::name(other.value()) != meta::name(class));
    match others.find(|other| other.value()["globalDefault"] == true) {
        None => Ok(()),
        Some(other) => {
            let name = meta::name(other.value());
            let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
            Err(write.forbidden(Some(class), &why))
        }
    }
}

impl PodAdmission {
    fn complete(&self, write: &Admitted<'_>, pod: &mut Value) -> Result<(), Status> {
        builtin::profiles_from_annotations(pod).into_iter().for_each(|warning| write.context.warn(warning));
        let forbidden = |why: &str| Status::forbidden(&GroupResource::new("", "pods"), write.name, why);
        if self.gives_account && meta::annotation(pod, MIRROR).is_some() {
            check_mirror(pod).map_err(forbidden)?;
        } else if self.gives_account
            && let Some(account) = account(write, pod).map_err(|why| forbidden(&why))?
        {
            builtin::use_service_account(pod, account.value(), &write.registry.clock.suffix());
        }
        if self.gives_tolerations {
            builtin::tolerate_short_failures(pod);
        }
        if !self.gives_priority {
            return Ok(());
        }
        let class = class(write.registry, pod).map_err(|why| forbidden(&why))?;
        builtin::set_priority(pod, class.as_ref().map(|class| class.value())).map_err(|why| forbidden(&why))
    }

    /// A pod that is replaced by its manifest keeps what it got when it was new.
    fn complete_change(&self, pod: &mut Value, old: &Value) {
        if self.gives_tolerations {
            builtin::tolerate_short_failures(pod);
        }
        let (Some(spec), true) = (pod.get_mut("spec").and_then(Value::as_object_mut), self.gives_priority) else {
            return;
        };
        for member in ["priority", "preemptionPolicy"] {
            if let (None, Some(value)) = (spec.get(member), old.pointer("/spec").and_then(|spec| spec.get(member))) {
                spec.insert(member.to_owned(), value.clone());
            }
        }
    }
}

/// A pod that a kubelet runs on its own account gets none, and nothing that one has.
fn check_mirror(pod: &Value) -> Result<(), &'static str> {
    if pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).is_some_and(|name| !name.is_empty()) {
        return Err("a mirror pod may not reference service accounts");
    }
    let volumes = || pod.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    if volumes().any(|volume| volume.get("secret").is_some()) {
        return Err("a mirror pod may not reference secrets");
    }
    let projects_token = |volume: &Value| {
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        sources.is_some_and(|sources| sources.iter().any(|source| source.get("serviceAccountToken").is_some()))
    };
    if volumes().any(projects_token) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections");
    }
    Ok(())
}

/// The service account of a pod; none where the server has no such kind.
fn account(write: &Admitted<'_>, pod: &Value) -> Result<Option<Arc<Stored>>, String> {
    let Some(endpoint) = write.registry.catalog.endpoint("", "v1", "serviceaccounts") else { return Ok(None) };
    let named = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = named.unwrap_or(builtin::DEFAULT_SERVICE_ACCOUNT);
    let namespace = write.namespace;
    write.registry.get(&endpoint, namespace, name).map(Some).map_err(|status| {
        format!(
            "error looking up service account {namespace}/{name}: {}",
            status.message.replacen("serviceaccounts", "serviceaccount", 1)
        )
    })
}

/// The priority class that a pod names, or the one that is the default for all.
fn class(registry: &Registry, pod: &Value) -> Result<Option<Arc<Stored>>, String> {
    let Some(classes) = registry.catalog.endpoint("scheduling.k8s.io", "v1", "priorityclasses") else {
        return Ok(None);
    };
    let space = classes.resource.space();
    let named = pod.pointer("/spec/priorityClassName").and_then(Value::as_str).filter(|name| !name.is_empty());
    match named {
        Some(name) => {
            let found = space.get(name);
            found.map(Some).ok_or_else(|| format!("no PriorityClass with name {name} was found"))
        }
        None => Ok(space.snapshot().range("", None).find(|class| class.value()["globalDefault"] == true).cloned()),
    }
}

/// Creates the priority classes that exist from the start.
pub(crate) async fn create_priority_classes(registry: &Registry) -> Result<(), Status> {
    let Some(endpoint) = registry.catalog.endpoint("scheduling.k8s.io", "v1", "priorityclasses") else {
        return Ok(());
    };
    for (name, value, description) in SYSTEM_CLASSES {
        if endpoint.resource.space().get(name).is_some() {
            continue;
        }
        let mut class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
        });
        meta::set(&mut class, "name", name);
        registry.create(&endpoint, "", class, &Context::server("kube-apiserver")).await?;
    }
    Ok(())
}
