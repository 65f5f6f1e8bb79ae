//! Columns against what a real server shows, and cells of one object per kind.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::definitions;
use crate::definition::{Cell, Column, ResourceDefinition};

/// `group/version resource | columns`, as a 1.36 server sends them; in parentheses those of priority 1, `:type` where it
/// is not `string`.
const RECORDED: &str = "\
v1 configmaps | Name, Data, Age
v1 endpoints | Name, Endpoints, Age
v1 events | Last Seen, Type, Reason, Object, (Subobject), (Source), Message, (First Seen), (Count), (Name)
v1 limitranges | Name, Created At:date
v1 namespaces | Name, Status, Age
v1 nodes | Name, Status, Roles, Age, Version, (Internal-IP), (External-IP), (OS-Image), (Kernel-Version), (Container-Runtime)
v1 persistentvolumeclaims | Name, Status, Volume, Capacity, Access Modes, StorageClass, VolumeAttributesClass, Age, (VolumeMode)
v1 persistentvolumes | Name, Capacity, Access Modes, Reclaim Policy, Status, Claim, StorageClass, VolumeAttributesClass, Reason, Age, (VolumeMode)
v1 pods | Name, Ready, Status, Restarts, Age, (IP), (Node), (Nominated Node), (Readiness Gates)
v1 podtemplates | Name, Containers, Images, Pod Labels
v1 replicationcontrollers | Name, Desired:integer, Current:integer, Ready:integer, Age, (Containers), (Images), (Selector)
v1 resourcequotas | Name, Request, Limit, Age
v1 secrets | Name, Type, Data, Age
v1 serviceaccounts | Name, Age
v1 services | Name, Type, Cluster-IP, External-IP, Port(s), Age, (Selector)
apiregistration.k8s.io/v1 apiservices | Name, Service, Available, Age
apps/v1 controllerrevisions | Name, Controller, Revision, Age
apps/v1 daemonsets | Name, Desired:integer, Current:integer, Ready:integer, Up-to-date:integer, Available:integer, Node Selector, Age, (Containers), (Images), (Selector)
apps/v1 deployments | Name, Ready, Up-to-date, Available, Age, (Containers), (Images), (Selector)
apps/v1 replicasets | Name, Desired:integer, Current:integer, Ready:integer, Age, (Containers), (Images), (Selector)
apps/v1 statefulsets | Name, Ready, Age, (Containers), (Images)
events.k8s.io/v1 events | Last Seen, Type, Reason, Object, (Subobject), (Source), Message, (First Seen), (Count), (Name)
autoscaling/v2 horizontalpodautoscalers | Name, Reference, Targets, MinPods, MaxPods, Replicas, Age
batch/v1 cronjobs | Name, Schedule, Timezone, Suspend:boolean, Active:integer, Last Schedule, Age, (Containers), (Images), (Selector)
batch/v1 jobs | Name, Status, Completions, Duration, Age, (Containers), (Images), (Selector)
certificates.k8s.io/v1 certificatesigningrequests | Name, Age, SignerName, Requestor, RequestedDuration, Condition
networking.k8s.io/v1 ingressclasses | Name, Controller, Parameters, Age
networking.k8s.io/v1 ingresses | Name, Class, Hosts, Address, Ports, Age
networking.k8s.io/v1 ipaddresses | Name, ParentRef
networking.k8s.io/v1 networkpolicies | Name, Pod-Selector, Age
networking.k8s.io/v1 servicecidrs | Name, CIDRs, Age
policy/v1 poddisruptionbudgets | Name, Min Available, Max Unavailable, Allowed Disruptions:integer, Age
rbac.authorization.k8s.io/v1 clusterrolebindings | Name, Role, Age, (Users), (Groups), (ServiceAccounts)
rbac.authorization.k8s.io/v1 clusterroles | Name, Created At:date
rbac.authorization.k8s.io/v1 rolebindings | Name, Role, Age, (Users), (Groups), (ServiceAccounts)
rbac.authorization.k8s.io/v1 roles | Name, Created At:date
storage.k8s.io/v1 csidrivers | Name, AttachRequired:boolean, PodInfoOnMount:boolean, StorageCapacity:boolean, TokenRequests, RequiresRepublish:boolean, Modes, Age
storage.k8s.io/v1 csinodes | Name, Drivers:integer, Age
storage.k8s.io/v1 csistoragecapacities | Name, Created At:date
storage.k8s.io/v1 storageclasses | Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age
storage.k8s.io/v1 volumeattachments | Name, Attacher, PV, Node, Attached:boolean, Age
storage.k8s.io/v1 volumeattributesclasses | Name, DriverName, Age
admissionregistration.k8s.io/v1 mutatingadmissionpolicies | Name, Mutations:integer, ParamKind, Age
admissionregistration.k8s.io/v1 mutatingadmissionpolicybindings | Name, PolicyName, ParamRef, Age
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations | Name, Webhooks:integer, Age
admissionregistration.k8s.io/v1 validatingadmissionpolicies | Name, Validations:integer, ParamKind, Age
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings | Name, PolicyName, ParamRef, Age
admissionregistration.k8s.io/v1 validatingwebhookconfigurations | Name, Webhooks:integer, Age
apiextensions.k8s.io/v1 customresourcedefinitions | Name, Created At:date
scheduling.k8s.io/v1 priorityclasses | Name, Value:integer, Global-Default:boolean, Age, PreemptionPolicy
coordination.k8s.io/v1 leases | Name, Holder, Age
node.k8s.io/v1 runtimeclasses | Name, Handler, Age
discovery.k8s.io/v1 endpointslices | Name, AddressType, Ports, Endpoints, Age
flowcontrol.apiserver.k8s.io/v1 flowschemas | Name, PriorityLevel, MatchingPrecedence, DistinguisherMethod, Age, MissingPL
flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations | Name, Type, NominalConcurrencyShares, Queues, HandSize, QueueLengthLimit, Age";

