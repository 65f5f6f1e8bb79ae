//! The k8srm prototype of wg-device-management: group `devmgmtproto.k8s.io`, version `v1alpha1`.
//!
//! Types follow upstream's last state, with the fields that its older data still has.

mod claim;
mod class;
mod pod;
mod pool;
mod rules;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde_json::Value;

pub use claim::{
    AllocatedDeviceStatus, DeviceAllocation, DeviceClaim, DeviceClaimDetail, DeviceClaimInstance, DeviceClaimSpec,
    DeviceClaimStatus, DeviceClaimTemplate, DeviceClaimTemplateSpec, DeviceConfigReference, DeviceIp,
    DevicePrivilegedClaim, DevicePrivilegedClaimSpec, DeviceSetClaim, DeviceSetClaimSpec, ResourceAllocation,
};
pub use class::{DeviceClass, DeviceClassConfigReference, DeviceClassDefinition, DeviceClassSpec, DeviceDriver};
pub use pod::{ContainerDevice, DEVICE_CLAIMS, DeviceClaimSource, DirectDeviceClaim, PodDeviceClaim, extend_pod};
pub use pool::{
    AllocatedDevice, Attribute, Capacities, Device, DevicePool, DevicePoolSpec, DevicePoolStatus, ResourceCapacity,
};

use crate::{
    builtin::{
        column::{age, name, name_and_age, text},
        schema_of,
    },
    columns,
    definition::{
        Column, FieldValue, ResourceDefinition, SchemaSource, Scope, SelectableField, Strategy, Subresource,
        VersionDefinition,
    },
    members::{at, list},
};

/// The API group.
pub const GROUP: &str = "devmgmtproto.k8s.io";
/// The only version.
pub const VERSION: &str = "v1alpha1";

/// One row for each kind of the prototype.
pub fn definitions() -> Vec<ResourceDefinition> {
    let cluster = Scope::Cluster;
    let namespaced = Scope::Namespaced;
    vec![
        row::<DeviceDriver>("DeviceDriver", "devicedrivers", cluster, name_and_age, Arc::new(rules::DriverRules)),
        row::<DeviceClass>("DeviceClass", "deviceclasses", cluster, name_and_age, Arc::new(rules::ClassRules)),
        with_status(selectable(
            row::<DevicePool>("DevicePool", "devicepools", cluster, pool_columns, Arc::new(rules::PoolRules)),
            &["spec.nodeName", "spec.driver"],
        )),
        with_status(row::<DeviceClaim>(
            "DeviceClaim",
            "deviceclaims",
            namespaced,
            claim_columns,
            Arc::new(rules::ClaimRules),
        )),
        with_status(row::<DevicePrivilegedClaim>(
            "DevicePrivilegedClaim",
            "deviceprivilegedclaims",
            namespaced,
            claim_columns,
            Arc::new(rules::PrivilegedClaimRules),
        )),
        with_status(row::<DeviceSetClaim>(
            "DeviceSetClaim",
            "devicesetclaims",
            namespaced,
            claim_columns,
            Arc::new(rules::SetClaimRules),
        )),
        row::<DeviceClaimTemplate>(
            "DeviceClaimTemplate",
            "deviceclaimtemplates",
            namespaced,
            name_and_age,
            Arc::new(rules::TemplateRules),
        ),
    ]
}

fn row<T: JsonSchema>(
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    columns: fn() -> Vec<Column>,
    strategy: Arc<dyn Strategy>,
) -> ResourceDefinition {
    let version = VersionDefinition {
        storage: true,
        columns: columns(),
        ..VersionDefinition::new(VERSION, SchemaSource::Built(schema_of::<T>))
    };
    ResourceDefinition { versions: vec![version], strategy, ..ResourceDefinition::new(GROUP, kind, plural, scope) }
}

fn with_status(row: ResourceDefinition) -> ResourceDefinition {
    ResourceDefinition { subresources: vec![Subresource::status()], ..row }
}

fn selectable(mut row: ResourceDefinition, paths: &[&'static str]) -> ResourceDefinition {
    for version in &mut row.versions {
        version.selectable_fields =
            paths.iter().map(|path| SelectableField { name: (*path).into(), value: FieldValue::Path }).collect();
    }
    row
}

fn pool_columns() -> Vec<Column> {
    vec![
        name(),
        text("Node", "Node where the devices are, if it is one.", |pool, _| {
            columns::text_at(pool, &["spec", "nodeName"])
        }),
        text("Driver", "Driver of the devices.", |pool, _| columns::text_at(pool, &["spec", "driver"])),
        text("Devices", "How many devices there are.", |pool, _| columns::count_at(pool, &["spec", "devices"])),
        age(),
    ]
}

fn claim_columns() -> Vec<Column> {
    vec![
        name(),
        text("State", "A summary of the claim: pending, allocated, reserved, deleted.", |claim, _| {
            claim_state(claim).into()
        }),
        age(),
    ]
}

fn claim_state(claim: &Value) -> String {
    let status = at(claim, &["status"]);
    columns::state(claim, !list(status, "allocations").is_empty(), !list(status, "podNames").is_empty())
}
