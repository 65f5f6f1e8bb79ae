//! The kinds that schedulers, controllers and node agents work with, and which of them a server has.

use std::collections::BTreeSet;

use kube::Client;

use crate::dialect::Dialect;

/// A kind in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    /// API group, empty for core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind in CamelCase.
    pub kind: &'static str,
    /// Plural resource name.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

const fn namespaced(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural, namespaced: true }
}

const fn cluster_wide(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind { group, version, kind, plural, namespaced: false }
}

/// `v1 Pod`.
pub const POD: Kind = namespaced("", "v1", "Pod", "pods");
/// `v1 Node`.
pub const NODE: Kind = cluster_wide("", "v1", "Node", "nodes");
/// `v1 Namespace`.
pub const NAMESPACE: Kind = cluster_wide("", "v1", "Namespace", "namespaces");
/// `v1 Event`.
pub const EVENT: Kind = namespaced("", "v1", "Event", "events");
/// `events.k8s.io/v1 Event`: the same objects, in a shape that knows series.
pub const EVENT_OF_SERIES: Kind = namespaced("events.k8s.io", "v1", "Event", "events");
/// `coordination.k8s.io/v1 Lease`.
pub const LEASE: Kind = namespaced("coordination.k8s.io", "v1", "Lease", "leases");
/// `scheduling.k8s.io/v1 PriorityClass`.
pub const PRIORITY_CLASS: Kind = cluster_wide("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses");

/// `v1 Service`.
pub const SERVICE: Kind = namespaced("", "v1", "Service", "services");
/// `v1 Endpoints`.
pub const ENDPOINTS: Kind = namespaced("", "v1", "Endpoints", "endpoints");
/// `discovery.k8s.io/v1 EndpointSlice`.
pub const ENDPOINT_SLICE: Kind = namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
/// `v1 ReplicationController`.
pub const REPLICATION_CONTROLLER: Kind = namespaced("", "v1", "ReplicationController", "replicationcontrollers");
/// `apps/v1 ReplicaSet`.
pub const REPLICA_SET: Kind = namespaced("apps", "v1", "ReplicaSet", "replicasets");
/// `apps/v1 Deployment`.
pub const DEPLOYMENT: Kind = namespaced("apps", "v1", "Deployment", "deployments");
/// `apps/v1 DaemonSet`.
pub const DAEMON_SET: Kind = namespaced("apps", "v1", "DaemonSet", "daemonsets");
/// `apps/v1 StatefulSet`.
pub const STATEFUL_SET: Kind = namespaced("apps", "v1", "StatefulSet", "statefulsets");
/// `apps/v1 ControllerRevision`.
pub const CONTROLLER_REVISION: Kind = namespaced("apps", "v1", "ControllerRevision", "controllerrevisions");
/// `batch/v1 Job`.
pub const JOB: Kind = namespaced("batch", "v1", "Job", "jobs");
/// `batch/v1 CronJob`.
pub const CRON_JOB: Kind = namespaced("batch", "v1", "CronJob", "cronjobs");
/// `policy/v1 PodDisruptionBudget`.
pub const POD_DISRUPTION_BUDGET: Kind = namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
/// `autoscaling/v2 HorizontalPodAutoscaler`.
pub const HORIZONTAL_POD_AUTOSCALER: Kind =
    namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
