//! What is wrong with the volumes of a pod spec.

use std::collections::BTreeMap;

use machinery::{
    field::{Error, Path},
    names,
};
use serde_json::Value;

use super::{
    containers::{field_reference, resource_reference},
    validation::Place,
};
use crate::builtin::core::claim_spec;
use crate::builtin::formats::{
    csi_driver, descending_path, invalid, no_backsteps, present_one_of, quantity_not_negative,
};
use crate::builtin::pointer::{has, list, text};
use crate::format::Errors;

/// What may be looked for at a path of the host; the empty one looks for nothing.
pub(in crate::builtin) const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Fields of the pod that a file can show.
const SHOWN_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// The volumes of a spec. Returns those about which nothing is wrong; the others count as missing for containers.
pub(super) fn validate<'a>(
    errors: &mut Errors,
    path: &Path,
    spec: &'a Value,
    place: Place,
) -> BTreeMap<&'a str, &'a Value> {
    let mut good = BTreeMap::new();
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        let path = path.index(index);
        let before = errors.len();
        source(errors, &path, volume);
        match text(volume, "/name") {
            "" => errors.push(Error::required(&path.child("name"), "")),
            name => {
                invalid(errors, &path.child("name"), &name.into(), names::dns1123_label_errors(name));
                if good.contains_key(name) {
                    errors.push(Error::duplicate(&path.child("name"), &name.into()));
                }
            }
        }
        if errors.len() == before {
            good.insert(text(volume, "/name"), volume);
        }
        if place == Place::Pod && text(spec, "/serviceAccountName").is_empty() {
            for (index, source) in list(volume, "/projected/sources").iter().enumerate() {
                if has(source, "/serviceAccountToken") {
                    let path = path.child("projected").child("sources").index(index).child("serviceAccountToken");
                    errors.push(Error::forbidden(&path, "must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
    good
}

/// A volume has exactly one source.
fn source(errors: &mut Errors, path: &Path, volume: &Value) {
    let sources =
        volume.as_object().into_iter().flatten().filter(|(member, value)| *member != "name" && !value.is_null());
    let mut found = 0;
    for (member, value) in sources {
        let path = path.child(member);
        found += 1;
        if found > 1 {
            errors.push(Error::forbidden(&path, "may not specify more than 1 volume type"));
        } else {
            one_source(errors, &path, member, value);
        }
    }
    if found == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
}

fn one_source(errors: &mut Errors, path: &Path, member: &str, value: &Value) {
    let mut required = |names: &[&str]| {
        for name in names {
            if text(value, &format!("/{name}")).is_empty() {
                errors.push(Error::required(&path.child(name), ""));
            }
        }
    };
    match member {
        "hostPath" => {
            required(&["path"]);
            no_backsteps(errors, &path.child("path"), text(value, "/path"));
            present_one_of(errors, &path.child("type"), value.get("type"), &HOST_PATH_TYPES);
        }
        "emptyDir" => {
            let limit = value.get("sizeLimit").unwrap_or(&Value::Null);
            quantity_not_negative(errors, &path.child("sizeLimit"), limit);
        }
        "secret" => {
            required(&["secretName"]);
            files(errors, path, value);
        }
        "configMap" => {
            required(&["name"]);
            files(errors, path, value);
        }
        "downwardAPI" => {
            mode(errors, &path.child("defaultMode"), value.get("defaultMode"));
            shown_files(errors, path, value);
        }
        "projected" => projected(errors, path, value),
        "persistentVolumeClaim" => required(&["claimName"]),
        "nfs" => {
            required(&["server", "path"]);
            let directory = text(value, "/path");
            if !directory.starts_with('/') {
                errors.push(Error::invalid(&path.child("path"), &directory.into(), "must be an absolute path"));
            }
        }
        "csi" => csi_driver(errors, &path.child("driver"), text(value, "/driver")),
        "image" => required(&["reference"]),
        "ephemeral" if !has(value, "/volumeClaimTemplate") => {
            errors.push(Error::required(&path.child("volumeClaimTemplate"), ""));
        }
        "ephemeral" => {
            let path = path.child("volumeClaimTemplate").child("spec");
            claim_spec(errors, &path, value.pointer("/volumeClaimTemplate/spec").unwrap_or(&Value::Null));
        }
        "iscsi" => required(&["targetPortal", "iqn"]),
        "rbd" => required(&["image"]),
        _ => {}
    }
}

fn mode(errors: &mut Errors, path: &Path, value: Option<&Value>) {
    if let Some(value) = value.filter(|value| value.as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode))) {
        errors.push(Error::invalid(path, value, MODE));
    }
}

/// The files made from keys of a ConfigMap or Secret.
fn files(errors: &mut Errors, path: &Path, source: &Value) {
    mode(errors, &path.child("defaultMode"), source.get("defaultMode"));
    for (index, item) in list(source, "/items").iter().enumerate() {
        let path = path.child("items").index(index);
        if text(item, "/key").is_empty() {
            errors.push(Error::required(&path.child("key"), ""));
        }
        file_path(errors, &path.child("path"), text(item, "/path"));
        mode(errors, &path.child("mode"), item.get("mode"));
    }
}

/// Where a file goes inside its volume.
fn file_path(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    descending_path(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") && value != ".." {
        errors.push(Error::invalid(path, &value.into(), "must not start with '..'"));
    }
}

/// The files that show what the pod knows about itself. Errors do not say which file they are about.
fn shown_files(errors: &mut Errors, path: &Path, source: &Value) {
    for item in list(source, "/items") {
        file_path(errors, &path.child("path"), text(item, "/path"));
        match (has(item, "/fieldRef"), has(item, "/resourceFieldRef")) {
            (true, both) => {
                let field = text(item, "/fieldRef/fieldPath");
                field_reference(errors, &path.child("fieldRef"), field, &SHOWN_FIELDS);
                if both {
                    let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                    errors.push(Error::invalid(path, &"resource".into(), detail));
                }
            }
            (false, true) => {
                let path = path.child("resourceFieldRef");
                match text(item, "/resourceFieldRef/containerName") {
                    "" => errors.push(Error::required(&path.child("containerName"), "")),
                    _ => resource_reference(errors, &path, text(item, "/resourceFieldRef/resource")),
                }
            }
            (false, false) => {
                errors.push(Error::required(path, "one of fieldRef and resourceFieldRef is required"));
            }
        }
        mode(errors, &path.child("mode"), item.get("mode"));
    }
}

fn projected(errors: &mut Errors, path: &Path, projected: &Value) {
    mode(errors, &path.child("defaultMode"), projected.get("defaultMode"));
    let whole = path;
    for (index, source) in list(projected, "/sources").iter().enumerate() {
        let path = path.child("sources").index(index);
        let mut found = 0;
        for member in
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"]
        {
            let Some(value) = source.get(member).filter(|value| !value.is_null()) else { continue };
            let path = path.child(member);
            found += 1;
            if found > 1 {
                errors.push(Error::forbidden(&path, "may not specify more than 1 volume type per source"));
            }
            match member {
                "secret" | "configMap" => {
                    if text(value, "/name").is_empty() {
                        errors.push(Error::required(&path.child("name"), ""));
                    }
                    files(errors, &path, value);
                }
                "downwardAPI" => shown_files(errors, &path, value),
                "serviceAccountToken" => {
                    token(errors, &path, value);
                    file_path(errors, &whole.child("path"), text(value, "/path"));
                }
                _ => {}
            }
        }
    }
}

fn token(errors: &mut Errors, path: &Path, token: &Value) {
    const LEAST: i64 = 600;
    const MOST: i64 = 1 << 32;
    if let Some(value) = token.get("expirationSeconds").filter(|value| !value.is_null()) {
        let path = path.child("expirationSeconds");
        match value.as_i64() {
            Some(seconds) if seconds < LEAST => {
                errors.push(Error::invalid(&path, value, "may not specify a duration less than 10 minutes"));
            }
            Some(seconds) if seconds > MOST => {
                errors.push(Error::invalid(&path, value, "may not specify a duration larger than 2^32 seconds"));
            }
            _ => {}
        }
    }
}
