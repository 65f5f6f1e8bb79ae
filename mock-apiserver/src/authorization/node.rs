//! What a kubelet may do: what belongs to its node, and what the pods that run there refer to (the node authorizer of
//! kube-apiserver).

use std::sync::Arc;

use machinery::meta;
use serde_json::Value;

use super::{Action, Decision, On, Restriction, bootstrap::NODE_RULES, rule};
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
    let judged = match action.on {
        On::Resource { group, resource, subresource, namespace, name } => {
            let object = Named { registry, node, subresource, namespace, name, verb: action.verb, only: action.only };
            object.judge(group, resource)
        }
        On::Path(_) => None,
    };
    match judged {
        Some(Ok(())) => Decision::allowed(""),
        Some(Err(why)) => Decision::unknown(why),
        None if NODE_RULES.iter().any(|rule| rule::allows(rule, action)) => Decision::allowed(""),
        None => Decision::unknown(""),
    }
}

/// Whether a kubelet may do something, and why it may not.
type Judgement = Result<(), String>;

/// An object that a kubelet asks for, and what it wants with it.
struct Named<'a> {
    registry: &'a Registry,
    node: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    verb: &'a str,
    only: Restriction<'a>,
}

/// What may be done with an object that is a node's alone.
const OWN: [&str; 5] = ["get", "create", "update", "patch", "delete"];

fn is_reading(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch")
}

fn check(allowed: bool, why: &str) -> Judgement {
    if allowed { Ok(()) } else { Err(why.to_owned()) }
}

