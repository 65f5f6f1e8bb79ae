//! Makes volumes for claims of classes whose provisioner is the local-path provisioner, as it runs in kind and k3s: the
//! emulated nodes have no disks, but manifests get what they get there. Claims of other provisioners wait for those.

use std::sync::Arc;

use cluster::{Key, Kind, kind};
use machinery::meta;
use serde_json::{Value, json};

use super::{PROVISIONER, SELECTED_NODE, class, waits};
use crate::{
    action::Action,
    cache::{Cache, Changed},
    controller::{Controller, Moment, Plan},
    event::Remark,
};

/// Its name, as classes say it.
pub(crate) const NAME: &str = "rancher.io/local-path";
/// Who made a volume.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// Where it keeps volumes on a node.
const DIRECTORY: &str = "/var/local-path-provisioner";

/// The provisioner.
pub(crate) struct LocalPath;

impl Controller for LocalPath {
    fn kinds(&self) -> Vec<Kind> {
        vec![kind::PERSISTENT_VOLUME_CLAIM, kind::PERSISTENT_VOLUME, kind::STORAGE_CLASS]
    }

    fn touched(&mut self, changed: &Changed, _: &Cache, due: &mut Vec<(Kind, Key)>) {
        let claim = changed
            .after
            .as_ref()
            .filter(|claim| changed.kind == kind::PERSISTENT_VOLUME_CLAIM && claim["spec"]["volumeName"].is_null());
        due.extend(claim.map(|claim| (kind::PERSISTENT_VOLUME_CLAIM, Key::of(claim))));
    }

    fn reconcile(&mut self, of: Kind, key: &Key, cache: &Cache, _: Moment<'_>) -> Plan {
        let Some(claim) = cache.get(of, key) else { return Plan::default() };
        provision(claim, cache).into()
    }

    fn manager(&self) -> &'static str {
        "local-path-provisioner"
    }
}

/// The volume for a claim that asks for one.
pub(super) fn provision(claim: &Arc<Value>, cache: &Cache) -> Vec<Action> {
    let asked = PROVISIONER.iter().any(|mark| meta::annotation(claim, mark) == Some(NAME));
    let Some(class) = class(claim, cache).filter(|class| asked && class["provisioner"] == NAME) else {
        return Vec::new();
    };
    let node = meta::annotation(claim, SELECTED_NODE);
    let name = format!("pvc-{}", meta::uid(claim));
    let there = cache.get(kind::PERSISTENT_VOLUME, &Key::new("", &name)).is_some();
    if there || !claim["spec"]["volumeName"].is_null() || (waits(class) && node.is_none()) {
        return Vec::new();
    }
    let key = Key::of(claim);
    let mut spec = json!({
        "accessModes": claim["spec"]["accessModes"],
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": key.namespace, "name": key.name,
            "uid": meta::uid(claim), "resourceVersion": meta::resource_version(claim),
        },
        "hostPath": {"path": format!("{DIRECTORY}/{name}_{}_{}", key.namespace, key.name), "type": "DirectoryOrCreate"},
        "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
        "storageClassName": meta::name(class),
        "volumeMode": claim["spec"]["volumeMode"].as_str().unwrap_or("Filesystem"),
    });
    if let Some(node) = node {
        let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
        spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}});
    }
    let object = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: NAME}},
        "spec": spec,
    });
    let start =
        format!("External provisioner is provisioning volume for claim {}", machinery::field::quote(&key.to_string()));
    let tell = |reason, message: String| Action::Remark {
        about: claim.clone(),
        remark: Remark::normal(NAME, reason, message),
    };
    vec![
        tell("Provisioning", start),
        Action::Create { kind: kind::PERSISTENT_VOLUME, object, tell: None },
        tell("ProvisioningSucceeded", format!("Successfully provisioned volume {name}")),
    ]
}

/// The end of a volume that was made here and whose claim is gone, where its policy says so.
pub(super) fn reclaim(volume: &Arc<Value>) -> Option<Action> {
    let ours = meta::annotation(volume, PROVISIONED_BY) == Some(NAME);
    let goes =
        volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" && meta::deletion_timestamp(volume).is_none();
    let (kind, object) = (kind::PERSISTENT_VOLUME, volume.clone());
    (ours && goes).then_some(Action::Delete { kind, object, grace: None, tell: None })
}
