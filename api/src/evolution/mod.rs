//! The dra-evolution prototype of wg-device-management: group `resource.k8s.io`, served at `v1alpha1`, `v1alpha2` and
//! `v1alpha3`, which differ in nothing but their name.
//!
//! Upstream's data uses all three versions, and upstream's server knows some kinds at one and some at another. Here every
//! kind is served at all of them from one store, which is not the store of the GA kinds of the same names.

mod claim;
mod class;
mod configuration;
mod legacy;
pub(crate) mod pod;
mod pool;
mod quota;
mod rules;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;

pub use claim::{
    AllocationResult, Constraint, DeviceConfiguration, DriverConfigurationParameters, DriverData, Request,
    RequestAllocationResult, ResourceClaim, ResourceClaimConsumerReference, ResourceClaimSpec, ResourceClaimStatus,
    ResourceClaimTemplate, ResourceClaimTemplateSpec, StructuredDriverData,
};
pub use class::DeviceClass;
pub use configuration::{ConfigurationParameters, OpaqueConfigurationParameters, Requirement};
pub(crate) use legacy::modernize;
pub use pool::{Device, DeviceAttribute, ResourcePool, ResourcePoolSpec, SharedCapacity};
pub use quota::{Quota, QuotaSpec};

use crate::{
    builtin::{
        column::{age, name, name_and_age, text},
        schema_of,
    },
    classic, columns,
    definition::{
        Column, FieldValue, ResourceDefinition, SchemaDocument, SchemaSource, Scope, SelectableField, Strategy,
        Subresource, VersionDefinition,
    },
};

/// The API group.
pub const GROUP: &str = "resource.k8s.io";
/// The version in which objects are stored, and the one that discovery prefers among the three.
pub const STORAGE_VERSION: &str = "v1alpha2";
/// Every version, in the order in which discovery lists them.
pub const VERSIONS: [&str; 3] = ["v1alpha3", "v1alpha2", "v1alpha1"];

/// One row for each kind of the prototype. `Pod` is not among them: it is another spelling of the core kind.
pub fn definitions() -> Vec<ResourceDefinition> {
    vec![
        ResourceDefinition {
            versions: versions(schemas::<DeviceClass>(), &name_and_age, &[]),
            ..definition("DeviceClass", "deviceclasses", Scope::Cluster, Arc::new(rules::ClassRules))
        },
        ResourceDefinition {
            versions: of_1_26(versions(schemas::<ResourceClaim>(), &columns::claim, &[])),
            subresources: vec![Subresource::status()],
            ..definition("ResourceClaim", "resourceclaims", Scope::Namespaced, Arc::new(rules::ClaimRules))
        },
        ResourceDefinition {
            versions: versions(schemas::<ResourceClaimTemplate>(), &columns::template, &[]),
            ..definition(
                "ResourceClaimTemplate",
                "resourceclaimtemplates",
                Scope::Namespaced,
                Arc::new(rules::TemplateRules),
            )
        },
        ResourceDefinition {
            versions: versions(schemas::<ResourcePool>(), &pool_columns, &["spec.nodeName", "spec.driverName"]),
            ..definition("ResourcePool", "resourcepools", Scope::Cluster, Arc::new(rules::PoolRules))
        },
        ResourceDefinition {
            versions: legacy::versions(versions(legacy::schemas(), &pool_columns, &[])),
            store: store("resourcepools"),
            ..definition("DevicePool", "devicepools", Scope::Cluster, Arc::new(rules::PoolRules))
        },
        ResourceDefinition {
            versions: versions(schemas::<Quota>(), &name_and_age, &[]),
            // A singular of `quota` would take that word from `ResourceQuota`, whose short name it is.
            singular: "quotas".into(),
            ..definition("Quota", "quotas", Scope::Namespaced, Arc::new(rules::QuotaRules))
        },
        ResourceDefinition {
            versions: versions([const { SchemaSource::Absent }; 3], &name_and_age, &[]),
            ..definition("ResourcePolicy", "resourcepolicies", Scope::Cluster, Arc::new(rules::QuotaRules))
        },
    ]
}

fn definition(
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    strategy: Arc<dyn Strategy>,
) -> ResourceDefinition {
    ResourceDefinition { store: store(plural), strategy, ..ResourceDefinition::new(GROUP, kind, plural, scope) }
}

/// The store of a prototype kind, which is not that of the GA kind of the same name.
fn store(plural: &str) -> crate::definition::Text {
    format!("{plural}.{STORAGE_VERSION}.{GROUP}").into()
}

/// A schema for each version, in the order of `VERSIONS`.
fn schemas<T: JsonSchema>() -> [SchemaSource; 3] {
    [
        SchemaSource::Built(|| document::<T>("v1alpha3")),
        SchemaSource::Built(|| document::<T>("v1alpha2")),
        SchemaSource::Built(|| document::<T>("v1alpha1")),
    ]
}

/// The document of a type whose definitions are named for `v1alpha2`, renamed for a version.
fn document<T: JsonSchema>(version: &str) -> SchemaDocument {
    schema_of::<T>().renamed("io.k8s.api.resource.v1alpha2.", &format!("io.k8s.api.resource.{version}."))
}

fn versions(
    schemas: [SchemaSource; 3],
    columns: &dyn Fn() -> Vec<Column>,
    selectable: &[&'static str],
) -> Vec<VersionDefinition> {
    let version = |(name, schema): (&'static str, SchemaSource)| VersionDefinition {
        storage: name == STORAGE_VERSION,
        columns: columns(),
        selectable_fields: selectable
            .iter()
            .map(|path| SelectableField { name: (*path).into(), value: FieldValue::Path })
            .collect(),
        ..VersionDefinition::new(name, schema)
    };
    VERSIONS.into_iter().zip(schemas).map(version).collect()
}

/// Claims of classic DRA, which share the kind, had another allocation at `v1alpha1`.
fn of_1_26(mut versions: Vec<VersionDefinition>) -> Vec<VersionDefinition> {
    for version in versions.iter_mut().filter(|version| version.name == "v1alpha1") {
        version.to_storage = Some(classic::claim_to_v1alpha2);
        version.from_storage = Some(classic::claim_to_v1alpha1);
    }
    versions
}

fn pool_columns() -> Vec<Column> {
    vec![
        name(),
        text("Node", "Node where the devices are.", |pool, _| columns::text_at(pool, &["spec", "nodeName"])),
        text("Driver", "Driver of the devices.", |pool, _| columns::text_at(pool, &["spec", "driverName"])),
        text("Devices", "How many devices there are.", |pool, _| columns::count_at(pool, &["spec", "devices"])),
        age(),
    ]
}
