//! Machines in the format of each generation.

use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta};
use serde_json::{Map, Value, json};

use super::machine::{Group, Machine, MachineDevice, Property, PropertyValue};
use crate::{evolution, k8srm};

fn named(name: String) -> ObjectMeta {
    ObjectMeta { name: Some(name), ..ObjectMeta::default() }
}

/// The own properties of a device first, then those of all.
fn properties<'a>(machine: &'a Machine, device: &'a MachineDevice) -> impl Iterator<Item = &'a Property> {
    device.attributes.iter().chain(&machine.attributes)
}

fn document<T: serde::Serialize>(object: &T) -> Value {
    serde_json::to_value(object).expect("a plain type with text keys is always JSON")
}

/// `ResourcePool`: one list of shared capacity, in which the names of counters begin with their group's.
pub(super) fn evolution(machine: &Machine, node: &str) -> Value {
    let capacity = |group: &Group, (name, amount): &(String, String)| evolution::SharedCapacity {
        name: format!("{}-{name}", group.name),
        capacity: Quantity(amount.clone()),
    };
    let capacities = |group: &Group, amounts: &[(String, String)]| -> Option<Vec<evolution::SharedCapacity>> {
        (!amounts.is_empty()).then(|| amounts.iter().map(|amount| capacity(group, amount)).collect())
    };
    let attribute = |property: &Property| {
        let mut attribute = evolution::DeviceAttribute { name: property.name.to_owned(), ..Default::default() };
        match &property.value {
            PropertyValue::Text(text) => attribute.string = Some(text.clone()),
            PropertyValue::Version(version) => attribute.version = Some((*version).to_owned()),
            PropertyValue::Truth(value) => attribute.bool = Some(*value),
            // This generation has no integers, and upstream leaves them out.
            PropertyValue::Number(_) => return None,
        }
        Some(attribute)
    };
    let device = |group: &Group, device: &MachineDevice| evolution::Device {
        name: device.name.clone(),
        attributes: Some(properties(machine, device).filter_map(attribute).collect()),
        shared_capacity_consumed: capacities(group, &device.consumes),
    };
    let shared: Vec<_> =
        machine.groups.iter().filter_map(|group| capacities(group, &group.counters)).flatten().collect();
    let devices = machine.groups.iter().flat_map(|group| group.devices.iter().map(move |one| (group, one)));
    document(&evolution::ResourcePool {
        api_version: Some(format!("{}/{}", evolution::GROUP, evolution::STORAGE_VERSION)),
        kind: Some("ResourcePool".to_owned()),
        metadata: named(format!("{node}-{}", machine.pool)),
        spec: evolution::ResourcePoolSpec {
            node_name: node.to_owned(),
            driver_name: machine.driver.evolution.to_owned(),
            shared_capacity: (!shared.is_empty()).then_some(shared),
            devices: Some(devices.map(|(group, one)| device(group, one)).collect()),
        },
    })
}

