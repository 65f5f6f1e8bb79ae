//! What is wrong with the containers of a pod spec.

use std::collections::{BTreeMap, BTreeSet};

use machinery::{
    field::{Error, Path},
    label, names,
};
use serde_json::Value;

use super::{resources, security_context, validation::Place};
use crate::builtin::formats::{
    config_key_errors, descending_path, header_name_errors, invalid, no_backsteps, not_negative, one_of, port,
    port_name_errors, port_number, present_one_of, required_name, variable_name_errors,
};
use crate::builtin::pointer::{has, integer, list, text};
use crate::format::Errors;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// What the checks of a container look up in the spec around it.
struct Surrounding<'a> {
    spec: &'a Value,
    /// Volumes about which nothing is wrong, by name.
    volumes: &'a BTreeMap<&'a str, &'a Value>,
    claims: BTreeSet<&'a str>,
    place: Place,
}

/// The containers of a spec: regular, init and ephemeral ones.
pub(super) fn validate(errors: &mut Errors, path: &Path, spec: &Value, volumes: &BTreeMap<&str, &Value>, place: Place) {
    let claims = list(spec, "/resourceClaims").iter().map(|claim| text(claim, "/name")).filter(|name| !name.is_empty());
    let surrounding = Surrounding { spec, volumes, claims: claims.collect(), place };
    regular(errors, &path.child("containers"), &surrounding);
    init(errors, &path.child("initContainers"), &surrounding);
    ephemeral(errors, &path.child("ephemeralContainers"), &surrounding);
}

fn regular(errors: &mut Errors, path: &Path, surrounding: &Surrounding<'_>) {
    let containers = list(surrounding.spec, "/containers");
    if containers.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    let mut names = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        any(errors, &path, container, surrounding);
        let name = text(container, "/name");
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        long_running(errors, &path, container, surrounding.spec);
        let policy = container.get("restartPolicy");
        present_one_of(errors, &path.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]);
    }
    host_port_conflicts(errors, path, containers.iter().enumerate());
}

fn init(errors: &mut Errors, path: &Path, surrounding: &Surrounding<'_>) {
    let regular = list(surrounding.spec, "/containers");
    let mut names: BTreeSet<_> = regular.iter().map(|container| text(container, "/name")).collect();
    for (index, container) in list(surrounding.spec, "/initContainers").iter().enumerate() {
        let list_path = path;
        let path = path.index(index);
        any(errors, &path, container, surrounding);
        let policy = container.get("restartPolicy");
        present_one_of(errors, &path.child("restartPolicy"), policy, &["Always", "Never", "OnFailure"]);
        let name = text(container, "/name");
        if !name.is_empty() && !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        host_port_conflicts(errors, list_path, std::iter::once((index, container)));
        if policy.is_some_and(|policy| policy == "Always") {
            long_running(errors, &path, container, surrounding.spec);
            continue;
        }
        for member in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(member).is_some_and(|value| !value.is_null()) {
                let detail = "may not be set for init containers without restartPolicy=Always";
                errors.push(Error::forbidden(&path.child(member), detail));
            }
        }
    }
}

/// Members that an ephemeral container cannot have: it must not become part of how the pod works.
const NOT_EPHEMERAL: [&str; 8] = [
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
];

