//! Pods and their templates as upstream's internal types print them. Sources of volumes that hardly anybody writes by hand are
//! shown as their JSON.

use serde_json::{Map, Value};

use super::{FALSE, Form, Member, NULL, SELECTOR, TEXT, ZERO, go_struct};

/// The spec of a claim.
pub(in crate::builtin) const CLAIM_SPEC: &[Member] = go_struct! {
    AccessModes: NULL, Selector: Form::Pointer(SELECTOR), Resources: Form::Struct(go_struct! { Limits: NULL, Requests: NULL }),
    VolumeName: TEXT, StorageClassName: NULL, VolumeMode: NULL,
    DataSource: Form::Pointer(go_struct! { APIGroup: NULL, Kind: TEXT, Name: TEXT }),
    DataSourceRef: Form::Pointer(go_struct! { APIGroup: NULL, Kind: TEXT, Name: TEXT, Namespace: NULL }),
    VolumeAttributesClassName: NULL,
};

const NAMED: &[Member] = go_struct! { Name: TEXT };
const ITEMS: Form = Form::List(go_struct! { Key: TEXT, Path: TEXT, Mode: NULL });
const FIELD: Form = Form::Pointer(go_struct! { APIVersion: TEXT, FieldPath: TEXT });
const RESOURCE_FIELD: Form =
    Form::Pointer(go_struct! { ContainerName: TEXT, Resource: TEXT, Divisor: Form::Plain("\"0\"") });
const DOWNWARD_ITEMS: Form =
    Form::List(go_struct! { Path: TEXT, FieldRef: FIELD, ResourceFieldRef: RESOURCE_FIELD, Mode: NULL });

/// The part of a pod's volume that says what it is.
const VOLUME: &[Member] = go_struct! {
    Name: TEXT,
    HostPath: Form::Pointer(go_struct! { Path: TEXT, Type: NULL }),
    EmptyDir: Form::Pointer(go_struct! { Medium: TEXT, SizeLimit: NULL }),
    GCEPersistentDisk: NULL, AWSElasticBlockStore: NULL,
    GitRepo: Form::Pointer(go_struct! { Repository: TEXT, Revision: TEXT, Directory: TEXT }),
    Secret: Form::Pointer(go_struct! { SecretName: TEXT, Items: ITEMS, DefaultMode: NULL, Optional: NULL }),
    NFS: Form::Pointer(go_struct! { Server: TEXT, Path: TEXT, ReadOnly: FALSE }),
    ISCSI: NULL, Glusterfs: NULL,
    PersistentVolumeClaim: Form::Pointer(go_struct! { ClaimName: TEXT, ReadOnly: FALSE }),
    RBD: NULL, Quobyte: NULL, FlexVolume: NULL, Cinder: NULL, CephFS: NULL, Flocker: NULL,
    DownwardAPI: Form::Pointer(go_struct! { Items: DOWNWARD_ITEMS, DefaultMode: NULL }),
    FC: NULL, AzureFile: NULL,
    ConfigMap: Form::Pointer(go_struct! { Name: TEXT, Items: ITEMS, DefaultMode: NULL, Optional: NULL }),
    VsphereVolume: NULL, AzureDisk: NULL, PhotonPersistentDisk: NULL,
    Projected: Form::Pointer(go_struct! { Sources: Form::List(PROJECTION), DefaultMode: NULL }),
    PortworxVolume: NULL, ScaleIO: NULL, StorageOS: NULL,
    CSI: Form::Pointer(go_struct! {
        Driver: TEXT, ReadOnly: NULL, FSType: NULL, VolumeAttributes: NULL, NodePublishSecretRef: Form::Pointer(NAMED),
    }),
    Ephemeral: Form::Pointer(go_struct! {
        VolumeClaimTemplate: Form::Pointer(go_struct! {
            labels: Form::Optional, annotations: Form::Optional, Spec: Form::Struct(CLAIM_SPEC),
        }),
    }),
    Image: Form::Pointer(go_struct! { Reference: TEXT, PullPolicy: TEXT }),
};

const PROJECTION: &[Member] = go_struct! {
    Secret: Form::Pointer(go_struct! { Name: TEXT, Items: ITEMS, Optional: NULL }),
    DownwardAPI: Form::Pointer(go_struct! { Items: DOWNWARD_ITEMS }),
    ConfigMap: Form::Pointer(go_struct! { Name: TEXT, Items: ITEMS, Optional: NULL }),
    ServiceAccountToken: Form::Pointer(go_struct! { Audience: TEXT, ExpirationSeconds: ZERO, Path: TEXT }),
    ClusterTrustBundle: Form::Pointer(go_struct! {
        Name: NULL, SignerName: NULL, LabelSelector: Form::Pointer(SELECTOR), Optional: NULL, Path: TEXT,
    }),
    PodCertificate: Form::Pointer(go_struct! {
        SignerName: TEXT, KeyType: TEXT, MaxExpirationSeconds: NULL, CredentialBundlePath: TEXT, KeyPath: TEXT,
        CertificateChainPath: TEXT, UserAnnotations: NULL,
    }),
};

