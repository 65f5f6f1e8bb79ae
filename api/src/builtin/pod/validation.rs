//! What is wrong with a pod, or with the pod template of another kind.

use std::collections::BTreeSet;

use machinery::{
    field::{Error, Path},
    label, names,
};
use serde_json::{Value, json};

use super::{affinity, app_armor, containers, resources, security_context, volumes};
use crate::builtin::addresses::ip_errors;
use crate::builtin::formats::{
    invalid, label_selector, labels, one_of, optional_name, optional_one_of, present_one_of, search_domain_errors,
};
use crate::builtin::pointer::{self, has, integer, is_true, list, text, texts};
use crate::format::Errors;

/// Whether a pod spec stands in a Pod or in the template of another kind, which is checked less strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a Pod.
    Pod,
    /// In a template.
    Template,
}

/// Everything wrong with a Pod.
pub(super) fn validate(pod: &Value) -> Errors {
    let mut errors = Vec::new();
    app_armor::validate_annotations(&mut errors, &Path::new("metadata"), pod);
    let path = Path::new("spec");
    spec(&mut errors, &path, pod.get("spec").unwrap_or(&Value::Null), Place::Pod);
    app_armor::validate_agreement(&mut errors, &path, pod);
    errors
}

/// Everything wrong with a new Pod.
pub(super) fn validate_new(pod: &Value) -> Errors {
    let mut errors = validate(pod);
    if !list(pod, "/spec/ephemeralContainers").is_empty() {
        let path = Path::new("spec").child("ephemeralContainers");
        errors.push(Error::forbidden(&path, "cannot be set on create"));
    }
    if !text(pod, "/spec/nodeName").is_empty() && !list(pod, "/spec/schedulingGates").is_empty() {
        let path = Path::new("spec").child("nodeName");
        errors.push(Error::forbidden(&path, "cannot be set until all schedulingGates have been cleared"));
    }
    errors
}

/// Everything wrong with a pod template.
pub(in crate::builtin) fn template(errors: &mut Errors, path: &Path, template: &Value) {
    // Upstream's paths leave `metadata` out.
    labels(errors, &path.child("labels"), template, "/metadata/labels");
    for (key, _) in pointer::members(template, "/metadata/annotations") {
        invalid(errors, &path.child("annotations"), &key.into(), label::key_errors(&key.to_lowercase()));
    }
    let path = path.child("spec");
    spec(errors, &path, template.get("spec").unwrap_or(&Value::Null), Place::Template);
    app_armor::validate_agreement(errors, &path, template);
    if !list(template, "/spec/ephemeralContainers").is_empty() {
        errors.push(Error::forbidden(
            &path.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        ));
    }
}

