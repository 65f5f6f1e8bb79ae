//! What KubeVirt demands of claims, and of the devices that come from them.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use machinery::{field::quote, names};
use serde_json::Value;

use super::admission::{DUPLICATE, INVALID, NOT_FOUND, REQUIRED, cause};
use crate::{kubevirt::Configuration, webhook::Cause};

/// What a list of devices is called.
struct List {
    /// In the spec.
    path: &'static str,
    /// One of it.
    kind: &'static str,
    /// Devices of plugins may not stand beside those of claims.
    rejects_mixed: bool,
}

const GPUS: List = List { path: "gpus", kind: "GPU", rejects_mixed: true };
const HOST_DEVICES: List = List { path: "hostDevices", kind: "HostDevice", rejects_mixed: false };

/// By claim and request, the first device of a list that names them.
type Pairs = BTreeMap<String, usize>;

/// What is wrong with the claims and devices of an instance's `spec`, which is found at `field`.
pub(super) fn check(field: &str, spec: &Value, configuration: &Configuration) -> Vec<Cause> {
    let mut causes = claims(&format!("{field}.resourceClaims"), &spec["resourceClaims"]);
    let (mut used, mut owners): (BTreeSet<String>, BTreeMap<String, (&str, usize)>) = Default::default();
    for list in [GPUS, HOST_DEVICES] {
        let devices = array(&spec["domain"]["devices"][list.path]);
        let path = format!("{field}.domain.devices.{}", list.path);
        let (wrong, names, pairs) = check_list(&path, devices, &list, configuration.admits(list.path));
        causes.extend(wrong);
        used.extend(names);
        let title = if list.path == GPUS.path { "GPUs" } else { "HostDevices" };
        causes.extend(across(title, &path, &pairs, &mut owners));
    }
    let networks = networks(field, spec, configuration);
    if configuration.networks {
        causes.extend(across("Networks", &format!("{field}.networks"), &network_pairs(spec), &mut owners));
    }
    let listed: BTreeSet<&str> =
        array(&spec["resourceClaims"]).iter().filter_map(|claim| claim["name"].as_str()).collect();
    if used.iter().any(|name| !listed.contains(name.as_str())) {
        let message = "vmi.spec.resourceClaims must specify all claims used in vmi.spec.domain.devices.gpus and \
                       vmi.spec.domain.devices.hostDevices";
        causes.push(cause(INVALID, message, format!("{field}.resourceClaims")));
    }
    causes.extend(networks);
    causes
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object[member].as_str().unwrap_or_default()
}

fn claims(field: &str, claims: &Value) -> Vec<Cause> {
    let (mut causes, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, claim) in array(claims).iter().enumerate() {
        let here = format!("{field}[{index}]");
        let (name, at) = (text(claim, "name"), format!("{here}.name"));
        if name.is_empty() {
            causes.push(cause(REQUIRED, format!("{at} is a required field"), at));
        } else if seen.contains(name) {
            causes.push(cause(DUPLICATE, format!("duplicate resourceClaims name {}", quote(name)), at));
        } else {
            let wrong = names::dns1123_label_errors(name);
            if !wrong.is_empty() {
                let message = format!("{at} does not conform to the kubernetes DNS_LABEL rules: {}", wrong.join(", "));
                causes.push(cause(INVALID, message, at));
            }
            seen.insert(name);
        }
        let references = ["resourceClaimName", "resourceClaimTemplateName"];
        let given: Vec<&str> = references.into_iter().filter(|member| claim[*member].is_string()).collect();
        match given.len() {
            0 => {
                let message = "must specify one of: resourceClaimName, resourceClaimTemplateName";
                causes.push(cause(INVALID, message, here.clone()));
            }
            1 => {}
            _ => {
                let message = "at most one of resourceClaimName or resourceClaimTemplateName may be specified";
                causes.push(cause(INVALID, message, here.clone()));
            }
        }
        for member in given {
            let wrong = names::dns1123_subdomain_errors(text(claim, member));
            causes.extend(wrong.into_iter().map(|detail| cause(INVALID, detail, format!("{here}.{member}"))));
        }
    }
    causes
}

/// A device is one of a claim when it names one, or a request, and no resource of a plugin.
fn names_claim(device: &Value) -> bool {
    device["claimName"].is_string() || device["requestName"].is_string()
}

