//! The core group, `v1`.

mod columns;
mod defaults;
mod service;
mod service_families;
mod service_validation;
mod validation;

pub(in crate::builtin) use validation::{claim_spec, endpoint_ip_errors as unreachable_errors};

pub use service::{allocate_node_ports, cluster_ip, needs_cluster_ip, node_ports, set_cluster_ip};
pub use service_families::family_errors;

use k8s_openapi::api::core::v1 as api;
use machinery::names;
use serde_json::json;

use super::apps::{validate_replication_controller, validate_replication_controller_status};
use super::column::{name_and_age, name_and_creation};
use super::pod::{self, schema_with_pods, template_warnings, workload_warnings};
use super::pointer::is_true;
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

const PROXY_VERBS: &[&str] = &["create", "delete", "get", "patch", "update"];

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
        kind("", "ConfigMap", "configmaps")
            .short(&["cm"])
            .version("v1", schema_of::<api::ConfigMap>, columns::config_map())
            .rules(Rules { validate: validation::config_map, validate_change: validation::frozen, ..Rules::PLAIN }),
        kind("", "Endpoints", "endpoints")
            .short(&["ep"])
            .version("v1", schema_of::<api::Endpoints>, columns::endpoints())
            .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
            .rules(Rules {
                create_on_update: true,
                default: defaults::endpoints,
                validate: validation::endpoints,
                ..Rules::PLAIN
            }),
        kind("", "LimitRange", "limitranges")
            .short(&["limits"])
            .version("v1", schema_of::<api::LimitRange>, name_and_creation())
            .rules(Rules {
                create_on_update: true,
                default: defaults::limit_range,
                validate: validation::limit_range,
                ..Rules::PLAIN
            }),
        kind("", "Namespace", "namespaces")
            .cluster()
            .short(&["ns"])
            .version("v1", schema_of::<api::Namespace>, columns::namespace())
            .selectable(&["status.phase"])
            .verbs(&["create", "delete", "get", "list", "patch", "update", "watch"])
            .subresource("finalize", None, &["update"])
            .status()
            .delete_returns_object()
            .rules(Rules {
                name_errors: names::dns1123_label_errors,
                initial_status: |_| json!({"phase": "Active"}),
                default: defaults::namespace,
                validate: validation::namespace,
                validate_subresource: |namespace, _, subresource| match subresource {
                    "status" => validation::namespace_status(namespace),
                    _ => validation::namespace(namespace),
                },
                prepare_for_create: defaults::finalize_namespace,
                prepare_for_update: |namespace, old, subresource, _| {
                    defaults::keep_namespace_finalizers(namespace, old, subresource);
                },
                ..Rules::WITH_STATUS
            }),
        kind("", "Node", "nodes")
            .cluster()
            .short(&["no"])
            .version("v1", schema_of::<api::Node>, columns::node())
            .selectable_by("spec.unschedulable", |node| is_true(node, "/spec/unschedulable").to_string())
            .subresource("proxy", Some(("", "v1", "NodeProxyOptions")), PROXY_VERBS)
            .status()
            .rules(Rules {
                // The kubelet creates its node with a status.
                initial_status: |node| node.get("status").cloned().unwrap_or_else(|| json!({})),
                default: defaults::node,
                warnings: |node, _| validation::node_warnings(node),
                validate: validation::node,
                validate_change: validation::node_change,
                validate_subresource: |node, _, _| validation::node_status(node),
                prepare_for_create: |node, _| validation::drop_dynamic_settings(node, None),
                prepare_for_update: |node, old, _, _| validation::drop_dynamic_settings(node, Some(old)),
                ..Rules::WITH_STATUS
            }),
        kind("", "PersistentVolumeClaim", "persistentvolumeclaims")
            .short(&["pvc"])
            .version("v1", schema_of::<api::PersistentVolumeClaim>, columns::persistent_volume_claim())
            .status()
            .delete_returns_object()
            .rules(Rules {
                initial_status: |_| json!({"phase": "Pending"}),
                default: defaults::persistent_volume_claim,
                warnings: |claim, _| validation::persistent_volume_claim_warnings(claim),
                prepare_for_create: |claim, view| defaults::align_data_sources(claim, None, view),
                prepare_for_update: |claim, old, subresource, view| {
                    if subresource.is_empty() {
                        defaults::align_data_sources(claim, Some(old), view);
                    }
                },
                validate: validation::persistent_volume_claim,
                validate_change: validation::persistent_volume_claim_change,
                validate_subresource: |claim, _, _| validation::persistent_volume_claim_status(claim),
                ..Rules::WITH_STATUS
            }),
        kind("", "PersistentVolume", "persistentvolumes")
            .cluster()
            .short(&["pv"])
            .version("v1", schema_of::<api::PersistentVolume>, columns::persistent_volume())
            .status()
            .delete_returns_object()
            .rules(Rules {
                initial_status: |_| json!({"phase": "Pending"}),
                default: defaults::persistent_volume,
                warnings: |volume, _| validation::persistent_volume_warnings(volume),
                validate: validation::persistent_volume,
                validate_change: validation::persistent_volume_change,
                prepare_for_create: defaults::stamp_volume_phase,
                prepare_for_update: |volume, old, subresource, view| {
                    if subresource == "status" {
                        defaults::stamp_new_phase(volume, old, view);
                    }
                },
                ..Rules::WITH_STATUS
            }),
        pod::row(),
        kind("", "PodTemplate", "podtemplates")
            .version("v1", schema_with_pods::<api::PodTemplate>, columns::pod_template())
            .delete_returns_object()
            .rules(Rules {
                generation: true,
                default: defaults::pod_template,
                warnings: |template, old| {
                    let mut warnings = Vec::new();
                    template_warnings(&mut warnings, &["template"], template, old);
                    warnings
                },
                validate: validation::pod_template,
                ..Rules::PLAIN
            }),
        kind("", "ReplicationController", "replicationcontrollers")
            .short(&["rc"])
            .category("all")
            .version("v1", schema_with_pods::<api::ReplicationController>, columns::replication_controller())
            .selectable(&["status.replicas"])
            .scale(".spec.selector")
            .status()
            .rules(Rules {
                initial_status: |_| json!({"replicas": 0}),
                default: defaults::replication_controller,
                warnings: |controller, old| workload_warnings(&["spec", "template"], controller, old),
                validate: validate_replication_controller,
                validate_subresource: validate_replication_controller_status,
                ..Rules::WITH_GENERATION
            }),
        kind("", "ResourceQuota", "resourcequotas")
            .short(&["quota"])
            .version("v1", schema_of::<api::ResourceQuota>, columns::resource_quota())
            .status()
            .delete_returns_object()
            .rules(Rules {
                validate: validation::resource_quota,
                validate_change: validation::resource_quota_change,
                ..Rules::WITH_STATUS
            }),
        kind("", "Secret", "secrets")
            .version("v1", schema_of::<api::Secret>, columns::secret())
            .selectable(&["type"])
            .rules(Rules {
                default: defaults::secret,
                validate: validation::secret,
                validate_change: validation::secret_change,
                ..Rules::PLAIN
            }),
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
            .rules(Rules {
                create_on_update: true,
                name_errors: names::dns1123_label_errors,
                initial_status: |_| json!({"loadBalancer": {}}),
                default: service::default,
                validate: service_validation::validate,
                validate_update: Some(service_validation::validate_update),
                validate_subresource: |service, _, _| service_validation::validate_status(service),
                warnings: |service, _| service_validation::warnings(service),
                prepare_for_create: |service, _| service::choose_families(service),
                prepare_for_update: |service, old, subresource, _| {
                    if subresource.is_empty() {
                        service::keep_allocations(service, old);
                        service::choose_families(service);
                        service::forget_balancer(service);
                    }
                },
                ..Rules::WITH_STATUS
            }),
    ]
}
