//! The kinds that Kubernetes itself has, outside `resource.k8s.io`: one row of the catalog each.
//!
//! Schemas are made on first use; a row is text and function pointers.

mod addresses;
mod admissionregistration;
mod apiextensions;
mod apiregistration;
mod apps;
mod autoscaling;
mod batch;
mod cells;
mod certificates;
pub(crate) mod column;
mod coordination;
mod core;
mod discovery;
mod events;
mod flowcontrol;
mod formats;
mod go_form;
mod limit_range;
mod merging;
mod networking;
mod node;
mod node_labels;
mod pod;
mod pointer;
mod policy;
mod quota;
mod rbac;
mod reviews;
mod row;
mod rules;
mod scheduling;
mod schema;
mod storage;
mod zero_values;

#[cfg(test)]
mod catalog_tests;
#[cfg(test)]
mod column_tests;
#[cfg(test)]
mod strategy_tests;

pub use self::core::{allocate_node_ports, cluster_ip, family_errors, needs_cluster_ip, node_ports, set_cluster_ip};
pub use crate::format::is_extended_resource_name;
pub use admissionregistration::webhook_client_errors;
pub use limit_range::{claim_outside_limits, fill_in_limits, pod_outside_limits};
pub use pod::{
    Amounts, DEFAULT_SERVICE_ACCOUNT, SecurityLevel, Violation, add_all, amounts, pod_amounts,
    profiles_from_annotations, security_violations, set_priority, tolerate_short_failures, use_service_account,
};
pub use quota::{
    count_name, counted_resource, is_in_scope, measured_resource, quota_is_about, quota_scopes, shown_amounts,
    unstated, usage,
};
pub(crate) use schema::complete_schema;
pub use schema::schema_of;

use k8s_openapi::api;
use machinery::names::GroupVersionKind;

use crate::definition::{ResourceDefinition, SchemaDocument};

/// Every built-in kind outside `resource.k8s.io`, group by group.
pub fn definitions() -> Vec<ResourceDefinition> {
    [
        core::rows(),
        apps::rows(),
        batch::rows(),
        autoscaling::rows(),
        policy::rows(),
        events::rows(),
        networking::rows(),
        discovery::rows(),
        rbac::rows(),
        storage::rows(),
        scheduling::rows(),
        coordination::rows(),
        node::rows(),
        admissionregistration::rows(),
        apiextensions::rows(),
        apiregistration::rows(),
        certificates::rows(),
        flowcontrol::rows(),
        reviews::rows(),
    ]
    .into_iter()
    .flatten()
    .map(row::Row::build)
    .collect()
}

/// The schema of `metadata`, which every object has.
pub fn object_meta() -> SchemaDocument {
    schema_of::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>()
}

/// The schema of `metadata` of lists.
pub fn list_meta() -> SchemaDocument {
    schema_of::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta>()
}

/// The schema of the body of deletes.
pub fn delete_options() -> SchemaDocument {
    schema_of::<k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions>()
}

/// The schema of success and failure.
pub fn status() -> SchemaDocument {
    schema_of::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Status>()
}

/// The schema of a document of discovery: `APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`.
pub fn discovery_schema(kind: &str) -> Option<SchemaDocument> {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
    match kind {
        "APIVersions" => Some(schema_of::<meta::APIVersions>()),
        "APIGroupList" => Some(schema_of::<meta::APIGroupList>()),
        "APIGroup" => Some(schema_of::<meta::APIGroup>()),
        "APIResourceList" => Some(schema_of::<meta::APIResourceList>()),
        _ => None,
    }
}

/// The schema of `/version`.
pub fn version_info() -> SchemaDocument {
    schema_of::<k8s_openapi::apimachinery::pkg::version::Info>()
}

/// The schema of a kind that only a subresource speaks: `Scale`, `Eviction`, `TokenRequest`, `Binding`.
pub fn subresource_schema(kind: &GroupVersionKind) -> Option<SchemaDocument> {
    match (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()) {
        ("autoscaling", "v1", "Scale") => Some(schema_of::<api::autoscaling::v1::Scale>()),
        ("policy", "v1", "Eviction") => Some(schema_of::<api::policy::v1::Eviction>()),
        ("authentication.k8s.io", "v1", "TokenRequest") => Some(schema_of::<api::authentication::v1::TokenRequest>()),
        ("", "v1", "Binding") => Some(schema_of::<api::core::v1::Binding>()),
        _ => None,
    }
}
