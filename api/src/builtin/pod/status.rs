//! The status of a pod: what it keeps, and what is wrong with a new one.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    label, names,
};
use serde_json::{Value, json};

use crate::builtin::addresses::ip_errors;
use crate::builtin::formats::invalid;
use crate::builtin::go_form::{Member, TEXT, go_struct, shown};
use crate::builtin::pointer::{has, integer, list, list_mut, object_mut, text};
use crate::format::Errors;
use crate::k8srm::DEVICE_CLAIMS;

/// Conditions of Kubernetes itself, whose types need no check.
const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
const HEALTH: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];
const HEALTH_MESSAGE_BYTES_MAX: usize = 1024;
const ID_MAX: i64 = i32::MAX as i64;
const ADDRESS: &[Member] = go_struct! { IP: TEXT };

/// The lists of statuses of containers, each with the containers in the spec.
const STATUSES: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// The address of a pod is the first of its addresses; where both are told and differ, the one counts, as older kubelets know
/// no more.
pub(super) fn default_addresses(pod: &mut Value) {
    let (one, first) = (text(pod, "/status/podIP").to_owned(), text(pod, "/status/podIPs/0/ip").to_owned());
    let Some(status) = object_mut(pod, "/status") else { return };
    if !one.is_empty() && one != first {
        status.insert("podIPs".to_owned(), json!([{"ip": one}]));
    } else if one.is_empty() && !first.is_empty() {
        status.insert("podIP".to_owned(), first.into());
    }
}

/// What a write that does not tell it leaves: the class of service, and which generation was observed.
pub(super) fn keep_what_is_not_told(pod: &mut Value, old: &Value) {
    let Some(status) = object_mut(pod, "/status") else { return };
    for member in ["qosClass", "observedGeneration"] {
        let told = status.get(member).is_some_and(|told| !told.is_null() && *told != "" && *told != 0);
        if let (false, Some(kept)) = (told, old.pointer("/status").and_then(|status| status.get(member))) {
            status.insert(member.to_owned(), kept.clone());
        }
    }
    let mut known: Vec<&Value> = list(old, "/status/conditions").iter().collect();
    for condition in list_mut(pod, "/status/conditions") {
        let same = |known: &&Value| known.get("type") == condition.get("type");
        let Some(at) = known.iter().position(same) else { continue };
        let generation = integer(known.remove(at), "/observedGeneration");
        if integer(condition, "/observedGeneration") == 0 && generation != 0 {
            object_mut(condition, "").map(|members| members.insert("observedGeneration".to_owned(), generation.into()));
        }
    }
}

/// Everything wrong with a new status.
pub(super) fn validate(pod: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = Path::new("status");
    conditions(&mut errors, &path.child("conditions"), pod);
    nominated_node(&mut errors, &path.child("nominatedNodeName"), pod, old);
    generation(&mut errors, &path, pod.get("status").unwrap_or(&Value::Null));
    let [class, was] = [pod, old].map(|pod| text(pod, "/status/qosClass"));
    if class != was {
        errors.push(Error::invalid(&path.child("qosClass"), &class.into(), "field is immutable"));
    }
    for (statuses, containers) in STATUSES {
        transitions(&mut errors, &path.child(statuses), (pod, old), statuses, containers);
    }
    claims(&mut errors, &path.child("resourceClaimStatuses"), pod);
    extended_resources(&mut errors, &path.child("extendedResourceClaimStatus"), pod);
    addresses(&mut errors, &path.child("podIPs"), list(pod, "/status/podIPs"));
    let host = list(pod, "/status/hostIPs");
    if let Some(first) = host.first().map(|first| text(first, "/ip"))
        && first != text(pod, "/status/hostIP")
    {
        let path = path.child("hostIPs").index(0).child("ip");
        errors.push(Error::invalid(&path, &first.into(), "must be equal to `hostIP`"));
    }
    addresses(&mut errors, &path.child("hostIPs"), host);
    for (statuses, _) in STATUSES {
        users(&mut errors, &path.child(statuses), pod, statuses);
    }
    for (statuses, containers) in STATUSES {
        devices(&mut errors, &path.child(statuses), pod, statuses, containers);
    }
    errors
}

fn generation(errors: &mut Errors, path: &Path, of: &Value) {
    let generation = integer(of, "/observedGeneration");
    if generation < 0 {
        let path = path.child("observedGeneration");
        errors.push(Error::invalid(&path, &generation.into(), "must be a non-negative integer"));
    }
}

