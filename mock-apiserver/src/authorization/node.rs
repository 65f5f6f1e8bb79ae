//! What a kubelet may do: what belongs to its node, and what the pods that run there refer to (the node authorizer of
//! kube-apiserver).

use std::sync::Arc;

use machinery::meta;
use serde_json::Value;

use super::{Action, Decision, On, bootstrap::NODE_RULES, rule};
use crate::{authentication::User, registry::Registry, storage::Stored};

/// The group of kubelets.
const NODES: &str = "system:nodes";

/// What the user name of a kubelet begins with; the name of its node follows.
const PREFIX: &str = "system:node:";

/// The node whose kubelet the user is.
pub(crate) fn node_of(user: &User) -> Option<&str> {
    user.name.strip_prefix(PREFIX).filter(|node| !node.is_empty() && user.is_in(NODES))
}

/// Whether the user is a kubelet that may do this.
pub(super) fn decide(registry: &Registry, user: &User, action: &Action<'_>) -> Decision {
    let Some(node) = node_of(user) else { return Decision::unknown("") };
    let allowed = match action.on {
        On::Resource { group, resource, subresource, namespace, name } => {
            let object = Named { registry, node, namespace, name };
            belongs(&object, group, resource, subresource, action.verb)
                .unwrap_or_else(|| NODE_RULES.iter().any(|rule| rule::allows(rule, action)))
        }
        On::Path(_) => NODE_RULES.iter().any(|rule| rule::allows(rule, action)),
    };
    match allowed {
        true => Decision::allowed(""),
        false => Decision::unknown(format!("no relationship found between node '{node}' and this object")),
    }
}

/// An object that a kubelet asks for.
struct Named<'a> {
    registry: &'a Registry,
    node: &'a str,
    namespace: &'a str,
    name: &'a str,
}

/// Whether an object has to do with the node; `None` where the rules of the role decide.
fn belongs(object: &Named<'_>, group: &str, resource: &str, subresource: &str, verb: &str) -> Option<bool> {
    let reads = matches!(verb, "get" | "list" | "watch");
    match (group, resource, subresource) {
        ("", "secrets" | "configmaps", "") => Some(reads && object.is_referred_to(resource)),
        ("", "persistentvolumeclaims", "") => Some(verb == "get" && object.is_referred_to(resource)),
        ("", "persistentvolumeclaims", "status") => {
            Some(matches!(verb, "get" | "update" | "patch") && object.is_referred_to(resource))
        }
        ("", "persistentvolumes", "") => Some(verb == "get" && object.is_volume_of_pod()),
        ("", "serviceaccounts", "token") => Some(verb == "create" && object.is_referred_to(resource)),
        ("", "nodes", _) if reads => Some(object.name == object.node),
        ("", "pods", "") if verb == "get" => Some(object.is_pod_of_node()),
        ("resource.k8s.io", "resourceclaims", "") => Some(verb == "get" && object.is_referred_to(resource)),
        ("resource.k8s.io", "resourceslices", "") if matches!(verb, "get" | "update" | "patch" | "delete") => {
            Some(object.is_slice_of_node())
        }
        ("coordination.k8s.io", "leases", "") => {
            let of_node = object.name == object.node || (verb == "create" && object.name.is_empty());
            Some(object.namespace == "kube-node-lease" && !matches!(verb, "list" | "watch") && of_node)
        }
        ("storage.k8s.io", "csinodes", "") if verb != "create" => Some(object.name == object.node),
        _ => None,
    }
}

impl Named<'_> {
    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let endpoint = self.registry.catalog.endpoint(group, "v1", plural)?;
        self.registry.get(&endpoint, namespace, name).ok()
    }

    fn is_pod_of_node(&self) -> bool {
        self.get("", "pods", self.namespace, self.name).is_some_and(|pod| runs_on(pod.value(), self.node))
    }

    fn is_slice_of_node(&self) -> bool {
        let slice = self.get("resource.k8s.io", "resourceslices", "", self.name);
        slice.is_some_and(|slice| slice.value().pointer("/spec/nodeName").and_then(Value::as_str) == Some(self.node))
    }

    /// Whether a pod on the node names the object.
    fn is_referred_to(&self, plural: &str) -> bool {
        self.any_pod(self.namespace, |pod| refers(pod, plural, self.name))
    }

    /// Whether a pod on the node names the claim to which a volume is bound.
    fn is_volume_of_pod(&self) -> bool {
        let Some(volume) = self.get("", "persistentvolumes", "", self.name) else { return false };
        let text = |path| volume.value().pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (namespace, claim) = (text("/spec/claimRef/namespace"), text("/spec/claimRef/name"));
        !claim.is_empty() && self.any_pod(namespace, |pod| refers(pod, "persistentvolumeclaims", claim))
    }

    fn any_pod(&self, namespace: &str, wanted: impl Fn(&Value) -> bool) -> bool {
        let Some(pods) = self.registry.catalog.endpoint("", "v1", "pods") else { return false };
        if namespace.is_empty() || self.name.is_empty() {
            return false;
        }
        let snapshot = pods.resource.space().snapshot();
        let prefix = format!("{namespace}/");
        let mut of_namespace = snapshot.range(&prefix, None);
        of_namespace.any(|pod| runs_on(pod.value(), self.node) && wanted(pod.value()))
    }
}

