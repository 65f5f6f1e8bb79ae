//! What is wrong with PersistentVolumes.

use machinery::{
    field::{Error, Path},
    meta, names,
};
use serde_json::Value;

use super::claim::STORAGE_CLASS;

use crate::builtin::formats::{csi_driver, invalid, optional_one_of, present_one_of, quantity, required_name};
use crate::builtin::go_form::{self, FALSE, Form, Member, NULL, TEXT, go_struct, pod::NODE_SELECTOR};
use crate::builtin::node_labels;
use crate::builtin::pod::{HOST_PATH_TYPES, node_selector};
use crate::builtin::pointer::{has, list, members, text, texts};
use crate::check::immutable;
use crate::format::Errors;
use crate::members::same;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
pub(super) const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// The access modes of the spec of a volume or claim.
pub(super) fn access_modes(errors: &mut Errors, path: &Path, spec: &Value, detail: &str) {
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
pub(super) fn size(errors: &mut Errors, path: &Path, value: Option<&Value>) {
    match value.and_then(quantity) {
        None => errors.push(Error::required(path, "")),
        Some((shown, amount)) if amount.sign() <= 0 => {
            errors.push(Error::invalid(path, &shown, "must be greater than zero"));
        }
        Some(_) => {}
    }
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
pub(in crate::builtin::core) fn persistent_volume(object: &Value) -> Errors {
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

/// Kinds of volumes that are going or gone: the member, as upstream names it in warnings, and since when.
const DEPRECATED_SOURCES: [(&str, &str, &str); 6] = [
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// PersistentVolume: what nobody should use any more.
pub(in crate::builtin::core) fn persistent_volume_warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, message) in [
        (STORAGE_CLASS, "deprecated since v1.8; use \"storageClassName\" attribute instead"),
        ("volume.beta.kubernetes.io/mount-options", "deprecated since v1.31; use \"mountOptions\" attribute instead"),
    ] {
        if meta::annotation(object, name).is_some() {
            warnings.push(format!("{}: {message}", Path::new("metadata").child("annotations").key(name)));
        }
    }
    let spec = Path::new("spec");
    if text(object, "/spec/persistentVolumeReclaimPolicy") == "Recycle" {
        let message = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
        warnings.push(format!("{}: {message}", spec.child("persistentVolumeReclaimPolicy")));
    }
    let terms = spec.child("nodeAffinity").child("required").child("nodeSelectorTerms");
    for (index, term) in list(object, "/spec/nodeAffinity/required/nodeSelectorTerms").iter().enumerate() {
        node_labels::term_warnings(&mut warnings, &terms.index(index), term, false);
    }
    let sources = DEPRECATED_SOURCES.iter().filter(|(member, ..)| has(object, &format!("/spec/{member}")));
    warnings.extend(sources.map(|(_, shown, message)| format!("{}: {message}", spec.child(shown))));
    warnings
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
const VOLUME_SOURCE: &[Member] = go_struct! {
    GCEPersistentDisk: NULL, AWSElasticBlockStore: NULL, HostPath: Form::Pointer(go_struct! { Path: TEXT, Type: NULL }),
    Glusterfs: NULL, NFS: Form::Pointer(go_struct! { Server: TEXT, Path: TEXT, ReadOnly: FALSE }), RBD: NULL, Quobyte: NULL,
    ISCSI: NULL, FlexVolume: NULL, Cinder: NULL, CephFS: NULL, FC: NULL, Flocker: NULL, AzureFile: NULL, VsphereVolume: NULL,
    AzureDisk: NULL, PhotonPersistentDisk: NULL, PortworxVolume: NULL, ScaleIO: NULL,
    Local: Form::Pointer(go_struct! { Path: TEXT, FSType: NULL }), StorageOS: NULL,
    CSI: Form::Pointer(go_struct! {
        Driver: TEXT, VolumeHandle: TEXT, ReadOnly: FALSE, FSType: TEXT, VolumeAttributes: NULL,
        ControllerPublishSecretRef: SECRET, NodeStageSecretRef: SECRET, NodePublishSecretRef: SECRET,
        ControllerExpandSecretRef: SECRET, NodeExpandSecretRef: SECRET,
    }),
};

const SECRET: Form = Form::Pointer(go_struct! { Name: TEXT, Namespace: TEXT });

/// Which nodes reach a volume.
const AFFINITY: &[Member] = go_struct! { Required: Form::Pointer(NODE_SELECTOR) };

/// PersistentVolume: where the data is stays.
pub(in crate::builtin::core) fn persistent_volume_change(object: &Value, old: &Value) -> Errors {
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
        let shown = affinity(object).map_or("null".to_owned(), |affinity| go_form::shown(AFFINITY, &affinity));
        errors.push(Error::invalid_shown(&Path::new("nodeAffinity"), &shown, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::said;
    use serde_json::json;

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
}
