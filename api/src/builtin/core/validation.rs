//! What is wrong with the core group's smaller kinds.

use std::{collections::BTreeSet, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use machinery::{
    field::{Error, Path},
    json_fault::json_fault,
    label, limits, meta, names,
};
use serde_json::Value;

use crate::builtin::formats::{
    NOT_NEGATIVE, cidr_errors, config_key_errors, csi_driver, invalid, ip_errors, label_selector, one_of,
    optional_name, optional_one_of, port_number, present_one_of, quantity, required_name,
};
use crate::builtin::go_form::{self, Form, Member};
use crate::builtin::pod::{HOST_PATH_TYPES, TAINT_EFFECTS, node_selector, validate_template};
use crate::builtin::pointer::{has, integer, is_true, list, members, text, texts};
use crate::check::immutable;
use crate::format::Errors;
use crate::members::same;

/// ConfigMap: keys, and how much they hold together.
pub(super) fn config_map(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut total = 0;
    for (key, value) in members(object, "/data") {
        let path = Path::new("data").key(key);
        invalid(&mut errors, &path, &key.into(), config_key_errors(key));
        if object.pointer("/binaryData").is_some_and(|binary| binary.get(key).is_some()) {
            errors.push(Error::invalid(&path, &key.into(), "duplicate of key present in binaryData"));
        }
        total += value.as_str().map_or(0, str::len);
    }
    for (key, value) in members(object, "/binaryData") {
        invalid(&mut errors, &Path::new("binaryData").key(key), &key.into(), config_key_errors(key));
        total += decoded_length(value);
    }
    if total > limits::CONFIG_DATA_BYTES_MAX {
        errors.push(Error::too_long(&Path::new(""), limits::CONFIG_DATA_BYTES_MAX));
    }
    errors
}

/// How many bytes a base64 text stands for.
fn decoded_length(value: &Value) -> usize {
    value.as_str().map_or(0, |text| STANDARD.decode(text).map_or(text.len(), |bytes| bytes.len()))
}

const FROZEN: &str = "field is immutable when `immutable` is set";

/// What of a ConfigMap or Secret that says so never changes.
pub(super) fn frozen(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    if !is_true(old, "/immutable") {
        return errors;
    }
    if !is_true(object, "/immutable") {
        errors.push(Error::forbidden(&Path::new("immutable"), FROZEN));
    }
    for member in ["data", "binaryData"] {
        if !same(object.get(member), old.get(member)) {
            errors.push(Error::forbidden(&Path::new(member), FROZEN));
        }
    }
    errors
}

/// Secret: keys, size, and what its type demands.
pub(super) fn secret(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let data = Path::new("data");
    let mut total = 0;
    for (key, value) in members(object, "/data") {
        invalid(&mut errors, &data.key(key), &key.into(), config_key_errors(key));
        total += decoded_length(value);
    }
    if total > limits::CONFIG_DATA_BYTES_MAX {
        errors.push(Error::too_long(&data, limits::CONFIG_DATA_BYTES_MAX));
    }
    let has_key = |key: &str| object.pointer("/data").is_some_and(|data| data.get(key).is_some());
    let mut demand = |keys: &[&str]| {
        for key in keys.iter().filter(|key| !has_key(key)) {
            errors.push(Error::required(&data.key(key), ""));
        }
    };
    match text(object, "/type") {
        "kubernetes.io/service-account-token" => {
            let annotation = "kubernetes.io/service-account.name";
            if meta::annotation(object, annotation).unwrap_or_default().is_empty() {
                errors.push(Error::required(&Path::new("metadata").child("annotations").key(annotation), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker_configuration(&mut errors, &data, object, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker_configuration(&mut errors, &data, object, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has_key("username") && !has_key("password") => demand(&["username", "password"]),
        "kubernetes.io/ssh-auth" if text(object, "/data/ssh-privatekey").is_empty() => {
            errors.push(Error::required(&data.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => demand(&["tls.crt", "tls.key"]),
        _ => {}
    }
    errors
}

fn docker_configuration(errors: &mut Errors, data: &Path, object: &Value, key: &str) {
    let Some(value) = object.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str) else {
        return errors.push(Error::required(&data.key(key), ""));
    };
    let bytes = STANDARD.decode(value).unwrap_or_default();
    if let Some(detail) = not_an_object(&bytes) {
        errors.push(Error::invalid(&data.key(key), &"<secret contents redacted>".into(), &detail));
    }
}

/// Why bytes are no JSON object, as Go says it.
fn not_an_object(bytes: &[u8]) -> Option<String> {
    if let Some(fault) = json_fault(bytes) {
        return Some(fault);
    }
    let kind = match serde_json::from_slice::<Value>(bytes).ok()? {
        Value::Object(_) | Value::Null => return None,
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
    };
    Some(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
}

/// Secret: the type stays.
pub(super) fn secret_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    immutable(&mut errors, &Path::new("type"), object.get("type"), old.get("type"));
    errors.extend(frozen(object, old));
    errors
}

/// PodTemplate.
pub(super) fn pod_template(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_template(&mut errors, &Path::new("template"), object.get("template").unwrap_or(&Value::Null));
    errors
}

/// Namespace: names of finalizers.
pub(super) fn namespace(object: &Value) -> Errors {
    let mut errors = Vec::new();
    for finalizer in texts(object, "/spec/finalizers") {
        let path = Path::new("spec").child("finalizers");
        invalid(&mut errors, &path, &finalizer.into(), label::key_errors(finalizer));
        if !finalizer.contains('/') && finalizer != "kubernetes" {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path, &finalizer.into(), detail));
        }
    }
    errors
}

/// Namespace: a phase that goes with whether it is being deleted. The capital is upstream's.
pub(super) fn namespace_status(object: &Value) -> Errors {
    let phase = text(object, "/status/phase");
    let path = Path::new("status").child("Phase");
    let (wanted, detail) = match meta::deletion_timestamp(object) {
        None => ("Active", "may only be 'Active' if `deletionTimestamp` is empty"),
        Some(_) => ("Terminating", "may only be 'Terminating' if `deletionTimestamp` is not empty"),
    };
    if phase == wanted { Vec::new() } else { vec![Error::invalid(&path, &phase.into(), detail)] }
}

/// Node: what its provider said of it stays.
pub(super) fn node_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let ranges = |node: &Value| texts(node, "/spec/podCIDRs").map(str::to_owned).collect::<Vec<_>>();
    if !ranges(old).is_empty() && ranges(object) != ranges(old) {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(Error::forbidden(&spec.child("podCIDRs"), detail));
    }
    let provider = |node: &'_ Value| text(node, "/spec/providerID").to_owned();
    if !provider(old).is_empty() && provider(object) != provider(old) {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden(&spec.child("providerID"), detail));
    }
    errors
}

/// Node: the addresses of its status, each once.
pub(super) fn node_status(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, address) in list(object, "/status/addresses").iter().enumerate() {
        let (type_, text) = (text(address, "/type"), text(address, "/address"));
        if !seen.insert((type_, text)) {
            let path = Path::new("status").child("addresses").index(index);
            let shown = format!("{{\"Type\":{},\"Address\":{}}}", Value::from(type_), Value::from(text));
            errors.push(Error::duplicate_shown(&path, &shown, ""));
        }
    }
    errors
}

/// Node: taints and addresses.
pub(super) fn node(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    let mut seen = BTreeSet::new();
    for (index, taint) in list(object, "/spec/taints").iter().enumerate() {
        // Upstream has looked for them in annotations once, and kept the path.
        let path = Path::new("metadata").child("taints").index(index);
        let (key, effect) = (text(taint, "/key"), text(taint, "/effect"));
        invalid(&mut errors, &path.child("key"), &key.into(), label::key_errors(key));
        let value = text(taint, "/value");
        let found = label::value_errors(value);
        if !found.is_empty() {
            errors.push(Error::invalid(&path.child("value"), &value.into(), &found.join(";")));
        }
        one_of(&mut errors, &path.child("effect"), effect, &TAINT_EFFECTS);
        if !seen.insert((key, effect)) {
            let added = taint.get("timeAdded").unwrap_or(&Value::Null);
            let [shown_key, shown_effect] = [key, effect].map(Value::from);
            let shown = format!(
                "{{\"Key\":{shown_key},\"Value\":{},\"Effect\":{shown_effect},\"TimeAdded\":{added}}}",
                Value::from(value)
            );
            errors.push(Error::duplicate_shown(&path, &shown, "taints must be unique by key and effect pair"));
        }
    }
    for (index, cidr) in texts(object, "/spec/podCIDRs").enumerate() {
        invalid(&mut errors, &spec.child("podCIDRs").index(index), &cidr.into(), cidr_errors(cidr));
    }
    let families: Vec<bool> = texts(object, "/spec/podCIDRs").map(|cidr| cidr.contains(':')).collect();
    if families.len() > 2 || families[..] == [true, true] || families[..] == [false, false] {
        let all: Value = list(object, "/spec/podCIDRs").to_vec().into();
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(&spec.child("podCIDRs"), &all, detail));
    }
    for member in ["capacity", "allocatable"] {
        for (resource, value) in members(object, &format!("/status/{member}")) {
            let path = Path::new("status").child(member).key(resource);
            not_below_zero(&mut errors, &path, value);
        }
    }
    errors
}

fn not_below_zero(errors: &mut Errors, path: &Path, value: &Value) {
    if let Some((shown, amount)) = quantity(value)
        && amount.sign() < 0
    {
        errors.push(Error::invalid(path, &shown, NOT_NEGATIVE));
    }
}

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// The access modes of the spec of a volume or claim.
fn access_modes(errors: &mut Errors, path: &Path, spec: &Value, detail: &str) {
    let modes: Vec<_> = texts(spec, "/accessModes").collect();
    if modes.is_empty() {
        errors.push(Error::required(path, detail));
    }
    for mode in list(spec, "/accessModes") {
        present_one_of(errors, path, Some(mode), &ACCESS_MODES);
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        errors.push(Error::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

/// A size that is there and above zero.
fn size(errors: &mut Errors, path: &Path, value: Option<&Value>) {
    match value.and_then(quantity) {
        None => errors.push(Error::required(path, "")),
        Some((shown, amount)) if amount.sign() <= 0 => {
            errors.push(Error::invalid(path, &shown, "must be greater than zero"));
        }
        Some(_) => {}
    }
}

/// PersistentVolumeClaim.
pub(super) fn persistent_volume_claim(object: &Value) -> Errors {
    let mut errors = Vec::new();
    claim_spec(&mut errors, &Path::new("spec"), object.get("spec").unwrap_or(&Value::Null));
    errors
}

/// What a claim asks for, in a PersistentVolumeClaim or in the template of one.
pub(in crate::builtin) fn claim_spec(errors: &mut Errors, path: &Path, spec: &Value) {
    access_modes(errors, &path.child("accessModes"), spec, "at least 1 access mode is required");
    if let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) {
        label_selector(errors, &path.child("selector"), selector);
    }
    let storage = path.child("resources").key("storage");
    match spec.pointer("/resources/requests/storage") {
        None => errors.push(Error::required(&storage, "")),
        some => size(errors, &storage, some),
    }
    for member in ["storageClassName", "volumeAttributesClassName"] {
        let name = text(spec, &format!("/{member}"));
        if !name.is_empty() {
            invalid(errors, &path.child(member), &name.into(), names::dns1123_subdomain_errors(name));
        }
    }
    present_one_of(errors, &path.child("volumeMode"), spec.get("volumeMode"), &VOLUME_MODES);
    for member in ["dataSource", "dataSourceRef"] {
        if let Some(source) = spec.get(member).filter(|source| !source.is_null()) {
            data_source(errors, &path.child(member), source);
        }
    }
}

/// Where the data of a claim comes from.
fn data_source(errors: &mut Errors, path: &Path, source: &Value) {
    for member in ["name", "kind"] {
        if text(source, &format!("/{member}")).is_empty() {
            errors.push(Error::required(&path.child(member), ""));
        }
    }
    let (group, kind) = (text(source, "/apiGroup"), text(source, "/kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, &kind.into(), detail));
    }
    if !group.is_empty() {
        invalid(errors, &path.child("apiGroup"), &group.into(), names::dns1123_subdomain_errors(group));
    }
}

/// A LabelSelector in Go.
const SELECTOR: &[Member] = &[
    ("matchLabels", "matchLabels", Form::Optional),
    (
        "matchExpressions",
        "matchExpressions",
        Form::OptionalList(&[
            ("key", "key", Form::Plain("\"\"")),
            ("operator", "operator", Form::Plain("\"\"")),
            ("values", "values", Form::Optional),
        ]),
    ),
];

/// The spec of a claim in Go.
const CLAIM_SPEC: &[Member] = &[
    ("AccessModes", "accessModes", Form::Plain("null")),
    ("Selector", "selector", Form::Pointer(SELECTOR)),
    (
        "Resources",
        "resources",
        Form::Struct(&[("Limits", "limits", Form::Plain("null")), ("Requests", "requests", Form::Plain("null"))]),
    ),
    ("VolumeName", "volumeName", Form::Plain("\"\"")),
    ("StorageClassName", "storageClassName", Form::Plain("null")),
    ("VolumeMode", "volumeMode", Form::Plain("null")),
    (
        "DataSource",
        "dataSource",
        Form::Pointer(&[
            ("APIGroup", "apiGroup", Form::Plain("null")),
            ("Kind", "kind", Form::Plain("\"\"")),
            ("Name", "name", Form::Plain("\"\"")),
        ]),
    ),
    (
        "DataSourceRef",
        "dataSourceRef",
        Form::Pointer(&[
            ("APIGroup", "apiGroup", Form::Plain("null")),
            ("Kind", "kind", Form::Plain("\"\"")),
            ("Name", "name", Form::Plain("\"\"")),
            ("Namespace", "namespace", Form::Plain("null")),
        ]),
    ),
    ("VolumeAttributesClassName", "volumeAttributesClassName", Form::Plain("null")),
];

/// PersistentVolumeClaim: a bound claim may ask for more, and an unbound one may be bound.
pub(super) fn persistent_volume_claim_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut allowed = object.clone();
    let bound = text(object, "/status/phase") == "Bound";
    let mut take = |from: &str, member: &str| {
        let was = old.pointer(from).and_then(|parent| parent.get(member)).cloned();
        if let Some(parent) = allowed.pointer_mut(from).and_then(Value::as_object_mut) {
            match was {
                Some(was) => drop(parent.insert(member.to_owned(), was)),
                None => drop(parent.remove(member)),
            }
        }
    };
    if text(old, "/spec/volumeName").is_empty() {
        take("/spec", "volumeName");
    }
    if !has(old, "/spec/storageClassName") {
        take("/spec", "storageClassName");
    }
    if bound {
        take("/spec/resources/requests", "storage");
        take("/spec", "volumeAttributesClassName");
    }
    if !same(allowed.get("spec"), old.get("spec")) {
        let detail =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let empty = Value::Null;
        let [was, is] = [old, &allowed].map(|claim| claim.get("spec").unwrap_or(&empty));
        let changes = go_form::changes(CLAIM_SPEC, was, is);
        errors.push(Error::forbidden(&Path::new("spec"), &format!("{detail}\n{changes}")));
    }
    let amount = |object: &Value, pointer: &str| object.pointer(pointer).and_then(quantity).map(|(_, amount)| amount);
    let requested = "/spec/resources/requests/storage";
    let new = amount(object, requested).unwrap_or_default();
    if let Some(was) = amount(old, requested)
        && new.sub(&was).sign() < 0
    {
        let there = amount(old, "/status/capacity/storage");
        if there.is_none_or(|there| new.sub(&there).sign() <= 0) {
            let path = Path::new("spec").child("resources").child("requests").child("storage");
            errors.push(Error::forbidden(&path, "field can not be less than status.capacity"));
        }
    }
    let mode = |claim: &'_ Value| claim.pointer("/spec/volumeMode").cloned();
    immutable(&mut errors, &Path::new("volumeMode"), mode(object).as_ref(), mode(old).as_ref());
    errors
}

/// Members of a PersistentVolume's spec that are not its source.
const NOT_SOURCES: [&str; 9] = [
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];

/// The one source of a volume, with its name.
fn sources(object: &Value) -> Vec<(&str, &Value)> {
    let spec = members(object, "/spec");
    spec.filter(|(member, value)| !NOT_SOURCES.contains(member) && !value.is_null()).collect()
}

/// PersistentVolume.
pub(super) fn persistent_volume(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = Path::new("spec");
    access_modes(&mut errors, &spec.child("accessModes"), object.get("spec").unwrap_or(&Value::Null), "");
    if members(object, "/spec/capacity").next().is_none() {
        errors.push(Error::required(&spec.child("capacity"), ""));
    }
    if !has(object, "/spec/capacity/storage") || members(object, "/spec/capacity").count() > 1 {
        let capacity = object.pointer("/spec/capacity").cloned().unwrap_or_default();
        errors.push(Error::not_supported(&spec.child("capacity"), &capacity, &["storage"]));
    } else {
        size(&mut errors, &spec.child("capacity").key("storage"), object.pointer("/spec/capacity/storage"));
    }
    let policies = ["Delete", "Recycle", "Retain"];
    let policy = text(object, "/spec/persistentVolumeReclaimPolicy");
    optional_one_of(&mut errors, &spec.child("persistentVolumeReclaimPolicy"), policy, &policies);
    if has(object, "/spec/nodeAffinity") {
        let path = spec.child("nodeAffinity").child("required");
        match object.pointer("/spec/nodeAffinity/required").filter(|selector| !selector.is_null()) {
            Some(selector) => node_selector(&mut errors, &path, selector),
            None => errors.push(Error::required(&path, "must specify required node constraints")),
        }
    }
    match sources(object)[..] {
        [] => errors.push(Error::required(&spec, "must specify a volume type")),
        [(kind, source)] => {
            if matches!(kind, "hostPath" | "local") {
                let path = spec.child(kind).child("path");
                match text(source, "/path") {
                    "" => errors.push(Error::required(&path, "")),
                    place => crate::builtin::formats::no_backsteps(&mut errors, &path, place),
                }
            }
            if kind == "hostPath" {
                present_one_of(&mut errors, &spec.child(kind).child("type"), source.get("type"), &HOST_PATH_TYPES);
            }
            if kind == "csi" {
                csi_volume(&mut errors, &spec.child(kind), source);
            }
            if kind == "local" && !has(object, "/spec/nodeAffinity") {
                errors.push(Error::required(
                    &Path::new("metadata").child("annotations"),
                    "Local volume requires node affinity",
                ));
            }
        }
        [_, (second, _), ..] => {
            errors.push(Error::forbidden(&spec.child(second), "may not specify more than 1 volume type"));
        }
    }
    let class = text(object, "/spec/storageClassName");
    if !class.is_empty() {
        invalid(&mut errors, &spec.child("storageClassName"), &class.into(), names::dns1123_subdomain_errors(class));
    }
    let mode = object.pointer("/spec/volumeMode");
    present_one_of(&mut errors, &spec.child("volumeMode"), mode, &VOLUME_MODES);
    errors
}

/// A volume that a CSI driver has made.
fn csi_volume(errors: &mut Errors, path: &Path, source: &Value) {
    csi_driver(errors, &path.child("driver"), text(source, "/driver"));
    if text(source, "/volumeHandle").is_empty() {
        errors.push(Error::required(&path.child("volumeHandle"), ""));
    }
    let references =
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"];
    for member in references.into_iter().filter(|member| has(source, &format!("/{member}"))) {
        let path = path.child(member);
        let part = |part: &str| text(source, &format!("/{member}/{part}"));
        required_name(errors, &path.child("name"), part("name"), names::dns1123_subdomain_errors);
        required_name(errors, &path.child("namespace"), part("namespace"), names::dns1123_label_errors);
    }
}

/// The source of a volume in Go, with the members of those that people write by hand; the others are shown as they are.
const VOLUME_SOURCE: &[Member] = &[
    ("GCEPersistentDisk", "gcePersistentDisk", Form::Plain("null")),
    ("AWSElasticBlockStore", "awsElasticBlockStore", Form::Plain("null")),
    (
        "HostPath",
        "hostPath",
        Form::Pointer(&[("Path", "path", Form::Plain("\"\"")), ("Type", "type", Form::Plain("null"))]),
    ),
    ("Glusterfs", "glusterfs", Form::Plain("null")),
    (
        "NFS",
        "nfs",
        Form::Pointer(&[
            ("Server", "server", Form::Plain("\"\"")),
            ("Path", "path", Form::Plain("\"\"")),
            ("ReadOnly", "readOnly", Form::Plain("false")),
        ]),
    ),
    ("RBD", "rbd", Form::Plain("null")),
    ("Quobyte", "quobyte", Form::Plain("null")),
    ("ISCSI", "iscsi", Form::Plain("null")),
    ("FlexVolume", "flexVolume", Form::Plain("null")),
    ("Cinder", "cinder", Form::Plain("null")),
    ("CephFS", "cephfs", Form::Plain("null")),
    ("FC", "fc", Form::Plain("null")),
    ("Flocker", "flocker", Form::Plain("null")),
    ("AzureFile", "azureFile", Form::Plain("null")),
    ("VsphereVolume", "vsphereVolume", Form::Plain("null")),
    ("AzureDisk", "azureDisk", Form::Plain("null")),
    ("PhotonPersistentDisk", "photonPersistentDisk", Form::Plain("null")),
    ("PortworxVolume", "portworxVolume", Form::Plain("null")),
    ("ScaleIO", "scaleIO", Form::Plain("null")),
    (
        "Local",
        "local",
        Form::Pointer(&[("Path", "path", Form::Plain("\"\"")), ("FSType", "fsType", Form::Plain("null"))]),
    ),
    ("StorageOS", "storageos", Form::Plain("null")),
    (
        "CSI",
        "csi",
        Form::Pointer(&[
            ("Driver", "driver", Form::Plain("\"\"")),
            ("VolumeHandle", "volumeHandle", Form::Plain("\"\"")),
            ("ReadOnly", "readOnly", Form::Plain("false")),
            ("FSType", "fsType", Form::Plain("\"\"")),
            ("VolumeAttributes", "volumeAttributes", Form::Plain("null")),
            ("ControllerPublishSecretRef", "controllerPublishSecretRef", Form::Pointer(SECRET_REFERENCE)),
            ("NodeStageSecretRef", "nodeStageSecretRef", Form::Pointer(SECRET_REFERENCE)),
            ("NodePublishSecretRef", "nodePublishSecretRef", Form::Pointer(SECRET_REFERENCE)),
            ("ControllerExpandSecretRef", "controllerExpandSecretRef", Form::Pointer(SECRET_REFERENCE)),
            ("NodeExpandSecretRef", "nodeExpandSecretRef", Form::Pointer(SECRET_REFERENCE)),
        ]),
    ),
];

const SECRET_REFERENCE: &[Member] =
    &[("Name", "name", Form::Plain("\"\"")), ("Namespace", "namespace", Form::Plain("\"\""))];

/// PersistentVolume: where the data is stays.
pub(super) fn persistent_volume_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let source = |object: &Value| {
        Value::Object(sources(object).into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect())
    };
    if !same(Some(&source(object)), Some(&source(old))) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        let changes = go_form::changes(VOLUME_SOURCE, &source(old), &source(object));
        let path = Path::new("spec").child("persistentvolumesource");
        errors.push(Error::forbidden(&path, &format!("{detail}\n{changes}")));
    }
    let mode = |object: &'_ Value| object.pointer("/spec/volumeMode").cloned();
    immutable(&mut errors, &Path::new("volumeMode"), mode(object).as_ref(), mode(old).as_ref());
    let affinity = |object: &Value| object.pointer("/spec/nodeAffinity").filter(|found| !found.is_null()).cloned();
    if affinity(old).is_some_and(|was| affinity(object) != Some(was)) {
        let detail = "field is immutable, except for updating from beta label to GA";
        let shown = affinity(object).map_or("null".to_owned(), |affinity| shown_affinity(&affinity));
        errors.push(Error::invalid_shown(&Path::new("nodeAffinity"), &shown, detail));
    }
    errors
}

/// Which nodes reach a volume, as upstream's internal type, whose members begin with capitals.
fn shown_affinity(affinity: &Value) -> String {
    let requirement = |requirement: &Value| {
        let [key, operator] = ["/key", "/operator"].map(|member| Value::from(text(requirement, member)));
        let values = requirement.get("values").unwrap_or(&Value::Null);
        format!("{{\"Key\":{key},\"Operator\":{operator},\"Values\":{values}}}")
    };
    let all = |term: &Value, member: &str| match term.get(member).and_then(Value::as_array) {
        None => "null".to_owned(),
        Some(list) => format!("[{}]", list.iter().map(requirement).collect::<Vec<_>>().join(",")),
    };
    let term = |term: &Value| {
        let (labels, fields) = (all(term, "matchExpressions"), all(term, "matchFields"));
        format!("{{\"MatchExpressions\":{labels},\"MatchFields\":{fields}}}")
    };
    let required = affinity.get("required").filter(|required| !required.is_null()).map(|required| {
        let terms: Vec<_> = list(required, "/nodeSelectorTerms").iter().map(term).collect();
        format!("{{\"NodeSelectorTerms\":[{}]}}", terms.join(","))
    });
    format!("{{\"Required\":{}}}", required.as_deref().unwrap_or("null"))
}

/// ResourceQuota: amounts are not negative, scopes are known.
pub(super) fn resource_quota(object: &Value) -> Errors {
    let mut errors = Vec::new();
    for (resource, value) in members(object, "/spec/hard") {
        let path = Path::new("spec").child("hard").key(resource);
        invalid(&mut errors, &path, &resource.into(), label::key_errors(resource));
        if !resource.contains('/') && !is_quota_name(resource) {
            let detail = "must be a standard resource type or fully qualified";
            errors.push(Error::invalid(&path, &resource.into(), detail));
            errors.push(Error::invalid(&path, &resource.into(), "must be a standard resource for quota"));
        }
        not_below_zero(&mut errors, &path, value);
        if let Some((shown, amount)) = quantity(value)
            && is_count(resource)
            && !amount.is_integer()
        {
            errors.push(Error::invalid(&path, &shown, "must be an integer"));
        }
    }
    quota_scopes(&mut errors, object);
    errors
}

/// Names without a domain that a quota may bound.
fn is_quota_name(resource: &str) -> bool {
    let measured = resource.strip_prefix("requests.").or_else(|| resource.strip_prefix("limits.")).unwrap_or(resource);
    is_count(resource)
        || matches!(measured, "cpu" | "memory" | "ephemeral-storage")
        || resource == "requests.storage"
        || measured.starts_with("hugepages-")
}

/// Resources that are counted, not measured.
fn is_count(resource: &str) -> bool {
    resource.starts_with("count/")
        || matches!(
            resource,
            "pods"
                | "services"
                | "secrets"
                | "configmaps"
                | "persistentvolumeclaims"
                | "replicationcontrollers"
                | "resourcequotas"
                | "services.nodeports"
                | "services.loadbalancers"
        )
}

const QUOTA_SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// Whether a quota with that scope can bound that resource. What is no name of a quota's own is not looked at.
fn fits_scope(resource: &str, scope: &str) -> bool {
    if !is_quota_name(resource) || resource.starts_with("count/") || resource.contains("hugepages-") {
        return true;
    }
    let measured = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            resource == "pods" || measured.contains(&resource)
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

/// The scopes of a quota: known ones, that go with what it bounds and with each other.
fn quota_scopes(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec").child("scopes");
    let all: Value = list(object, "/spec/scopes").to_vec().into();
    for scope in texts(object, "/spec/scopes") {
        if !QUOTA_SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path, &all, "unsupported scope"));
        }
        if members(object, "/spec/hard").any(|(resource, _)| !fits_scope(resource, scope)) {
            errors.push(Error::invalid(&path, &all, "unsupported scope applied to resource"));
        }
    }
    let scopes = || texts(object, "/spec/scopes");
    conflicting_scopes(errors, &path, &all, &scopes().collect());
    let path = Path::new("spec").child("scopeSelector").child("matchExpressions");
    let expressions = list(object, "/spec/scopeSelector/matchExpressions");
    let shown = shown_scope_selector(expressions);
    for expression in expressions {
        let (scope, operator) = (text(expression, "/scopeName"), text(expression, "/operator"));
        if !QUOTA_SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path.child("scopeName"), &scope.into(), "unsupported scope"));
        }
        if members(object, "/spec/hard").any(|(resource, _)| !fits_scope(resource, scope)) {
            errors.push(Error::invalid_shown(&path, &shown, "unsupported scope applied to resource"));
        }
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass")
            && QUOTA_SCOPES.contains(&scope)
            && operator != "Exists"
        {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                          ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                          ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(Error::invalid(&path.child("operator"), &operator.into(), detail));
        }
        let values = list(expression, "/values");
        match operator {
            "In" | "NotIn" if values.is_empty() => errors.push(Error::required(
                &path.child("values"),
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(Error::invalid(
                &path.child("values"),
                &values.to_vec().into(),
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(Error::invalid(&path.child("operator"), &other.into(), "not a valid selector operator"))
            }
        }
    }
    let selected = expressions.iter().map(|expression| text(expression, "/scopeName")).collect();
    conflicting_scopes(
        errors,
        &path,
        if list(object, "/spec/scopes").is_empty() { &Value::Null } else { &all },
        &selected,
    );
}

fn conflicting_scopes(errors: &mut Errors, path: &Path, shown: &Value, scopes: &BTreeSet<&str>) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.push(Error::invalid(path, shown, "conflicting scopes"));
        }
    }
}

