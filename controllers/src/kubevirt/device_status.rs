//! `status.deviceStatus` of instances, as KubeVirt 1.6 and 1.7 wrote it: where the allocated devices are, read out of drivers'
//! ResourceSlices.

use std::sync::Arc;

use cluster::{Key, generation, kind};
use machinery::meta;
use serde_json::{Map, Value, json};

use crate::cache::Cache;

/// In whose name Events are written.
pub(super) const COMPONENT: &str = "virt-controller-dra-status";
/// The attribute in which that design looked for a PCI address. By its name it is the root of the bus.
const PCI_ADDRESS: &str = "resource.kubernetes.io/pcieRoot";
/// What drivers have for it since then.
const PCI_BUS_ID: &str = "resource.kubernetes.io/pciBusID";
/// The attribute of mediated devices.
const MEDIATED: &str = "resource.kubernetes.io/mDevUUID";

/// The status of an instance's devices; `None` while their claims are not known or not allocated.
///
/// # Errors
/// A device has no address: in KubeVirt's words.
pub(super) fn of(instance: &Value, pod: &Value, cache: &Cache) -> Result<Option<Value>, String> {
    let devices = &instance["spec"]["domain"]["devices"];
    let mut status = Map::new();
    for (list, member) in [("gpus", "gpuStatuses"), ("hostDevices", "hostDeviceStatuses")] {
        let claimed = devices[list].as_array().into_iter().flatten().filter(|device| device["claimName"].is_string());
        let mut statuses = Vec::new();
        for device in claimed {
            let Some(one) = one(device, pod, cache)? else { return Ok(None) };
            statuses.push(one);
        }
        if !statuses.is_empty() {
            status.insert(member.to_owned(), json!(statuses));
        }
    }
    Ok((!status.is_empty()).then_some(Value::Object(status)))
}

fn one(device: &Value, pod: &Value, cache: &Cache) -> Result<Option<Value>, String> {
    let text = |member: &str| device[member].as_str().unwrap_or_default();
    let Some(claim) = claim(text("claimName"), pod, cache) else { return Ok(None) };
    let results = claim["status"]["allocation"]["devices"]["results"].as_array().into_iter().flatten();
    let Some(result) = results.into_iter().find(|result| result["request"] == text("requestName")) else {
        return Ok(None);
    };
    let name = result["device"].as_str().unwrap_or_default();
    let Some(attributes) = attributes(result, cache) else { return Ok(None) };
    let of = |key: &str| attributes[key]["string"].as_str();
    // A full address, where a driver puts one there; a root has no slot.
    let address = of(PCI_ADDRESS).filter(|address| address.contains('.')).or_else(|| of(PCI_BUS_ID));
    let mut found = Map::new();
    if let Some(address) = address {
        found.insert("pciAddress".to_owned(), json!(address));
    }
    if let Some(uuid) = of(MEDIATED).or_else(|| of("mdevUUID")) {
        found.insert("mDevUUID".to_owned(), json!(uuid));
    }
    if found.is_empty() {
        return Err(format!("neither pciAddress nor mdevUUID found for device {name}"));
    }
    Ok(Some(json!({
        "name": text("name"),
        "deviceResourceClaimStatus": {"name": name, "resourceClaimName": meta::name(&claim), "attributes": found},
    })))
}

/// The claim of a pod's entry.
fn claim(entry: &str, pod: &Value, cache: &Cache) -> Option<Arc<Value>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let named = |one: &Value| one["name"] == entry;
    let given = list(&pod["spec"]["resourceClaims"]).into_iter().find(|one| named(one))?;
    let made = list(&pod["status"]["resourceClaimStatuses"]).into_iter().find(|one| named(one));
    let name = given["resourceClaimName"].as_str().map(str::to_owned);
    let name = name.or_else(|| Some(made?["resourceClaimName"].as_str()?.to_owned()))?;
    cache.get(generation::GA.claim, &Key::new(meta::namespace(pod), name.as_str())).cloned()
}

/// What the driver published about an allocated device.
fn attributes(result: &Value, cache: &Cache) -> Option<Value> {
    let of_pool = |slice: &&Arc<Value>| {
        slice["spec"]["driver"] == result["driver"] && slice["spec"]["pool"]["name"] == result["pool"]
    };
    let devices = cache.all(kind::RESOURCE_SLICE).filter(of_pool).flat_map(|slice| slice["spec"]["devices"].as_array());
    let device = devices.flatten().find(|device| device["name"] == result["device"])?;
    Some(device["attributes"].clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(attributes: Value) -> Result<Option<Value>, String> {
        let claim = json!({
            "metadata": {"namespace": "n", "name": "c-1"},
            "status": {"allocation": {"devices": {"results": [{"request": "one", "driver": "d", "pool": "p", "device": "gpu-0"}]}}},
        });
        let slice = json!({
            "metadata": {"name": "s"},
            "spec": {"driver": "d", "pool": {"name": "p"}, "devices": [{"name": "gpu-0", "attributes": attributes}]},
        });
        let pod = json!({
            "metadata": {"namespace": "n"}, "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]},
            "status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c-1"}]},
        });
        let instance = json!({"spec": {"domain": {"devices": {"gpus": [
            {"name": "gpu0", "claimName": "gpu", "requestName": "one"},
        ]}}}});
        of(&instance, &pod, &Cache::of([(generation::GA.claim, claim), (kind::RESOURCE_SLICE, slice)]))
    }

    #[test]
    fn addresses_come_from_slices() {
        let pci = told(json!({"resource.kubernetes.io/pcieRoot": {"string": "0000:65:00.0"}}));
        assert_eq!(
            pci,
            Ok(Some(json!({"gpuStatuses": [{
                "name": "gpu0",
                "deviceResourceClaimStatus": {
                    "name": "gpu-0", "resourceClaimName": "c-1", "attributes": {"pciAddress": "0000:65:00.0"},
                },
            }]})))
        );
        let mediated = told(json!({"resource.kubernetes.io/mDevUUID": {"string": "123e"}}));
        let mediated = mediated.expect("a status").expect("devices");
        assert_eq!(mediated["gpuStatuses"][0]["deviceResourceClaimStatus"]["attributes"], json!({"mDevUUID": "123e"}));
        assert_eq!(told(json!({})), Err("neither pciAddress nor mdevUUID found for device gpu-0".to_owned()));
    }
}
