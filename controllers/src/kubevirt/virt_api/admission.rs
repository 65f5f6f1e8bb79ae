//! What KubeVirt's webhooks demand of machines and instances.

use std::collections::{BTreeMap, BTreeSet};

use machinery::{meta, names};
use serde_json::Value;

use super::devices;
use crate::{
    kubevirt::Configuration,
    webhook::{Cause, Refusal, Verdict},
};

pub(super) const INVALID: &str = "FieldValueInvalid";
pub(super) const REQUIRED: &str = "FieldValueRequired";
pub(super) const DUPLICATE: &str = "FieldValueDuplicate";
pub(super) const NOT_FOUND: &str = "FieldValueNotFound";
const NOT_SUPPORTED: &str = "FieldValueNotSupported";

/// Labels that only KubeVirt writes.
const RESERVED_LABELS: [&str; 6] = [
    "kubevirt.io/created-by",
    "kubevirt.io/migrationJobUID",
    "kubevirt.io/nodeName",
    "kubevirt.io/migrationTargetNodeName",
    "kubevirt.io/schedulable",
    "kubevirt.io/install-strategy",
];

/// One thing that is wrong.
pub(super) fn cause(kind: &'static str, message: impl Into<String>, field: impl Into<String>) -> Cause {
    Cause { kind, message: message.into(), field: field.into() }
}

/// The answer to what was found.
fn verdict(causes: Vec<Cause>) -> Verdict {
    if causes.is_empty() {
        return Verdict::Allowed;
    }
    let messages: Vec<&str> = causes.iter().map(|cause| cause.message.as_str()).collect();
    Verdict::Refused(Refusal { code: 422, reason: "Invalid", message: messages.join(", "), causes })
}

/// A new instance.
pub(super) fn new_instance(instance: &Value, configuration: &Configuration, by_kubevirt: bool) -> Verdict {
    let spec = &instance["spec"];
    let mut causes = devices::check("spec", spec, configuration);
    causes.extend(check_spec("spec", spec));
    causes.extend(volumes_without_disk("spec", spec));
    causes.extend(memory("spec", spec));
    if !by_kubevirt && meta::labels(instance).any(|(key, _)| RESERVED_LABELS.contains(&key)) {
        let message = "creation of the following reserved kubevirt.io/ labels on a VMI object is prohibited";
        causes.push(cause(NOT_SUPPORTED, message, "metadata.labels"));
    }
    verdict(causes)
}