const CLAIMS: Form = Form::List(go_struct! { Name: TEXT, Request: TEXT });
const RESOURCES: &[Member] = go_struct! { Limits: NULL, Requests: NULL, Claims: CLAIMS };
const EXEC: Form = Form::Pointer(go_struct! { Command: NULL });
const HTTP_GET: Form = Form::Pointer(go_struct! {
    Path: TEXT, Port: ZERO, Host: TEXT, Scheme: TEXT, HTTPHeaders: Form::List(go_struct! { Name: TEXT, Value: TEXT }),
});
const TCP_SOCKET: Form = Form::Pointer(go_struct! { Port: ZERO, Host: TEXT });

const PROBE: Form = Form::Pointer(go_struct! {
    Exec: EXEC, HTTPGet: HTTP_GET, TCPSocket: TCP_SOCKET, GRPC: Form::Pointer(go_struct! { Port: ZERO, Service: NULL }),
    InitialDelaySeconds: ZERO, TimeoutSeconds: ZERO, PeriodSeconds: ZERO, SuccessThreshold: ZERO, FailureThreshold: ZERO,
    TerminationGracePeriodSeconds: NULL,
});

const HANDLER: Form = Form::Pointer(go_struct! {
    Exec: EXEC, HTTPGet: HTTP_GET, TCPSocket: TCP_SOCKET, Sleep: Form::Pointer(go_struct! { Seconds: ZERO }),
});

const SELINUX: Form = Form::Pointer(go_struct! { User: TEXT, Role: TEXT, Type: TEXT, Level: TEXT });
const WINDOWS: Form = Form::Pointer(go_struct! {
    GMSACredentialSpecName: NULL, GMSACredentialSpec: NULL, RunAsUserName: NULL, HostProcess: NULL,
});
const PROFILE: Form = Form::Pointer(go_struct! { Type: TEXT, LocalhostProfile: NULL });

const SECURITY_CONTEXT: Form = Form::Pointer(CONTAINER_SECURITY);
const CONTAINER_SECURITY: &[Member] = go_struct! {
    Capabilities: Form::Pointer(go_struct! { Add: NULL, Drop: NULL }), Privileged: NULL, SELinuxOptions: SELINUX,
    WindowsOptions: WINDOWS, RunAsUser: NULL, RunAsGroup: NULL, RunAsNonRoot: NULL, ReadOnlyRootFilesystem: NULL,
    AllowPrivilegeEscalation: NULL, ProcMount: NULL, SeccompProfile: PROFILE, AppArmorProfile: PROFILE,
};

const ENVIRONMENT: Form = Form::List(go_struct! {
    Name: TEXT, Value: TEXT,
    ValueFrom: Form::Pointer(go_struct! {
        FieldRef: FIELD, ResourceFieldRef: RESOURCE_FIELD,
        ConfigMapKeyRef: Form::Pointer(go_struct! { Name: TEXT, Key: TEXT, Optional: NULL }),
        SecretKeyRef: Form::Pointer(go_struct! { Name: TEXT, Key: TEXT, Optional: NULL }),
        FileKeyRef: Form::Pointer(go_struct! { VolumeName: TEXT, Path: TEXT, Key: TEXT, Optional: NULL }),
    }),
});

const NAMED_SOURCE: Form = Form::Pointer(go_struct! { Name: TEXT, Optional: NULL });

