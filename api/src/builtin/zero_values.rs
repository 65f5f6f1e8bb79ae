//! Values that an answer shows although nobody wrote them, because the API's types always write the member.
//!
//! Facts about the API, by package, type and field. `schema_of` publishes them as `default`, as upstream's OpenAPI does.
//! Two rules need no rows: `metadata`, `spec` and `status` are always objects, and a required scalar reads as its zero value.

use super::merging::ByPackage;

/// `(package, [(type, field)])`: members of object type that are written even when empty.
pub(super) const EMPTY_OBJECTS: ByPackage<(&str, &str)> = &[
    (
        "io.k8s.api.admissionregistration.v1",
        &[("ValidatingWebhook", "clientConfig"), ("MutatingWebhook", "clientConfig")],
    ),
    (
        "io.k8s.api.apps.v1",
        &[
            ("StatefulSetSpec", "template"),
            ("StatefulSetSpec", "updateStrategy"),
            ("DeploymentSpec", "template"),
            ("DeploymentSpec", "strategy"),
            ("DaemonSetSpec", "template"),
            ("DaemonSetSpec", "updateStrategy"),
            ("ReplicaSetSpec", "template"),
        ],
    ),
    ("io.k8s.api.authentication.v1", &[("TokenReviewStatus", "user"), ("SelfSubjectReviewStatus", "userInfo")]),
    ("io.k8s.api.autoscaling.v1", &[("HorizontalPodAutoscalerSpec", "scaleTargetRef")]),
    (
        "io.k8s.api.autoscaling.v2",
        &[
            ("HorizontalPodAutoscalerSpec", "scaleTargetRef"),
            ("ObjectMetricSource", "describedObject"),
            ("ObjectMetricSource", "target"),
            ("ObjectMetricSource", "metric"),
            ("PodsMetricSource", "metric"),
            ("PodsMetricSource", "target"),
            ("ResourceMetricSource", "target"),
            ("ContainerResourceMetricSource", "target"),
            ("ExternalMetricSource", "metric"),
            ("ExternalMetricSource", "target"),
            ("ObjectMetricStatus", "metric"),
            ("ObjectMetricStatus", "current"),
            ("ObjectMetricStatus", "describedObject"),
            ("PodsMetricStatus", "metric"),
            ("PodsMetricStatus", "current"),
            ("ResourceMetricStatus", "current"),
            ("ContainerResourceMetricStatus", "current"),
            ("ExternalMetricStatus", "metric"),
            ("ExternalMetricStatus", "current"),
        ],
    ),
    ("io.k8s.api.batch.v1", &[("JobSpec", "template"), ("CronJobSpec", "jobTemplate")]),
    (
        "io.k8s.api.core.v1",
        &[
            ("PersistentVolumeClaimSpec", "resources"),
            ("Container", "resources"),
            ("ContainerStatus", "state"),
            ("ContainerStatus", "lastState"),
            ("WeightedPodAffinityTerm", "podAffinityTerm"),
            ("PreferredSchedulingTerm", "preference"),
            ("EphemeralContainer", "resources"),
            ("PodTemplate", "template"),
            ("ServiceStatus", "loadBalancer"),
            ("NodeDaemonEndpoints", "kubeletEndpoint"),
            ("NodeStatus", "daemonEndpoints"),
            ("NodeStatus", "nodeInfo"),
            ("Binding", "target"),
            ("Event", "involvedObject"),
            ("Event", "source"),
        ],
    ),
    ("io.k8s.api.discovery.v1", &[("Endpoint", "conditions")]),
    ("io.k8s.api.events.v1", &[("Event", "regarding"), ("Event", "deprecatedSource")]),
    (
        "io.k8s.api.flowcontrol.v1",
        &[("FlowSchemaSpec", "priorityLevelConfiguration"), ("LimitedPriorityLevelConfiguration", "limitResponse")],
    ),
    (
        "io.k8s.api.networking.v1",
        &[
            ("NetworkPolicySpec", "podSelector"),
            ("IngressStatus", "loadBalancer"),
            ("HTTPIngressPath", "backend"),
            ("IngressServiceBackend", "port"),
        ],
    ),
    ("io.k8s.api.rbac.v1", &[("RoleBinding", "roleRef"), ("ClusterRoleBinding", "roleRef")]),
    (
        "io.k8s.api.resource.v1",
        &[
            ("DeviceTaintRuleSpec", "taint"),
            ("ResourceSliceSpec", "pool"),
            ("ResourceClaimSpec", "devices"),
            ("AllocationResult", "devices"),
        ],
    ),
    ("io.k8s.api.resource.v1alpha3", &[("DeviceTaintRuleSpec", "taint")]),
    (
        "io.k8s.api.resource.v1beta1",
        &[("ResourceSliceSpec", "pool"), ("ResourceClaimSpec", "devices"), ("AllocationResult", "devices")],
    ),
    (
        "io.k8s.api.resource.v1beta2",
        &[
            ("DeviceTaintRuleSpec", "taint"),
            ("ResourceSliceSpec", "pool"),
            ("ResourceClaimSpec", "devices"),
            ("AllocationResult", "devices"),
        ],
    ),
    ("io.k8s.api.storage.v1", &[("VolumeAttachmentSpec", "source")]),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
        &[("CustomResourceDefinitionSpec", "names"), ("CustomResourceDefinitionStatus", "acceptedNames")],
    ),
];

