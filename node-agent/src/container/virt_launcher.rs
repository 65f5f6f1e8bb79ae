//! virt-launcher, the process in which KubeVirt runs a virtual machine: it reads what drivers left about the claimed devices
//! (KEP-5304) and makes the libvirt domain of it.
//!
//! A pod is one of a virtual machine when the container has the machine in `STANDALONE_VMI`, as virt-launcher itself reads it
//! where there is no virt-handler.

use std::fmt::Write;

use api::hub::{Attribute, Device};
use serde_json::{Value, json};

use super::Surroundings;

/// The variable that holds the machine.
const MACHINE: &str = "STANDALONE_VMI";
/// What the launcher logs, which `kubectl logs` shows.
pub(crate) const LOG: &str = "/var/log/virt-launcher.log";
/// Where libvirt keeps domains.
const DOMAINS: &str = "/var/run/libvirt/qemu";
/// Where drivers' metadata is mounted, unless the machine says otherwise.
const METADATA: &str = "/var/run/kubernetes.io/dra-device-attributes";
/// What says otherwise: another directory, or `status` for releases up to 1.7, which are told by virt-controller.
const DEVICES_FROM: &str = "kubevirt.io/devices-from";
/// What QEMU opens for devices that are passed through.
const VFIO: &str = "/dev/vfio/vfio";

/// A device of the host that the domain gets.
enum HostDevice {
    /// Domain, bus, slot, function.
    Pci([String; 4]),
    /// UUID of a mediated device.
    Mediated(String),
}

/// Defines the domain, where there is a machine: its files, and the log of the launcher.
pub(crate) fn define(surroundings: &mut Surroundings) {
    let Some(machine) = surroundings.variable(MACHINE).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return;
    };
    let mut log = line("info", "Collected all requested hook sidecar sockets");
    match domain(&machine, surroundings) {
        Ok(xml) => {
            log += &line("info", "Domain XML generated. Base64 dump omitted.");
            log += &line("info", &format!("Domain XML: {xml}"));
            log += &line("info", "Domain defined.");
            log += &line("info", "Domain started.");
            surroundings.files.insert(format!("{DOMAINS}/{}.xml", domain_name(&machine)), (xml + "\n").into_bytes());
        }
        Err(why) => log += &line("error", &format!("server error. command SyncVMI failed: {why}")),
    }
    surroundings.files.insert(LOG.to_owned(), log.into_bytes());
}

fn line(level: &str, message: &str) -> String {
    format!("{}\n", json!({"component": "virt-launcher", "level": level, "msg": message}))
}

/// What libvirt calls the domain.
fn domain_name(machine: &Value) -> String {
    let text = |member: &str| machine["metadata"][member].as_str().unwrap_or_default();
    format!("{}_{}", text("namespace"), text("name"))
}

/// `virsh`, as far as it is of use here.
pub(crate) fn virsh(arguments: &[&str], surroundings: &Surroundings) -> Result<String, String> {
    let domains = || {
        let of = |path: &String| Some(path.strip_prefix(DOMAINS)?.strip_prefix('/')?.strip_suffix(".xml")?.to_owned());
        surroundings.files.keys().filter_map(of)
    };
    match arguments {
        ["list", ..] => {
            let mut out = format!(" {:<4} {:<20} {}\n{}\n", "Id", "Name", "State", "-".repeat(40));
            for (index, name) in domains().enumerate() {
                let _ = writeln!(out, " {:<4} {name:<20} running", index + 1);
            }
            Ok(out + "\n")
        }
        ["dumpxml", name] => match surroundings.files.get(&format!("{DOMAINS}/{name}.xml")) {
            Some(xml) => Ok(String::from_utf8_lossy(xml).into_owned()),
            None => Err(format!("error: failed to get domain '{name}'\n")),
        },
        ["domstate", name] if domains().any(|known| known == *name) => Ok("running\n\n".to_owned()),
        ["domstate" | "dumpxml", ..] => Err("error: failed to get domain\n".to_owned()),
        [other, ..] => Err(format!("error: unknown command: '{other}'\n")),
        [] => Err("error: a command is wanted\n".to_owned()),
    }
}