fn ephemeral(errors: &mut Errors, path: &Path, surrounding: &Surrounding<'_>) {
    let others = list(surrounding.spec, "/containers").iter().chain(list(surrounding.spec, "/initContainers"));
    let others: BTreeSet<_> = others.map(|container| text(container, "/name")).collect();
    let mut names = others.clone();
    for (index, container) in list(surrounding.spec, "/ephemeralContainers").iter().enumerate() {
        let path = path.index(index);
        any(errors, &path, container, surrounding);
        let name = text(container, "/name");
        if !names.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), &name.into()));
        }
        let target = text(container, "/targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&path.child("targetContainerName"), &target.into()));
        }
        for member in NOT_EPHEMERAL {
            let value = container.get(member).unwrap_or(&Value::Null);
            let empty = match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            };
            if !empty {
                errors.push(Error::forbidden(&path.child(member), "cannot be set for an Ephemeral Container"));
            }
        }
        for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
            for member in ["subPath", "subPathExpr"] {
                if mount.get(member).and_then(Value::as_str).is_some_and(|value| !value.is_empty()) {
                    let path = path.child("volumeMounts").index(index).child(member);
                    errors.push(Error::forbidden(&path, "cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
}

/// What every container must fulfil.
fn any(errors: &mut Errors, path: &Path, container: &Value, surrounding: &Surrounding<'_>) {
    required_name(errors, &path.child("name"), text(container, "/name"), names::dns1123_label_errors);
    let image = text(container, "/image");
    if image.is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    } else if surrounding.place == Place::Pod && image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(Error::invalid(&path.child("image"), &image.into(), detail));
    }
    let policy = text(container, "/terminationMessagePolicy");
    one_of(errors, &path.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(errors, &path.child("ports"), container);
    environment(errors, path, container);
    mounts(errors, &path.child("volumeMounts"), container, surrounding.volumes);
    devices(errors, &path.child("volumeDevices"), container, surrounding.volumes);
    let policy = text(container, "/imagePullPolicy");
    one_of(errors, &path.child("imagePullPolicy"), policy, &["Always", "IfNotPresent", "Never"]);
    resources::validate(errors, &path.child("resources"), container, &surrounding.claims);
    resize_policy(errors, &path.child("resizePolicy"), container, surrounding.spec);
    security_context::validate_container(errors, &path.child("securityContext"), container);
}

/// How a container takes a change of its resources.
fn resize_policy(errors: &mut Errors, path: &Path, container: &Value, spec: &Value) {
    let mut seen = BTreeSet::new();
    for (index, policy) in list(container, "/resizePolicy").iter().enumerate() {
        let (resource, restart) = (text(policy, "/resourceName"), text(policy, "/restartPolicy"));
        if !seen.insert(resource) {
            errors.push(Error::duplicate(&path.index(index), &resource.into()));
        }
        one_of(errors, path, resource, &["cpu", "memory"]);
        one_of(errors, path, restart, &["NotRequired", "RestartContainer"]);
        if text(spec, "/restartPolicy") == "Never" && restart != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(Error::invalid(path, &restart.into(), detail));
        }
    }
}

fn ports(errors: &mut Errors, path: &Path, container: &Value) {
    let mut names = BTreeSet::new();
    for (index, exposed) in list(container, "/ports").iter().enumerate() {
        let path = path.index(index);
        let name = text(exposed, "/name");
        if !name.is_empty() {
            let found = port_name_errors(name);
            if found.is_empty() && !names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), &name.into()));
            }
            invalid(errors, &path.child("name"), &name.into(), found);
        }
        match integer(exposed, "/containerPort") {
            0 => errors.push(Error::required(&path.child("containerPort"), "")),
            number => port_number(errors, &path.child("containerPort"), number),
        }
        match integer(exposed, "/hostPort") {
            0 => {}
            number => port_number(errors, &path.child("hostPort"), number),
        }
        one_of(errors, &path.child("protocol"), text(exposed, "/protocol"), &PROTOCOLS);
    }
}

fn host_port_conflicts<'a>(errors: &mut Errors, path: &Path, containers: impl Iterator<Item = (usize, &'a Value)>) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers {
        for (port_index, port) in list(container, "/ports").iter().enumerate() {
            let number = integer(port, "/hostPort");
            let key = format!("{}/{}/{number}", text(port, "/protocol"), text(port, "/hostIP"));
            if number != 0 && !taken.insert(key.clone()) {
                let path = path.index(index).child("ports").index(port_index).child("hostPort");
                errors.push(Error::duplicate(&path, &key.into()));
            }
        }
    }
}