fn find(group_version: &str, plural: &str) -> (ResourceDefinition, Vec<Column>) {
    let (group, version) = machinery::names::split_api_version(group_version).expect("a version");
    let row = definitions().into_iter().find(|row| row.group == group && row.plural == plural).expect(plural);
    let columns = row.version(version).expect("a served version").columns.clone();
    (row, columns)
}

#[test]
fn headings_are_the_recorded_ones() {
    for line in RECORDED.lines() {
        let (resource, columns) = line.split_once(" | ").expect("a separator");
        let (group_version, plural) = resource.split_once(' ').expect("a resource");
        let shown: Vec<_> = find(group_version, plural)
            .1
            .iter()
            .map(|column| {
                let type_ = if column.type_ == "string" { String::new() } else { format!(":{}", column.type_) };
                let shown = format!("{}{type_}", column.name);
                if column.priority > 0 { format!("({shown})") } else { shown }
            })
            .collect();
        assert_eq!(shown.join(", "), columns, "{resource}");
    }
}

fn cells(group_version: &str, plural: &str, object: &Value) -> Value {
    let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
    let cell = |column: &Column| match &column.cell {
        Cell::Computed(compute) | Cell::Optional(compute) => compute(object, now),
        Cell::JsonPath(_) => panic!("built-in cells are computed"),
    };
    find(group_version, plural).1.iter().map(cell).collect()
}

fn created(mut object: Value) -> Value {
    machinery::meta::set(&mut object, "name", "x");
    machinery::meta::set(&mut object, "creationTimestamp", "2026-01-01T11:55:00Z");
    object
}

#[test]
fn cells_of_a_bare_object_are_whole() {
    for row in definitions() {
        for version in &row.versions {
            let group_version = machinery::names::api_version(&row.group, &version.name);
            for object in [json!({}), json!([]), json!({"metadata": 1, "spec": [], "status": "x", "data": null})] {
                let shown = cells(&group_version, &row.plural, &object);
                assert_eq!(shown.as_array().map(Vec::len), Some(version.columns.len()), "{}", row.plural);
            }
        }
    }
}

