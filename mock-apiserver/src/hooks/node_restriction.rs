//! The plug-in `NodeRestriction`: what a kubelet writes has to do with its own node and the pods that run there. The authorizer
//! of nodes decides by names; this looks at what is written.

use futures::future::BoxFuture;
use machinery::{field::quote, meta, status::Status};
use serde_json::Value;

use super::{is, pods::MIRROR, token_audience};
use crate::{
    authorization::node_of,
    registry::{Admission, Admitted, Operation},
};

/// Whether kubelets may have tokens made for anybody.
const AUDIENCE_GATE: &str = "ServiceAccountNodeAudienceRestriction";
/// The namespace of the leases of nodes.
const LEASES: &str = "kube-node-lease";
/// Labels by which people keep workloads off nodes.
const RESTRICTED: &str = "node-restriction.kubernetes.io";
/// Labels of Kubernetes that kubelets set (`k8s.io/kubelet/pkg/apis`), and the ends of prefixes with labels that they may set.
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
const KUBELET_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Refuses kubelets what is not theirs.
pub(crate) struct NodeRestriction;

impl NodeRestriction {
    /// The name by which it is asked for.
    pub(crate) const NAME: &str = "NodeRestriction";
}

impl Admission for NodeRestriction {
    fn mutate<'a>(&'a self, write: &'a Admitted<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(std::future::ready(check(write, Some(object))))
    }

    fn validate<'a>(&'a self, write: &'a Admitted<'a>, object: Option<&'a Value>) -> BoxFuture<'a, Result<(), Status>> {
        // Only what is deleted has not been seen before.
        let result = if write.operation == Operation::Delete { check(write, object) } else { Ok(()) };
        Box::pin(std::future::ready(result))
    }
}

fn check(write: &Admitted<'_>, object: Option<&Value>) -> Result<(), Status> {
    let Some(node) = node_of(&write.context.user) else { return Ok(()) };
    let request =
        Request { write, node, object: object.unwrap_or(&Value::Null), old: write.old.unwrap_or(&Value::Null) };
    let endpoint = write.endpoint;
    let result = if is(endpoint, "", "pods") {
        match write.subresource {
            "" => request.pod(),
            "status" => request.pod_status(),
            "eviction" => request.eviction(),
            other => {
                Err(format!("unexpected pod subresource {}, only 'status' and 'eviction' are allowed", quote(other)))
            }
        }
    } else if is(endpoint, "", "nodes") {
        request.node()
    } else if is(endpoint, "", "persistentvolumeclaims") {
        request.claim_status()
    } else if is(endpoint, "", "serviceaccounts") {
        request.token()
    } else if is(endpoint, "coordination.k8s.io", "leases") {
        request.lease()
    } else if is(endpoint, "storage.k8s.io", "csinodes") {
        request.of_same_name("CSINode")
    } else if is(endpoint, "resource.k8s.io", "resourceslices") {
        request.slice()
    } else {
        Ok(())
    };
    result.map_err(|why| write.forbidden(object, &why))
}

/// A write of a kubelet.
struct Request<'a> {
    write: &'a Admitted<'a>,
    /// The name of its node.
    node: &'a str,
    object: &'a Value,
    old: &'a Value,
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