fn spec(errors: &mut Errors, path: &Path, spec: &Value, place: Place) {
    let volumes = volumes::validate(errors, &path.child("volumes"), spec, place);
    resource_claims(errors, &path.child("resourceClaims"), spec);
    containers::validate(errors, path, spec, &volumes, place);
    resources::validate_pod_level(errors, &path.child("resources"), spec);
    host_ports(errors, path, spec, place);
    one_of(errors, &path.child("restartPolicy"), text(spec, "/restartPolicy"), &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(errors, &path.child("dnsPolicy"), text(spec, "/dnsPolicy"), &policies);
    labels(errors, &path.child("nodeSelector"), spec, "/nodeSelector");
    security_context::validate_pod(errors, &path.child("securityContext"), spec);
    affinity::validate(errors, &path.child("affinity"), spec);
    dns_config(errors, &path.child("dnsConfig"), spec);
    for (index, gate) in list(spec, "/readinessGates").iter().enumerate() {
        let type_ = text(gate, "/conditionType");
        let path = path.child("readinessGates").index(index).child("conditionType");
        invalid(errors, &path, &type_.into(), label::key_errors(type_));
    }
    scheduling_gates(errors, &path.child("schedulingGates"), spec);
    spread(errors, &path.child("topologySpreadConstraints"), spec);
    host_users(errors, path, spec);
    identity(errors, path, spec);
    tolerations(errors, &path.child("tolerations"), spec);
    for (index, alias) in list(spec, "/hostAliases").iter().enumerate() {
        let path = path.child("hostAliases").index(index);
        let ip = text(alias, "/ip");
        invalid(errors, &path.child("ip"), &ip.into(), ip_errors(ip));
        for (index, name) in texts(alias, "/hostnames").enumerate() {
            let path = path.child("hostnames").index(index);
            invalid(errors, &path, &name.into(), names::dns1123_subdomain_errors(name));
        }
    }
    resources::validate_overhead(errors, &path.child("overhead"), spec);
    let preemption = ["PreemptLowerPriority", "Never"];
    optional_one_of(errors, &path.child("preemptionPolicy"), text(spec, "/preemptionPolicy"), &preemption);
    if has(spec, "/os") {
        one_of(errors, &path.child("os").child("name"), text(spec, "/os/name"), &["linux", "windows"]);
    }
}

fn resource_claims(errors: &mut Errors, path: &Path, spec: &Value) {
    let mut seen = BTreeSet::new();
    // Upstream shows a claim as its internal type, whose members begin with capitals.
    let shown = |claim: &Value| {
        let member = |name: &str| claim.get(name).cloned().unwrap_or_default();
        json!({
            "Name": text(claim, "/name"),
            "ResourceClaimName": member("resourceClaimName"),
            "ResourceClaimTemplateName": member("resourceClaimTemplateName"),
        })
        .to_string()
    };
    for (index, claim) in list(spec, "/resourceClaims").iter().enumerate() {
        let path = path.index(index);
        match text(claim, "/name") {
            "" => errors.push(Error::required(&path.child("name"), "")),
            name if !seen.insert(name) => errors.push(Error::duplicate(&path.child("name"), &name.into())),
            name => invalid(errors, &path.child("name"), &name.into(), names::dns1123_label_errors(name)),
        }
        match (has(claim, "/resourceClaimName"), has(claim, "/resourceClaimTemplateName")) {
            (true, true) => errors.push(Error::invalid_shown(
                &path,
                &shown(claim),
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            )),
            (false, false) => errors.push(Error::invalid_shown(
                &path,
                &shown(claim),
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            )),
            _ => {}
        }
        for member in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = claim.get(member).and_then(Value::as_str) {
                // Claims of dra-evolution have upper case letters in upstream's own data.
                let details = names::dns1123_subdomain_errors(&name.to_ascii_lowercase());
                invalid(errors, &path.child(member), &name.into(), details);
            }
        }
    }
}

/// With the host's network, a port of a container is a port of the host.
fn host_ports(errors: &mut Errors, path: &Path, spec: &Value, place: Place) {
    if !is_true(spec, "/hostNetwork") {
        return;
    }
    for (index, container) in list(spec, "/containers").iter().enumerate() {
        let path = path.child("containers").index(index).child("ports");
        for (index, port) in list(container, "/ports").iter().enumerate() {
            let host = integer(port, "/hostPort");
            if (place == Place::Pod || host != 0) && host != integer(port, "/containerPort") {
                let path = path.index(index).child("hostPort");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(Error::invalid(&path, &host.into(), detail));
            }
        }
    }
}

fn dns_config(errors: &mut Errors, path: &Path, spec: &Value) {
    const SERVERS_MAX: usize = 3;
    const SEARCHES_MAX: usize = 32;
    let servers = list(spec, "/dnsConfig/nameservers");
    if text(spec, "/dnsPolicy") == "None" && !has(spec, "/dnsConfig") {
        return errors.push(Error::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
    }
    if text(spec, "/dnsPolicy") == "None" && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return errors.push(Error::required(&path.child("nameservers"), detail));
    }
    if servers.len() > SERVERS_MAX {
        let all = servers.to_vec().into();
        errors.push(Error::invalid(&path.child("nameservers"), &all, "must not have more than 3 nameservers"));
    }
    for (index, server) in texts(spec, "/dnsConfig/nameservers").enumerate() {
        invalid(errors, &path.child("nameservers").index(index), &server.into(), ip_errors(server));
    }
    let searches = list(spec, "/dnsConfig/searches");
    if searches.len() > SEARCHES_MAX {
        let all = searches.to_vec().into();
        errors.push(Error::invalid(&path.child("searches"), &all, "must not have more than 32 search paths"));
    }
    for (index, search) in texts(spec, "/dnsConfig/searches").enumerate() {
        if search != "." {
            let domain = search.strip_suffix('.').unwrap_or(search);
            invalid(errors, &path.child("searches").index(index), &domain.into(), search_domain_errors(domain));
        }
    }
    for (index, option) in list(spec, "/dnsConfig/options").iter().enumerate() {
        if text(option, "/name").is_empty() {
            errors.push(Error::required(&path.child("options").index(index), "must not be empty"));
        }
    }
}

