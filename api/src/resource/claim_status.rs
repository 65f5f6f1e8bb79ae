//! Validation of what a claim got.

use std::{collections::HashSet, net::IpAddr};

use machinery::{
    field::{Error, Path},
    meta,
};
use serde_json::{Value, json};

use super::{
    claim_spec::RequestNames, claim_spec::validate_configuration, device, printed, selector, slice_rules, taint,
};
use crate::{
    check,
    format::{self, Errors},
    members::{at, drop_zero, list, list_mut, present, put, text},
    release::Release,
};

const RESULTS_MAX: usize = 32;
/// As many as a claim and its classes may have together.
const CONFIGS_MAX: usize = 64;
const CONSUMERS_MAX: usize = 256;
const CONDITIONS_MAX: usize = 8;
const DEVICE_DATA_MAX: usize = 10 * 1024;
const INTERFACE_NAME_MAX: usize = 256;
const HARDWARE_ADDRESS_MAX: usize = 128;
const ADDRESSES_MAX: usize = 16;

/// Which device, and which share of it, a result or a device status is about.
pub(super) fn device_key(entry: &Value) -> Value {
    let share = present(entry, "shareID").and_then(Value::as_str);
    json!([text(entry, "driver"), text(entry, "pool"), text(entry, "device"), share])
}

/// Writes what upstream's types write although it says nothing, and leaves out what they leave out.
pub(super) fn default(status: &mut Value) {
    list_mut(status, "reservedFor").iter_mut().for_each(|consumer| drop_zero(consumer, &["apiGroup"]));
    for device in list_mut(status, "devices").iter_mut().filter(|device| device.is_object()) {
        if present(device, "conditions").is_none() {
            put(device, "conditions", Some(Value::Null));
        }
        list_mut(device, "conditions").iter_mut().for_each(|condition| drop_zero(condition, &["observedGeneration"]));
        if let Some(network) = device.get_mut("networkData") {
            drop_zero(network, &["interfaceName", "hardwareAddress"]);
        }
    }
}

/// The devices of the allocation.
pub(super) fn allocated_devices(claim: &Value) -> Vec<Value> {
    list(at(claim, &["status", "allocation", "devices"]), "results").iter().map(device_key).collect()
}

/// Checks a write to `status`.
pub(super) fn validate_update(errors: &mut Errors, claim: &Value, old: &Value, release: Release) {
    let path = Path::new("status");
    let (status, old_status) = (at(claim, &["status"]), at(old, &["status"]));
    let consumers = list(status, "reservedFor");
    let consumers_path = path.child("reservedFor");
    let max = Some(CONSUMERS_MAX);
    check::unique_items(errors, &consumers_path, consumers, max, check::by("uid"), |errors, path, consumer| {
        for name in ["resource", "name", "uid"] {
            if text(consumer, name).is_empty() {
                errors.push(Error::required(&path.child(name), ""));
            }
        }
    });
    let allocated = allocated_devices(claim);
    let devices = list(status, "devices");
    let mut seen = HashSet::new();
    for (index, device) in devices.iter().enumerate() {
        let path = path.child("devices").index(index);
        validate_device_status(errors, &path, device, &allocated, release);
    }
    for (index, device) in devices.iter().enumerate() {
        if !seen.insert(device_key(device).to_string()) {
            let path = path.child("devices").index(index);
            errors.push(Error::duplicate_shown(&path, &printed::device_identity(device), ""));
        }
    }

    let (allocation, old_allocation) = (present(status, "allocation"), present(old_status, "allocation"));
    if !consumers.is_empty() {
        let known = list(old_status, "reservedFor");
        if allocation.is_none() {
            errors.push(Error::forbidden(&consumers_path, "may not be specified when `allocated` is not set"));
        } else if meta::deletion_timestamp(claim).is_some() && consumers.iter().any(|one| !known.contains(one)) {
            let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.push(Error::forbidden(&consumers_path, detail));
        }
    }
    match (allocation, old_allocation) {
        (Some(_), Some(_)) => {
            let path = path.child("allocation");
            check::immutable_printed(errors, &path, allocation, old_allocation, printed::allocation);
        }
        (Some(allocation), None) => {
            let names = RequestNames::of(at(claim, &["spec", "devices"]));
            validate_allocation(errors, &path.child("allocation"), allocation, &names, release);
        }
        (None, _) => {}
    }
}