#[test]
fn cells_follow_the_printers() {
    let pod_template = json!({"spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]}});
    let cases = [
        ("v1", "configmaps", json!({"data": {"a": "b"}, "binaryData": {"c": ""}}), json!(["x", 2, "5m"])),
        (
            "v1",
            "endpoints",
            json!({"subsets": [{"addresses": [{"ip": "1.1.1.1"}, {"ip": "::1"}], "ports": [{"port": 1}, {"port": 2}]}]}),
            json!(["x", "1.1.1.1:1,[::1]:1,1.1.1.1:2 + 1 more...", "5m"]),
        ),
        ("v1", "endpoints", json!({}), json!(["x", "<none>", "5m"])),
        (
            "v1",
            "nodes",
            json!({
                "metadata": {"labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/control-plane": ""}},
                "spec": {"unschedulable": true},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1.36.0", "kernelVersion": "6.1", "architecture": "amd64"},
                },
            }),
            json!([
                "x",
                "Ready,SchedulingDisabled",
                "control-plane,worker",
                "5m",
                "v1.36.0",
                "10.0.0.1",
                "<none>",
                "<unknown>",
                "6.1 (amd64)",
                "<unknown>"
            ]),
        ),
        (
            "v1",
            "services",
            json!({
                "spec": {
                    "type": "LoadBalancer", "clusterIPs": ["10.96.0.7"], "selector": {"a": "b"},
                    "ports": [{"port": 80, "protocol": "TCP"}, {"port": 443, "nodePort": 30443, "protocol": "TCP"}],
                },
            }),
            json!(["x", "LoadBalancer", "10.96.0.7", "<pending>", "80/TCP,443:30443/TCP", "5m", "a=b"]),
        ),
        (
            "v1",
            "persistentvolumeclaims",
            json!({
                "spec": {"volumeName": "pv", "storageClassName": "fast", "volumeMode": "Filesystem"},
                "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadOnlyMany", "ReadWriteOnce"]},
            }),
            json!(["x", "Bound", "pv", "1Gi", "RWO,ROX", "fast", "<unset>", "5m", "Filesystem"]),
        ),
        (
            "v1",
            "resourcequotas",
            json!({"status": {
                "hard": {"pods": "2", "limits.cpu": "4", "requests.cpu": 1},
                "used": {"pods": "1", "requests.cpu": "500m"},
            }}),
            json!(["x", "pods: 1/2, requests.cpu: 500m/1", "limits.cpu: 0/4", "5m"]),
        ),
        (
            "apps/v1",
            "deployments",
            json!({
                "spec": {
                    "replicas": 3, "template": pod_template,
                    "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [
                        {"key": "c", "operator": "In", "values": ["y", "x"]}, {"key": "Z", "operator": "DoesNotExist"},
                    ]},
                },
                "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
            }),
            json!(["x", "1/3", 2, 1, "5m", "a,b", "i,j", "!Z,a=b,c in (x,y)"]),
        ),
        (
            "apps/v1",
            "controllerrevisions",
            json!({"revision": 4, "metadata": {"ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "ds", "controller": true},
            ]}}),
            json!(["x", "daemonset.apps/ds", 4, "5m"]),
        ),
        (
            "batch/v1",
            "jobs",
            json!({
                "spec": {"parallelism": 3, "template": pod_template, "selector": {}},
                "status": {"succeeded": 1, "startTime": "2026-01-01T11:00:00Z", "completionTime": "2026-01-01T11:09:05Z"},
            }),
            json!(["x", "Running", "1/1 of 3", "9m5s", "5m", "a,b", "i,j", ""]),
        ),
        (
            "batch/v1",
            "cronjobs",
            json!({"spec": {"schedule": "* * * * *", "suspend": false, "jobTemplate": {"spec": {"template": pod_template}}}}),
            json!(["x", "* * * * *", "<none>", "False", 0, "<none>", "5m", "a,b", "i,j", "<none>"]),
        ),
        (
            "policy/v1",
            "poddisruptionbudgets",
            json!({"spec": {"maxUnavailable": "25%"}}),
            json!(["x", "N/A", "25%", 0, "5m"]),
        ),
        (
            "v1",
            "events",
            json!({
                "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"}, "type": "Normal", "reason": "R",
                "message": " hello\n", "source": {"component": "kubelet", "host": "n"}, "count": 3,
                "firstTimestamp": "2026-01-01T11:00:00Z", "lastTimestamp": "2026-01-01T11:59:50Z",
            }),
            json!(["10s", "Normal", "R", "pod/p", "spec", "kubelet, n", "hello", "60m", 3, "x"]),
        ),
        (
            "events.k8s.io/v1",
            "events",
            json!({
                "regarding": {"kind": "Pod", "name": "p"}, "type": "Normal", "reason": "R", "note": "hello",
                "reportingController": "c", "eventTime": "2026-01-01T11:59:00.000000Z",
            }),
            json!(["60s", "Normal", "R", "pod/p", "", "c", "hello", "60s", 1, "x"]),
        ),
        (
            "networking.k8s.io/v1",
            "ingresses",
            json!({"spec": {"rules": [{"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": "d"}], "tls": [{}]}}),
            json!(["x", "<none>", "a,b,c + 1 more...", "", "80, 443", "5m"]),
        ),
        ("networking.k8s.io/v1", "networkpolicies", json!({}), json!(["x", "<none>", "5m"])),
        (
            "discovery.k8s.io/v1",
            "endpointslices",
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["1.1.1.1"]}]}),
            json!(["x", "IPv4", "<unset>", "1.1.1.1", "5m"]),
        ),
        (
            "rbac.authorization.k8s.io/v1",
            "rolebindings",
            json!({
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
            }),
            json!(["x", "Role/r", "5m", "u", "", "n/s"]),
        ),
        (
            "storage.k8s.io/v1",
            "storageclasses",
            json!({
                "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "p", "reclaimPolicy": "Retain",
            }),
            json!(["x (default)", "p", "Retain", "Immediate", false, "5m"]),
        ),
        (
            "autoscaling/v2",
            "horizontalpodautoscalers",
            json!({
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 4,
                    "metrics": [{"type": "Resource", "resource": {
                        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
                    }}],
                },
            }),
            json!(["x", "Deployment/d", "cpu: <unknown>/80%", "<unset>", 4, 0, "5m"]),
        ),
        (
            "certificates.k8s.io/v1",
            "certificatesigningrequests",
            json!({
                "spec": {"signerName": "s", "username": "u", "expirationSeconds": 3600},
                "status": {"conditions": [{"type": "Approved"}], "certificate": "eA=="},
            }),
            json!(["x", "5m", "s", "u", "60m", "Approved,Issued"]),
        ),
    ];
    for (group_version, plural, object, expected) in cases {
        assert_eq!(cells(group_version, plural, &created(object)), expected, "{group_version} {plural}");
    }
}

