//! How the lists and maps of the built-in API merge: under strategic merge patches, and under server-side apply.
//!
//! Facts about the API, by package, type and field. `schema_of` writes them into the schemas.

use self::Merging::{
    AtomicMap, AtomicMerged, GranularMap, Keyed, KeyedApplyOnly, KeyedRetaining, Replace, RetainKeys, Set, SetMerged,
};

/// How one field merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merging {
    /// A list that is replaced whole: every list without a row.
    AtomicList,
    /// A list of objects told apart by these keys; strategic merge uses the first one alone.
    Keyed(&'static [&'static str]),
    /// The same, and a patch of an item may name all the keys that stay (`$retainKeys`).
    KeyedRetaining(&'static [&'static str]),
    /// A list of objects told apart by these keys in server-side apply, and replaced whole by a strategic merge patch.
    KeyedApplyOnly(&'static [&'static str]),
    /// A set of scalars in server-side apply.
    Set,
    /// A set of scalars everywhere.
    SetMerged,
    /// Merged by this key by a strategic merge patch, and replaced whole by server-side apply.
    AtomicMerged(&'static str),
    /// A map or object that server-side apply owns as a whole.
    AtomicMap,
    /// An object of an atomic type that is owned member by member here.
    GranularMap,
    /// A patch may name all the keys that stay.
    RetainKeys,
    /// A patch replaces the object.
    Replace,
}

/// Rows of a table of facts, by package.
pub(super) type ByPackage<T> = &'static [(&'static str, &'static [T])];