fn validate_allocation(
    errors: &mut Errors,
    path: &Path,
    allocation: &Value,
    names: &RequestNames<'_>,
    release: Release,
) {
    let devices = at(allocation, &["devices"]);
    let devices_path = path.child("devices");
    let results = list(devices, "results");
    check::items(errors, &devices_path.child("results"), results, Some(RESULTS_MAX), |errors, path, result| {
        names.validate(errors, &path.child("request"), text(result, "request"));
        format::driver_name(errors, &path.child("driver"), text(result, "driver"));
        format::pool_name(errors, &path.child("pool"), text(result, "pool"));
        format::own_label(errors, &path.child("device"), text(result, "device"), release);
        device::validate_binding_conditions(errors, path, result);
        if release >= Release::V1_37 {
            taint::validate_tolerations(errors, path, result);
        }
        if let Some(share) = present(result, "shareID") {
            format::uuid(errors, &path.child("shareID"), share.as_str().unwrap_or_default(), release);
        }
        slice_rules::validate_skipped_operations(errors, path, result);
    });
    let configs = list(devices, "config");
    check::items(errors, &devices_path.child("config"), configs, Some(CONFIGS_MAX), |errors, path, config| {
        let source = path.child("source");
        match text(config, "source") {
            "" => errors.push(Error::required(&source, "")),
            "FromClass" | "FromClaim" => {}
            other => errors.push(Error::not_supported(&source, &other.into(), &["FromClaim", "FromClass"])),
        }
        names.validate_all(errors, &path.child("requests"), list(config, "requests"));
        validate_configuration(errors, path, config, false);
    });
    if let Some(nodes) = present(allocation, "nodeSelector") {
        selector::validate(errors, &path.child("nodeSelector"), nodes);
    }
}

fn validate_device_status(errors: &mut Errors, path: &Path, device: &Value, allocated: &[Value], release: Release) {
    format::driver_name(errors, &path.child("driver"), text(device, "driver"));
    format::pool_name(errors, &path.child("pool"), text(device, "pool"));
    format::own_label(errors, &path.child("device"), text(device, "device"), release);
    let share = present(device, "shareID").and_then(Value::as_str);
    if let Some(share) = share {
        format::uuid(errors, &path.child("shareID"), share, release);
    }
    if !allocated.contains(&device_key(device)) {
        let printed = printed::device_identity(device);
        errors.push(Error::invalid_shown(path, &printed, "must be an allocated device in the claim"));
    }
    let conditions = list(device, "conditions");
    let conditions_path = path.child("conditions");
    if conditions.len() > CONDITIONS_MAX {
        errors.push(Error::too_many(&conditions_path, conditions.len(), CONDITIONS_MAX));
    }
    validate_conditions(errors, &conditions_path, conditions);
    if let Some(data) = present(device, "data") {
        check::raw_object(errors, &path.child("data"), Some(data), DEVICE_DATA_MAX, false);
    }
    if let Some(network) = present(device, "networkData") {
        validate_network(errors, &path.child("networkData"), network);
    }
}