fn conditions(errors: &mut Errors, path: &Path, pod: &Value) {
    for (index, condition) in list(pod, "/status/conditions").iter().enumerate() {
        let (path, type_) = (path.index(index), text(condition, "/type"));
        generation(errors, &path, condition);
        if !SYSTEM_CONDITIONS.contains(&type_) {
            // Upstream names the member of its Go type here.
            invalid(errors, &path.child("Type"), &type_.into(), label::key_errors(type_));
        }
    }
}

fn nominated_node(errors: &mut Errors, path: &Path, pod: &Value, old: &Value) {
    let [node, was] = [pod, old].map(|pod| text(pod, "/status/nominatedNodeName"));
    if node.is_empty() || node == was {
        return;
    }
    invalid(errors, path, &node.into(), names::dns1123_subdomain_errors(node));
    if !text(old, "/spec/nodeName").is_empty() {
        errors.push(Error::forbidden(path, "may not be set on pods that are already bound to a node"));
    }
}

/// What has ended runs again only if its policy says so.
fn transitions(errors: &mut Errors, path: &Path, (pod, old): (&Value, &Value), statuses: &str, containers: &str) {
    let at = format!("/status/{statuses}");
    let spec = list(old, &format!("/spec/{containers}"));
    if containers != "ephemeralContainers" && restarts_all(old) {
        return;
    }
    for (index, was) in list(old, &at).iter().enumerate().filter(|(_, was)| has(was, "/state/terminated")) {
        let name = text(was, "/name");
        let now = list(pod, &at).iter().find(|status| text(status, "/name") == name);
        if now.is_none_or(|now| has(now, "/state/terminated")) {
            continue;
        }
        let code = integer(was, "/state/terminated/exitCode");
        let container = spec.iter().find(|container| text(container, "/name") == name);
        let may = containers != "ephemeralContainers"
            && container.is_some_and(|container| restarts(container, text(old, "/spec/restartPolicy"), code));
        if !may {
            let path = path.index(index).child("state");
            errors.push(Error::forbidden(&path, "may not be transitioned to non-terminated state"));
        }
    }
}

/// Whether a container of the pod may make all of them run again.
fn restarts_all(pod: &Value) -> bool {
    let all = ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|containers| list(pod, containers));
    all.flat_map(|container| list(container, "/restartPolicyRules"))
        .any(|rule| text(rule, "/action") == "RestartAllContainers")
}