fn check_list(path: &str, devices: &[Value], list: &List, admitted: bool) -> (Vec<Cause>, BTreeSet<String>, Pairs) {
    let nothing = |causes| (causes, BTreeSet::new(), Pairs::new());
    let (shown, kind) = (list.path, list.kind);
    let of_claims = |(_, device): &(usize, &Value)| text(device, "deviceName").is_empty() && names_claim(device);
    let (claimed, plugged): (Vec<_>, Vec<_>) = devices.iter().enumerate().partition(of_claims);
    if list.rejects_mixed && !claimed.is_empty() && !plugged.is_empty() {
        let message = format!(
            "vmi.spec.domain.devices.{shown} contains both DRA and non-DRA {kind}s; each {kind} must be either DRA or non-DRA"
        );
        return nothing(vec![cause(INVALID, message, path)]);
    }
    let mut causes = Vec::new();
    for (_, device) in &plugged {
        if text(device, "deviceName").is_empty() {
            let message = format!(
                "vmi.spec.domain.devices.{shown} contains {kind}s without deviceName or claimRequest; each {kind} must \
                 specify either a deviceName or a claimRequest"
            );
            causes.push(cause(REQUIRED, message, path));
        } else if names_claim(device) {
            let message =
                format!("vmi.spec.domain.devices.{shown} contains {kind}s with both deviceName and claimRequest");
            causes.push(cause(INVALID, message, path));
        }
    }
    if !claimed.is_empty() && !admitted {
        let message =
            format!("vmi.spec.domain.devices.{shown} contains DRA enabled {kind}s but feature gate is not enabled");
        causes.push(cause(INVALID, message, path));
        return nothing(causes);
    }
    let (mut names, mut pairs) = (BTreeSet::new(), Pairs::new());
    for (index, device) in claimed {
        let here = format!("{path}[{index}]");
        let (claim, request) = (text(device, "claimName"), text(device, "requestName"));
        for (member, value) in [("claimName", claim), ("requestName", request)] {
            if value.is_empty() {
                causes.push(cause(
                    REQUIRED,
                    format!("{member} is required for DRA {kind}"),
                    format!("{here}.{member}"),
                ));
            }
        }
        if claim.is_empty() || request.is_empty() {
            continue;
        }
        names.insert(claim.to_owned());
        let pair = format!("{claim}/{request}");
        match pairs.entry(pair) {
            Entry::Occupied(pair) => {
                let message = format!("duplicate claimName/requestName pair {}", quote(pair.key()));
                causes.push(cause(DUPLICATE, message, here));
            }
            Entry::Vacant(pair) => {
                pair.insert(index);
            }
        }
    }
    (causes, names, pairs)
}

/// Pairs that another list has already.
fn across<'a>(
    title: &'a str,
    path: &str,
    pairs: &Pairs,
    owners: &mut BTreeMap<String, (&'a str, usize)>,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (pair, index) in pairs {
        match owners.get(pair) {
            Some((other, at)) => {
                let message = format!(
                    "duplicate claimName/requestName pair {} between {other}[{at}] and {title}[{index}]",
                    quote(pair)
                );
                causes.push(cause(DUPLICATE, message, format!("{path}[{index}]")));
            }
            None => drop(owners.insert(pair.clone(), (title, *index))),
        }
    }
    causes
}

fn network_pairs(spec: &Value) -> Pairs {
    let mut pairs = Pairs::new();
    for (index, network) in array(&spec["networks"]).iter().enumerate() {
        let (claim, request) =
            (text(&network["resourceClaim"], "claimName"), text(&network["resourceClaim"], "requestName"));
        if !claim.is_empty() && !request.is_empty() {
            pairs.entry(format!("{claim}/{request}")).or_insert(index);
        }
    }
    pairs
}