/// `metav1.Condition`s, told apart by type.
pub(crate) fn validate_conditions(errors: &mut Errors, path: &Path, conditions: &[Value]) {
    let mut types = HashSet::new();
    check::items(errors, path, conditions, None, |errors, path, condition| {
        let kind = text(condition, "type");
        if !types.insert(kind.to_owned()) {
            errors.push(Error::duplicate(&path.child("type"), &kind.into()));
        }
        format::label_key(errors, &path.child("type"), kind);
        let status_path = path.child("status");
        match text(condition, "status") {
            "True" | "False" | "Unknown" => {}
            other => errors.push(Error::not_supported(&status_path, &other.into(), &["False", "True", "Unknown"])),
        }
        let generation = at(condition, &["observedGeneration"]);
        if generation.as_i64().is_some_and(|generation| generation < 0) {
            let path = path.child("observedGeneration");
            errors.push(Error::invalid(&path, generation, "must be greater than or equal to zero"));
        }
        if text(condition, "lastTransitionTime").is_empty() {
            errors.push(Error::required(&path.child("lastTransitionTime"), ""));
        }
        validate_reason(errors, &path.child("reason"), text(condition, "reason"));
        if text(condition, "message").len() > 32 * 1024 {
            errors.push(Error::too_long(&path.child("message"), 32 * 1024));
        }
    });
}

fn validate_reason(errors: &mut Errors, path: &Path, reason: &str) {
    if reason.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let shaped = reason.starts_with(|first: char| first.is_ascii_alphabetic())
        && reason.bytes().all(|byte| word(byte) || matches!(byte, b',' | b':'))
        && reason.bytes().last().is_some_and(word);
    if !shaped {
        let message = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
        let detail = machinery::names::format_error(
            message,
            "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
            &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"],
        );
        errors.push(Error::invalid(path, &reason.into(), &detail));
    }
    if reason.len() > 1024 {
        errors.push(Error::too_long(path, 1024));
    }
}

fn validate_network(errors: &mut Errors, path: &Path, network: &Value) {
    for (name, max) in [("interfaceName", INTERFACE_NAME_MAX), ("hardwareAddress", HARDWARE_ADDRESS_MAX)] {
        if text(network, name).len() > max {
            errors.push(Error::too_long(&path.child(name), max));
        }
    }
    let addresses = list(network, "ips");
    let max = Some(ADDRESSES_MAX);
    check::unique_items(errors, &path.child("ips"), addresses, max, Value::clone, |errors, path, address| {
        let given = address.as_str().unwrap_or_default();
        match canonical_address(given) {
            None => {
                let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
                errors.push(Error::invalid(path, address, detail));
            }
            Some(canonical) if canonical != given => {
                errors.push(Error::invalid(path, address, &format!("must be in canonical form (\"{canonical}\")")));
            }
            Some(_) => {}
        }
    });
}

/// `address/prefix length` as it should be written, with leading zeros dropped and IPv4 in its own form.
fn canonical_address(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || length.len() > 3 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u32 = length.parse().ok()?;
    let decimal = |part: &str| part.parse::<u32>().map_or_else(|_| part.to_owned(), |number| number.to_string());
    let unpadded = if address.contains(':') {
        address.to_owned()
    } else {
        address.split('.').map(decimal).collect::<Vec<_>>().join(".")
    };
    let address: IpAddr = unpadded.parse().ok()?;
    match address {
        IpAddr::V4(_) if length <= 32 => Some(format!("{address}/{length}")),
        IpAddr::V6(six) if length <= 128 => match six.to_ipv4_mapped() {
            Some(four) if length >= 96 => Some(format!("{four}/{}", length - 96)),
            Some(four) => Some(format!("{four}/{length}")),
            None => Some(format!("{six}/{length}")),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        let cases = [
            ("192.0.2.5/24", Some("192.0.2.5/24")),
            ("192.0.2.005/24", Some("192.0.2.5/24")),
            ("2001:db8::5/64", Some("2001:db8::5/64")),
            ("2001:DB8:0:0::5/64", Some("2001:db8::5/64")),
            ("::ffff:192.0.2.1/120", Some("192.0.2.1/24")),
            ("192.0.2.5", None),
            ("192.0.2.5/33", None),
            ("192.0.2.5/-1", None),
            ("2001:db8::5/129", None),
            ("x/24", None),
            ("/", None),
        ];
        for (given, expected) in cases {
            assert_eq!(canonical_address(given).as_deref(), expected, "{given}");
        }
    }
}