/// `DevicePool`: the first group only, as upstream has it, because counters belong to the pool.
pub(super) fn k8srm(machine: &Machine, node: &str) -> Value {
    let group = machine.groups.first();
    let attribute = |property: &Property| {
        let mut attribute = k8srm::Attribute { name: property.name.to_owned(), ..Default::default() };
        match &property.value {
            PropertyValue::Text(text) => attribute.string_value = Some(text.clone()),
            PropertyValue::Version(version) => attribute.sem_ver_value = Some((*version).to_owned()),
            PropertyValue::Number(number) => attribute.int_value = Some(*number),
            // This generation has no truth values, and upstream leaves them out.
            PropertyValue::Truth(_) => return None,
        }
        Some(attribute)
    };
    let capacity = |name: &str, amount: &str| k8srm::ResourceCapacity {
        name: name.to_owned(),
        capacity: Quantity(amount.to_owned()),
        block_size: None,
    };
    let device = |device: &MachineDevice| k8srm::Device {
        name: device.name.clone(),
        attributes: Some(device.attributes.iter().filter_map(attribute).collect()),
        shared_resources_consumed: (!device.consumes.is_empty())
            .then(|| device.consumes.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect()),
        claim_resources_provided: device.memory.map(|memory| k8srm::Capacities::List(vec![capacity("memory", memory)])),
    };
    let counters = group.map(|group| group.counters.as_slice()).unwrap_or_default();
    let shared: Vec<_> = counters.iter().map(|(name, amount)| capacity(name, amount)).collect();
    let common: Vec<_> = machine.attributes.iter().filter_map(attribute).collect();
    document(&k8srm::DevicePool {
        api_version: Some(format!("{}/{}", k8srm::GROUP, k8srm::VERSION)),
        kind: Some("DevicePool".to_owned()),
        metadata: named(format!("{node}-{}", machine.pool)),
        spec: k8srm::DevicePoolSpec {
            node_name: Some(node.to_owned()),
            driver: machine.driver.k8srm.to_owned(),
            attributes: (!common.is_empty()).then_some(common),
            shared_resources: (!shared.is_empty()).then_some(k8srm::Capacities::List(shared)),
            devices: Some(group.map(|group| group.devices.iter().map(device).collect()).unwrap_or_default()),
            count: None,
        },
        status: None,
    })
}

/// `ResourceSlice`s of one pool: one for the counters, if there are any, and one for the devices of each group, because
/// a slice holds 64 devices that use counters.
pub(super) fn v1(machine: &Machine, node: &str) -> Vec<Value> {
    let counting: Vec<&Group> = machine.groups.iter().filter(|group| !group.counters.is_empty()).collect();
    let count = machine.groups.len() + usize::from(!counting.is_empty());
    let slice = |suffix: &str, name: &str, content: Value| {
        json!({
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": format!("{node}-{}{suffix}", machine.pool)},
            "spec": {
                "driver": machine.driver.v1,
                "nodeName": node,
                "pool": {"name": node, "generation": 1, "resourceSliceCount": count},
                name: content,
            },
        })
    };
    let mut slices = Vec::with_capacity(count);
    if !counting.is_empty() {
        let sets = counting.iter().map(|group| json!({"name": group.name, "counters": counters(&group.counters)}));
        slices.push(slice("-counters", "sharedCounters", sets.collect()));
    }
    for group in &machine.groups {
        let devices = group.devices.iter().map(|device| v1_device(machine, group, device)).collect();
        let suffix = if group.name.is_empty() { String::new() } else { format!("-{}", group.name) };
        slices.push(slice(&suffix, "devices", devices));
    }
    slices
}

fn counters(amounts: &[(String, String)]) -> Map<String, Value> {
    amounts.iter().map(|(name, amount)| (name.clone(), json!({"value": amount}))).collect()
}

fn v1_device(machine: &Machine, group: &Group, device: &MachineDevice) -> Value {
    let attribute = |property: &Property| {
        let value = match &property.value {
            PropertyValue::Text(text) => json!({"string": text}),
            PropertyValue::Version(version) => json!({"version": version}),
            PropertyValue::Truth(value) => json!({"bool": value}),
            PropertyValue::Number(number) => json!({"int": number}),
        };
        (camel_case(property.name), value)
    };
    let attributes: Map<String, Value> = properties(machine, device).map(attribute).collect();
    // A device name is a DNS label here: no dots.
    let mut written = json!({"name": device.name.replace('.', ""), "attributes": attributes});
    if let Some(memory) = device.memory {
        written["capacity"] = json!({"memory": {"value": memory}});
    }
    if !device.consumes.is_empty() {
        written["consumesCounters"] = json!([{"counterSet": group.name, "counters": counters(&device.consumes)}]);
    }
    written
}

/// An attribute name is a C identifier here: `product-name` becomes `productName`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let mut letters = word.chars();
        let capital: String = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().collect();
        camel + &capital + letters.as_str()
    })
}