fn runs_on(pod: &Value, node: &str) -> bool {
    pod.pointer("/spec/nodeName").and_then(Value::as_str) == Some(node)
}

/// Whether a pod names an object of a resource.
fn refers(pod: &Value, plural: &str, name: &str) -> bool {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    match plural {
        "serviceaccounts" => spec.get("serviceAccountName").and_then(Value::as_str) == Some(name),
        "resourceclaims" => {
            names(spec.get("resourceClaims"), &["resourceClaimName"], name)
                || names(pod.pointer("/status/resourceClaimStatuses"), &["resourceClaimName"], name)
                || pod.pointer("/status/extendedResourceClaimStatus/resourceClaimName").and_then(Value::as_str)
                    == Some(name)
        }
        "persistentvolumeclaims" => {
            let ephemeral = |volume: &Value| {
                let volume_name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
                volume.get("ephemeral").is_some() && format!("{}-{volume_name}", meta::name(pod)) == name
            };
            mentions(spec.get("volumes"), &["claimName"], name)
                || spec.get("volumes").and_then(Value::as_array).is_some_and(|volumes| volumes.iter().any(ephemeral))
        }
        "secrets" => {
            names(spec.get("imagePullSecrets"), &["name"], name)
                || mentions(spec.get("volumes"), &["secretName"], name)
                || in_reference(spec, &["secretRef", "secretKeyRef", "secret", "nodePublishSecretRef"], name)
        }
        _ => in_reference(spec, &["configMap", "configMapRef", "configMapKeyRef"], name),
    }
}

/// Whether an entry of a list has the text in one of these members.
fn names(list: Option<&Value>, members: &[&str], name: &str) -> bool {
    let entries = list.and_then(Value::as_array).into_iter().flatten();
    entries
        .into_iter()
        .any(|entry| members.iter().any(|member| entry.get(*member).and_then(Value::as_str) == Some(name)))
}

/// Whether the text stands in one of these members, however deep.
fn mentions(value: Option<&Value>, members: &[&str], name: &str) -> bool {
    match value {
        Some(Value::Array(items)) => items.iter().any(|item| mentions(Some(item), members, name)),
        Some(Value::Object(object)) => object.iter().any(|(member, value)| {
            (members.contains(&member.as_str()) && value.as_str() == Some(name)) || mentions(Some(value), members, name)
        }),
        _ => false,
    }
}

/// Whether a reference by one of these members, however deep, is to an object of that name.
fn in_reference(value: &Value, members: &[&str], name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| in_reference(item, members, name)),
        Value::Object(object) => object.iter().any(|(member, value)| {
            let is_reference = members.contains(&member.as_str());
            (is_reference && value.get("name").and_then(Value::as_str) == Some(name))
                || in_reference(value, members, name)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kubelets_are_in_their_group() {
        assert_eq!(node_of(&User::new("system:node:n1", &[NODES])), Some("n1"));
        assert_eq!(node_of(&User::new("system:node:n1", &[])), None);
        assert_eq!(node_of(&User::new("system:node:", &[NODES])), None);
        assert_eq!(node_of(&User::new("jane", &[NODES])), None);
    }

    #[test]
    fn pods_refer_to_objects_in_many_places() {
        let pod = json!({
            "metadata": {"name": "p"},
            "spec": {
                "serviceAccountName": "robot",
                "imagePullSecrets": [{"name": "pull"}],
                "resourceClaims": [{"name": "gpu", "resourceClaimName": "claim"}, {"name": "t", "resourceClaimTemplateName": "tpl"}],
                "volumes": [
                    {"name": "a", "secret": {"secretName": "vol"}},
                    {"name": "b", "configMap": {"name": "files"}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": "disk"}},
                    {"name": "d", "ephemeral": {}},
                    {"name": "e", "projected": {"sources": [{"secret": {"name": "deep"}}, {"configMap": {"name": "root"}}]}},
                ],
                "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}], "envFrom": [{"configMapRef": {"name": "all"}}]}],
            },
            "status": {"resourceClaimStatuses": [{"name": "t", "resourceClaimName": "p-t-abc"}]},
        });
        for (plural, yes, no) in [
            ("serviceaccounts", vec!["robot"], "default"),
            ("secrets", vec!["pull", "vol", "deep", "env"], "files"),
            ("configmaps", vec!["files", "root", "all"], "vol"),
            ("persistentvolumeclaims", vec!["disk", "p-d"], "p-a"),
            ("resourceclaims", vec!["claim", "p-t-abc"], "tpl"),
        ] {
            for name in yes {
                assert!(refers(&pod, plural, name), "{plural} {name}");
            }
            assert!(!refers(&pod, plural, no), "{plural} {no}");
        }
    }
}
