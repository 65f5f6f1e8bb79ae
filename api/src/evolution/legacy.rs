//! `DevicePool` in group `resource.k8s.io`: how upstream's data spells some `ResourcePool`s. It shows the same objects,
//! and brings documents in the older shape up to date.

use serde_json::{Map, Value, json};

use crate::{
    definition::{SchemaSource, VersionDefinition},
    members::{list, present, put, text},
};

/// Every field is accepted: the shape is whatever older data has.
pub(super) fn schemas() -> [SchemaSource; 3] {
    [const { SchemaSource::Absent }; 3]
}

/// Versions that bring documents up to date on the way in.
pub(super) fn versions(mut versions: Vec<VersionDefinition>) -> Vec<VersionDefinition> {
    for version in &mut versions {
        version.storage = false;
        version.to_storage = Some(modernize);
    }
    versions
}

/// Turns a pool of the older shape into a `ResourcePool`, and leaves one of today's shape as it is.
pub(crate) fn modernize(pool: &mut Value) {
    let Some(spec) = pool.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let inherited: Vec<Value> = list(spec, "attributes").iter().map(attribute).collect();
    let shared = capacities(spec, "sharedResources", "sharedCapacity");
    let devices: Vec<Value> = list(spec, "devices").iter().map(|old| device(old, &inherited)).collect();
    let mut modern = Map::new();
    for name in ["nodeName", "driverName"] {
        if let Some(value) = present(spec, name) {
            modern.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(driver) = present(spec, "driver") {
        modern.entry("driverName").or_insert_with(|| driver.clone());
    }
    let mut modern = Value::Object(modern);
    put(&mut modern, "sharedCapacity", shared);
    put(&mut modern, "devices", Some(devices.into()));
    *spec = modern;
}

fn device(old: &Value, inherited: &[Value]) -> Value {
    let mut attributes: Vec<Value> = list(old, "attributes").iter().map(attribute).collect();
    let missing = |one: &&Value| list(old, "attributes").iter().all(|own| text(own, "name") != text(one, "name"));
    attributes.extend(inherited.iter().filter(missing).cloned());
    let mut device = json!({"name": text(old, "name")});
    put(&mut device, "attributes", (!attributes.is_empty()).then(|| attributes.into()));
    put(&mut device, "sharedCapacityConsumed", capacities(old, "sharedResourcesConsumed", "sharedCapacityConsumed"));
    device
}

/// `{name, stringValue}` becomes `{name, string}`, and so on; an integer becomes a text.
fn attribute(old: &Value) -> Value {
    let mut attribute = json!({"name": text(old, "name")});
    for (from, to) in [
        ("stringValue", "string"),
        ("quantityValue", "quantity"),
        ("semVerValue", "version"),
        ("string", "string"),
        ("quantity", "quantity"),
        ("version", "version"),
        ("bool", "bool"),
    ] {
        if let Some(value) = present(old, from) {
            put(&mut attribute, to, Some(value.clone()));
        }
    }
    if let Some(number) = present(old, "intValue") {
        put(&mut attribute, "string", Some(number.to_string().into()));
    }
    attribute
}

/// A map from name to amount, or a list of named capacities, becomes the latter.
fn capacities(owner: &Value, old: &str, modern: &str) -> Option<Value> {
    match present(owner, old).or_else(|| present(owner, modern))? {
        Value::Object(amounts) => {
            Some(amounts.iter().map(|(name, amount)| json!({"name": name, "capacity": quantity(amount)})).collect())
        }
        Value::Array(entries) => Some(
            entries
                .iter()
                .map(|entry| json!({"name": text(entry, "name"), "capacity": entry.get("capacity").map(quantity)}))
                .collect(),
        ),
        other => Some(other.clone()),
    }
}

/// A quantity is written as a text.
fn quantity(amount: &Value) -> Value {
    if amount.is_number() { amount.to_string().into() } else { amount.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_pools_are_brought_up_to_date() {
        let mut pool = json!({"spec": {
            "driver": "sriov.example.org", "nodeName": "node-00", "distributedAllocation": true,
            "attributes": [
                {"name": "vendor", "stringValue": "example.org"},
                {"name": "bandwidth", "quantityValue": "10G"},
                {"name": "index", "intValue": 3},
                {"name": "firmware", "semVerValue": "1.8.2"},
            ],
            "sharedResources": {"vfs": 2},
            "devices": [{
                "name": "pf-0",
                "attributes": [{"name": "vendor", "stringValue": "mine"}],
                "sharedResourcesConsumed": {"vfs": 2},
                "claimResourcesProvided": {"pf": 1},
            }],
        }});
        modernize(&mut pool);
        assert_eq!(
            pool,
            json!({"spec": {
                "driverName": "sriov.example.org", "nodeName": "node-00",
                "sharedCapacity": [{"name": "vfs", "capacity": "2"}],
                "devices": [{
                    "name": "pf-0",
                    "attributes": [
                        {"name": "vendor", "string": "mine"},
                        {"name": "bandwidth", "quantity": "10G"},
                        {"name": "index", "string": "3"},
                        {"name": "firmware", "version": "1.8.2"},
                    ],
                    "sharedCapacityConsumed": [{"name": "vfs", "capacity": "2"}],
                }],
            }})
        );
        let modern = pool.clone();
        modernize(&mut pool);
        assert_eq!(pool, modern);
    }

    #[test]
    fn odd_documents_do_not_harm() {
        for odd in [
            json!({}),
            json!({"spec": null}),
            json!({"spec": {"devices": [1, {"attributes": "x"}], "sharedResources": 3}}),
        ] {
            modernize(&mut odd.clone());
        }
    }
}