fn environment(errors: &mut Errors, path: &Path, container: &Value) {
    for (index, variable) in list(container, "/env").iter().enumerate() {
        let path = path.child("env").index(index);
        required_name(errors, &path.child("name"), text(variable, "/name"), variable_name_errors);
        if has(variable, "/valueFrom") {
            value_source(errors, &path.child("valueFrom"), variable);
        }
    }
    let list_path = path.child("envFrom");
    for (index, source) in list(container, "/envFrom").iter().enumerate() {
        let path = list_path.index(index);
        let prefix = text(source, "/prefix");
        if !prefix.is_empty() {
            invalid(errors, &path.child("prefix"), &prefix.into(), variable_name_errors(prefix));
        }
        let mut sources = 0;
        for member in ["configMapRef", "secretRef"] {
            if source.get(member).is_some_and(|value| !value.is_null()) {
                sources += 1;
                let name = text(source, &format!("/{member}/name"));
                required_name(errors, &path.child(member).child("name"), name, names::dns1123_subdomain_errors);
            }
        }
        let detail = match sources {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        errors.push(Error::invalid(&list_path, &"".into(), detail));
    }
}

/// Fields of the pod that a variable can show.
const SHOWN_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Resources of the container that a variable can show.
const SHOWN_RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

fn value_source(errors: &mut Errors, path: &Path, variable: &Value) {
    let mut sources = 0;
    if has(variable, "/valueFrom/fieldRef") {
        sources += 1;
        let field = text(variable, "/valueFrom/fieldRef/fieldPath");
        field_reference(errors, &path.child("fieldRef"), field, &SHOWN_FIELDS);
    }
    if has(variable, "/valueFrom/resourceFieldRef") {
        sources += 1;
        let resource = text(variable, "/valueFrom/resourceFieldRef/resource");
        resource_reference(errors, &path.child("resourceFieldRef"), resource);
    }
    for member in ["configMapKeyRef", "secretKeyRef"] {
        if has(variable, &format!("/valueFrom/{member}")) {
            sources += 1;
            let path = path.child(member);
            let name = text(variable, &format!("/valueFrom/{member}/name"));
            invalid(errors, &path.child("name"), &name.into(), names::dns1123_subdomain_errors(name));
            let key = text(variable, &format!("/valueFrom/{member}/key"));
            required_name(errors, &path.child("key"), key, config_key_errors);
        }
    }
    if has(variable, "/valueFrom/fileKeyRef") {
        sources += 1;
        for member in ["volumeName", "path", "key"] {
            if text(variable, &format!("/valueFrom/fileKeyRef/{member}")).is_empty() {
                errors.push(Error::required(&path.child("fileKeyRef").child(member), ""));
            }
        }
    }
    let detail = if sources == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
    } else if !text(variable, "/value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if sources > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    errors.push(Error::invalid(path, &"".into(), detail));
}

/// A field of the pod: one of a few, or one label or annotation.
pub(super) fn field_reference(errors: &mut Errors, path: &Path, field: &str, shown: &[&str]) {
    if field.is_empty() {
        return errors.push(Error::required(&path.child("fieldPath"), ""));
    }
    match field.split_once("['").and_then(|(whole, rest)| Some((whole, rest.strip_suffix("']")?))) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            invalid(errors, path, &key.as_str().into(), label::key_errors(&key));
        }
        Some(("metadata.labels", key)) => invalid(errors, path, &key.into(), label::key_errors(key)),
        Some((whole, _)) => errors.push(Error::invalid(path, &whole.into(), "does not support subscript")),
        None if shown.contains(&field) => {}
        None if known_field(field) => {
            errors.push(Error::not_supported(&path.child("fieldPath"), &field.into(), shown));
        }
        None => {
            let detail = format!("error converting fieldPath: field label not supported: {field}");
            errors.push(Error::invalid(&path.child("fieldPath"), &field.into(), &detail));
        }
    }
}

/// Fields of a pod that exist, though not every place can show each.
fn known_field(field: &str) -> bool {
    SHOWN_FIELDS.contains(&field)
        || matches!(field, "metadata.labels" | "metadata.annotations" | "spec.restartPolicy" | "spec.schedulerName")
        || matches!(field, "status.phase" | "status.nominatedNodeName" | "spec.hostNetwork")
}

pub(super) fn resource_reference(errors: &mut Errors, path: &Path, resource: &str) {
    let pages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else if !pages && !SHOWN_RESOURCES.contains(&resource) {
        errors.push(Error::not_supported(&path.child("resource"), &resource.into(), &SHOWN_RESOURCES));
    }
}

fn mounts(errors: &mut Errors, path: &Path, container: &Value, volumes: &BTreeMap<&str, &Value>) {
    let devices = list(container, "/volumeDevices");
    let mut places = BTreeSet::new();
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let list_path = path;
        let path = path.index(index);
        let (name, place) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        }
        if !volumes.contains_key(name) {
            errors.push(Error::not_found(&path.child("name"), &name.into()));
        }
        if place.is_empty() {
            errors.push(Error::required(&path.child("mountPath"), ""));
        }
        if !places.insert(place) {
            errors.push(Error::invalid(&path.child("mountPath"), &place.into(), "must be unique"));
        }
        if devices.iter().any(|device| text(device, "/name") == name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(Error::invalid(&path.child("name"), &name.into(), detail));
        }
        if devices.iter().any(|device| text(device, "/devicePath") == place) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&path.child("mountPath"), &place.into(), detail));
        }
        let (sub, expression) = (text(mount, "/subPath"), text(mount, "/subPathExpr"));
        descending_path(errors, &list_path.child("subPath"), sub);
        if !expression.is_empty() && !sub.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(Error::invalid(&path.child("subPathExpr"), &expression.into(), detail));
        }
        descending_path(errors, &list_path.child("subPathExpr"), expression);
        let propagation = text(mount, "/mountPropagation");
        let known = ["Bidirectional", "HostToContainer", "None"];
        present_one_of(errors, &list_path.child("mountPropagation"), mount.get("mountPropagation"), &known);
        let privileged = container.pointer("/securityContext/privileged") == Some(&Value::Bool(true));
        if propagation == "Bidirectional" && !privileged {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.push(Error::forbidden(&list_path.child("mountPropagation"), detail));
        }
    }
}