/// Whether a container that has ended so runs again.
fn restarts(container: &Value, pod_policy: &str, code: i64) -> bool {
    let own = text(container, "/restartPolicy");
    let matches = |rule: &&Value| {
        let listed = list(rule, "/exitCodes/values").iter().any(|value| value.as_i64() == Some(code));
        match text(rule, "/exitCodes/operator") {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    };
    let rule = list(container, "/restartPolicyRules").iter().find(matches);
    if !own.is_empty() && rule.is_some_and(|rule| text(rule, "/action") == "Restart") {
        return true;
    }
    match if own.is_empty() { pod_policy } else { own } {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

/// Claims that were made for the pod are of entries in its spec.
fn claims(errors: &mut Errors, path: &Path, pod: &Value) {
    let mut seen = BTreeSet::new();
    for (index, status) in list(pod, "/status/resourceClaimStatuses").iter().enumerate() {
        let (path, name) = (path.index(index), text(status, "/name"));
        let is_prototype = name == DEVICE_CLAIMS && has(pod, "/spec/deviceClaims");
        if !is_prototype && !list(pod, "/spec/resourceClaims").iter().any(|claim| text(claim, "/name") == name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(Error::invalid(&path.child("name"), &name.into(), detail));
        }
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        if let Some(claim) = status.get("resourceClaimName").and_then(Value::as_str) {
            let path = path.child("resourceClaimName");
            invalid(errors, &path, &claim.into(), names::dns1123_subdomain_errors(claim));
        }
    }
}

/// A claim that stands for extended resources says which containers asked for what.
fn extended_resources(errors: &mut Errors, path: &Path, pod: &Value) {
    let Some(status) = pod.pointer("/status/extendedResourceClaimStatus").filter(|status| !status.is_null()) else {
        return;
    };
    let mappings = list(status, "/requestMappings");
    let all = path.child("requestMappings");
    if mappings.is_empty() {
        errors.push(Error::required(&all, "at least one request mapping is required"));
    }
    let containers = || ["/spec/initContainers", "/spec/containers"].into_iter().flat_map(|at| list(pod, at));
    let mut seen = BTreeSet::new();
    for (index, mapping) in mappings.iter().enumerate() {
        let at = all.index(index);
        let [container, resource, request] =
            ["/containerName", "/resourceName", "/requestName"].map(|member| text(mapping, member));
        match containers().find(|one| text(one, "/name") == container) {
            None => {
                let detail = "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                errors.push(Error::invalid(&at.child("containerName"), &container.into(), detail));
            }
            Some(found) if found.pointer("/resources/requests").is_none_or(|asked| asked.get(resource).is_none()) => {
                let detail = "must match the extended resource name of an entry in spec.initContainers.resources.requests \
                              or spec.containers.resources.requests";
                errors.push(Error::invalid(&at.child("resourceName"), &resource.into(), detail));
            }
            Some(_) => {}
        }
        invalid(errors, &path.child("requestName"), &request.into(), names::dns1123_label_errors(request));
        if !seen.insert((container, resource, request)) {
            for (member, value) in [("containerName", container), ("resourceName", resource), ("requestName", request)]
            {
                errors.push(Error::duplicate(&at.child(member), &value.into()));
            }
        }
    }
    let (claim, path) = (text(status, "/resourceClaimName"), path.child("resourceClaimName"));
    match claim {
        "" => errors.push(Error::required(&path, "")),
        _ => invalid(errors, &path, &claim.into(), names::dns1123_subdomain_errors(claim)),
    }
}

/// Addresses: one for each family.
fn addresses(errors: &mut Errors, path: &Path, all: &[Value]) {
    for (index, address) in all.iter().enumerate() {
        let ip = text(address, "/ip");
        invalid(errors, &path.index(index), &ip.into(), ip_errors(ip));
    }
    let families: Vec<bool> = all.iter().map(|address| text(address, "/ip").contains(':')).collect();
    if families.len() > 2 || matches!(families[..], [one, other] if one == other) {
        let shown = all.iter().map(|address| shown(ADDRESS, address)).collect::<Vec<_>>().join(",");
        let detail = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid_shown(path, &format!("[{shown}]"), detail));
    }
}

/// Who a container runs as.
fn users(errors: &mut Errors, path: &Path, pod: &Value, statuses: &str) {
    let on_windows = text(pod, "/spec/os/name") == "windows";
    for (index, status) in list(pod, &format!("/status/{statuses}")).iter().enumerate() {
        let Some(user) = status.pointer("/user/linux").filter(|user| !user.is_null()) else { continue };
        let path = path.index(index).child("user").child("linux");
        if on_windows {
            errors.push(Error::forbidden(&path, "cannot be set for a windows pod"));
            continue;
        }
        let mut check = |path: &Path, id: i64| {
            if !(0..=ID_MAX).contains(&id) {
                let detail = format!("must be between 0 and {ID_MAX}, inclusive");
                errors.push(Error::invalid(path, &id.into(), &detail));
            }
        };
        for member in ["uid", "gid"] {
            check(&path.child(member), integer(user, &format!("/{member}")));
        }
        for (index, group) in list(user, "/supplementalGroups").iter().enumerate() {
            check(&path.child("supplementalGroups").index(index), group.as_i64().unwrap_or_default());
        }
    }
}

/// The health of devices that a container has: of what it asked for, each device once.
fn devices(errors: &mut Errors, path: &Path, pod: &Value, statuses: &str, containers: &str) {
    let spec = list(pod, &format!("/spec/{containers}"));
    for (index, status) in list(pod, &format!("/status/{statuses}")).iter().enumerate() {
        let path = path.index(index).child("allocatedResourcesStatus");
        let all = list(status, "/allocatedResourcesStatus");
        if containers == "ephemeralContainers" && !all.is_empty() {
            errors.push(Error::forbidden(&path, "must not be specified in container status"));
            continue;
        }
        let container = spec.iter().find(|container| container.get("name") == status.get("name"));
        for (index, resource) in all.iter().enumerate() {
            let (path, name) = (path.index(index), text(resource, "/name"));
            if let Some(why) = container.and_then(|container| not_asked_for(container, name)) {
                errors.push(Error::invalid(&path.child("name"), &name.into(), why));
            }
            let mut seen = BTreeSet::new();
            for (index, device) in list(resource, "/resources").iter().enumerate() {
                let path = path.child("resources").index(index);
                let (id, health) = (text(device, "/resourceID"), text(device, "/health"));
                if !HEALTH.contains(&health) {
                    errors.push(Error::not_supported(&path.child("health"), &health.into(), &HEALTH));
                }
                match device.get("message").and_then(Value::as_str) {
                    Some("") => errors.push(Error::required(&path.child("message"), "must be non-empty if specified")),
                    Some(message) if message.len() > HEALTH_MESSAGE_BYTES_MAX => {
                        errors.push(Error::too_long(&path.child("message"), HEALTH_MESSAGE_BYTES_MAX));
                    }
                    _ => {}
                }
                if !seen.insert(id) {
                    errors.push(Error::duplicate(&path.child("resourceID"), &id.into()));
                }
            }
        }
    }
}

/// Why a container has no such resource: `claim:<claim>/<request>`, or the name of an amount.
fn not_asked_for(container: &Value, resource: &str) -> Option<&'static str> {
    if let Some(wanted) = resource.strip_prefix("claim:") {
        let is = |entry: &str, request: &str| match request {
            "" => entry == wanted,
            request => wanted.strip_prefix(entry).and_then(|rest| rest.strip_prefix('/')) == Some(request),
        };
        let is_wanted = |claim: &Value| {
            // dra-evolution says `requestName`.
            let requests = ["/request", "/requestName"].map(|member| text(claim, member));
            is(text(claim, "/name"), requests.into_iter().find(|request| !request.is_empty()).unwrap_or_default())
        };
        let found = list(container, "/resources/claims").iter().any(is_wanted)
            || list(container, "/devices").iter().any(|device| is(DEVICE_CLAIMS, text(device, "/name")));
        return (!found).then_some(
            "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or \
             'claim:<claimName>' if request is empty",
        );
    }
    let asked = container.pointer("/resources/requests").is_some_and(|asked| asked.get(resource).is_some());
    (!asked).then_some("must match one of the container's resource requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pod: Value, old: Value) -> Vec<String> {
        validate(&pod, &old).iter().map(Error::to_string).collect()
    }

    #[test]
    fn one_address_is_the_first_of_all() {
        for (given, expected) in [
            (json!({"podIP": "10.0.0.1"}), json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]})),
            (json!({"podIPs": [{"ip": "10.0.0.1"}]}), json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]})),
            (
                json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.2"}, {"ip": "fd00::1"}]}),
                json!({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}),
            ),
            (json!({}), json!({})),
        ] {
            let mut pod = json!({"status": given});
            default_addresses(&mut pod);
            assert_eq!(pod["status"], expected);
        }
    }

    #[test]
    fn what_has_ended_stays_so_unless_its_policy_says_otherwise() {
        let pod = |policy: &str, state: Value| {
            json!({
                "spec": {"restartPolicy": policy, "containers": [{"name": "c"}]},
                "status": {"containerStatuses": [{"name": "c", "state": state}]},
            })
        };
        let running = json!({"running": {}});
        for (policy, code, allowed) in
            [("Always", 0, true), ("OnFailure", 1, true), ("OnFailure", 0, false), ("Never", 1, false)]
        {
            let old = pod(policy, json!({"terminated": {"exitCode": code}}));
            let found = said(pod(policy, running.clone()), old);
            let expected =
                "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
            assert_eq!(found, if allowed { vec![] } else { vec![expected] }, "{policy} {code}");
        }
    }

    #[test]
    fn devices_are_of_what_was_asked_for() {
        let pod = |name: &str| {
            json!({
                "spec": {"containers": [{"name": "c", "resources": {
                    "requests": {"cpu": "1"}, "claims": [{"name": "gpu", "request": "one"}, {"name": "all"}],
                }, "devices": [{"name": "d"}]}]},
                "status": {"containerStatuses": [{"name": "c", "allocatedResourcesStatus": [
                    {"name": name, "resources": [{"resourceID": "x", "health": "Healthy"}]},
                ]}]},
            })
        };
        for good in ["cpu", "claim:gpu/one", "claim:all", "claim:device-claims/d"] {
            assert_eq!(said(pod(good), json!({})), [""; 0], "{good}");
        }
        for bad in ["memory", "claim:gpu", "claim:gpu/two", "claim:all/x"] {
            assert_eq!(said(pod(bad), json!({})).len(), 1, "{bad}");
        }
    }
}