/// `(package, [(type, field)])`: scalars that are optional on the way in, and written even when zero.
pub(super) const ZERO_VALUES: ByPackage<(&str, &str)> = &[
    (
        "io.k8s.api.apps.v1",
        &[
            ("StatefulSetOrdinals", "start"),
            ("StatefulSetStatus", "availableReplicas"),
            ("StatefulSetSpec", "serviceName"),
        ],
    ),
    ("io.k8s.api.authentication.v1", &[("TokenRequestStatus", "token")]),
    ("io.k8s.api.batch.v1", &[("PodFailurePolicyOnPodConditionsPattern", "status")]),
    (
        "io.k8s.api.core.v1",
        &[("NodeRuntimeHandler", "name"), ("Event", "reportingComponent"), ("Event", "reportingInstance")],
    ),
    (
        "io.k8s.api.flowcontrol.v1",
        &[
            ("FlowSchemaSpec", "matchingPrecedence"),
            ("QueuingConfiguration", "queues"),
            ("QueuingConfiguration", "handSize"),
            ("QueuingConfiguration", "queueLengthLimit"),
        ],
    ),
    (
        "io.k8s.api.policy.v1",
        &[
            ("PodDisruptionBudgetStatus", "disruptionsAllowed"),
            ("PodDisruptionBudgetStatus", "currentHealthy"),
            ("PodDisruptionBudgetStatus", "desiredHealthy"),
            ("PodDisruptionBudgetStatus", "expectedPods"),
        ],
    ),
    ("io.k8s.api.rbac.v1", &[("RoleRef", "apiGroup")]),
    ("io.k8s.api.scheduling.v1", &[("PriorityClass", "value")]),
];

/// `(package, [(type, field)])`: members that are pointers, so that nothing is read where they are missing.
pub(super) const POINTERS: ByPackage<(&str, &str)> = &[
    (
        "io.k8s.api.admissionregistration.v1",
        &[
            ("MutatingWebhook", "sideEffects"),
            ("ValidatingWebhook", "sideEffects"),
            ("ValidatingAdmissionPolicyBindingSpec", "policyName"),
        ],
    ),
    ("io.k8s.api.authentication.v1", &[("TokenReviewSpec", "token")]),
    ("io.k8s.api.certificates.v1", &[("CertificateSigningRequestSpec", "request")]),
    (
        "io.k8s.api.core.v1",
        &[
            ("AzureFilePersistentVolumeSource", "secretNamespace"),
            ("ContainerRestartRule", "action"),
            ("ContainerRestartRuleOnExitCodes", "operator"),
            ("ImageVolumeStatus", "imageRef"),
            ("PodCertificateProjection", "keyType"),
            ("PodCertificateProjection", "signerName"),
        ],
    ),
    (
        "io.k8s.api.networking.v1",
        &[("HTTPIngressPath", "pathType"), ("ParentReference", "name"), ("ParentReference", "resource")],
    ),
    (
        "io.k8s.api.resource.v1alpha3",
        &[
            ("ResourcePoolStatusRequest", "status"),
            ("ResourcePoolStatusRequestStatus", "poolCount"),
            ("PoolStatus", "driver"),
            ("PoolStatus", "poolName"),
        ],
    ),
];

/// `(package, [(type, field, JSON)])`: declared default values.
pub(super) const DEFAULTS: ByPackage<(&str, &str, &str)> = &[
    (
        "io.k8s.api.core.v1",
        &[
            ("RBDVolumeSource", "pool", r#""rbd""#),
            ("RBDVolumeSource", "user", r#""admin""#),
            ("RBDVolumeSource", "keyring", r#""/etc/ceph/keyring""#),
            ("RBDPersistentVolumeSource", "pool", r#""rbd""#),
            ("RBDPersistentVolumeSource", "user", r#""admin""#),
            ("RBDPersistentVolumeSource", "keyring", r#""/etc/ceph/keyring""#),
            ("ISCSIVolumeSource", "iscsiInterface", r#""default""#),
            ("ISCSIPersistentVolumeSource", "iscsiInterface", r#""default""#),
            ("AzureDiskVolumeSource", "cachingMode", r#""ReadWrite""#),
            ("AzureDiskVolumeSource", "fsType", r#""ext4""#),
            ("AzureDiskVolumeSource", "readOnly", "false"),
            ("AzureDiskVolumeSource", "kind", r#""Shared""#),
            ("ScaleIOVolumeSource", "storageMode", r#""ThinProvisioned""#),
            ("ScaleIOVolumeSource", "fsType", r#""xfs""#),
            ("ScaleIOPersistentVolumeSource", "storageMode", r#""ThinProvisioned""#),
            ("ScaleIOPersistentVolumeSource", "fsType", r#""xfs""#),
            ("ContainerPort", "protocol", r#""TCP""#),
            ("FileKeySelector", "optional", "false"),
            ("GRPCAction", "service", r#""""#),
            ("ReplicationControllerSpec", "replicas", "1"),
            ("ServicePort", "protocol", r#""TCP""#),
        ],
    ),
    ("io.k8s.api.resource.v1", &[("DeviceToleration", "operator", r#""Equal""#)]),
    ("io.k8s.api.resource.v1alpha3", &[("ResourcePoolStatusRequestSpec", "limit", "100")]),
    ("io.k8s.api.resource.v1beta1", &[("DeviceToleration", "operator", r#""Equal""#)]),
    ("io.k8s.api.resource.v1beta2", &[("DeviceToleration", "operator", r#""Equal""#)]),
];