fn scheduling_gates(errors: &mut Errors, path: &Path, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (index, gate) in list(spec, "/schedulingGates").iter().enumerate() {
        let name = text(gate, "/name");
        invalid(errors, &path.index(index), &name.into(), label::key_errors(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.index(index), &name.into()));
        }
    }
}

fn spread(errors: &mut Errors, path: &Path, spec: &Value) {
    let constraints = list(spec, "/topologySpreadConstraints");
    let pair = |constraint: &Value| {
        format!("{{{}, {}}}", text(constraint, "/topologyKey"), text(constraint, "/whenUnsatisfiable"))
    };
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let skew = integer(constraint, "/maxSkew");
        if skew <= 0 {
            errors.push(Error::invalid(&path.child("maxSkew"), &skew.into(), "must be greater than zero"));
        }
        let key = text(constraint, "/topologyKey");
        if key.is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        }
        let action = text(constraint, "/whenUnsatisfiable");
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        if !actions.contains(&action) {
            errors.push(Error::not_supported(&path.child("whenUnsatisfiable"), &action.into(), &actions));
        }
        // Of two that are the same, the first is blamed.
        if constraints[index + 1..].iter().any(|other| pair(other) == pair(constraint)) {
            let path = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&path, &pair(constraint).into()));
        }
        if let Some(domains) = constraint.get("minDomains").filter(|domains| !domains.is_null()) {
            if domains.as_i64().is_some_and(|domains| domains <= 0) {
                errors.push(Error::invalid(&path.child("minDomains"), domains, "must be greater than zero"));
            }
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(Error::invalid(&path.child("minDomains"), domains, &detail));
            }
        }
        for member in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            present_one_of(errors, &path.child(member), constraint.get(member), &["Honor", "Ignore"]);
        }
        if let Some(selector) = constraint.get("labelSelector") {
            label_selector(errors, &path.child("labelSelector"), selector);
        }
    }
}

/// A user namespace cannot be shared with the host's other namespaces.
fn host_users(errors: &mut Errors, path: &Path, spec: &Value) {
    if spec.get("hostUsers").and_then(Value::as_bool).unwrap_or(true) {
        return;
    }
    for (member, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(member).and_then(Value::as_bool) == Some(true) {
            errors.push(Error::forbidden(&path.child(shown), "when `pod.Spec.HostUsers` is false"));
        }
    }
}

/// Names of other objects, and of the pod as its network sees it.
fn identity(errors: &mut Errors, path: &Path, spec: &Value) {
    let subdomains = ["serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"];
    for member in subdomains {
        let value = spec.get(member).and_then(Value::as_str).unwrap_or_default();
        optional_name(errors, &path.child(member), value, names::dns1123_subdomain_errors);
    }
    for member in ["hostname", "subdomain"] {
        let value = spec.get(member).and_then(Value::as_str).unwrap_or_default();
        optional_name(errors, &path.child(member), value, names::dns1123_label_errors);
    }
    if let Some(deadline) = spec.get("activeDeadlineSeconds").filter(|value| !value.is_null())
        && !deadline.as_i64().is_some_and(|seconds| (1..=i64::from(i32::MAX)).contains(&seconds))
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(Error::invalid(&path.child("activeDeadlineSeconds"), deadline, detail));
    }
}