/// Networks whose interface is a claimed device.
fn networks(field: &str, spec: &Value, configuration: &Configuration) -> Vec<Cause> {
    let all = array(&spec["networks"]);
    let at = format!("{field}.networks");
    if all.iter().all(|network| network["resourceClaim"].is_null()) {
        return Vec::new();
    }
    if !configuration.networks {
        let message = "vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled";
        return vec![cause(INVALID, message, at)];
    }
    if all.iter().any(|network| network["multus"].is_object()) {
        return vec![cause(
            INVALID,
            "mixing Multus and DRA resourceClaim networks in the same VMI is not supported",
            at,
        )];
    }
    let first = network_pairs(spec);
    let mut causes = Vec::new();
    for (index, network) in all.iter().enumerate().filter(|(_, network)| network["resourceClaim"].is_object()) {
        let here = format!("{at}[{index}]");
        let name = text(network, "name");
        let interface = array(&spec["domain"]["devices"]["interfaces"]).iter().find(|one| text(one, "name") == name);
        if interface.is_some_and(|one| one["sriov"].is_null() && one["binding"].is_null()) {
            let message = format!("DRA network {} requires an SR-IOV or binding plugin interface", quote(name));
            causes.push(cause(INVALID, message, format!("{field}.domain.devices.interfaces")));
        }
        let (claim, request) =
            (text(&network["resourceClaim"], "claimName"), text(&network["resourceClaim"], "requestName"));
        for (member, value) in [("claimName", claim), ("requestName", request)] {
            if value.is_empty() {
                let message = format!("{member} is required for DRA network");
                causes.push(cause(REQUIRED, message, format!("{here}.resourceClaim.{member}")));
            }
        }
        if claim.is_empty() || request.is_empty() {
            continue;
        }
        if !array(&spec["resourceClaims"]).iter().any(|listed| listed["name"] == claim) {
            let message = format!(
                "network references resourceClaim {} which is not defined in spec.resourceClaims",
                quote(claim)
            );
            causes.push(cause(NOT_FOUND, message, format!("{here}.resourceClaim.claimName")));
        }
        let pair = format!("{claim}/{request}");
        if first.get(&pair).is_some_and(|first| *first != index) {
            let message = format!("duplicate claimName/requestName combination {}", quote(&pair));
            causes.push(cause(DUPLICATE, message, here));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CLAIMS: &str = "vmi.spec.resourceClaims must specify all claims used in vmi.spec.domain.devices.gpus and \
                          vmi.spec.domain.devices.hostDevices";

    fn messages(spec: Value, kubevirt: Value) -> Vec<String> {
        let configuration = Configuration::of(Some(&kubevirt));
        check("spec", &spec, &configuration).into_iter().map(|cause| cause.message).collect()
    }

    fn spec(gpus: Value, host_devices: Value) -> Value {
        json!({
            "resourceClaims": [{"name": "c", "resourceClaimTemplateName": "t"}],
            "domain": {"devices": {"gpus": gpus, "hostDevices": host_devices}},
        })
    }

    #[test]
    fn the_rules_of_devices() {
        let claimed = json!({"name": "g", "claimName": "c", "requestName": "r"});
        let plugged = json!({"name": "p", "deviceName": "nvidia.com/GPU"});
        let cases: Vec<(Value, Value, Vec<&str>)> = vec![
            (json!([claimed]), json!([]), vec![]),
            (
                json!([claimed, plugged]),
                json!([]),
                vec![
                    "vmi.spec.domain.devices.gpus contains both DRA and non-DRA GPUs; each GPU must be either DRA or non-DRA",
                ],
            ),
            (json!([]), json!([claimed, plugged]), vec![]),
            (
                json!([{"name": "g"}]),
                json!([]),
                vec![
                    "vmi.spec.domain.devices.gpus contains GPUs without deviceName or claimRequest; each GPU must specify either a deviceName or a claimRequest",
                ],
            ),
            (
                json!([{"name": "g", "deviceName": "x", "claimName": "c"}]),
                json!([]),
                vec!["vmi.spec.domain.devices.gpus contains GPUs with both deviceName and claimRequest"],
            ),
            (json!([]), json!([{"name": "h", "requestName": "r"}]), vec!["claimName is required for DRA HostDevice"]),
            (json!([{"name": "g", "claimName": "c"}]), json!([]), vec!["requestName is required for DRA GPU"]),
            (json!([claimed, claimed]), json!([]), vec!["duplicate claimName/requestName pair \"c/r\""]),
            (
                json!([claimed]),
                json!([claimed]),
                vec!["duplicate claimName/requestName pair \"c/r\" between GPUs[0] and HostDevices[0]"],
            ),
            (json!([{"name": "g", "claimName": "other", "requestName": "r"}]), json!([]), vec![CLAIMS]),
        ];
        for (gpus, host_devices, expected) in cases {
            assert_eq!(messages(spec(gpus.clone(), host_devices), json!({})), expected, "{gpus}");
        }
        let off =
            json!({"spec": {"configuration": {"developerConfiguration": {"disabledFeatureGates": ["GPUsWithDRA"]}}}});
        assert_eq!(
            messages(spec(json!([claimed]), json!([])), off),
            ["vmi.spec.domain.devices.gpus contains DRA enabled GPUs but feature gate is not enabled"]
        );
    }

    #[test]
    fn the_rules_of_claims() {
        let of = |claims: Value| messages(json!({"resourceClaims": claims}), json!({}));
        assert_eq!(of(json!([{"resourceClaimName": "x"}])), ["spec.resourceClaims[0].name is a required field"]);
        assert_eq!(
            of(json!([{"name": "a", "resourceClaimName": "x"}, {"name": "a", "resourceClaimName": "x"}])),
            ["duplicate resourceClaims name \"a\""]
        );
        assert_eq!(of(json!([{"name": "a"}])), ["must specify one of: resourceClaimName, resourceClaimTemplateName"]);
        assert_eq!(
            of(json!([{"name": "a", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}])),
            ["at most one of resourceClaimName or resourceClaimTemplateName may be specified"]
        );
        assert!(
            of(json!([{"name": "A_", "resourceClaimName": "x"}]))[0]
                .starts_with("spec.resourceClaims[0].name does not conform to the kubernetes DNS_LABEL rules: ")
        );
        assert_eq!(of(json!([{"name": "a", "resourceClaimName": "X"}])).len(), 1);
    }

    #[test]
    fn the_rules_of_networks() {
        let network = json!({"name": "n", "resourceClaim": {"claimName": "c", "requestName": "r"}});
        let spec =
            json!({"networks": [network], "domain": {"devices": {"interfaces": [{"name": "n", "masquerade": {}}]}}});
        let off = messages(spec.clone(), json!({}));
        assert_eq!(
            off,
            ["vmi.spec.networks contains DRA networks but NetworkDevicesWithDRA feature gate is not enabled"]
        );
        let on =
            json!({"spec": {"configuration": {"developerConfiguration": {"featureGates": ["NetworkDevicesWithDRA"]}}}});
        assert_eq!(
            messages(spec, on),
            [
                "DRA network \"n\" requires an SR-IOV or binding plugin interface",
                "network references resourceClaim \"c\" which is not defined in spec.resourceClaims",
            ]
        );
    }
}
