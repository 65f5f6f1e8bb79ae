//! What only pods have: binding to a node, and eviction.

use std::sync::Arc;

use machinery::{
    field::quote,
    meta,
    names::{GroupResource, GroupVersionKind},
    selector::label,
    status::{Cause, Details, Reason, Status},
    time,
};
use serde_json::{Value, json};

use super::{
    Context, Registry,
    admission::Operation,
    create::unwrapped,
    delete::check_preconditions,
    update::{Owners, Target},
};
use crate::{request::DeleteOptions, storage::Stored};

/// Most entries of `status.disruptedPods`: upstream's `MaxDisruptedPodSize`.
const DISRUPTED_PODS_MAX: usize = 2000;

/// How often a write is tried again when others write the same object meanwhile.
const ATTEMPTS_MAX: usize = 1000;

impl Registry {
    /// Changes a stored object as it is, past its strategy: for what the server itself writes into it.
    async fn rewrite(
        &self,
        target: Target<'_>,
        dry_run: bool,
        change: &(dyn Fn(&mut Value) -> Result<(), Status> + Send + Sync),
    ) -> Result<Arc<Stored>, Status> {
        for _ in 0..ATTEMPTS_MAX {
            let current = self.get(target.endpoint, target.namespace, target.name)?;
            let mut object = current.value().clone();
            change(&mut object)?;
            if let Some(written) = self.replace(target.endpoint, object, &current, Owners::Kept, dry_run).await? {
                return Ok(written);
            }
        }
        Err(Status::modified(&target.endpoint.group_resource(), target.name))
    }

