//! Classic DRA: what a driver's controller, or the scheduler of 1.30, left in the handles of an allocation.

use machinery::meta;
use serde_json::Value;

use super::{
    claim::{ClaimConversion, Consumer},
    node_selector, read,
    read::Result,
};
use crate::{
    classic::HandleData,
    hub::{
        Allocation, AllocationConfig, Attribute, Claim, ConfigSource, Device, DeviceId, DeviceResult, NodeScope,
        Opaque, Slice,
    },
    members::{at, is_true, list, present, text},
};

/// Most consumers of a claim that can be shared.
const CONSUMERS_MAX: usize = 32;

/// A classic `ResourceClaim`.
pub(super) struct ResourceClaim;

impl ClaimConversion for ResourceClaim {
    /// What is asked for is between the claim's parameters and the driver: there are no requests.
    fn claim(&self, claim: &Value) -> Result<Claim> {
        Ok(Claim {
            namespace: meta::namespace(claim).to_owned(),
            name: meta::name(claim).to_owned(),
            uid: meta::uid(claim).to_owned(),
            ..Claim::default()
        })
    }

    fn allocation(&self, claim: &Value) -> Result<Option<Allocation>> {
        let driver = text(at(claim, &["status"]), "driverName");
        read::within(claim, "status", |status| {
            read::member(status, "allocation", |allocation| {
                let mut got = Allocation {
                    node_selector: read::member(allocation, "availableOnNodes", node_selector::read)?,
                    ..Allocation::default()
                };
                for handle in read::items(allocation, "resourceHandles")? {
                    let named = text(handle, "driverName");
                    take_handle(&mut got, handle, if named.is_empty() { driver } else { named });
                }
                Ok(got)
            })
        })
    }

    /// A driver writes the allocation, or, with structured parameters, `classic::structured_status` makes the status.
    fn write_allocation(&self, _: &mut Value, _: &Allocation, _: &Consumer<'_>) {}

    fn consumers_max(&self, claim: &Value) -> usize {
        if is_true(at(claim, &["status", "allocation"]), "shareable") { CONSUMERS_MAX } else { 1 }
    }

    fn allocation_members(&self) -> &'static [&'static str] {
        &["allocation", "driverName", "deallocationRequested"]
    }
}

/// Reads one handle: what the scheduler structured, or the data of a driver that writes as ours do.
fn take_handle(got: &mut Allocation, handle: &Value, driver: &str) {
    let config = |source, requests, parameters: &Value| AllocationConfig {
        source,
        requests,
        opaque: Opaque { driver: driver.to_owned(), parameters: parameters.to_string() },
    };
    if let Some(structured) = present(handle, "structuredData") {
        let node = text(structured, "nodeName");
        for (member, source) in
            [("vendorClassParameters", ConfigSource::Class), ("vendorClaimParameters", ConfigSource::Claim)]
        {
            got.config.extend(present(structured, member).map(|given| config(source, Vec::new(), given)));
        }
        for (index, result) in list(structured, "results").iter().enumerate() {
            let request = format!("request-{index}");
            let given = present(result, "vendorRequestParameters");
            got.config.extend(given.map(|given| config(ConfigSource::Claim, vec![request.clone()], given)));
            let device = text(at(result, &["namedResources"]), "name");
            got.results.push(device_result(request, driver, node, device));
        }
        return;
    }
    let Some(data) = HandleData::parse(text(handle, "data")) else {
        // Somebody else's format. The driver takes part nevertheless.
        got.results.push(device_result("request-0".to_owned(), driver, "", ""));
        return;
    };
    got.config.extend(data.class_parameters.as_ref().map(|given| config(ConfigSource::Class, Vec::new(), given)));
    got.config.extend(data.claim_parameters.as_ref().map(|given| config(ConfigSource::Claim, Vec::new(), given)));
    for (index, device) in data.devices.iter().enumerate() {
        let result = device_result(format!("request-{index}"), driver, &data.node, &device.name);
        // A slot is a share of the device.
        got.results.push(DeviceResult { share_id: device.mdev_uuid.clone(), ..result });
    }
}

fn device_result(request: String, driver: &str, pool: &str, device: &str) -> DeviceResult {
    let id = DeviceId { driver: driver.to_owned(), pool: pool.to_owned(), device: device.to_owned() };
    DeviceResult { request, id, ..DeviceResult::default() }
}

/// A `ResourceSlice` of 1.30. All slices of a driver on a node are one pool, named for the node.
pub(super) fn slices(slice: &Value) -> Result<Vec<Slice>> {
    let node = read::text(slice, "nodeName")?;
    let devices = read::within(slice, "namedResources", |model| {
        read::each(model, "instances", |instance| {
            let attributes: Vec<_> = read::each(instance, "attributes", attribute)?;
            Ok(Device {
                name: read::text(instance, "name")?,
                attributes: attributes.into_iter().collect(),
                ..Device::default()
            })
        })
    })?;
    let nodes = if node.is_empty() { NodeScope::All } else { NodeScope::Node(node.clone()) };
    Ok(vec![Slice {
        name: meta::name(slice).to_owned(),
        driver: read::text(slice, "driverName")?,
        pool: node,
        created: meta::creation_timestamp(slice).to_owned(),
        nodes,
        devices,
        ..Slice::default()
    }])
}

fn attribute(attribute: &Value) -> Result<(String, Attribute)> {
    let value = if let Some(amount) = read::member(attribute, "quantity", read::quantity)? {
        Attribute::Quantity(amount)
    } else if let Some(value) = read::boolean(attribute, "bool")? {
        Attribute::Bool(value)
    } else if let Some(value) = read::integer(attribute, "int")? {
        Attribute::Int(value)
    } else if let Some(value) = read::optional_text(attribute, "string")? {
        Attribute::String(value.to_owned())
    } else if let Some(value) = read::optional_text(attribute, "version")? {
        Attribute::Version(value.to_owned())
    } else if let Some(slice) = present(attribute, "intSlice") {
        Attribute::Ints(read::each(slice, "ints", read::whole)?)
    } else if let Some(slice) = present(attribute, "stringSlice") {
        Attribute::Strings(read::texts(slice, "strings")?)
    } else {
        Attribute::Unknown
    };
    Ok((read::text(attribute, "name")?, value))
}