impl Request<'_> {
    fn name(&self) -> &str {
        if self.write.name.is_empty() { meta::name(self.object) } else { self.write.name }
    }

    fn runs_here(&self, pod: &Value) -> bool {
        text(pod, "/spec/nodeName") == self.node
    }

    fn pod(&self) -> Result<(), String> {
        let node = quote(self.node);
        match self.write.operation {
            Operation::Create if self.write.kind.is_none() => self.new_pod(),
            Operation::Delete if self.runs_here(self.old) => Ok(()),
            Operation::Delete => Err(format!("node {node} can only delete pods with spec.nodeName set to itself")),
            other => Err(format!(
                "unexpected operation {}, node {node} can only create and delete mirror pods",
                quote(other.as_str())
            )),
        }
    }

    fn new_pod(&self) -> Result<(), String> {
        let (pod, node) = (self.object, quote(self.node));
        if meta::annotation(pod, MIRROR).is_none() {
            return Err(format!(
                "pod does not have {} annotation, node {node} can only create mirror pods",
                quote(MIRROR)
            ));
        }
        if !self.runs_here(pod) {
            return Err(format!("node {node} can only create pods with spec.nodeName set to itself"));
        }
        self.check_owner(pod)?;
        if !text(pod, "/spec/serviceAccountName").is_empty() {
            return Err(format!("node {node} can not create pods that reference a service account"));
        }
        let spec = &pod["spec"];
        for (members, what) in [
            (&["secret", "secretRef", "secretKeyRef", "imagePullSecrets", "nodePublishSecretRef"][..], "secrets"),
            (&["configMap", "configMapRef", "configMapKeyRef"], "configmaps"),
            (&["clusterTrustBundle"], "clustertrustbundles"),
            (&["persistentVolumeClaim"], "persistentvolumeclaims"),
            (&["resourceClaims"], "resourceclaims"),
        ] {
            if has_member(spec, members) {
                return Err(format!("node {node} can not create pods that reference {what}"));
            }
        }
        Ok(())
    }

    /// A pod of a kubelet belongs to its node, and to nothing else.
    fn check_owner(&self, pod: &Value) -> Result<(), String> {
        let node = quote(self.node);
        let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let owner = match owners {
            [one] => one,
            [] => return Err(format!("node {node} can only create pods with an owner reference set to itself")),
            _ => return Err(format!("node {node} can only create pods with a single owner reference set to itself")),
        };
        if (text(owner, "/apiVersion"), text(owner, "/kind"), text(owner, "/name")) != ("v1", "Node", self.node) {
            return Err(format!("node {node} can only create pods with an owner reference set to itself"));
        }
        if owner["controller"] != true {
            return Err(format!("node {node} can only create pods with a controller owner reference set to itself"));
        }
        if owner["blockOwnerDeletion"] == true {
            return Err(format!("node {node} must not set blockOwnerDeletion on an owner reference"));
        }
        let nodes = self.write.registry.catalog.endpoint("", "v1", "nodes");
        let own = nodes.and_then(|nodes| nodes.resource.space().get(self.node));
        let own = own.ok_or_else(|| format!("error looking up node {} to verify uid: not found", self.node))?;
        let (found, expected) = (text(owner, "/uid"), meta::uid(own.value()));
        if found == expected {
            return Ok(());
        }
        Err(format!("node {} UID mismatch: expected {found} got {expected}", self.node))
    }

    fn pod_status(&self) -> Result<(), String> {
        let node = quote(self.node);
        if !self.runs_here(self.old) {
            return Err(format!("node {node} can only update pod status for pods with spec.nodeName set to itself"));
        }
        if !same(self.old, self.object, "/metadata/labels") {
            return Err(format!("node {node} cannot update labels through pod status"));
        }
        let paths = ["/status/resourceClaimStatuses", "/status/extendedResourceClaimStatus"];
        if paths.iter().any(|path| !same(self.old, self.object, path)) {
            return Err(format!("node {node} cannot update resource claim statues"));
        }
        Ok(())
    }

    fn eviction(&self) -> Result<(), String> {
        let pod = self.write.registry.get(self.write.endpoint, self.write.namespace, self.name());
        // One that is not there is told of by who evicts it.
        match pod.map(|pod| self.runs_here(pod.value())) {
            Ok(false) => Err(format!("node {} can only evict pods with spec.nodeName set to itself", self.node)),
            Ok(true) | Err(_) => Ok(()),
        }
    }

    fn node(&self) -> Result<(), String> {
        let node = quote(self.node);
        if self.name() != self.node {
            return Err(format!("node {node} is not allowed to modify node {}", quote(self.name())));
        }
        if self.write.operation == Operation::Delete {
            return Ok(());
        }
        let labels = forbidden_labels(self.old, self.object);
        if self.write.operation == Operation::Create {
            return match labels.is_empty() {
                true => Ok(()),
                false => Err(format!("node {node} is not allowed to set the following labels: {}", labels.join(", "))),
            };
        }
        if !same(self.old, self.object, "/spec/taints") {
            return Err(format!("node {node} is not allowed to modify taints"));
        }
        if !labels.is_empty() {
            return Err(format!("is not allowed to modify labels: {}", labels.join(", ")));
        }
        if !same(self.old, self.object, "/metadata/ownerReferences") {
            return Err(format!("node {node} is not allowed to modify ownerReferences"));
        }
        Ok(())
    }

    fn claim_status(&self) -> Result<(), String> {
        if self.write.subresource != "status" {
            return Err("may only update PVC status".to_owned());
        }
        let rest = |claim: &Value| {
            let mut claim = claim.clone();
            for (holder, members) in [
                ("metadata", &["resourceVersion", "managedFields"][..]),
                ("status", &["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"]),
            ] {
                if let Some(holder) = claim.get_mut(holder).and_then(Value::as_object_mut) {
                    members.iter().for_each(|member| drop(holder.remove(*member)));
                }
            }
            claim
        };
        match rest(self.old) == rest(self.object) {
            true => Ok(()),
            false => Err(format!(
                "node {} is not allowed to update fields other than status.capacity and status.conditions",
                quote(self.node)
            )),
        }
    }

    /// A token is for a pod that runs on the node.
    fn token(&self) -> Result<(), String> {
        if self.write.operation != Operation::Create || self.write.subresource != "token" {
            return Ok(());
        }
        let reference = self.object.pointer("/spec/boundObjectRef").unwrap_or(&Value::Null);
        let (name, uid) = (text(reference, "/name"), text(reference, "/uid"));
        if (text(reference, "/apiVersion"), text(reference, "/kind")) != ("v1", "Pod") || name.is_empty() {
            return Err("node requested token not bound to a pod".to_owned());
        }
        if uid.is_empty() {
            return Err("node requested token with a pod binding without a uid".to_owned());
        }
        let pods = self.write.registry.catalog.endpoint("", "v1", "pods");
        let pod = pods.and_then(|pods| self.write.registry.get(&pods, self.write.namespace, name).ok());
        match pod {
            Some(pod) if meta::uid(pod.value()) != uid => Err(format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been \
                 deleted and then recreated"
            )),
            Some(pod) if !self.runs_here(pod.value()) => {
                Err("node requested token bound to a pod scheduled on a different node".to_owned())
            }
            Some(pod) if self.write.registry.feature_gates.enabled(AUDIENCE_GATE) => {
                token_audience::check(self.write, self.object, pod.value())
            }
            // Whoever signs tokens looks at the rest.
            _ => Ok(()),
        }
    }

    fn lease(&self) -> Result<(), String> {
        if self.write.namespace != LEASES {
            return Err(format!("can only access leases in the {} system namespace", quote(LEASES)));
        }
        self.of_same_name("node lease")
    }

    fn of_same_name(&self, kind: &str) -> Result<(), String> {
        match self.name() == self.node {
            true => Ok(()),
            false => Err(format!("can only access {kind} with the same name as the requesting node")),
        }
    }

    fn slice(&self) -> Result<(), String> {
        let (slice, verb) = match self.write.operation {
            Operation::Create => (self.object, "create"),
            Operation::Delete => (self.old, "delete"),
            _ => return Ok(()),
        };
        match text(slice, "/spec/nodeName") == self.node {
            true => Ok(()),
            false => Err(format!("can only {verb} ResourceSlice with the same NodeName as the requesting node")),
        }
    }
}