fn domain(machine: &Value, surroundings: &Surroundings) -> Result<String, String> {
    let spec = &machine["spec"]["domain"];
    let number = |value: &Value| value.as_i64().filter(|number| *number > 0).unwrap_or(1);
    let (cores, sockets, threads) =
        (number(&spec["cpu"]["cores"]), number(&spec["cpu"]["sockets"]), number(&spec["cpu"]["threads"]));
    let mut xml = format!(
        "<domain type=\"kvm\">\n  <name>{}</name>\n  <uuid>{}</uuid>\n",
        escaped(&domain_name(machine)),
        escaped(machine["metadata"]["uid"].as_str().unwrap_or_default())
    );
    if let Some(bytes) = memory(spec) {
        let _ = writeln!(xml, "  <memory unit=\"b\">{bytes}</memory>");
    }
    let _ = writeln!(xml, "  <vcpu placement=\"static\">{}</vcpu>", cores * sockets * threads);
    let machine_type = spec["machine"]["type"].as_str().unwrap_or("q35");
    let _ =
        writeln!(xml, "  <os>\n    <type arch=\"x86_64\" machine=\"{}\">hvm</type>\n  </os>", escaped(machine_type));
    let model = spec["cpu"]["model"].as_str().unwrap_or("host-model");
    let _ = writeln!(
        xml,
        "  <cpu mode=\"{}\">\n    <topology sockets=\"{sockets}\" cores=\"{cores}\" threads=\"{threads}\"></topology>\n  </cpu>",
        escaped(model)
    );
    xml.push_str("  <devices>\n");
    for (list, kind, prefix) in [("gpus", "GPU", "dra-gpu"), ("hostDevices", "HostDevice", "dra-hostdevice")] {
        host_devices(&mut xml, machine, surroundings, (list, kind, prefix))?;
    }
    if spec["devices"]["gpus"].is_null() && spec["devices"]["hostDevices"].is_null() {
        claimed(&mut xml, surroundings)?;
    }
    xml.push_str("  </devices>\n</domain>");
    Ok(xml)
}

fn memory(domain: &Value) -> Option<i64> {
    let amount = [&domain["memory"]["guest"], &domain["resources"]["requests"]["memory"]];
    let amount = amount.into_iter().find(|amount| !amount.is_null())?;
    machinery::quantity::Quantity::from_json(amount).ok().map(|amount| amount.value())
}

fn host_devices(
    xml: &mut String,
    machine: &Value,
    surroundings: &Surroundings,
    (list, kind, prefix): (&str, &str, &str),
) -> Result<(), String> {
    let devices = machine["spec"]["domain"]["devices"][list].as_array().map(Vec::as_slice).unwrap_or_default();
    let display = |device: &Value| device["virtualGPUOptions"]["display"].clone();
    let someone_says = devices.iter().any(|device| display(device).is_object());
    let mut first_mediated = list == "gpus";
    let claimed = devices.iter().filter(|device| device["claimName"].is_string());
    let mut found = Vec::new();
    for device in claimed {
        found.push((device, claimed_device(machine, device, surroundings, kind)?));
    }
    if devices_from(machine) == "status" {
        // That design made all PCI devices first.
        found.sort_by_key(|(_, device)| matches!(device, HostDevice::Mediated(_)));
    }
    for (device, claimed) in found {
        let name = device["name"].as_str().unwrap_or_default();
        match claimed {
            HostDevice::Pci(address) => pci(xml, &address, &format!("{prefix}-{name}"), surroundings)?,
            HostDevice::Mediated(uuid) => {
                let (shown, frame_buffer) = if someone_says {
                    let on = |value: &Value| value.is_null() || *value == json!(true);
                    let display = display(device);
                    let shown = display.is_object() && on(&display["enabled"]);
                    (shown, shown && on(&display["ramFB"]["enabled"]))
                } else {
                    (first_mediated, first_mediated)
                };
                first_mediated = false;
                mediated(xml, &uuid, &format!("{prefix}-{name}"), shown, frame_buffer);
            }
        }
    }
    Ok(())
}

