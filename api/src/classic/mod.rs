//! Classic Dynamic Resource Allocation (KEP-3063): `resource.k8s.io` as Kubernetes 1.26 to 1.31 had it, where a
//! controller of the driver allocates claims, and the first structured parameters of 1.30 (KEP-4381), where the
//! scheduler does.
//!
//! Its `ResourceClaim` and `ResourceClaimTemplate` share group, version and name with those of the dra-evolution
//! prototype and are served from one store with them. A claim says by its shape which it is: one with
//! `spec.resourceClassName` is classic ([`is_classic`]).

mod class;
mod context;
mod handle;
mod parameters;
pub(crate) mod pod;
mod reference;
mod rules;
mod slice;
mod version;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde_json::Value;

pub use class::ResourceClass;
pub use context::{
    PodSchedulingContext, PodSchedulingContextSpec, PodSchedulingContextStatus, ResourceClaimSchedulingStatus,
};
pub use handle::{HandleData, HandleDevice, StructuredHandle, available_on, structured_status};
pub use parameters::{
    DriverRequests, NamedResourcesSelector, ResourceClaimParameters, ResourceClassParameters, ResourceFilter,
    ResourceRequest, VendorParameters,
};
pub use reference::{
    DriverAllocationResult, DriverAllocationResults, NamedResourcesAllocationResult, ResourceClaimParametersReference,
    ResourceClassParametersReference, ResourceHandle, StructuredResourceHandle,
};
pub(crate) use rules::{default_claim, validate_claim, validate_claim_update, validate_template};
pub use slice::{
    NamedResourcesAttribute, NamedResourcesInstance, NamedResourcesIntSlice, NamedResourcesResources,
    NamedResourcesStringSlice, ResourceSlice,
};
pub(crate) use version::{claim_to_v1alpha1, claim_to_v1alpha2};

use crate::{
    builtin::{
        column::{CellOf, age, name, text},
        schema_of,
    },
    columns,
    definition::{
        Column, FieldValue, ResourceDefinition, SchemaDocument, SchemaSource, Scope, SelectableField, Strategy,
        Subresource, Text, VersionDefinition,
    },
    evolution::GROUP,
    members,
};

/// The version in which objects are stored.
pub const STORAGE_VERSION: &str = "v1alpha2";

/// Whether a claim, or the spec of a template, is of classic DRA: it names a ResourceClass.
pub fn is_classic(claim: &Value) -> bool {
    !members::text(members::at(claim, &["spec"]), "resourceClassName").is_empty()
}

/// Whether allocation waits until a pod uses the claim.
pub fn is_delayed(claim: &Value) -> bool {
    members::text(members::at(claim, &["spec"]), "allocationMode") != "Immediate"
}

/// One row for each kind. `ResourceClaim` and `ResourceClaimTemplate` are rows of the dra-evolution prototype.
pub fn definitions() -> Vec<ResourceDefinition> {
    vec![
        ResourceDefinition {
            versions: vec![
                stored::<ResourceClass>(class_columns()),
                version("v1alpha1", || document::<ResourceClass>("v1alpha1"), class_columns()),
            ],
            ..definition("ResourceClass", "resourceclasses", Scope::Cluster, Arc::new(rules::ClassRules))
        },
        ResourceDefinition {
            versions: vec![
                version("v1alpha3", || document::<PodSchedulingContext>("v1alpha3"), context_columns()),
                stored::<PodSchedulingContext>(context_columns()),
            ],
            subresources: vec![Subresource::status()],
            ..definition(
                "PodSchedulingContext",
                "podschedulingcontexts",
                Scope::Namespaced,
                Arc::new(rules::ContextRules),
            )
        },
        ResourceDefinition {
            // What 1.26 called it.
            versions: vec![version("v1alpha1", || document::<PodSchedulingContext>("v1alpha1"), context_columns())],
            subresources: vec![Subresource::status()],
            store: store("podschedulingcontexts"),
            ..definition("PodScheduling", "podschedulings", Scope::Namespaced, Arc::new(rules::ContextRules))
        },
        ResourceDefinition {
            versions: vec![VersionDefinition {
                selectable_fields: ["nodeName", "driverName"].map(by_path).to_vec(),
                ..stored::<ResourceSlice>(slice_columns())
            }],
            store: format!("resourceslices.{STORAGE_VERSION}.{GROUP}").into(),
            ..definition("ResourceSlice", "resourceslices", Scope::Cluster, Arc::new(rules::SliceRules))
        },
        ResourceDefinition {
            versions: vec![stored::<ResourceClaimParameters>(parameters_columns())],
            ..definition(
                "ResourceClaimParameters",
                "resourceclaimparameters",
                Scope::Namespaced,
                Arc::new(rules::ClaimParametersRules),
            )
        },
        ResourceDefinition {
            versions: vec![stored::<ResourceClassParameters>(parameters_columns())],
            ..definition(
                "ResourceClassParameters",
                "resourceclassparameters",
                Scope::Namespaced,
                Arc::new(rules::ClassParametersRules),
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

fn store(plural: &str) -> Text {
    format!("{plural}.{GROUP}").into()
}

fn by_path(name: &'static str) -> SelectableField {
    SelectableField { name: name.into(), value: FieldValue::Path }
}

fn stored<T: JsonSchema>(columns: Vec<Column>) -> VersionDefinition {
    VersionDefinition { storage: true, ..version(STORAGE_VERSION, schema_of::<T>, columns) }
}

fn version(name: &'static str, schema: fn() -> SchemaDocument, columns: Vec<Column>) -> VersionDefinition {
    VersionDefinition { columns, ..VersionDefinition::new(name, SchemaSource::Built(schema)) }
}

/// The document of a type whose definitions are named for `v1alpha2`, renamed for a version.
fn document<T: JsonSchema>(version: &str) -> SchemaDocument {
    schema_of::<T>().renamed("io.k8s.api.resource.v1alpha2.", &format!("io.k8s.api.resource.{version}."))
}

fn with(title: &'static str, description: &'static str, cell: CellOf) -> Vec<Column> {
    vec![name(), text(title, description, cell), age()]
}

fn class_columns() -> Vec<Column> {
    with("DriverName", "Name of the driver that allocates claims of the class.", |class, _| {
        columns::text_at(class, &["driverName"])
    })
}

fn context_columns() -> Vec<Column> {
    with("SelectedNode", "The node for which allocation was asked.", |context, _| {
        columns::text_at(context, &["spec", "selectedNode"])
    })
}

fn slice_columns() -> Vec<Column> {
    vec![
        name(),
        text("NodeName", "Node where the resources are.", |slice, _| columns::text_at(slice, &["nodeName"])),
        text("DriverName", "Driver of the resources.", |slice, _| columns::text_at(slice, &["driverName"])),
        age(),
    ]
}

fn parameters_columns() -> Vec<Column> {
    with("GeneratedFrom", "The object that these parameters were made from.", |parameters, _| {
        let from = members::at(parameters, &["generatedFrom"]);
        let kind = [members::text(from, "kind"), members::text(from, "apiGroup")];
        let kind: Vec<&str> = kind.into_iter().filter(|part| !part.is_empty()).collect();
        if kind.is_empty() { "".into() } else { format!("{}/{}", kind.join("."), members::text(from, "name")).into() }
    })
}