    /// Binds a pod to a node, as a Binding says. It is admitted at `asked`: the pod, or the collection of bindings.
    pub(crate) async fn bind(
        &self,
        target: Target<'_>,
        asked: Target<'_>,
        binding: &Value,
        context: &Context,
    ) -> Result<(), Status> {
        let name = meta::name(binding);
        if name != target.name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let kind = binding.pointer("/target/kind").and_then(Value::as_str).unwrap_or_default();
        let node = binding.pointer("/target/name").and_then(Value::as_str).unwrap_or_default();
        check_target(kind, node)?;
        let kind = GroupVersionKind::new("", "v1", "Binding");
        let mut shown = binding.clone();
        meta::set(&mut shown, "namespace", target.namespace);
        self.admit_about(Operation::Create, asked, &kind, &mut shown, context).await?;
        let now = time::format_seconds(self.clock.now());
        let gives_labels = self.feature_gates.enabled("PodTopologyLabelsAdmission");
        self.rewrite(target, context.options.dry_run, &|pod| {
            assign(target, pod, &shown, node, &now)?;
            if gives_labels {
                meta::labels(&shown).for_each(|(key, value)| pod["metadata"]["labels"][key] = value.into());
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Evicts a pod, if its disruption budget allows.
    pub(crate) async fn evict(
        &self,
        target: Target<'_>,
        options: &DeleteOptions,
        context: &Context,
    ) -> Result<(), Status> {
        let pod = self.get(target.endpoint, target.namespace, target.name)?;
        let phase = pod.value().pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let ignores_budget =
            matches!(phase, "Pending" | "Succeeded" | "Failed") || meta::deletion_timestamp(pod.value()).is_some();
        if !ignores_budget {
            self.charge_budget(&pod, options.dry_run).await?;
        }
        let now = time::format_seconds(self.clock.now());
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now,
        });
        let mut options = options.clone();
        let told = self
            .rewrite(target, options.dry_run, &|pod| {
                if !options.dry_run {
                    check_preconditions(target, &options, pod)?;
                }
                set_condition(pod, condition.clone());
                Ok(())
            })
            .await?;
        if !options.dry_run && options.resource_version.is_some() {
            // It was the eviction itself that changed the pod meanwhile.
            options.resource_version = Some(meta::resource_version(told.value()).to_owned());
        }
        self.delete_evicted(Target { subresource: "", ..target }, &options, context).await.map(drop)
    }

    /// Takes one disruption from the budget of a pod, if it has one.
    async fn charge_budget(&self, pod: &Stored, dry_run: bool) -> Result<(), Status> {
        let Some(endpoint) = self.catalog.endpoint("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
        let namespace = meta::namespace(pod.value());
        let snapshot = endpoint.resource.space().snapshot();
        let prefix = format!("{namespace}/");
        let budgets: Vec<&Arc<Stored>> = snapshot
            .range(&prefix, None)
            .filter(|budget| {
                let selector = budget.value().pointer("/spec/selector");
                label::Selector::from_json(selector).is_ok_and(|selector| selector.matches_object(pod.value()))
            })
            .collect();
        let budget = match budgets.as_slice() {
            [] => return Ok(()),
            [budget] => *budget,
            _ => {
                return Err(unwrapped(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
                        .to_owned(),
                ));
            }
        };
        if !is_ready(pod.value()) && spares_unhealthy(budget.value()) {
            return Ok(());
        }
        let name = meta::name(budget.value());
        let target = Target { endpoint: &endpoint, namespace, name, subresource: "status" };
        let now = time::format_seconds(self.clock.now());
        self.rewrite(target, dry_run, &|budget| disrupt(budget, meta::name(pod.value()), &now)).await.map(drop)
    }
}

/// What is wrong with where a pod shall go; upstream wraps it in nothing.
fn check_target(kind: &str, node: &str) -> Result<(), Status> {
    use machinery::field::{Error, Path};
    let path = Path::new("target");
    let mut errors = Vec::new();
    if !kind.is_empty() && kind != "Node" {
        errors.push(Error::not_supported(&path.child("kind"), &kind.into(), &["Node", "<empty>"]));
    }
    if node.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    match errors.as_slice() {
        [] => Ok(()),
        [only] => Err(unwrapped(only.to_string())),
        many => Err(unwrapped(format!("[{}]", many.iter().map(Error::to_string).collect::<Vec<_>>().join(", ")))),
    }
}

/// Puts a pod on a node.
fn assign(target: Target<'_>, pod: &mut Value, binding: &Value, node: &str, now: &str) -> Result<(), Status> {
    let resource = GroupResource::new("", "pods/binding");
    let conflict = |why: String| Err(Status::conflict(&resource, target.name, &why));
    let preconditions = [
        ("UID", meta::uid(binding), meta::uid(pod)),
        ("ResourceVersion", meta::resource_version(binding), meta::resource_version(pod)),
    ];
    if let Some((what, wanted, present)) =
        preconditions.into_iter().find(|(_, wanted, present)| !wanted.is_empty() && wanted != present)
    {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /pods/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: {what} in precondition: {wanted}, {what} in object meta: {present}",
            target.namespace, target.name,
        );
        return Err(Status::conflict(&GroupResource::new("", "pods"), target.name, &why));
    }
    if meta::deletion_timestamp(pod).is_some() {
        return conflict(format!("pod {} is being deleted, cannot be assigned to a host", target.name));
    }
    let present = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if !present.is_empty() {
        return conflict(format!("pod {} is already assigned to node {}", target.name, quote(present)));
    }
    let gates = pod.pointer("/spec/schedulingGates").and_then(Value::as_array).map_or(0, Vec::len);
    if gates > 0 {
        return conflict(format!("pod {} has non-empty .spec.schedulingGates", target.name));
    }
    pod["spec"]["nodeName"] = node.into();
    for (key, value) in meta::annotations(binding) {
        pod["metadata"]["annotations"][key] = value.into();
    }
    if let Some(status) = pod.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("nominatedNodeName");
    }
    set_condition(
        pod,
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
    );
    Ok(())
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a budget lets pods go that are not ready: it says so, or has as many healthy ones as it wants without them.
fn spares_unhealthy(budget: &Value) -> bool {
    if budget.pointer("/spec/unhealthyPodEvictionPolicy").is_some_and(|policy| policy == "AlwaysAllow") {
        return true;
    }
    let number = |pointer: &str| budget.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let wanted = number("/status/desiredHealthy");
    wanted > 0 && number("/status/currentHealthy") >= wanted
}

/// Sets a condition of an object.
fn set_condition(pod: &mut Value, condition: Value) {
    if !pod.get("status").is_some_and(Value::is_object) {
        pod["status"] = json!({});
    }
    let mut conditions = pod["status"].get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    match conditions.iter_mut().find(|known| known["type"] == condition["type"]) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
    pod["status"]["conditions"] = conditions.into();
}

/// Takes one disruption from a budget.
fn disrupt(budget: &mut Value, pod: &str, now: &str) -> Result<(), Status> {
    let number = |pointer: &str| budget.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let refuse = |seconds: u32, cause: String| {
        let cause = Cause { reason: "DisruptionBudget".to_owned(), message: cause, field: String::new() };
        Err(Status::failure(
            Reason::TooManyRequests,
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .with_details(Details { causes: vec![cause], retry_after_seconds: seconds, ..Details::default() }))
    };
    let name = meta::name(budget).to_owned();
    if number("/status/observedGeneration") < meta::generation(budget) {
        return refuse(10, format!("The disruption budget {name} is still being processed by the server."));
    }
    let allowed = number("/status/disruptionsAllowed");
    if allowed <= 0 {
        let (needed, healthy) = (number("/status/desiredHealthy"), number("/status/currentHealthy"));
        return refuse(
            0,
            format!("The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"),
        );
    }
    let disrupted = budget.pointer("/status/disruptedPods").and_then(Value::as_object).map_or(0, serde_json::Map::len);
    if disrupted >= DISRUPTED_PODS_MAX {
        return refuse(10, format!("The disruption budget {name} has too many pods that are being disrupted"));
    }
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    if allowed == 1 {
        let generation = meta::generation(budget);
        set_condition(
            budget,
            json!({
                "type": "DisruptionAllowed", "status": "False", "observedGeneration": generation,
                "lastTransitionTime": now, "reason": "InsufficientPods", "message": "",
            }),
        );
    }
    budget["status"]["disruptedPods"][pod] = now.into();
    Ok(())
}
