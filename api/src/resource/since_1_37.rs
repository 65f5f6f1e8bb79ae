//! What 1.37 adds to the schemas of 1.36, from which the Rust types are made: derived attributes (KEP-6080), compatibility
//! groups (KEP-5963), optional node operations (KEP-5945), types of partitions, amounts that devices take from
//! what a node can allocate, and `v1` of `DeviceTaintRule`.

use k8s_openapi::{api::resource::v1beta2, apimachinery::pkg::api::resource::Quantity};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::{builtin, definition::SchemaDocument};

/// The schema of a type as 1.37 has it.
pub(super) fn schema_of<T: JsonSchema>() -> SchemaDocument {
    builtin::complete_schema(extended(SchemaDocument::of::<T>()))
}

/// `DeviceTaintRule` in `v1`, whose shape is that of `v1beta2`.
pub(super) fn taint_rule_v1() -> SchemaDocument {
    let document = SchemaDocument::of::<v1beta2::DeviceTaintRule>();
    builtin::complete_schema(document.renamed("io.k8s.api.resource.v1beta2.", "io.k8s.api.resource.v1."))
}

fn extended(mut document: SchemaDocument) -> SchemaDocument {
    let mut added = Map::new();
    for (name, definition) in &mut document.definitions {
        let Some((package, type_)) = name.rsplit_once('.') else { continue };
        let Some(version) = package.strip_prefix("io.k8s.api.resource.") else { continue };
        let Some(properties) = definition.get_mut("properties").and_then(Value::as_object_mut) else { continue };
        let mut types: Vec<&str> = Vec::new();
        for (field, schema, uses) in additions(package, version, type_) {
            properties.insert(field.to_owned(), schema);
            types.extend(uses);
        }
        // 1.37 renamed it, with another shape.
        properties.remove("nodeAllocatableResourceMappings");
        added.extend(types.into_iter().map(|type_| (format!("{package}.{type_}"), new_type(package, type_))));
    }
    if !added.is_empty() {
        // New types hold quantities, which not every kind had before.
        for (name, definition) in SchemaDocument::of::<Quantity>().definitions {
            document.definitions.entry(name).or_insert(definition);
        }
    }
    document.definitions.extend(added);
    document
}