#[test]
fn pod_cells_follow_the_containers() {
    let containers = json!([{"name": "a"}, {"name": "b"}]);
    let pod = |init: Value, status: Value| {
        created(json!({"spec": {"containers": containers, "initContainers": init}, "status": status}))
    };
    let running = |name: &str| json!({"name": name, "ready": true, "state": {"running": {}}});
    let done =
        |code: i64, reason: &str| json!({"name": "b", "state": {"terminated": {"exitCode": code, "reason": reason}}});
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let cases = [
        (pod(json!([]), json!({"phase": "Pending"})), ["0/2", "Pending", "0"]),
        (pod(json!([]), json!({"phase": "Failed", "reason": "Evicted"})), ["0/2", "Evicted", "0"]),
        (
            pod(json!([]), json!({"conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]})),
            ["0/2", "SchedulingGated", "0"],
        ),
        (
            pod(json!([]), json!({"phase": "Running", "containerStatuses": [running("a"), done(0, "Completed")]})),
            ["1/2", "NotReady", "0"],
        ),
        (
            pod(json!([]), json!({"phase": "Running", "containerStatuses": [done(0, "Completed"), running("a")]})),
            ["1/2", "NotReady", "0"],
        ),
        (
            pod(
                json!([]),
                json!({"phase": "Running", "conditions": ready, "containerStatuses": [done(0, "Completed"), running("a")]}),
            ),
            ["1/2", "Running", "0"],
        ),
        (
            pod(
                json!([]),
                json!({"phase": "Running", "containerStatuses": [{
                    "name": "a", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"finishedAt": "2026-01-01T11:55:00Z"}},
                }]}),
            ),
            ["0/2", "CrashLoopBackOff", "3 (5m ago)"],
        ),
        (
            pod(
                json!([{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]),
                json!({
                    "phase": "Pending",
                    "initContainerStatuses": [{"name": "i", "restartCount": 2, "state": {"waiting": {"reason": "PodInitializing"}}}],
                }),
            ),
            ["0/3", "Init:0/2", "2"],
        ),
        (
            pod(
                json!([{"name": "i"}]),
                json!({
                    "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}}],
                }),
            ),
            ["0/2", "Init:ExitCode:2", "0"],
        ),
        (
            pod(
                json!([{"name": "s", "restartPolicy": "Always"}]),
                json!({
                    "phase": "Running", "containerStatuses": [running("a"), running("b")],
                    "initContainerStatuses": [{"name": "s", "ready": true, "started": true, "state": {"running": {}}}],
                }),
            ),
            ["3/3", "Running", "0"],
        ),
    ];
    for (pod, expected) in cases {
        let shown = cells("v1", "pods", &pod);
        assert_eq!(json!([shown[1], shown[2], shown[3]]), json!(expected), "{pod}");
        assert_eq!(json!([shown[5], shown[6], shown[7], shown[8]]), json!(["<none>", "<none>", "<none>", "<none>"]));
    }
    let mut terminating = pod(json!([]), json!({"phase": "Running"}));
    machinery::meta::set(&mut terminating, "deletionTimestamp", "2026-01-01T12:00:30Z");
    assert_eq!(cells("v1", "pods", &terminating)[2], "Terminating");
}
