//! Structs inside of Go's structs whose fields appear in the outer one's JSON. The decoder of Go names them in its errors.

/// The embedded structs between a Go struct and one of its JSON fields, outermost first: `VolumeSource` for `emptyDir` of a
/// `Volume`. From the type definitions of `k8s.io/api`.
pub(crate) fn between(structure: &str, field: &str) -> &'static [&'static str] {
    match (structure, field) {
        ("Volume", "name") | ("EphemeralContainer", "targetContainerName") => &[],
        ("Volume", _) => &["VolumeSource"],
        ("EphemeralContainer", _) => &["EphemeralContainerCommon"],
        ("Probe", "exec" | "grpc" | "httpGet" | "tcpSocket") => &["ProbeHandler"],
        (
            "ConfigMapEnvSource"
            | "ConfigMapKeySelector"
            | "ConfigMapProjection"
            | "ConfigMapVolumeSource"
            | "SecretEnvSource"
            | "SecretKeySelector"
            | "SecretProjection",
            "name",
        ) => &["LocalObjectReference"],
        ("PersistentVolumeSpec", field) if PERSISTENT_VOLUME_SOURCES.contains(&field) => &["PersistentVolumeSource"],
        ("IngressRule", "http") => &["IngressRuleValue"],
        ("NamedRuleWithOperations", "operations") => &["RuleWithOperations"],
        ("NamedRuleWithOperations", "apiGroups" | "apiVersions" | "resources" | "scope") => {
            &["RuleWithOperations", "Rule"]
        }
        ("RuleWithOperations", "apiGroups" | "apiVersions" | "resources" | "scope") => &["Rule"],
        ("DeviceAllocationConfiguration" | "DeviceClaimConfiguration" | "DeviceClassConfiguration", "opaque") => {
            &["DeviceConfiguration"]
        }
        _ => &[],
    }
}

const PERSISTENT_VOLUME_SOURCES: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];
