//! AppArmor profiles of containers: a field, and before that an annotation, which counts where the field says nothing.

use machinery::{
    field::{Error, Path, quote},
    meta,
};
use serde_json::{Value, json};

use crate::builtin::pointer::{default_to, has, list, list_mut, members, object_mut, text};
use crate::format::Errors;

/// What an annotation about a container begins with; the name of the container follows.
pub(super) const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
/// What to say of it.
pub(super) const DEPRECATED: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";

const TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const LOCALHOST_BYTES_MAX: usize = 4095;
const LISTS: [&str; 3] = ["/spec/initContainers", "/spec/containers", "/spec/ephemeralContainers"];

/// Writes annotations of a new pod into the fields that took their place. Returns warnings about them.
pub fn profiles_from_annotations(pod: &mut Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if text(pod, "/spec/os/name") == "windows" {
        return warnings;
    }
    let annotations: Vec<(String, String)> = meta::annotations(pod)
        .filter_map(|(name, value)| Some((name.strip_prefix(ANNOTATION)?.to_owned(), value.to_owned())))
        .collect();
    let of_pod = pod.pointer("/spec/securityContext/appArmorProfile").cloned();
    for at in LISTS {
        for container in list_mut(pod, at) {
            let name = text(container, "/name").to_owned();
            let Some((_, annotation)) = annotations.iter().find(|(about, _)| *about == name) else { continue };
            if has(container, "/securityContext/appArmorProfile") {
                continue;
            }
            let profile = profile_of(annotation);
            if profile.is_none() || profile != of_pod {
                warnings.push(format!("metadata.annotations[{ANNOTATION}{name}]: {DEPRECATED}"));
            }
            let Some(profile) = profile.filter(|profile| Some(profile) != of_pod.as_ref()) else { continue };
            default_to(container, "", "securityContext", json!({}));
            if let Some(context) = object_mut(container, "/securityContext") {
                context.insert("appArmorProfile".to_owned(), profile);
            }
        }
    }
    warnings
}

/// The profile that an annotation means; none if it means nothing.
fn profile_of(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        other => {
            let profile = other.strip_prefix("localhost/").filter(|profile| !profile.is_empty())?;
            Some(json!({"type": "Localhost", "localhostProfile": profile}))
        }
    }
}

/// What is wrong with a profile in a security context.
pub(super) fn validate(errors: &mut Errors, path: &Path, context: &Value) {
    let Some(profile) = context.get("appArmorProfile").filter(|profile| !profile.is_null()) else { return };
    let (type_, local) = (text(profile, "/type"), path.child("localhostProfile"));
    let given = profile.get("localhostProfile").and_then(Value::as_str);
    match (type_, given) {
        ("Localhost", None) => errors.push(Error::required(&local, "must be set when AppArmor type is Localhost")),
        ("Localhost", Some(given)) if given.trim() != given => {
            errors.push(Error::invalid(&local, &given.into(), "must not be padded with whitespace"));
        }
        ("Localhost", Some("")) => {
            errors.push(Error::required(&local, "must be set when AppArmor type is Localhost"));
        }
        ("Localhost", Some(given)) if given.len() > LOCALHOST_BYTES_MAX => {
            errors.push(Error::too_long(&local, LOCALHOST_BYTES_MAX));
        }
        ("Localhost", Some(_)) => {}
        ("RuntimeDefault" | "Unconfined", Some(given)) => {
            let detail = "can only be set when AppArmor type is Localhost";
            errors.push(Error::invalid(&local, &given.into(), detail));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.push(Error::required(&path.child("type"), "type is required when appArmorProfile is set")),
        (other, _) => errors.push(Error::not_supported(&path.child("type"), &other.into(), &TYPES)),
    }
}

/// What is wrong with annotations of a pod: they are about its containers, and say what the fields say.
pub(super) fn validate_annotations(errors: &mut Errors, metadata: &Path, pod: &Value) {
    let containers = || LISTS.into_iter().flat_map(|at| list(pod, at));
    for (name, value) in members(pod, "/metadata/annotations") {
        let (Some(container), value) = (name.strip_prefix(ANNOTATION), value.as_str().unwrap_or_default()) else {
            continue;
        };
        let path = metadata.child("annotations").key(name);
        if !containers().any(|one| text(one, "/name") == container) {
            errors.push(Error::invalid(&path, &container.into(), "container not found"));
        }
        if profile_of(value).is_none() && !value.is_empty() {
            let detail = format!("invalid AppArmor profile name: {}", quote(value));
            errors.push(Error::invalid(&path, &value.into(), &detail));
        }
    }
}

/// Where annotation and field of a container differ. `template` is a pod, or the template of one.
pub(super) fn validate_agreement(errors: &mut Errors, spec: &Path, template: &Value) {
    if text(template, "/spec/os/name") == "windows" {
        return;
    }
    for (at, member) in LISTS.into_iter().zip(["initContainers", "containers", "ephemeralContainers"]) {
        for (index, container) in list(template, at).iter().enumerate() {
            let said = meta::annotation(template, &format!("{ANNOTATION}{}", text(container, "/name")));
            let field = container.pointer("/securityContext/appArmorProfile");
            let field = field.or_else(|| template.pointer("/spec/securityContext/appArmorProfile"));
            let (Some(said), Some(field)) = (said, field.filter(|field| !field.is_null())) else { continue };
            let path = spec.child(member).index(index).child("securityContext").child("appArmorProfile");
            let local = said.strip_prefix("localhost/");
            let same_type = match text(field, "/type") {
                "Unconfined" => said == "unconfined",
                "RuntimeDefault" => said == "runtime/default",
                "Localhost" => local.is_some(),
                _ => true,
            };
            if !same_type {
                errors.push(Error::forbidden(&path.child("type"), "apparmor type in annotation and field must match"));
            } else if local.is_some_and(|local| local != text(field, "/localhostProfile")) {
                let detail = "apparmor profile in annotation and field must match";
                errors.push(Error::forbidden(&path.child("localhostProfile"), detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_become_fields() {
        let mut pod = json!({
            "metadata": {"annotations": {
                "container.apparmor.security.beta.kubernetes.io/a": "localhost/mine",
                "container.apparmor.security.beta.kubernetes.io/b": "unconfined",
                "container.apparmor.security.beta.kubernetes.io/c": "bogus",
            }},
            "spec": {"containers": [
                {"name": "a"}, {"name": "b", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}, {"name": "c"},
            ]},
        });
        let warnings = profiles_from_annotations(&mut pod);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(
            pod["spec"]["containers"],
            json!([
                {"name": "a", "securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "mine"}}},
                {"name": "b", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}},
                {"name": "c"},
            ])
        );
        let mut errors = Vec::new();
        validate_annotations(&mut errors, &Path::new("metadata"), &pod);
        validate_agreement(&mut errors, &Path::new("spec"), &pod);
        assert_eq!(
            errors.iter().map(Error::to_string).collect::<Vec<_>>(),
            [
                "metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Invalid value: \"bogus\": invalid \
                 AppArmor profile name: \"bogus\"",
                "spec.containers[1].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must \
                 match",
            ]
        );
    }
}