/// An instance that is changed. KubeVirt's own components may change everything.
pub(super) fn changed_instance(instance: &Value, old: &Value, by_kubevirt: bool) -> Verdict {
    if by_kubevirt {
        return Verdict::Allowed;
    }
    if instance["spec"] != old["spec"] {
        return verdict(vec![cause(NOT_SUPPORTED, "update of VMI object is restricted", "")]);
    }
    let reserved = |object: &Value| -> Vec<(String, String)> {
        let labels = meta::labels(object).filter(|(key, _)| RESERVED_LABELS.contains(key));
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    if reserved(instance) != reserved(old) {
        let message = "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited";
        return verdict(vec![cause(NOT_SUPPORTED, message, "")]);
    }
    Verdict::Allowed
}

/// A machine that is new or changed.
pub(super) fn machine(machine: &Value, configuration: &Configuration) -> Verdict {
    let spec = &machine["spec"];
    let mut causes = Vec::new();
    let template = "spec.template.spec";
    if spec["template"].is_object() {
        let of_instance = &spec["template"]["spec"];
        causes.extend(devices::check(template, of_instance, configuration));
        causes.extend(check_spec(template, of_instance));
    } else {
        causes.push(cause(REQUIRED, "missing virtual machine template.", "spec.template"));
        return verdict(causes);
    }
    match (spec["running"].is_boolean(), spec["runStrategy"].as_str()) {
        (true, Some(_)) => {
            let message = "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use \
                           RunStrategy instead";
            causes.push(cause(INVALID, message, "spec.running"));
        }
        (false, None) => causes.push(cause(INVALID, "RunStrategy must be specified", "spec.running")),
        (_, Some(strategy)) => causes.extend(run_strategy(strategy)),
        _ => {}
    }
    verdict(causes)
}

fn run_strategy(strategy: &str) -> Option<Cause> {
    let message = match strategy {
        "Always" | "Halted" | "Manual" | "RerunOnFailure" | "Once" => return None,
        "WaitAsReceiver" => {
            "Invalid RunStrategy (WaitAsReceiver), DecentralizedLiveMigration feature gate is not enabled in kubevirt resource"
                .to_owned()
        }
        other => format!("Invalid RunStrategy ({other})"),
    };
    Some(cause(INVALID, message, "spec.runStrategy"))
}

fn list<'a>(value: &'a Value) -> impl Iterator<Item = (usize, &'a Value)> + use<'a> {
    value.as_array().into_iter().flatten().enumerate()
}

fn name_of(entry: &Value) -> &str {
    entry["name"].as_str().unwrap_or_default()
}

/// What machines and instances have in common, apart from devices of claims.
fn check_spec(field: &str, spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(memory_is_provided(field, spec));
    if let Some(hostname) = spec["hostname"].as_str().filter(|hostname| !hostname.is_empty()) {
        let wrong = names::dns1123_label_errors(hostname);
        if !wrong.is_empty() {
            let at = format!("{field}.hostname");
            let message = format!("{at} does not conform to the kubernetes DNS_LABEL rules : {}", wrong.join(", "));
            causes.push(cause(INVALID, message, at));
        }
    }
    let devices = &spec["domain"]["devices"];
    let volumes: BTreeSet<&str> = list(&spec["volumes"]).map(|(_, volume)| name_of(volume)).collect();
    let mut disks: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, disk) in list(&devices["disks"]) {
        let at = format!("{field}.domain.devices.disks[{index}]");
        if !volumes.contains(name_of(disk)) {
            let path = format!("{at}.Name");
            causes.push(cause(INVALID, format!("{path} '{}' not found.", name_of(disk)), path));
        }
        if let Some(first) = disks.insert(name_of(disk), index) {
            let message = format!("{field}.domain.devices.disks[{first}] and {at} must not have the same Name.");
            causes.push(cause(DUPLICATE, message, format!("{at}.name")));
        }
    }
    causes.extend(interfaces(field, spec));
    causes
}

/// Interfaces and networks go in pairs.
fn interfaces(field: &str, spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let networks: BTreeSet<&str> = list(&spec["networks"]).map(|(_, network)| name_of(network)).collect();
    let interfaces = &spec["domain"]["devices"]["interfaces"];
    let named: BTreeSet<&str> = list(interfaces).map(|(_, interface)| name_of(interface)).collect();
    for (index, interface) in list(interfaces) {
        if !networks.contains(name_of(interface)) {
            let at = format!("{field}.domain.devices.interfaces[{index}].name");
            causes.push(cause(INVALID, format!("{at} '{}' not found.", name_of(interface)), at));
        }
    }
    for (index, network) in list(&spec["networks"]) {
        if !named.contains(name_of(network)) {
            let at = format!("{field}.networks[{index}].name");
            causes.push(cause(REQUIRED, format!("{at} '{}' not found.", name_of(network)), at));
        }
    }
    causes
}

fn volumes_without_disk(field: &str, spec: &Value) -> Vec<Cause> {
    let devices = &spec["domain"]["devices"];
    let mapped = |name: &str| {
        ["disks", "filesystems"].iter().any(|kind| list(&devices[*kind]).any(|(_, one)| name_of(one) == name))
    };
    let unmapped =
        list(&spec["volumes"]).filter(|(_, volume)| volume["memoryDump"].is_null() && !mapped(name_of(volume)));
    unmapped
        .map(|(index, volume)| {
            let at = format!("{field}.domain.volumes[{index}].name");
            cause(INVALID, format!("{at} '{}' not found.", name_of(volume)), at)
        })
        .collect()
}

