//! The volumes of a pod, as far as they decide where it may go.

use cluster::{Key, Objects, kind};
use machinery::{field::quote, meta};
use serde_json::Value;

use super::{
    filter::{list, selector_matches},
    node::NodeState,
    refusal::{Plugin, Refusal},
};

/// On a PersistentVolumeClaim: the node of its first consumer.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// The claims of volumes of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Volumes {
    /// Those that wait for their first consumer.
    pub(super) waiting: Vec<Key>,
    /// Where volumes that exist can be used: core/v1 NodeSelectors.
    places: Vec<Value>,
}

impl Volumes {
    /// Reads the volumes of a pod.
    ///
    /// # Errors
    /// What is missing, whatever the node, in upstream's words.
    pub(super) fn of(pod: &Value, objects: &Objects) -> Result<Self, String> {
        let mut volumes = Self::default();
        for volume in list(&pod["spec"], "volumes") {
            let named = volume["persistentVolumeClaim"]["claimName"].as_str();
            let own = volume["ephemeral"]["volumeClaimTemplate"].is_object();
            let name = match named {
                Some(name) => name.to_owned(),
                None if own => format!("{}-{}", meta::name(pod), volume["name"].as_str().unwrap_or_default()),
                None => continue,
            };
            let key = Key::new(meta::namespace(pod), &name);
            let Some(claim) = objects.get(kind::PERSISTENT_VOLUME_CLAIM, &key) else {
                let name = quote(&name);
                return Err(match named {
                    Some(_) => format!("persistentvolumeclaim {name} not found"),
                    None => {
                        format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name}")
                    }
                });
            };
            if meta::deletion_timestamp(claim).is_some() {
                return Err(format!("persistentvolumeclaim {} is being deleted", quote(&name)));
            }
            volumes.take(claim, key, objects)?;
        }
        Ok(volumes)
    }

    fn take(&mut self, claim: &Value, key: Key, objects: &Objects) -> Result<(), String> {
        if let Some(bound) = claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty()) {
            let volume = objects.get(kind::PERSISTENT_VOLUME, &Key::new("", bound));
            let required = volume.map(|volume| &volume["spec"]["nodeAffinity"]["required"]);
            self.places.extend(required.filter(|selector| selector.is_object()).cloned());
            return Ok(());
        }
        let class = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
        let class = objects.get(kind::STORAGE_CLASS, &Key::new("", class));
        if class.is_none_or(|class| class["volumeBindingMode"] != "WaitForFirstConsumer") {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        self.waiting.push(key);
        Ok(())
    }

    /// Whether all nodes are alike.
    pub(super) fn go_anywhere(&self) -> bool {
        self.places.is_empty()
    }

    /// Why the node is no place, or none.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
        let reachable = self.places.iter().all(|selector| selector_matches(selector, node));
        (!reachable).then(|| Refusal::hard(Plugin::Volumes, "node(s) didn't match PersistentVolume's node affinity"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn claims_bind_at_once_wait_or_stand_in_the_way() {
        let mut objects = Objects::new();
        let mut put = |kind, document: Value| drop(objects.put(kind, Arc::new(document)));
        let claim = |name: &str, spec: Value| json!({"metadata": {"namespace": "d", "name": name}, "spec": spec});
        put(kind::STORAGE_CLASS, json!({"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}));
        put(kind::PERSISTENT_VOLUME_CLAIM, claim("late", json!({"storageClassName": "late"})));
        put(kind::PERSISTENT_VOLUME_CLAIM, claim("static", json!({})));
        put(kind::PERSISTENT_VOLUME_CLAIM, claim("bound", json!({"volumeName": "v"})));
        let terms = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]);
        let affinity = json!({"required": {"nodeSelectorTerms": terms}});
        put(kind::PERSISTENT_VOLUME, json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": affinity}}));
        let of = |volume: Value| {
            Volumes::of(&json!({"metadata": {"namespace": "d", "name": "p"}, "spec": {"volumes": [volume]}}), &objects)
        };
        let named = |name: &str| of(json!({"persistentVolumeClaim": {"claimName": name}}));
        assert_eq!(named("late").map(|volumes| volumes.waiting), Ok(vec![Key::new("d", "late")]));
        assert_eq!(named("static").err().as_deref(), Some("pod has unbound immediate PersistentVolumeClaims"));
        assert_eq!(named("none").err().as_deref(), Some("persistentvolumeclaim \"none\" not found"));
        let mut node = NodeState::default();
        node.update(&json!({"metadata": {"name": "b"}}));
        let refusal = named("bound").ok().and_then(|volumes| volumes.refusal(&node));
        assert_eq!(
            refusal.map(|one| one.reason).as_deref(),
            Some("node(s) didn't match PersistentVolume's node affinity")
        );
        assert!(
            of(json!({"ephemeral": {"volumeClaimTemplate": {}}, "name": "x"}))
                .is_err_and(|error| error.contains("p-x"))
        );
        assert!(of(json!({"emptyDir": {}})).is_ok_and(|volumes| volumes.go_anywhere()));
    }
}