/// `(package, [(type, field, how)])`.
pub(super) const FIELDS: ByPackage<(&str, &str, Merging)> = &[
    (
        "io.k8s.api.admissionregistration.v1",
        &[
            ("ValidatingAdmissionPolicyStatus", "conditions", KeyedApplyOnly(&["type"])),
            ("ValidatingAdmissionPolicySpec", "matchConditions", Keyed(&["name"])),
            ("ValidatingAdmissionPolicySpec", "variables", Keyed(&["name"])),
            ("ValidatingAdmissionPolicyBindingSpec", "validationActions", Set),
            ("ValidatingWebhookConfiguration", "webhooks", Keyed(&["name"])),
            ("MutatingWebhookConfiguration", "webhooks", Keyed(&["name"])),
            ("ValidatingWebhook", "matchConditions", Keyed(&["name"])),
            ("MutatingWebhook", "matchConditions", Keyed(&["name"])),
            ("MutatingAdmissionPolicySpec", "matchConditions", Keyed(&["name"])),
        ],
    ),
    (
        "io.k8s.api.apps.v1",
        &[
            ("StatefulSetStatus", "conditions", Keyed(&["type"])),
            ("DeploymentSpec", "strategy", RetainKeys),
            ("DeploymentStatus", "conditions", Keyed(&["type"])),
            ("DaemonSetStatus", "conditions", Keyed(&["type"])),
            ("ReplicaSetStatus", "conditions", Keyed(&["type"])),
        ],
    ),
    ("io.k8s.api.autoscaling.v2", &[("HorizontalPodAutoscalerStatus", "conditions", Keyed(&["type"]))]),
    (
        "io.k8s.api.batch.v1",
        &[
            ("PodFailurePolicyOnExitCodesRequirement", "values", Set),
            ("JobStatus", "conditions", AtomicMerged("type")),
            ("UncountedTerminatedPods", "succeeded", Set),
            ("UncountedTerminatedPods", "failed", Set),
        ],
    ),
    ("io.k8s.api.certificates.v1", &[("CertificateSigningRequestStatus", "conditions", KeyedApplyOnly(&["type"]))]),
    (
        "io.k8s.api.core.v1",
        &[
            ("PersistentVolumeSpec", "claimRef", GranularMap),
            ("PersistentVolumeClaimStatus", "conditions", Keyed(&["type"])),
            ("PersistentVolumeClaimStatus", "allocatedResourceStatuses", GranularMap),
            ("ResourceRequirements", "claims", KeyedApplyOnly(&["name"])),
            ("Container", "ports", Keyed(&["containerPort", "protocol"])),
            ("Container", "env", Keyed(&["name"])),
            ("Container", "volumeMounts", Keyed(&["mountPath"])),
            ("Container", "volumeDevices", Keyed(&["devicePath"])),
            ("ContainerStatus", "volumeMounts", Keyed(&["mountPath"])),
            ("ContainerStatus", "allocatedResourcesStatus", Keyed(&["name"])),
            ("ResourceStatus", "resources", KeyedApplyOnly(&["resourceID"])),
            ("ContainerRestartRuleOnExitCodes", "values", Set),
            ("PodSpec", "volumes", KeyedRetaining(&["name"])),
            ("PodSpec", "initContainers", Keyed(&["name"])),
            ("PodSpec", "containers", Keyed(&["name"])),
            ("PodSpec", "ephemeralContainers", Keyed(&["name"])),
            ("PodSpec", "nodeSelector", AtomicMap),
            ("PodSpec", "imagePullSecrets", Keyed(&["name"])),
            ("PodSpec", "hostAliases", Keyed(&["ip"])),
            ("PodSpec", "topologySpreadConstraints", Keyed(&["topologyKey", "whenUnsatisfiable"])),
            ("PodSpec", "schedulingGates", Keyed(&["name"])),
            ("PodSpec", "resourceClaims", KeyedRetaining(&["name"])),
            ("EphemeralContainer", "ports", Keyed(&["containerPort", "protocol"])),
            ("EphemeralContainer", "env", Keyed(&["name"])),
            ("EphemeralContainer", "volumeMounts", Keyed(&["mountPath"])),
            ("EphemeralContainer", "volumeDevices", Keyed(&["devicePath"])),
            ("PodStatus", "conditions", Keyed(&["type"])),
            ("PodStatus", "hostIPs", AtomicMerged("ip")),
            ("PodStatus", "podIPs", Keyed(&["ip"])),
            ("PodStatus", "resourceClaimStatuses", KeyedRetaining(&["name"])),
            ("ReplicationControllerSpec", "selector", AtomicMap),
            ("ReplicationControllerStatus", "conditions", Keyed(&["type"])),
            ("ServiceStatus", "conditions", Keyed(&["type"])),
            ("ServiceSpec", "ports", Keyed(&["port", "protocol"])),
            ("ServiceSpec", "selector", AtomicMap),
            ("ServiceAccount", "secrets", Keyed(&["name"])),
            ("NodeSpec", "podCIDRs", SetMerged),
            ("NodeStatus", "conditions", Keyed(&["type"])),
            ("NodeStatus", "addresses", Keyed(&["type"])),
            ("NamespaceStatus", "conditions", Keyed(&["type"])),
            ("ComponentStatus", "conditions", Keyed(&["type"])),
            ("NodeAllocatableResourceClaimStatus", "containers", Set),
        ],
    ),
    ("io.k8s.api.discovery.v1", &[("Endpoint", "addresses", Set)]),
    (
        "io.k8s.api.flowcontrol.v1",
        &[
            ("ResourcePolicyRule", "verbs", Set),
            ("ResourcePolicyRule", "apiGroups", Set),
            ("ResourcePolicyRule", "resources", Set),
            ("ResourcePolicyRule", "namespaces", Set),
            ("NonResourcePolicyRule", "verbs", Set),
            ("NonResourcePolicyRule", "nonResourceURLs", Set),
            ("FlowSchemaStatus", "conditions", Keyed(&["type"])),
            ("PriorityLevelConfigurationStatus", "conditions", Keyed(&["type"])),
        ],
    ),
    ("io.k8s.api.networking.v1", &[("ServiceCIDRStatus", "conditions", Keyed(&["type"]))]),
    ("io.k8s.api.node.v1", &[("Scheduling", "nodeSelector", AtomicMap)]),
    (
        "io.k8s.api.policy.v1",
        &[
            ("PodDisruptionBudgetSpec", "selector", Replace),
            ("PodDisruptionBudgetStatus", "conditions", Keyed(&["type"])),
        ],
    ),
    (
        "io.k8s.api.resource.v1",
        &[
            ("ResourceSliceSpec", "skipNodeOperations", Set),
            ("DeviceRequestAllocationResult", "skipNodeOperations", Set),
            ("DeviceTaintRuleStatus", "conditions", Keyed(&["type"])),
            ("ResourceClaimStatus", "reservedFor", Keyed(&["uid"])),
            ("ResourceClaimStatus", "devices", KeyedApplyOnly(&["driver", "device", "pool", "shareID"])),
            ("AllocatedDeviceStatus", "conditions", KeyedApplyOnly(&["type"])),
        ],
    ),
    (
        "io.k8s.api.resource.v1beta1",
        &[
            ("ResourceSliceSpec", "skipNodeOperations", Set),
            ("DeviceRequestAllocationResult", "skipNodeOperations", Set),
            ("ResourceClaimStatus", "reservedFor", Keyed(&["uid"])),
            ("ResourceClaimStatus", "devices", KeyedApplyOnly(&["driver", "device", "pool", "shareID"])),
            ("AllocatedDeviceStatus", "conditions", KeyedApplyOnly(&["type"])),
        ],
    ),
    (
        "io.k8s.api.resource.v1beta2",
        &[
            ("ResourceSliceSpec", "skipNodeOperations", Set),
            ("DeviceRequestAllocationResult", "skipNodeOperations", Set),
            ("DeviceTaintRuleStatus", "conditions", Keyed(&["type"])),
            ("ResourceClaimStatus", "reservedFor", Keyed(&["uid"])),
            ("ResourceClaimStatus", "devices", KeyedApplyOnly(&["driver", "device", "pool", "shareID"])),
            ("AllocatedDeviceStatus", "conditions", KeyedApplyOnly(&["type"])),
        ],
    ),
    // The dra-evolution prototype; its documents of other versions are this one, renamed.
    ("io.k8s.api.resource.v1alpha2", &[("ResourceClaimStatus", "reservedFor", Keyed(&["uid"]))]),
    (
        "io.k8s.api.resource.v1alpha3",
        &[
            ("DeviceTaintRuleStatus", "conditions", Keyed(&["type"])),
            ("ResourcePoolStatusRequestStatus", "conditions", Keyed(&["type"])),
        ],
    ),
    (
        "io.k8s.api.storage.v1",
        &[("CSIDriverSpec", "volumeLifecycleModes", Set), ("CSINodeSpec", "drivers", Keyed(&["name"]))],
    ),
    (
        "io.k8s.apimachinery.pkg.apis.meta.v1",
        &[("ObjectMeta", "ownerReferences", Keyed(&["uid"])), ("ObjectMeta", "finalizers", SetMerged)],
    ),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
        &[
            ("CustomResourceDefinitionStatus", "conditions", KeyedApplyOnly(&["type"])),
            ("JSONSchemaProps", "x-kubernetes-validations", Keyed(&["rule"])),
        ],
    ),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1", &[("APIServiceStatus", "conditions", Keyed(&["type"]))]),
];