/// Whether both have the same there; an empty list is none.
fn same(old: &Value, new: &Value, path: &str) -> bool {
    let at = |object: &'_ Value| object.pointer(path).cloned().filter(|value| !is_empty(value));
    at(old) == at(new)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Whether one of the members stands anywhere, and is not empty.
fn has_member(value: &Value, members: &[&str]) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has_member(item, members)),
        Value::Object(object) => object
            .iter()
            .any(|(name, value)| members.contains(&name.as_str()) && !is_empty(value) || has_member(value, members)),
        _ => false,
    }
}

/// Labels that a kubelet may not set, of those that differ, sorted.
fn forbidden_labels(old: &Value, new: &Value) -> Vec<String> {
    let label = |object: &'_ Value, key: &str| object.pointer("/metadata/labels").and_then(|all| all.get(key)).cloned();
    let keys = [old, new].into_iter().filter_map(|object| object.pointer("/metadata/labels")?.as_object());
    let mut keys: Vec<&String> = keys.flat_map(|labels| labels.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys.into_iter().filter(|key| label(old, key) != label(new, key));
    changed.filter(|key| is_forbidden(key)).cloned().collect()
}

fn is_forbidden(label: &str) -> bool {
    let prefix = label.split_once('/').map_or("", |(prefix, _)| prefix);
    let below = |domain: &str| prefix == domain || prefix.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let is_kubelets = KUBELET_LABELS.contains(&label) || KUBELET_PREFIXES.into_iter().any(below);
    below(RESTRICTED) || ((below("kubernetes.io") || below("k8s.io")) && !is_kubelets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kubelets_set_some_labels_of_kubernetes() {
        for (label, forbidden) in [
            ("kubernetes.io/hostname", false),
            ("node.kubernetes.io/anything", false),
            ("x.kubelet.kubernetes.io/anything", false),
            ("example.com/anything", false),
            ("plain", false),
            ("notkubernetes.io/x", false),
            ("node-role.kubernetes.io/control-plane", true),
            ("node-restriction.kubernetes.io/team", true),
            ("x.node-restriction.kubernetes.io/team", true),
            ("kubernetes.io/x", true),
            ("x.k8s.io/y", true),
        ] {
            assert_eq!(is_forbidden(label), forbidden, "{label}");
        }
    }

    #[test]
    fn labels_count_that_come_change_or_go() {
        let node = |labels: Value| json!({"metadata": {"labels": labels}});
        let (old, new) = (
            node(json!({"k8s.io/a": "1", "k8s.io/b": "1", "k8s.io/c": "1"})),
            node(json!({"k8s.io/a": "1", "k8s.io/b": "2", "k8s.io/d": "1"})),
        );
        assert_eq!(forbidden_labels(&old, &new), ["k8s.io/b", "k8s.io/c", "k8s.io/d"]);
        assert!(forbidden_labels(&Value::Null, &node(json!({"a": "b"}))).is_empty());
    }
}