/// The devices of a machine of the first proposal, which names claims and no devices: whatever drivers gave.
fn claimed(xml: &mut String, surroundings: &Surroundings) -> Result<(), String> {
    for (index, used) in surroundings.published.iter().enumerate() {
        let alias = format!("dra-gpu-{index}");
        if let Some(uuid) = attribute(&used.device, &["mdevUUID"]) {
            mediated(xml, &uuid, &alias, index == 0, index == 0);
        } else if let Some(address) = attribute(&used.device, &["pciBusID"]) {
            let parsed = pci_address(&address).ok_or_else(|| format!("failed to create PCI device for {address}"))?;
            pci_element(xml, &parsed, &alias);
        }
    }
    Ok(())
}

/// The first of some attributes that a device has, whatever domain it is in.
fn attribute(device: &Device, names: &[&str]) -> Option<String> {
    names.iter().find_map(|wanted| {
        let named = device.attributes.iter().find(|(name, _)| name.rsplit('/').next() == Some(*wanted));
        match named.map(|(_, value)| value) {
            Some(Attribute::String(text)) => Some(text.clone()),
            _ => None,
        }
    })
}

/// Where the launcher learns what was allocated.
fn devices_from(machine: &Value) -> &str {
    machine["metadata"]["annotations"][DEVICES_FROM].as_str().unwrap_or(METADATA)
}

/// The device as the instance's status tells it up to 1.7: what virt-controller read in the driver's slice. PCI wins.
fn device_in_status(device: &Value, surroundings: &Surroundings, kind: &str) -> Result<HostDevice, String> {
    let text = |member: &str| device[member].as_str().unwrap_or_default();
    let (name, label) = (text("name"), format!("{}/{}", text("claimName"), text("requestName")));
    let used = surroundings.published.iter().find(|used| used.claim == label);
    let failed = || format!("{kind} {name} has no pciAddress or mdevUUID in vmi.status.deviceStatus");
    let device = &used.ok_or_else(failed)?.device;
    if let Some(address) = attribute(device, &["pciBusID"]) {
        return pci_address(&address)
            .map(HostDevice::Pci)
            .ok_or_else(|| format!("failed to create PCI device for {name}"));
    }
    attribute(device, &["mDevUUID", "mdevUUID"]).map(HostDevice::Mediated).ok_or_else(failed)
}

fn pci(xml: &mut String, address: &[String; 4], alias: &str, surroundings: &Surroundings) -> Result<(), String> {
    if !surroundings.devices.iter().any(|path| path == VFIO) {
        return Err(format!(
            "LibvirtError(Code=1, Domain=10, Message='internal error: process exited while connecting to monitor: \
             Could not open '{VFIO}': No such file or directory')"
        ));
    }
    pci_element(xml, address, alias);
    Ok(())
}

fn pci_element(xml: &mut String, address: &[String; 4], alias: &str) {
    let [domain, bus, slot, function] = address;
    let _ = write!(
        xml,
        "    <hostdev type=\"pci\" managed=\"no\">\n      <source>\n        <address type=\"pci\" domain=\"0x{domain}\" \
         bus=\"0x{bus}\" slot=\"0x{slot}\" function=\"0x{function}\"></address>\n      </source>\n      \
         <alias name=\"ua-{}\"></alias>\n    </hostdev>\n",
        escaped(alias)
    );
}

fn mediated(xml: &mut String, uuid: &str, alias: &str, display: bool, frame_buffer: bool) {
    let mut attributes = String::new();
    if display {
        attributes.push_str(" display=\"on\"");
    }
    if frame_buffer {
        attributes.push_str(" ramfb=\"on\"");
    }
    let _ = write!(
        xml,
        "    <hostdev type=\"mdev\" mode=\"subsystem\" model=\"vfio-pci\"{attributes}>\n      <source>\n        \
         <address uuid=\"{}\"></address>\n      </source>\n      <alias name=\"ua-{}\"></alias>\n    </hostdev>\n",
        escaped(uuid),
        escaped(alias)
    );
}

