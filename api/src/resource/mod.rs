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
mod derived;
mod device;
mod gates;
mod life;
mod node_resources;
mod pool_status;
mod printed;
mod request_policy;
mod selector;
mod since_1_37;
mod slice_rules;
mod status_access;
mod taint;

#[cfg(test)]
mod release_tests;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use beta::{claim_from_v1, claim_to_v1, slice_from_v1, slice_to_v1, template_from_v1, template_to_v1};
pub(crate) use claim_rules::validate_template_metadata;
pub(crate) use claim_status::validate_conditions;
pub(crate) use selector::validate as validate_node_selector;

use std::sync::Arc;

use k8s_openapi::api::resource::{v1, v1alpha3, v1beta1, v1beta2};
use schemars::JsonSchema;
use serde_json::Value;

use self::life::Life;

use crate::{
    builtin::{column::name_and_age, schema_of},
    definition::{
        Column, FieldValue, ResourceDefinition, SchemaSource, Scope, SelectableField, Strategy, Subresource,
        VersionDefinition,
    },
    release::Release,
};

/// The API group.
pub const GROUP: &str = "resource.k8s.io";

/// One row for each kind that a release has.
pub fn definitions(release: Release) -> Vec<ResourceDefinition> {
    let of = Rows { release };
    let mut rows = vec![of.class(), of.claim(), of.template(), of.slice(), of.taint_rule(), of.pool_status()];
    rows.retain(|row| row.versions.iter().any(|version| version.served));
    rows
}

/// Makes the rows of one release.
struct Rows {
    release: Release,
}

impl Rows {
    fn class(&self) -> ResourceDefinition {
        ResourceDefinition {
            versions: vec![
                stored(self.version::<v1::DeviceClass>("v1", "DeviceClass", name_and_age)),
                self.version::<v1beta2::DeviceClass>("v1beta2", "DeviceClass", name_and_age),
                self.version::<v1beta1::DeviceClass>("v1beta1", "DeviceClass", name_and_age),
            ],
            ..definition("DeviceClass", "deviceclasses", Scope::Cluster, Arc::new(class_rules::ClassRules))
        }
    }

    fn claim(&self) -> ResourceDefinition {
        let columns = crate::columns::claim;
        ResourceDefinition {
            versions: vec![
                stored(self.version::<v1::ResourceClaim>("v1", "ResourceClaim", columns)),
                self.version::<v1beta2::ResourceClaim>("v1beta2", "ResourceClaim", columns),
                converted(
                    self.version::<v1beta1::ResourceClaim>("v1beta1", "ResourceClaim", columns),
                    beta::claim_to_v1,
                    beta::claim_from_v1,
                ),
            ],
            subresources: vec![Subresource::status()],
            ..definition("ResourceClaim", "resourceclaims", Scope::Namespaced, Arc::new(claim_rules::ClaimRules))
        }
    }

    fn template(&self) -> ResourceDefinition {
        let kind = "ResourceClaimTemplate";
        ResourceDefinition {
            versions: vec![
                stored(self.version::<v1::ResourceClaimTemplate>("v1", kind, crate::columns::template)),
                self.version::<v1beta2::ResourceClaimTemplate>("v1beta2", kind, crate::columns::template),
                converted(
                    self.version::<v1beta1::ResourceClaimTemplate>("v1beta1", kind, crate::columns::template),
                    beta::template_to_v1,
                    beta::template_from_v1,
                ),
            ],
            ..definition(kind, "resourceclaimtemplates", Scope::Namespaced, Arc::new(claim_rules::TemplateRules))
        }
    }

    fn slice(&self) -> ResourceDefinition {
        let columns = columns::slice;
        ResourceDefinition {
            versions: vec![
                stored(self.selectable(self.version::<v1::ResourceSlice>("v1", "ResourceSlice", columns))),
                self.selectable(self.version::<v1beta2::ResourceSlice>("v1beta2", "ResourceSlice", columns)),
                converted(
                    self.selectable(self.version::<v1beta1::ResourceSlice>("v1beta1", "ResourceSlice", columns)),
                    beta::slice_to_v1,
                    beta::slice_from_v1,
                ),
            ],
            ..definition("ResourceSlice", "resourceslices", Scope::Cluster, Arc::new(slice_rules::SliceRules))
        }
    }

    fn taint_rule(&self) -> ResourceDefinition {
        let (kind, columns) = ("DeviceTaintRule", columns::taint_rule);
        ResourceDefinition {
            versions: vec![
                VersionDefinition {
                    schema: SchemaSource::Built(since_1_37::taint_rule_v1),
                    ..self.version::<v1beta2::DeviceTaintRule>("v1", kind, columns)
                },
                self.version::<v1beta2::DeviceTaintRule>("v1beta2", kind, columns),
                stored(self.version::<v1alpha3::DeviceTaintRule>("v1alpha3", kind, columns)),
            ],
            subresources: vec![Subresource::status()],
            ..definition(kind, "devicetaintrules", Scope::Cluster, Arc::new(taint::TaintRuleRules))
        }
    }

    fn pool_status(&self) -> ResourceDefinition {
        let kind = "ResourcePoolStatusRequest";
        ResourceDefinition {
            versions: vec![stored(self.version::<v1alpha3::ResourcePoolStatusRequest>(
                "v1alpha3",
                kind,
                columns::pool_status,
            ))],
            subresources: vec![Subresource::status()],
            ..definition(kind, "resourcepoolstatusrequests", Scope::Cluster, Arc::new(pool_status::PoolStatusRules))
        }
    }

    /// A version of a kind, served and warned of as the release has it.
    fn version<T: JsonSchema>(
        &self,
        name: &'static str,
        kind: &str,
        columns: fn() -> Vec<Column>,
    ) -> VersionDefinition {
        let life = Life::of(kind, name);
        let schema = if self.release >= Release::V1_37 { since_1_37::schema_of::<T> } else { schema_of::<T> };
        VersionDefinition {
            served: life.has(self.release),
            deprecation_warning: life.warning(kind, name, self.release).map(Into::into),
            columns: columns(),
            ..VersionDefinition::new(name, SchemaSource::Built(schema))
        }
    }

    fn selectable(&self, version: VersionDefinition) -> VersionDefinition {
        let mut names = vec!["spec.nodeName", "spec.driver"];
        if self.release >= Release::V1_37 {
            names.push("spec.pool.name");
        }
        let fields = names.into_iter().map(|name| SelectableField { name: name.into(), value: FieldValue::Path });
        VersionDefinition { selectable_fields: fields.collect(), ..version }
    }
}

fn definition(
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    strategy: Arc<dyn Strategy>,
) -> ResourceDefinition {
    ResourceDefinition { strategy, ..ResourceDefinition::new(GROUP, kind, plural, scope) }
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