/// Effects that a taint can have.
pub(in crate::builtin) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(in crate::builtin) fn tolerations(errors: &mut Errors, path: &Path, spec: &Value) {
    for (index, toleration) in list(spec, "/tolerations").iter().enumerate() {
        let path = path.index(index);
        let (key, operator) = (text(toleration, "/key"), text(toleration, "/operator"));
        optional_name(errors, &path.child("key"), key, label::key_errors);
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(&path.child("operator"), &operator.into(), detail));
        }
        let effect = text(toleration, "/effect");
        if has(toleration, "/tolerationSeconds") && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(&path.child("effect"), &effect.into(), detail));
        }
        let value = text(toleration, "/value");
        match operator {
            "" | "Equal" => {
                let found = label::value_errors(value);
                if !found.is_empty() {
                    errors.push(Error::invalid(&path.child("operator"), &value.into(), &found.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(Error::invalid(&path.child("operator"), &value.into(), detail));
            }
            "Exists" => {}
            other => errors.push(Error::not_supported(&path.child("operator"), &other.into(), &["Equal", "Exists"])),
        }
        optional_one_of(errors, &path.child("effect"), effect, &TAINT_EFFECTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::pod::{defaults::default_pod, update::validate_change};
    use serde_json::json;

    fn pod(spec: Value) -> Value {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
        for (name, value) in spec.as_object().cloned().unwrap_or_default() {
            pod["spec"][name] = value;
        }
        default_pod(&mut pod);
        pod
    }

    fn container(members: Value) -> Value {
        let mut container = json!({"name": "c", "image": "i"});
        for (name, value) in members.as_object().cloned().unwrap_or_default() {
            container[name] = value;
        }
        pod(json!({"containers": [container]}))
    }

    #[test]
    fn what_is_wrong_with_a_pod_is_said_as_upstream_says_it() {
        let cases = [
            (pod(json!({"containers": []})), "spec.containers: Required value"),
            (
                container(json!({"name": "C"})),
                "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label",
            ),
            (container(json!({"image": ""})), "spec.containers[0].image: Required value"),
            (
                container(json!({"image": " i"})),
                "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace",
            ),
            (
                pod(json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]})),
                "spec.containers[1].name: Duplicate value: \"c\"",
            ),
            (
                container(json!({"ports": [{"containerPort": 70000, "protocol": "TCP"}]})),
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
            (
                container(json!({"ports": [{"containerPort": 80, "protocol": "X"}]})),
                "spec.containers[0].ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ),
            (
                container(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
                "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            ),
            (
                container(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            ),
            (
                container(json!({"resources": {"requests": {"example.com/gpu": "1"}}})),
                "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
            ),
            (
                container(json!({"resources": {"limits": {"gpu": "1"}}})),
                "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified",
            ),
            (
                container(json!({"resources": {"claims": [{"name": "gpu"}]}})),
                "spec.containers[0].resources.claims[0]: Not found: \"gpu\": must be one of the names in pod.spec.resourceClaims which is empty",
            ),
            (
                pod(
                    json!({"resourceClaims": [{"name": "a", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}]}),
                ),
                "spec.resourceClaims[0]: Invalid value: {\"Name\":\"a\",\"ResourceClaimName\":\"x\",\"ResourceClaimTemplateName\":\"y\"}: at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            ),
            (
                pod(json!({"restartPolicy": "Sometimes"})),
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ),
            (
                pod(json!({"volumes": [{"name": "v", "secret": {}}]})),
                "spec.volumes[0].secret.secretName: Required value",
            ),
            (
                pod(json!({"tolerations": [{"value": "x"}]})),
                "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ),
            (
                container(json!({"livenessProbe": {}})),
                "spec.containers[0].livenessProbe: Required value: must specify a handler type",
            ),
            (
                container(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.bogus"}}}]})),
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.bogus\": error converting fieldPath: field label not supported: metadata.bogus",
            ),
            (
                pod(json!({"initContainers": [{"name": "c", "image": "i"}]})),
                "spec.initContainers[0].name: Duplicate value: \"c\"",
            ),
            (
                pod(
                    json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]}),
                ),
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            ),
        ];
        for (pod, expected) in cases {
            let found = validate(&pod).first().map(Error::to_string).unwrap_or_default();
            assert!(found.starts_with(expected), "{expected}\nfound {found}");
        }
        assert_eq!(validate(&pod(json!({}))), []);
    }

    #[test]
    fn images_and_tolerations_may_change_and_little_else() {
        let old = pod(json!({"tolerations": [{"key": "a", "operator": "Exists"}]}));
        let mut image = old.clone();
        image["spec"]["containers"][0]["image"] = "other".into();
        image["spec"]["tolerations"] =
            json!([{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists", "effect": "NoExecute"}]);
        assert_eq!(validate_change(&image, &old), []);
        let mut name = old.clone();
        name["spec"]["nodeName"] = "n".into();
        let found = validate_change(&name, &old);
        assert!(found[0].to_string().starts_with("spec: Forbidden: pod updates may not change fields other than"));
        assert!(found[0].message.contains("\n+ \"NodeName\": \"n\",\n"), "{}", found[0].message);
        let mut more = old.clone();
        more["spec"]["containers"] = json!([{"name": "c"}, {"name": "d"}]);
        assert_eq!(
            validate_change(&more, &old)[0].to_string(),
            "spec.containers: Forbidden: pod updates may not add or remove containers"
        );
    }
}