/// The device of a claim's request, as its driver's metadata tells.
fn claimed_device(
    machine: &Value,
    device: &Value,
    surroundings: &Surroundings,
    kind: &str,
) -> Result<HostDevice, String> {
    if devices_from(machine) == "status" {
        return device_in_status(device, surroundings, kind);
    }
    let text = |member: &str| device[member].as_str().unwrap_or_default();
    let (name, claim, request) = (text("name"), text("claimName"), text("requestName"));
    let metadata = metadata(machine, claim, request, surroundings)?;
    let requests = metadata["requests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = requests.iter().find(|one| one["name"] == request) else {
        let known: Vec<&str> = requests.iter().filter_map(|one| one["name"].as_str()).collect();
        return Err(format!(
            "request {request} not found in metadata for claim {claim} (available requests: [{}])",
            known.join(" ")
        ));
    };
    let devices = found["devices"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [allocated] = devices else {
        return Err(format!(
            "request {request} has {} devices but KubeVirt only supports exactly one device per request (count > 1 is not supported)",
            devices.len()
        ));
    };
    let attribute = |name: &str| allocated["attributes"][name]["string"].as_str();
    match (attribute("mdevUUID"), attribute("resource.kubernetes.io/pciBusID")) {
        (Some(uuid), _) => Ok(HostDevice::Mediated(uuid.to_owned())),
        (None, Some(address)) => {
            let parsed = pci_address(address);
            parsed
                .map(HostDevice::Pci)
                .ok_or_else(|| format!("failed to create PCI device for {name}: invalid address {address}"))
        }
        (None, None) => {
            Err(format!("{kind} {name} has no mdevUUID or pciBusID in metadata for claim {claim} request {request}"))
        }
    }
}

/// The metadata of a request: the newest version in the one file of its one driver.
fn metadata(machine: &Value, claim: &str, request: &str, surroundings: &Surroundings) -> Result<Value, String> {
    let entries = machine["spec"]["resourceClaims"].as_array().into_iter().flatten();
    let entry = entries.into_iter().find(|entry| entry["name"] == claim).cloned().unwrap_or_default();
    let root = devices_from(machine);
    let directory = match entry["resourceClaimName"].as_str() {
        // 1.8.0 and 1.8.1 knew the claim by the machine's name for it only.
        _ if root != METADATA => format!("{root}/{claim}/{request}/"),
        Some(name) => format!("{root}/resourceclaims/{name}/{request}/"),
        None => format!("{root}/resourceclaimtemplates/{claim}/{request}/"),
    };
    let is_metadata = |path: &&String| {
        path.strip_prefix(&directory).is_some_and(|name| name.ends_with("-metadata.json") && !name.contains('/'))
    };
    let files: Vec<&String> = surroundings.files.keys().filter(is_metadata).collect();
    let failed = |why: String| format!("failed to read metadata for claim {claim} request {request}: {why}");
    let [path] = files.as_slice() else {
        return Err(failed(match files.len() {
            0 => format!("no files matching {directory}*-metadata.json"),
            many => format!("found {many} metadata files in {directory}: exactly one driver per request is supported"),
        }));
    };
    let stream = surroundings.read(path).unwrap_or_default();
    let mut unknown = Vec::new();
    for document in serde_json::Deserializer::from_slice(stream).into_iter::<Value>() {
        let document = document.map_err(|error| failed(error.to_string()))?;
        match document["apiVersion"].as_str() {
            Some("metadata.resource.k8s.io/v1alpha1" | "metadata.resource.k8s.io/v1beta1") => return Ok(document),
            Some(version) => unknown.push(version.to_owned()),
            None => return Err(failed("a document without apiVersion".to_owned())),
        }
    }
    Err(failed(format!("no compatible metadata version found in stream (unknown versions: [{}])", unknown.join(" "))))
}

/// `0000:65:00.0` in its four parts.
fn pci_address(text: &str) -> Option<[String; 4]> {
    let (front, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = front.split(':').collect();
    let [domain, bus, slot] = parts.as_slice() else { return None };
    let hexadecimal =
        |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let octal = function.len() == 1 && function.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let valid = hexadecimal(domain, 4) && hexadecimal(bus, 2) && hexadecimal(slot, 2) && octal;
    valid.then(|| [domain, bus, slot, &function].map(|part| (*part).to_owned()))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(gpus: Value, attributes: Value, count: usize) -> Surroundings {
        let machine = json!({
            "metadata": {"namespace": "n", "name": "vm", "uid": "u"},
            "spec": {
                "domain": {"devices": {"gpus": gpus}, "memory": {"guest": "128Mi"}},
                "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}],
            },
        });
        let device = json!({"driver": "gpu.nvidia.com", "pool": "n", "name": "gpu-vfio-0", "attributes": attributes});
        let old = json!({"apiVersion": "metadata.resource.k8s.io/v9", "requests": []});
        let metadata = json!({
            "apiVersion": "metadata.resource.k8s.io/v1alpha1",
            "requests": [{"name": "one", "devices": vec![device; count]}],
        });
        let mut surroundings = Surroundings::default();
        surroundings.set(MACHINE, machine.to_string());
        surroundings.devices.push(VFIO.to_owned());
        let path = format!("{METADATA}/resourceclaimtemplates/gpu/one/gpu.nvidia.com-metadata.json");
        surroundings.files.insert(path, format!("{old}{metadata}").into_bytes());
        define(&mut surroundings);
        surroundings
    }

    fn gpu(name: &str, request: &str) -> Value {
        json!({"name": name, "claimName": "gpu", "requestName": request})
    }

    fn failure(surroundings: &Surroundings) -> String {
        let log = String::from_utf8_lossy(surroundings.read(LOG).expect("a log")).into_owned();
        let line = log.lines().last().expect("a line");
        let message = serde_json::from_str::<Value>(line).expect("JSON")["msg"].as_str().unwrap_or_default().to_owned();
        message.replace("server error. command SyncVMI failed: ", "")
    }

    #[test]
    fn a_pci_device_is_passed_through() {
        let address = json!({"resource.kubernetes.io/pciBusID": {"string": "0000:65:00.0"}});
        let surroundings = surroundings(json!([gpu("gpu0", "one")]), address, 1);
        let xml = virsh(&["dumpxml", "n_vm"], &surroundings).expect("a domain");
        assert!(
            xml.contains(
                "<address type=\"pci\" domain=\"0x0000\" bus=\"0x65\" slot=\"0x00\" function=\"0x0\"></address>"
            ),
            "{xml}"
        );
        assert!(xml.contains("<alias name=\"ua-dra-gpu-gpu0\"></alias>"));
        assert!(xml.contains("<memory unit=\"b\">134217728</memory>"));
        assert_eq!(failure(&surroundings), "Domain started.");
    }

    #[test]
    fn a_mediated_device_wins_and_the_first_has_the_display() {
        let both =
            json!({"mdevUUID": {"string": "123e4567"}, "resource.kubernetes.io/pciBusID": {"string": "0000:65:00.0"}});
        let surroundings = surroundings(json!([gpu("a", "one"), gpu("b", "one")]), both, 1);
        let xml = virsh(&["dumpxml", "n_vm"], &surroundings).expect("a domain");
        assert_eq!(xml.matches("model=\"vfio-pci\" display=\"on\" ramfb=\"on\">").count(), 1);
        assert_eq!(xml.matches("<address uuid=\"123e4567\"></address>").count(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_as_kubevirt_says_it() {
        let address = || json!({"resource.kubernetes.io/pciBusID": {"string": "0000:65:00.0"}});
        assert_eq!(
            failure(&surroundings(json!([gpu("g", "two")]), address(), 1)),
            format!(
                "failed to read metadata for claim gpu request two: no files matching {METADATA}/resourceclaimtemplates/gpu/two/*-metadata.json"
            )
        );
        assert!(
            failure(&surroundings(json!([gpu("g", "one")]), address(), 2))
                .contains("has 2 devices but KubeVirt only supports exactly one")
        );
        assert_eq!(
            failure(&surroundings(json!([gpu("g", "one")]), json!({}), 1)),
            "GPU g has no mdevUUID or pciBusID in metadata for claim gpu request one"
        );
        let odd = json!({"resource.kubernetes.io/pciBusID": {"string": "65:00.0"}});
        assert!(
            failure(&surroundings(json!([gpu("g", "one")]), odd, 1)).starts_with("failed to create PCI device for g")
        );
    }
}