/// `(package, [type])`: objects that server-side apply owns as a whole wherever they occur.
pub(super) const ATOMIC_STRUCTS: ByPackage<&str> = &[
    (
        "io.k8s.api.admissionregistration.v1",
        &["ParamKind", "Variable", "ParamRef", "MatchResources", "NamedRuleWithOperations"],
    ),
    ("io.k8s.api.autoscaling.v1", &["CrossVersionObjectReference"]),
    (
        "io.k8s.api.core.v1",
        &[
            "SecretReference",
            "FileKeySelector",
            "ObjectFieldSelector",
            "ResourceFieldSelector",
            "ConfigMapKeySelector",
            "SecretKeySelector",
            "NodeSelector",
            "NodeSelectorTerm",
            "TopologySelectorTerm",
            "EndpointAddress",
            "EndpointPort",
            "ObjectReference",
            "LocalObjectReference",
            "TypedLocalObjectReference",
            "ScopeSelector",
        ],
    ),
    ("io.k8s.api.discovery.v1", &["EndpointPort"]),
    ("io.k8s.api.networking.v1", &["ServiceBackendPort"]),
    ("io.k8s.api.rbac.v1", &["Subject", "RoleRef"]),
    ("io.k8s.apimachinery.pkg.apis.meta.v1", &["OwnerReference", "LabelSelector"]),
];