/// A container. One that is ephemeral has a member more, which `EPHEMERAL` adds.
const CONTAINER: &[Member] = go_struct! {
    Name: TEXT, Image: TEXT, Command: NULL, Args: NULL, WorkingDir: TEXT,
    Ports: Form::List(go_struct! { Name: TEXT, HostPort: ZERO, ContainerPort: ZERO, Protocol: TEXT, HostIP: TEXT }),
    EnvFrom: Form::List(go_struct! { Prefix: TEXT, ConfigMapRef: NAMED_SOURCE, SecretRef: NAMED_SOURCE }),
    Env: ENVIRONMENT, Resources: Form::Struct(RESOURCES),
    ResizePolicy: Form::List(go_struct! { ResourceName: TEXT, RestartPolicy: TEXT }), RestartPolicy: NULL,
    RestartPolicyRules: Form::List(go_struct! {
        Action: TEXT, ExitCodes: Form::Pointer(go_struct! { Operator: TEXT, Values: NULL }),
    }),
    VolumeMounts: Form::List(go_struct! {
        Name: TEXT, ReadOnly: FALSE, RecursiveReadOnly: NULL, MountPath: TEXT, SubPath: TEXT, MountPropagation: NULL,
        SubPathExpr: TEXT,
    }),
    VolumeDevices: Form::List(go_struct! { Name: TEXT, DevicePath: TEXT }),
    LivenessProbe: PROBE, ReadinessProbe: PROBE, StartupProbe: PROBE,
    Lifecycle: Form::Pointer(go_struct! { PostStart: HANDLER, PreStop: HANDLER, StopSignal: NULL }),
    TerminationMessagePath: TEXT, TerminationMessagePolicy: TEXT, ImagePullPolicy: TEXT, SecurityContext: SECURITY_CONTEXT,
    Stdin: FALSE, StdinOnce: FALSE, TTY: FALSE,
};

/// An ephemeral container.
const EPHEMERAL: &[Member] = {
    const LEN: usize = CONTAINER.len() + 1;
    const ALL: [Member; LEN] = {
        let mut all = [("TargetContainerName", TEXT); LEN];
        let mut index = 0;
        while index < CONTAINER.len() {
            all[index] = CONTAINER[index];
            index += 1;
        }
        all
    };
    &ALL
};

const NODE_TERM: &[Member] = go_struct! { MatchExpressions: NODE_REQUIREMENTS, MatchFields: NODE_REQUIREMENTS };
const NODE_REQUIREMENTS: Form = Form::List(go_struct! { Key: TEXT, Operator: TEXT, Values: NULL });

/// A selector of nodes.
pub(in crate::builtin) const NODE_SELECTOR: &[Member] = go_struct! { NodeSelectorTerms: Form::List(NODE_TERM) };

const POD_TERM: &[Member] = go_struct! {
    LabelSelector: Form::Pointer(SELECTOR), Namespaces: NULL, TopologyKey: TEXT, NamespaceSelector: Form::Pointer(SELECTOR),
    MatchLabelKeys: NULL, MismatchLabelKeys: NULL,
};
const POD_AFFINITY: Form = Form::Pointer(go_struct! {
    RequiredDuringSchedulingIgnoredDuringExecution: Form::List(POD_TERM),
    PreferredDuringSchedulingIgnoredDuringExecution:
        Form::List(go_struct! { Weight: ZERO, PodAffinityTerm: Form::Struct(POD_TERM) }),
});

const AFFINITY: Form = Form::Pointer(go_struct! {
    NodeAffinity: Form::Pointer(go_struct! {
        RequiredDuringSchedulingIgnoredDuringExecution: Form::Pointer(NODE_SELECTOR),
        PreferredDuringSchedulingIgnoredDuringExecution:
            Form::List(go_struct! { Weight: ZERO, Preference: Form::Struct(NODE_TERM) }),
    }),
    PodAffinity: POD_AFFINITY, PodAntiAffinity: POD_AFFINITY,
});