fn devices(errors: &mut Errors, path: &Path, container: &Value, volumes: &BTreeMap<&str, &Value>) {
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in list(container, "/volumeDevices").iter().enumerate() {
        let path = path.index(index);
        let (name, place) = (text(device, "/name"), text(device, "/devicePath"));
        if name.is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        } else if !names.insert(name) {
            errors.push(Error::invalid(&path.child("name"), &name.into(), "must be unique"));
        }
        match volumes.get(name) {
            None => errors.push(Error::not_found(&path.child("name"), &name.into())),
            Some(volume) if !has(volume, "/persistentVolumeClaim") && !has(volume, "/ephemeral") => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(Error::invalid(&path.child("name"), &name.into(), detail));
            }
            Some(_) => {}
        }
        if place.is_empty() {
            errors.push(Error::required(&path.child("devicePath"), ""));
        } else if !places.insert(place) {
            errors.push(Error::invalid(&path.child("devicePath"), &place.into(), "must be unique"));
        }
        let before = errors.len();
        no_backsteps(errors, &path.child("devicePath"), place);
        if errors.len() > before {
            errors.truncate(before);
            let detail = "can not contain backsteps ('..')";
            errors.push(Error::invalid(&path.child("devicePath"), &place.into(), detail));
        }
    }
}

/// Probes and hooks of a container that goes on running.
fn long_running(errors: &mut Errors, path: &Path, container: &Value, spec: &Value) {
    let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
    for hook in ["postStart", "preStop"] {
        if let Some(action) = container.get("lifecycle").and_then(|lifecycle| lifecycle.get(hook)) {
            handler(errors, &path.child("lifecycle").child(hook), action, grace);
        }
    }
    for member in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(member).filter(|probe| !probe.is_null()) else { continue };
        let path = path.child(member);
        handler(errors, &path, probe, grace);
        let counts = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
        for count in counts {
            not_negative(errors, &path, probe, count);
        }
        let own_grace = probe.get("terminationGracePeriodSeconds").filter(|value| !value.is_null());
        if let Some(value) = own_grace.filter(|value| value.as_i64().is_some_and(|seconds| seconds <= 0)) {
            let path = path.child("terminationGracePeriodSeconds");
            errors.push(Error::invalid(&path, value, "must be greater than 0"));
        }
        if member != "readinessProbe" {
            let threshold = integer(probe, "/successThreshold");
            if threshold != 1 {
                errors.push(Error::invalid(&path.child("successThreshold"), &threshold.into(), "must be 1"));
            }
        } else if let Some(value) = own_grace {
            let path = path.child("terminationGracePeriodSeconds");
            errors.push(Error::invalid(&path, value, "must not be set for readinessProbes"));
        }
    }
}

/// What a probe or a hook does: exactly one thing.
fn handler(errors: &mut Errors, path: &Path, action: &Value, grace: Option<i64>) {
    let mut found = 0;
    for member in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(value) = action.get(member).filter(|value| !value.is_null()) else { continue };
        let path = path.child(member);
        found += 1;
        if found > 1 {
            errors.push(Error::forbidden(&path, "may not specify more than 1 handler type"));
            continue;
        }
        let target = value.get("port").unwrap_or(&Value::Null);
        match member {
            "exec" if list(value, "/command").is_empty() => errors.push(Error::required(&path.child("command"), "")),
            "httpGet" => {
                if text(value, "/path").is_empty() {
                    errors.push(Error::required(&path.child("path"), ""));
                }
                port(errors, &path.child("port"), target);
                for header in list(value, "/httpHeaders") {
                    let name = text(header, "/name");
                    invalid(errors, &path.child("httpHeaders"), &name.into(), header_name_errors(name));
                }
                let scheme = text(value, "/scheme");
                if !["HTTP", "HTTPS"].contains(&scheme) {
                    errors.push(Error::not_supported(&path.child("scheme"), &scheme.into(), &["HTTP", "HTTPS"]));
                }
            }
            "tcpSocket" | "grpc" => port(errors, &path.child("port"), target),
            "sleep" => {
                let seconds = integer(value, "/seconds");
                if let Some(grace) = grace.filter(|grace| seconds < 0 || seconds > *grace) {
                    let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    errors.push(Error::invalid(&path, &seconds.into(), &detail));
                }
            }
            _ => {}
        }
    }
    if found == 0 {
        errors.push(Error::required(path, "must specify a handler type"));
    }
}