/// A scope selector as upstream's internal type, whose members begin with capitals.
fn shown_scope_selector(expressions: &[Value]) -> String {
    let one = |expression: &Value| {
        let [scope, operator] = ["/scopeName", "/operator"].map(|member| Value::from(text(expression, member)));
        let values = expression.get("values").unwrap_or(&Value::Null);
        format!("{{\"ScopeName\":{scope},\"Operator\":{operator},\"Values\":{values}}}")
    };
    format!("{{\"MatchExpressions\":[{}]}}", expressions.iter().map(one).collect::<Vec<_>>().join(","))
}

/// ResourceQuota: scopes stay.
pub(super) fn resource_quota_change(object: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let set = |object: &Value| texts(object, "/spec/scopes").map(str::to_owned).collect::<BTreeSet<_>>();
    if set(object) != set(old) {
        let all: Value = list(object, "/spec/scopes").to_vec().into();
        errors.push(Error::invalid(&Path::new("spec").child("scopes"), &all, "field is immutable"));
    }
    errors
}

/// Endpoints: addresses that can be reached, and ports that can be told apart.
pub(super) fn endpoints(object: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, subset) in list(object, "/subsets").iter().enumerate() {
        let path = Path::new("subsets").index(index);
        if list(subset, "/addresses").is_empty() && list(subset, "/notReadyAddresses").is_empty() {
            errors.push(Error::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for member in ["addresses", "notReadyAddresses"] {
            for (index, address) in list(subset, &format!("/{member}")).iter().enumerate() {
                endpoint_address(&mut errors, &path.child(member).index(index), address);
            }
        }
        let ports = list(subset, "/ports");
        for (index, exposed) in ports.iter().enumerate() {
            let path = path.child("ports").index(index);
            match text(exposed, "/name") {
                "" if ports.len() > 1 => errors.push(Error::required(&path.child("name"), "")),
                name => optional_name(&mut errors, &path.child("name"), name, names::dns1123_label_errors),
            }
            port_number(&mut errors, &path.child("port"), integer(exposed, "/port"));
            one_of(&mut errors, &path.child("protocol"), text(exposed, "/protocol"), &["SCTP", "TCP", "UDP"]);
            if let Some(protocol) = exposed.get("appProtocol").and_then(Value::as_str) {
                invalid(&mut errors, &path.child("appProtocol"), &protocol.into(), label::key_errors(protocol));
            }
        }
    }
    errors
}

fn endpoint_address(errors: &mut Errors, path: &Path, address: &Value) {
    let ip = text(address, "/ip");
    invalid(errors, &path.child("ip"), &ip.into(), ip_errors(ip));
    optional_name(errors, &path.child("hostname"), text(address, "/hostname"), names::dns1123_label_errors);
    if let Some(node) = address.get("nodeName").and_then(Value::as_str) {
        invalid(errors, &path.child("nodeName"), &node.into(), names::dns1123_subdomain_errors(node));
    }
    invalid(errors, &path.child("ip"), &ip.into(), endpoint_ip_errors(ip));
}

/// Why nothing can be reached at an address.
pub(in crate::builtin) fn endpoint_ip_errors(text: &str) -> Vec<String> {
    let Ok(ip) = text.parse::<IpAddr>() else { return vec!["must be a valid IP address".to_owned()] };
    let link_local_unicast = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let link_local_multicast = match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    };
    let faults = [
        (ip.is_unspecified(), format!("may not be unspecified ({text})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local_unicast, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    faults.into_iter().filter(|(is_so, _)| *is_so).map(|(_, fault)| fault).collect()
}

/// LimitRange: the least is not above the most, and defaults lie between.
pub(super) fn limit_range(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, item) in list(object, "/spec/limits").iter().enumerate() {
        let path = Path::new("spec").child("limits").index(index);
        let type_ = text(item, "/type");
        invalid(&mut errors, &path.child("type"), &type_.into(), label::key_errors(type_));
        let standard = matches!(type_, "Pod" | "Container" | "PersistentVolumeClaim");
        if label::key_errors(type_).is_empty() && !type_.contains('/') && !standard {
            let detail = "must be a standard limit type or fully qualified";
            errors.push(Error::invalid(&path.child("type"), &type_.into(), detail));
        }
        if !seen.insert(type_) {
            errors.push(Error::duplicate(&path.child("type"), &type_.into()));
        }
        if type_ == "Pod" {
            for member in ["default", "defaultRequest"] {
                if members(item, &format!("/{member}")).next().is_some() {
                    let detail = "may not be specified when `type` is 'Pod'";
                    errors.push(Error::forbidden(&path.child(member), detail));
                }
            }
        }
        let storage = |bound: &str| has(item, &format!("/{bound}/storage"));
        if type_ == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.push(Error::required(&path.child("limits"), detail));
        }
        bounds(&mut errors, &path, item);
    }
    errors
}

/// Which amount of a LimitRange item must not be above which.
const ORDER: [(&str, &str, &str); 6] = [
    ("min", "max", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "default request value {} is greater than default limit value {}"),
    ("min", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default value {} is greater than max value {}"),
];

fn bounds(errors: &mut Errors, path: &Path, item: &Value) {
    for (low, high, words) in ORDER {
        for (resource, value) in members(item, &format!("/{low}")) {
            let other = item.get(high).and_then(|high| high.get(resource)).and_then(quantity);
            let (Some((shown, small)), Some((other_shown, large))) = (quantity(value), other) else { continue };
            if small.sub(&large).sign() > 0 {
                let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let detail = words.replacen("{}", &plain(&shown), 1).replacen("{}", &plain(&other_shown), 1);
                // The path is that of the amount which is too large, as upstream has it.
                let at = if low == "default" || low == "defaultRequest" { low } else { "min" };
                errors.push(Error::invalid(&path.child(at).key(resource), &shown, &detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(errors: &Errors) -> Vec<String> {
        errors.iter().map(Error::to_string).collect()
    }

    #[test]
    fn keys_and_sizes_are_bounded() {
        assert_eq!(config_map(&json!({"data": {"a.b": "c"}})), []);
        assert_eq!(
            said(&config_map(&json!({"data": {"..": "c"}}))),
            ["data[..]: Invalid value: \"..\": must not be '..'"]
        );
        let large = "x".repeat(limits::CONFIG_DATA_BYTES_MAX + 1);
        assert_eq!(
            config_map(&json!({"data": {"a": large}}))[0].message,
            "Too long: may not be more than 1048576 bytes"
        );
        assert_eq!(
            said(&config_map(&json!({"data": {"a": "b"}, "binaryData": {"a": "eA=="}}))),
            ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]
        );
    }

    #[test]
    fn types_of_secrets_demand_their_keys() {
        let cases = [
            (json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), vec!["data[tls.key]: Required value"]),
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            (json!({"type": "kubernetes.io/dockerconfigjson"}), vec!["data[.dockerconfigjson]: Required value"]),
            (json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}), vec![]),
            (json!({"type": "Opaque"}), vec![]),
        ];
        for (object, expected) in cases {
            assert_eq!(said(&secret(&object)), expected, "{object}");
        }
    }

    #[test]
    fn what_is_frozen_stays() {
        let old = json!({"immutable": true, "data": {"a": "b"}, "type": "Opaque"});
        let new = json!({"data": {"a": "c"}, "type": "x"});
        assert_eq!(
            said(&secret_change(&new, &old)),
            [
                "type: Invalid value: \"x\": field is immutable",
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }

    #[test]
    fn claims_may_grow_once_bound() {
        let old = json!({
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "v"},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
        });
        let mut more = old.clone();
        more["spec"]["resources"]["requests"]["storage"] = "2Gi".into();
        assert_eq!(persistent_volume_claim_change(&more, &old), []);
        assert_eq!(persistent_volume_claim(&more), []);
        let mut less = old.clone();
        less["spec"]["resources"]["requests"]["storage"] = "1Mi".into();
        assert_eq!(
            said(&persistent_volume_claim_change(&less, &old)),
            ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
        );
        let mut modes = old.clone();
        modes["spec"]["accessModes"] = json!(["ReadOnlyMany"]);
        let found = said(&persistent_volume_claim_change(&modes, &old));
        assert!(found[0].starts_with("spec: Forbidden: spec is immutable"), "{found:?}");
        assert!(found[0].contains("\n-  \"ReadWriteOnce\"\n+  \"ReadOnlyMany\"\n"), "{found:?}");
        assert_eq!(
            said(&persistent_volume_claim(&json!({}))),
            [
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value"
            ]
        );
    }

    #[test]
    fn volumes_have_one_source() {
        let volume = json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}}});
        assert_eq!(persistent_volume(&volume), []);
        let mut moved = volume.clone();
        moved["spec"]["hostPath"]["path"] = "/b".into();
        assert_eq!(
            said(&persistent_volume_change(&moved, &volume)),
            ["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n\
                 @@ -2,7 +2,7 @@\n  \"GCEPersistentDisk\": null,\n  \"AWSElasticBlockStore\": null,\n  \"HostPath\": {\n\
                 -  \"Path\": \"/a\",\n+  \"Path\": \"/b\",\n   \"Type\": null\n  },\n  \"Glusterfs\": null,\n"]
        );
        let mut none = volume;
        none["spec"].as_object_mut().expect("an object").remove("hostPath");
        assert_eq!(said(&persistent_volume(&none)), ["spec: Required value: must specify a volume type"]);
    }

    #[test]
    fn bounds_of_a_limit_range_are_in_order() {
        let range = json!({"spec": {"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}});
        assert_eq!(
            said(&limit_range(&range)),
            ["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"]
        );
    }
}
