//! The volumes of a pod, as far as they decide where it may go.

use std::sync::Arc;

use api::persistent_volume::{is_for, serves, size};
use cluster::{Key, Objects, kind};
use machinery::{field::quote, meta};
use serde_json::Value;

use super::{
    filter::list,
    node::NodeState,
    refusal::{Plugin, Refusal},
};

/// On a PersistentVolumeClaim: the node of its first consumer.
pub(super) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// What a class names that makes no volumes.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// A claim that waits for its first consumer.
#[derive(Clone, Debug)]
struct Waiting {
    claim: Arc<Value>,
    /// Volumes that serve it, the smallest first.
    free: Vec<Arc<Value>>,
    /// A volume is made for it where none of them can be used.
    provisioned: bool,
}

/// What a placed pod's claim of a volume gets.
#[derive(Clone, Debug)]
pub struct PlacedVolume {
    /// The claim.
    pub claim: Arc<Value>,
    /// The volume that it gets; `None`: one is made for it on the node.
    pub volume: Option<Arc<Value>>,
}

/// The claims of volumes of a pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Volumes {
    /// Those that wait for their first consumer.
    waiting: Vec<Waiting>,
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
            volumes.take(claim, objects)?;
        }
        Ok(volumes)
    }

    fn take(&mut self, claim: &Arc<Value>, objects: &Objects) -> Result<(), String> {
        if let Some(bound) = claim["spec"]["volumeName"].as_str().filter(|name| !name.is_empty()) {
            let volume = objects.get(kind::PERSISTENT_VOLUME, &Key::new("", bound));
            let required = volume.map(|volume| &volume["spec"]["nodeAffinity"]["required"]);
            self.places.extend(required.filter(|selector| selector.is_object()).cloned());
            return Ok(());
        }
        let class = claim["spec"]["storageClassName"].as_str().unwrap_or_default();
        let class = objects.get(kind::STORAGE_CLASS, &Key::new("", class));
        let late = class.filter(|class| class["volumeBindingMode"] == "WaitForFirstConsumer");
        let Some(class) = late else { return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()) };
        let kept = objects.all(kind::PERSISTENT_VOLUME).find(|volume| is_for(volume, claim));
        let mut free: Vec<Arc<Value>> = match kept {
            Some(volume) => vec![volume.clone()],
            None => objects.all(kind::PERSISTENT_VOLUME).filter(|volume| serves(volume, claim)).cloned().collect(),
        };
        free.sort_by(|one, other| size(one).cmp(&size(other)));
        let provisioned = kept.is_none() && class["provisioner"] != NO_PROVISIONER;
        self.waiting.push(Waiting { claim: claim.clone(), free, provisioned });
        Ok(())
    }

    /// Whether all nodes are alike.
    pub(super) fn go_anywhere(&self) -> bool {
        self.places.is_empty() && self.waiting.iter().all(|waiting| waiting.free.is_empty() && waiting.provisioned)
    }

    /// What the claims get that wait for a consumer on the node.
    pub(super) fn on(&self, node: &NodeState) -> Vec<PlacedVolume> {
        let mut placed: Vec<PlacedVolume> = Vec::with_capacity(self.waiting.len());
        for waiting in &self.waiting {
            let taken: Vec<&Arc<Value>> = placed.iter().filter_map(|one| one.volume.as_ref()).collect();
            let volume = waiting.best_on(node, &taken).cloned();
            placed.push(PlacedVolume { claim: waiting.claim.clone(), volume });
        }
        placed
    }

    /// Why the node is no place, or none.
    pub(super) fn refusal(&self, node: &NodeState) -> Option<Refusal> {
        let reachable = self.places.iter().all(|selector| node.looks(|place| place.is_selected(selector)));
        if !reachable {
            return Some(Refusal::hard(Plugin::Volumes, "node(s) didn't match PersistentVolume's node affinity"));
        }
        let mut pairs = self.waiting.iter().zip(self.on(node));
        let found = pairs.all(|(waiting, placed)| waiting.provisioned || placed.volume.is_some());
        let nothing = "node(s) didn't find available persistent volumes to bind";
        (!found).then(|| Refusal::hard(Plugin::Volumes, nothing))
    }
}

impl Waiting {
    fn best_on(&self, node: &NodeState, taken: &[&Arc<Value>]) -> Option<&Arc<Value>> {
        let usable = |volume: &&Arc<Value>| {
            let required = &volume["spec"]["nodeAffinity"]["required"];
            !taken.iter().any(|one| Arc::ptr_eq(one, volume))
                && (required.is_null() || node.looks(|place| place.is_selected(required)))
        };
        self.free.iter().find(usable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_bind_at_once_wait_or_stand_in_the_way() {
        let mut objects = Objects::new();
        let mut put = |kind, document: Value| drop(objects.put(kind, Arc::new(document)));
        let claim = |name: &str, spec: Value| json!({"metadata": {"namespace": "d", "name": name}, "spec": spec});
        put(kind::STORAGE_CLASS, json!({"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}));
        put(kind::PERSISTENT_VOLUME_CLAIM, claim("late", json!({"storageClassName": "late"})));
        put(kind::PERSISTENT_VOLUME_CLAIM, claim("static", json!({})));
        for name in ["none-made", "local"] {
            let class = json!({
                "metadata": {"name": name}, "volumeBindingMode": "WaitForFirstConsumer", "provisioner": NO_PROVISIONER,
            });
            put(kind::STORAGE_CLASS, class);
            put(kind::PERSISTENT_VOLUME_CLAIM, claim(name, json!({"storageClassName": name})));
        }
        for (name, size, node) in [("large", "2Gi", "a"), ("w", "1Gi", "a"), ("elsewhere", "1Mi", "b")] {
            let terms = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]);
            let spec = json!({
                "storageClassName": "local", "capacity": {"storage": size},
                "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            });
            put(kind::PERSISTENT_VOLUME, json!({"metadata": {"name": name}, "spec": spec}));
        }
        put(kind::PERSISTENT_VOLUME_CLAIM, claim("bound", json!({"volumeName": "v"})));
        let terms = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]);
        let affinity = json!({"required": {"nodeSelectorTerms": terms}});
        put(kind::PERSISTENT_VOLUME, json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": affinity}}));
        let of = |volume: Value| {
            Volumes::of(&json!({"metadata": {"namespace": "d", "name": "p"}, "spec": {"volumes": [volume]}}), &objects)
        };
        let named = |name: &str| of(json!({"persistentVolumeClaim": {"claimName": name}}));
        let late = named("late").expect("it waits for a node");
        let mut here = NodeState::default();
        here.update(&json!({"metadata": {"name": "a"}}));
        let chosen = |volumes: &Volumes| {
            let placed = volumes.on(&here);
            placed.into_iter().map(|one| one.volume.map(|volume| meta::name(&volume).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!((chosen(&late), late.refusal(&here)), (vec![None], None), "one is made for it");
        let nothing = named("none-made").ok().and_then(|volumes| volumes.refusal(&here)).map(|one| one.reason);
        assert_eq!(nothing.as_deref(), Some("node(s) didn't find available persistent volumes to bind"));
        let local = named("local").expect("it waits for a node");
        assert_eq!(chosen(&local), [Some("w".to_owned())]);
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