impl Named<'_> {
    /// What comes of the nodes that the object has to do with; `None` where the rules of the role decide.
    fn judge(&self, group: &str, resource: &str) -> Option<Judgement> {
        Some(match (group, resource) {
            ("", "secrets") => self.judge_reading(|| self.is_referred_to(resource) || self.is_secret_of_volume()),
            ("", "configmaps") => self.judge_reading(|| self.is_referred_to(resource)),
            ("", "persistentvolumeclaims") if self.subresource == "status" => self.judge_status(resource),
            ("", "persistentvolumeclaims") | ("resource.k8s.io", "resourceclaims") => {
                self.judge_getting(|| self.is_referred_to(resource))
            }
            ("", "persistentvolumes") => self.judge_getting(|| self.is_volume_of_pod()),
            ("storage.k8s.io", "volumeattachments") => self.judge_getting(|| self.names_node(group, resource)),
            ("", "serviceaccounts") if self.verb == "get" && self.subresource.is_empty() => {
                self.judge_reading(|| self.is_referred_to(resource))
            }
            ("", "serviceaccounts") => self.judge_token(),
            ("coordination.k8s.io", "leases") => self.judge_lease(),
            ("storage.k8s.io", "csinodes") => self.judge_csi_node(),
            ("resource.k8s.io", "resourceslices") => self.judge_slice(),
            ("", "nodes") => self.judge_node(),
            ("", "pods") => self.judge_pod(),
            _ => return None,
        })
    }

    fn judge_related(&self, is_related: impl Fn() -> bool) -> Judgement {
        check(!self.name.is_empty(), "No Object name found")?;
        check(is_related(), &format!("no relationship found between node '{}' and this object", self.node))
    }

    fn judge_reading(&self, is_related: impl Fn() -> bool) -> Judgement {
        check(is_reading(self.verb), "can only read resources of this type")?;
        check(self.subresource.is_empty(), "cannot read subresource")?;
        check(!self.namespace.is_empty(), "can only read namespaced object of this type")?;
        self.judge_related(is_related)
    }

    fn judge_getting(&self, is_related: impl Fn() -> bool) -> Judgement {
        check(self.verb == "get", "can only get individual resources of this type")?;
        check(self.subresource.is_empty(), "cannot get subresource")?;
        self.judge_related(is_related)
    }

    fn judge_status(&self, resource: &str) -> Judgement {
        check(matches!(self.verb, "update" | "patch"), "can only get/update/patch this type")?;
        self.judge_related(|| self.is_referred_to(resource))
    }

    fn judge_token(&self) -> Judgement {
        let is_create = self.verb == "create" && !self.name.is_empty();
        check(is_create, "can only create tokens for individual service accounts")?;
        check(self.subresource == "token", "can only create token subresource of serviceaccount")?;
        self.judge_related(|| self.is_referred_to("serviceaccounts"))
    }

    fn judge_lease(&self) -> Judgement {
        check(OWN.contains(&self.verb), "can only get, create, update, patch, or delete a node lease")?;
        let is_there = self.namespace == "kube-node-lease";
        check(is_there, "can only access leases in the \"kube-node-lease\" system namespace")?;
        // On a create the name is not known yet; NodeRestriction looks at it.
        let is_own = self.verb == "create" || self.name == self.node;
        check(is_own, "can only access node lease with the same name as the requesting node")
    }

    fn judge_csi_node(&self) -> Judgement {
        check(OWN.contains(&self.verb), "can only get, create, update, patch, or delete a CSINode")?;
        check(self.subresource.is_empty(), "cannot authorize CSINode subresources")?;
        let is_own = self.verb == "create" || self.name == self.node;
        check(is_own, "can only access CSINode with the same name as the requesting node")
    }

    fn judge_slice(&self) -> Judgement {
        check(self.subresource.is_empty(), "cannot authorize ResourceSlice subresources")?;
        match self.verb {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => {
                self.judge_related(|| self.names_node("resource.k8s.io", "resourceslices"))
            }
            "watch" | "list" | "deletecollection" => check(
                self.only.has("spec.nodeName", self.node),
                "can only list/watch/deletecollection resourceslices with nodeName field selector",
            ),
            _ => check(
                false,
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                 delete, deletecollection",
            ),
        }
    }

    fn judge_node(&self) -> Judgement {
        match (self.subresource, self.verb) {
            ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
            ("", verb) if is_reading(verb) && self.name == self.node => Ok(()),
            ("", verb) if is_reading(verb) => {
                let what = if self.name.is_empty() { "all nodes".to_owned() } else { format!("'{}'", self.name) };
                Err(format!("node '{}' cannot read {what}, only its own Node object", self.node))
            }
            _ => Err(String::new()),
        }
    }

    fn judge_pod(&self) -> Judgement {
        match (self.subresource, self.verb) {
            ("", "get") => self.judge_getting(|| self.is_pod_of_node()),
            ("", "list" | "watch") if self.only.has("spec.nodeName", self.node) => Ok(()),
            ("", "list" | "watch") if !self.name.is_empty() => self.judge_related(|| self.is_pod_of_node()),
            ("", "list" | "watch") => check(false, "can only list/watch pods with spec.nodeName field selector"),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => Err(String::new()),
        }
    }

    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let endpoint = self.registry.catalog.endpoint(group, "v1", plural)?;
        self.registry.get(&endpoint, namespace, name).ok()
    }

    fn is_pod_of_node(&self) -> bool {
        self.get("", "pods", self.namespace, self.name).is_some_and(|pod| runs_on(pod.value(), self.node))
    }

    /// Whether an object without a namespace says that it is the node's.
    fn names_node(&self, group: &str, plural: &str) -> bool {
        let object = self.get(group, plural, "", self.name);
        object.is_some_and(|object| runs_on(object.value(), self.node))
    }

    /// Whether a pod on the node names the object.
    fn is_referred_to(&self, plural: &str) -> bool {
        self.any_pod(self.namespace, |pod| refers(pod, plural, self.name))
    }

    /// Whether a pod on the node names the claim to which a volume is bound.
    fn is_volume_of_pod(&self) -> bool {
        let Some(volume) = self.get("", "persistentvolumes", "", self.name) else { return false };
        let (namespace, claim) = claim_of(volume.value());
        !claim.is_empty() && self.any_pod(namespace, |pod| refers(pod, "persistentvolumeclaims", claim))
    }

    /// Whether a volume of a pod on the node names the secret.
    fn is_secret_of_volume(&self) -> bool {
        let Some(volumes) = self.registry.catalog.endpoint("", "v1", "persistentvolumes") else { return false };
        let snapshot = volumes.resource.space().snapshot();
        let mut volumes = snapshot.range("", None).map(|volume| volume.value());
        volumes.any(|volume| {
            let (namespace, claim) = claim_of(volume);
            volume_names_secret(volume, namespace, (self.namespace, self.name))
                && !claim.is_empty()
                && self.any_pod(namespace, |pod| refers(pod, "persistentvolumeclaims", claim))
        })
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

/// Namespace and name of the claim to which a volume is bound; empty: of none.
fn claim_of(volume: &Value) -> (&str, &str) {
    let text = |path| volume.pointer(path).and_then(Value::as_str).unwrap_or_default();
    (text("/spec/claimRef/namespace"), text("/spec/claimRef/name"))
}

/// Whether a volume names a secret that a kubelet needs. Where it does not say in which namespace, that is the claim's.
fn volume_names_secret(volume: &Value, of_claim: &str, wanted: (&str, &str)) -> bool {
    const REFERENCES: [&str; 4] = ["secretRef", "nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"];
    let sources = volume.get("spec").and_then(Value::as_object);
    let mut sources = sources.into_iter().flatten().map(|(_, source)| source);
    sources.any(|source| {
        let is_wanted = |of: &Value, namespace: &str, name: &str| {
            let text = |member: &str| of.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
            text(name).is_some_and(|name| (text(namespace).unwrap_or(of_claim), name) == wanted)
        };
        is_wanted(source, "secretNamespace", "secretName")
            || REFERENCES.iter().any(|member| source.get(member).is_some_and(|of| is_wanted(of, "namespace", "name")))
    })
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
    fn volumes_name_secrets() {
        for (source, wanted, expected) in [
            (json!({"azureFile": {"secretName": "s"}}), ("of-claim", "s"), true),
            (json!({"azureFile": {"secretName": "s", "secretNamespace": "b"}}), ("b", "s"), true),
            (json!({"azureFile": {"secretName": "s", "secretNamespace": "b"}}), ("of-claim", "s"), false),
            (json!({"csi": {"nodeStageSecretRef": {"name": "s", "namespace": "b"}}}), ("b", "s"), true),
            (json!({"csi": {"controllerPublishSecretRef": {"name": "s", "namespace": "b"}}}), ("b", "s"), false),
            (json!({"rbd": {"secretRef": {"name": "s"}}}), ("of-claim", "s"), true),
            (json!({"hostPath": {"path": "/"}}), ("of-claim", ""), false),
        ] {
            let volume = json!({"spec": source});
            assert_eq!(volume_names_secret(&volume, "of-claim", wanted), expected, "{volume} {wanted:?}");
        }
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
