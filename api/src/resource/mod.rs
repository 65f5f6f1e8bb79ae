//! The GA device API: group `resource.k8s.io` at `v1`, `v1beta2`, `v1beta1`, and `v1alpha3` for what is alpha.
//!
//! Claims, templates, classes and slices are stored as `v1`, and are validated in that shape whatever the version they
//! were written in: a `v1beta1` author is told about `spec.devices.requests[0].exactly`, as upstream does.

mod beta;
mod claim_rules;
mod claim_spec;
mod claim_status;
mod class_rules;
mod columns;
mod device;
mod gates;
mod pool_status;
mod request_policy;
mod selector;
mod slice_rules;
mod taint;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use beta::{claim_to_v1, slice_to_v1};

use std::sync::Arc;

use k8s_openapi::api::resource::{v1, v1alpha3, v1beta1, v1beta2};
use schemars::JsonSchema;
use serde_json::Value;

use crate::{
    builtin::{column::name_and_age, schema_of},
    definition::{
        Column, FieldValue, ResourceDefinition, SchemaSource, Scope, SelectableField, Strategy, Subresource,
        VersionDefinition,
    },
};

/// The API group.
pub const GROUP: &str = "resource.k8s.io";

/// One row for each kind.
pub fn definitions() -> Vec<ResourceDefinition> {
    vec![
        ResourceDefinition {
            versions: vec![
                stored(version::<v1::DeviceClass>("v1", name_and_age)),
                deprecated("DeviceClass", version::<v1beta2::DeviceClass>("v1beta2", name_and_age)),
                deprecated("DeviceClass", version::<v1beta1::DeviceClass>("v1beta1", name_and_age)),
            ],
            ..definition("DeviceClass", "deviceclasses", Scope::Cluster, Arc::new(class_rules::ClassRules))
        },
        ResourceDefinition {
            versions: vec![
                stored(version::<v1::ResourceClaim>("v1", crate::columns::claim)),
                deprecated("ResourceClaim", version::<v1beta2::ResourceClaim>("v1beta2", crate::columns::claim)),
                converted(
                    deprecated("ResourceClaim", version::<v1beta1::ResourceClaim>("v1beta1", crate::columns::claim)),
                    beta::claim_to_v1,
                    beta::claim_from_v1,
                ),
            ],
            subresources: vec![Subresource::status()],
            ..definition("ResourceClaim", "resourceclaims", Scope::Namespaced, Arc::new(claim_rules::ClaimRules))
        },
        ResourceDefinition {
            versions: vec![
                stored(version::<v1::ResourceClaimTemplate>("v1", name_and_age)),
                deprecated("ResourceClaimTemplate", version::<v1beta2::ResourceClaimTemplate>("v1beta2", name_and_age)),
                converted(
                    deprecated(
                        "ResourceClaimTemplate",
                        version::<v1beta1::ResourceClaimTemplate>("v1beta1", name_and_age),
                    ),
                    beta::template_to_v1,
                    beta::template_from_v1,
                ),
            ],
            ..definition(
                "ResourceClaimTemplate",
                "resourceclaimtemplates",
                Scope::Namespaced,
                Arc::new(claim_rules::TemplateRules),
            )
        },
        ResourceDefinition {
            versions: vec![
                stored(slice(version::<v1::ResourceSlice>("v1", columns::slice))),
                deprecated("ResourceSlice", slice(version::<v1beta2::ResourceSlice>("v1beta2", columns::slice))),
                converted(
                    deprecated("ResourceSlice", slice(version::<v1beta1::ResourceSlice>("v1beta1", columns::slice))),
                    beta::slice_to_v1,
                    beta::slice_from_v1,
                ),
            ],
            ..definition("ResourceSlice", "resourceslices", Scope::Cluster, Arc::new(slice_rules::SliceRules))
        },
        ResourceDefinition {
            versions: vec![
                version::<v1beta2::DeviceTaintRule>("v1beta2", columns::taint_rule),
                stored(deprecated(
                    "DeviceTaintRule",
                    version::<v1alpha3::DeviceTaintRule>("v1alpha3", columns::taint_rule),
                )),
            ],
            subresources: vec![Subresource::status()],
            ..definition("DeviceTaintRule", "devicetaintrules", Scope::Cluster, Arc::new(taint::TaintRuleRules))
        },
        ResourceDefinition {
            versions: vec![stored(version::<v1alpha3::ResourcePoolStatusRequest>("v1alpha3", columns::pool_status))],
            subresources: vec![Subresource::status()],
            ..definition(
                "ResourcePoolStatusRequest",
                "resourcepoolstatusrequests",
                Scope::Cluster,
                Arc::new(pool_status::PoolStatusRules),
            )
        },
    ]
}

fn definition(
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    strategy: Arc<dyn Strategy>,
) -> ResourceDefinition {
    ResourceDefinition { strategy, ..ResourceDefinition::new(GROUP, kind, plural, scope) }
}

fn version<T: JsonSchema>(name: &'static str, columns: fn() -> Vec<Column>) -> VersionDefinition {
    VersionDefinition { columns: columns(), ..VersionDefinition::new(name, SchemaSource::Built(schema_of::<T>)) }
}

fn stored(version: VersionDefinition) -> VersionDefinition {
    VersionDefinition { storage: true, ..version }
}

fn converted(
    version: VersionDefinition,
    to_storage: fn(&mut Value),
    from_storage: fn(&mut Value),
) -> VersionDefinition {
    VersionDefinition { to_storage: Some(to_storage), from_storage: Some(from_storage), ..version }
}

fn slice(version: VersionDefinition) -> VersionDefinition {
    let field = |name: &'static str| SelectableField { name: name.into(), value: FieldValue::Path };
    VersionDefinition { selectable_fields: vec![field("spec.nodeName"), field("spec.driver")], ..version }
}

/// A version with the warning that upstream gives for it: when it was deprecated, and when it goes.
fn deprecated(kind: &str, version: VersionDefinition) -> VersionDefinition {
    let (since, until) = match (version.name.as_ref(), kind) {
        ("v1beta1", _) => ("1.35", "1.38"),
        ("v1beta2", _) => ("1.36", "1.39"),
        _ => ("1.36", "1.39"),
    };
    let name = &version.name;
    let warning = format!("{GROUP}/{name} {kind} is deprecated in v{since}+, unavailable in v{until}+");
    VersionDefinition { deprecation_warning: Some(warning.into()), ..version }
}
