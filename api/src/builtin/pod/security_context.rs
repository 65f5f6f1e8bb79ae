//! What is wrong with the security contexts of a pod and of its containers.

use std::collections::BTreeSet;

use machinery::field::{Error, Path};
use serde_json::{Value, json};

use super::app_armor;
use crate::builtin::formats::{descending_path, present_one_of};
use crate::builtin::go_form::pod::shown_security_context;
use crate::builtin::pointer::{has, list, text};
use crate::format::Errors;

/// The security context of a pod.
pub(super) fn validate_pod(errors: &mut Errors, path: &Path, spec: &Value) {
    let Some(context) = spec.get("securityContext").filter(|context| !context.is_null()) else { return };
    ids(errors, path, context, &["fsGroup"]);
    for (index, id) in list(context, "/supplementalGroups").iter().enumerate() {
        one_id(errors, &path.child("supplementalGroups").index(index), id);
    }
    ids(errors, path, context, &["runAsUser", "runAsGroup"]);
    sysctls(errors, &path.child("sysctls"), context);
    let policies = [
        ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ];
    for (member, supported) in policies {
        present_one_of(errors, &path.child(member), context.get(member), &supported);
    }
    seccomp(errors, &path.child("seccompProfile"), context);
    app_armor::validate(errors, &path.child("appArmorProfile"), context);
}

/// The security context of a container.
pub(super) fn validate_container(errors: &mut Errors, path: &Path, container: &Value) {
    let Some(context) = container.get("securityContext").filter(|context| !context.is_null()) else { return };
    ids(errors, path, context, &["runAsUser", "runAsGroup"]);
    present_one_of(errors, &path.child("procMount"), context.get("procMount"), &["Default", "Unmasked"]);
    seccomp(errors, &path.child("seccompProfile"), context);
    app_armor::validate(errors, &path.child("appArmorProfile"), context);
    let is = |member: &str, wanted: bool| context.get(member).and_then(Value::as_bool) == Some(wanted);
    if is("allowPrivilegeEscalation", false) && is("privileged", true) {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(Error::invalid_shown(path, &shown_security_context(context), detail));
    }
    let adds = list(context, "/capabilities/add").iter().any(|name| name == "CAP_SYS_ADMIN");
    if is("allowPrivilegeEscalation", false) && adds {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(Error::invalid_shown(path, &shown_security_context(context), detail));
    }
}

fn ids(errors: &mut Errors, path: &Path, context: &Value, members: &[&str]) {
    for member in members {
        if let Some(value) = context.get(*member) {
            one_id(errors, &path.child(member), value);
        }
    }
}

/// An id of a user or a group.
fn one_id(errors: &mut Errors, path: &Path, value: &Value) {
    if value.as_i64().is_some_and(|id| !(0..=i64::from(i32::MAX)).contains(&id)) {
        errors.push(Error::invalid(path, value, "must be between 0 and 2147483647, inclusive"));
    }
}

/// Names of kernel settings, as errors show their form.
const SYSCTL: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const SYSCTL_BYTES_MAX: usize = 253;

fn is_sysctl(name: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inside = |byte: u8| ends(Some(byte)) || matches!(byte, b'-' | b'_');
    let is_part = |part: &str| ends(part.bytes().next()) && ends(part.bytes().next_back()) && part.bytes().all(inside);
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(is_part)
}

fn sysctls(errors: &mut Errors, path: &Path, context: &Value) {
    let mut seen = BTreeSet::new();
    for (index, sysctl) in list(context, "/sysctls").iter().enumerate() {
        let path = path.index(index).child("name");
        let name = text(sysctl, "/name");
        if name.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if !is_sysctl(name) {
            let detail = format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex {SYSCTL}");
            errors.push(Error::invalid(&path, &name.into(), &detail));
        } else if !seen.insert(name) {
            errors.push(Error::duplicate(&path, &name.into()));
        }
    }
}

fn seccomp(errors: &mut Errors, path: &Path, context: &Value) {
    let Some(profile) = context.get("seccompProfile").filter(|profile| !profile.is_null()) else { return };
    let type_ = text(profile, "/type");
    match type_ {
        "" => errors.push(Error::required(&path.child("type"), "type is required when seccompProfile is set")),
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        other => {
            let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
            errors.push(Error::not_supported(&path.child("type"), &other.into(), &supported));
        }
    }
    let path = path.child("localhostProfile");
    match (type_ == "Localhost", has(profile, "/localhostProfile")) {
        (true, false) => errors.push(Error::required(&path, "must be set when seccomp type is Localhost")),
        (true, true) => descending_path(errors, &path, text(profile, "/localhostProfile")),
        (false, true) => {
            // Upstream shows the profile as its internal type, whose members begin with capitals.
            let shown = format!(
                "{{\"Type\":{},\"LocalhostProfile\":{}}}",
                json!(type_),
                profile.get("localhostProfile").unwrap_or(&Value::Null)
            );
            errors.push(Error::invalid_shown(&path, &shown, "can only be set when seccomp type is Localhost"));
        }
        (false, false) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What upstream's validation (1.36) says.
    #[test]
    fn contexts_are_refused_in_upstreams_words() {
        let cases = [
            (
                json!({"runAsUser": -1}),
                "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"fsGroup": -1}),
                "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"supplementalGroups": [1, -1]}),
                "spec.securityContext.supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"sysctls": [{"name": "net.a"}, {"name": "net.a"}]}),
                "spec.securityContext.sysctls[1].name: Duplicate value: \"net.a\"",
            ),
            (json!({"sysctls": [{}]}), "spec.securityContext.sysctls[0].name: Required value"),
            (
                json!({"sysctls": [{"name": "A"}]}),
                "spec.securityContext.sysctls[0].name: Invalid value: \"A\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            ),
            (
                json!({"fsGroupChangePolicy": ""}),
                "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"\": supported values: \"Always\", \"OnRootMismatch\"",
            ),
            (
                json!({"seccompProfile": {}}),
                "spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set",
            ),
            (
                json!({"seccompProfile": {"type": "x"}}),
                "spec.securityContext.seccompProfile.type: Unsupported value: \"x\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
            ),
            (
                json!({"seccompProfile": {"type": "Localhost"}}),
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ),
            (
                json!({"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}}),
                "spec.securityContext.seccompProfile.localhostProfile: Invalid value: {\"Type\":\"Unconfined\",\"LocalhostProfile\":\"a\"}: can only be set when seccomp type is Localhost",
            ),
            (json!({"runAsUser": 0, "sysctls": [{"name": "net.a"}, {"name": "net/b"}]}), ""),
        ];
        for (context, expected) in cases {
            let mut errors = Vec::new();
            let path = Path::new("spec").child("securityContext");
            validate_pod(&mut errors, &path, &json!({"securityContext": context}));
            assert_eq!(errors.first().map(Error::to_string).unwrap_or_default(), expected);
        }
        let mut errors = Vec::new();
        let container = json!({"securityContext": {"procMount": "x"}});
        validate_container(&mut errors, &Path::new("c"), &container);
        assert_eq!(
            errors[0].to_string(),
            "c.procMount: Unsupported value: \"x\": supported values: \"Default\", \"Unmasked\""
        );
    }
}