/// `v1 PersistentVolumeClaim`.
pub const PERSISTENT_VOLUME_CLAIM: Kind = namespaced("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
/// `v1 PersistentVolume`.
pub const PERSISTENT_VOLUME: Kind = cluster_wide("", "v1", "PersistentVolume", "persistentvolumes");
/// `storage.k8s.io/v1 StorageClass`.
pub const STORAGE_CLASS: Kind = cluster_wide("storage.k8s.io", "v1", "StorageClass", "storageclasses");

/// GA DeviceClass.
pub const DEVICE_CLASS: Kind = cluster_wide(DRA, "v1", "DeviceClass", "deviceclasses");
/// GA ResourceClaim.
pub const RESOURCE_CLAIM: Kind = namespaced(DRA, "v1", "ResourceClaim", "resourceclaims");
/// GA ResourceClaimTemplate.
pub const RESOURCE_CLAIM_TEMPLATE: Kind = namespaced(DRA, "v1", "ResourceClaimTemplate", "resourceclaimtemplates");
/// GA ResourceSlice.
pub const RESOURCE_SLICE: Kind = cluster_wide(DRA, "v1", "ResourceSlice", "resourceslices");
/// DeviceTaintRule in the version that 1.36 serves.
pub const DEVICE_TAINT_RULE: Kind = cluster_wide(DRA, "v1alpha3", "DeviceTaintRule", "devicetaintrules");
/// ResourcePoolStatusRequest in the version that 1.36 serves.
pub const RESOURCE_POOL_STATUS_REQUEST: Kind =
    cluster_wide(DRA, "v1alpha3", "ResourcePoolStatusRequest", "resourcepoolstatusrequests");

/// DeviceClass of dra-evolution.
pub const EVOLUTION_DEVICE_CLASS: Kind = cluster_wide(DRA, "v1alpha2", "DeviceClass", "deviceclasses");
/// ResourceClaim of dra-evolution.
pub const EVOLUTION_RESOURCE_CLAIM: Kind = namespaced(DRA, "v1alpha2", "ResourceClaim", "resourceclaims");
/// ResourceClaimTemplate of dra-evolution.
pub const EVOLUTION_RESOURCE_CLAIM_TEMPLATE: Kind =
    namespaced(DRA, "v1alpha2", "ResourceClaimTemplate", "resourceclaimtemplates");
/// ResourcePool of dra-evolution.
pub const EVOLUTION_RESOURCE_POOL: Kind = cluster_wide(DRA, "v1alpha2", "ResourcePool", "resourcepools");
/// Quota of dra-evolution.
pub const EVOLUTION_QUOTA: Kind = namespaced(DRA, "v1alpha2", "Quota", "quotas");

/// ResourceClass of classic DRA. Its claims and templates are of the kinds of dra-evolution.
pub const RESOURCE_CLASS: Kind = cluster_wide(DRA, "v1alpha2", "ResourceClass", "resourceclasses");
/// PodSchedulingContext of classic DRA.
pub const POD_SCHEDULING_CONTEXT: Kind = namespaced(DRA, "v1alpha2", "PodSchedulingContext", "podschedulingcontexts");
/// ResourceSlice of Kubernetes 1.30.
pub const NAMED_RESOURCE_SLICE: Kind = cluster_wide(DRA, "v1alpha2", "ResourceSlice", "resourceslices");
/// ResourceClaimParameters of Kubernetes 1.30.
pub const RESOURCE_CLAIM_PARAMETERS: Kind =
    namespaced(DRA, "v1alpha2", "ResourceClaimParameters", "resourceclaimparameters");
/// ResourceClassParameters of Kubernetes 1.30.
pub const RESOURCE_CLASS_PARAMETERS: Kind =
    namespaced(DRA, "v1alpha2", "ResourceClassParameters", "resourceclassparameters");

/// DeviceClass of k8srm-prototype.
pub const K8SRM_DEVICE_CLASS: Kind = cluster_wide(K8SRM, "v1alpha1", "DeviceClass", "deviceclasses");
/// DeviceClaim of k8srm-prototype.
pub const K8SRM_DEVICE_CLAIM: Kind = namespaced(K8SRM, "v1alpha1", "DeviceClaim", "deviceclaims");
/// DevicePrivilegedClaim of k8srm-prototype.
pub const K8SRM_DEVICE_PRIVILEGED_CLAIM: Kind =
    namespaced(K8SRM, "v1alpha1", "DevicePrivilegedClaim", "deviceprivilegedclaims");
/// DevicePool of k8srm-prototype.
pub const K8SRM_DEVICE_POOL: Kind = cluster_wide(K8SRM, "v1alpha1", "DevicePool", "devicepools");

/// Job of Volcano.
pub const VOLCANO_JOB: Kind = namespaced("batch.volcano.sh", "v1alpha1", "Job", "jobs");
/// PodGroup of Volcano.
pub const POD_GROUP: Kind = namespaced("scheduling.volcano.sh", "v1beta1", "PodGroup", "podgroups");
/// Queue of Volcano.
pub const QUEUE: Kind = cluster_wide("scheduling.volcano.sh", "v1beta1", "Queue", "queues");
/// `apiextensions.k8s.io/v1 CustomResourceDefinition`.
pub const CUSTOM_RESOURCE_DEFINITION: Kind =
    cluster_wide("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");

const DRA: &str = "resource.k8s.io";
const K8SRM: &str = "devmgmtproto.k8s.io";

/// Every kind that matters to placing pods and devices, in the order in which they are best read: what others refer to first.
pub const SCHEDULING: &[Kind] = &[
    NAMESPACE,
    NODE,
    PRIORITY_CLASS,
    POD_DISRUPTION_BUDGET,
    STORAGE_CLASS,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    SERVICE,
    REPLICATION_CONTROLLER,
    REPLICA_SET,
    STATEFUL_SET,
    DEVICE_CLASS,
    RESOURCE_SLICE,
    DEVICE_TAINT_RULE,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_CLAIM,
    EVOLUTION_DEVICE_CLASS,
    EVOLUTION_RESOURCE_POOL,
    EVOLUTION_QUOTA,
    EVOLUTION_RESOURCE_CLAIM_TEMPLATE,
    EVOLUTION_RESOURCE_CLAIM,
    RESOURCE_CLASS_PARAMETERS,
    RESOURCE_CLASS,
    NAMED_RESOURCE_SLICE,
    RESOURCE_CLAIM_PARAMETERS,
    POD_SCHEDULING_CONTEXT,
    K8SRM_DEVICE_CLASS,
    K8SRM_DEVICE_POOL,
    K8SRM_DEVICE_CLAIM,
    K8SRM_DEVICE_PRIVILEGED_CLAIM,
    POD,
];

impl Kind {
    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        machinery::names::api_version(self.group, self.version)
    }

    /// The path of the API that has the kind.
    pub(crate) fn root(&self) -> String {
        match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// The path of all objects of the kind.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.root(), self.plural)
    }

    /// The kind of a document among `SCHEDULING`: a document of any version that a generation has is of that
    /// generation's kind (`v1beta1` reads as `v1`, `v1alpha1` and `v1alpha3` as `v1alpha2`).
    pub fn of(document: &serde_json::Value) -> Option<Self> {
        let (group, version) = machinery::names::split_api_version(machinery::meta::api_version(document)).ok()?;
        let kind = machinery::meta::kind(document);
        let same = |candidate: &&Self| candidate.group == group && candidate.kind == kind;
        let exact = SCHEDULING.iter().filter(same).find(|candidate| candidate.version == version);
        let generation = |candidate: &&Self| candidate.version.contains("alpha") == version.contains("alpha");
        exact.or_else(|| SCHEDULING.iter().filter(same).find(generation)).copied()
    }
}