/// A field, its schema and the types that come with it.
type Addition = (&'static str, Value, &'static [&'static str]);

/// The new fields of a type.
fn additions(package: &str, version: &str, type_: &str) -> Vec<Addition> {
    let skip = || {
        text_list(
            "Calls to the driver on the node that are left out for these devices: NodePrepareResources, NodeUnprepareResources, or * for all.",
        )
    };
    match (version, type_) {
        (_, "ExactDeviceRequest" | "DeviceSubRequest") | ("v1beta1", "DeviceRequest") => {
            let schema = list_of(
                package,
                "DeviceDerivedAttribute",
                "Attributes that are computed for each device, for constraints to compare.",
            );
            vec![("derivedAttributes", schema, &["DeviceDerivedAttribute"])]
        }
        ("v1" | "v1beta2", "Device") | (_, "BasicDevice") => {
            let schema = json!({
                "type": "object",
                "description": "What the device takes from the resources that a node can allocate, by name of the resource.",
                "additionalProperties": reference(package, "NodeAllocatableResource"),
            });
            let types = &["NodeAllocatableResource", "NodeAllocatableMapping", "NodeAllocatableOverhead"];
            vec![("nodeAllocatableResources", schema, types)]
        }
        (_, "DeviceCounterConsumption") => {
            vec![(
                "compatibilityGroups",
                text_list("Groups of devices that may use the counter set at the same time."),
                &[],
            )]
        }
        (_, "DeviceRequestAllocationResult") => vec![("skipNodeOperations", skip(), &[])],
        (_, "ResourceSliceSpec") => {
            let schema =
                text("Fully qualified name of the attribute whose text says which type of partition a device is.");
            vec![("skipNodeOperations", skip(), &[]), ("partitionTypeAttribute", schema, &[])]
        }
        (_, "ResourcePoolStatusRequestSpec") => {
            let schema =
                text("Fully qualified name of the attribute by which partitions are grouped where a slice names none.");
            vec![("defaultPartitionTypeAttribute", schema, &[])]
        }
        (_, "PoolStatus") => vec![
            (
                "partitionSummary",
                list_of(package, "PartitionTypeStatus", "How many devices of each type of partition there are."),
                &["PartitionTypeStatus"],
            ),
            (
                "shareableSummary",
                reference(package, "ShareableSummaryStatus"),
                &["ShareableSummaryStatus", "ShareableCapacityStatus"],
            ),
        ],
        _ => Vec::new(),
    }
}

/// The definition of a type that 1.36 does not have.
fn new_type(package: &str, type_: &str) -> Value {
    let (description, properties, required): (&str, Value, &[&str]) = match type_ {
        "DeviceDerivedAttribute" => (
            "An attribute that is computed for each device.",
            json!({
                "name": text("Fully qualified name, which a constraint refers to."),
                "expression": text("CEL expression whose result is the value."),
            }),
            &["name", "expression"],
        ),
        "NodeAllocatableResource" => (
            "What a device takes from one resource of its node.",
            json!({
                "mapping": reference(package, "NodeAllocatableMapping"),
                "overhead": reference(package, "NodeAllocatableOverhead"),
            }),
            &[],
        ),
        "NodeAllocatableMapping" => (
            "How an allocation becomes an amount of the resource: by consumed capacity or by number of devices.",
            json!({
                "capacityKey": text("Name of the capacity whose consumption counts."),
                "capacityMultiplier": quantity("What the consumption is multiplied by."),
                "deviceMultiplier": quantity("What the number of devices is multiplied by."),
            }),
            &[],
        ),
        "NodeAllocatableOverhead" => (
            "What a device takes besides what it provides.",
            json!({
                "perPod": quantity("For each pod that uses the claim."),
                "perContainer": quantity("For each container that uses the claim."),
            }),
            &[],
        ),
        "PartitionTypeStatus" => (
            "How many devices of a type of partition there are.",
            json!({
                "attribute": text("Fully qualified name of the attribute that tells the type."),
                "type": text("Its value."),
                "total": count("Devices of the type."),
                "allocatable": count("Devices of the type that could still be allocated."),
            }),
            &["attribute", "type", "total", "allocatable"],
        ),
        "ShareableSummaryStatus" => (
            "What is left of devices that may be shared.",
            json!({
                "fullyAvailableDevices": count("Devices of which nothing is consumed."),
                "partiallyAvailableDevices": count("Devices of which something is consumed, and something left."),
                "capacity": list_of(package, "ShareableCapacityStatus", "Amounts by capacity."),
            }),
            &["fullyAvailableDevices", "partiallyAvailableDevices"],
        ),
        _ => (
            "How much of a capacity there is in all devices of a pool that may be shared.",
            json!({
                "name": text("Name of the capacity."),
                "total": quantity("How much there is."),
                "consumed": quantity("How much of it is consumed."),
                "available": quantity("How much of it is left."),
            }),
            &["name", "total", "consumed", "available"],
        ),
    };
    let mut definition = json!({"type": "object", "description": description, "properties": properties});
    if !required.is_empty() {
        definition["required"] = json!(required);
    }
    definition
}

fn reference(package: &str, type_: &str) -> Value {
    json!({"$ref": format!("#/$defs/{package}.{type_}")})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn text_list(description: &str) -> Value {
    json!({"type": "array", "description": description, "items": {"type": "string"}})
}

fn list_of(package: &str, type_: &str, description: &str) -> Value {
    json!({"type": "array", "description": description, "items": reference(package, type_)})
}

fn count(description: &str) -> Value {
    json!({"type": "integer", "format": "int32", "description": description})
}

fn quantity(description: &str) -> Value {
    json!({"$ref": "#/$defs/io.k8s.apimachinery.pkg.api.resource.Quantity", "description": description})
}
