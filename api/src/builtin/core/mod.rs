//! The core group, `v1`.

mod columns;
mod pod_columns;

use k8s_openapi::api::core::v1 as api;

use super::column::{name_and_age, name_and_creation};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

const OBJECT_VERBS: &[&str] = &["get", "patch", "update"];
const PROXY_VERBS: &[&str] = &["create", "delete", "get", "patch", "update"];
const CONNECT_VERBS: &[&str] = &["create", "get"];

/// The rows of the core group.
pub(super) fn rows() -> Vec<Row> {
    vec![
        kind("", "Binding", "bindings").version("v1", schema_of::<api::Binding>, name_and_age()).verbs(&["create"]),
        kind("", "ComponentStatus", "componentstatuses")
            .cluster()
            .short(&["cs"])
            .version("v1", schema_of::<api::ComponentStatus>, columns::component_status())
            .deprecated("v1 ComponentStatus is deprecated in v1.19+")
            .verbs(&["get", "list"]),
        kind("", "ConfigMap", "configmaps").short(&["cm"]).version(
            "v1",
            schema_of::<api::ConfigMap>,
            columns::config_map(),
        ),
        kind("", "Endpoints", "endpoints")
            .short(&["ep"])
            .version("v1", schema_of::<api::Endpoints>, columns::endpoints())
            .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
            .rules(Rules { create_on_update: true, ..Rules::PLAIN }),
        kind("", "LimitRange", "limitranges")
            .short(&["limits"])
            .version("v1", schema_of::<api::LimitRange>, name_and_creation())
            .rules(Rules { create_on_update: true, ..Rules::PLAIN }),
        kind("", "Namespace", "namespaces")
            .cluster()
            .short(&["ns"])
            .version("v1", schema_of::<api::Namespace>, columns::namespace())
            .selectable(&["status.phase"])
            .verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
            .subresource("finalize", None, &["update"])
            .status()
            .delete_returns_object()
            .rules(Rules::WITH_STATUS),
        kind("", "Node", "nodes")
            .cluster()
            .short(&["no"])
            .version("v1", schema_of::<api::Node>, columns::node())
            .selectable(&["spec.unschedulable"])
            .subresource("proxy", Some(("", "v1", "NodeProxyOptions")), PROXY_VERBS)
            .status()
            .rules(Rules::WITH_STATUS),
        kind("", "PersistentVolumeClaim", "persistentvolumeclaims")
            .short(&["pvc"])
            .version("v1", schema_of::<api::PersistentVolumeClaim>, columns::persistent_volume_claim())
            .status()
            .delete_returns_object()
            .rules(Rules::WITH_STATUS),
        kind("", "PersistentVolume", "persistentvolumes")
            .cluster()
            .short(&["pv"])
            .version("v1", schema_of::<api::PersistentVolume>, columns::persistent_volume())
            .status()
            .delete_returns_object()
            .rules(Rules::WITH_STATUS),
        kind("", "Pod", "pods")
            .short(&["po"])
            .category("all")
            .version("v1", schema_of::<api::Pod>, pod_columns::columns())
            .selectable(&["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName"])
            .selectable(&["status.phase", "status.nominatedNodeName"])
            .subresource("attach", Some(("", "v1", "PodAttachOptions")), CONNECT_VERBS)
            .subresource("binding", Some(("", "v1", "Binding")), &["create"])
            .subresource("ephemeralcontainers", None, OBJECT_VERBS)
            .subresource("eviction", Some(("policy", "v1", "Eviction")), &["create"])
            .subresource("exec", Some(("", "v1", "PodExecOptions")), CONNECT_VERBS)
            .subresource("log", None, &["get"])
            .subresource("portforward", Some(("", "v1", "PodPortForwardOptions")), CONNECT_VERBS)
            .subresource("proxy", Some(("", "v1", "PodProxyOptions")), PROXY_VERBS)
            .subresource("resize", None, OBJECT_VERBS)
            .status()
            .delete_returns_object()
            .graceful_delete()
            .rules(Rules::WITH_GENERATION),
        kind("", "PodTemplate", "podtemplates")
            .version("v1", schema_of::<api::PodTemplate>, columns::pod_template())
            .delete_returns_object()
            .rules(Rules { generation: true, ..Rules::PLAIN }),
        kind("", "ReplicationController", "replicationcontrollers")
            .short(&["rc"])
            .category("all")
            .version("v1", schema_of::<api::ReplicationController>, columns::replication_controller())
            .selectable(&["status.replicas"])
            .scale(".spec.selector")
            .status()
            .rules(Rules::WITH_GENERATION),
        kind("", "ResourceQuota", "resourcequotas")
            .short(&["quota"])
            .version("v1", schema_of::<api::ResourceQuota>, columns::resource_quota())
            .status()
            .delete_returns_object()
            .rules(Rules::WITH_STATUS),
        kind("", "Secret", "secrets").version("v1", schema_of::<api::Secret>, columns::secret()).selectable(&["type"]),
        kind("", "ServiceAccount", "serviceaccounts")
            .short(&["sa"])
            .version("v1", schema_of::<api::ServiceAccount>, name_and_age())
            .subresource("token", Some(("authentication.k8s.io", "v1", "TokenRequest")), &["create"])
            .delete_returns_object(),
        kind("", "Service", "services")
            .short(&["svc"])
            .category("all")
            .version("v1", schema_of::<api::Service>, columns::service())
            .selectable(&["spec.clusterIP", "spec.type"])
            .subresource("proxy", Some(("", "v1", "ServiceProxyOptions")), PROXY_VERBS)
            .status()
            .delete_returns_object()
            .rules(Rules { create_on_update: true, ..Rules::WITH_STATUS }),
    ]
}