/// Which of `wanted` the server has, in whatever version the device API has there. One request per group and version; a
/// group that is not there is no error.
pub async fn served(client: &Client, wanted: &[Kind]) -> Result<Vec<Kind>, kube::Error> {
    let devices = wanted.iter().any(|kind| Dialect::concerns(*kind));
    let dialect = if devices { Dialect::find(client).await? } else { Dialect::default() };
    let there = |kind: &Kind| dialect.there(*kind);
    let versions: BTreeSet<(&str, &str)> = wanted.iter().map(there).map(|kind| (kind.group, kind.version)).collect();
    let mut served = BTreeSet::new();
    for (group, version) in versions {
        let listed = if group.is_empty() {
            client.list_core_api_resources(version).await
        } else {
            client.list_api_group_resources(&machinery::names::api_version(group, version)).await
        };
        match listed {
            Ok(list) => served.extend(list.resources.into_iter().map(|one| (group, version, one.name))),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let has = |kind: &&Kind| served.contains(&(kind.group, there(kind).version, kind.plural.to_owned()));
    Ok(wanted.iter().filter(has).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_find_their_generation() {
        let of = |api_version: &str, kind: &str| Kind::of(&json!({"apiVersion": api_version, "kind": kind}));
        assert_eq!(of("v1", "Pod"), Some(POD));
        assert_eq!(of("resource.k8s.io/v1", "ResourceClaim"), Some(RESOURCE_CLAIM));
        assert_eq!(of("resource.k8s.io/v1beta1", "ResourceClaim"), Some(RESOURCE_CLAIM));
        assert_eq!(of("resource.k8s.io/v1alpha3", "ResourceClaim"), Some(EVOLUTION_RESOURCE_CLAIM));
        assert_eq!(of("resource.k8s.io/v1alpha1", "ResourcePool"), Some(EVOLUTION_RESOURCE_POOL));
        assert_eq!(of("devmgmtproto.k8s.io/v1alpha1", "DeviceClass"), Some(K8SRM_DEVICE_CLASS));
        assert_eq!(of("apps/v1", "Pod"), None);
        assert_eq!(of("a/b/c", "Pod"), None);
    }
}