/// The spec of a pod, as `of_spec` lays it out.
const SPEC: &[Member] = go_struct! {
    Volumes: Form::List(VOLUME), InitContainers: Form::List(CONTAINER), Containers: Form::List(CONTAINER),
    EphemeralContainers: Form::List(EPHEMERAL), RestartPolicy: TEXT, TerminationGracePeriodSeconds: NULL,
    ActiveDeadlineSeconds: NULL, DNSPolicy: TEXT, NodeSelector: NULL, ServiceAccountName: TEXT,
    AutomountServiceAccountToken: NULL, NodeName: TEXT,
    SecurityContext: Form::Pointer(go_struct! {
        HostNetwork: FALSE, HostPID: FALSE, HostIPC: FALSE, ShareProcessNamespace: NULL, HostUsers: NULL,
        SELinuxOptions: SELINUX, WindowsOptions: WINDOWS, RunAsUser: NULL, RunAsGroup: NULL, RunAsNonRoot: NULL,
        SupplementalGroups: NULL, SupplementalGroupsPolicy: NULL, FSGroup: NULL, FSGroupChangePolicy: NULL,
        Sysctls: Form::List(go_struct! { Name: TEXT, Value: TEXT }), SeccompProfile: PROFILE, AppArmorProfile: PROFILE,
        SELinuxChangePolicy: NULL,
    }),
    ImagePullSecrets: Form::List(NAMED), Hostname: TEXT, Subdomain: TEXT, SetHostnameAsFQDN: NULL, Affinity: AFFINITY,
    SchedulerName: TEXT,
    Tolerations: Form::List(go_struct! { Key: TEXT, Operator: TEXT, Value: TEXT, Effect: TEXT, TolerationSeconds: NULL }),
    HostAliases: Form::List(go_struct! { IP: TEXT, Hostnames: NULL }), PriorityClassName: TEXT, Priority: NULL,
    PreemptionPolicy: NULL,
    DNSConfig: Form::Pointer(go_struct! {
        Nameservers: NULL, Searches: NULL, Options: Form::List(go_struct! { Name: TEXT, Value: NULL }),
    }),
    ReadinessGates: Form::List(go_struct! { ConditionType: TEXT }), RuntimeClassName: NULL, Overhead: NULL,
    EnableServiceLinks: NULL,
    TopologySpreadConstraints: Form::List(go_struct! {
        MaxSkew: ZERO, TopologyKey: TEXT, WhenUnsatisfiable: TEXT, LabelSelector: Form::Pointer(SELECTOR), MinDomains: NULL,
        NodeAffinityPolicy: NULL, NodeTaintsPolicy: NULL, MatchLabelKeys: NULL,
    }),
    OS: Form::Pointer(NAMED), SchedulingGates: Form::List(NAMED),
    ResourceClaims: Form::List(go_struct! { Name: TEXT, ResourceClaimName: NULL, ResourceClaimTemplateName: NULL }),
    Resources: Form::Pointer(RESOURCES), HostnameOverride: NULL, SchedulingGroup: Form::Pointer(go_struct! { PodGroupName: NULL }),
};

/// A template of pods: its metadata stands beside its spec.
const TEMPLATE: &[Member] = go_struct! {
    name: Form::Optional, generateName: Form::Optional, namespace: Form::Optional, labels: Form::Optional,
    annotations: Form::Optional, ownerReferences: Form::Optional, finalizers: Form::Optional, Spec: Form::Struct(SPEC),
};

/// Members of a pod's spec that the internal type has in its security context.
const OF_SECURITY_CONTEXT: [&str; 5] = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];

/// The spec of a pod, laid out as the internal type is.
fn of_spec(spec: &Value) -> Value {
    let mut spec = spec.as_object().cloned().unwrap_or_default();
    let moved: Map<String, Value> =
        OF_SECURITY_CONTEXT.iter().filter_map(|name| Some(((*name).to_owned(), spec.remove(*name)?))).collect();
    if let Some(context) = spec.get_mut("securityContext").and_then(Value::as_object_mut) {
        context.extend(moved);
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(template) = volume.pointer_mut("/ephemeral/volumeClaimTemplate") {
            raise_metadata(template);
        }
    }
    spec.into()
}

/// Embedded metadata stands beside what it is of.
fn raise_metadata(object: &mut Value) {
    if let Some(members) = object.as_object_mut()
        && let Some(Value::Object(metadata)) = members.remove("metadata")
    {
        members.extend(metadata);
    }
}

/// The security context of a container in one line.
pub(in crate::builtin) fn shown_security_context(context: &Value) -> String {
    super::shown(CONTAINER_SECURITY, context)
}

/// A template of pods in one line.
pub(in crate::builtin) fn shown_template(template: &Value) -> String {
    let mut template = template.clone();
    raise_metadata(&mut template);
    if let Some(members) = template.as_object_mut() {
        let spec = of_spec(members.get("spec").unwrap_or(&Value::Null));
        members.insert("spec".to_owned(), spec);
    }
    super::shown(TEMPLATE, &template)
}

/// What differs between the specs of two pods.
pub(in crate::builtin) fn changes_of_spec(old: &Value, new: &Value) -> String {
    super::changes(SPEC, &of_spec(old), &of_spec(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_internal_type_has_elsewhere_is_moved() {
        let spec =
            |network: bool| json!({"containers": [], "securityContext": {}, "hostNetwork": network, "nodeName": "n"});
        assert_eq!(
            changes_of_spec(&spec(false), &spec(true)),
            "@@ -12,7 +12,7 @@\n  \"AutomountServiceAccountToken\": null,\n  \"NodeName\": \"n\",\n  \"SecurityContext\": {\n\
             -  \"HostNetwork\": false,\n+  \"HostNetwork\": true,\n   \"HostPID\": false,\n   \"HostIPC\": false,\n   \
             \"ShareProcessNamespace\": null,\n"
        );
        let template = json!({"metadata": {"labels": {"a": "<b>"}}, "spec": {}});
        assert!(shown_template(&template).starts_with(r#"{"labels":{"a":"\u003cb\u003e"},"Spec":{"Volumes":null,"#));
    }
}