fn memory_is_provided(field: &str, spec: &Value) -> Option<Cause> {
    let domain = &spec["domain"];
    let given = ["limits", "requests"].iter().any(|list| !domain["resources"][*list]["memory"].is_null())
        || ["hugepages", "guest"].iter().any(|member| !domain["memory"][*member].is_null());
    if given {
        return None;
    }
    let at = |path: &str| format!("{field}.domain.{path}");
    let message = format!(
        "{}, {}, {} or {} should be provided",
        at("resources.requests.memory"),
        at("resources.limits.memory"),
        at("memory.hugepages"),
        at("memory.guest")
    );
    Some(cause(INVALID, message, at("resources.limits.memory")))
}

fn memory(field: &str, spec: &Value) -> Option<Cause> {
    let domain = &spec["domain"];
    let given = !domain["resources"]["requests"]["memory"].is_null()
        || ["hugepages", "guest"].iter().any(|member| !domain["memory"][*member].is_null());
    if given {
        return None;
    }
    let at = |path: &str| format!("{field}.domain.{path}");
    let message = format!(
        "no memory requested, at least one of '{}', '{}' or '{}' must be set",
        at("memory.guest"),
        at("memory.hugepages.pageSize"),
        at("resources.requests.memory")
    );
    Some(cause(REQUIRED, message, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(verdict: Verdict) -> String {
        match verdict {
            Verdict::Refused(refusal) => refusal.message,
            _ => String::new(),
        }
    }

    #[test]
    fn strategies_are_checked() {
        let on = Configuration::of(None);
        let of = |mut spec: Value| {
            spec["template"] = json!({"spec": {"domain": {"memory": {"guest": "1Gi"}}}});
            refused(machine(&json!({"spec": spec}), &on))
        };
        assert_eq!(of(json!({"running": true})), "");
        assert_eq!(of(json!({})), "RunStrategy must be specified");
        assert_eq!(
            of(json!({"running": true, "runStrategy": "Always"})),
            "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead"
        );
        assert_eq!(of(json!({"runStrategy": "Sometimes"})), "Invalid RunStrategy (Sometimes)");
        assert_eq!(refused(machine(&json!({"spec": {"running": true}}), &on)), "missing virtual machine template.");
    }

    #[test]
    fn instances_need_memory_and_disks_for_volumes() {
        let of = |spec: Value| refused(new_instance(&json!({"spec": spec}), &Configuration::of(None), false));
        assert_eq!(of(json!({"domain": {"memory": {"guest": "1Gi"}}})), "");
        assert!(
            of(json!({"domain": {"devices": {}}}))
                .contains("no memory requested, at least one of 'spec.domain.memory.guest'")
        );
        let volumes = json!({"domain": {"memory": {"guest": "1Gi"}, "devices": {"disks": [{"name": "b"}]}}, "volumes": [{"name": "a"}]});
        assert_eq!(
            of(volumes),
            "spec.domain.devices.disks[0].Name 'b' not found., spec.domain.volumes[0].name 'a' not found."
        );
        assert_eq!(
            of(json!({"hostname": "A", "domain": {"memory": {"guest": "1Gi"}}})).split(" : ").next(),
            Some("spec.hostname does not conform to the kubernetes DNS_LABEL rules")
        );
    }

    #[test]
    fn instances_do_not_change() {
        let old = json!({"metadata": {"labels": {"kubevirt.io/nodeName": "a"}}, "spec": {"a": 1}, "status": {}});
        let mut changed = old.clone();
        changed["spec"]["a"] = json!(2);
        assert_eq!(refused(changed_instance(&changed, &old, false)), "update of VMI object is restricted");
        let mut moved = old.clone();
        moved["metadata"]["labels"]["kubevirt.io/nodeName"] = json!("b");
        assert!(refused(changed_instance(&moved, &old, false)).starts_with("modification of the following reserved"));
        assert_eq!(refused(changed_instance(&moved, &old, true)), "");
    }
}
